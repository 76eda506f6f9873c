"""Hide part of preprocessed windows, for the network and for explicit blocks.

The network receives the tokens that are left. An explicit block is computed from what is left;
columns that lose their sources count as their mean in training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..encoder.tokens import window_tokens
from ..encoder.windows import SampleMeans
from .importance import in_band

_RAMP = 0.05  # s, edge of a hidden time span: a sharp one would add power to fast bands


@dataclass(frozen=True, eq=False)
class Hidden:
    """Channels, a time span or a band of some modalities; all of them if none is given."""

    modalities: tuple
    channels: np.ndarray | None = None  # (n_channels,) True for hidden ones
    span: tuple | None = None  # Half-open, in time points
    band: tuple | None = None  # Hz

    def covers(self, signals):
        """Return whether nothing of signals with such windows is left."""
        if self.channels is not None:
            return self.channels.all()
        if self.span is not None:
            return self.span[0] <= 0 and self.span[1] >= signals.shape[2]
        return self.band is None


# ------------------------------------------------------------------------------- the network


def take_tokens(batch, rows, hidden=None):
    """Make tokens of some windows, one batch per modality; hidden ones are padding."""
    tokens = []
    for name in batch.windows:
        if batch.is_missing[name][rows].all():
            continue
        is_touched = hidden is not None and name in hidden.modalities
        band = hidden.band if is_touched else None
        change = None if band is None else partial(change_band, limits=band)
        part = window_tokens(batch, name, rows, change)
        if is_touched and band is None:
            is_hidden = torch.from_numpy(_hidden_tokens(part, batch.windows[name].signals, hidden))
            part.is_padding[:, is_hidden] = True
            part.values[:, is_hidden] = 0.0
        tokens.append(part)
    return tokens


def _hidden_tokens(tokens, signals, hidden):
    """Mask of the tokens (n_channels * n_patches,) that are hidden."""
    n_tokens, patch = tokens.values.shape[1:3]
    mask = np.zeros((signals.shape[1], n_tokens // signals.shape[1]), dtype=bool)
    if hidden.channels is not None:
        mask[hidden.channels] = True
    elif hidden.span is not None:
        mask[:, hidden.span[0] // patch : -(-hidden.span[1] // patch)] = True
    else:
        mask[:] = True
    return mask.ravel()


def has_input(batch, hidden):
    """Return which windows (n_windows,) have something that is not hidden."""
    is_left = np.zeros(len(batch), dtype=bool)
    for name, windows in batch.windows.items():
        if name not in hidden.modalities or not hidden.covers(windows.signals):
            is_left |= ~batch.is_missing[name]
    return is_left


def hide_in_batch(batch, hidden):
    """Return a WindowBatch without what is hidden, for a network that takes arrays."""
    windows, is_missing = dict(batch.windows), dict(batch.is_missing)
    for name in batch.windows:
        if name not in hidden.modalities:
            continue
        signals = windows[name].signals
        if hidden.covers(signals):
            is_missing[name] = np.ones(len(batch), dtype=bool)
        else:
            windows[name] = replace(windows[name], signals=_cut_out(signals, hidden))
    return replace(batch, windows=windows, is_missing=is_missing)


# ----------------------------------------------------------------------------- explicit blocks


def hide_in_blocks(hidden, definitions, batches, n_samples):
    """Return blocks computed anew, and the share of each column of others that is lost."""
    changed, lost = {}, {}
    for block, (modality, feature) in definitions.items():
        windows = [batch for batch in batches if modality in batch.windows]
        if modality not in hidden.modalities or not windows:
            continue
        signals = windows[0].windows[modality].signals
        share = _lost_share(hidden, feature, signals)
        if share is not None:
            lost[block] = share
            continue
        change = partial(_cut_out, hidden=hidden)
        if feature.name != "covariance" and hidden.channels is None:
            mean = _mean_window(windows, modality)
            change = partial(_average_out, hidden=hidden, mean=mean)
        rows = _compute(feature, modality, change, windows, n_samples)
        if rows is not None:
            changed[block] = rows
    return changed, lost


def _lost_share(hidden, feature, signals):
    """Share of each column (n_columns,) that is lost; None if the block is computed anew."""
    is_fmri = signals.modality == "fmri"
    names = feature.columns(signals)
    if hidden.covers(signals):
        return np.ones(len(names))
    if hidden.channels is not None and is_fmri:
        # Other regions in their place would correlate more than neighbours ever did in training.
        left = feature.virtual.weights(signals)[:, ~hidden.channels].sum(axis=1)  # rows sum to 1
        if feature.name == "covariance":
            i, j = np.triu_indices(len(left), k=1)
            return 1.0 - left[i] * left[j]
        return 1.0 - np.tile(left, len(names) // len(left))
    if hidden.band is not None and feature.name == "covariance" and not is_fmri:
        centres = np.mean(feature.bands, axis=1)
        is_lost = in_band(centres, hidden.band).astype(float)
        return np.repeat(is_lost, len(names) // len(centres))
    return None


def _compute(feature, modality, change, batches, n_samples):
    """Compute a feature of changed windows: rows (n_samples, n_columns), or None without any."""
    means = SampleMeans(n_samples)
    for batch in batches:
        index, sample = batch.present(modality)
        if len(index):
            signals = change(batch.windows[modality].signals[index])
            means.add(sample, feature.compute(signals))
    return None if means.total is None else means.rows()


def _mean_window(batches, modality):
    """Mean of all windows of a modality (n_channels, n_times)."""
    total, count = 0.0, 0
    for batch in batches:
        index, _ = batch.present(modality)
        data = batch.windows[modality].signals.data[index]
        total, count = total + data.sum(axis=0, dtype=np.float64), count + len(index)
    return total / max(count, 1)


# ------------------------------------------------------------------------------------- signals


def _cut_out(signals, hidden):
    """Return signals without the hidden channels, time span or band."""
    if hidden.channels is not None:
        kept = np.flatnonzero(~hidden.channels)
        fields = {name: getattr(signals, name) for name in ("ch_names", "ch_types")}
        fields = {name: tuple(values[i] for i in kept) for name, values in fields.items()}
        fields |= {name: getattr(signals, name)[kept] for name in ("ch_pos", "ch_ori")}
        return signals.replace(data=signals.data[:, kept], **fields)
    if hidden.band is not None:
        return signals.replace(data=without_band(signals.data, signals.sfreq, hidden.band))
    start, stop = hidden.span
    if signals.modality == "fmri":
        data = np.delete(signals.data, slice(start, stop), axis=2)
        return signals.replace(data=data, good_segments=None)
    return signals.replace(data=_fade_out(signals, start, stop))


def _fade_out(signals, start, stop):
    """Set a time span to zero, with smooth edges; the power of the rest makes up for it."""
    data, n_times = signals.data, signals.shape[2]
    times = np.arange(n_times)
    away = np.maximum(start - times, times - stop + 1) / max(1, round(_RAMP * signals.sfreq))
    left = np.sin(np.pi / 2 * np.clip(away, 0, 1)) ** 2
    left *= np.sqrt(n_times / np.square(left).sum())
    return (data - data.mean(axis=2, keepdims=True)) * left.astype(np.float32)


def _average_out(signals, hidden, mean):
    """Replace a time span or a band by its mean over the samples."""
    data, mean = signals.data, mean.astype(np.float32)
    if hidden.span is not None:
        data, span = data.copy(), slice(*hidden.span)
        data[:, :, span] = mean[:, span]
    else:
        left = without_band(data - mean, signals.sfreq, hidden.band)
        data = left + mean
    return signals.replace(data=data)


def without_band(data, sfreq, limits):
    """Set the Fourier components of a band (..., n_times) to zero."""
    n_times = data.shape[-1]
    spectrum = np.fft.rfft(data, axis=-1)
    spectrum[..., in_band(np.fft.rfftfreq(n_times, 1 / sfreq), limits)] = 0.0
    return np.fft.irfft(spectrum, n=n_times, axis=-1).astype(np.float32)


def change_band(data, signals, *, limits):
    """Remove a band from windows (n_windows, n_channels, n_times); no channel is dropped."""
    left = without_band(data, signals.sfreq, limits)
    return left, np.zeros(data.shape[:2], dtype=bool)
