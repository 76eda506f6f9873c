"""Cross-attention of the latents: on the scalp, in the brain, in time.

B windows, H heads, M latents, S tokens (channels C x patches N), K encoder blocks
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..evaluation.docs import fill_evaluation_doc
from ..models.isolate import isolate_torch
from ._experts import by_modality, encoder_of
from .importance import layout_of, patch_times
from .maps import (
    CMAP,
    TITLES,
    draw_markers,
    draw_scalp,
    make_axes,
    make_brain_axes,
    small_colorbar,
)
from .scoring import one_modality


@fill_evaluation_doc
@dataclass(frozen=True, eq=False)
class LatentAttention:
    """Share of the attention of each latent by channel and patch.

    Parameters
    ----------
    modality : str
        Modality.
    %(layout)s
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

    def to_dataframe(self):
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


@fill_evaluation_doc
@isolate_torch()
def latent_attention(estimator, X, *, modality=None):
    """Average the cross-attention of the encoder over windows and heads.

    Parameters
    ----------
    %(fitted)s
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
    signals, device = one_modality(batches, modality), encoder.device
    total, n_windows = 0.0, 0
    for tokens, name in by_modality(batches, encoder.batch_size):
        if name == signals.modality:
            with torch.inference_mode():
                total = total + _maps_of(backbone, tokens.to(device)).sum(1)  # (K, M, S)
            n_windows += len(tokens)
    maps = (total / n_windows).cpu().numpy().reshape(*total.shape[:2], signals.shape[1], -1)
    return LatentAttention(
        signals.modality,
        **layout_of(signals),
        times=patch_times(signals, backbone.config.patch_size)[1],
        channels=maps.sum(axis=3),
        patches=maps.sum(axis=2),
    )


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
    panels = [(*shown, kind) for shown in zip(latents, maps) for kind in kinds]
    if axes is None:
        shape = (len(kinds), len(latents))
        axes = np.reshape(make_axes(None, shape, (2.3, 2.6)), shape).T
    axes = make_axes(axes, (1, len(panels)), None)
    for ax, (latent, row, kind) in zip(axes, panels):
        # White sensors are visible on the dark colours of most of the head.
        image, _ = draw_scalp(ax, attention, 100 * row, kind, contours=0, sensors="w.")
        bar = small_colorbar(
            image, ax, "attention (%)", orientation="horizontal", shrink=0.8, pad=0.05
        )
        bar.ax.locator_params(nbins=4)
        ax.set_title(f"latent {latent}, {TITLES[kind]}", fontsize=9)
    return axes[0].figure


def _draw_brains(attention, latents, maps, axes):
    axes = make_brain_axes(axes, len(latents), 4.2)
    for ax, latent, row in zip(axes, latents, maps):
        size = 2 + 60 * row / row.max()
        draw_markers(ax, attention.ch_pos, 100 * row, size, node_cmap=CMAP, node_vmin=0)
        ax.set_title(f"latent {latent}: attention (%)", fontsize=10)
    return axes[0].figure
