"""Second order: how virtual channels vary together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from .._utils.validation import check_number
from ._block import Block
from .second_order import fisher_z, log_covariances

#: Bands in Hz that separate rhythms.
BAND_BANK = ((4.0, 8.0), (8.0, 12.0), (12.0, 16.0), (16.0, 24.0), (24.0, 34.0), (34.0, 45.0))
_AT_ONCE = 64  # samples: bounds memory


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

    def _obstacle(self, signals):
        if signals.shape[2] == 1:
            return "these samples have one time point (maps), which has no correlations."
        return None

    def _columns(self, signals):
        names = self.virtual.names(signals)
        is_fmri = signals.modality == "fmri"
        pairs = _name_pairs(names, int(is_fmri))
        if is_fmri:
            return pairs
        return tuple(f"{low:g}-{high:g} Hz {pair}" for low, high in self.bands for pair in pairs)

    def _rows(self, signals, weights):
        if signals.modality == "fmri":
            return fisher_z(signals.data, weights)
        highest = max(high for _, high in self.bands)
        if highest > signals.sfreq / 2:
            raise ValueError(
                f"The band up to {highest:g} Hz needs a sampling rate of at least "
                f"{2 * highest:g} Hz, got {signals.sfreq:g} Hz."
            )
        chunks = (signals.data[k : k + _AT_ONCE] for k in range(0, len(signals), _AT_ONCE))
        rows = [
            log_covariances(weights @ data, signals.sfreq, self.bands, self.shrinkage)
            for data in chunks
        ]
        return np.concatenate(rows)


@lru_cache(maxsize=8)
def _name_pairs(names, k):
    """Name the pairs above the ``k``-th diagonal; there are tens of thousands for fMRI."""
    pairs = zip(*np.triu_indices(len(names), k=k), strict=True)
    return tuple(f"{names[i]} x {names[j]}" for i, j in pairs)
