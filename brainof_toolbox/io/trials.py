"""Trials: samples with a table of their labels, and how events become trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._utils.validation import check_number
from ..signals import PER_SAMPLE
from .bids import indices


class Trials(Sequence):
    """Trials that cannot be stored in one object, with a table of their labels.

    A valid ``X`` for every estimator of this package and for scikit-learn's splitters.

    Parameters
    ----------
    items : sequence
        One sample each: :class:`~brainof_toolbox.Signals` or :class:`mne.Epochs` of length one.
    metadata : pandas.DataFrame
        One row per item: ``subject``, ``session``, ``task``, ``run``, ``trial_type``, ``onset``
        and ``duration`` (s).

    Attributes
    ----------
    metadata : pandas.DataFrame
        The table.
    groups : ndarray, shape (n_trials,)
        Subjects; with one subject only, the sessions and runs.
    shape : tuple
        ``(n_trials,)``.
    """

    def __init__(self, items, metadata):
        self._items = list(items)
        self.metadata = metadata.reset_index(drop=True)
        if len(self._items) != len(self.metadata):
            raise ValueError(
                f"Trials got {len(self._items)} items but metadata of {len(self.metadata)} rows."
            )

    def __len__(self):
        return len(self._items)

    def __getitem__(self, key):
        """Return a sample for an integer, Trials for a slice, an index array or a mask."""
        if isinstance(key, (int, np.integer)):
            return self._items[key]
        rows = indices(key, len(self))
        return Trials([self._items[i] for i in rows], self.metadata.iloc[rows])

    @property
    def shape(self):
        """Shape ``(n_trials,)``."""
        return (len(self),)

    @property
    def groups(self):
        """Subjects, or sessions and runs of a single subject."""
        return group_trials(self.metadata)[0]

    def to_dataframe(self):
        """Return a copy of the metadata.

        Returns
        -------
        table : pandas.DataFrame
            One row per trial.
        """
        return self.metadata.copy()

    def __repr__(self):
        counts = self.metadata["trial_type"].value_counts(sort=False)
        kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
        n_subjects = self.metadata["subject"].nunique()
        of = f" of {n_subjects} subject{'s' * (n_subjects > 1)}" if n_subjects else ""
        return f"<Trials | {len(self)}{of}: {kinds}>"


def group_trials(metadata):
    """Return the group of each trial."""
    # -> groups (n_trials,).
    subjects = metadata["subject"].to_numpy()
    varying = [name for name in ("session", "run") if metadata[name].nunique() > 1]
    if len(set(subjects)) > 1 or not varying:
        return subjects, "subjects"
    rows = metadata[varying].astype(str).to_numpy()
    return np.array(["_".join(row) for row in rows]), f"{varying[-1]}s"


def check_span(tmin, tmax, shift=0.0):
    """Return the start of a trial (s); raise unless it is before the end."""
    check_number("shift", shift, low=0)
    for name, value in (("tmin", tmin), ("tmax", tmax)):
        if value is not None:
            check_number(name, value)
    tmin = 0.0 if tmin is None else float(tmin)
    if tmax is not None and tmax <= tmin:
        raise ValueError(f"tmax ({tmax} s) must be above tmin ({tmin} s).")
    return tmin


def make_metadata(table, record):
    """Add the labels of a record to a table of its trials."""
    return table.assign(**{name: record.get(name) for name in PER_SAMPLE})[
        [*PER_SAMPLE, *table.columns]
    ]


def refuse_together(starts, kinds, name):
    """Raise if events of two types have the same onset."""
    starts, kinds = np.asarray(starts), np.asarray(kinds)
    times, counts = np.unique(starts, return_counts=True)
    twice = kinds[np.isin(starts, times[counts > 1])]
    if len(twice):
        raise ValueError(
            f"{name}: events of several types have the same onset: {sorted(set(twice))}. Choose "
            "with event_id=."
        )
