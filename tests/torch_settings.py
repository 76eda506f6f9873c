"""What callers may have set in torch, by name, and how it is set just now."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def _changed(set_value, value, before):
    set_value(value)
    try:
        yield
    finally:
        set_value(before)


#: Each has a relative that is tested by default.
SIMILAR = ("no_grad", "float16", "medium precision", "efficient attention")

SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "set_default_device": lambda: _changed(torch.set_default_device, "meta", None),
    "float64": lambda: _changed(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: _changed(torch.set_default_dtype, torch.float16, torch.float32),
    "medium precision": lambda: _changed(torch.set_float32_matmul_precision, "medium", "highest"),
    "deterministic": lambda: _changed(torch.use_deterministic_algorithms, True, False),
    "flash attention": lambda: sdpa_kernel(SDPBackend.FLASH_ATTENTION),
    "efficient attention": lambda: sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION),
}


#: Names of settings for parametrize; those that differ little from another one are slow.
ALL_SETTINGS = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in SIMILAR)) for name in SETTINGS
]


def current_settings():
    """All of them as they are."""
    cuda = torch.backends.cuda
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "device": torch.get_default_device(),
        "dtype": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "matmul": (torch.backends.mkldnn.matmul.fp32_precision, cuda.matmul.fp32_precision),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "attention": (
            cuda.flash_sdp_enabled(),
            cuda.math_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.cudnn_sdp_enabled(),
        ),
        "random": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
    }
