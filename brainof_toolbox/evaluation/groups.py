"""Whose sample each is: what the user says, or what the samples themselves name."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from ..io.bids_names import find_label
from ..signals import PER_SAMPLE, PairedSignals

_WHY = (
    "one entry per sample that says whose it is. Samples of one subject resemble each other, so "
    "a score is honest only when whole subjects are left out. With one subject only, give its "
    "runs or sessions; groups='none' says that no two samples belong together."
)


def check_groups(groups, X, n_samples):
    """Groups as an array, or None when the user says that there are none."""
    # groups (n_samples,) -> groups (n_samples,).
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
    """Groups that the samples bring: ``X.groups``, else their subjects."""
    # -> groups (n_samples,).
    groups = None if isinstance(X, pd.DataFrame) else getattr(X, "groups", None)
    if groups is None or callable(groups) or pd.isna(groups).any():
        return own_subjects(X)
    return column_or_1d(groups)


def own_subjects(X):
    """Subjects that the samples themselves name."""
    # -> subjects (n_samples,).
    return _named_by_all(X, "subject")


def own_occasions(X):
    """Session, task and run of samples, as far as the samples themselves name them."""
    # -> occasions (n_samples,).
    found = {name: _named_by_all(X, name) for name in PER_SAMPLE if name != "subject"}
    return {name: values for name, values in found.items() if values is not None}


def _named_by_all(X, name):
    """What samples say of themselves, None unless every sample says it."""
    values = _named(X, name)
    if values is None or len(values) == 0 or pd.isna(values).any():
        return None
    return values


def _named(X, name="subject"):
    """What samples say of themselves, an array that may miss some; None when none says it."""
    if isinstance(X, dict | str | pd.DataFrame | np.ndarray):
        return None
    own = getattr(X, name, None)
    if isinstance(own, tuple):
        return _as_objects(own)
    metadata = getattr(X, "metadata", None)
    if metadata is not None and name in metadata:
        return metadata[name].to_numpy()
    if isinstance(X, PairedSignals):
        parts = [_named(part, name) for part in X.by_modality.values()]
        return next((part for part in parts if part is not None), None)
    if isinstance(X, list | tuple):
        return _as_objects([_named_by(item, name) for item in X])
    return None


def _named_by(item, name):
    """The same of one item of a list: a record, a path or a container of one sample."""
    if isinstance(item, dict):
        return item.get(name)
    if isinstance(item, str | os.PathLike):
        return find_label(item, name)
    found = None if isinstance(item, list | tuple) else _named(item, name)
    return found[0] if found is not None and len(found) == 1 else None


def _as_objects(names):
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


def _unnamed(X):
    """A sentence when some samples do name a subject and others do not."""
    subjects = _named(X)
    if subjects is None or pd.isna(subjects).all():
        return ""
    missing = np.flatnonzero(pd.isna(subjects))
    shown = ", ".join(str(i) for i in missing[:5]) + ", ..." * (len(missing) > 5)
    return f" Of these samples, {len(missing)} of {len(subjects)} name no subject: {shown}."


def in_order(groups):
    """Distinct groups in the order in which they come."""
    # groups (n_samples,).
    return tuple(dict.fromkeys(np.asarray(groups).tolist()))
