"""Train a network on labelled windows.

B windows of a batch, O outputs (classes, or one target)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import nn
from torch.nn import functional as F

from .._utils.logging import progress
from ..encoder.tokens import batch_tokens
from ..models.moe import MixtureOfExperts, RoutingRecord
from ..models.optim import is_decayed, warmup_cosine
from ..models.tokens import Begun
from .augment import Augmentation, augment
from .lora import LowRank
from .network import gather_tokens, predict_outputs

_BALANCE = 0.01  # share of the balance loss of the experts in the training loss
_WARMUP = 0.1  # share of all steps over which the rate rises
_MOST_BYTES = 2**31  # of latents after a frozen part that are kept in memory
_CLIP_NORM = 1.0  # largest norm of the gradient


@dataclass
class TrainingData:
    """Windows with targets and weights, and the split into training and validation."""

    batches: list  # Windows of all samples
    targets: torch.Tensor  # (n_samples,) Class indices, or standardised numbers
    weight: torch.Tensor  # (n_samples,) Weight of each sample in the loss
    train: np.ndarray  # Samples to train on
    # Samples whose loss stops the training; without any, all epochs are run
    valid: np.ndarray = field(default_factory=lambda: np.array([], dtype=int))
    batch_size: int = 32  # Windows in a step
    seed: int = 0  # Seed of the order of windows, and of their augmentation
    augmentation: Augmentation | None = None  # Random changes of training windows
    verbose: bool | None = None  # Show progress

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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training; the network has the best weights so far."""

    def __init__(self, history):
        super().__init__("Fine-tuning was interrupted; the best weights so far are kept.")
        self.history, self.decoder = history, None


def fit_network(network, data, settings, optimizer=None, *, n_epochs=None):
    """Train as a LoRA or FineTuning states; the weights with the best validation loss stay."""
    # With an optimizer the rate is constant; ``n_epochs`` stops earlier on the same schedule.
    index, rng = _index(data), np.random.default_rng(data.seed)
    steps = range(0, len(index), data.batch_size)
    n_steps = len(steps) * settings.max_epochs
    is_constant = optimizer is not None
    optimizer = optimizer or make_optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 1.0 if is_constant else learning_rate_at(step, n_steps)
    )
    inputs = Inputs(network, data)
    best, best_epoch = copy.deepcopy(network.state_dict()), 0
    best_loss = watch(network, data, inputs)
    history = [
        {"epoch": 0, "train_loss": float("nan"), "valid_loss": best_loss, "learning_rate": 0.0}
    ]
    n_epochs, stopped = n_epochs or settings.max_epochs, None
    bar = {"description": "Fine-tuning", "total": n_epochs * len(steps), "enabled": data.verbose}
    try:
        with progress(**bar) as bar:
            for epoch in range(1, n_epochs + 1):
                network.train()
                order, losses = rng.permutation(len(index)), []
                for start in steps:
                    batch = index[np.sort(order[start : start + data.batch_size])]
                    step = network, data, inputs.take(batch[:, :2], rng), batch[:, 2]
                    losses.append(_step(*step, optimizer, settings.label_smoothing, inputs))
                    schedule.step()
                    bar.update()
                loss = watch(network, data, inputs)
                record = {"epoch": epoch, "train_loss": float(np.mean(losses)), "valid_loss": loss}
                history.append({**record, "learning_rate": schedule.get_last_lr()[-1]})
                if loss < best_loss:
                    best_loss, best_epoch = loss, epoch
                    best = copy.deepcopy(network.state_dict())
                elif len(data.valid) and epoch - best_epoch >= settings.patience:
                    break
    except KeyboardInterrupt:
        stopped = Interrupted(history)
    if len(data.valid):
        network.load_state_dict(best)
    network.eval()
    if stopped is not None:
        raise stopped
    return history


def _index(data):
    """Return batch, row and sample of each training window (n_windows, 3)."""
    index = [
        np.c_[np.full(len(batch), number), np.arange(len(batch)), batch.sample]
        for number, batch in enumerate(data.batches)
    ]
    index = np.concatenate(index)
    return index[np.isin(index[:, 2], data.train)]


class Inputs:
    """Inputs of a network for windows: tokens, or latents after its frozen part, run once."""

    def __init__(self, network, data):
        self.backbone, self.n_frozen = network.backbone, network.n_frozen
        self.data, self.begun = data, {}
        self.device = next(network.parameters()).device
        if self.n_frozen is not None:
            samples = data.valid
            if data.augmentation is None:
                samples = np.concatenate([samples, data.train])
            n_windows = sum(np.isin(batch.sample, samples).sum() for batch in data.batches)
            if n_windows * self.backbone.latents.numel() * 4 <= _MOST_BYTES:
                self._begin(samples)

    @torch.no_grad()
    def _begin(self, samples):
        """Run the frozen part on unchanged windows of some samples."""
        self.backbone.eval()
        for batch in self.data.batches:
            rows = np.flatnonzero(np.isin(batch.sample, samples))
            if not len(rows):
                continue
            parts = []
            for chunk in gen_batches(len(rows), self.data.batch_size):
                tokens = [part.to(self.device) for part in batch_tokens(batch, rows[chunk])]
                parts.append(self.backbone.begin(tokens, None, self.n_frozen).to("cpu"))
            self.begun[id(batch)] = rows, Begun.join(parts)

    def unchanged(self, batch, rows):
        """Return inputs of windows of one batch, without augmentation."""
        if id(batch) not in self.begun:
            return batch_tokens(batch, rows)
        known, begun = self.begun[id(batch)]
        return [begun[np.searchsorted(known, rows)]]

    def take(self, index, rng):
        """Return inputs of windows (B, 2) for training, on the device."""
        data = self.data

        def change(values, signals):
            kind = signals.sfreq, signals.modality, signals.ch_types
            return augment(values, *kind, data.augmentation, rng)

        if data.augmentation is not None:
            found = gather_tokens(data.batches, index, change)
        elif not self.begun:
            found = gather_tokens(data.batches, index)
        else:
            numbers = np.unique(index[:, 0])
            chosen = [(data.batches[n], index[index[:, 0] == n, 1]) for n in numbers]
            found = [Begun.join([self.unchanged(*rows)[0] for rows in chosen])]
        return [part.to(self.device) for part in found]

    def share_of_gates(self, routing, inputs):
        """Return the share of all gates that were recorded: those after the frozen part."""
        if not isinstance(inputs[0], Begun):
            return 1.0
        n_read = len(inputs[0].is_read())
        frozen = self.backbone.layers[: self.n_frozen]
        n_skipped = n_read * _count_gates(self.backbone.encoder) + _count_gates(frozen)
        return len(routing) / max(len(routing) + n_skipped, 1)


def _count_gates(module):
    return sum(isinstance(part, MixtureOfExperts) for part in module.modules())


def watch(network, data, inputs):
    """Return the loss on the validation samples; NaN without any."""
    if not len(data.valid):
        return float("nan")
    options = {"only": data.valid, "take": inputs.unchanged}
    outputs = predict_outputs(network, data.batches, len(data.targets), data.batch_size, **options)
    return float(data.loss(outputs[data.valid], data.valid))


def _step(network, data, inputs, samples, optimizer, label_smoothing, source):
    """Take one step on windows of samples (B,); returns their loss."""
    routing = RoutingRecord()
    outputs = network(inputs, routing)
    loss = data.loss(outputs, samples, label_smoothing)
    balance = source.share_of_gates(routing, inputs) * routing.balance()
    optimizer.zero_grad(set_to_none=True)
    (loss + _BALANCE * balance).backward()
    nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
    optimizer.step()
    return float(loss.detach())


def learning_rate_at(step, n_steps):
    """Return a factor of the peak rate: linear warm-up, then half a cosine down to zero."""
    n_warmup = max(1, round(_WARMUP * n_steps))
    return warmup_cosine(step, n_steps, n_warmup, is_lowest_last=False)


def freeze(network, n_trainable_layers):
    """Freeze all but the last layers that are run, the final norm and the head."""
    if n_trainable_layers is None:
        return
    backbone, n_run = network.backbone, network.n_run
    backbone.requires_grad_(False)
    for part in (*backbone.layers[n_run - n_trainable_layers : n_run], backbone.norm):
        part.requires_grad_(True)


def make_optimizer(network, settings):
    """Make an AdamW whose rate falls with the distance from the head."""
    groups = {}
    for path, owner in network.named_modules():
        for name, parameter in owner.named_parameters(path, recurse=False):
            if not parameter.requires_grad or ".decoder." in name:
                continue
            key = (-_distance_from_head(name, network.n_run), _decays(network, owner, name))
            groups.setdefault(key, []).append(parameter)
    groups = [
        {
            "params": groups[key],
            "lr": settings.learning_rate * settings.layer_decay ** -key[0],
            "weight_decay": settings.weight_decay if key[1] else 0.0,
        }
        for key in sorted(groups)
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


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
