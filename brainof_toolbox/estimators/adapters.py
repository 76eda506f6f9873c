"""Save what LoRA trained, without the checkpoint that it was trained on.

A directory holds ``adapter.json`` (which checkpoint, which parameters, which targets) and
``adapter.safetensors`` (two factors for each matrix, and the head). Reading is strict, and nothing
in it is ever executed.
"""

from __future__ import annotations

import copy
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch

from .._utils.files import replace_directory, write_file
from ..models.strict import (
    check_header,
    damaged,
    read_header,
    read_json,
    refuse_code,
    refuse_nonfinite,
)
from . import lora
from .heads import N_HIDDEN
from .network import Network

FORMAT_VERSION = 1
DESCRIPTION, WEIGHTS = FILES = ("adapter.json", "adapter.safetensors")
_PREFIX = "update."


def save(directory, name, adaptation, decoder, targets):
    """Write the adapter of a fitted estimator: all of it, or nothing changes."""
    encoder = decoder.encoder
    state = {f"{_PREFIX}{key}": tensor for key, tensor in decoder.updates.items()}
    for key, tensor in decoder.network.state_dict().items():
        if not key.startswith("backbone."):
            state[key] = tensor.detach().cpu().contiguous()
    refuse_nonfinite(state, "the adapter")
    description = {
        **_identity(name, adaptation, encoder),
        "weights": decoder.base_weights,
        "checkpoint": encoder.checkpoint_info["name"],
        "outputs": targets.to_dict(),
        "subjects": sorted({*encoder.manifest.get("subjects", ()), *encoder.subjects}),
    }
    text = json.dumps(description, indent=2, allow_nan=False).encode()
    with replace_directory(directory, FILES) as aside:
        write_file(aside / DESCRIPTION, text)
        write_file(aside / WEIGHTS, safetensors.torch.save(state))
    return Path(os.path.abspath(directory))


def _identity(name, adaptation, encoder):
    """Describe what must be equal where an adapter is loaded."""
    parameters = {key: getattr(encoder, key) for key in ("pooling", "layer", "window")}
    own = ("head", "rank", "alpha", "target_modules")
    return {
        "format_version": FORMAT_VERSION,
        "estimator": name,
        "weights": encoder.backbone.weights,
        "parameters": parameters | {key: getattr(adaptation, key) for key in own},
    }


def load(directory, name, adaptation, encoder, kind, seed):
    """Put an adapter on an encoder's network; returns targets of a kind and a NetworkDecoder."""
    directory = Path(directory)
    for file in FILES:
        if not (directory / file).is_file():
            raise FileNotFoundError(
                f"{directory} is no adapter: it must hold {' and '.join(FILES)}; {file} is "
                f"missing."
            )
    path = directory / DESCRIPTION
    description = read_json(path)
    refuse_code(description, path)
    _check(description, _identity(name, adaptation, encoder), path)
    targets = _read_targets(description["outputs"], kind, name, path)
    hidden = [N_HIDDEN] if adaptation.head == "mlp" else []
    widths = [encoder.n_columns, *hidden, targets.n_outputs]
    state = _read(directory / WEIGHTS, _wanted_shapes(encoder, adaptation, widths))
    network = _empty_network(encoder, widths)
    matrices = adaptation._prepare(network, encoder, seed, state["update"])
    network.load_state_dict({**network.state_dict(), **state["head"]})
    return targets, adaptation._finish(encoder, network, matrices, description["subjects"])


def _check(description, wanted, path):
    """Refuse an adapter of another checkpoint, estimator or other parameters."""
    missing = {*wanted, "checkpoint", "outputs", "subjects"} - set(description)
    if missing:
        raise ValueError(f"{path} lacks {sorted(missing)}: it describes no adapter.")
    for name, value in wanted.items():
        found, value = (json.loads(json.dumps(x)) for x in (description[name], value))
        if name == "parameters" and isinstance(found, dict):
            for key in value:
                if found.get(key) != value[key]:
                    raise ValueError(
                        f"The adapter in {path.parent} was fitted with {key}={found.get(key)!r}, "
                        f"this estimator has {value[key]!r}. Give it the parameters of the fit."
                    )
        elif found != value:
            raise ValueError(
                f"The adapter in {path.parent} has {name} {found!r}, this estimator needs "
                f"{value!r}. It was fitted on the checkpoint {description['checkpoint']!r}."
            )


def _read_targets(values, kind, name, path):
    """Read classes, or the scale of numbers."""
    try:
        return kind.from_dict(values)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: the outputs are not those of a {name} ({type(error).__name__}: {error})."
        ) from error


def _wanted_shapes(encoder, adaptation, widths):
    """List the shapes of all tensors of an adapter; nothing is allocated for it."""
    shapes = {"mean": (widths[0],), "inv_std": (widths[0],)}
    for number, (n, m) in enumerate(pairwise(widths)):
        shapes |= {f"weights.{number}": (m, n), f"biases.{number}": (m,)}
    network, rank = encoder.token_network, adaptation.rank
    found = lora.find_targets(network, adaptation.target_modules, encoder.layer)
    for name, module in found.items():
        n_out, n_in = module.weight.shape
        shapes[f"{_PREFIX}{name}.a"] = rank, n_in
        shapes[f"{_PREFIX}{name}.b"] = n_out, rank
    return shapes


def _empty_network(encoder, widths):
    """Make a network of the right shape with a head of zeros."""
    head = [(np.zeros((m, n)), np.zeros(m)) for n, m in pairwise(widths)]
    backbone, ones = copy.deepcopy(encoder.token_network), np.ones(widths[0])
    return Network(backbone, encoder.pooling, 0 * ones, ones, head, encoder.layer)


def _read(path, shapes):
    """Read the factors of the updates, and the head, if they have exactly these shapes."""
    check_header(path, read_header(path), shapes)
    try:
        state = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise damaged(path, str(error)) from error
    refuse_nonfinite(state, path)
    parts = {"head": {}, "update": {}}
    for name, tensor in state.items():
        part = "update" if name.startswith(_PREFIX) else "head"
        parts[part][name.removeprefix(_PREFIX)] = tensor.clone()
    return parts
