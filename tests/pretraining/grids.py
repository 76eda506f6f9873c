"""Samples as a corpus gives them, simulated, for the tests of batches and of the objective."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from brainof_toolbox.pretraining.batch import GridBatch

RATES = (64.0, 100.0, 0.5)  # EEG, MEG, fMRI
# Channels and times of batches that may be made: one length of the Fourier axis, odd or even.
SIZES = {0: ((5, 61), (3, 61)), 1: ((4, 48), (7, 48), (6, 48)), 2: ((9, 40), (9, 70))}


def make_sample(n_channels, n_times, modality=0, seed=0, data=None):
    """One sample of white noise of unit variance, or of these data."""
    rng = np.random.default_rng(seed)
    position = rng.normal(size=(n_channels, 3))
    position *= 0.09 / np.linalg.norm(position, axis=1, keepdims=True)
    kinds = {0: [0], 1: [1, 2], 2: [3]}[modality] * n_channels
    noise = rng.normal(size=(n_channels, n_times)).astype(np.float32)
    return SimpleNamespace(
        data=noise if data is None else np.asarray(data, dtype=np.float32),
        sfreq=RATES[modality],
        position=position.astype(np.float32),
        orientation=(position / 0.09 * (modality == 1)).astype(np.float32),
        sensor_type=np.array(kinds[:n_channels], dtype=np.int64),
        log_scale=rng.normal(size=n_channels).astype(np.float32),
        modality=modality,
        dataset=f"ds{seed}",
        index=seed,
    )


def make_grid(modality=0, sizes=None):
    """A batch of white noise, with padding."""
    sizes = SIZES[modality] if sizes is None else sizes
    return GridBatch.collate(
        [make_sample(*size, modality, seed) for seed, size in enumerate(sizes)]
    )
