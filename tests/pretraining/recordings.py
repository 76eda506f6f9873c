"""Simulated recordings of several subjects, preprocessed."""

from __future__ import annotations

import numpy as np

from brainof_toolbox import Preprocessing, Signals
from brainof_toolbox.datasets import make_raw
from brainof_toolbox.io import from_raw
from brainof_toolbox.preprocessing import preprocess


def region_series(rng, subject, *, n_regions=10, n_times=200, t_r=2.0):
    """Slow series that neighbouring regions share."""
    slow = rng.normal(size=(n_regions, n_times)).cumsum(axis=1)
    slow -= 0.05 * np.linspace(0, slow[:, -1], n_times).T
    return Signals(
        data=(slow + slow.mean(axis=0))[None],
        sfreq=1 / t_r,
        modality="fmri",
        ch_names=[f"R{i}" for i in range(n_regions)],
        ch_types=["bold"] * n_regions,
        ch_pos=np.random.default_rng(7).normal(size=(n_regions, 3)) * 0.03,
        subject=[subject],
    )


def make_signals(n_subjects=3):
    """Signals in SI units: EEG and MEG of two datasets, and fMRI."""
    rng = np.random.default_rng(0)
    for number in range(n_subjects):
        subject = f"{number + 1:02d}"
        n_electrodes = 8 if number == n_subjects - 1 else 19
        for kind, n_channels, duration in (("eeg", n_electrodes, 41.0), ("meg", 12, 9.0)):
            raw = make_raw(
                kind, n_channels=n_channels, sfreq=128.0, duration=duration, random_state=number
            )
            yield "first", "CC0-1.0", from_raw(raw).replace(subject=(subject,))
        for n_times in (200, 400):
            yield "second", "PDDL", region_series(rng, subject, n_times=n_times)


def make_windows(n_subjects=3):
    """The same, preprocessed."""
    preprocessing = Preprocessing()
    for dataset, licence, signals in make_signals(n_subjects):
        window = 320 / signals.sfreq if signals.modality == "fmri" else None
        yield dataset, licence, preprocess(signals, preprocessing, window=window)


def raw_of(seed, **options):
    """12 s of EEG, 8 channels."""
    return make_raw(
        **{"n_channels": 8, "sfreq": 128.0, "duration": 12.0, "random_state": seed, **options}
    )
