"""From a matrix of channels and time points to the only thing the network takes.

B batch, S tokens (channels C x patches N), P time points of a patch, T time points of a sample
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .._utils.validation import check_number, check_option
from .config import MODALITY_CODES, SENSOR_TYPES

#: Fields of a :class:`TokenBatch` that samples of one montage share.
LAYOUT = ("position", "orientation", "time", "duration", "sensor_type", "modality")


class TensorFields:
    """Mixin for dataclasses: applies an operation of tensors to all fields that are tensors."""

    def _map(self, function, names=None):
        names = [field.name for field in dataclasses.fields(self)] if names is None else names
        fields = {name: getattr(self, name) for name in names}
        found = {k: function(v) for k, v in fields.items() if isinstance(v, torch.Tensor)}
        nested = {k: v._map(function) for k, v in fields.items() if isinstance(v, TensorFields)}
        return dataclasses.replace(self, **found, **nested)

    def to(self, device=None, *, dtype=None, non_blocking=False):
        """Return a copy on another device, or with another type of its floating-point tensors.

        Parameters
        ----------
        device : torch.device | str | None
            Device; ``None`` leaves it.
        dtype : torch.dtype | None
            Type of floating-point tensors; ``None`` leaves it.
        non_blocking : bool
            Copy from pinned memory without waiting.

        Returns
        -------
        batch : object
            The copy.
        """

        def move(tensor):
            kind = dtype if tensor.is_floating_point() else None
            return tensor.to(device, kind, non_blocking=non_blocking)

        return self._map(move)

    def pin_memory(self):
        """Return a copy in page-locked memory, from which a GPU copies fast.

        Returns
        -------
        batch : object
            The copy.
        """
        return self._map(lambda tensor: tensor.pin_memory())


@dataclass(eq=False)
class TokenBatch(TensorFields):
    """Patches with positions, times and sensor types; padded to a common number of tokens.

    ``position`` to ``modality`` are the layout of the tokens. It has one row (L = 1) where all
    samples share it, as those of one montage do, and else a row per sample (L = B). What the
    network computes of a shared layout is computed once.

    Parameters
    ----------
    values : torch.Tensor, shape (B, S, P)
        Samples of each patch, preprocessed; zeros beyond the end of the recording.
    position : torch.Tensor, shape (L, S, 3)
        Where the channel is, in m, in the head frame.
    orientation : torch.Tensor, shape (L, S, 3)
        Unit vector of the coil, zeros where there is none.
    time : torch.Tensor, shape (L, S)
        Centre of the patch in s from the start of the sample.
    duration : torch.Tensor, shape (L, S)
        Recorded part of the patch, in s.
    sensor_type : torch.Tensor, shape (L, S)
        Index into ``("eeg", "mag", "grad", "bold")``, int64.
    modality : torch.Tensor, shape (L,)
        Index into ``("eeg", "meg", "fmri")``, int64.
    log_scale : torch.Tensor, shape (B, S)
        Base-10 logarithm of a scale that was taken out of the values; 0 when there is none.
    is_padding : torch.Tensor, shape (B, S)
        True where there is no token.
    is_masked : torch.Tensor, shape (B, S) | None
        True where the content is hidden from the network, which then sees a learned embedding.
    """

    values: torch.Tensor
    position: torch.Tensor
    orientation: torch.Tensor
    time: torch.Tensor
    duration: torch.Tensor
    sensor_type: torch.Tensor
    modality: torch.Tensor
    log_scale: torch.Tensor
    is_padding: torch.Tensor
    is_masked: torch.Tensor | None = None

    def __post_init__(self):
        """Refuse tensors that do not belong together."""
        if self.values.ndim != 3:
            raise ValueError(f"values must be (B, S, P), got shape {tuple(self.values.shape)}.")
        n_samples, n_tokens = self.values.shape[:2]
        n_layouts = 1 if self.is_shared else n_samples
        for field in dataclasses.fields(self)[1:]:
            tensor = getattr(self, field.name)
            wanted = (n_layouts if field.name in LAYOUT else n_samples, n_tokens)
            wanted = wanted[:1] if field.name == "modality" else wanted
            wanted += (3,) if field.name in ("position", "orientation") else ()
            if tensor is not None and tuple(tensor.shape) != wanted:
                raise ValueError(
                    f"{field.name} must have shape {wanted} to go with values of shape "
                    f"{tuple(self.values.shape)}, got {tuple(tensor.shape)}."
                )

    def __len__(self):
        """Return the number of samples B."""
        return self.values.shape[0]

    @property
    def is_shared(self):
        """Return True if all samples share one layout."""
        return len(self.position) == 1

    def unshare(self):
        """Repeat a shared layout for each sample.

        Returns
        -------
        tokens : TokenBatch
            The same tokens, with a row of the layout per sample.
        """
        n_samples = len(self)
        return self._map(lambda tensor: tensor.expand(n_samples, *tensor.shape[1:]), LAYOUT)

    def __getitem__(self, rows):
        """Return some of the samples, always as a batch."""
        if isinstance(rows, (int, np.integer)):
            rows = [int(rows)]
        if isinstance(rows, (list, np.ndarray)):
            rows = torch.as_tensor(np.asarray(rows), device="cpu")
        names = [field.name for field in dataclasses.fields(self)]
        names = [n for n in names if not (self.is_shared and n in LAYOUT)]
        return self._map(lambda tensor: tensor[rows], names)

    def pad(self, n_tokens):
        """Append padding up to a number of tokens.

        Parameters
        ----------
        n_tokens : int
            The number S afterwards.

        Returns
        -------
        tokens : TokenBatch
            The padded batch.

        Raises
        ------
        ValueError
            If there are more tokens than that already.
        """
        extra = n_tokens - self.values.shape[1]
        if extra < 0:
            raise ValueError(f"Cannot pad {self.values.shape[1]} tokens to {n_tokens}.")
        if extra == 0:
            return self
        fields = {}
        for field in dataclasses.fields(self):
            tensor = getattr(self, field.name)
            if tensor is not None and tensor.ndim > 1:
                after = (0, 0, 0, extra) if tensor.ndim == 3 else (0, extra)
                tensor = F.pad(tensor, after, value=field.name == "is_padding")
            fields[field.name] = tensor
        return TokenBatch(**fields)

    @classmethod
    def collate(cls, batches):
        """Join batches of any montages and lengths.

        Parameters
        ----------
        batches : sequence of TokenBatch
            What to join, in this order.

        Returns
        -------
        tokens : TokenBatch
            One batch, padded to the longest.

        Raises
        ------
        ValueError
            If there is nothing to join, or the patch sizes differ.
        """
        batches = list(batches)
        if not batches:
            raise ValueError("There are no token batches to collate.")
        sizes = sorted({batch.values.shape[2] for batch in batches})
        if len(sizes) > 1:
            raise ValueError(f"All batches must have one patch size, got {sizes}.")
        longest = max(batch.values.shape[1] for batch in batches)
        batches = [batch.pad(longest).unshare() for batch in batches]
        fields = {}
        for field in dataclasses.fields(cls):
            tensors = [getattr(batch, field.name) for batch in batches]
            if field.name == "is_masked":
                if all(tensor is None for tensor in tensors):
                    continue
                tensors = [
                    torch.zeros_like(batch.is_padding) if tensor is None else tensor
                    for tensor, batch in zip(tensors, batches)
                ]
            fields[field.name] = torch.cat(tensors)  # (B, S, ...)
        return cls(**fields)


@dataclass(eq=False)
class Begun(TensorFields):
    """Latents of samples after the first layers of a network, which it continues from."""

    latents: torch.Tensor  # (B, M, D), without the final norm
    group: torch.Tensor  # (B,), one bit for each modality that was read
    n_layers: int

    def __getitem__(self, rows):
        """Return some of the samples."""
        return self._map(lambda tensor: tensor[rows])

    def is_read(self):
        """Return a mask (B,) of the samples with each modality, by its code."""
        bits = {code: (self.group >> code) % 2 == 1 for code in range(len(MODALITY_CODES))}
        return {code: bit for code, bit in bits.items() if bit.any()}

    @classmethod
    def join(cls, parts):
        """Join samples that were begun with as many layers."""
        latents, group = (torch.cat([vars(x)[k] for x in parts]) for k in ("latents", "group"))
        return cls(latents, group, parts[0].n_layers)


def make_tokens(data, sfreq, ch_pos, ch_ori, ch_types, modality, *, patch_size=64, log_scale=None):
    """Cut preprocessed samples of one montage into tokens, channel by channel.

    Parameters
    ----------
    data : array_like, shape (n_samples, n_channels, n_times)
        Preprocessed signal, about unit scale.
    sfreq : float
        Sampling rate in Hz; for fMRI 1 / TR.
    ch_pos : array_like, shape (n_channels, 3)
        Positions in m.
    ch_ori : array_like, shape (n_channels, 3)
        Coil orientations, zeros where there are none.
    ch_types : sequence of str
        ``"eeg"``, ``"mag"``, ``"grad"`` or ``"bold"`` for each channel.
    modality : {"eeg", "meg", "fmri"}
        What was recorded.
    patch_size : int
        Time points of a patch.
    log_scale : array_like, shape (n_samples, n_channels) | None
        Base-10 logarithm of the scale that was taken out of each channel.

    Returns
    -------
    tokens : TokenBatch
        ``n_channels * ceil(n_times / patch_size)`` tokens per sample, on the CPU, in float32.

    Raises
    ------
    ValueError
        If shapes do not agree, a value is not finite, or a type is unknown.
    """
    check_number("sfreq", sfreq, low=0, low_open=True)
    check_number("patch_size", patch_size, low=2, integer=True)
    check_option("modality", modality, MODALITY_CODES)
    data = _as_tensor(data)
    if data.ndim != 3 or 0 in data.shape[1:]:
        raise ValueError(
            f"data must be (n_samples, n_channels, n_times), none empty, got {tuple(data.shape)}."
        )
    n_samples, n_channels, n_times = data.shape
    position = _as_float("ch_pos", ch_pos, (n_channels, 3))
    orientation = _as_float("ch_ori", ch_ori, (n_channels, 3))
    if log_scale is None:
        log_scale = np.zeros((n_samples, n_channels))
    log_scale = _as_float("log_scale", log_scale, (n_samples, n_channels))
    if len(ch_types) != n_channels:
        raise ValueError(f"ch_types has {len(ch_types)} entries for {n_channels} channels.")
    types = [SENSOR_TYPES.index(check_option("ch_types", t, SENSOR_TYPES)) for t in ch_types]
    if not torch.isfinite(data).all():
        raise ValueError("data holds NaN or Inf. Repair or drop these channels or samples first.")

    n_patches = -(-n_times // patch_size)
    values = F.pad(data, (0, n_patches * patch_size - n_times))  # (n, C, N P)
    values = values.reshape(n_samples, n_channels * n_patches, patch_size)
    start = torch.arange(n_patches, device="cpu") * patch_size
    n_valid = (n_times - start).clamp(max=patch_size)

    def spread(tensor):  # (n or 1, C or 1, N or 1, ...) -> (n or 1, S, ...)
        return tensor.expand(-1, n_channels, n_patches, *tensor.shape[3:]).flatten(1, 2)

    return TokenBatch(
        values=values,
        position=spread(position[None, :, None]),
        orientation=spread(orientation[None, :, None]),
        time=spread(((start + n_valid.float() / 2) / sfreq)[None, None]),
        duration=spread((n_valid.float() / sfreq)[None, None]),
        sensor_type=spread(torch.tensor(types, device="cpu")[None, :, None]),
        log_scale=spread(log_scale[:, :, None]),
        is_padding=torch.zeros(n_samples, values.shape[1], dtype=torch.bool, device="cpu"),
        modality=torch.tensor([MODALITY_CODES.index(modality)], device="cpu"),
    )


def _as_tensor(value):
    """Return a float32 tensor on the CPU; memory is shared where that is possible."""
    if not isinstance(value, torch.Tensor):
        value = np.asarray(value, dtype=np.float32)
        # torch warns of arrays that it could write to but must not.
        value = torch.from_numpy(value if value.flags.writeable else value.copy())
    return value.to("cpu", torch.float32)


def _as_float(name, value, shape):
    """Return a finite float32 tensor of this shape, or raise."""
    value = _as_tensor(value)
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}.")
    if not torch.isfinite(value).all():
        rows = torch.nonzero(~torch.isfinite(value).all(-1)).flatten().tolist()
        raise ValueError(f"{name} holds NaN or Inf at row {rows[:5]}. Set or drop these first.")
    return value
