"""Backbone and head as one network, and the tokens that go into it.

B windows of a batch, F features, O outputs (classes, or one target)
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..models import TokenBatch
from ..signals import MODALITIES
from ._heads import head_layers
from ._reading import average_over_windows, pool, window_tokens


class Network(nn.Module):
    """Backbone, pooling, fixed standardisation of the features, head.

    Parameters
    ----------
    backbone : BrainOF
        The network that reads tokens.
    pooling : str
        How latents become features.
    mean, scale : ndarray, shape (F,)
        Of the features before training, so that one learning rate of the head fits every pooling.
    head : list of (ndarray, ndarray)
        Weight (n_out, n_in) and bias (n_out,) of each layer where the head starts, with
        rectified units between them; the first has F inputs, the last O outputs.
    layer : int | None
        Layers of the backbone that are run; None is all.
    """

    def __init__(self, backbone, pooling, mean, scale, head, layer=None):
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.layer = layer
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("rate", torch.as_tensor(1.0 / scale, dtype=torch.float32))
        self.weights = nn.ParameterList(_parameter(weight) for weight, _ in head)
        self.biases = nn.ParameterList(_parameter(bias) for _, bias in head)

    def forward(self, tokens, return_balance=False):
        """Outputs (B, O) of token batches, one per modality in reading order."""
        latents, balance = self.backbone(tokens, return_balance=True, layer=self.layer)
        x = (pool(latents, self.pooling) - self.mean) * self.rate  # (B, F)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = F.linear(x.relu() if number else x, weight, bias)  # (B, O) at last
        return (x, balance) if return_balance else x


def _parameter(values):
    return nn.Parameter(torch.as_tensor(values, dtype=torch.float32))


def make_network(backbone, pooling, head, layer=None):
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
    layer : int | None
        Layers of the backbone that are run; None is all.

    Returns
    -------
    network : Network
        Its outputs are those of the probe: logits of the classes, or the target.

    References
    ----------
    .. footbibliography::
    """
    rotate, layers = head[0], head_layers(head)
    return Network(copy.deepcopy(backbone), pooling, rotate.mean_, rotate.scale_, layers, layer)


def gather_tokens(blocks, index, change=None):
    """Tokens of windows from several blocks, one batch per modality in reading order.

    Parameters
    ----------
    blocks : list of Block
        All windows.
    index : ndarray of int, shape (B, 2)
        Block and row of each window, sorted by block.
    change : callable | None
        As of :func:`._reading.window_tokens`.

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
                window_tokens(block, modality, rows, change)
                if modality in block.windows
                else len(rows)
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
