"""Reconstruction of hidden signals by the pretrained network.

B samples, C channels, T time points, S tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .._utils.validation import as_seed, check_number, check_option
from ..models.config import MODALITY_CODES, SENSOR_TYPES
from ..models.isolate import isolate_torch
from ..pretraining.batch import GridBatch, from_patches, to_tokens
from ..pretraining.config import PretrainingConfig
from ..pretraining.corruption import corrupt, draw_masks
from ..pretraining.objective import select_tokens
from ._experts import encoder_of
from .maps import CMAP, TITLES, make_sensor_info, merge


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
    modality : str | None
        Which one; ``None`` where there is only one.
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
    names = (signals.ch_names, signals.ch_types, signals.ch_pos, signals.sfreq)
    return Reconstruction(signals.modality, *arrays, *names)


def _grids(encoder, X, modality):
    """Return windows with their montage, and the same as the pretraining objective takes them."""
    from ._scoring import one_montage

    batches = list(encoder.windows(X))
    present = one_montage(batches)
    if modality is None and len(present) > 1:
        raise ValueError(f"Name the modality: there are {', '.join(present)}.")
    name = (
        next(iter(present))
        if modality is None
        else check_option("modality", modality, tuple(present))
    )
    grids = []
    for batch in (batch for batch in batches if name in batch.windows):
        rows, _ = batch.present(name)
        for start in range(0, len(rows), encoder.batch_size):
            part = rows[start : start + encoder.batch_size]
            grids.append(_grid(batch.windows[name], part))
    return present[name], grids


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


def _draw(found, sample, channels, axes):
    import matplotlib.pyplot as plt

    kinds = [kind for kind in TITLES if kind in found.ch_types][:1]
    if axes is None:
        _, axes = plt.subplot_mosaic(
            [["time"] * 2, ["spectrum", "topo"] if kinds else ["spectrum"] * 2],
            figsize=(8.5, 6.0),
            layout="constrained",
        )
        axes, inset = [axes["time"], axes["spectrum"]], axes.get("topo")
        if kinds:
            inset.axis("off")
            axes += [
                inset.inset_axes([0.0, 0.05, 0.45, 0.8]),
                inset.inset_axes([0.55, 0.05, 0.45, 0.8]),
            ]
    axes = list(np.ravel(axes))
    wanted = 4 if kinds else 2
    if len(axes) != wanted:
        raise ValueError(f"This figure needs {wanted} axes, got {len(axes)}.")
    original, output = found.original[sample], found.reconstructed[sample]
    _draw_time(axes[0], found, sample, _rows(found, original, channels))
    frequencies = np.fft.rfftfreq(original.shape[1], 1 / found.sfreq)[1:]
    for data, style, label in ((original, "-", "original"), (output, "--", "reconstruction")):
        power = np.square(np.abs(np.fft.rfft(data, axis=1)))[:, 1:].mean(axis=0)
        axes[1].loglog(frequencies, power, style, color=_COLOURS[label], label=label)
    axes[1].set(xlabel="frequency (Hz)", ylabel="power (squared network units)")
    axes[1].legend(frameon=False)
    if kinds:
        _draw_topographies(axes[2:], found, sample, kinds[0])
    return axes[0].figure


_COLOURS = {"original": "black", "reconstruction": "#D55E00"}


def _rows(found, original, channels):
    if channels is None:
        return np.sort(np.argsort(-original.var(axis=1))[:3])
    rows = []
    for channel in channels:
        if isinstance(channel, str):
            check_option("channels", channel, found.ch_names)
            channel = found.ch_names.index(channel)
        rows.append(channel)
    return np.array(rows)


def _draw_time(ax, found, sample, rows):
    time = np.arange(found.original.shape[2]) / found.sfreq
    step = 3 * float(found.original[sample][rows].std()) or 1.0
    for line, row in enumerate(rows):
        for data, style, label in (
            (found.original, "-", "original"),
            (found.reconstructed, "--", "reconstruction"),
        ):
            values = data[sample, row] - line * step
            ax.plot(
                time, values, style, color=_COLOURS[label], lw=1, label=label if not line else None
            )
        ax.fill_between(
            time,
            -(line + 0.5) * step,
            -(line - 0.5) * step,
            where=found.is_hidden[sample, row],
            color="0.88",
            step="mid",
            zorder=0,
        )
    ax.set_yticks(-step * np.arange(len(rows)), [found.ch_names[row] for row in rows])
    title = f"hidden stretches shaded; error relative to zero {found.relative_loss:.2f}"
    ax.set(xlabel="time (s)", xlim=(time[0], time[-1]), title=title)
    ax.legend(frameon=False, ncols=2, loc="upper right", fontsize=8)


def _draw_topographies(axes, found, sample, kind):
    import mne

    rows = np.flatnonzero(np.array(found.ch_types) == kind)
    spreads = []
    for data in (found.original, found.reconstructed):
        hidden = np.where(found.is_hidden[sample], np.square(data[sample]), 0.0).sum(axis=1)
        count = np.maximum(found.is_hidden[sample].sum(axis=1), 1)
        spreads.append(np.sqrt(hidden / count))
    top = max(float(spread[rows].max()) for spread in spreads)
    for ax, spread, label in zip(axes, spreads, ("original", "reconstruction")):
        names, places, values = merge(found, spread, rows)
        info = make_sensor_info(names, ["eeg" if kind == "eeg" else "mag"] * len(names), places)
        mne.viz.plot_topomap(
            values,
            info,
            axes=ax,
            show=False,
            extrapolate="head",
            cmap=CMAP,
            contours=0,
            vlim=(0, top),
        )
        ax.set_title(f"{label}\nspread up to {top:.2g}", fontsize=9)
