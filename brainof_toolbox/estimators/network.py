"""Backbone and head as one network, and the tokens that go into it.

B windows of a batch, F features, O outputs (classes, or one target)
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..encoder.tokens import average_over_windows, window_tokens
from ..models import TokenBatch
from ..models.tokens import Begun
from ..signals import MODALITIES


class Network(nn.Module):
    """Backbone, pooling, fixed standardisation of the features, head."""

    def __init__(self, backbone, pooling, mean, rate, head, layer=None):
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.layer = layer
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("inv_std", torch.as_tensor(rate, dtype=torch.float32))
        self.weights = nn.ParameterList(_parameter(weight) for weight, _ in head)
        self.biases = nn.ParameterList(_parameter(bias) for _, bias in head)

    @property
    def n_run(self):
        """Number of layers of the backbone that are run."""
        return self.backbone.config.n_layers if self.layer is None else self.layer

    @property
    def n_frozen(self):
        """Number of layers before the first that is trained; None if they cannot be run alone."""
        if self.pooling.needs_tokens:
            return None
        trained = [name for name, x in self.backbone.named_parameters() if x.requires_grad]
        layers = [int(name.split(".")[1]) for name in trained if name.startswith("layers.")]
        if any(not name.startswith(("layers.", "norm.")) for name in trained):
            return None
        return min(layers, default=self.n_run)

    def forward(self, tokens, routing=None):
        """Return outputs (B, O) of token batches, one per modality in order, or of one Begun."""
        tokens = tokens[0] if isinstance(tokens[0], Begun) else tokens
        latents = self.backbone(tokens, routing=routing, layer=self.layer)
        rows = self.pooling.rows(self.backbone, latents, tokens)
        x = (rows - self.mean) * self.inv_std  # (B, F)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = F.linear(x.relu() if number else x, weight, bias)  # (B, O) at last
        return x


def _parameter(values):
    return nn.Parameter(torch.as_tensor(values, dtype=torch.float32))


def make_network(encoder, head):
    """Put the head of a probe on a copy of the encoder's network."""
    # Training from the probe's solution does not first distort the features to fit a random head
    # :footcite:p:`kumar2022finetuning`.
    mean, rate, layers = head.latent_layers()
    backbone = copy.deepcopy(encoder.token_network)
    return Network(backbone, encoder.pooler, mean, rate, layers, encoder.layer)


def gather_tokens(batches, index, change=None):
    """Tokens of windows from several batches, one batch per modality in reading order."""
    # index (B, 2).
    chosen = [(batches[b], index[index[:, 0] == b, 1]) for b in np.unique(index[:, 0])]
    tokens = []
    for modality in MODALITIES:
        if any(_has(batch, modality, rows) for batch, rows in chosen):
            parts = [
                window_tokens(batch, modality, rows, change)
                if modality in batch.windows
                else len(rows)
                for batch, rows in chosen
            ]
            like = next(part for part in parts if not isinstance(part, int))
            parts = [_absent(like, part) if isinstance(part, int) else part for part in parts]
            tokens.append(TokenBatch.collate(parts))
    return tokens


def _has(batch, modality, rows):
    """Whether any of these windows has the modality."""
    return modality in batch.windows and not batch.is_missing[modality][rows].all()


def _absent(like, n_samples):
    """Return a batch of padding, for a modality that was not recorded."""
    one = like[np.zeros(n_samples, dtype=int)]
    one.is_padding.fill_(True)
    return one


def predict_outputs(network, batches, n_samples, batch_size, **options):
    """Average the outputs over the windows of each sample; options of average_over_windows."""
    # -> outputs (n_samples, O).
    device = next(network.parameters()).device
    network.eval()
    rows = average_over_windows(network, batches, n_samples, batch_size, device, **options)
    return torch.from_numpy(rows)
