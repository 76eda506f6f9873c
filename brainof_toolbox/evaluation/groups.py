"""Group of each sample: from the user, or from the samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from ..io.labels import infer_subjects, named

_WHY = (
    "one entry per sample, the subject. Samples of one subject resemble each other, so only "
    "scores with whole subjects left out estimate the performance in new subjects. With one "
    "subject, give its runs or sessions; groups='none' treats all samples as independent."
)


def check_groups(groups, X, n_samples):
    """Return the groups as an array; None for ``"none"``."""
    # groups (n_samples,) -> groups (n_samples,).
    if isinstance(groups, str):
        if groups != "none":
            raise ValueError(f"'groups' must be one entry per sample or 'none', got {groups!r}.")
        return None
    if groups is None:
        groups = infer_groups(X)
    if groups is None:
        raise ValueError(f"'groups' is needed: {_WHY}{_unnamed(X)}")
    groups = column_or_1d(groups)
    if len(groups) != n_samples:
        raise ValueError(f"groups has {len(groups)} entries but X has {n_samples} samples.")
    if pd.isna(groups).any():
        raise ValueError(f"groups is missing in {int(pd.isna(groups).sum())} samples.")
    if len(set(groups)) < 2:
        raise ValueError(
            f"All samples are of one group, {str(groups[0])!r}: no other group is left to test "
            "on. Give its runs or sessions as groups; groups='none' treats all samples as "
            "independent."
        )
    return groups


def infer_groups(X):
    """Return the groups that the samples carry: ``X.groups``, else their subjects."""
    # -> groups (n_samples,).
    groups = None if isinstance(X, pd.DataFrame) else getattr(X, "groups", None)
    if groups is None or callable(groups) or pd.isna(groups).any():
        return infer_subjects(X)
    return column_or_1d(groups)


def _unnamed(X):
    """Return a sentence if only some samples have a subject."""
    subjects = named(X)
    if subjects is None or pd.isna(subjects).all():
        return ""
    missing = np.flatnonzero(pd.isna(subjects))
    shown = ", ".join(str(i) for i in missing[:5]) + ", ..." * (len(missing) > 5)
    return f" Of these samples, {len(missing)} of {len(subjects)} have no subject: {shown}."


def in_order(groups):
    """Return distinct groups in the order of their first sample."""
    # groups (n_samples,).
    return tuple(dict.fromkeys(np.asarray(groups).tolist()))
