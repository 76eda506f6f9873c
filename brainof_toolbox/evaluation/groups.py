"""Group of each sample: from the user, or from the samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from .._utils.messages import join_some
from .._utils.unique import refuse_repeated
from ..io.labels import infer_subjects, named
from ..io.sample_list import SampleList

_WHY = (
    "one entry per sample, the subject. Samples of one subject resemble each other, so only "
    "scores with whole subjects left out estimate the performance in new subjects. With one "
    "subject, give its runs or sessions. groups='subject' takes a column of the metadata, "
    "groups='item' each item of a list of Epochs as one subject, and groups='none' treats all "
    "samples as independent."
)


def check_target(y, X):
    """Return the targets: an array, a column that the samples carry, or the names of events."""
    # -> y (n_samples,).
    if not isinstance(y, str):
        return column_or_1d(y)
    column, events = _column(X, y), event_names(X) if y == "event" else None
    if column is not None and events is not None and not np.array_equal(column, events):
        raise ValueError(
            "y='event' means the names of events, and is a column of the metadata with other "
            "labels: pass one of them as an array."
        )
    found = events if column is None else column
    if found is None:
        raise ValueError(
            f"The samples have no {y!r}: y is an array with one entry per sample, the name of a "
            f"column of epochs.metadata{_columns(X)}, or 'event' for the names of epochs.event_id."
        )
    found = found if pd.isna(found).any() else np.array(list(found))  # no objects
    return column_or_1d(found)


def event_names(X):
    """Return the name of each epoch's event (n_samples,); None if ``X`` does not hold epochs."""
    items = X.items if isinstance(X, SampleList) else X if isinstance(X, list) else [X]
    if not all(hasattr(item, "event_id") for item in items):
        return None
    found = []
    for item in items:
        refuse_repeated(item.event_id.values(), "names of events share codes")
        names = {code: name for name, code in item.event_id.items()}
        found += [names[code] for code in item.events[:, 2]]
    return np.array(found)


def _column(X, name):
    """Return a label that samples carry (n_samples,); None if none of them has it."""
    found = named(X, name)
    return None if found is None or pd.isna(found).all() else found


def _columns(X):
    items = X.items if isinstance(X, SampleList) else [X]
    metadata = getattr(items[0], "metadata", None)
    return "" if metadata is None else f" ({join_some(metadata.columns, 10)})"


def check_groups(groups, X, n_samples):
    """Return the groups as an array; None for ``"none"``."""
    # groups (n_samples,) -> groups (n_samples,).
    if isinstance(groups, str):
        groups = _named_groups(groups, X)
        if groups is None:
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


def _named_groups(name, X):
    """Return the groups that a word means, or a column of the metadata."""
    found = _column(X, name)
    if name in ("none", "item"):
        if found is not None:
            raise ValueError(
                f"groups={name!r} is a column of the metadata and a word of its own: pass the "
                "column as an array."
            )
        if name == "item" and not isinstance(X, SampleList):
            raise ValueError(
                "groups='item' needs a list whose items hold several samples, such as one "
                "mne.Epochs per subject."
            )
        return X.item_numbers if name == "item" else None
    if found is None:
        raise ValueError(
            f"The samples have no {name!r}: 'groups' must be one entry per sample, the name of a "
            f"column of epochs.metadata{_columns(X)}, 'item' (each item of a list) or 'none'."
        )
    return found


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
