"""Classical decoders to stand beside the network, for EEG and MEG alike.

Each is an ordinary scikit-learn pipeline that takes what the estimators take: epochs, a list of
one-epoch ``Epochs``, ``Signals``, a list of recordings, or an array with ``info``. Everything that
is learned or chosen, is learned or chosen inside the training samples.
"""

from __future__ import annotations

import numpy as np
from scipy import signal
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.covariance import oas
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from ..estimators.heads import fit_classification_head

#: Hz.
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}


def make_baselines(sfreq, *, band=(8.0, 30.0), is_regression=False):
    """Make the classical decoders.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz of what they will get.
    band : tuple of float
        Pass band of common spatial patterns in Hz.
    is_regression : bool
        Whether targets are continuous.

    Returns
    -------
    baselines : dict of str -> Pipeline
        ``"csp+lda"`` :footcite:p:`blankertz2008optimizing`, ``"band power+lr"`` and
        ``"samples+lda"`` (shrinkage LDA on averaged samples); for regression
        ``"band power+ridge"``.

    References
    ----------
    .. footbibliography::
    """
    if is_regression:
        ridge = RidgeCV(np.logspace(-2, 4, 13))
        return {
            "band power+ridge": make_pipeline(ToArray(), BandPower(sfreq), StandardScaler(), ridge)
        }
    shrinkage = {"solver": "lsqr", "shrinkage": "auto"}
    return {
        "csp+lda": make_pipeline(
            ToArray(), BandPass(sfreq, band), SpatialPatterns(), LinearDiscriminantAnalysis()
        ),
        "band power+lr": make_pipeline(ToArray(), BandPower(sfreq), LogisticHead()),
        "samples+lda": make_pipeline(
            ToArray(), AveragedSamples(sfreq), LinearDiscriminantAnalysis(**shrinkage)
        ),
    }


class ToArray(TransformerMixin, BaseEstimator):
    """Any accepted form of samples to one array (n_samples, n_channels, n_times).

    Sensor types are brought to one scale by fixed factors (V to 10 uV, T to 100 fT, T/m to
    10 fT/cm); longer samples lose their end, and those shorter than all training samples repeat
    themselves, so that unequal recordings fit together.
    """

    _UNITS = {"eeg": 1e-5, "mag": 1e-13, "grad": 1e-12}

    def fit(self, X, y=None):
        """Learn the length and the scale of what arrives as a bare array."""
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
        from ..io import from_epochs, from_raw
        from ..signals import PairedSignals, Signals, as_parts

        if hasattr(item, "get_data"):
            read = from_epochs if hasattr(item, "event_id") else from_raw
            item = read(item, missing_positions="placeholder")
        parts = as_parts(item) if isinstance(item, (Signals, PairedSignals)) else item
        scaled = [
            part.data / np.array([self._UNITS.get(t, 1.0) for t in part.ch_types])[:, None]
            for part in parts.values()
        ]
        return np.concatenate(scaled, axis=1).astype(float)


class BandPass(TransformerMixin, BaseEstimator):
    """Butterworth band-pass, fourth order, forwards and backwards.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    band : tuple of float
        Edges in Hz.
    """

    def __init__(self, sfreq, band=(8.0, 30.0)):
        self.sfreq = sfreq
        self.band = band

    def fit(self, X, y=None):
        """Nothing to learn."""
        return self

    def transform(self, X):
        """Filter along the last axis."""
        high = min(self.band[1], 0.45 * self.sfreq)
        sos = signal.butter(4, (self.band[0], high), "bandpass", fs=self.sfreq, output="sos")
        return signal.sosfiltfilt(sos, X, axis=-1)


class SpatialPatterns(TransformerMixin, BaseEstimator):
    """Log power of common spatial patterns, each class against the rest.

    Parameters
    ----------
    n_pairs : int
        Patterns from either end of the spectrum, per class.
    """

    def __init__(self, n_pairs=2):
        self.n_pairs = n_pairs

    def fit(self, X, y):
        """Find filters whose power differs most between classes.

        ``C_a w = lambda (C_a + C_rest) w``, shrunk covariances in the space of the channels.
        """
        classes = np.unique(y)
        covariances = np.stack([_covariance(X[y == label]) for label in classes])
        filters, patterns = [], []
        for i in range(len(classes) if len(classes) > 2 else 1):
            rest = np.delete(covariances, i, axis=0).mean(axis=0)
            total = covariances[i] + rest
            _, w = eigh(covariances[i], total)
            n = min(self.n_pairs, max(1, w.shape[1] // 2))
            ends = np.r_[np.arange(n), np.arange(w.shape[1] - n, w.shape[1])]
            filters.append(w[:, np.unique(ends)].T)
            patterns.append((total @ w)[:, np.unique(ends)].T)
        self.filters_, self.patterns_ = np.concatenate(filters), np.concatenate(patterns)
        return self

    def transform(self, X):
        """Log variance of each component: (n_samples, n_components)."""
        check_is_fitted(self)
        return np.log((self.filters_ @ X).var(axis=-1) + 1e-12)


class BandPower(TransformerMixin, BaseEstimator):
    """Log power in the classical bands of every channel.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    """

    def __init__(self, sfreq):
        self.sfreq = sfreq

    def fit(self, X, y=None):
        """Nothing to learn."""
        return self

    def transform(self, X):
        """Welch spectra, averaged in bands: (n_samples, n_channels * n_bands)."""
        n_segment = min(X.shape[-1], int(2 * self.sfreq))
        freqs, power = signal.welch(X, self.sfreq, nperseg=n_segment, axis=-1)
        rows = [power[..., (freqs >= a) & (freqs < b)] for a, b in BANDS.values()]
        rows = [row.mean(axis=-1) for row in rows if row.shape[-1]]
        return np.log(np.concatenate(rows, axis=-1) + 1e-12)


class AveragedSamples(TransformerMixin, BaseEstimator):
    """Averages of successive samples of each channel, below 20 Hz: what an evoked response needs.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    step : float
        Length of what is averaged, in seconds.
    max_features : int
        Longer steps are taken where there would be more features.
    """

    def __init__(self, sfreq, step=0.05, max_features=600):
        self.sfreq = sfreq
        self.step = step
        self.max_features = max_features

    def fit(self, X, y=None):
        """Learn how many bins keep the number of features small."""
        n_channels, n_times = X.shape[1:]
        wanted = round(n_times / self.sfreq / self.step)
        self.n_bins_ = int(np.clip(wanted, 1, max(1, self.max_features // n_channels)))
        self.n_bins_ = min(self.n_bins_, n_times)
        return self

    def transform(self, X):
        """Average: (n_samples, n_channels * n_bins)."""
        check_is_fitted(self)
        edges = np.linspace(0, X.shape[-1], self.n_bins_ + 1).astype(int)
        X = X - X.mean(axis=-1, keepdims=True)
        bins = [X[..., a:b].mean(axis=-1) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        return np.stack(bins, axis=-1).reshape(len(X), -1)


class LogisticHead(ClassifierMixin, BaseEstimator):
    """The network's own head: logistic regression whose strength is chosen on inner folds."""

    def fit(self, X, y, groups=None):
        """Fit; samples of one group stay on one side of every inner split."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        classes = np.arange(len(self.classes_))
        weight = compute_class_weight("balanced", classes=classes, y=labels)
        self.head_ = fit_classification_head(X, labels, groups, dict(enumerate(weight)))
        return self

    def predict(self, X):
        """Most probable class of each sample."""
        check_is_fitted(self)
        return self.classes_[self.head_.predict(X)]


def _covariance(X):
    """Shrunk covariance of epochs, each of them centred, scaled to unit trace."""
    X = X - X.mean(axis=-1, keepdims=True)
    rows = X.transpose(0, 2, 1).reshape(-1, X.shape[1])  # (n_samples * n_times, n_channels)
    covariance, _ = oas(rows, assume_centered=True)
    return covariance / np.trace(covariance)
