"""Axes, topographies and glass brains that the figures share."""

from __future__ import annotations

import numpy as np

from ..io.regions import head_to_mni

#: Lightness increases evenly: readable in grey and by colour-blind readers.
CMAP = "cividis"
TITLES = {"eeg": "EEG", "mag": "magnetometers", "grad": "gradiometers"}
MODALITY_TITLES = {"fmri": "fMRI", "eeg": "EEG", "meg": "MEG"}
_SAME_PLACE = 1e-4  # m


def make_axes(axes, shape, size, **options):
    """Return axes to draw in, row by row; those of a new figure are ``size`` inches each."""
    import matplotlib.pyplot as plt

    n_rows, n_columns = shape
    if axes is None:
        options = {"layout": "constrained", **options}
        figsize = (size[0] * n_columns, size[1] * n_rows)
        _, axes = plt.subplots(n_rows, n_columns, figsize=figsize, squeeze=False, **options)
    axes = list(np.ravel(axes))
    if len(axes) != n_rows * n_columns:
        raise ValueError(f"This figure needs {n_rows * n_columns} axes, got {len(axes)}.")
    return axes


def make_brain_axes(axes, count, width):
    """Return axes to draw glass brains into; nilearn places its own in them."""
    place = {"left": 0.01, "right": 0.96, "top": 0.86, "bottom": 0.02, "wspace": 0.12}
    return make_axes(axes, (1, count), (width, 2.6), layout=None, gridspec_kw=place)


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


def draw_scalp(ax, layout, values, kind, **options):
    """Draw a topography of the sensors of one type; return the image and the largest's name."""
    # values (n_channels,).
    import mne

    names, places, values = _merge(layout, values, kind)
    shown = "eeg" if kind == "eeg" else "mag"  # for gradiometers MNE would need pairs
    info = make_sensor_info(names, [shown] * len(names), places)
    options = {"cmap": CMAP, "contours": 4, "extrapolate": "head", "show": False, **options}
    image, _ = mne.viz.plot_topomap(values, info, axes=ax, **options)
    return image, names[int(np.argmax(values))]


def _merge(layout, values, kind):
    """Add up the values of sensors of one type at one place, as of pairs of gradiometers."""
    names, places, sums = [], [], []
    for row in np.flatnonzero(np.array(layout.ch_types) == kind):
        away = np.linalg.norm(np.reshape(places, (-1, 3)) - layout.ch_pos[row], axis=1)
        if (away < _SAME_PLACE).any():
            sums[away.argmin()] += values[row]
            continue
        names.append(layout.ch_names[row])
        places.append(layout.ch_pos[row])
        sums.append(values[row])
    return names, np.array(places), np.array(sums)


def draw_markers(ax, ch_pos, values, size, **options):
    """Draw regions in a glass brain, with markers of a size in points squared."""
    from nilearn import plotting

    plotting.plot_markers(
        values,
        head_to_mni(ch_pos) * 1e3,  # mm
        node_size=size,
        node_kwargs={"edgecolors": "0.3", "linewidths": 0.3},  # light ones on white
        display_mode="xz",
        axes=ax,
        colorbar=True,
        **options,
    )


def small_colorbar(image, ax, label, **options):
    """Add a colour bar with small letters."""
    axes = np.ravel(ax)
    bar = axes[0].figure.colorbar(image, ax=ax, **options)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return bar
