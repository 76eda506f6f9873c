"""Keep part of the training samples."""

from __future__ import annotations

import numpy as np
import pandas as pd


def cut_labels(train, y, groups, fraction, seed):
    """Keep part of the training samples: whole groups while they fit, then part of one more.

    Parameters
    ----------
    train : ndarray of int
        Training samples.
    y : ndarray
        Labels or a continuous target, of all samples.
    groups : ndarray | "none"
        Of all samples.
    fraction : float
        Share to keep; of each class where there are classes.
    seed : sequence of int
        Of the order of groups and samples.

    Returns
    -------
    kept : ndarray of int
        Sorted.
    """
    rng = np.random.default_rng(seed)
    groups = np.arange(len(y)) if isinstance(groups, str) else groups
    order = {group: i for i, group in enumerate(rng.permutation(pd.unique(groups[train])))}
    labels = np.zeros(len(y)) if y.dtype.kind == "f" else y
    kept = []
    for label in np.unique(labels[train]):
        own = rng.permutation(train[labels[train] == label])
        own = own[np.argsort([order[group] for group in groups[own]], kind="stable")]
        kept.append(own[: max(2, round(fraction * len(own)))])
    return np.sort(np.concatenate(kept))
