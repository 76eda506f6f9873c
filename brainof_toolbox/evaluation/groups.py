"""Group of each sample: from the user, or from the samples."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from ..io.bids_names import find_label
from ..signals import PER_SAMPLE, PairedSignals

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


def infer_subjects(X):
    """Return the subjects that the samples carry."""
    # -> subjects (n_samples,).
    return _named_by_all(X, "subject")


def infer_recording_labels(X):
    """Return session, task and run of samples, as far as the samples carry them."""
    # -> recording_labels (n_samples,).
    found = {name: _named_by_all(X, name) for name in PER_SAMPLE if name != "subject"}
    return {name: values for name, values in found.items() if values is not None}


def _named_by_all(X, name):
    """Return a label of each sample; None unless every sample has it."""
    values = _named(X, name)
    if values is None or len(values) == 0 or pd.isna(values).any():
        return None
    return values


def _named(X, name="subject"):
    """Return a label of each sample, some may be missing; None where ``X`` has no such label."""
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
    """Return a label of one item of a list: a record, a path or a container of one sample."""
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
    """Return a sentence if only some samples have a subject."""
    subjects = _named(X)
    if subjects is None or pd.isna(subjects).all():
        return ""
    missing = np.flatnonzero(pd.isna(subjects))
    shown = ", ".join(str(i) for i in missing[:5]) + ", ..." * (len(missing) > 5)
    return f" Of these samples, {len(missing)} of {len(subjects)} have no subject: {shown}."


def in_order(groups):
    """Return distinct groups in the order of their first sample."""
    # groups (n_samples,).
    return tuple(dict.fromkeys(np.asarray(groups).tolist()))
