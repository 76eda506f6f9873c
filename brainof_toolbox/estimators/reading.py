"""From preprocessed windows to what a network takes, and back to one row per sample."""

from __future__ import annotations

import numpy as np
import torch

from ..models import make_tokens


def block_tokens(block, rows):
    """Tokens of some windows, one batch per modality in reading order."""
    there = [name for name in block.windows if not block.is_missing[name][rows].all()]
    return [window_tokens(block, name, rows) for name in there]


class Arrays(list):
    """Arrays of some windows that stay where they are."""

    def to(self, device):
        """Return itself: the authors' transform takes arrays of the CPU."""
        return self


def block_arrays(block, rows):
    """Preprocessed arrays of some windows."""
    return [
        Arrays(
            [
                block.windows[name].signals.data[block.rows[name][row]]
                for name in block.windows
                if not block.is_missing[name][row]
            ]
            for row in rows
        )
    ]


def window_tokens(block, modality, rows, change=None):
    """Tokens of some windows of one modality."""
    windows, index = block.windows[modality], block.rows[modality][rows]
    signals, data = windows.signals, windows.signals.data[index]
    is_missing = block.is_missing[modality][rows][:, None]  # (n_windows, 1)
    if change is not None:
        data, is_dropped = change(data, signals)
        is_missing = is_missing | is_dropped  # (n_windows, n_channels)
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
    function, blocks, n_samples, batch_size, device, *, only=None, take=block_tokens
):
    """Run windows through a network and average what comes out over each sample's windows."""
    # -> rows (n_samples, F).
    total, count = None, np.zeros((n_samples, 1))
    with torch.inference_mode():
        for block in blocks:
            wanted = np.arange(len(block))
            if only is not None:
                wanted = np.flatnonzero(np.isin(block.sample, only))
            for start in range(0, len(wanted), batch_size):
                rows = wanted[start : start + batch_size]
                tokens = [part.to(device) for part in take(block, rows)]
                values = function(tokens).double().cpu().numpy()
                if total is None:
                    total = np.zeros((n_samples, values.shape[1]))
                np.add.at(total, block.sample[rows], values)
                np.add.at(count, block.sample[rows], 1.0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def pool(latents, pooling):
    """Latents to one vector per window."""
    # latents (B, M, D) -> features (B, D), (B, 2 D) or (B, M D).
    if pooling == "mean":
        return latents.mean(dim=1)
    if pooling == "mean+std":
        return torch.cat([latents.mean(dim=1), latents.std(dim=1, correction=0)], dim=1)
    return latents.flatten(1)
