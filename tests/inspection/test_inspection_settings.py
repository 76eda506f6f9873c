"""What is found in a network does not depend on what the caller has set in torch."""

from __future__ import annotations

import numpy as np
import pytest
from torch_settings import SETTINGS, SIMILAR, current_settings

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_epochs, make_paired_signals
from brainof_toolbox.inspection import (
    block_contributions,
    expert_usage,
    gradient_importance,
    latent_attention,
    modality_contributions,
    occlusion_importance,
    patterns,
    reconstruct,
)

FUNCTIONS = {
    "gradients": lambda model, X, y: (
        gradient_importance(model, X[:3], y[:3], n_steps=1).parts["eeg"].grid
    ),
    "occlusion": lambda model, X, y: (
        occlusion_importance(model, X[:3], y[:3], bands={}).parts["eeg"].channels
    ),
    "attention": lambda model, X, y: latent_attention(model, X).channels,
    "experts": lambda model, X, y: expert_usage(model, X)["probability"],
    "reconstruction": lambda model, X, y: reconstruct(model, X).reconstructed,
    "contributions": lambda model, X, y: modality_contributions(model, X[:3], y[:3])[
        "contribution"
    ],
    "blocks": lambda model, X, y: block_contributions(model, X, y)["contribution"],
    "patterns": lambda model, X, y: patterns(model, X).part("covariance").values,
}


@pytest.fixture(scope="module")
def one(micro_checkpoint):
    """A fitted probe and its samples."""
    X = make_epochs(n_epochs=6, n_channels=4, duration=1.0, random_state=0)
    y = X.events[:, 2]
    return BrainOFClassifier(micro_checkpoint, pooling="mean").fit(X, y), X, y


@pytest.fixture(scope="module")
def latents(micro_checkpoint, one):
    """The same on latents alone."""
    _, X, y = one
    decoder = BrainOFClassifier(micro_checkpoint, features="latents", pooling="mean")
    return decoder.fit(X, y), X, y


@pytest.fixture(scope="module")
def two(micro_checkpoint):
    """The same for samples of two modalities."""
    options = {"modalities": ("eeg", "meg"), "n_meg": 3, "duration": 1.0}
    X, y, _ = make_paired_signals(6, n_subjects=1, **options)
    return BrainOFClassifier(micro_checkpoint, pooling="mean").fit(X, y), X, y


@pytest.mark.parametrize(
    "settings",
    [SETTINGS.keys() - SIMILAR, pytest.param(SIMILAR, marks=pytest.mark.slow)],
    ids=["main", "similar"],
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_findings_do_not_depend_on_settings(name, settings, one, latents, two):
    """Under each setting the same is found, and the setting stays."""
    case = {"contributions": two, "gradients": latents}.get(name, one)
    wanted = FUNCTIONS[name](*case)
    for setting in settings:
        with SETTINGS[setting]():
            before = current_settings()
            found = FUNCTIONS[name](*case)
            assert current_settings() == before
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
