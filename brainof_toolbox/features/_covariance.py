"""Second order: how virtual channels vary together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.fft import next_fast_len, rfft, rfftfreq
from scipy.signal.windows import tukey

from .._utils.validation import check_number
from ._block import Block

#: Bands in Hz that separate rhythms.
BAND_BANK = ((4.0, 8.0), (8.0, 12.0), (12.0, 16.0), (16.0, 24.0), (24.0, 34.0), (34.0, 45.0))
_TAPER = 0.2  # share of a sample that rises and falls
_FLOOR = 1e-6  # power in squared network units that is added at least: a flat sample stays finite
_AT_ONCE = 64  # samples: bounds memory
_CEILING = 0.99  # factor on correlations: places that rely on one region have a finite Fisher z


@dataclass(frozen=True, kw_only=True)
class Covariance(Block):
    """Covariance of virtual channels, flattened by the matrix logarithm or Fisher z.

    EEG and MEG: the covariance ``C`` of the virtual channels in each band, plus ``shrinkage``
    times its mean power on the diagonal; ``log C`` above and on the diagonal, off-diagonal
    entries times the square root of 2, so that distances of rows are log-Euclidean distances.
    fMRI: ``arctanh(0.99 r)`` of the correlations ``r`` of virtual regions.

    Parameters
    ----------
    n_channels, n_regions, kernel, regions : int, int, float, str
        Virtual channels, as of :class:`VirtualChannels`.
    bands : sequence of (float, float)
        Lowest (included) and highest (excluded) frequency in Hz of each band; EEG and MEG only.
    shrinkage : float
        What is added to the diagonal, relative to the mean power.

    Attributes
    ----------
    name : str
        ``"covariance"``.
    version : int
        Rises when equal parameters give other numbers.

    Notes
    -----
    A row is a function of its own sample. The average reference and the few sensors of a montage
    leave ``C`` without full rank; shrinkage keeps the logarithm finite. A gain ``g`` on all
    channels adds ``2 log g`` to the diagonal and nothing elsewhere. Bands are cut in the
    spectrum of the tapered sample, so that short samples need no filter.

    A long sample has the mean over its windows: of logarithms, that is their log-Euclidean mean,
    on which one window with an artefact has far less weight than on the mean power. Short windows
    bias the logarithm, by an amount that depends on their length alone: compare samples that were
    cut into windows of one length.

    Examples
    --------
    >>> from brainof_toolbox import Preprocessing, datasets, from_epochs
    >>> from brainof_toolbox.features import Covariance
    >>> from brainof_toolbox.preprocessing import preprocess
    >>> epochs = datasets.make_epochs(n_epochs=4, random_state=0)
    >>> windows = preprocess(from_epochs(epochs), Preprocessing()).signals
    >>> Covariance().compute(windows).shape
    (4, 816)
    """

    name: ClassVar[str] = "covariance"
    version: ClassVar[int] = 1

    n_channels: int = 16
    bands: tuple = BAND_BANK
    shrinkage: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        check_number("shrinkage", self.shrinkage, low=0, high=1, low_open=True)
        bands = tuple(tuple(band) for band in self.bands)
        if not bands or any(len(band) != 2 for band in bands):
            raise ValueError(f"bands must be pairs of frequencies in Hz, got {self.bands!r}.")
        for low, high in bands:
            check_number("bands", low, low=0)
            check_number("bands", high, low=low, low_open=True)
        object.__setattr__(self, "bands", bands)

    def _columns(self, signals):
        names = self.virtual.names(signals)
        is_fmri = signals.modality == "fmri"
        pairs = zip(*np.triu_indices(len(names), k=int(is_fmri)), strict=True)
        pairs = [f"{names[i]} x {names[j]}" for i, j in pairs]
        if is_fmri:
            return tuple(pairs)
        return tuple(f"{low:g}-{high:g} Hz {pair}" for low, high in self.bands for pair in pairs)

    def _rows(self, signals, weights):
        if signals.modality == "fmri":
            return _correlations(signals.data, weights)
        highest = max(high for _, high in self.bands)
        if highest > signals.sfreq / 2:
            raise ValueError(
                f"The band up to {highest:g} Hz needs a sampling rate of at least "
                f"{2 * highest:g} Hz, got {signals.sfreq:g} Hz."
            )
        chunks = range(0, len(signals), _AT_ONCE)
        return np.concatenate(
            [
                self._log_covariances(
                    weights @ signals.data[start : start + _AT_ONCE], signals.sfreq
                )
                for start in chunks
            ]
        )

    def _log_covariances(self, data, sfreq):
        """Columns (n_samples, n_bands, n_pairs) of samples (n_samples, n_places, n_times)."""
        covariances = band_covariances(data, sfreq, self.bands)
        n_places = data.shape[1]
        power = np.trace(covariances, axis1=-2, axis2=-1) / n_places
        ridge = np.maximum(self.shrinkage * power, _FLOOR)
        values, vectors = np.linalg.eigh(covariances + ridge[..., None, None] * np.eye(n_places))
        logs = (vectors * np.log(values)[..., None, :]) @ vectors.swapaxes(-1, -2)
        i, j = np.triu_indices(n_places)
        return logs[..., i, j] * np.where(i == j, 1.0, np.sqrt(2))


def band_covariances(data, sfreq, bands):
    """Covariances (n_samples, n_bands, n_places, n_places) of (n_samples, n_places, n_times)."""
    n_times = data.shape[2]
    taper = tukey(n_times, _TAPER, sym=False)
    n_fft = next_fast_len(max(n_times, round(sfreq)), real=True)  # lines at most 1 Hz apart
    data = (data - data.mean(axis=2, keepdims=True)) * taper
    spectrum = rfft(data, n_fft, axis=2) * np.sqrt(2 / (n_fft * (taper**2).sum()))
    freqs = rfftfreq(n_fft, 1 / sfreq)
    covariances = []
    for low, high in bands:
        part = spectrum[:, :, (freqs >= low) & (freqs < high)]
        part = np.concatenate([part.real, part.imag], axis=2)
        covariances.append(part @ part.swapaxes(1, 2))
    return np.stack(covariances, axis=1)


def _correlations(data, weights):
    """Fisher z (n_samples, n_pairs) of samples (n_samples, n_regions, n_times)."""
    i, j = np.triu_indices(len(weights), k=1)
    rows = np.empty((len(data), len(i)), dtype=np.float32)
    for row, sample in zip(rows, data, strict=True):
        series = sample - sample.mean(axis=1, keepdims=True, dtype=np.float64)
        places = _unit(weights @ _unit(series))  # regions count alike, whatever their amplitude
        row[:] = np.arctanh(_CEILING * (places @ places.T)[i, j].clip(-1, 1))
    return rows


def _unit(series):
    """Scale each series to unit length; a constant one becomes zero."""
    length = np.linalg.norm(series, axis=1, keepdims=True)
    return np.divide(series, length, out=np.zeros_like(series), where=length > 1e-9)
