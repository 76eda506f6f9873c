"""Torch's switches, set aside while the package computes and put back afterwards.

Some belong to a thread: gradients, inference mode, autocast, the default device. Others belong to
the whole process: the first thread to come sets them aside, the last one to leave puts them back.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
]


class _Process:
    """Number of threads inside, and how to restore what they set aside."""

    lock = threading.Lock()
    n_inside = 0
    restore = ExitStack()
    is_forked = False


def _note_fork():
    """Take note, in a forked process: a thread that is not here may have held the lock."""
    _Process.lock = threading.Lock()
    _Process.is_forked = True


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_note_fork)


@contextmanager
def isolate_torch():
    """Compute as if no switch of torch had been touched; also a decorator."""
    if _Process.is_forked:
        # The pool of OpenMP threads was not copied: a second thread would be waited for forever.
        torch.set_num_threads(1)
    with ExitStack() as stack:
        stack.enter_context(_process_switches())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def _process_switches():
    """Set aside what all threads share, once for all that are inside."""
    with _Process.lock:
        if not _Process.n_inside:
            _set_aside(_Process.restore)
        _Process.n_inside += 1
    try:
        yield
    finally:
        with _Process.lock:
            _Process.n_inside -= 1
            if not _Process.n_inside:
                _Process.restore.close()


def _set_aside(stack):
    """Set what differs from torch's own defaults: default type, precision, attention kernels."""
    if (dtype := torch.get_default_dtype()) != torch.float32:
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
    for matmul in (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul):
        if (precision := matmul.fp32_precision) not in ("none", "ieee"):
            stack.callback(setattr, matmul, "fp32_precision", precision)
            matmul.fp32_precision = "ieee"
    cuda = torch.backends.cuda
    if not (
        cuda.math_sdp_enabled() and cuda.flash_sdp_enabled() and cuda.mem_efficient_sdp_enabled()
    ):
        stack.enter_context(sdpa_kernel(_KERNELS))
