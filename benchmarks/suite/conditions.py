"""Make tasks harder: fewer channels, another cap in test samples, noise, fewer labels."""

from __future__ import annotations

from dataclasses import replace

import mne
import numpy as np

from brainof_toolbox import from_epochs

AS_RECORDED = "as recorded"
EIGHT = ("F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
FOUR = ("C3", "C4", "O1", "O2")
TEN_TWENTY = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"),
    *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)


def apply_condition(name, task):
    """Return the task under a condition.

    Parameters
    ----------
    name : str
        A key of ``CONDITIONS``, or ``"as recorded"``.
    task : Task
        With :class:`mne.Epochs`.

    Returns
    -------
    changed : Task
        The same labels and splits.
    """
    return task if name == AS_RECORDED else CONDITIONS[name](task)


def pick(task, names):
    """Keep some channels on both sides of every split."""
    return replace(task, X=task.X.copy().pick(list(names)))


def change_cap(task):
    """Train with the 19 electrodes of the 10-20 system, test with others.

    Test samples have the electrodes beyond these 19; where there are none, every second of the 19.
    """
    shared = [name for name in TEN_TWENTY if name in task.X.ch_names]
    others = [name for name in task.X.ch_names if name not in shared]
    train, test = (
        from_epochs(task.X.copy().pick(names)) for names in (shared, others or shared[::2])
    )
    n = len(task.y)
    X = [part[i] for part in (train, test) for i in range(n)]
    splits = [(fit, tested + n) for fit, tested in task.splits]
    return replace(task, X=X, y=np.tile(task.y, 2), groups=np.tile(task.groups, 2), splits=splits)


def add_noise(task):
    """Add white noise of the power of each channel and sample."""
    data = task.X.get_data(copy=True)
    rng = np.random.default_rng(0)
    data += rng.standard_normal(data.shape) * data.std(axis=-1, keepdims=True)
    X = mne.EpochsArray(
        data, task.X.info, task.X.events, task.X.tmin, task.X.event_id, verbose="error"
    )
    return replace(task, X=X)


CONDITIONS = {
    "other cap": change_cap,
    "8 channels": lambda task: pick(task, EIGHT),
    "4 channels": lambda task: pick(task, FOUR),
    "noise 0 dB": add_noise,
}
