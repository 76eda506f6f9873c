"""Power, covariance and correlation of samples, as functions of arrays.

Features compute their rows with these functions, and pretraining its targets, so that both are
the same numbers.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len, rfft, rfftfreq
from scipy.signal.windows import tukey

_TAPER = 0.2  # share of a sample that rises and falls
_FLOOR = 1e-6  # power in squared network units that is added at least: a flat sample stays finite
_LINE_FLOOR = 1e-5  # the same for the power of a line
_CEILING = 0.99  # factor on correlations: places that rely on one region have a finite Fisher z


def log_covariances(data, sfreq, bands, shrinkage):
    """Return columns (n_samples, n_bands, n_pairs) of samples (n_samples, n_places, n_times)."""
    covariances = _band_covariances(data, sfreq, bands)
    n_places = data.shape[1]
    power = np.trace(covariances, axis1=-2, axis2=-1) / n_places
    ridge = np.maximum(shrinkage * power, _FLOOR)
    values, vectors = np.linalg.eigh(covariances + ridge[..., None, None] * np.eye(n_places))
    logs = (vectors * np.log(values)[..., None, :]) @ vectors.swapaxes(-1, -2)
    i, j = np.triu_indices(n_places)
    return logs[..., i, j] * np.where(i == j, 1.0, np.sqrt(2))


def log_powers(data, sfreq, bands):
    """Return the log-power (n_samples, n_places, n_bands) of (n_samples, n_places, n_times)."""
    powers = [(part**2).sum(axis=2) for part in _band_spectra(data, sfreq, bands)]
    return np.log(np.stack(powers, axis=2) + _LINE_FLOOR)


def fisher_z(data, weights=None):
    """Return Fisher z (n_samples, n_pairs) of samples (n_samples, n_regions, n_times)."""
    # Pairs are those of places, weights (n_places, n_regions), or of the regions without weights.
    i, j = np.triu_indices(data.shape[1] if weights is None else len(weights), k=1)
    rows = np.empty((len(data), len(i)), dtype=np.float32)
    for row, sample in zip(rows, data, strict=True):
        series = sample - sample.mean(axis=1, keepdims=True, dtype=np.float64)
        series = _unit(series)  # regions count alike, whatever their amplitude
        places = series if weights is None else _unit(weights @ series)
        row[:] = np.arctanh(_CEILING * (places @ places.T)[i, j].clip(-1, 1))
    return rows


def _band_covariances(data, sfreq, bands):
    """Return covariances (n_samples, n_bands, n_places, n_places) in bands."""
    parts = _band_spectra(data, sfreq, bands)
    return np.stack([part @ part.swapaxes(1, 2) for part in parts], axis=1)


def _band_spectra(data, sfreq, bands):
    """Yield real and imaginary parts side by side in each band; squares sum to power."""
    n_times = data.shape[2]
    taper = tukey(n_times, _TAPER, sym=False)
    n_fft = next_fast_len(max(n_times, round(sfreq)), real=True)  # lines at most 1 Hz apart
    data = (data - data.mean(axis=2, keepdims=True)) * taper
    spectrum = rfft(data, n_fft, axis=2) * np.sqrt(2 / (n_fft * (taper**2).sum()))
    freqs = rfftfreq(n_fft, 1 / sfreq)
    for low, high in bands:
        part = spectrum[:, :, (freqs >= low) & (freqs < high)]
        yield np.concatenate([part.real, part.imag], axis=2)


def _unit(series):
    """Scale each series to unit length; a constant one becomes zero."""
    length = np.linalg.norm(series, axis=1, keepdims=True)
    return np.divide(series, length, out=np.zeros_like(series), where=length > 1e-9)
