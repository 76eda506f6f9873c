"""Reconstruction: what is hidden is hidden, and the loss is the one written down."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import reconstruct


@pytest.fixture(scope="module")
def pairs():
    return make_paired_signals(3, n_subjects=2, random_state=1)[0]


@pytest.fixture(scope="module")
def embedder(micro_checkpoint, pairs):
    return BrainOFEmbedder(micro_checkpoint).fit(pairs)


@pytest.mark.parametrize("modality", ["fmri", "eeg", "meg"])
def test_shares(modality, embedder, pairs):
    """As much is hidden as was asked for; the rest is the preprocessed signal."""
    found = reconstruct(embedder, pairs, modality=modality, frequency_mask_ratio=0.0)
    shape = found.original.shape
    assert all(a.shape == shape for a in (found.corrupted, found.reconstructed, found.is_hidden))
    assert 0.4 < found.is_hidden.mean() < 0.6
    np.testing.assert_allclose(found.corrupted, found.original, atol=1e-4)
    (block,) = embedder.encoder_.windows(pairs)
    np.testing.assert_allclose(found.original, block.windows[modality].signals.data)


def test_components_are_removed(embedder, pairs):
    """Along time in EEG, across regions in fMRI: so much power is gone."""
    for modality, axis in (("eeg", 2), ("fmri", 1)):
        found = reconstruct(embedder, pairs, modality=modality, frequency_mask_ratio=0.3)
        left = np.abs(np.fft.rfft(found.corrupted, axis=axis)) > 1e-3
        full = np.abs(np.fft.rfft(found.original, axis=axis)) > 1e-3
        assert 0.6 < left[full].mean() < 0.8


def test_hidden_patches_are_not_read(embedder, pairs):
    """Other values where nothing is seen change nothing that is told."""
    eeg = pairs.by_modality["eeg"]
    first = reconstruct(embedder, eeg, frequency_mask_ratio=0.0, random_state=4)
    (block,) = embedder.encoder_.windows(eeg)
    changed = block.windows["eeg"].signals.data.copy()
    changed[first.is_hidden] = 7.0
    object.__setattr__(block.windows["eeg"].signals, "data", changed)

    class Fake(BrainOFEmbedder):
        def _blocks(self, sources):
            return iter([block])

    fake = Fake(embedder.checkpoint).fit(eeg)
    second = reconstruct(fake, eeg, frequency_mask_ratio=0.0, random_state=4)
    np.testing.assert_array_equal(first.is_hidden, second.is_hidden)
    np.testing.assert_allclose(first.reconstructed, second.reconstructed, atol=1e-4)


def test_loss(embedder, pairs):
    """Squared error over hidden points, over that of zero; the same seed hides the same."""
    found = reconstruct(embedder, pairs, modality="eeg", random_state=1)
    error = sum((t - o) ** 2 for t, o in _hidden_pairs(found))
    nothing = sum(o**2 for _, o in _hidden_pairs(found))
    assert found.relative_loss == pytest.approx(error / nothing, rel=1e-4)
    again = reconstruct(embedder, pairs, modality="eeg", random_state=1)
    np.testing.assert_array_equal(again.is_hidden, found.is_hidden)
    table = found.to_dataframe()
    assert len(table) == found.original.size and (table["channel"][0] == found.ch_names[0])
    hidden = table[table["is_hidden"]]
    assert np.square(hidden["reconstructed"] - hidden["original"]).sum() == pytest.approx(error)
    other = reconstruct(embedder, pairs, modality="eeg", random_state=2)
    assert (other.is_hidden != found.is_hidden).any()


def _hidden_pairs(found):
    for index in zip(*np.nonzero(found.is_hidden)):
        yield float(found.reconstructed[index]), float(found.original[index])


@pytest.mark.parametrize("modality, n_axes", [("eeg", 4), ("meg", 4), ("fmri", 2)])
def test_figure(modality, n_axes, embedder, pairs):
    """Time, spectrum, topographies; on given axes too."""
    found = reconstruct(embedder, pairs, modality=modality)
    assert found.plot() is not None
    figure, axes = plt.subplots(1, n_axes)
    assert found.plot(sample=1, channels=[0, found.ch_names[1]], axes=axes) is figure
    labels = [text.get_text() for text in axes[0].get_yticklabels()]
    assert labels == list(found.ch_names[:2]) and "(s)" in axes[0].get_xlabel()
    plt.close("all")
    with pytest.raises(ValueError, match=f"This figure needs {n_axes} axes, got 1"):
        found.plot(axes=[plt.figure().add_subplot()])
    plt.close("all")


def test_refuses(embedder, pairs):
    with pytest.raises(ValueError, match="patch_mask_ratio"):
        reconstruct(embedder, pairs, modality="eeg", patch_mask_ratio=0)
    with pytest.raises(ValueError, match="frequency_mask_ratio"):
        reconstruct(embedder, pairs, modality="eeg", frequency_mask_ratio=1.5)
    with pytest.raises(ValueError, match="Name the modality"):
        reconstruct(embedder, pairs)
    with pytest.raises(ValueError, match="not fitted"):
        reconstruct(BrainOFEmbedder(), pairs)
