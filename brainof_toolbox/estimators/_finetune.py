"""Train backbone and head together on labelled windows.

B windows of a batch, F features, O outputs (classes, or one target)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._utils.logging import progress
from ..models import TokenBatch
from ..signals import MODALITIES
from ._base import average_over_windows, pool, window_tokens
from ._heads import linear_map

#: Share of the balance loss of the experts in the training loss.
_BALANCE = 0.01
#: Matrices; the last two are the stacked weights of the routed experts.
_DECAYING = ("weight", "gate_up", "down")


@dataclass(frozen=True)
class Settings:
    """What steers a fine-tuning run.

    Parameters
    ----------
    max_epochs : int
        Passes over the training windows at most.
    patience : int
        Epochs without a better validation loss after which training stops.
    learning_rate : float
        Peak rate of the head; a backbone layer has this times ``layer_decay`` to the power of
        its distance from the head.
    layer_decay : float
        See above.
    weight_decay : float
        AdamW's decay; none on norms, biases, scales and embeddings.
    batch_size : int
        Windows in a step.
    warmup : float
        Share of all steps over which the rate rises.
    clip_norm : float
        Largest norm of the gradient.
    seed : int
        Of the order of windows.
    verbose : bool
        Show a progress bar on a terminal.
    """

    max_epochs: int
    patience: int
    learning_rate: float
    layer_decay: float
    weight_decay: float
    batch_size: int
    seed: int
    verbose: bool = False
    warmup: float = 0.1
    clip_norm: float = 1.0


class Network(nn.Module):
    """Backbone, pooling, fixed standardisation of the features, linear head.

    Parameters
    ----------
    backbone : BrainOF
        The network that reads tokens.
    pooling : str
        How latents become features.
    mean, scale : ndarray, shape (F,)
        Of the features before training, so that one learning rate of the head fits every pooling.
    weight, bias : ndarray, shapes (O, F) and (O,)
        The head's start.
    """

    def __init__(self, backbone, pooling, mean, scale, weight, bias):
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("rate", torch.as_tensor(1.0 / scale, dtype=torch.float32))
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.as_tensor(bias, dtype=torch.float32))

    def forward(self, tokens, return_balance=False):
        """Outputs (B, O) of token batches, one per modality in reading order."""
        latents, balance = self.backbone(tokens, return_balance=True)
        features = (pool(latents, self.pooling) - self.mean) * self.rate  # (B, F)
        outputs = F.linear(features, self.weight, self.bias)  # (B, O)
        return (outputs, balance) if return_balance else outputs


def make_network(backbone, pooling, head):
    """Put the head of a probe on a backbone.

    Training from the probe's solution does not first distort the features to fit a random head
    :footcite:p:`kumar2022finetuning`.

    Parameters
    ----------
    backbone : BrainOF
        Copied, not changed.
    pooling : str
        How latents become features.
    head : sklearn.pipeline.Pipeline
        Fitted to features of the training samples.

    Returns
    -------
    network : Network
        Its outputs are those of the probe: logits of the classes, or the target.

    References
    ----------
    .. footbibliography::
    """
    rotate = head[0]
    weight, bias = linear_map(head)
    return Network(copy.deepcopy(backbone), pooling, rotate.mean_, rotate.scale_, weight, bias)


def gather_tokens(blocks, index):
    """Tokens of windows from several blocks, one batch per modality in reading order.

    Parameters
    ----------
    blocks : list of Block
        All windows.
    index : ndarray of int, shape (B, 2)
        Block and row of each window, sorted by block.

    Returns
    -------
    tokens : list of TokenBatch
        A window that lacks a modality is all padding there.
    """
    chosen = [(blocks[b], index[index[:, 0] == b, 1]) for b in np.unique(index[:, 0])]
    tokens = []
    for modality in MODALITIES:
        if any(_has(block, modality, rows) for block, rows in chosen):
            parts = [
                window_tokens(block, modality, rows) if modality in block.windows else len(rows)
                for block, rows in chosen
            ]
            like = next(part for part in parts if not isinstance(part, int))
            parts = [_absent(like, part) if isinstance(part, int) else part for part in parts]
            tokens.append(TokenBatch.collate(parts))
    return tokens


def _has(block, modality, rows):
    """Whether a window of these has the modality."""
    return modality in block.windows and not block.is_missing[modality][rows].all()


def _absent(like, n_samples):
    """A batch of nothing but padding: this modality was not recorded."""
    one = like[np.zeros(n_samples, dtype=int)]
    one.is_padding.fill_(True)
    return one


def fit_network(network, blocks, targets, train, valid, loss, settings):
    """Train until the validation loss stops falling; the best weights stay.

    Parameters
    ----------
    network : Network
        Trained in place.
    blocks : list of Block
        Windows of all samples.
    targets : torch.Tensor, shape (n_samples, ...)
        Class indices or standardised targets.
    train, valid : ndarray of int
        Samples to learn from and to watch; without the latter all epochs are run.
    loss : callable
        From outputs and targets to a scalar.
    settings : Settings
        How.

    Returns
    -------
    history : list of dict
        Per epoch: ``epoch, train_loss, valid_loss, learning_rate``; epoch 0 is before training.
    """
    device = next(network.parameters()).device
    targets = targets.to(device)
    index = np.concatenate(
        [np.c_[np.full(len(b), i), np.arange(len(b)), b.sample] for i, b in enumerate(blocks)]
    )
    index = index[np.isin(index[:, 2], train)]
    generator = np.random.default_rng(settings.seed)
    n_steps = -(-len(index) // settings.batch_size) * settings.max_epochs
    optimizer = make_optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, n_steps, settings.warmup)
    )

    def evaluate():
        if not len(valid):
            return float("nan")
        outputs = predict_outputs(network, blocks, len(targets), settings.batch_size, only=valid)
        return float(loss(outputs[valid].to(device), targets[valid]))

    best_loss, best_state, best_epoch = evaluate(), copy.deepcopy(network.state_dict()), 0
    history = [
        {"epoch": 0, "train_loss": float("nan"), "valid_loss": best_loss, "learning_rate": 0.0}
    ]
    epochs = range(1, settings.max_epochs + 1)
    for epoch in progress(epochs, description="Fine-tuning", enabled=settings.verbose):
        network.train()
        order = generator.permutation(len(index))
        losses = []
        for start in range(0, len(order), settings.batch_size):
            batch = index[np.sort(order[start : start + settings.batch_size])]
            losses.append(
                _step(network, blocks, batch, targets, loss, optimizer, schedule, settings)
            )
        record = {"epoch": epoch, "train_loss": float(np.mean(losses)), "valid_loss": evaluate()}
        history.append({**record, "learning_rate": schedule.get_last_lr()[-1]})
        if record["valid_loss"] < best_loss:
            best_loss, best_epoch = record["valid_loss"], epoch
            best_state = copy.deepcopy(network.state_dict())
        elif len(valid) and epoch - best_epoch >= settings.patience:
            break
    if len(valid):
        network.load_state_dict(best_state)
    network.eval()
    return history


def _step(network, blocks, batch, targets, loss, optimizer, schedule, settings):
    """One update on the windows ``batch`` (B, 3): block, row, sample."""
    device = targets.device
    tokens = [part.to(device) for part in gather_tokens(blocks, batch[:, :2])]
    outputs, balance = network(tokens, return_balance=True)
    value = loss(outputs, targets[torch.as_tensor(batch[:, 2], device=device)])
    optimizer.zero_grad(set_to_none=True)
    (value + _BALANCE * balance).backward()
    nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    optimizer.step()
    schedule.step()
    return float(value.detach())


def _rate(step, n_steps, warmup):
    """Linear warm-up, then half a cosine down to zero; a factor of the peak rate."""
    n_warmup = max(1, round(warmup * n_steps))
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 * (1 + np.cos(np.pi * (step - n_warmup) / max(1, n_steps - n_warmup)))


def make_optimizer(network, settings):
    """AdamW whose rate falls with the distance from the head.

    Parameters
    ----------
    network : Network
        What to train.
    settings : Settings
        Rates and decay.

    Returns
    -------
    optimizer : torch.optim.AdamW
        One parameter group per depth, with and without weight decay; the head's is the last.
    """
    n_layers = network.backbone.config.n_layers
    groups = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad or ".decoder." in name:
            continue
        distance = _distance_from_head(name, n_layers)
        decays = parameter.ndim > 1 and name.rsplit(".", 1)[-1] in _DECAYING
        groups.setdefault((-distance, decays), []).append(parameter)
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


def _distance_from_head(name, n_layers):
    """0 for the head, 1 for the last backbone layer, n_layers + 1 for tokens and resampler."""
    if not name.startswith("backbone."):
        return 0
    parts = name.split(".")
    if parts[1] == "layers":
        return n_layers - int(parts[2])
    return 1 if "norm" in parts[1] else n_layers + 1


def predict_outputs(network, blocks, n_samples, batch_size, *, only=None):
    """Outputs averaged over the windows of each sample.

    Parameters
    ----------
    network : Network
        Put into eval mode.
    blocks : iterable of Block
        Windows.
    n_samples : int
        Number of samples in them.
    batch_size : int
        Windows at once.
    only : ndarray of int | None
        Samples wanted; the rows of others are NaN.

    Returns
    -------
    outputs : torch.Tensor, shape (n_samples, O), float64
        On the CPU.
    """
    device = next(network.parameters()).device
    network.eval()
    rows = average_over_windows(network, blocks, n_samples, batch_size, device, only=only)
    return torch.from_numpy(rows)
