"""Wrappers of a network for several processes: copies (DDP) or parts (FSDP)."""

from __future__ import annotations

import contextlib
import inspect

import torch
from torch.nn.parallel import DistributedDataParallel

from ..models.brainof import Layer
from ..models.resampler import ArnessBlock


def replicate(objective, device):
    """Give each process a copy; gradients are averaged."""
    known = inspect.signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    # The weights of rank 0 are sent round once: the same seed gives the same weights only on
    # processors of the same kind.
    return DistributedDataParallel(
        objective.to(device),
        device_ids=None if device.type == "cpu" else [device.index],
        gradient_as_bucket_view=True,
        # A step is trained on reconstruction or on terms, not on both.
        find_unused_parameters=bool(objective.config.terms),
        **{buffers: False},  # all processes change them alike
    )


def shard(objective, device, n_ranks, precision):
    """Leave each process a part of each parameter; a block is put together when it is needed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device.type, (n_ranks,))
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        # Gradients are added in float32, and the types of inputs are left to autocast.
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
    for module in objective.modules():
        if isinstance(module, (Layer, ArnessBlock)):
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(objective, mesh=mesh)  # embeddings and the last norms stay in float32
    return objective.to(device)  # buffers; the parts are there already


@contextlib.contextmanager
def hold_gradients(module, hold):
    """Keep gradients in this process, or let them go round."""
    if hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(not hold)
        yield
    elif isinstance(module, DistributedDataParallel) and hold:
        with module.no_sync():
            yield
    else:
        yield


def device_of(device, local, n_ranks):
    """Return the device of a process."""
    wanted = device
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"Invalid value for the parameter 'device': allowed are 'auto', 'cpu', 'cuda' or "
            f"'cuda:0', got {wanted!r}."
        )
    if device.type == "cpu":
        return device
    if device.index is not None and n_ranks > 1:
        raise ValueError(
            f"With {n_ranks} processes each takes a GPU of its own: pass device='cuda' rather "
            f"than {str(device)!r}."
        )
    index = local if device.index is None else device.index
    n_devices = torch.cuda.device_count()
    if index >= n_devices:
        raise ValueError(
            f"The parameter 'device' names GPU {index}, but this machine has {n_devices}. "
            f"Start no more processes than GPUs, or pass device='cpu'."
        )
    return torch.device("cuda", index)
