"""Samples of EEG or MEG as one array, for decoders that take nothing else."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from brainof_toolbox import Signals, from_epochs, from_raw
from brainof_toolbox.signals import as_parts


class ToArray(TransformerMixin, BaseEstimator):
    """Put any accepted form of samples into one array (n_samples, n_channels, n_times).

    Sensor types are brought to one scale by fixed factors (V to 10 uV, T to 100 fT, T/m to
    10 fT/cm); longer samples lose their end, and those shorter than all training samples repeat
    themselves, so that unequal recordings fit together.
    """

    _UNITS = {"eeg": 1e-5, "mag": 1e-13, "grad": 1e-12}

    def fit(self, X, y=None):
        """Find the length and the scale of bare arrays."""
        arrays = self._arrays(X)
        self.n_times_ = min(array.shape[-1] for array in arrays)
        self.scale_ = np.median([array.std() for array in arrays]) or 1.0
        return self

    def transform(self, X):
        """Stack the samples."""
        check_is_fitted(self)
        return np.concatenate([self._cut(array) for array in self._arrays(X)]) / self.scale_

    def _cut(self, array):
        lacking = max(0, self.n_times_ - array.shape[-1])
        return np.pad(array, ((0, 0), (0, 0), (0, lacking)), mode="wrap")[..., : self.n_times_]

    def _arrays(self, X):
        """Arrays (n, n_channels, n_times), float64."""
        if isinstance(X, np.ndarray) and X.dtype.kind in "fiu":
            return [X.astype(float)]
        items = list(X) if isinstance(X, (list, tuple, np.ndarray)) else [X]
        if hasattr(items[0], "ndim") and not hasattr(items[0], "modality"):
            return [np.stack(items).astype(float)]
        return [self._array(item) for item in items]

    def _array(self, item):
        if hasattr(item, "get_data"):
            read = from_epochs if hasattr(item, "event_id") else from_raw
            item = read(item, missing_positions="placeholder")
        parts = as_parts(item) if isinstance(item, Signals) or hasattr(item, "parts") else item
        scaled = [
            part.data / np.array([self._UNITS.get(t, 1.0) for t in part.ch_types])[:, None]
            for part in parts.values()
        ]
        return np.concatenate(scaled, axis=1).astype(float)
