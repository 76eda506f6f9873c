"""Samples of a corpus as a padded grid of channels and time points, and as tokens.

B batch, C channels, T time points, N patches of a channel, P time points of a patch,
S tokens (C N, channel by channel)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..models.config import MODALITY_CODES
from ..models.tokens import TensorFields, TokenBatch

PER_CHANNEL = ("position", "orientation", "sensor_type", "log_scale")


@dataclass(eq=False)
class GridBatch(TensorFields):
    """Samples of one modality, padded with zeros to a common number of channels and times.

    Unlike tokens it keeps the layout of the recordings, which Fourier transforms need.
    """

    data: torch.Tensor  # (B, C, T) Preprocessed signal in network units, float32
    n_channels: torch.Tensor  # (B,) How much of each sample is no padding, int64
    n_times: torch.Tensor  # (B,) How much of each sample is no padding, int64
    sfreq: torch.Tensor  # (B,) Sampling rate in Hz; for fMRI 1 / TR
    position: torch.Tensor  # (B, C, 3) Where the channel is, in m, in the head frame
    orientation: torch.Tensor  # (B, C, 3) Unit vector of the coil, zeros where there is none
    sensor_type: torch.Tensor  # (B, C) Index into ``("eeg", "mag", "grad", "bold")``, int64
    log_scale: torch.Tensor  # (B, C) Base-10 logarithm of a scale that was taken out of the data
    modality: int  # Index into ``("eeg", "meg", "fmri")``, the same for all samples
    datasets: tuple  # Which dataset each sample comes from
    index: torch.Tensor  # (B,) Which samples of the corpus these are, int64

    def __len__(self):
        """Return the number of samples B."""
        return self.data.shape[0]

    def is_channel(self):
        """Tell channels from padding."""
        # -> is_channel (B, C).
        number = torch.arange(self.data.shape[1], device=self.data.device)  # (C,)
        return number < self.n_channels[:, None]  # (B, C)

    def is_time(self):
        """Tell time points from padding."""
        # -> is_time (B, T).
        number = torch.arange(self.data.shape[2], device=self.data.device)  # (T,)
        return number < self.n_times[:, None]  # (B, T)

    def is_token(self, patch_size):
        """Tell patches that hold at least one time point of a channel from padding."""
        # -> is_token (B, C, N).
        start = torch.arange(0, self.data.shape[2], patch_size, device=self.data.device)  # (N,)
        is_patch = start < self.n_times[:, None]  # (B, N)
        return self.is_channel()[:, :, None] & is_patch[:, None]  # (B, C, N)

    @classmethod
    def collate(cls, samples):
        """Join samples of one modality."""
        samples = list(samples)
        if not samples:
            raise ValueError("There are no samples to collate: pass at least one.")
        modalities = sorted({int(sample.modality) for sample in samples})
        if len(modalities) > 1:
            names = [MODALITY_CODES[modality] for modality in modalities]
            raise ValueError(
                f"A batch must hold one modality, got {names}. Draw samples of one modality."
            )
        return cls(
            data=stack_padded([sample.data for sample in samples]),
            n_channels=torch.tensor([sample.data.shape[0] for sample in samples]),
            n_times=torch.tensor([sample.data.shape[1] for sample in samples]),
            sfreq=torch.tensor([float(sample.sfreq) for sample in samples], dtype=torch.float32),
            position=stack_padded([sample.position for sample in samples]),
            orientation=stack_padded([sample.orientation for sample in samples]),
            sensor_type=stack_padded([sample.sensor_type for sample in samples], np.int64),
            log_scale=stack_padded([sample.log_scale for sample in samples]),
            modality=modalities[0],
            datasets=tuple(str(sample.dataset) for sample in samples),
            index=torch.tensor([int(sample.index) for sample in samples]),
        )


def to_tokens(grid, data=None, *, patch_size):
    """Cut a grid into tokens, channel by channel."""
    # data (B, C, T).
    n_samples, n_channels, n_times = grid.data.shape
    n_patches = -(-n_times // patch_size)
    shape = (n_samples, n_channels, n_patches)
    if data is None:
        data = grid.data
    else:
        is_point = grid.is_channel()[:, :, None] & grid.is_time()[:, None]  # (B, C, T)
        data = torch.where(is_point, data, 0)  # (B, C, T)
    values = F.pad(data, (0, n_patches * patch_size - n_times))  # (B, C, N P)
    start = torch.arange(0, n_times, patch_size, device=data.device)  # (N,)
    n_valid = (grid.n_times[:, None] - start).clamp(0, patch_size)  # (B, N)
    sfreq = grid.sfreq[:, None]  # (B, 1)

    def spread(tensor):  # (B, C, 1, ...) or (B, 1, N) -> (B, S, ...)
        return tensor.expand(*shape, *tensor.shape[3:]).reshape(n_samples, -1, *tensor.shape[3:])

    return TokenBatch(
        values=values.reshape(n_samples, n_channels * n_patches, patch_size),  # (B, S, P)
        time=spread(((start + n_valid / 2) / sfreq)[:, None]),
        duration=spread((n_valid / sfreq)[:, None]),
        is_padding=~grid.is_token(patch_size).flatten(1),
        modality=torch.full((n_samples,), grid.modality, device=data.device),
        **{name: spread(getattr(grid, name)[:, :, None]) for name in PER_CHANNEL},
    )


def from_patches(values, grid):
    """Put patches back where they were in channels and time."""
    # values (B, S, P) -> data (B, C, T).
    n_samples, n_channels, n_times = grid.data.shape
    return values.reshape(n_samples, n_channels, -1)[..., :n_times]  # (B, C, T)


def stack_padded(arrays, kind=np.float32):
    """Stack arrays into one tensor (B, ...), filled up with zeros at their ends."""
    shape = np.max([np.shape(array) for array in arrays], axis=0)
    out = np.zeros((len(arrays), *shape), dtype=kind)
    for row, array in zip(out, arrays):
        row[tuple(slice(n) for n in np.shape(array))] = array
    return torch.from_numpy(out)
