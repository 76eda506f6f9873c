"""Corruption of samples in pretraining: Fourier components are removed, then patches hidden.

The Fourier transform runs along time in each channel of EEG and MEG, and across the ordered
regions at each time point of fMRI. All samples of a batch are equally long along that axis, so
that no padding enters a transform.

B batch, C channels, T time points, F components (C / 2 + 1 or T / 2 + 1), N patches of a channel,
S tokens (C N), V visible tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..models.config import MODALITY_CODES
from ..models.tokens import TensorFields

FMRI = MODALITY_CODES.index("fmri")


@dataclass(eq=False)
class Masks(TensorFields):
    """Masks of the samples of a :class:`GridBatch`."""

    is_hidden: torch.Tensor  # (B, C, N) True where a patch is hidden
    # (B, C, F) True where a component of the orthonormal real Fourier transform is removed
    is_removed: torch.Tensor
    # (B, V) Which tokens are not hidden, in ascending order, int64; -1 where a sample has fewer
    # than V
    visible: torch.Tensor


def fourier_axis(grid):
    """Return the axis along which a batch is transformed."""
    return 1 if grid.modality == FMRI else 2


def draw_masks(grid, config, generator, patch_size):
    """Draw what is taken away."""
    # In each sample ``round(config.patch_mask_ratio * number of its patches)`` patches are hidden,
    # at least one and at most all but one; in each channel (fMRI: at each time point)
    # ``round(config.frequency_mask_ratio * F)`` components are removed. Which ones are is uniform
    # and independent. Padding is neither hidden nor removed.
    _check_dense(grid)
    is_token = grid.is_token(patch_size)  # (B, C, N)
    is_hidden = _draw_patches(is_token.flatten(1), config.patch_mask_ratio, generator)  # (B, S)
    is_removed = _draw_components(grid, config.frequency_mask_ratio, generator)
    is_visible = is_token.flatten(1) & ~is_hidden  # (B, S)
    return Masks(is_hidden.view(is_token.shape), is_removed, _list_true(is_visible))


def corrupt(grid, masks):
    """Remove the components of the samples."""
    # Patches are hidden later, when the signal has become tokens.
    # -> data (B, C, T).
    axis = fourier_axis(grid)
    components = torch.fft.rfft(grid.data, dim=axis, norm="ortho")  # (B, C, F) or (B, F, T)
    components = components.masked_fill(masks.is_removed, 0)
    size = grid.data.shape[axis]
    return torch.fft.irfft(components, n=size, dim=axis, norm="ortho")  # (B, C, T)


def _draw_patches(is_token, share, generator):
    """Return True for a share of the tokens of each row, shape (B, S)."""
    n_tokens = is_token.sum(1)  # (B,)
    # In double precision, where products round as they do in Python.
    n_hidden = (n_tokens.double() * share).round().long().clamp(min=1)  # (B,)
    n_hidden = torch.minimum(n_hidden, n_tokens - 1)
    number = torch.rand(is_token.shape, generator=generator)  # (B, S)
    order = number.masked_fill(~is_token, torch.inf).argsort(dim=1)  # (B, S), padding last
    is_first = torch.arange(order.shape[1]) < n_hidden[:, None]  # (B, S)
    return torch.zeros_like(is_token).scatter_(1, order, is_first)  # (B, S)


def _draw_components(grid, share, generator):
    """Return True for a share of the components of each channel, or of each time point."""
    if fourier_axis(grid) == 1:
        is_line, size = grid.is_time(), grid.data.shape[1]  # (B, T)
    else:
        is_line, size = grid.is_channel(), grid.data.shape[2]  # (B, C)
    n_components = size // 2 + 1
    shape = (*is_line.shape, n_components)  # (B, line, F)
    # The largest of random integers: ten times faster to find than the order of real numbers.
    number = torch.empty(shape, dtype=torch.int32).random_(generator=generator)
    chosen = number.topk(round(share * n_components), dim=-1, sorted=False).indices
    is_removed = torch.zeros(shape, dtype=torch.bool).scatter_(-1, chosen, True)
    is_removed &= is_line[..., None]  # (B, line, F)
    return is_removed.transpose(1, 2).contiguous() if fourier_axis(grid) == 1 else is_removed


def _list_true(mask):
    """Return the columns that are True in each row of (B, S), filled up with -1 to (B, V)."""
    count = mask.sum(1, keepdim=True)  # (B, 1)
    most = int(count.max())
    columns = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]  # (B, V)
    return columns.masked_fill(torch.arange(most) >= count, -1)


def _check_dense(grid):
    """Refuse samples of different lengths along the axis of the Fourier transform."""
    axis = fourier_axis(grid)
    name, sizes = ("n_channels", grid.n_channels) if axis == 1 else ("n_times", grid.n_times)
    if (sizes != grid.data.shape[axis]).any():
        raise ValueError(
            f"All samples of a batch of {MODALITY_CODES[grid.modality]} must have the same "
            f"{name}, got {sorted(set(sizes.tolist()))}: padding must not enter the Fourier "
            f"transform. Batch samples by {name}."
        )
