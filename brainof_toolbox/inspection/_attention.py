"""Where the latents look: on the scalp, in the brain, in time.

B windows, H heads, M latents, S tokens (channels C x patches N), K encoder blocks
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .._utils.validation import check_option
from ..estimators._base import check_device
from ._experts import _by_modality, network_of
from ._maps import CMAP, make_axes, make_sensor_info


@dataclass(frozen=True, eq=False)
class LatentAttention:
    """What share of its attention each latent gives to each channel and patch.

    Parameters
    ----------
    modality : str
        What is looked at.
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


def latent_attention(estimator, X, *, modality=None):
    """Average the cross-attention of the encoder: where each latent looks.

    Parameters
    ----------
    estimator : BrainOFEmbedder | BrainOFClassifier | BrainOFRegressor
        Fitted.
    X : object
        Samples in any accepted form, of one montage and one length of windows.
    modality : str | None
        Which one; ``None`` where there is only one. It is read by itself.

    Returns
    -------
    attention : LatentAttention
        Mean over windows and heads.

    Raises
    ------
    ValueError
        If the estimator is not fitted, there are several modalities and none is named, or samples
        have several montages.

    See Also
    --------
    plot_latent_attention : On the scalp or in the brain.
    """
    backbone = network_of(estimator)
    signals = _signals(estimator, X, modality)
    device = check_device(estimator.device)
    backbone.to(device).eval()
    total, n_windows = 0.0, 0
    for tokens, name in _by_modality(estimator, X):
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


def _signals(estimator, X, modality):
    """Names and places of the modality, if there is one montage."""
    from ._scoring import one_montage

    found = one_montage(list(estimator._blocks(estimator._as_sources(X, reset=False))))
    if modality is None:
        if len(found) > 1:
            raise ValueError(f"Name the modality: there are {', '.join(found)}.")
        return next(iter(found.values()))
    return found[check_option("modality", modality, tuple(found))]


def _maps_of(backbone, tokens):
    """Attention of every block (K, B, M, S), mean over heads, while the encoder reads."""
    place, content = backbone.place(tokens), backbone.content(tokens)
    x, found = backbone.latents.expand(len(tokens), -1, -1), []
    for block in backbone.encoder.blocks:
        found.append(block.attention.weights(x, place, content, tokens.is_padding).mean(1))
        x = block(x, place, content, tokens.is_padding)
    return torch.stack(found).double()


def plot_latent_attention(attention, latents=(0, 1, 2, 3), *, block=-1, axes=None):
    """Draw where some latents look.

    Parameters
    ----------
    attention : LatentAttention
        From :func:`latent_attention`.
    latents : sequence of int
        Which ones.
    block : int
        Which block of the encoder; the last one by default.
    axes : sequence of matplotlib.axes.Axes | None
        One per latent and type of sensor, latents side by side; ``None`` makes a figure.

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
    maps = attention.channels[block][list(latents)]  # (n_shown, n_channels)
    if attention.modality == "fmri":
        return _draw_brains(attention, latents, maps, axes)
    import mne

    from ._maps import TITLES, merge

    kinds = [kind for kind in TITLES if kind in attention.ch_types]
    axes = make_axes(axes, len(latents) * len(kinds), (2.3, 2.6))
    for column, (latent, row) in enumerate(zip(latents, maps)):
        for line, kind in enumerate(kinds):
            ax = axes[column * len(kinds) + line]
            chosen = np.flatnonzero(np.array(attention.ch_types) == kind)
            names, places, values = merge(attention, row, chosen)
            shown = "eeg" if kind == "eeg" else "mag"
            info = make_sensor_info(names, [shown] * len(names), places)
            image, _ = mne.viz.plot_topomap(
                100 * values,
                info,
                axes=ax,
                show=False,
                extrapolate="head",
                cmap=CMAP,
                contours=0,
                sensors=True,
            )
            ax.set_title(f"latent {latent}, {TITLES[kind]}", fontsize=9)
            bar = ax.figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.8, pad=0.05)
            bar.set_label("attention (%)", fontsize=8)
            bar.ax.tick_params(labelsize=7)
            bar.ax.locator_params(nbins=4)
    return axes[0].figure


def _draw_brains(attention, latents, maps, axes):
    from nilearn import plotting

    from ..io._regions import head_to_mni

    axes = make_axes(axes, len(latents), (4.2, 2.4))
    places = head_to_mni(attention.ch_pos) * 1e3  # mm
    for ax, latent, row in zip(axes, latents, maps):
        plotting.plot_markers(
            100 * row,
            places,
            node_size=2 + 60 * row / row.max(),
            node_cmap=CMAP,
            node_vmin=0,
            display_mode="xz",
            axes=ax,
            colorbar=True,
        )
        ax.set_title(f"latent {latent}: attention (%)", fontsize=9)
    return axes[0].figure
