"""The labelled development sets of BRAINOF_DATA, as epochs or arrays with subjects or runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, PredefinedSplit, StratifiedKFold

from benchmarks.suite.people import choose_scored
from brainof_toolbox.io.channels import template_montage


@dataclass(frozen=True)
class DevelopmentSet:
    """One decoding task.

    Parameters
    ----------
    name : str
        Folder in BRAINOF_DATA.
    task : str
        What is decoded, from what left out.
    X : mne.Epochs | ndarray
        Samples.
    y : ndarray of int
        Classes.
    groups : ndarray | str
        Subjects or runs, or ``"none"``.
    cv : splitter
        The outer splits.
    info : mne.Info | None
        For arrays.
    missing_positions : str
        ``"placeholder"`` where the geometry is lost.
    unit : str
        What a group is.
    kind : str
        Of the samples: ``"sensors"``, ``"regions"``, ``"voxels"`` or ``"several"`` modalities.
    masker : object
        From images to the channels of ``"voxels"``.
    """

    name: str
    task: str
    X: object
    y: np.ndarray
    groups: object
    cv: object
    info: object = None
    missing_positions: str = "raise"
    unit: str = "subject"
    kind: str = "sensors"
    masker: object = None

    def splits(self):
        """Return outer splits without subjects of the pretraining corpus on the test sides."""
        cv, groups = self.cv, None
        if not isinstance(self.groups, str):
            groups = self.groups
            scored, _ = choose_scored(self.name, groups)
            if len(scored) < len(np.unique(groups)):
                cv = PredefinedSplit(_test_folds(groups, scored))
        return list(cv.split(np.zeros(len(self.y)), self.y, groups))


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
    task = "rest against arithmetic, across subjects"
    return DevelopmentSet(folder.name, task, X, np.array(y), np.array(groups), GroupKFold(4))


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
    task = "left against right fist, one run left out"
    return DevelopmentSet(folder.name, task, X, y, runs, LeaveOneGroupOut(), unit="run")


def load_visual():
    """Load first against second picture, subjects left out."""
    folder = data_dir() / "eeg-visual-object"
    paths = sorted(folder.glob("*_epo.fif.gz"))
    epochs = [mne.read_epochs(path, verbose="error") for path in paths]
    groups = np.repeat([path.name[:6] for path in paths], [len(e) for e in epochs])
    X = mne.concatenate_epochs(epochs, verbose="error")
    y = (X.events[:, 2] != X.event_id["S1/obj"]).astype(int)
    task = "first against second picture, across subjects"
    return DevelopmentSet(folder.name, task, X, y, groups, GroupKFold(4))


def load_hand():
    """Load four directions of a hand movement, ten sensors without positions, one subject."""
    folder = data_dir() / "meg-hand-direction"
    # The copy states no unit; taken as femtotesla its spread is that of magnetometers.
    X = np.load(folder / "X_train.npy").astype(np.float64) * 1e-15
    y = np.load(folder / "y_train.npy").astype(int)
    info = mne.create_info([f"MEG{i:02d}" for i in range(X.shape[1])], 400.0, "mag")
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    task = "four directions, 5 folds, one subject"
    return DevelopmentSet(folder.name, task, X, y, "none", cv, info, "placeholder", unit="fold")


LOADERS = {
    "eeg-mental-arithmetic": load_arithmetic,
    "eeg-motor-imagery": load_motor,
    "eeg-visual-object": load_visual,
    "meg-hand-direction": load_hand,
}
