"""Recordings for the tests of the estimators: small, seeded, in SI units."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest

from brainof_toolbox import datasets
from brainof_toolbox.datasets import make_info
from brainof_toolbox.estimators import FineTuning, LoRA, Probe

SIZE = {"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11}


def raw(seed=0, kind="eeg", n_channels=6, sfreq=128.0, duration=4.0):
    """A continuous recording."""
    return datasets.make_raw(
        kind, n_channels=n_channels, sfreq=sfreq, duration=duration, random_state=seed
    )


def noise_epochs(n_epochs=24, seed=0, kind="eeg", n_channels=6, sfreq=128.0, n_times=128, **kw):
    """Epochs that know nothing of their labels, which are 1 and 2 in balanced random order."""
    rng = np.random.default_rng(seed)
    info = make_info(kind, n_channels=n_channels, sfreq=sfreq)
    size = np.array([SIZE[t] for t in info.get_channel_types()])[:, None]
    data = rng.standard_normal((n_epochs, len(size), n_times)) * size
    labels = rng.permutation(np.arange(n_epochs) % 2) + 1
    events = np.stack([np.arange(n_epochs) * n_times, labels * 0, labels], axis=1)
    return mne.EpochsArray(data, info, events, verbose="error", **kw)


def obvious_epochs(n_epochs=40, seed=0, **kwargs):
    """Epochs in which class 2 has a strong 12 Hz rhythm at the first channels."""
    epochs = noise_epochs(n_epochs, seed, **kwargs)
    wave = 3 * SIZE["eeg"] * np.sin(2 * np.pi * 12 * epochs.times)
    epochs._data[epochs.events[:, 2] == 2, :3] += wave
    return epochs


def annotate(recording, *rows):
    """Annotate (onset in s, duration, description); returns the recording."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Limited .* annotation")
        return recording.set_annotations(mne.Annotations(*zip(*rows, strict=True)))


def with_channels(recording, **rows):
    """Add channels by type, each with a constant or given row; returns a new recording."""
    names = [f"{kind.upper()} 001" for kind in rows]
    info = mne.create_info(names, recording.info["sfreq"], list(rows), verbose="error")
    data = np.stack([np.broadcast_to(row, len(recording.times)) for row in rows.values()])
    extra = mne.io.RawArray(data, info, verbose="error")
    return recording.copy().add_channels([extra], force_update_info=True)


def atlas():
    """Eight blocks in MNI space, one per octant of the brain, on a grid of 12 mm."""
    import nibabel

    affine = np.diag([12.0, 12.0, 12.0, 1.0])
    affine[:3, 3] = [-66.0, -100.0, -44.0]
    labels = np.zeros((12, 14, 10), dtype=np.int16)
    for label, (i, j, k) in enumerate(np.ndindex(2, 2, 2), 1):
        labels[1 + 5 * i : 6 + 5 * i, 1 + 6 * j : 7 + 6 * j, 1 + 4 * k : 5 + 4 * k] = label
    return nibabel.Nifti1Image(labels, affine)


def bold(seed=0, n_volumes=40, t_r=2.0):
    """A run: each block of the atlas has a slow series of its own, each voxel some noise."""
    import nibabel

    rng = np.random.default_rng(seed)
    labels = np.asarray(atlas().dataobj)
    series = np.cumsum(rng.standard_normal((9, n_volumes)), axis=1)
    series -= np.linspace(0, 1, n_volumes) * series[:, -1:]
    data = 1000 + 10 * series[labels] + rng.standard_normal((*labels.shape, n_volumes))
    image = nibabel.Nifti1Image(data.astype(np.float32), atlas().affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((12.0, 12.0, 12.0, t_r))
    return image


def crossed(kinds, hows):
    """Return parameters for each pair; every second pair, as of a chessboard, is slow."""
    return [
        pytest.param(
            kind, how, id=f"{kind.__name__}-{name}", marks=[pytest.mark.slow] * ((i + j) % 2)
        )
        for i, kind in enumerate(kinds)
        for j, (name, how) in enumerate(hows.items())
    ]


def adapted(kind, checkpoint, adaptation="probe", **kwargs):
    """An estimator of latents whose adaptation takes those of the parameters that are its own."""
    choices = {"probe": Probe, "lora": LoRA, "full": FineTuning}
    own = {**Probe().get_params(), **LoRA().get_params(), **FineTuning().get_params()}
    names = set(choices[adaptation]().get_params())
    options = {name: value for name, value in kwargs.items() if name in names}
    others = {name: value for name, value in kwargs.items() if name not in own}
    others = {"features": "latents", **others}
    return kind(checkpoint, adaptation=choices[adaptation](**options), **others)
