"""Read EEG recordings with consumer headsets of four electrodes."""

from __future__ import annotations

import mne
import numpy as np

from .people import split_groups, split_people, spread
from .sets import Set, Task


def _epochs(paths, tmin, tmax):
    """Filter recordings, cut epochs, drop large deflections; return them and their files."""
    found, names = [], []
    for path in paths:
        raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
        raw.filter(1.0, 30.0, verbose="error")
        events, ids = mne.events_from_annotations(raw, verbose="error")
        epochs = mne.Epochs(
            raw,
            events,
            ids,
            tmin,
            tmax,
            reject={"eeg": 100e-6},
            preload=True,
            verbose="error",
        )
        if len(epochs):
            found.append(epochs)
            names += [path.name] * len(epochs)
    return mne.concatenate_epochs(found, verbose="error"), np.array(names)


def _thin(X, groups, n_each):
    """Keep at most ``n_each`` epochs of a group, evenly spaced."""
    kept = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    kept = np.sort(np.concatenate([rows[spread(len(rows), n_each)] for rows in kept]))
    X = X[kept]
    names = {code: name for name, code in X.event_id.items()}
    return X, np.array([names[code] for code in X.events[:, 2]]), groups[kept]


def read_targets(root, part):
    """Read target against nontarget pictures; a session is left out."""
    paths = sorted((root / "eeg-muse-lsl").glob("*_task-p300_*_raw.fif.gz"))
    X, files = _epochs(paths, -0.1, 0.8)
    sessions = np.array([name[:12] for name in files])
    X, y, sessions = _thin(X, sessions, 200)
    return Task(X, y, sessions, split_groups(sessions))


def read_faces(root, part):
    """Read faces against houses; people are left out."""
    paths = sorted((root / "eeg-muse-lsl").glob("*_task-n170_*_raw.fif.gz"))
    paths += sorted((root / "eeg-expy").glob("*_acq-muse*_raw.fif.gz"))
    X, files = _epochs(paths, -0.1, 0.6)
    people = np.array([name[:6] for name in files])
    X, y, people = _thin(X, people, 120)
    return Task(X, y, people, split_people("eeg-expy", y, people, 7, part))


SETS = {
    "targets": Set(
        read_targets,
        "eeg-muse-lsl",
        "target against nontarget pictures; a session left out",
        "sensors",
        2,
        "session",
        "three of four sessions are of one person; one target to five nontargets",
        "at most 200 epochs a session",
        is_small=True,
    ),
    "faces": Set(
        read_faces,
        "eeg-expy",
        "faces against houses, with eeg-muse-lsl as a further person; people left out",
        "sensors",
        2,
        "person",
        "time stamps jitter by some milliseconds; sub-31 is beyond 100 uV and left out",
        "at most 120 epochs a person",
        is_small=True,
    ),
}
