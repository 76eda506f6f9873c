"""Fitted decoders: an encoder with a head, or a network that was trained with its head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import softmax

from ..encoder import Encoder
from ..io.inputs import count_samples
from ..models.isolate import isolate_torch
from .network import Network, make_network, predict_outputs
from .precomputed import PrecomputedFeatures


def embed_blocks(encoder, samples):
    """Return the blocks of features of samples, or those that were computed before."""
    if isinstance(samples, PrecomputedFeatures):
        return samples.blocks_for(encoder)
    return encoder.embed_blocks(samples)


def join_blocks(blocks):
    """Put blocks side by side: rows (n_samples, n_columns); no sample may lack all of them."""
    rows = np.hstack(list(blocks.values()))
    is_empty = np.isnan(rows).all(axis=1)
    if is_empty.any():
        raise ValueError(
            f"Sample {int(is_empty.argmax())} has none of the features {', '.join(blocks)}."
        )
    return rows


@dataclass(frozen=True, eq=False)
class ProbeDecoder:
    """A head on the features of a frozen network."""

    encoder: Encoder
    head: object  # Fitted scikit-learn pipeline

    def _rows(self, samples):
        return join_blocks(embed_blocks(self.encoder, samples))

    def predict_proba(self, samples):
        """Return class probabilities (n_samples, n_classes)."""
        return self.head.predict_proba(self._rows(samples))

    def decision_function(self, samples):
        """Return log odds (n_samples,) for two classes, scores (n_samples, n_classes) for more."""
        return self.head.decision_function(self._rows(samples))

    def predict_numbers(self, samples):
        """Return standardised targets (n_samples,)."""
        return self.head.predict(self._rows(samples))

    def as_network(self):
        """Return network and head as one differentiable network."""
        return make_network(self.encoder, self.head)


@dataclass(frozen=True, eq=False)
class NetworkDecoder:
    """A network that was trained with its head, and what training it further needs."""

    encoder: Encoder
    network: Network  # Its backbone is the encoder's network
    history: pd.DataFrame | None = None  # Losses by epoch
    updates: dict | None = None  # Factors of the low-rank updates, by name
    matrices: dict = field(default_factory=dict)  # The matrices without these updates
    base_weights: str | None = None  # Identifier of the checkpoint's weights
    optimizer_state: dict | None = None

    @isolate_torch()
    def _outputs(self, samples):
        """Return outputs (n_samples, n_outputs), float64."""
        if isinstance(samples, PrecomputedFeatures):
            raise ValueError(
                "This network was trained: it needs the samples themselves, not features that "
                "were computed ahead."
            )
        self.network.to(self.encoder.device)
        batches, n_samples = self.encoder.windows(samples), count_samples(samples)
        return predict_outputs(self.network, batches, n_samples, self.encoder.batch_size).numpy()

    def predict_proba(self, samples):
        """Return class probabilities (n_samples, n_classes)."""
        return softmax(self._outputs(samples), axis=1)

    def decision_function(self, samples):
        """Return log odds (n_samples,) for two classes, scores (n_samples, n_classes) for more."""
        outputs = self._outputs(samples)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict_numbers(self, samples):
        """Return standardised targets (n_samples,)."""
        return self._outputs(samples)[:, 0]

    def as_network(self):
        """Return the network."""
        return self.network

    def __getstate__(self):
        """Pickle with the weights on the CPU, so that any machine loads them."""
        self.network.cpu()
        return vars(self)

    def __setstate__(self, state):
        vars(self).update(state)
