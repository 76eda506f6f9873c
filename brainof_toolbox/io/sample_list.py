"""A list whose items hold several samples each, indexed by sample as scikit-learn does."""

from __future__ import annotations

import numpy as np

from ..signals import PairedSignals, Signals


def as_samples(X):
    """Return ``X`` so that its length is its number of samples, in any accepted form."""
    import mne

    if isinstance(X, mne.Evoked):
        return [X]
    if not isinstance(X, list | tuple):
        return X
    many = (mne.BaseEpochs, Signals, PairedSignals)
    if not any(isinstance(item, many) and not _holds_one(item) for item in X):
        return X
    return SampleList([_without_bad(item) for item in X])


def _holds_one(item):
    return getattr(item, "_bad_dropped", True) and len(item) == 1


def _without_bad(item):
    """Drop bad epochs that MNE would drop when the data are read: only then they are counted."""
    return item if getattr(item, "_bad_dropped", True) else item.copy().drop_bad(verbose="error")


class SampleList:
    """Items of one or many samples; an array of indices takes samples, one by one an item."""

    def __init__(self, items):
        self.items = list(items)
        self._is_many = [
            hasattr(item, "events") or isinstance(item, Signals | PairedSignals) for item in items
        ]
        self.sizes = [len(item) if many else 1 for item, many in zip(items, self._is_many)]
        self._starts = np.cumsum([0, *self.sizes])
        self.shape = (int(self._starts[-1]),)  # scikit-learn takes all indices at once

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        """Return the item of one sample, or a SampleList."""
        rows = np.arange(len(self))[key[0] if isinstance(key, tuple) else key]
        item = np.searchsorted(self._starts, np.atleast_1d(rows), side="right") - 1
        local = np.atleast_1d(rows) - self._starts[item]
        is_new = np.diff(item, prepend=-1) != 0
        is_new |= ~np.array(self._is_many)[item]
        pieces = []
        for rows_of_piece in np.split(np.arange(len(item)), np.flatnonzero(is_new)[1:]):
            one = self.items[item[rows_of_piece[0]]]
            is_many = self._is_many[item[rows_of_piece[0]]]
            pieces.append(one[local[rows_of_piece]] if is_many else one)
        return pieces[0] if np.ndim(rows) == 0 else SampleList(pieces)

    @property
    def item_numbers(self):
        """Index of the item that each sample is of (n_samples,)."""
        return np.repeat(np.arange(len(self.items)), self.sizes)
