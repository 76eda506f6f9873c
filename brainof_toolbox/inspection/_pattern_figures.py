"""Patterns on scalp and brain."""

from __future__ import annotations

import numpy as np

from .maps import CMAP, make_axes, make_brain_axes, make_sensor_info

#: Blue and red keep apart for colour-blind readers; white is zero.
SIGNED = "RdBu_r"
_MOST_TIMES = 6
_FEWEST_SHOWN = 0.2  # regions whose magnitude is below this share of the largest are not drawn


def to_evoked(part, row):
    """Return a map per bin as an Evoked."""
    import mne

    data = np.stack([maps[row] for maps in part.maps().values()], axis=1)
    step = part.times[1] - part.times[0] if len(part.times) > 1 else 2 * part.times[0]
    comment, start = f"pattern of {part.name}", float(part.times[0] - step / 2)
    return mne.EvokedArray(
        data, _info(part, 1 / step), tmin=start, comment=comment, verbose="error"
    )


def plot(part, row, label, axes=None):
    """Draw the maps of one output."""
    maps = {name: values[row] for name, values in part.maps().items()}
    if part.modality == "fmri":
        return _plot_brains(part, maps, label, axes)
    if len(part.times):
        maps = _strongest(maps)
    return _plot_scalps(part, maps, label, axes)


def _strongest(maps):
    """Keep the strongest map of each of a few equal parts of time."""
    names = list(maps)
    parts = np.array_split(np.arange(len(names)), min(_MOST_TIMES, len(names)))
    power = [np.square(values).sum() for values in maps.values()]
    chosen = [names[max(part, key=power.__getitem__)] for part in parts]
    return {name: maps[name] for name in chosen}


def _info(part, sfreq=1.0):
    kind = "eeg" if part.modality == "eeg" else "mag"
    return make_sensor_info(part.ch_names, [kind] * len(part.ch_names), part.ch_pos, sfreq)


def _plot_scalps(part, maps, label, axes):
    """Draw topographies side by side, with one scale."""
    import mne

    axes = make_axes(axes, len(maps), (2.0, 2.4))
    top = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    info = _info(part)
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        image, _ = mne.viz.plot_topomap(
            values,
            info,
            axes=ax,
            show=False,
            extrapolate="head",
            cmap=SIGNED,
            contours=4,
            vlim=(-top, top),
        )
        ax.set_title(name, fontsize=9)
    what = "log power" if part.bands else "amplitude"
    bar = axes[0].figure.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label(f"pattern of {what}\n{label}", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return axes[0].figure


def _plot_brains(part, maps, label, axes):
    """Draw regions in glass brains, the larger the stronger."""
    from nilearn import plotting

    from ..io.regions import head_to_mni

    axes = make_brain_axes(axes, len(maps), 4.5)
    places = head_to_mni(part.ch_pos) * 1e3  # mm
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        is_signed = (values < 0).any()
        size = np.abs(values) / (np.abs(values).max() or 1.0)
        kept = size >= min(_FEWEST_SHOWN, np.sort(size)[-2])  # two regions at least
        order = np.flatnonzero(kept)[np.argsort(size[kept])]  # strong ones on top
        top = float(np.abs(values).max()) or 1.0
        plotting.plot_markers(
            values[order],
            places[order],
            node_size=2 + 70 * size[order] ** 2,
            node_cmap=SIGNED if is_signed else CMAP,
            node_vmin=-top if is_signed else 0,
            node_vmax=top,
            node_kwargs={"edgecolors": "0.3", "linewidths": 0.3},
            display_mode="xz",
            axes=ax,
            colorbar=True,
        )
        ax.set_title(f"{name}, {label}", fontsize=9)
    return axes[0].figure
