"""Preprocessed windows -> tokens of the network, and outputs -> one row per sample."""

from __future__ import annotations

import numpy as np
import torch

from ..models import make_tokens
from .blocks import LATENTS, ColumnsDifferError
from .windows import SampleMeans

__all__ = ["average_over_windows", "batch_tokens", "refuse_maps", "window_tokens"]


def refuse_maps(signals):
    """Raise if samples of fMRI are maps of one volume; automatic features are then others."""
    if signals.modality == "fmri" and signals.shape[2] == 1:
        raise ColumnsDifferError(
            LATENTS,
            "The samples are maps of one volume, but the network is trained on series and has no "
            "latents of them. Use features='auto' or 'evoked', and adaptation='probe'.",
        )


def batch_tokens(batch, rows):
    """Make tokens of some windows, one batch per modality in reading order."""
    present = [name for name in batch.windows if not batch.is_missing[name][rows].all()]
    return [window_tokens(batch, name, rows) for name in present]


def window_tokens(batch, modality, rows, change=None):
    """Make tokens of some windows of one modality."""
    windows, index = batch.windows[modality], batch.rows[modality][rows]
    signals, data = windows.signals, windows.signals.data[index]
    is_missing = batch.is_missing[modality][rows][:, None]  # (n_windows, 1)
    if change is not None:
        data, is_dropped = change(data, signals)
        is_missing = is_missing | is_dropped  # (n_windows, n_channels)
    refuse_maps(signals)
    tokens = make_tokens(
        data,
        signals.sfreq,
        signals.ch_pos,
        signals.ch_ori,
        signals.ch_types,
        signals.modality,
        log_scale=windows.log_scale[index],
    )
    n_tokens = tokens.values.shape[1]
    is_missing = np.repeat(is_missing, n_tokens // is_missing.shape[1], axis=1)
    tokens.is_padding[torch.from_numpy(is_missing)] = True
    tokens.values[torch.from_numpy(is_missing)] = 0.0
    return tokens


def average_over_windows(
    function, batches, n_samples, batch_size, device, *, only=None, take=batch_tokens
):
    """Apply a network to tokens and average its output over each sample's windows."""
    # ``take(batch, rows)`` makes the tokens; ``only`` restricts the samples.
    # -> rows (n_samples, F).
    means = SampleMeans(n_samples)
    with torch.inference_mode():
        for batch in batches:
            wanted = np.arange(len(batch))
            if only is not None:
                wanted = np.flatnonzero(np.isin(batch.sample, only))
            for start in range(0, len(wanted), batch_size):
                rows = wanted[start : start + batch_size]
                tokens = [part.to(device) for part in take(batch, rows)]
                means.add(batch.sample[rows], function(tokens).double().cpu().numpy())
    return means.rows()
