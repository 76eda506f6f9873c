"""Latent attention: rows sum to one, and equal the softmax written out."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs, make_paired_signals
from brainof_toolbox.encoder.tokens import window_tokens
from brainof_toolbox.inspection import latent_attention, plot_latent_attention
from brainof_toolbox.models.resampler import CrossAttention
from brainof_toolbox.models.tokens import SENSOR_TYPES


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
    (block,) = embedder.encoder_.windows(pairs[:1])
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


@pytest.mark.parametrize("modality", ["fmri", "eeg", "meg"])
def test_equals_watching(modality, embedder):
    """All blocks: what each met in a plain pass, added up by the tokens' own places and times."""
    X = make_paired_signals(2, n_subjects=3, missing=0.4, random_state=3)[0]
    assert 0 < X.is_missing[modality].sum() < len(X)  # guard
    model, met = embedder.backbone_, []

    def watch(module, args):
        query, key, _ = module.project(*args[:3])
        score = torch.einsum("bhtw,bhsw->bhts", query.double(), key.double())
        met.append(torch.softmax(score / query.shape[-1] ** 0.5, -1).mean(1)[0])  # (M, S)

    parts = [m for m in model.encoder.modules() if isinstance(m, CrossAttention)]
    handles = [part.register_forward_pre_hook(watch) for part in parts]
    for block in embedder.encoder_.windows(X):
        if modality not in block.windows:
            continue
        for row in np.flatnonzero(~block.is_missing[modality]):
            tokens = window_tokens(block, modality, np.array([row]))
            with torch.inference_mode():
                model(tokens)
    for handle in handles:
        handle.remove()
    found = latent_attention(embedder, X, modality=modality)
    maps = torch.stack(met).unflatten(0, (-1, len(parts))).mean(0).numpy()  # (K, M, S)
    time = tokens.time[0].numpy()
    for patch, centre in enumerate(found.times):
        is_then = np.isclose(time, centre)
        np.testing.assert_allclose(
            found.patches[..., patch], maps[..., is_then].sum(-1), atol=1e-5
        )
    # Sensors at one place are told apart by their type and orientation.
    signals = X.by_modality[modality]
    place = torch.cat([tokens.position, tokens.orientation], -1)[0].numpy()
    own = np.hstack([signals.ch_pos, signals.ch_ori])
    for channel, kind in enumerate(found.ch_types):
        is_there = np.isclose(place, own[channel], atol=1e-6).all(axis=1)
        is_there &= tokens.sensor_type[0].numpy() == SENSOR_TYPES.index(kind)
        assert is_there.sum() == len(found.times)  # guard
        np.testing.assert_allclose(
            found.channels[..., channel], maps[..., is_there].sum(-1), atol=1e-5
        )


def test_table(embedder, pairs):
    """Every number once, under its name."""
    found = latent_attention(embedder, pairs[:1], modality="eeg")
    frame = found.to_dataframe()
    assert len(frame) == found.channels.size + found.patches.size
    sums = frame.groupby(["block", "latent", "kind"])["share"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-5)
    own = frame[(frame["block"] == 1) & (frame["latent"] == 7)]
    channel = own[(own["kind"] == "channel") & (own["name"] == found.ch_names[3])]
    assert channel["share"].tolist() == [found.channels[1, 7, 3]]
    time = own[own["kind"] == "time"]
    assert time["name"].tolist() == found.times.tolist()
    np.testing.assert_array_equal(time["share"], found.patches[1, 7])
    assert set(frame["modality"]) == {"eeg"}


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
        assert sum(title.startswith("latent 7") for title in titles) == n_types
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
    slow = replace(pairs.by_modality["fmri"], sfreq=pairs.by_modality["fmri"].sfreq / 2)
    with pytest.raises(ValueError, match=r"A map needs one fmri montage, rate and length"):
        latent_attention(embedder, [pairs.by_modality["fmri"], slow])
    X = make_paired_signals(2, n_subjects=3, missing=0.4, random_state=3)[0]
    without = np.flatnonzero(X.is_missing["eeg"])[:1]
    with pytest.raises(ValueError, match="'modality': allowed are .* got 'eeg'"):
        latent_attention(embedder, X[without], modality="eeg")
