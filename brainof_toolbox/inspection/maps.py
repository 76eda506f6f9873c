"""Importance on scalp, brain, time axis and frequency axis."""

from __future__ import annotations

import numpy as np

#: Lightness increases evenly: readable in grey and by colour-blind readers.
CMAP = "cividis"
_COLOUR = "#0072B2"
TITLES = {"eeg": "EEG", "mag": "magnetometers", "grad": "gradiometers"}
_SHOWN = 0.8  # on brains, regions above this quantile
_SAME_PLACE = 1e-4  # m


def make_sensor_info(ch_names, ch_types, ch_pos, sfreq=1.0):
    """Make an Info of sensors at given positions, for drawing."""
    # ch_pos (n_channels, 3).
    import mne

    info = mne.create_info(list(ch_names), sfreq, list(ch_types), verbose="error")
    for channel, position in zip(info["chs"], ch_pos):
        channel["loc"][:3] = position
    electrodes = {
        name: position for name, kind, position in zip(ch_names, ch_types, ch_pos) if kind == "eeg"
    }
    if electrodes:
        montage = mne.channels.make_dig_montage(electrodes, coord_frame="head")
        info.set_montage(montage, on_missing="ignore", verbose="error")
    return info


def to_evoked(part, method):
    """Return the importance of sensors as an Evoked."""
    import mne

    if "bold" in part.ch_types:
        raise ValueError("Regions are not sensors: use to_nifti() for an image.")
    data = part.channels[:, None] if part.grid is None else part.grid
    step = part.times[1] - part.times[0] if len(part.times) > 1 else 1.0
    info = make_sensor_info(part.ch_names, part.ch_types, part.ch_pos, 1 / step)
    tmin = float(part.times[0] if part.grid is not None else 0.0)
    return mne.EvokedArray(
        data, info, tmin=tmin, comment=f"importance ({method})", verbose="error"
    )


def to_nifti(part, masker):
    """Return the importance of regions as a 3-D image."""
    from ..io.regions import region_geometry, resolve_masker

    masker = resolve_masker(masker)
    if not masker.__sklearn_is_fitted__():
        masker.reports = False
        masker.fit()
    names, _ = region_geometry(masker)
    missing = [name for name in part.ch_names if name not in names]
    if missing:
        raise ValueError(
            f"The masker has no region {missing[0]!r} ({len(missing)} of {len(part.ch_names)} are "
            "missing). Pass the masker that made the time series."
        )
    values = np.zeros(len(names))
    values[[names.index(name) for name in part.ch_names]] = part.channels
    image = masker.inverse_transform(values[None].astype(np.float32))
    return image.slicer[..., 0] if image.ndim == 4 else image


def plot_scalp(part, unit, axes=None):
    """Draw topographies, one for each type of sensor."""
    import mne

    kinds = [kind for kind in TITLES if kind in part.ch_types]
    axes = make_axes(axes, len(kinds), (4.0, 3.4))
    for kind, ax in zip(kinds, axes):
        rows = np.flatnonzero(np.array(part.ch_types) == kind)
        names, places, values = merge(part, part.channels, rows)
        # Gradiometers at one place are added up and drawn like magnetometers, for which MNE
        # needs no pairs by name.
        shown = "eeg" if kind == "eeg" else "mag"
        info = make_sensor_info(names, [shown] * len(names), places)
        image, _ = mne.viz.plot_topomap(
            values,
            info,
            axes=ax,
            show=False,
            extrapolate="head",
            cmap=CMAP,
            contours=4,
            vlim=(None, None),
        )
        best = names[int(np.argmax(values))]
        ax.set_title(f"{TITLES[kind]}, most at {best}")
        ax.figure.colorbar(image, ax=ax, shrink=0.7, label=f"importance ({unit})")
    return axes[0].figure


def merge(part, importance, rows):
    """Add up the importance of sensors at one place."""
    # importance (n_channels,) -> places (n_places, 3), values (n_places,).
    names, places, values = [], [], []
    for row in rows:
        near = [
            i
            for i, place in enumerate(places)
            if np.linalg.norm(place - part.ch_pos[row]) < _SAME_PLACE
        ]
        if near:
            values[near[0]] += importance[row]
            continue
        names.append(part.ch_names[row])
        places.append(part.ch_pos[row])
        values.append(importance[row])
    return names, np.array(places), np.array(values)


def plot_brain(image, unit, axes=None):
    """Draw a glass brain with the most important fifth of the regions."""
    from nilearn import plotting

    (ax,) = make_axes(axes, 1, (8.5, 3.2))
    threshold, top = _range(image)
    plotting.plot_glass_brain(
        image,
        axes=ax,
        colorbar=True,
        cmap=CMAP,
        threshold=threshold,
        vmin=threshold,
        vmax=top,
        plot_abs=False,
        resampling_interpolation="nearest",
    )
    ax.set_title(f"importance ({unit}), the most important fifth of the brain", fontsize=10)
    return ax.figure


def _range(image):
    values = np.asarray(image.dataobj)
    values = values[values != 0]
    if not len(values) or values.max() <= 0:
        raise ValueError("Importance is above 0 in no region: there is no map.")
    low, top = max(float(np.quantile(values, _SHOWN)), 0.0), float(values.max())
    return (low if 0 < low < top else top / 2), top


def plot_surface(image, unit, axes=None):
    """Draw both hemispheres from the side."""
    import matplotlib.pyplot as plt
    from nilearn import datasets, plotting, surface

    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), subplot_kw={"projection": "3d"})
    mesh = datasets.load_fsaverage("fsaverage5")
    sulci = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
    painted = surface.SurfaceImage.from_volume(
        mesh["pial"], image, interpolation="nearest_most_frequent"
    )
    threshold, top = _range(image)
    for ax, side in zip(axes, ("left", "right")):
        plotting.plot_surf_stat_map(
            stat_map=painted,
            surf_mesh=mesh["inflated"],
            bg_map=sulci,
            hemi=side,
            view="lateral",
            axes=ax,
            cmap=CMAP,
            threshold=threshold,
            vmin=threshold,
            vmax=top,
            colorbar=side == "right",
            symmetric_cbar=False,
        )
        ax.set_title(f"{side} hemisphere", fontsize=10)
    axes[0].figure.suptitle(f"importance ({unit}), the most important fifth", fontsize=11)
    return axes[0].figure


def plot_time(part, unit, axes=None):
    """Draw importance by patch."""
    (ax,) = make_axes(axes, 1, (5.0, 3.0))
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.plot(part.times, part.patches, "o-", color=_COLOUR)
    ax.set(xlabel="time from the start of the window (s)", ylabel=f"importance ({unit})")
    return ax.figure


def plot_bands(part, unit, axes=None):
    """Draw importance by frequency band."""
    (ax,) = make_axes(axes, 1, (5.0, 3.0))
    if not part.bands:
        raise ValueError(
            "No band lies below the Nyquist frequency of this recording; pass bands=."
        )
    names = [f"{name}\n{low:g}-{high:g} Hz" for name, (low, high) in part.limits.items()]
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.bar(names, list(part.bands.values()), color=_COLOUR, width=0.6)
    ax.set(ylabel=f"importance ({unit})")
    return ax.figure


def make_axes(axes, count, size):
    """Return axes to draw in, as a list."""
    import matplotlib.pyplot as plt

    if axes is None:
        width, height = size
        _, axes = plt.subplots(
            1, count, figsize=(width * count, height), layout="constrained", squeeze=False
        )
    axes = list(np.ravel(axes))
    if len(axes) != count:
        raise ValueError(f"This figure needs {count} axes, got {len(axes)}.")
    return axes


def make_brain_axes(axes, count, width):
    """Return axes to draw glass brains into, as a list; each is ``width`` inches wide."""
    import matplotlib.pyplot as plt

    if axes is None:  # nilearn places its own axes, which no layout may move afterwards
        _, axes = plt.subplots(
            1,
            count,
            figsize=(width * count, 2.6),
            gridspec_kw={"left": 0.01, "right": 0.96, "top": 0.86, "bottom": 0.02, "wspace": 0.12},
            squeeze=False,
        )
    return make_axes(axes, count, None)
