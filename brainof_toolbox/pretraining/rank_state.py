"""All that training changes, by name, whether a process holds whole tensors or parts of them.

Names of parameters are those of the objective, whatever is wrapped around it, so that a state
saved by any number of processes can be loaded by any other number.
"""

from __future__ import annotations

import contextlib
import errno
import re
import warnings

import safetensors
import torch

WEIGHTS, OPTIMIZER, EMA = "weights.", "optimizer.", "ema."

_STEP, _MOMENTS = "step", ("exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_checkpoint_wrapped_module)\.")


def name_tensors(module):
    """Return parameters and the buffers that are part of the state, under such names."""
    kept = module.state_dict().keys()
    buffers = {n: buffer for n, buffer in module.named_buffers() if n in kept}
    return {**name_parameters(module), **{_WRAPPERS.sub("", n): b for n, b in buffers.items()}}


def name_parameters(module):
    """Return the parameters under the names they have in the objective."""
    return {_WRAPPERS.sub("", name): p for name, p in module.named_parameters()}


def named_state(module, optimizer=None, ema=None, is_blank=False):
    """Return every tensor of the state, whole or in parts."""
    names = name_parameters(module)
    parts = {WEIGHTS + name: tensor.detach() for name, tensor in name_tensors(module).items()}
    for name, parameter in names.items() if optimizer is not None else ():
        kept = optimizer.state.get(parameter, {})
        # With terms, a parameter may not have had a gradient yet: its state begins at zero.
        if is_blank or (optimizer.state and not kept):
            kept = {key: torch.zeros_like(parameter).detach() for key in _MOMENTS}
            kept[_STEP] = torch.zeros(())
        parts.update({f"{OPTIMIZER}{key}.{name}": value for key, value in kept.items()})
    parts.update({EMA + name: tensor for name, tensor in (ema or {}).items()})
    return parts


@torch.no_grad()
def copy_into(parts, state):
    """Copy whole tensors into parts."""
    missing = sorted(set(parts) - set(state))
    if missing:
        raise ValueError(
            f"The saved state lacks {len(missing)} of {len(parts)} tensors: "
            f"{', '.join(missing[:5])}. It belongs to another network or configuration."
        )
    for name, part in parts.items():
        if part.shape != state[name].shape:
            raise ValueError(
                f"The saved {name} has shape {tuple(state[name].shape)}, it must have "
                f"{tuple(part.shape)}. It belongs to another network."
            )
        part.copy_(_cut_like(part, state[name]))


def load_optimizer_state(parts, module, optimizer):
    """Load moments into the optimizer."""
    if optimizer is None:
        return
    names = {id(p): name for name, p in name_parameters(module).items()}
    order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    kept = {
        number: {key: parts[f"{OPTIMIZER}{key}.{name}"] for key in (_STEP, *_MOMENTS)}
        for number, name in enumerate(order)
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})


def write_shards(folder, parts):
    """Write this process's parts as safetensors; every process must take part."""
    from torch.distributed import checkpoint

    flat = {name: _with_axis(tensor) for name, tensor in parts.items()}
    with _as_usual(folder):
        # Torch's other writer leaves a pickle beside the numbers.
        writer = checkpoint.HuggingFaceStorageWriter(str(folder), save_distributed=True)
        checkpoint.save(flat, storage_writer=writer)


@torch.no_grad()
def read_shards(folder, parts):
    """Read what any number of processes wrote."""
    from torch.distributed import checkpoint

    flat = {name: _with_axis(tensor) for name, tensor in parts.items()}
    reader = checkpoint.HuggingFaceStorageReader(str(folder))
    try:
        _check_shards(reader.read_metadata().state_dict_metadata, flat)
    except (ValueError, OSError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"{folder} could not be read into this network: {error} It is damaged, or belongs to "
            f"another network or configuration."
        ) from error
    with _as_usual(folder):
        checkpoint.load(flat, storage_reader=reader)


def _check_shards(saved, wanted):
    """Refuse parts that do not add up to the tensors wanted: torch would leave gaps."""
    for name, tensor in wanted.items():
        if name not in saved:
            raise ValueError(f"{name} is missing.")
        held = sum(chunk.sizes.numel() for chunk in saved[name].chunks)
        if saved[name].size != tensor.shape or held != tensor.numel():
            raise ValueError(
                f"{name} must have shape {tuple(tensor.shape)}; its parts hold {held} numbers of "
                f"shape {tuple(saved[name].size)}."
            )


def full_tensor(tensor):
    """Return the full tensor, gathered if this process holds a part of it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _cut_like(part, tensor):
    """Return a whole tensor cut like ``part``, without asking the other processes."""
    if not hasattr(part, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    tensor = tensor.to(part.device)
    return distribute_tensor(tensor, part.device_mesh, part.placements, src_data_rank=None)


def _with_axis(tensor):
    """Return a view with at least one axis, as slices of files need one."""
    return tensor.view(1) if tensor.ndim == 0 else tensor


@contextlib.contextmanager
def _as_usual(folder):
    """Convert CheckpointException to ordinary errors; silence the single-process warning."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"torch\.distributed\.checkpoint.*")
            yield
    except CheckpointException as failures:
        rank, (error, _) = next(iter(failures.failures.items()))
        if not isinstance(error, OSError):
            raise RuntimeError(f"{folder}: process {rank} failed: {error}") from error
        text = f"Process {rank} could not use its part of the state ({error.strerror or error})"
        raise OSError(error.errno or errno.EIO, text, str(folder)) from error
