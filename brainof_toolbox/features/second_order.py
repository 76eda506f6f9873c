"""Power, covariance and correlation of one sample, as functions of arrays.

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


def log_covariances(sample, sfreq, bands, shrinkage):
    """Flatten the logarithms of the covariances of (n_places, n_times) in bands."""
    covariances = _band_covariances(sample, sfreq, bands)  # (n_bands, V, V)
    n_places = len(sample)
    power = np.trace(covariances, axis1=1, axis2=2) / n_places
    ridge = np.maximum(shrinkage * power, _FLOOR)
    values, vectors = np.linalg.eigh(covariances + ridge[:, None, None] * np.eye(n_places))
    logs = (vectors * np.log(values)[:, None]) @ vectors.swapaxes(1, 2)
    i, j = np.triu_indices(n_places)
    return (logs[:, i, j] * np.where(i == j, 1.0, np.sqrt(2))).ravel().astype(np.float32)


def log_powers(sample, sfreq, bands):
    """Return the logarithm of the power of (n_places, n_times) in bands, (n_places, n_bands)."""
    powers = [(np.abs(part) ** 2).sum(axis=1) for part in _band_spectra(sample, sfreq, bands)]
    return np.log(np.stack(powers, axis=1) + _LINE_FLOOR).astype(np.float32)


def fisher_z(sample, weights):
    """Return Fisher's z of the correlations between places, from regions and their map."""
    # sample (n_regions, n_times), weights (n_places, n_regions) -> (pairs of places,)
    series = sample - sample.mean(axis=1, keepdims=True, dtype=np.float64)
    places = _unit(weights @ _unit(series))  # regions count alike, whatever their amplitude
    i, j = np.triu_indices(len(weights), k=1)
    return np.arctanh(_CEILING * (places @ places.T)[i, j].clip(-1, 1)).astype(np.float32)


def _band_covariances(sample, sfreq, bands):
    """Covariances (n_bands, n_places, n_places) of a sample (n_places, n_times) in bands."""
    return np.stack([(p @ p.conj().T).real for p in _band_spectra(sample, sfreq, bands)])


def _band_spectra(sample, sfreq, bands):
    """Yield the Fourier components of a tapered sample in each band; squares sum to power."""
    n_times = sample.shape[1]
    taper = tukey(n_times, _TAPER, sym=False)
    n_fft = next_fast_len(max(n_times, round(sfreq)), real=True)  # lines at most 1 Hz apart
    sample = (sample - sample.mean(axis=1, keepdims=True)) * taper
    spectrum = rfft(sample, n_fft, axis=1) * np.sqrt(2 / (n_fft * (taper**2).sum()))
    freqs = rfftfreq(n_fft, 1 / sfreq)
    for low, high in bands:
        yield spectrum[:, (freqs >= low) & (freqs < high)]


def _unit(series):
    """Scale each series to unit length; a constant one becomes zero."""
    length = np.linalg.norm(series, axis=1, keepdims=True)
    return np.divide(series, length, out=np.zeros_like(series), where=length > 1e-9)
