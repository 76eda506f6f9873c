"""Labels that samples carry: subject, session, task and run."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..signals import PER_SAMPLE, PairedSignals
from .bids_names import find_label, name_data_set
from .sample_list import SampleList


def infer_subjects(X):
    """Return the subjects that the samples carry."""
    # -> subjects (n_samples,).
    return _named_by_all(X, "subject")


def infer_recording_labels(X):
    """Return session, task and run of samples, as far as the samples carry them."""
    # -> recording_labels (n_samples,).
    found = {name: _named_by_all(X, name) for name in PER_SAMPLE if name != "subject"}
    return {name: values for name, values in found.items() if values is not None}


def infer_data_sets(X):
    """Return the names of the BIDS data sets that records, paths and epochs of files are of."""
    items = X.items if isinstance(X, SampleList) else X
    if isinstance(items, str | pd.DataFrame | np.ndarray) or not isinstance(items, Sequence):
        return ()
    files = {}
    for item in items:
        for value in item.values() if isinstance(item, dict) else [item]:
            value = getattr(value, "fpath", getattr(value, "filename", value))
            if isinstance(value, str | os.PathLike):
                files[os.path.dirname(value)] = None
    names = {name_data_set(folder): None for folder in files}
    return tuple(name for name in names if name is not None)


def subjects_in(item, n_samples):
    """Return the subject of each of the samples of one item; None unless all have one."""
    subjects = _labels_in(item, n_samples, "subject")
    return subjects if len(subjects) == n_samples and not pd.isna(subjects).any() else None


def _labels_in(item, n_samples, name):
    """Return a label of each sample of one item: its own, or that of its file."""
    labels = named(item, name)
    if labels is None:
        labels = np.full(n_samples, _named_by(item, name), dtype=object)
    return labels


def _named_by_all(X, name):
    """Return a label of each sample; None unless every sample has it."""
    values = named(X, name)
    return None if values is None or len(values) == 0 or pd.isna(values).any() else values


def named(X, name="subject"):
    """Return a label of each sample, some may be missing; None where ``X`` has no such label."""
    if isinstance(X, dict | str | pd.DataFrame | np.ndarray):
        return None
    if isinstance(X, SampleList):
        labels = [_labels_in(item, n, name) for item, n in zip(X.items, X.sizes)]
        return _as_objects([label for part in labels for label in part])
    own = getattr(X, name, None)
    if isinstance(own, tuple):
        return _as_objects(own)
    metadata = getattr(X, "metadata", None)
    if metadata is not None and name in metadata:
        return metadata[name].to_numpy()
    if isinstance(X, PairedSignals):
        parts = [named(part, name) for part in X.by_modality.values()]
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
    found = None if isinstance(item, list | tuple) else named(item, name)
    if found is None and getattr(item, "filename", None):  # epochs and averages from a file
        return find_label(item.filename, name)
    return found[0] if found is not None and len(found) == 1 else None


def _as_objects(names):
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array
