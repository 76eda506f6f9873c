"""Estimators on the authors' network: frozen, cloned, pickled, scored as on any checkpoint."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from brainof_toolbox.datasets import make_epochs, make_paired_signals
from brainof_toolbox.inspection import (
    expert_usage,
    latent_attention,
    occlusion_importance,
    reconstruct,
)
from brainof_toolbox.models import load_release

sys.path.append(str(Path(__file__).resolve().parent.parent / "models"))
from release_clone import make_state, write_clone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    torch.save(make_state(), folder / "large.pth")
    return load_release(write_clone(folder / "clone"), folder / "large.pth", run_their_code=True)


@pytest.fixture(scope="module")
def epochs():
    return make_epochs("eeg", n_channels=8, n_epochs=24)


@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_in_place_of_a_checkpoint(kind, backbone, epochs):
    """Features are its embeddings; the licence is shown; the rest is scikit-learn."""
    y = epochs.events[:, 2]
    fitted = kind(backbone).fit(epochs, y)
    assert fitted.checkpoint_info_["licence"] == backbone.info["licence"]
    assert "NC" in fitted._repr_html_()
    rows = BrainOFEmbedder(backbone).fit_transform(epochs)
    assert rows.shape == (24, backbone.embedding_size)
    np.testing.assert_array_equal(rows, fitted.encoder_.embed(epochs))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(epochs), fitted.predict(epochs))
    assert clone(fitted).checkpoint is backbone
    assert cross_val_predict(kind(backbone), epochs, y, cv=3).shape == (24,)


def test_what_it_is_fed(backbone):
    """Preprocessed windows, one modality at a time; the mean over modalities and windows."""
    X, _, _ = make_paired_signals(2, n_subjects=2, duration=4.0)
    embedder = BrainOFEmbedder(backbone).fit(X)
    rows = embedder.transform(X)
    (block,) = embedder.encoder_.windows(X)
    expected = []
    for window in np.flatnonzero(block.sample == 0):
        parts = [block.windows[m].signals.data[block.rows[m][window]] for m in block.windows]
        expected.append(backbone(parts).mean(0).numpy())
    np.testing.assert_allclose(rows[0], np.mean(expected, axis=0), rtol=1e-4, atol=1e-4)


def test_what_it_cannot(backbone, epochs, tmp_path):
    """It is frozen, has no layers to choose from, is not ours to save, takes no tokens."""
    y = epochs.events[:, 2]
    for adaptation in ("lora", "full"):
        with pytest.raises(ValueError, match="adaptation='probe'"):
            BrainOFClassifier(backbone, adaptation=adaptation).fit(epochs, y)
    with pytest.raises(ValueError, match="layer=None"):
        BrainOFEmbedder(backbone, layer=2).fit(epochs)
    with pytest.raises(ValueError, match="not saved again"):
        BrainOFEmbedder(backbone).fit(epochs).save_pretrained(tmp_path / "x")
    fitted = BrainOFClassifier(backbone).fit(epochs, y)
    assert np.isfinite(occlusion_importance(fitted, epochs[:4]).part().channels).all()
    for look in (expert_usage, latent_attention, reconstruct):
        with pytest.raises(ValueError, match="cannot be looked into"):
            look(fitted, epochs)
