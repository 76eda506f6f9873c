"""The process group, and the wrappers of a network in it: copies (DDP) or parts (FSDP)."""

from __future__ import annotations

import contextlib
import gc
import inspect
import time
from datetime import timedelta

import torch
import torch.distributed as dist

# Its functions take the group that exists when it is first imported as a default argument, and
# keep that group for ever; so it has to be imported before there is one.
import torch.distributed.nn.functional  # noqa: F401
from torch.nn.parallel import DistributedDataParallel

from ..models.brainof import Layer
from ..models.resampler import ArnessBlock

#: Seconds in which a thread that has delivered a result releases its tensors; it takes less
#: than one millisecond unless all processors are busy.
LET_GO = 0.2


def make_group(device, timeout, alone=False):
    """Make the process group that collectives use by default."""
    # Flags and states travel between CPUs, so that no GPU has to be waited for.
    is_gpu = device.type == "cuda"
    if is_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if is_gpu else "gloo",
        timeout=timedelta(seconds=timeout),
        **({"store": dist.HashStore(), "rank": 0, "world_size": 1} if alone else {}),
    )


def end_group():
    """End the process group and the threads that its collectives run in."""
    # A thread of gloo that releases a tensor while the interpreter ends aborts the process
    # (https://github.com/pytorch/pytorch/pull/179291). The threads end with the last object that
    # refers to the group. Networks in cycles are such objects, hence the collection; torch's
    # caches of sharded tensors are others, which cannot be cleared, hence the wait.
    dist.destroy_process_group()
    gc.collect()
    time.sleep(LET_GO)


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


def no_sync(module, is_last):
    """Keep gradients in this process until the last micro-batch of its share."""
    if hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(is_last)
    elif isinstance(module, DistributedDataParallel) and not is_last:
        return module.no_sync()
    return contextlib.nullcontext()


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
