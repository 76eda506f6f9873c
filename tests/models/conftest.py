"""Small networks and recordings for the tests of the network."""

from __future__ import annotations

import numpy as np
import pytest

from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens

SMALL = {"n_layers": 2, "width": 32, "n_heads": 2, "n_latents": 16, "patch_size": 16}


@pytest.fixture
def small_config():
    """Build a small configuration from overrides."""
    return lambda **overrides: BrainOFConfig(**{**SMALL, **overrides})


@pytest.fixture
def small_model(small_config):
    """Build a small network from overrides, in eval mode."""
    return lambda seed=0, **overrides: BrainOF(small_config(**overrides), seed).eval()


@pytest.fixture
def tokens_of():
    """Make tokens of noise in any modality."""

    def build(n_samples=3, n_channels=5, n_times=60, modality="eeg", seed=0, **kwargs):
        rng = np.random.default_rng(seed)
        position = rng.normal(size=(n_channels, 3))
        position *= 0.09 / np.linalg.norm(position, axis=1, keepdims=True)
        orientation = np.zeros((n_channels, 3))
        types = {"eeg": ["eeg"], "meg": ["mag", "grad"], "fmri": ["bold"]}[modality]
        if modality == "meg":
            orientation = position / 0.09
        return make_tokens(
            rng.normal(size=(n_samples, n_channels, n_times)),
            0.5 if modality == "fmri" else 64.0,
            position,
            orientation,
            (types * n_channels)[:n_channels],
            modality,
            patch_size=kwargs.pop("patch_size", 16),
            **kwargs,
        )

    return build
