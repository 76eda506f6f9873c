"""Tasks of subjects whom weights may be trained on, and of simulated ones."""

from __future__ import annotations

import os

import joblib
import mne
import numpy as np
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold

from benchmarks.lib.sets import data_dir
from benchmarks.suite.people import choose_trained
from benchmarks.suite.sets import SETS
from brainof_toolbox import from_epochs
from brainof_toolbox.baselines.decoders import LogisticHead
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.models.config import MODALITY_CODES

VERSION = 3  # of the tasks that are kept in a folder
#: Names of tasks -> sets of the suite.
REAL = {"eyes open or closed": "eyes", "low or high heat": "pain"}
N_SUBJECTS, N_SAMPLES, SEED = 24, 16, 77  # of the simulated tasks


def development_tasks():
    """Return samples, classes, subjects and splitter of each task."""
    tasks = {}
    for name, set_name in REAL.items():
        entry = SETS[set_name]
        task = entry.read(data_dir(), "development")
        keep = np.flatnonzero(np.isin(task.groups, choose_trained(entry.folder, task.groups)))
        X = task.X[keep]
        X = from_epochs(X) if isinstance(X, mne.BaseEpochs) else X
        tasks[name] = (X, task.y[keep], task.groups[keep], GroupKFold(5))
    for modality in MODALITY_CODES:
        X, y, groups = make_paired_signals(
            N_SAMPLES,
            n_subjects=N_SUBJECTS,
            modalities=(modality,),
            effect_size=0.7,
            random_state=SEED,
        )
        tasks[f"simulated {modality}"] = (X.by_modality[modality], y, groups, GroupKFold(4))
    return tasks


def load_all(cache):
    """Return the tasks, from the folder ``cache`` if they are there."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"tasks-{VERSION}.joblib"
    if not path.exists():
        # Processes that start at the same time do the same work, and the last one wins.
        own = path.with_suffix(f".{os.getpid()}")
        joblib.dump(development_tasks(), own)
        own.replace(path)
    return joblib.load(path)


def decode(rows, y, groups, cv, others=()):
    """Return balanced accuracies over left-out samples, of rows and of variations of them."""
    y, tests = np.asarray(y), [rows, *others]
    predicted = [y.copy() for _ in tests]
    for train, test in cv.split(rows, y, groups):
        head = LogisticHead().fit(rows[train], y[train], groups[train])
        for answers, part in zip(predicted, tests, strict=True):
            answers[test] = head.predict(part[test])
    return [round(float(balanced_accuracy_score(y, answers)), 4) for answers in predicted]


def pooled(rows, pooling, width):
    """Pool rows of latents side by side otherwise, so that the network runs only once."""
    return rows if pooling == "flat" else rows.reshape(len(rows), -1, width).mean(axis=1)
