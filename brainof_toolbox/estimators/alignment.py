"""Re-centre features on the mean of each subject."""

from __future__ import annotations

import numpy as np

from .._utils.logging import warn
from .fusion import check_blocks
from .precomputed import PrecomputedFeatures


def center_new(blocks, samples, centre):
    """Centre blocks of new samples, which are those of one subject if they carry no names."""
    n_samples = len(next(iter(blocks.values())))
    subjects = subjects_of(samples)
    if subjects is None:
        warn(
            f"align='subject': these {n_samples} samples carry no subject and are taken as those "
            "of one."
        )
        subjects = np.zeros(n_samples, dtype=int)
    return center_by_group(blocks, subjects, centre)[0]


def subjects_of(samples):
    """Return the subject of each sample, or None."""
    if isinstance(samples, PrecomputedFeatures):
        return samples.subject
    found = [item.subjects for item in samples]
    if any(subjects is None for subjects in found):
        return None
    return np.concatenate(found)


def center_by_group(blocks, groups, centre=None):
    """Move the mean of each group towards a common centre; return the blocks and the centre."""
    # A group of n samples goes n / (n + 1) of the way: the mean of few is uncertain, and a single
    # sample must not become the centre. The centre, a dict of arrays (d,), is the mean of the
    # means of the groups; for new groups it is given. Rows of NaN stay; a block that no sample has
    # has no centre, and stays missing in new groups.
    check_blocks(blocks, None if centre is None else {k: len(c) for k, c in centre.items()})
    codes = np.unique(groups, return_inverse=True)[1]
    members = [np.flatnonzero(codes == code) for code in range(codes.max(initial=-1) + 1)]
    moved, common = {}, {}
    for name, X in blocks.items():
        X = np.array(X)
        there = [rows[~np.isnan(X[rows, 0])] for rows in members]
        there = [rows for rows in there if len(rows)]
        means = [X[rows].mean(axis=0, dtype=np.float64) for rows in there]
        if centre is None:
            common[name] = np.mean(means, axis=0) if means else np.full(X.shape[1], np.nan)
        else:
            common[name] = centre[name]
        for rows, mean in zip(there, means, strict=True):
            X[rows] -= (len(rows) / (len(rows) + 1) * (mean - common[name])).astype(X.dtype)
        moved[name] = X
    return moved, common
