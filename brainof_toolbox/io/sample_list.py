"""A list whose items hold several samples each, indexed by sample as scikit-learn does."""

from __future__ import annotations

import numpy as np

from ..signals import PairedSignals, Signals
from .window_datasets import as_epochs


def as_samples(X):
    """Return ``X`` so that its length is its number of samples, in any accepted form."""
    X = as_epochs(X)
    if hasattr(X, "nave"):  # mne.Evoked
        return [X]
    if not isinstance(X, list | tuple) or not any(map(_is_many, X)):
        return X
    items = [without_bad(item) for item in X]
    return X if all(len(item) == 1 for item in items if _is_many(item)) else SampleList(items)


def _is_many(item):
    """Return whether an item is a container of samples: Epochs or Signals."""
    return isinstance(item, Signals | PairedSignals) or hasattr(item, "drop_log")


def without_bad(item):
    """Drop bad epochs that MNE would drop when the data are read: only then they are counted."""
    return item if getattr(item, "_bad_dropped", True) else item.copy().drop_bad(verbose="error")


class SampleList:
    """Items of one or many samples; an array of indices takes samples, one by one an item."""

    def __init__(self, items):
        self.items = list(items)
        self.sizes = [len(item) if _is_many(item) else 1 for item in self.items]
        self._starts = np.cumsum([0, *self.sizes])
        self.shape = (int(self._starts[-1]),)  # scikit-learn takes all indices at once

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        """Return the item of one sample, or a SampleList."""
        rows = np.arange(len(self))[key[0] if isinstance(key, tuple) else key]
        item = np.searchsorted(self._starts, np.atleast_1d(rows), side="right") - 1
        local = np.atleast_1d(rows) - self._starts[item]
        is_many = np.array([_is_many(one) for one in self.items])[item]
        cuts = np.flatnonzero((np.diff(item) != 0) | ~is_many[1:]) + 1
        pieces = []
        for i, rows_of_item in zip(np.split(item, cuts), np.split(local, cuts), strict=True):
            one = self.items[i[0]]
            pieces.append(one[rows_of_item] if _is_many(one) else one)
        return pieces[0] if np.ndim(rows) == 0 else SampleList(pieces)

    @property
    def item_numbers(self):
        """Index of the item that each sample is of (n_samples,)."""
        return np.repeat(np.arange(len(self.items)), self.sizes)
