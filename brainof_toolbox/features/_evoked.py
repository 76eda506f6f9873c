"""First order: the time course of virtual channels from the start of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._utils.validation import check_number
from ._block import Block, why_not_locked


@dataclass(frozen=True, kw_only=True)
class Evoked(Block):
    """Smoothed time course of virtual channels, for samples that are locked to an event.

    EEG and MEG: means of each virtual channel around the centres of equal bins, weighted by a
    Gaussian whose standard deviation is half a bin; with bins of 50 ms it halves what oscillates
    at 7.5 Hz and leaves less than a percent at 20 Hz. fMRI: mean and slope of each virtual
    region over the sample, the slope as the change from the first to the last volume.

    Parameters
    ----------
    n_channels, n_regions, kernel, regions : int, int, float, str
        Virtual channels, as of :class:`VirtualChannels`.
    bin_width : float
        Width of the bins in s, about: they divide the sample evenly.

    Attributes
    ----------
    name : str
        ``"evoked"``.
    version : int
        Rises when equal parameters give other numbers.

    Notes
    -----
    A row is a function of its own sample. The columns depend on the length of the samples, not
    on their montage or rate. The block does not apply to recordings of EEG and MEG, nor to windows
    that were cut out of longer samples (:func:`available`). Estimators compute it from whole
    epochs, however long the windows of the network are.

    Examples
    --------
    >>> from brainof_toolbox import Preprocessing, datasets, from_epochs
    >>> from brainof_toolbox.features import Evoked
    >>> from brainof_toolbox.preprocessing import preprocess
    >>> epochs = datasets.make_epochs(n_epochs=4, random_state=0)
    >>> windows = preprocess(from_epochs(epochs), Preprocessing()).signals
    >>> Evoked(n_channels=16, bin_width=windows.duration / 10).compute(windows).shape
    (4, 160)
    """

    name: ClassVar[str] = "evoked"
    version: ClassVar[int] = 1

    bin_width: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        check_number("bin_width", self.bin_width, low=0, low_open=True)

    def centres(self, signals):
        """Return the centres of the bins of EEG and MEG.

        Parameters
        ----------
        signals : Signals
            Samples; their duration matters.

        Returns
        -------
        centres : ndarray, shape (n_bins,)
            Seconds from the start of a sample.
        """
        n_bins = max(1, round(signals.duration / self.bin_width))
        return (np.arange(n_bins) + 0.5) * signals.duration / n_bins

    def _obstacle(self, signals):
        return why_not_locked(signals)

    def _columns(self, signals):
        names = self.virtual.names(signals)
        if signals.modality == "fmri":
            return tuple(f"{what} {name}" for what in ("mean", "slope") for name in names)
        centres = self.centres(signals)
        return tuple(f"{1e3 * centre:.0f} ms {name}" for name in names for centre in centres)

    def _rows(self, signals, weights):
        if signals.modality == "fmri":
            n_times = signals.shape[2]
            line = np.linspace(-0.5, 0.5, n_times)
            slope = line / max((line**2).sum(), np.finfo(float).tiny)  # one volume: no slope
            courses = np.stack([np.full(n_times, 1 / n_times), slope])  # (2, n_times)
            levels = signals.data @ courses.T  # (n_samples, n_regions, 2)
            levels = levels if weights is None else weights @ levels
            return levels.swapaxes(1, 2)  # (n_samples, 2, n_places)
        # In this order the work grows with the channels once, not with the places.
        return weights @ (signals.data @ self._bins(signals).T)  # (n_samples, n_places, n_bins)

    def _bins(self, signals):
        """Weights of the time points in each bin (n_bins, n_times); rows sum to one."""
        times = (np.arange(signals.shape[2]) + 0.5) / signals.sfreq
        centres = self.centres(signals)
        width = signals.duration / len(centres) / 2
        weights = np.exp(-(((times - centres[:, None]) / width) ** 2) / 2)
        return weights / weights.sum(axis=1, keepdims=True)
