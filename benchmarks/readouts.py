"""Predict known quantities from frozen features by a linear map.

``BRAINOF_DATA=... python -m benchmarks.readouts`` writes the table that ``doc/features.rst`` links
to: one core, some minutes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold

from benchmarks.lib.development_tasks import pooled
from benchmarks.lib.quantities import all_known, classical
from benchmarks.lib.tables import csv_link, name_weights, write_below
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.estimators.heads import StandardizeAndProject

DOC = Path(__file__).resolve().parent.parent / "doc"
ALPHAS = np.logspace(-3, 2, 6)  # those of the estimators' heads
N_FOLDS, N_INNER = 4, 4
POOLINGS = ("flat", "mean")


def ridge(rows, targets, test_rows):
    """Predict by ridge regressions of every strength: (n_strengths, n_test, n_targets)."""
    mean, level = rows.mean(axis=0), targets.mean(axis=0)
    left, size, right = np.linalg.svd(rows - mean, full_matrices=False)
    inside, outside = left.T @ (targets - level), (test_rows - mean) @ right.T
    return np.stack([outside @ ((size / (size**2 + a))[:, None] * inside) for a in ALPHAS]) + level


def explained(rows, targets, groups):
    """Return R2 of ridge regressions over left-out samples, penalties chosen in training.

    Parameters
    ----------
    rows : ndarray, shape (n_samples, n_features)
        Features.
    targets : ndarray, shape (n_samples, n_targets)
        Quantities.
    groups : ndarray, shape (n_samples,)
        Subjects, on one side of every split.

    Returns
    -------
    r2 : ndarray, shape (n_targets,)
        1 is all; 0 is no better than the mean of the training samples.
    """
    predicted, trivial = np.empty_like(targets), np.empty_like(targets)
    for train, test in GroupKFold(N_FOLDS).split(rows, targets, groups):
        scaler = StandardizeAndProject().fit(rows[train])
        inside, outside = scaler.transform(rows[train]), scaler.transform(rows[test])
        known, errors = targets[train], 0.0
        for fit, check in GroupKFold(N_INNER).split(inside, groups=groups[train]):
            answers = ridge(inside[fit], known[fit], inside[check])
            errors = errors + ((answers - known[check]) ** 2).sum(axis=1)
        best = errors.argmin(axis=0)  # (n_targets,)
        answers = ridge(inside, known, outside)
        predicted[test] = np.stack([answers[b, :, k] for k, b in enumerate(best)], axis=1)
        trivial[test] = known.mean(axis=0)
    return 1 - ((targets - predicted) ** 2).sum(axis=0) / ((targets - trivial) ** 2).sum(axis=0)


def within(values, groups):
    """Subtract the mean of each subject."""
    _, who = np.unique(groups, return_inverse=True)
    means = np.stack([values[who == i].mean(axis=0) for i in range(who.max() + 1)])
    return values - means[who]


def score(known, checkpoints):
    """Return one row per quantity."""
    columns = [np.reshape(values, (len(known.groups), -1)) for values in known.targets.values()]
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]
    targets, features = np.concatenate(columns, axis=1).astype(float), {}
    for checkpoint in checkpoints.values():
        embedder = BrainOFEmbedder(checkpoint, random_state=0, pooling="flatten")
        rows = embedder.fit_transform(known.X)
        width = embedder.backbone_.config.width
        for pooling in POOLINGS:
            features.setdefault(pooling, []).append(pooled(rows, pooling, width))
    features["classical"] = classical(known)
    table = [
        {"samples": f"{known.name}, n = {len(known.groups)}", "quantity": quantity}
        for quantity in known.targets
    ]
    for words, change in (("", lambda x, _: x), (", within", within)):
        wanted = change(targets, known.groups)
        for name, kinds in features.items():
            r2 = [explained(change(x, known.groups), wanted, known.groups) for x in kinds]
            means = [[part.mean() for part in np.split(one, ends)] for one in r2]
            for row, *values in zip(table, *means, strict=True):
                row[name + words] = " / ".join(f"{value:.2f}" for value in values)
    return table


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="brainof-tiny")
    parser.add_argument("--out", type=Path, default=DOC / "features.rst")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    mne.set_log_level("error")
    warnings.simplefilter("ignore")
    checkpoints = {"brainof-tiny": options.checkpoint, "untrained": None}
    table, start = [], time.perf_counter()
    for known in all_known():
        table += score(known, checkpoints)
        print(f"{time.perf_counter() - start:4.0f} s: {known.name}", flush=True)
    table = pd.DataFrame(table)
    print(table.to_string())
    title = "R2 of every quantity, brainof-tiny / untrained"
    parts = [name_weights(options.checkpoint), csv_link(table, title, options.out, "all")]
    write_below(DOC / "features.rst", "readouts.py", parts, options.out)


if __name__ == "__main__":
    main()
