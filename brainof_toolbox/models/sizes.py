"""The sizes in a configuration against the header of the weights, before anything is built."""

from __future__ import annotations

import re
from dataclasses import replace

from .brainof import BrainOF
from .embedding import DURATION_WAVELENGTHS

#: Stacks of equal blocks: the field that counts them, and how their names begin.
_STACKS = {
    "n_layers": "layers",
    "n_encoder_blocks": "encoder.blocks",
    "n_decoder_blocks": "decoder.blocks",
}


def check_sizes(path, table, config, origin):
    """Refuse sizes that the weights do not have, and name field and file."""
    for field, start in _STACKS.items():
        pattern = re.compile(rf"{re.escape(start)}\.(\d+)\.")
        found = len({match[1] for match in map(pattern.match, table) if match})
        if found != getattr(config, field):
            raise ValueError(
                f"{path} does not match the model: {field} is {getattr(config, field)} in "
                f"{origin}, and the weights hold {found} blocks {start!r}. The configuration "
                "belongs to other weights."
            )
    for fields, name, axis, size in _sizes_in_shapes(config):
        if name not in table:
            raise ValueError(
                f"{path} does not match the model of {origin}: missing tensors {name!r}. The "
                "weights belong to another network or version."
            )
        shape = table[name][1]
        if axis >= len(shape) or shape[axis] != size:
            wanted = (*shape[:axis], size, *shape[axis + 1 :])
            raise ValueError(
                f"{path}: tensor {name!r} has shape {shape}, the model needs {wanted} because of "
                f"{fields} in {origin}. The configuration belongs to other weights."
            )


def _sizes_in_shapes(config):
    """Yield fields, a tensor, an axis of it, and how long the fields make it."""
    yield "n_latents", "latents", 0, config.n_latents
    yield "width", "latents", 1, config.width
    yield "patch_size", "patch.weight", 0, config.patch_size
    if config.position_encoding == "fourier":
        counts = config.position_wavelengths[2], config.time_wavelengths[2]
        size = 6 * counts[0] + 2 * counts[1] + 2 * DURATION_WAVELENGTHS[2] + 3
        yield "position_wavelengths and time_wavelengths", "place.place.weight", 1, size
    if config.attention == "dint":
        yield "n_heads", "layers.0.attention.lam", 1, config.width // (2 * config.n_heads)
    block, hidden = "layers.0.feed_forward.experts", config.expert_ratio * config.width
    hidden = round(min(hidden, 2.0**62))  # infinity is no whole number
    if config.experts == "moe":
        yield "n_experts", f"{block}.gate.weight", 0, config.n_experts
        yield "expert_ratio", f"{block}.shared.down.weight", 1, hidden
    else:
        size = (1 + config.top_k) * hidden
        yield "expert_ratio and top_k", f"{block}.down.weight", 1, size


def wanted_shapes(config):
    """Return the shapes of all tensors of a network by name, from one block of each stack."""
    one = BrainOF(replace(config, **dict.fromkeys(_STACKS, 1)), random_state=None).state_dict()
    shapes = {}
    for name, tensor in one.items():
        field = next((f for f, start in _STACKS.items() if name.startswith(f"{start}.0.")), None)
        for number in range(1 if field is None else getattr(config, field)):
            new = name if field is None else name.replace(".0.", f".{number}.", 1)
            shapes[new] = tuple(tensor.shape)
    return shapes
