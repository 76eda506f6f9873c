"""Importance maps, and their export as Evoked, NIfTI image, table and figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._utils.validation import choose
from ..evaluation.docs import fill_evaluation_doc
from ..io.regions import region_geometry, resolve_masker
from .maps import CMAP, TITLES, draw_scalp, make_axes, make_sensor_info

#: Hz. For fMRI, the usual bands of slow fluctuations.
BANDS = {"theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
SLOW_BANDS = {"slow-5": (0.01, 0.027), "slow-4": (0.027, 0.073), "slow-3": (0.073, 0.198)}
_COLOUR = "#0072B2"
_SHOWN = 0.8  # on brains, regions above this quantile


@fill_evaluation_doc
@dataclass(frozen=True, eq=False)
class PartImportance:
    """Importance within one modality.

    Parameters
    ----------
    %(layout)s
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

    def to_dataframe(self):
        """Return importance by channel, time and band in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``kind, name, importance``; kinds are ``channel``, ``time`` (s) and ``band``.
        """
        kinds = {
            "channel": zip(self.ch_names, self.channels),
            "time": zip(self.times.tolist(), self.patches),
            "band": self.bands.items(),
        }
        rows = [(kind, name, float(v)) for kind, entries in kinds.items() for name, v in entries]
        return pd.DataFrame(rows, columns=["kind", "name", "importance"])


@fill_evaluation_doc
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
        %(modality)s

        Returns
        -------
        part : PartImportance
            Importance of its channels, times and bands.

        Raises
        ------
        ValueError
            If there is no such modality, or if ``modality`` is None and there are several.
        """
        return self.parts[choose("modality", modality, self.parts)]

    def to_dataframe(self):
        """Return all values in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``modality, kind, name, importance``; kinds are ``channel``, ``time`` (s) and
            ``band``.
        """
        tables = {modality: part.to_dataframe() for modality, part in self.parts.items()}
        return pd.concat(tables, names=["modality", None]).reset_index(0).reset_index(drop=True)

    def to_evoked(self, modality=None):
        """Return the importance of sensors as an Evoked, for plotting with MNE.

        Parameters
        ----------
        %(modality)s

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
        import mne

        part = self.part(modality)
        if "bold" in part.ch_types:
            raise ValueError("Regions are not sensors: use to_nifti() for an image.")
        data = part.channels[:, None] if part.grid is None else part.grid
        step = part.times[1] - part.times[0] if len(part.times) > 1 else 1.0
        info = make_sensor_info(part.ch_names, part.ch_types, part.ch_pos, 1 / step)
        tmin = 0.0 if part.grid is None else float(part.times[0])
        comment = f"importance ({self.method})"
        return mne.EvokedArray(data, info, tmin=tmin, comment=comment, verbose="error")

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
        masker = resolve_masker(self.masker if masker is None else masker)
        if not masker.__sklearn_is_fitted__():
            masker.reports = False
            masker.fit()
        names, _ = region_geometry(masker)
        missing = [name for name in part.ch_names if name not in names]
        if missing:
            raise ValueError(
                f"The masker has no region {missing[0]!r} ({len(missing)} of "
                f"{len(part.ch_names)} are missing). Pass the masker that made the time series."
            )
        values = pd.Series(part.channels, part.ch_names).reindex(names, fill_value=0.0)
        image = masker.inverse_transform(values.to_numpy(np.float32)[None])
        return image.slicer[..., 0] if image.ndim == 4 else image

    def plot(self, modality=None, axes=None):
        """Draw the importance of channels: topographies, or a glass brain.

        Parameters
        ----------
        %(modality)s
        axes : matplotlib.axes.Axes | sequence of Axes | None
            Axes to draw in: one for EEG and fMRI, one each for magnetometers and gradiometers;
            ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The figure. In the brain, the most important fifth of the regions.
        """
        part = self.part(modality)
        if "bold" in part.ch_types:
            return self._plot_brain(axes)
        kinds = [kind for kind in TITLES if kind in part.ch_types]
        axes = make_axes(axes, (1, len(kinds)), (4.0, 3.4))
        for kind, ax in zip(kinds, axes):
            image, best = draw_scalp(ax, part, part.channels, kind)
            ax.set_title(f"{TITLES[kind]}, most at {best}")
            ax.figure.colorbar(image, ax=ax, shrink=0.7, label=f"importance ({self.unit})")
        return axes[0].figure

    def _plot_brain(self, axes):
        from nilearn import plotting

        (ax,) = make_axes(axes, (1, 1), (8.5, 3.2))
        image = self.to_nifti()
        plotting.plot_glass_brain(
            image,
            axes=ax,
            colorbar=True,
            plot_abs=False,
            resampling_interpolation="nearest",
            **_colours(image),
        )
        title = f"importance ({self.unit}), the most important fifth of the brain"
        ax.set_title(title, fontsize=10)
        return ax.figure

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
        from nilearn import datasets, plotting, surface

        subplots = {"layout": None, "subplot_kw": {"projection": "3d"}}
        axes = make_axes(axes, (1, 2), (4.25, 3.6), **subplots)
        mesh = datasets.load_fsaverage("fsaverage5")
        sulci = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
        image = self.to_nifti()
        painted = surface.SurfaceImage.from_volume(
            mesh["pial"], image, interpolation="nearest_most_frequent"
        )
        for ax, side in zip(axes, ("left", "right")):
            plotting.plot_surf_stat_map(
                stat_map=painted,
                surf_mesh=mesh["inflated"],
                bg_map=sulci,
                hemi=side,
                view="lateral",
                axes=ax,
                colorbar=side == "right",
                symmetric_cbar=False,
                **_colours(image),
            )
            ax.set_title(f"{side} hemisphere", fontsize=10)
        figure = axes[0].figure
        figure.suptitle(f"importance ({self.unit}), the most important fifth", fontsize=11)
        return figure

    def plot_time(self, modality=None, axes=None):
        """Draw the importance of times.

        Parameters
        ----------
        %(modality)s
        %(axes)s
        """
        part, ax = self.part(modality), self._line_axes(axes)
        ax.plot(part.times, part.patches, "o-", color=_COLOUR)
        ax.set(xlabel="time from the start of the window (s)")
        return ax.figure

    def plot_bands(self, modality=None, axes=None):
        """Draw the importance of frequency bands.

        Parameters
        ----------
        %(modality)s
        %(axes)s
        """
        part = self.part(modality)
        if not part.bands:
            raise ValueError(
                "No band lies below the Nyquist frequency of this recording; pass bands=."
            )
        ax = self._line_axes(axes)
        names = [f"{name}\n{low:g}-{high:g} Hz" for name, (low, high) in part.limits.items()]
        ax.bar(names, list(part.bands.values()), color=_COLOUR, width=0.6)
        return ax.figure

    def _line_axes(self, axes):
        (ax,) = make_axes(axes, (1, 1), (5.0, 3.0))
        ax.axhline(0, color="0.6", linewidth=0.8)
        ax.set(ylabel=f"importance ({self.unit})")
        return ax


def _colours(image):
    """Return the colours of the most important regions of an image, as options of nilearn."""
    values = np.asarray(image.dataobj)
    values = values[values != 0]
    if not len(values) or values.max() <= 0:
        raise ValueError("Importance is above 0 in no region: there is no map.")
    low, top = max(float(np.quantile(values, _SHOWN)), 0.0), float(values.max())
    low = low if 0 < low < top else top / 2
    return {"cmap": CMAP, "threshold": low, "vmin": low, "vmax": top}


def layout_of(signals):
    """Return names, types and positions of the channels, as fields of a result."""
    return {name: getattr(signals, name) for name in ("ch_names", "ch_types", "ch_pos")}


def patch_times(signals, patch_size):
    """Return the half-open spans of the patches of a window in points, and their centres in s."""
    n_times = signals.shape[2]
    starts = range(0, n_times, patch_size)
    spans = [(start, min(start + patch_size, n_times)) for start in starts]
    return spans, np.mean(spans, axis=1) / signals.sfreq


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
