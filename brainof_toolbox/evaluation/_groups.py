"""Whose sample each is: what the user says, or what the samples themselves name."""

from __future__ import annotations

import os
import re

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

_WHY = (
    "one entry per sample that says whose it is. Samples of one subject resemble each other, so "
    "a score is honest only when whole subjects are left out. With one subject only, give its "
    "runs or sessions; groups='none' says that no two samples belong together."
)


def check_groups(groups, X, n_samples):
    """Groups as an array, or None when the user says that there are none.

    Parameters
    ----------
    groups : array-like, shape (n_samples,) | "none" | None
        What the user gave; ``None`` asks ``X``.
    X : object
        The samples.
    n_samples : int
        How many they are.

    Returns
    -------
    groups : ndarray, shape (n_samples,) | None
        One entry per sample.

    Raises
    ------
    ValueError
        If groups are not known, too few, or missing for some samples.
    """
    if isinstance(groups, str):
        if groups != "none":
            raise ValueError(f"'groups' must be one entry per sample or 'none', got {groups!r}.")
        return None
    if groups is None:
        groups = own_groups(X)
    if groups is None:
        raise ValueError(f"'groups' is needed: {_WHY}{_unnamed(X)}")
    groups = column_or_1d(groups)
    if len(groups) != n_samples:
        raise ValueError(f"groups has {len(groups)} entries but X has {n_samples} samples.")
    if pd.isna(groups).any():
        raise ValueError(f"groups is missing in {int(pd.isna(groups).sum())} samples.")
    if len(set(groups)) < 2:
        raise ValueError(
            f"All samples are of one group, {str(groups[0])!r}: nobody is left to test on. "
            "Give its runs or sessions as groups; groups='none' says that no two samples belong "
            "together."
        )
    return groups


def own_groups(X):
    """Groups that the samples bring: ``X.groups``, else their subjects.

    Parameters
    ----------
    X : object
        The samples.

    Returns
    -------
    groups : ndarray, shape (n_samples,) | None
        ``None`` when they name none, or not for every sample.
    """
    groups = None if isinstance(X, pd.DataFrame) else getattr(X, "groups", None)
    if groups is None or callable(groups) or pd.isna(groups).any():
        return own_subjects(X)
    return column_or_1d(groups)


def own_subjects(X):
    """Subjects that the samples themselves name.

    Parameters
    ----------
    X : object
        The samples.

    Returns
    -------
    subjects : ndarray, shape (n_samples,) | None
        ``None`` when they name none, or not for every sample. Paths name them by ``sub-``.
    """
    subjects = _subjects(X)
    if subjects is None or len(subjects) == 0 or pd.isna(subjects).any():
        return None
    return subjects


def _subjects(X):
    """Subjects as an array that may miss some; None when nothing names any."""
    if isinstance(X, dict | str | pd.DataFrame | np.ndarray):
        return None
    subject = getattr(X, "subject", None)
    if isinstance(subject, tuple):
        return _as_objects(subject)
    metadata = getattr(X, "metadata", None)
    if metadata is not None and "subject" in metadata:
        return metadata["subject"].to_numpy()
    if isinstance(getattr(X, "parts", None), dict):  # a Path has parts too
        parts = [_subjects(part) for part in X.parts.values()]
        return next((part for part in parts if part is not None), None)
    if isinstance(X, list | tuple):
        return _as_objects([_subject_of(item) for item in X])
    return None


def _subject_of(item):
    """Subject of one item of a list: a record, a BIDS path or a container of one sample."""
    if isinstance(item, dict):
        return item.get("subject")
    if isinstance(item, str | os.PathLike):
        entity = re.search(r"(?:^|[\\/_])sub-([A-Za-z0-9]+)", os.fspath(item))
        return entity and entity[1]
    found = None if isinstance(item, list | tuple) else _subjects(item)
    return found[0] if found is not None and len(found) == 1 else None


def _as_objects(names):
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


def _unnamed(X):
    """A sentence when some samples do name a subject and others do not."""
    subjects = _subjects(X)
    if subjects is None or pd.isna(subjects).all():
        return ""
    missing = np.flatnonzero(pd.isna(subjects))
    shown = ", ".join(str(i) for i in missing[:5]) + ", ..." * (len(missing) > 5)
    return f" Of these samples, {len(missing)} of {len(subjects)} name no subject: {shown}."


def in_order(groups):
    """Distinct groups in the order in which they come.

    Parameters
    ----------
    groups : array-like, shape (n_samples,)
        One entry per sample.

    Returns
    -------
    names : tuple
        Each once.
    """
    return tuple(dict.fromkeys(np.asarray(groups).tolist()))
