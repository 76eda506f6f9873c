"""Second order: how virtual channels vary together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._utils.validation import check_number
from ._virtual import VirtualChannels
from .second_order import fisher_z, log_covariances

#: Bands in Hz that tell rhythms apart.
BAND_BANK = ((4.0, 8.0), (8.0, 12.0), (12.0, 16.0), (16.0, 24.0), (24.0, 34.0), (34.0, 45.0))


@dataclass(frozen=True)
class Covariance:
    """Covariance of virtual channels, flattened by the matrix logarithm or Fisher z.

    EEG and MEG: the covariance ``C`` of the virtual channels in each band, plus ``shrinkage``
    times its mean power on the diagonal; ``log C`` above and on the diagonal, off-diagonal
    entries times the square root of 2, so that distances of rows are log-Euclidean distances.
    fMRI: ``arctanh(0.99 r)`` of the correlations ``r`` of virtual regions.

    Parameters
    ----------
    n_channels : int
        Virtual channels of EEG and MEG, as of :class:`VirtualChannels`.
    bands : sequence of (float, float)
        Lowest (included) and highest (excluded) frequency in Hz of each band; EEG and MEG only.
    shrinkage : float
        What is added to the diagonal, relative to the mean power.
    n_regions : int
        Virtual regions of fMRI.
    kernel : float
        Their width in m.

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
    n_regions: int = 300
    kernel: float = 0.006

    def __post_init__(self):
        self.virtual  # noqa: B018 (checks its parameters)
        check_number("shrinkage", self.shrinkage, low=0, high=1, low_open=True)
        bands = tuple(tuple(band) for band in self.bands)
        if not bands or any(len(band) != 2 for band in bands):
            raise ValueError(f"bands must be pairs of frequencies in Hz, got {self.bands!r}.")
        for low, high in bands:
            check_number("bands", low, low=0)
            check_number("bands", high, low=low, low_open=True)
        object.__setattr__(self, "bands", bands)

    @property
    def virtual(self):
        """The virtual channels that covariances are computed of."""
        return VirtualChannels(self.n_channels, self.n_regions, self.kernel)

    def columns(self, signals):
        """Name the columns.

        Parameters
        ----------
        signals : Signals
            Samples; only their modality matters.

        Returns
        -------
        names : tuple of str
            One per column of :meth:`compute`.
        """
        names = self.virtual.names(signals.modality)
        is_fmri = signals.modality == "fmri"
        pairs = zip(*np.triu_indices(len(names), k=int(is_fmri)), strict=True)
        pairs = [f"{names[i]} x {names[j]}" for i, j in pairs]
        if is_fmri:
            return tuple(pairs)
        return tuple(f"{low:g}-{high:g} Hz {pair}" for low, high in self.bands for pair in pairs)

    def compute(self, signals):
        """Compute the block.

        Parameters
        ----------
        signals : Signals
            Preprocessed windows: EEG and MEG in network units.

        Returns
        -------
        rows : ndarray, shape (n_samples, n_columns)
            Float32.

        Raises
        ------
        TypeError, ValueError
            If signals are not preprocessed, hold gaps, have positions outside any head, or a
            sampling rate too low for a band.
        """
        if getattr(signals, "modality", None) == "fmri":
            return self._correlations(signals)
        data = self.virtual.transform(signals)
        highest = max(high for _, high in self.bands)
        if highest > signals.sfreq / 2:
            raise ValueError(
                f"The band up to {highest:g} Hz needs a sampling rate of at least "
                f"{2 * highest:g} Hz, got {signals.sfreq:g} Hz."
            )
        rate = signals.sfreq
        rows = [log_covariances(sample, rate, self.bands, self.shrinkage) for sample in data]
        return np.stack(rows)

    def _correlations(self, signals):
        weights = self.virtual.weights(signals)
        return np.stack([fisher_z(sample, weights) for sample in signals.data])
