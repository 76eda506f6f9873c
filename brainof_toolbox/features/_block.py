"""What blocks have in common: parameters, names of columns, the way from windows to samples."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from ._virtual import VirtualChannels, check_preprocessed


@dataclass(frozen=True, kw_only=True)
class Block:
    """Base of the blocks: numbers computed from one sample, and a name for each.

    Parameters
    ----------
    n_channels, n_regions, kernel, regions : int, int, float, str
        Virtual channels, as of :class:`VirtualChannels`.

    Attributes
    ----------
    name : str
        The name by which :func:`get_blocks` finds the block.
    version : int
        Rises when equal parameters give other numbers.
    """

    # A block implements _columns(signals) and _rows(signals, weights), where weights are those of
    # its virtual channels (n_places, n_channels), and _obstacle(signals) if it has conditions.
    name: ClassVar[str]
    version: ClassVar[int]

    n_channels: int = 32
    n_regions: int = 300
    kernel: float = 0.006
    regions: str = "places"

    def __post_init__(self):
        self.virtual  # noqa: B018 (checks its parameters)

    @property
    def virtual(self):
        """The virtual channels that the block is computed from."""
        return VirtualChannels(self.n_channels, self.n_regions, self.kernel, self.regions)

    def fingerprint(self):
        """Return what decides the numbers of the block.

        Returns
        -------
        values : dict
            Name, version and all parameters, as JSON-ready values. :func:`get_blocks` makes the
            block from it.
        """
        values = {"name": self.name, "version": self.version, **asdict(self)}
        return json.loads(json.dumps(values))

    def is_available(self, signals):
        """Return whether the block applies to these signals.

        Parameters
        ----------
        signals : Signals
            Samples, or windows cut out of them.

        Returns
        -------
        is_available : bool
            If ``False``, :meth:`compute` raises an error with the reason.
        """
        return self._obstacle(signals) is None

    def columns(self, signals):
        """Name the columns.

        Parameters
        ----------
        signals : Signals
            Samples; their modality matters, for some blocks their length, and with
            ``regions="own"`` the names of their regions.

        Returns
        -------
        names : tuple of str
            One per column of :meth:`compute`.
        """
        return self._columns(signals)

    def compute(self, signals):
        """Compute the block, one row per entry of the signals.

        Parameters
        ----------
        signals : Signals
            Preprocessed windows: EEG and MEG in network units.

        Returns
        -------
        rows : ndarray, shape (n_windows, n_columns)
            Float32. A row depends on its own window only.

        Raises
        ------
        TypeError, ValueError
            If signals are not preprocessed, hold gaps, have positions outside any head, or are of
            a kind that the block does not apply to.
        """
        self.virtual._check_montage(signals)
        # Own regions need no map: its matrix would grow with the square of the voxels.
        is_mapped = not self.virtual._keeps_regions(signals)
        weights = self.virtual.weights(signals) if is_mapped else None
        check_preprocessed(signals)
        obstacle = self._obstacle(signals)
        if obstacle:
            raise ValueError(f"The block {self.name!r} does not apply: {obstacle}")
        return self._rows(signals, weights).reshape(len(signals), -1).astype(np.float32)

    def compute_samples(self, windows, is_missing=None):
        """Compute the block of whole samples: the mean over the windows of each.

        Parameters
        ----------
        windows : Windows
            Preprocessed windows of one modality, and the sample of each.
        is_missing : array-like of bool, shape (n_samples,) | None
            Samples without this modality, whose values are not read.

        Returns
        -------
        rows : ndarray, shape (n_samples, n_columns)
            Float32; NaN where a sample is missing.
        """
        sample, signals = windows.sample, windows.signals
        rows = np.full((sample[-1] + 1, len(self.columns(signals))), np.nan, dtype=np.float32)
        if is_missing is not None:
            is_read = ~np.asarray(is_missing, dtype=bool)[sample]
            if not is_read.any():
                return rows
            sample, signals = sample[is_read], signals[is_read]
        first = np.flatnonzero(np.diff(sample, prepend=-1))  # windows are in order of samples
        count = np.diff(first, append=len(sample))
        total = np.add.reduceat(self.compute(signals), first, axis=0, dtype=np.float64)
        rows[sample[first]] = total / count[:, None]
        return rows

    def _obstacle(self, signals):
        """Return why the block does not apply to signals, or None."""


def why_not_locked(signals):
    """Return why courses or levels do not correspond across samples, or None."""
    if signals.modality != "fmri" and not signals.is_locked:
        return (
            "these samples are recordings, runs or windows of them, whose start has no place "
            "relative to an event (Signals.is_locked). Use epochs or trials, and a window that "
            "holds a whole one."
        )
    if signals.modality == "fmri" and not signals.has_baseline:
        return (
            "each sample of fMRI is standardised by itself, which leaves no mean. Cut trials out "
            "of standardised runs (epochs_from_bids), or set has_baseline=True if values are "
            "relative to a baseline."
        )
    return None
