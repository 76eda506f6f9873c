"""Train a network on labelled windows.

B windows of a batch, O outputs (classes, or one target)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._utils.logging import progress
from ..models.optim import is_decayed, warmup_cosine
from .augment import Augmentation, augment
from .lora import LowRank
from .network import gather_tokens, predict_outputs

#: Share of the balance loss of the experts in the training loss.
_BALANCE = 0.01


@dataclass(frozen=True)
class Settings:
    """Settings of a fine-tuning run."""

    # Largest number of passes over the training windows; the rate falls to zero over as many
    max_epochs: int
    patience: int  # Epochs without a better validation loss after which training stops
    # Peak rate of the head; a backbone layer has this times ``layer_decay`` to the power of its
    # distance from the head
    learning_rate: float
    layer_decay: float  # See above
    # AdamW's decay; none on norms, biases, scales, embeddings and low-rank differences
    weight_decay: float
    batch_size: int  # Windows in a step
    seed: int  # Seed of the order of windows, and of their augmentation
    augmentation: Augmentation | None = None  # Random changes of training windows
    # Probability that the training loss spreads over all classes
    label_smoothing: float = 0.0
    stop_after: int | None = None  # Epochs after which training stops, with the same schedule
    is_constant: bool = False  # Keep the rate at its peak throughout
    verbose: bool = False  # Show a progress bar on a terminal
    warmup: float = 0.1  # Share of all steps over which the rate rises
    clip_norm: float = 1.0  # Largest norm of the gradient


@dataclass
class TrainingData:
    """Windows with targets and weights, and the split into training and validation."""

    batches: list  # Windows of all samples
    targets: torch.Tensor  # (n_samples,) Class indices, or standardised numbers
    weight: torch.Tensor  # (n_samples,) Weight of each sample in the loss
    train: np.ndarray  # Samples to train on
    # Samples whose loss stops the training; without any, all epochs are run
    valid: np.ndarray = field(default_factory=lambda: np.array([], dtype=int))

    def loss(self, outputs, samples, label_smoothing=0.0):
        """Weighted mean of cross entropy or squared error."""
        # outputs (B, O), samples (B,) -> loss ().
        samples = torch.as_tensor(samples)
        target = self.targets[samples].to(outputs.device)
        weight = self.weight[samples].to(outputs.device)
        if target.is_floating_point():
            losses = F.mse_loss(outputs[:, 0].float(), target, reduction="none")
        else:
            losses = F.cross_entropy(
                outputs.float(), target, reduction="none", label_smoothing=label_smoothing
            )
        return (losses * weight).sum() / weight.sum().clamp(min=1e-12)


def fit_network(network, data, settings, optimizer=None):
    """Train until the validation loss stops falling; the best weights stay."""
    index = _index(data)
    rng = np.random.default_rng(settings.seed)
    n_steps = -(-len(index) // settings.batch_size) * settings.max_epochs
    optimizer = make_optimizer(network, settings) if optimizer is None else optimizer
    rate = (
        (lambda step: 1.0)
        if settings.is_constant
        else partial(learning_rate_at, n_steps=n_steps, warmup=settings.warmup)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    best_loss, best_epoch, best = watch(network, data, settings), 0, _trained(network)
    history = [
        {"epoch": 0, "train_loss": float("nan"), "valid_loss": best_loss, "learning_rate": 0.0}
    ]
    epochs = range(1, (settings.stop_after or settings.max_epochs) + 1)
    for epoch in progress(epochs, description="Fine-tuning", enabled=settings.verbose):
        network.train()
        order = rng.permutation(len(index))
        losses = []
        for start in range(0, len(order), settings.batch_size):
            batch = index[np.sort(order[start : start + settings.batch_size])]
            losses.append(_step(network, data, batch, optimizer, schedule, settings, rng))
        valid_loss = watch(network, data, settings)
        record = {"epoch": epoch, "train_loss": float(np.mean(losses)), "valid_loss": valid_loss}
        history.append({**record, "learning_rate": schedule.get_last_lr()[-1]})
        if valid_loss < best_loss:
            best_loss, best_epoch, best = valid_loss, epoch, _trained(network)
        elif len(data.valid) and epoch - best_epoch >= settings.patience:
            break
    if len(data.valid):
        _restore(network, best)
    network.eval()
    return history


def _index(data):
    """Return batch, row and sample of each training window (n_windows, 3)."""
    index = [
        np.c_[np.full(len(batch), number), np.arange(len(batch)), batch.sample]
        for number, batch in enumerate(data.batches)
    ]
    index = np.concatenate(index)
    return index[np.isin(index[:, 2], data.train)]


def watch(network, data, settings):
    """Return the loss on the validation samples; NaN without any."""
    if not len(data.valid):
        return float("nan")
    outputs = predict_outputs(
        network, data.batches, len(data.targets), settings.batch_size, only=data.valid
    )
    return float(data.loss(outputs[data.valid], data.valid))


def _trained(network):
    """Copy the parameters that are trained."""
    return {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}


@torch.no_grad()
def _restore(network, trained):
    for name, parameter in network.named_parameters():
        if name in trained:
            parameter.copy_(trained[name])


def _step(network, data, batch, optimizer, schedule, settings, rng):
    """Take one step on the windows ``batch`` (B, 3): batch, row, sample."""
    device = next(network.parameters()).device
    change = None
    if settings.augmentation is not None:
        change = partial(_change, augmentation=settings.augmentation, rng=rng)
    tokens = [part.to(device) for part in gather_tokens(data.batches, batch[:, :2], change)]
    outputs, balance = network(tokens, return_balance=True)
    value = data.loss(outputs, batch[:, 2], settings.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    (value + _BALANCE * balance).backward()
    nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    optimizer.step()
    schedule.step()
    return float(value.detach())


def _change(data, signals, *, augmentation, rng):
    return augment(data, signals.sfreq, signals.modality, signals.ch_types, augmentation, rng)


def learning_rate_at(step, n_steps, warmup):
    """Return a factor of the peak rate: linear warm-up, then half a cosine down to zero."""
    n_warmup = max(1, round(warmup * n_steps))
    return warmup_cosine(step, n_steps, n_warmup, is_lowest_last=False)


def freeze(network, n_trainable_layers):
    """Freeze all but the last layers that are run, the final norm and the head."""
    if n_trainable_layers is None:
        return
    backbone = network.backbone
    n_run = backbone.config.n_layers if network.layer is None else network.layer
    backbone.requires_grad_(False)
    for part in (*backbone.layers[n_run - n_trainable_layers : n_run], backbone.norm):
        part.requires_grad_(True)


def make_optimizer(network, settings):
    """Make an AdamW whose rate falls with the distance from the head."""
    n_layers = network.backbone.config.n_layers if network.layer is None else network.layer
    groups = {}
    for path, owner in network.named_modules():
        for name, parameter in owner.named_parameters(path, recurse=False):
            if not parameter.requires_grad or ".decoder." in name:
                continue
            key = (-_distance_from_head(name, n_layers), _decays(network, owner, name))
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": settings.learning_rate * settings.layer_decay ** (-minus_distance),
                "weight_decay": settings.weight_decay if decays else 0.0,
            }
            for (minus_distance, decays), parameters in sorted(
                groups.items(), key=lambda item: item[0]
            )
        ],
        betas=(0.9, 0.95),
    )


def _decays(network, owner, name):
    """Whether a parameter decays: matrices of the head, and of the backbone as in pretraining."""
    if owner in (network.weights, network.biases):
        return owner is network.weights
    return not isinstance(owner, LowRank) and is_decayed(owner, name.rsplit(".", 1)[-1])


def _distance_from_head(name, n_layers):
    """Return 0 for the head, 1 for the last layer, n_layers + 1 for tokens and resampler."""
    if not name.startswith("backbone."):
        return 0
    parts = name.split(".")
    if parts[1] == "layers":
        return max(n_layers - int(parts[2]), 1)
    return 1 if parts[1] in ("norm", "read_outs") else n_layers + 1
