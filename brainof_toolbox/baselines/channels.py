"""Describe each sample by its channels, then keep the channels that the training samples share.

A description depends on its own sample only: any montage, rate or length, and evaluation computes
it once for all folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.covariance import oas
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_option
from ..io.inputs import ReadOptions, open_samples
from ..io.records import is_record, read_record
from ..signals import PairedSignals, as_parts

#: Hz.
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
#: Units that bring sensor types to one scale: 10 uV, 100 fT, 10 fT/cm.
_UNITS = {"eeg": 1e-5, "mag": 1e-13, "grad": 1e-12, "bold": 1.0}
_N_AT_ONCE = 64
_HIGHEST = 0.45  # of the sampling rate: filters reach up to here
_LARGEST_R = 0.9999


class Description(NamedTuple):
    """Features of one sample and one modality."""

    ch_names: tuple
    # (n_channels, n_features), or (n_channels, n_channels, n_features) where they are of pairs
    values: np.ndarray
    # Of pairs: 0 keeps the diagonal, 1 leaves it out; None where features are of channels
    diagonal: int | None = None


class ChannelFeatures(TransformerMixin, BaseEstimator):
    """Describe each sample by features of its channels or of pairs of channels.

    ``kinds`` maps modalities to keys of ``KINDS``; ``bands`` (Hz) are those of covariances,
    ``step`` (s) is the bin width of averaged samples.
    """

    _is_frozen = True  # evaluation applies it once to all samples

    def __init__(
        self, kinds, *, bands=((8.0, 30.0),), step=0.05, info=None, masker=None, memory=None
    ):
        self.kinds = kinds
        self.bands = bands
        self.step = step
        self.info = info
        self.masker = masker
        self.memory = memory

    def fit(self, X, y=None):
        """Check the parameters."""
        for kind in self.kinds.values():
            check_option("kinds", kind, KINDS)
        return self

    def transform(self, X):
        """Return one dict per sample: modality -> Description."""
        with warnings.catch_warnings():  # no decoder here uses positions
            warnings.filterwarnings("ignore", r".*placed by (order|name)", RuntimeWarning)
            return [found for signals in self._read(X) for found in self._describe(signals)]

    def _read(self, X):
        """Yield Signals or PairedSignals; None for a record without the wanted modalities."""
        reading = ReadOptions(self.info, "placeholder", self.masker, self.memory)
        for part in split_records(X):
            if is_record(part):
                yield read_wanted(part, self.kinds, reading)
                continue
            for source in open_samples(part, reading):
                for start in range(0, source.n_samples, _N_AT_ONCE):
                    stop = min(start + _N_AT_ONCE, source.n_samples)
                    yield source.read(slice(start, stop))

    def _describe(self, signals):
        if signals is None:
            return [{}]
        found = [{} for _ in range(len(signals))]
        is_missing = signals.is_missing if isinstance(signals, PairedSignals) else {}
        for name, part in as_parts(signals).items():
            if name not in self.kinds:
                continue
            compute, diagonal = KINDS[self.kinds[name]]
            units = np.array([_UNITS[kind] for kind in part.ch_types])[:, None]
            for i in np.flatnonzero(~is_missing.get(name, np.zeros(len(part), dtype=bool))):
                values = compute(self, part.data[i] / units, part.sfreq)
                found[i][name] = Description(part.ch_names, values, diagonal)
        return found


def split_records(X):
    """Return single records and lists without records; ``[X]`` where it is neither."""
    is_list = isinstance(X, Sequence) or (isinstance(X, np.ndarray) and X.dtype == object)
    if not is_list or isinstance(X, str):
        return [X]
    if any(is_record(item) for item in X):
        return [item if is_record(item) else [item] for item in X]
    return [list(X)]


def read_wanted(record, modalities, reading):
    """Read some modalities of a record; None where it has none of them."""
    wanted = {name: record[name] for name in modalities if record.get(name) is not None}
    if not wanted:
        return None
    if "fmri" in wanted:
        wanted |= {key: record.get(key) for key in ("confounds", "t_r")}
    return read_record(
        wanted,
        masker=reading.masker,
        memory=reading.memory,
        missing_positions=reading.missing_positions,
    )


def band_power(data, sfreq):
    """Return the log of the mean Welch power in each band (n_channels, n_bands)."""
    # A low sampling rate has fewer bands. Any leading axes are kept.
    n_segment = min(data.shape[-1], int(2 * sfreq))
    freqs, power = signal.welch(data, sfreq, nperseg=n_segment, axis=-1)
    rows = [power[..., (freqs >= low) & (freqs < high)] for low, high in BANDS.values()]
    rows = [row.mean(axis=-1) for row in rows if row.shape[-1]]
    return np.log(np.stack(rows, axis=-1) + 1e-12)


def band_covariances(data, sfreq, bands):
    """Return shrunk covariances (n_channels, n_channels, n_bands); NaN above the Nyquist rate."""
    found = [_covariance(data, sfreq, band) for band in bands]
    return np.stack(found, axis=-1).astype(np.float32)


def _covariance(data, sfreq, band):
    """Covariance after a zero-phase Butterworth filter of order 4, shrunk by OAS."""
    low, high = band[0], min(band[1], _HIGHEST * sfreq)
    if low >= high:
        return np.full((len(data), len(data)), np.nan)
    sos = _band_pass(low, high, sfreq)
    padding = min(3 * (2 * len(sos) + 1), data.shape[1] - 1)
    filtered = signal.sosfiltfilt(sos, data, axis=-1, padlen=padding)
    filtered -= filtered.mean(axis=1, keepdims=True)
    return oas(filtered.T, assume_centered=True)[0]


@cache
def _band_pass(low, high, sfreq):
    return signal.butter(4, (low, high), "bandpass", fs=sfreq, output="sos")


def averaged_samples(data, sfreq, step):
    """Return means of successive bins of ``step`` seconds (n_channels, n_bins), centred."""
    # Bins start at multiples of the step whatever the rate; any leading axes are kept.
    n_times = data.shape[-1]
    n_bins = max(1, round(n_times / sfreq / step))
    edges = np.round(np.arange(n_bins + 1) * step * sfreq).astype(int).clip(max=n_times)
    edges[-1] = n_times
    edges = np.unique(edges)
    data = data - data.mean(axis=-1, keepdims=True)
    return np.stack([data[..., a:b].mean(axis=-1) for a, b in zip(edges[:-1], edges[1:])], axis=-1)


def correlations(data):
    """Return Fisher's z of the correlations (n_channels, n_channels, 1); NaN where constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.atleast_2d(np.corrcoef(data))
    return np.arctanh(r.clip(-_LARGEST_R, _LARGEST_R))[..., None]


#: What a sample can be described by, and the first diagonal of what is of pairs.
KINDS = {
    "band power": (lambda own, data, sfreq: band_power(data, sfreq), None),
    "covariance": (lambda own, data, sfreq: band_covariances(data, sfreq, own.bands), 0),
    "averaged samples": (lambda own, data, sfreq: averaged_samples(data, sfreq, own.step), None),
    "correlations": (lambda own, data, sfreq: correlations(data), 1),
    "means": (lambda own, data, sfreq: data.mean(axis=1, keepdims=True), None),
}


class SharedChannels(TransformerMixin, BaseEstimator):
    """Put features of the channels that all training samples with a modality have into rows.

    A sample without a modality or without one of these channels has NaN there. Features of pairs
    are triangles, one after the other.
    """

    def __init__(self, modalities):
        self.modalities = modalities

    def fit(self, X, y=None):
        """Find the channels that the training samples share."""
        self.ch_names_, self.n_features_, self.diagonal_ = {}, {}, {}
        for name in self.modalities:
            found = [sample[name] for sample in X if name in sample]
            if not found:
                raise ValueError(f"No training sample has {name}: leave it out.")
            shared = set(found[0].ch_names).intersection(*(one.ch_names for one in found[1:]))
            if not shared:
                raise ValueError(f"The training samples share no {name} channel.")
            self.ch_names_[name] = [ch for ch in found[0].ch_names if ch in shared]
            self.diagonal_[name] = found[0].diagonal
            self.n_features_[name] = max(one.values.shape[-1] for one in found)
        return self

    def transform(self, X):
        """Return features (n_samples, n_features)."""
        check_is_fitted(self)
        rows = [[self._row(name, sample.get(name)) for name in self.modalities] for sample in X]
        return np.stack([np.concatenate(row) for row in rows])

    def _row(self, name, described):
        names, diagonal = self.ch_names_[name], self.diagonal_[name]
        n_axes = 1 if diagonal is None else 2
        values = np.full((len(names),) * n_axes + (self.n_features_[name],), np.nan)
        if described is not None:
            at = {channel: i for i, channel in enumerate(described.ch_names)}
            there = [row for row, channel in enumerate(names) if channel in at]
            index = [at[names[row]] for row in there]
            # A low sampling rate has fewer bands, a short sample fewer bins.
            own = described.values[np.ix_(*[index] * n_axes)][..., : values.shape[-1]]
            values[(*np.ix_(*[there] * n_axes), slice(own.shape[-1]))] = own
        if diagonal is None:
            return values.ravel()
        return values[np.triu_indices(len(names), diagonal)].T.ravel()
