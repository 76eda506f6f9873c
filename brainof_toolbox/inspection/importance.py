"""Importance maps, and their export as Evoked, NIfTI image, table and figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._utils.validation import check_option
from . import maps

#: Hz. For fMRI, the usual bands of slow fluctuations.
BANDS = {"theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
SLOW_BANDS = {"slow-5": (0.01, 0.027), "slow-4": (0.027, 0.073), "slow-3": (0.073, 0.198)}


@dataclass(frozen=True, eq=False)
class PartImportance:
    """Importance within one modality.

    Parameters
    ----------
    ch_names : tuple of str
        Sensors or regions.
    ch_types : tuple of str
        Their types.
    ch_pos : ndarray, shape (n_channels, 3)
        Metres, head frame.
    times : ndarray, shape (n_patches,)
        Centres of the patches in s from the start of a window.
    channels : ndarray, shape (n_channels,)
        Importance of each channel over all times.
    patches : ndarray, shape (n_patches,)
        Importance of each patch over all channels.
    bands : dict of str -> float
        Importance of each band over all channels and times.
    limits : dict of str -> (float, float)
        Hz, of the bands.
    grid : ndarray, shape (n_channels, n_patches) | None
        Importance of each channel at each patch, where the method gives it.
    """

    ch_names: tuple
    ch_types: tuple
    ch_pos: np.ndarray
    times: np.ndarray
    channels: np.ndarray
    patches: np.ndarray
    bands: dict
    limits: dict
    grid: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Importance:
    """Importance of channels, times and frequency bands for a decoder.

    Parameters
    ----------
    parts : dict of str -> PartImportance
        Importance within each modality.
    method : str
        ``"occlusion"`` or ``"integrated gradients"``.
    unit : str
        Unit of all values: ``"nats"`` for classifiers, ``"variance of the target"`` for
        regressors.
    n_samples : int
        Number of samples that were averaged.
    residual : float | None
        Share of the change in loss that the attributions miss (integrated gradients).
    masker : object
        Parcellation of images, as passed to the estimator.
    """

    parts: dict
    method: str
    unit: str
    n_samples: int
    residual: float | None = None
    masker: object = None

    def __repr__(self):
        sizes = ", ".join(f"{name}: {len(p.ch_names)} channels" for name, p in self.parts.items())
        return f"<Importance | {self.method}, {sizes}, {self.n_samples} samples, {self.unit}>"

    def part(self, modality=None):
        """Return the importance within one modality.

        Parameters
        ----------
        modality : str | None
            ``"eeg"``, ``"meg"`` or ``"fmri"``; ``None`` where there is only one.

        Returns
        -------
        part : PartImportance
            Importance of its channels, times and bands.

        Raises
        ------
        ValueError
            If there is no such modality, or if ``modality`` is None and there are several.
        """
        if modality is None and len(self.parts) > 1:
            raise ValueError(f"Name the modality: there are {', '.join(self.parts)}.")
        modality = next(iter(self.parts)) if modality is None else modality
        return self.parts[check_option("modality", modality, tuple(self.parts))]

    def to_frame(self):
        """Return all values in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``modality, kind, name, importance``; kinds are ``channel``, ``time`` (s) and
            ``band``.
        """
        rows = []
        for modality, part in self.parts.items():
            kinds = {
                "channel": zip(part.ch_names, part.channels),
                "time": zip(part.times.tolist(), part.patches),
                "band": part.bands.items(),
            }
            rows += [
                (modality, kind, name, float(value))
                for kind, entries in kinds.items()
                for name, value in entries
            ]
        return pd.DataFrame(rows, columns=["modality", "kind", "name", "importance"])

    def to_evoked(self, modality=None):
        """Return the importance of sensors as an Evoked, for plotting with MNE.

        Parameters
        ----------
        modality : str | None
            ``"eeg"`` or ``"meg"``; ``None`` where there is only one modality.

        Returns
        -------
        evoked : mne.EvokedArray
            One time point per patch, at its start, where the method gives channels and times
            together, else a single one. Values are importance, not volts or tesla: plot them
            with ``scalings=1``.

        Raises
        ------
        ValueError
            If the modality is fMRI or absent.
        """
        return maps.to_evoked(self.part(modality), self.method)

    def to_nifti(self, masker=None):
        """Return the importance of regions as an image.

        Parameters
        ----------
        masker : nilearn masker | atlas | None
            Parcellation; ``None`` takes that of the estimator.

        Returns
        -------
        image : nibabel.Nifti1Image
            Every voxel of a region has the region's importance; 3-D.

        Raises
        ------
        ValueError
            If there is no fMRI, or the masker has other regions.
        """
        part = self.part("fmri")
        return maps.to_nifti(part, self.masker if masker is None else masker)

    def plot(self, modality=None, axes=None):
        """Draw the importance of channels: topographies, or a glass brain.

        Parameters
        ----------
        modality : str | None
            ``"eeg"``, ``"meg"`` or ``"fmri"``; ``None`` where there is only one.
        axes : matplotlib.axes.Axes | sequence of Axes | None
            Axes to draw in: one for EEG and fMRI, one each for magnetometers and gradiometers;
            ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The figure.
        """
        part = self.part(modality)
        if "bold" in part.ch_types:
            return maps.plot_brain(self.to_nifti(), self.unit, axes)
        return maps.plot_scalp(part, self.unit, axes)

    def plot_surface(self, axes=None):
        """Draw the importance of regions on the cortical surface, both hemispheres.

        Parameters
        ----------
        axes : sequence of Axes | None
            Two axes with 3-D projection; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            Left and right hemisphere from the side, on the fsaverage5 mesh of nilearn.
        """
        return maps.plot_surface(self.to_nifti(), self.unit, axes)

    def plot_time(self, modality=None, axes=None):
        """Draw the importance of times.

        Parameters
        ----------
        modality : str | None
            ``"eeg"``, ``"meg"`` or ``"fmri"``; ``None`` where there is only one.
        axes : matplotlib.axes.Axes | None
            Axes to draw in; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The figure.
        """
        return maps.plot_time(self.part(modality), self.unit, axes)

    def plot_bands(self, modality=None, axes=None):
        """Draw the importance of frequency bands.

        Parameters
        ----------
        modality : str | None
            ``"eeg"``, ``"meg"`` or ``"fmri"``; ``None`` where there is only one.
        axes : matplotlib.axes.Axes | None
            Axes to draw in; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The figure.
        """
        return maps.plot_bands(self.part(modality), self.unit, axes)


def usable_bands(bands, signals):
    """Return the bands below the Nyquist frequency of a modality."""
    if bands is None:
        bands = SLOW_BANDS if signals.modality == "fmri" else BANDS
    for name, limits in bands.items():
        if len(limits) != 2 or not 0 <= limits[0] < limits[1]:
            raise ValueError(f"The band {name!r} must be (low, high) in Hz, got {limits!r}.")
    frequencies = np.fft.rfftfreq(signals.shape[2], 1 / signals.sfreq)
    return {
        name: tuple(map(float, limits))
        for name, limits in bands.items()
        if limits[1] <= signals.sfreq / 2 + 1e-9 and in_band(frequencies, limits).any()
    }


def in_band(frequencies, limits):
    """Return a mask of the frequencies in a band."""
    return (frequencies >= limits[0]) & (frequencies < limits[1])
