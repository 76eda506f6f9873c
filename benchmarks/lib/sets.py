"""The labelled development sets of BRAINOF_DATA, as epochs with subjects or runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, PredefinedSplit

from benchmarks.suite.people import choose_scored
from brainof_toolbox.io.channels import template_montage


@dataclass(frozen=True)
class DevelopmentSet:
    """One decoding task.

    Parameters
    ----------
    name : str
        Folder in BRAINOF_DATA.
    X : mne.Epochs
        Samples.
    y : ndarray of int
        Classes.
    groups : ndarray
        Subjects or runs.
    cv : splitter
        The outer splits.
    """

    name: str
    X: object
    y: np.ndarray
    groups: np.ndarray
    cv: object

    def splits(self):
        """Return outer splits without subjects of the pretraining corpus on the test sides."""
        scored, _ = choose_scored(self.name, self.groups)
        cv = self.cv
        if len(scored) < len(np.unique(self.groups)):
            cv = PredefinedSplit(_test_folds(self.groups, scored))
        return list(cv.split(np.zeros(len(self.y)), self.y, self.groups))


def _test_folds(groups, scored, size=2):
    """Return the fold that tests each sample, two subjects at a time; -1: never tested."""
    fold = {who: number // size for number, who in enumerate(scored)}
    return np.array([fold.get(who, -1) for who in groups])


def data_dir():
    """Return the folder of recordings, from BRAINOF_DATA."""
    folder = os.environ.get("BRAINOF_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("Set BRAINOF_DATA to the folder of recordings.")
    return Path(folder).resolve()


def read_arithmetic(path):
    """Read a recording of the set, with the names and places of the 10-20 system."""
    raw = mne.io.read_raw_edf(path, infer_types=True, preload=True, verbose="error")
    raw.drop_channels(["A2-A1", "ECG"])
    raw.rename_channels({"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"})
    raw.set_montage(template_montage())
    return raw


def load_arithmetic():
    """Load rest against mental arithmetic, 4 s windows, subjects left out."""
    folder = data_dir() / "eeg-mental-arithmetic"
    epochs, y, groups = [], [], []
    for path in sorted(folder.glob("*_eeg.edf")):
        raw = read_arithmetic(path)
        epochs.append(mne.make_fixed_length_epochs(raw, 4.0, preload=True, verbose="error"))
        y += [int("arithmetic" in path.name)] * len(epochs[-1])
        groups += [re.match(r"sub-\d+", path.name)[0]] * len(epochs[-1])
    X = mne.concatenate_epochs(epochs, verbose="error")
    return DevelopmentSet(folder.name, X, np.array(y), np.array(groups), GroupKFold(4))


def motor_epochs(folder):
    """Cut left and right fist, 0.5 to 3.5 s; returns the epochs and the run of each."""
    epochs, runs = [], []
    for path in sorted(folder.glob("*.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        mne.datasets.eegbci.standardize(raw)
        raw.set_montage(template_montage())
        events, ids = mne.events_from_annotations(raw, verbose="error")
        wanted = {"left": ids["T1"], "right": ids["T2"]}
        epochs.append(
            mne.Epochs(raw, events, wanted, 0.5, 3.5, baseline=None, preload=True, verbose="error")
        )
        runs += [path.stem] * len(epochs[-1])
    return mne.concatenate_epochs(epochs, verbose="error"), np.array(runs)


def load_motor():
    """Load left against right fist, one run left out."""
    folder = data_dir() / "eeg-motor-imagery"
    X, runs = motor_epochs(folder)
    y = (X.events[:, 2] == X.event_id["right"]).astype(int)
    return DevelopmentSet(folder.name, X, y, runs, LeaveOneGroupOut())


def load_visual():
    """Load first against second picture, subjects left out."""
    folder = data_dir() / "eeg-visual-object"
    paths = sorted(folder.glob("*_epo.fif.gz"))
    epochs = [mne.read_epochs(path, verbose="error") for path in paths]
    groups = np.repeat([path.name[:6] for path in paths], [len(e) for e in epochs])
    X = mne.concatenate_epochs(epochs, verbose="error")
    y = (X.events[:, 2] != X.event_id["S1/obj"]).astype(int)
    return DevelopmentSet(folder.name, X, y, groups, GroupKFold(4))
