"""Reconstruction of hidden signals by the pretrained network.

B samples, C channels, T time points, S tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from .._utils.validation import as_seed, check_number, check_option
from ..evaluation.docs import fill_evaluation_doc
from ..models.config import MODALITY_CODES, SENSOR_TYPES
from ..models.isolate import isolate_torch
from ..pretraining.batch import GridBatch, from_patches, to_tokens
from ..pretraining.config import PretrainingConfig
from ..pretraining.corruption import corrupt, draw_masks
from ..pretraining.objective import select_tokens
from ._experts import encoder_of
from .importance import layout_of
from .maps import TITLES, draw_scalp, make_axes
from .scoring import one_modality


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Original windows, corrupted windows, and their reconstruction.

    Parameters
    ----------
    modality : str
        Modality.
    original : ndarray, shape (n_windows, n_channels, n_times)
        Preprocessed, in units of the network: fixed physical units of some tens of microvolts or
        hundreds of femtotesla, softly limited; standard deviations of fMRI.
    corrupted : ndarray, shape (n_windows, n_channels, n_times)
        Without the removed components; hidden values are not zero here, see ``is_hidden``.
    reconstructed : ndarray, shape (n_windows, n_channels, n_times)
        Output of the decoder.
    is_hidden : ndarray of bool, shape (n_windows, n_channels, n_times)
        True where the values were hidden from the network.
    ch_names, ch_types : tuple of str
        Channels.
    ch_pos : ndarray, shape (n_channels, 3)
        Metres, head frame.
    sfreq : float
        Hz.
    """

    modality: str
    original: np.ndarray
    corrupted: np.ndarray
    reconstructed: np.ndarray
    is_hidden: np.ndarray
    ch_names: tuple
    ch_types: tuple
    ch_pos: np.ndarray
    sfreq: float

    @property
    def relative_loss(self):
        """Squared error of hidden values relative to that of predicting zero."""
        error = np.square(self.reconstructed - self.original)[self.is_hidden].sum()
        return float(error / np.square(self.original)[self.is_hidden].sum())

    def to_dataframe(self):
        """Return all values in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``window, channel, time`` (s) ``original, corrupted, reconstructed,
            is_hidden``, one row per value.
        """
        window, channel, time = (i.ravel() for i in np.indices(self.original.shape))
        arrays = ("original", "corrupted", "reconstructed", "is_hidden")
        where = {"window": window, "channel": np.array(self.ch_names, dtype=object)[channel]}
        values = {name: getattr(self, name).ravel() for name in arrays}
        return pd.DataFrame({**where, "time": time / self.sfreq, **values})

    def plot(self, sample=0, channels=None, axes=None):
        """Draw time courses, spectrum and topography, original against reconstruction.

        Parameters
        ----------
        sample : int
            Index of the window.
        channels : sequence of (str | int) | None
            Channels of the time courses; ``None``: the three with most power.
        axes : sequence of matplotlib.axes.Axes | None
            Time courses, spectrum, and for EEG and MEG two topographies; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            Hidden stretches are shaded. Topographies are of the spread over hidden patches, of
            electrodes or of magnetometers.
        """
        return _draw(self, sample, channels, axes)


@fill_evaluation_doc
@isolate_torch()
def reconstruct(
    estimator,
    X,
    *,
    modality=None,
    patch_mask_ratio=0.5,
    frequency_mask_ratio=0.3,
    random_state=None,
):
    """Hide part of the signals and reconstruct it, as in pretraining.

    Fourier components are removed, then patches are hidden; the encoder uses the rest and the
    decoder predicts everything :footcite:p:`guo2026brainof`.

    Parameters
    ----------
    estimator : BrainOFEmbedder | BrainOFClassifier | BrainOFRegressor
        Fitted. Fine-tuning does not train the decoder, whose input then changes.
    X : object
        Samples in any accepted form, of one montage and one length of windows.
    %(modality)s
    patch_mask_ratio : float
        Share of the patches that is hidden.
    frequency_mask_ratio : float
        Share of the Fourier components that is removed: along time for EEG and MEG, across
        regions for fMRI.
    random_state : int | RandomState | None
        Seed of what is hidden; ``None`` means 0.

    Returns
    -------
    reconstruction : Reconstruction
        All windows of the modality.

    Raises
    ------
    ValueError
        If the estimator is not fitted, a share is none, or there are several modalities or
        montages.

    References
    ----------
    .. footbibliography::
    """
    encoder, model = encoder_of(estimator)
    check_number("patch_mask_ratio", patch_mask_ratio, low=0, high=1, low_open=True)
    check_number("frequency_mask_ratio", frequency_mask_ratio, low=0, high=1)
    config = PretrainingConfig(
        patch_mask_ratio=patch_mask_ratio, frequency_mask_ratio=frequency_mask_ratio
    )
    device = encoder.device
    generator = torch.Generator().manual_seed(as_seed(random_state))
    patch, found = model.config.patch_size, []
    signals, grids = _grids(encoder, X, modality)
    for grid in grids:
        masks = draw_masks(grid, config, generator, patch)
        seen = corrupt(grid, masks)
        tokens = to_tokens(grid, seen, patch_size=patch).to(device)
        with torch.inference_mode():
            latents = model(select_tokens(tokens, masks.visible.to(device)))
            output = from_patches(model.decode(latents, tokens).float().cpu(), grid)
        is_hidden = masks.is_hidden.repeat_interleave(patch, dim=2)[..., : grid.data.shape[2]]
        found.append((grid.data, seen, output, is_hidden))
    arrays = [torch.cat(parts).numpy() for parts in zip(*found)]
    layout = layout_of(signals)
    return Reconstruction(signals.modality, *arrays, **layout, sfreq=signals.sfreq)


def _grids(encoder, X, modality):
    """Return windows with their montage, and the same as the pretraining objective takes them."""
    batches = list(encoder.windows(X))
    signals = one_modality(batches, modality)
    grids = []
    for batch in (batch for batch in batches if signals.modality in batch.windows):
        rows, _ = batch.present(signals.modality)
        for start in range(0, len(rows), encoder.batch_size):
            part = rows[start : start + encoder.batch_size]
            grids.append(_grid(batch.windows[signals.modality], part))
    return signals, grids


def _grid(windows, rows):
    signals, count = windows.signals, len(rows)
    n_channels, n_times = signals.shape[1:]
    types = torch.tensor([SENSOR_TYPES.index(kind) for kind in signals.ch_types])

    def spread(values):
        values = torch.tensor(np.array(values))
        return values.expand(count, *values.shape)

    return GridBatch(
        data=torch.tensor(np.array(signals.data[rows])),
        n_channels=torch.full((count,), n_channels),
        n_times=torch.full((count,), n_times),
        sfreq=torch.full((count,), float(signals.sfreq)),
        position=spread(signals.ch_pos).float(),
        orientation=spread(signals.ch_ori).float(),
        sensor_type=types.expand(count, -1),
        log_scale=torch.tensor(np.array(windows.log_scale[rows])),
        modality=MODALITY_CODES.index(signals.modality),
        datasets=("",) * count,
        index=torch.arange(count),
    )


# ------------------------------------------------------------------------------------ figures


_STYLES = {"original": ("-", "black"), "reconstruction": ("--", "#D55E00")}


def _draw(found, sample, channels, axes):
    kinds = [kind for kind in TITLES if kind in found.ch_types][:1]
    if axes is None:
        axes = _new_axes(bool(kinds))
    axes = make_axes(axes, (1, 4 if kinds else 2), None)
    pair = dict(zip(_STYLES, (found.original[sample], found.reconstructed[sample])))
    _draw_time(axes[0], found, pair, sample, _rows(found, pair["original"], channels))
    frequencies = np.fft.rfftfreq(found.original.shape[2], 1 / found.sfreq)[1:]
    for label, data in pair.items():
        style, colour = _STYLES[label]
        power = np.square(np.abs(np.fft.rfft(data, axis=1)))[:, 1:].mean(axis=0)
        axes[1].loglog(frequencies, power, style, color=colour, label=label)
    axes[1].set(xlabel="frequency (Hz)", ylabel="power (squared network units)")
    axes[1].legend(frameon=False)
    if kinds:
        _draw_topographies(axes[2:], found, pair, found.is_hidden[sample], kinds[0])
    return axes[0].figure


def _new_axes(has_scalp):
    """Make axes of time courses and spectrum, and two of topographies."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplot_mosaic(
        [["time"] * 2, ["spectrum", "topo"] if has_scalp else ["spectrum"] * 2],
        figsize=(8.5, 6.0),
        layout="constrained",
    )
    if not has_scalp:
        return list(axes.values())
    axes["topo"].axis("off")
    insets = [axes["topo"].inset_axes([left, 0.05, 0.45, 0.8]) for left in (0.0, 0.55)]
    return [axes["time"], axes["spectrum"], *insets]


def _rows(found, original, channels):
    if channels is None:
        return np.sort(np.argsort(-original.var(axis=1))[:3])
    names = [c for c in channels if isinstance(c, str)]
    for name in names:
        check_option("channels", name, found.ch_names)
    return np.array([found.ch_names.index(c) if c in names else c for c in channels])


def _draw_time(ax, found, pair, sample, rows):
    time = np.arange(found.original.shape[2]) / found.sfreq
    step = 3 * float(pair["original"][rows].std()) or 1.0
    for line, row in enumerate(rows):
        for label, data in pair.items():
            style, colour = _STYLES[label]
            shown = None if line else label
            ax.plot(time, data[row] - line * step, style, color=colour, lw=1, label=shown)
        low, high = -(line + 0.5) * step, -(line - 0.5) * step
        hidden = found.is_hidden[sample, row]
        ax.fill_between(time, low, high, where=hidden, color="0.88", step="mid", zorder=0)
    ax.set_yticks(-step * np.arange(len(rows)), [found.ch_names[row] for row in rows])
    title = f"hidden stretches shaded; error relative to zero {found.relative_loss:.2f}"
    ax.set(xlabel="time (s)", xlim=(time[0], time[-1]), title=title)
    ax.legend(frameon=False, ncols=2, loc="upper right", fontsize=8)


def _draw_topographies(axes, found, pair, is_hidden, kind):
    count = np.maximum(is_hidden.sum(axis=1), 1)
    spreads = {
        label: np.sqrt(np.square(data).sum(axis=1, where=is_hidden) / count)
        for label, data in pair.items()
    }
    is_shown = np.array(found.ch_types) == kind
    top = max(float(spread[is_shown].max()) for spread in spreads.values())
    for ax, (label, spread) in zip(axes, spreads.items()):
        draw_scalp(ax, found, spread, kind, contours=0, vlim=(0, top))
        ax.set_title(f"{label}\nspread up to {top:.2g}", fontsize=9)
