"""Masked Temporal-Frequency Modeling: recover hidden patches and removed components.

B batch, C channels, T time points, F components, N patches of a channel, P time points of a
patch, S tokens (C N), V visible tokens, E routed experts, K chosen by each token
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from ..models.moe import RoutingRecord
from ..models.tokens import TokenBatch
from .batch import from_patches, to_tokens
from .config import PretrainingConfig
from .corruption import corrupt, fourier_axis
from .terms import term_losses, terms_of

CHANGE = "change"  # what a batch of terms changed in the latents, for their moving mean


class Objective(nn.Module):
    """Compute the loss of pretraining :footcite:p:`guo2026brainof`.

    Components of the signal are removed (:func:`.corruption.corrupt`), and patches of what remains
    are hidden. The latents read the visible patches, and the decoder predicts all patches of the
    sample. ``loss = (1 - frequency_weight) * time + frequency_weight * frequency``: Smooth L1 (of
    unit beta) of the hidden patches and of the removed components, averaged within each sample,
    then over samples; the mean balance loss of the experts is added.

    Ours are the term of ``spectrum_weight`` (the log-amplitude spectrum of each channel, which has
    no phase and can be guessed where a waveform cannot), not giving hidden patches to the encoder
    (``masked_tokens="drop"``), and batches of terms (:mod:`.terms`), which are not reconstructed.
    """

    def __init__(self, model, config=None, dataset_mean=None):
        super().__init__()
        self.model = model
        self.config = PretrainingConfig() if config is None else config
        if model.config.predicts_spectrum != (self.config.spectrum_weight > 0):
            raise ValueError(
                f"spectrum_weight={self.config.spectrum_weight} does not go with a network of "
                f"predicts_spectrum={model.config.predicts_spectrum}: give both, or neither."
            )
        # Mean Fisher z of each dataset of fMRI, where it is part of what terms ask for.
        self.register_buffer("dataset_mean", dataset_mean)
        self.model.checkpoint_activations = self.config.checkpoint_activations

    def forward(self, grid, masks=None):
        """Compute the loss of a batch; without masks, of a batch of terms."""
        if masks is None:
            return self._term_loss(grid)
        patch_size = self.model.config.patch_size
        _check_masks(grid, masks, patch_size)
        tokens = to_tokens(grid, corrupt(grid, masks), patch_size=patch_size)
        routing = RoutingRecord()
        latents = self.model(self._hide(tokens, masks), routing=routing)  # (B, M, D)
        values = self.model.decode(latents, tokens, routing=routing)  # (B, S, P)
        # The transform is linear: that of the error is the error of the transform.
        error = from_patches(values.float(), grid) - grid.data  # (B, C, T)
        time = time_loss(error, masks, grid, patch_size).mean()
        frequency = frequency_loss(error, masks, grid).mean()
        logged, weight = {"time": time, "frequency": frequency}, self.config.frequency_weight
        loss = (1 - weight) * time + weight * frequency
        if self.config.spectrum_weight:
            logged["spectrum"] = self._spectrum_loss(grid, latents, routing)
            loss = loss + self.config.spectrum_weight * logged["spectrum"]
        return self._with_gates(loss, logged, routing)

    def _term_loss(self, batch):
        """Sum the terms of a batch; also the mean change of its latents (M, D)."""
        routing = RoutingRecord()
        losses, change = term_losses(self.model, batch, self.config, self.dataset_mean, routing)
        weights = terms_of(self.config, batch.modality)
        loss = sum(weights[name] * losses[name] for name in losses)
        return self._with_gates(loss, losses, routing) | {CHANGE: change}

    def _with_gates(self, loss, terms, routing):
        """Add the balance loss, and what is logged of the gates."""
        balance, load, entropy = gate_terms(routing, loss.device)
        loss = loss + self.config.balance_weight * balance
        logged = {name: term.detach() for name, term in (terms | {"balance": balance}).items()}
        return {"loss": loss, **logged, "load": load, "entropy": entropy}

    def _spectrum_loss(self, grid, latents, routing):
        """Ask for the spectra of all channels, and compare."""
        patch_size = self.model.config.patch_size
        tokens = to_tokens(grid, grid.data, patch_size=patch_size)  # zero beyond the end
        with torch.no_grad():
            each = self.model.content.log_spectrum(tokens.values)  # (B, S, F)
            wanted = channel_means(each, tokens, grid, patch_size)  # (B, C, F)
        queries = channel_queries(tokens, grid)
        found = self.model.decode_spectrum(latents, queries, routing=routing)  # (B, C, F)
        loss = _smooth_l1(found.float() - wanted).mean(-1, keepdim=True)  # (B, C, 1)
        return _mean(loss, grid.is_channel()[..., None]).mean()

    def _hide(self, tokens, masks):
        is_hidden = masks.is_hidden.flatten(1)  # (B, S)
        if self.config.masked_tokens == "embed":
            return dataclasses.replace(tokens, is_masked=is_hidden)
        seen = select_tokens(tokens, masks.visible)
        # Nothing is masked, yet the embedding of masked tokens gets a gradient, namely zero:
        # processes that average gradients wait for all of them.
        return dataclasses.replace(seen, is_masked=torch.zeros_like(seen.is_padding))


def time_loss(error, masks, grid, patch_size):
    """Average Smooth L1 over the time points of hidden patches."""
    # error (B, C, T) -> loss (B,).
    is_hidden = masks.is_hidden.repeat_interleave(patch_size, dim=2)[..., : error.shape[2]]
    return _mean(_smooth_l1(error), is_hidden & grid.is_time()[:, None])  # (B, C, T) -> (B,)


def frequency_loss(error, masks, grid):
    """Average Smooth L1 over the real and imaginary parts of removed components."""
    # error (B, C, T) -> loss (B,).
    error = torch.fft.rfft(error, dim=fourier_axis(grid), norm="ortho")  # (B, C, F) or (B, F, T)
    both = _smooth_l1(torch.view_as_real(error)).mean(-1)  # (B, C, F) or (B, F, T)
    return _mean(both, masks.is_removed)  # (B,)


def channel_means(values, tokens, grid, patch_size):
    """Average what patches have over the patches of each channel."""
    # values (B, S, F) -> means (B, C, F).
    n_channels = grid.data.shape[1]
    # Seconds times Hz are time points; of padding there are none.
    weight = (tokens.duration.unflatten(1, (n_channels, -1)) * grid.sfreq[:, None, None]).round()
    weight = weight * grid.is_token(patch_size)  # (B, C, N)
    total = torch.einsum("bcn,bcnf->bcf", weight, values.unflatten(1, (n_channels, -1)))
    return total / weight.sum(-1, keepdim=True).clamp(min=1)


def channel_queries(tokens, grid):
    """Return one query per channel, for the whole of each sample."""
    n_samples, n_tokens = tokens.is_padding.shape
    first = torch.arange(0, n_tokens, n_tokens // grid.data.shape[1], device=grid.data.device)
    queries = select_tokens(tokens, first.expand(n_samples, -1))  # (B, C, ...)
    length = (grid.n_times / grid.sfreq)[:, None].expand_as(queries.time)  # (B, C)
    return dataclasses.replace(queries, time=length / 2, duration=length)


def select_tokens(tokens, index):
    """Pick some tokens of each sample."""
    # index (B, V).
    tokens = tokens.unshare()
    n_samples, n_tokens = tokens.is_padding.shape
    row = torch.arange(n_samples, device=index.device)[:, None] * n_tokens  # (B, 1)
    flat = (row + index.clamp(min=0)).flatten()  # (B V,)
    fields = {}
    for field in dataclasses.fields(tokens):
        tensor = getattr(tokens, field.name)
        if tensor is not None and tensor.ndim > 1:
            tensor = tensor.flatten(0, 1).index_select(0, flat).unflatten(0, index.shape)
        fields[field.name] = tensor  # (B, V, ...)
    fields["is_padding"] = fields["is_padding"] | (index < 0)
    return TokenBatch(**fields)


def gate_terms(routing, device):
    """Compute the balance loss and the logged statistics of the gates of one modality."""
    # -> balance (), load (E,), entropy ().
    if not routing:
        nothing = torch.zeros((), device=device)
        return nothing, torch.zeros(0, device=device), nothing
    load, entropy = [], []
    with torch.autocast(device.type, enabled=False):
        for probability, chosen, _, is_counted in routing:
            probability = probability.detach()
            weight = torch.ones_like(probability[..., 0]) if is_counted is None else is_counted
            weight = (weight / weight.sum())[..., None]  # (B, T, 1)
            sent = F.one_hot(chosen, probability.shape[-1]).float().mean(-2)  # (B, T, E)
            load.append((sent * weight).sum((0, 1)))  # (E,)
            entropy.append((torch.special.entr(probability) * weight).sum())
        return routing.balance(), torch.stack(load).mean(0), torch.stack(entropy).mean()


def _smooth_l1(error):
    """Return ``x ** 2 / 2`` within 1 and ``|x| - 1 / 2`` outside, of each element."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def _mean(values, mask):
    """Average each row of (B, ., .) where the mask is True; 0 where it nowhere is."""
    count = mask.sum((1, 2)).clamp(min=1)  # (B,)
    return (values * mask).sum((1, 2)) / count  # (B,)


def _check_masks(grid, masks, patch_size):
    """Refuse masks that were drawn for a batch of another shape."""
    n_samples, n_channels, n_times = grid.data.shape
    patches = (n_samples, n_channels, -(-n_times // patch_size))
    n_components = grid.data.shape[fourier_axis(grid)] // 2 + 1
    components = (n_samples, n_channels, n_components)
    if fourier_axis(grid) == 1:
        components = (n_samples, n_components, n_times)
    for name, wanted in (("is_hidden", patches), ("is_removed", components)):
        got = tuple(getattr(masks, name).shape)
        if got != wanted:
            raise ValueError(
                f"masks.{name} must have shape {wanted} to go with this batch and patches of "
                f"{patch_size} time points, got {got}. Draw masks for each batch anew."
            )
