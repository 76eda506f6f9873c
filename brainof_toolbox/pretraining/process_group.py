"""The process group: how it is made, and ended before the interpreter ends."""

from __future__ import annotations

import gc
import time
from datetime import timedelta

import torch
import torch.distributed as dist

# Its functions take the group that exists when it is first imported as a default argument, and
# keep that group for ever; so it has to be imported before there is one.
import torch.distributed.nn.functional  # noqa: F401

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
