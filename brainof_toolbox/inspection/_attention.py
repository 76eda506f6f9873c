"""Cross-attention of the latents: on the scalp, in the brain, in time.

B windows, H heads, M latents, S tokens (channels C x patches N), K encoder blocks
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from .._utils.validation import check_option
from ..models.isolate import isolate_torch
from ._experts import by_modality, encoder_of
from .maps import CMAP, TITLES, make_axes, make_brain_axes, make_sensor_info, merge


@dataclass(frozen=True, eq=False)
class LatentAttention:
    """Share of the attention of each latent by channel and patch.

    Parameters
    ----------
    modality : str
        Modality.
    ch_names : tuple of str
        Sensors or regions.
    ch_types : tuple of str
        Their types.
    ch_pos : ndarray, shape (n_channels, 3)
        Metres, head frame.
    times : ndarray, shape (n_patches,)
        Centres of the patches, s.
    channels : ndarray, shape (n_blocks, n_latents, n_channels)
        By block of the encoder; each row sums to one.
    patches : ndarray, shape (n_blocks, n_latents, n_patches)
        The same over time.
    """

    modality: str
    ch_names: tuple
    ch_types: tuple
    ch_pos: np.ndarray
    times: np.ndarray
    channels: np.ndarray
    patches: np.ndarray

    def to_frame(self):
        """Return all numbers in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``modality, block, latent, kind, name, share``; blocks and latents count from
            0 as in the arrays, kinds are ``channel`` and ``time`` (s, centre of the patch).
            Shares of a block, latent and kind add up to 1.
        """
        kinds = (("channel", self.ch_names, self.channels), ("time", self.times, self.patches))
        tables = []
        for kind, names, shares in kinds:
            block, latent, place = (i.ravel() for i in np.indices(shares.shape))
            columns = {"block": block, "latent": latent, "kind": kind}
            columns["name"] = np.array(names, dtype=object)[place]
            tables.append(pd.DataFrame({**columns, "share": shares.ravel()}))
        frame = pd.concat(tables, ignore_index=True)
        frame.insert(0, "modality", self.modality)
        return frame


@isolate_torch()
def latent_attention(estimator, X, *, modality=None):
    """Average the cross-attention of the encoder over windows and heads.

    Parameters
    ----------
    estimator : BrainOFEmbedder | BrainOFClassifier | BrainOFRegressor
        Fitted.
    X : object
        Samples in any accepted form, of one montage, one rate and one length of windows.
    modality : str | None
        Modality, which is read by itself; ``None`` where there is only one.

    Returns
    -------
    attention : LatentAttention
        Mean over windows and heads.

    Raises
    ------
    ValueError
        If the estimator is not fitted, there are several modalities and none is named, no sample
        has the one that is named, or samples have several montages, rates or lengths.

    See Also
    --------
    plot_latent_attention : On the scalp or in the brain.
    """
    encoder, backbone = encoder_of(estimator)
    batches = list(encoder.windows(X))
    signals, device = _signals(batches, modality), encoder.device
    total, n_windows = 0.0, 0
    for tokens, name in by_modality(batches, encoder.batch_size):
        if name == signals.modality:
            with torch.inference_mode():
                total = total + _maps_of(backbone, tokens.to(device)).sum(1)  # (K, M, S)
            n_windows += len(tokens)
    n_channels, n_times = signals.shape[1:]
    maps = (total / n_windows).cpu().numpy().reshape(*total.shape[:2], n_channels, -1)
    patch = backbone.config.patch_size
    starts = np.arange(maps.shape[3]) * patch
    return LatentAttention(
        signals.modality,
        signals.ch_names,
        signals.ch_types,
        signals.ch_pos,
        (starts + np.minimum(starts + patch, n_times)) / 2 / signals.sfreq,
        maps.sum(axis=3),
        maps.sum(axis=2),
    )


def _signals(batches, modality):
    """Return windows of the modality with its montage, if there is one."""
    from .scoring import one_montage

    present = {n for batch in batches for n in batch.windows if not batch.is_missing[n].all()}
    found = {name: signals for name, signals in one_montage(batches).items() if name in present}
    if modality is None:
        if len(found) > 1:
            raise ValueError(f"Name the modality: there are {', '.join(found)}.")
        modality = next(iter(found))
    return found[check_option("modality", modality, tuple(found))]


def _maps_of(backbone, tokens):
    """Return the attention of every block (K, B, M, S), averaged over heads."""
    place, content = backbone.place(tokens), backbone.content(tokens)
    x, found = backbone.latents[None], []
    for block in backbone.encoder.blocks:
        found.append(block.attention.weights(x, place, content, tokens.is_padding).mean(1))
        x = block(x, place, content, tokens.is_padding)
    return torch.stack(found).double()


def plot_latent_attention(attention, latents=(0, 1, 2, 3), *, block=-1, axes=None):
    """Draw the attention of some latents.

    Parameters
    ----------
    attention : LatentAttention
        From :func:`latent_attention`.
    latents : sequence of int
        Latents.
    block : int
        Block of the encoder; the last one by default.
    axes : sequence of matplotlib.axes.Axes | None
        One per latent and type of sensor, all types of the first latent first; ``None`` makes a
        figure with a column per latent.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Topographies of sensors (gradiometers at one place are added up); centres of regions in a
        glass brain, the larger and lighter the more attention.

    Raises
    ------
    IndexError
        If there is no such latent or block.
    """
    latents = list(latents)
    maps = attention.channels[block][latents]  # (n_shown, n_channels)
    if attention.modality == "fmri":
        return _draw_brains(attention, latents, maps, axes)
    kinds = [kind for kind in TITLES if kind in attention.ch_types]
    if axes is None:
        axes = _grid_of_axes(len(kinds), len(latents))
    axes = make_axes(axes, len(latents) * len(kinds), None)
    panels = [(*shown, kind) for shown in zip(latents, maps) for kind in kinds]
    for ax, (latent, row, kind) in zip(axes, panels):
        _draw_scalp(attention, row, kind, ax)
        ax.set_title(f"latent {latent}, {TITLES[kind]}", fontsize=9)
    return axes[0].figure


def _grid_of_axes(n_kinds, n_latents):
    """Make axes, one column per latent, column after column."""
    import matplotlib.pyplot as plt

    size = (2.3 * n_latents, 2.6 * n_kinds)
    _, axes = plt.subplots(n_kinds, n_latents, figsize=size, layout="constrained", squeeze=False)
    return axes.T.ravel()


def _draw_scalp(attention, row, kind, ax):
    """Draw one latent over sensors of one type, with its own scale."""
    import mne

    chosen = np.flatnonzero(np.array(attention.ch_types) == kind)
    names, places, values = merge(attention, row, chosen)
    # Gradiometers at one place are one by now: MNE would ask for pairs.
    shown = "eeg" if kind == "eeg" else "mag"
    image, _ = mne.viz.plot_topomap(
        100 * values,
        make_sensor_info(names, [shown] * len(names), places),
        axes=ax,
        show=False,
        extrapolate="head",
        cmap=CMAP,
        contours=0,
        sensors="w.",  # visible on the dark colours of most of the head
    )
    bar = ax.figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.8, pad=0.05)
    bar.set_label("attention (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=4)


def _draw_brains(attention, latents, maps, axes):
    from nilearn import plotting

    from ..io.regions import head_to_mni

    axes = make_brain_axes(axes, len(latents), 4.2)
    places = head_to_mni(attention.ch_pos) * 1e3  # mm
    for ax, latent, row in zip(axes, latents, maps):
        plotting.plot_markers(
            100 * row,
            places,
            node_size=2 + 60 * row / row.max(),
            node_cmap=CMAP,
            node_vmin=0,
            node_kwargs={"edgecolors": "0.3", "linewidths": 0.3},  # light ones on white
            display_mode="xz",
            axes=ax,
            colorbar=True,
        )
        ax.set_title(f"latent {latent}: attention (%)", fontsize=10)
    return axes[0].figure
