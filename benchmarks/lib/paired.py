"""Simulated recordings: modalities alone, together, partly missing, and as a BIDS dataset."""

from __future__ import annotations

import atexit
import tempfile
import warnings
from pathlib import Path

from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from benchmarks.lib.sets import DevelopmentSet
from brainof_toolbox import PairedSignals, read_bids, read_participants
from brainof_toolbox.datasets import make_paired_recordings, make_paired_signals

ALL = ("fmri", "eeg", "meg")
COMBINATIONS = (
    ("fmri",),
    ("eeg",),
    ("meg",),
    ("eeg", "meg"),
    ("fmri", "eeg"),
    ("fmri", "meg"),
    ALL,
)
MISSING = (0.25, 0.5, 0.75)
#: Samples of each subject, subjects: where networks are trained, and where they are frozen.
SMALL, LARGE = (8, 6), (16, 10)


def load_paired(names, size, seed, missing=0.0):
    """Simulate rest against task in some of the modalities, subjects left out."""
    pair, y, groups = make_paired_signals(
        size[0], n_subjects=size[1], missing=missing, random_state=seed
    )
    X = pair
    if len(names) < len(ALL):
        parts = {name: pair.by_modality[name] for name in names}
        X = parts[names[0]] if len(names) == 1 else PairedSignals(parts)
    kind = {"fmri": "regions", "eeg": "sensors", "meg": "sensors"}.get("".join(names), "several")
    cv = GroupKFold(3 if size == SMALL else 5)
    return DevelopmentSet("simulated", "rest against task", X, y, groups, cv, kind=kind)


def load_bids(n_subjects=12, duration=40.0):
    """Write a BIDS dataset with three datatypes and read it; the target is the column ``sex``."""
    scratch = tempfile.TemporaryDirectory()
    atexit.register(scratch.cleanup)  # records read their files when they are used
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = Path(scratch.name) / "dataset"
        make_paired_recordings(n_subjects, duration=duration, random_state=0, write_bids=root)
        records = read_bids(root)
        y = read_participants(root, "sex", records)
    groups = [record["subject"] for record in records]
    cv = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    task = "sex, three datatypes, across subjects"
    return DevelopmentSet("simulated-bids", task, records, y, groups, cv, kind="several")
