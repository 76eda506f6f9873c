"""Latent attention: rows sum to one, and equal the softmax written out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs, make_paired_signals
from brainof_toolbox.estimators._reading import window_tokens
from brainof_toolbox.inspection import latent_attention, plot_latent_attention


@pytest.fixture(scope="module")
def pairs():
    return make_paired_signals(3, n_subjects=2, random_state=1)[0]


@pytest.fixture(scope="module")
def embedder(micro_checkpoint, pairs):
    return BrainOFEmbedder(micro_checkpoint).fit(pairs)


@pytest.mark.parametrize("modality", ["fmri", "eeg", "meg"])
def test_equals_softmax(modality, embedder, pairs):
    """Attention of the first block, computed plainly in double precision for one window."""
    found = latent_attention(embedder, pairs[:1], modality=modality)
    np.testing.assert_allclose(found.channels.sum(axis=2), 1.0, atol=1e-5)
    np.testing.assert_allclose(found.patches.sum(axis=2), 1.0, atol=1e-5)
    (block,) = embedder._blocks(embedder._as_sources(pairs[:1], reset=False))
    n_windows = len(block)
    model = embedder.backbone_
    expected = 0.0
    for row in range(n_windows):
        tokens = window_tokens(block, modality, np.array([row]))
        with torch.inference_mode():
            attention = model.encoder.blocks[0].attention
            x = model.latents[None]
            query, key, _ = attention.project(x, model.place(tokens), model.content(tokens))
            query, key = query[0].double().numpy(), key[0].double().numpy()
        for q, k in zip(query, key):
            score = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            expected = expected + score / score.sum(axis=1, keepdims=True)
    expected = expected / (n_windows * len(query))
    expected = expected.reshape(len(expected), len(found.ch_names), -1)
    np.testing.assert_allclose(found.channels[0], expected.sum(axis=2), atol=1e-5)
    np.testing.assert_allclose(found.patches[0], expected.sum(axis=1), atol=1e-5)


def test_latents_look_at_different_places(pairs):
    """At the start each latent has a place of its own: centres of attention are spread out."""
    embedder = BrainOFEmbedder(None, random_state=0)
    with pytest.warns(RuntimeWarning, match="untrained"):
        embedder.fit(pairs)
    found = latent_attention(embedder, pairs[:2], modality="eeg")
    centre = found.channels[0] @ found.ch_pos
    assert np.linalg.norm(centre - centre.mean(axis=0), axis=1).mean() > 0.02


def test_figures(embedder, pairs):
    """A panel per latent and type of sensor; regions in a glass brain."""
    for modality, n_types in (("eeg", 1), ("meg", 2), ("fmri", 1)):
        found = latent_attention(embedder, pairs[:1], modality=modality)
        figure = plot_latent_attention(found, (0, 7))
        titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
        assert sum(title.startswith("latent 0") for title in titles) == n_types
        figure, axes = plt.subplots(1, 2 * n_types)
        assert plot_latent_attention(found, (0, 7), axes=axes) is figure
        plt.close("all")
    with pytest.raises(IndexError):
        plot_latent_attention(found, (9999,))


def test_refuses(embedder, pairs):
    """Several modalities unnamed, one that is not there, several montages."""
    with pytest.raises(ValueError, match="Name the modality: there are"):
        latent_attention(embedder, pairs)
    with pytest.raises(ValueError, match="'modality': allowed are"):
        latent_attention(embedder, pairs, modality="ecog")
    several = [make_epochs("eeg", n_channels=n, n_epochs=2) for n in (10, 19)]
    with pytest.raises(ValueError, match="A map needs one eeg montage"):
        latent_attention(embedder, several)
