"""Correlations by band of hidden signals and their reconstruction, and the figure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.lib.reconstruction import BANDS, correlate_bands, draw
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import Reconstruction


def make_hidden(reconstructed, original, is_hidden):
    """Return windows of EEG with a given reconstruction."""
    names = tuple(f"E{i}" for i in range(original.shape[1]))
    kinds, places = ("eeg",) * len(names), np.zeros((len(names), 3))
    arrays = original, original, reconstructed, is_hidden
    return Reconstruction("eeg", *arrays, names, kinds, places, 128.0)


@pytest.fixture
def hidden():
    """White noise of two people, of which patches of a quarter of a second are hidden."""
    rng = np.random.default_rng(0)
    original = rng.standard_normal((8, 6, 512))
    is_hidden = np.repeat(rng.random((8, 6, 16)) < 0.5, 32, axis=2)
    return original, is_hidden, np.repeat(["a", "b"], 4)


def test_bands_that_are_reconstructed_correlate(hidden):
    original, is_hidden, people = hidden
    spectrum = np.fft.rfft(original, axis=2)
    frequencies = np.fft.rfftfreq(512, 1 / 128)
    slow = np.fft.irfft(spectrum * (frequencies < 13), axis=2)
    scores = correlate_bands(make_hidden(slow, original, is_hidden), people)
    assert list(scores["reconstructed"]) == list(BANDS["eeg"])
    assert scores["reconstructed"]["theta"].shape == (2,)
    assert scores["reconstructed"]["theta"].min() > 0.95
    assert abs(scores["reconstructed"]["gamma"]).max() < 0.2
    # Zeros in place of hidden values: slow filters reach the values beside, fast ones do not.
    assert scores["zeros"]["delta"].min() > scores["zeros"]["gamma"].max()


def test_figure_of_a_small_network(read_out_checkpoint):
    options = {"n_subjects": 2, "random_state": 0, "fmri_duration": 60.0, "t_r": 1.0}
    pair, _, groups = make_paired_signals(4, modalities=("eeg", "fmri"), **options)
    sets = [(pair.by_modality[name], groups) for name in ("eeg", "fmri")]
    figure, lines = draw(read_out_checkpoint, sets)
    assert len(figure.axes) == 8 and lines[0].startswith("eeg: error relative to zero")
    assert lines[-1].startswith("  zeros: slow-5")
