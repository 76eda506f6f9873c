"""Read MEG recordings."""

from __future__ import annotations

import mne
import numpy as np

from .people import split_in_order, split_people, spread
from .sets import Set, Task


def read_hand(root, part):
    """Read four directions of a hand movement; five folds of one person."""
    folder = root / "meg-hand-direction"
    # The copy states no unit. Taken as femtotesla, its spread is that of magnetometers.
    X = np.load(folder / "X_train.npy").astype(np.float64) * 1e-15
    y = np.load(folder / "y_train.npy").astype(int).astype(str)
    info = mne.create_info([f"MEG{i:02d}" for i in range(X.shape[1])], 400.0, "mag")
    return Task(X, y, "none", split_in_order(y), info, "placeholder")


def read_touch(root, part):
    """Read detected against missed touch; people are left out."""
    folder = root / "meg-spectralevents"
    with np.load(folder / "task-tactile_prestimulus.npz") as file:
        names = sorted(name for name in file if not name.endswith("_detected"))
        rows = {name: _each_class(file[f"{name}_detected"], 30) for name in names}
        X = np.concatenate([file[name][rows[name]] for name in names])
        y = np.concatenate([file[f"{name}_detected"][rows[name]] for name in names])
    people = np.repeat(names, [len(rows[name]) for name in names])
    # A dipole of 10 nA m gives about 100 fT outside the head.
    X = X[:, None, :].astype(np.float64) * 1e-5
    y = np.where(y == 1, "detected", "missed")
    info = mne.create_info(["S1"], 600.0, "mag")
    splits = split_people(folder.name, y, people, 5, part)
    return Task(X, y, people, splits, info, "placeholder")


def _each_class(y, n_each):
    """Return evenly spaced trials of each class."""
    rows = [np.flatnonzero(y == label) for label in np.unique(y)]
    return np.sort(np.concatenate([own[spread(len(own), n_each)] for own in rows]))


SETS = {
    "hand": Set(
        read_hand,
        "meg-hand-direction",
        "four directions of a hand movement; five folds in order of time",
        "sensors",
        4,
        "fold",
        "one person; no positions; 50 Hz line noise",
        is_small=True,
    ),
    "touch": Set(
        read_touch,
        "meg-spectralevents",
        "touch detected or not, from the second before it; people left out",
        "source",
        2,
        "person",
        "one source; the known effect is small",
        "60 of 200 trials a person",
    ),
}
