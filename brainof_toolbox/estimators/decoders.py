"""Fitted decoders: an encoder with a head, or a network that was trained with its head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..encoder import Encoder
from .alignment import Alignment
from .fusion import FusedProbe
from .network import Network, make_network
from .precomputed import PrecomputedFeatures

#: Name of the outputs of a trained network among the members of a decoder.
NETWORK = "network"


def embed_blocks(encoder, samples):
    """Return the blocks of features of samples, or those that were computed before."""
    if isinstance(samples, PrecomputedFeatures):
        return samples.blocks_for(encoder)
    return encoder.embed_blocks(samples)


class Decoder:
    """Predictions from outputs (n_samples, n_outputs): logits of classes, or one target."""

    def outputs_of(self, blocks, samples):
        """Return outputs (n_samples, n_outputs) of the blocks that ``reader`` computes."""
        return self.decision(self.align(blocks, samples))

    def align(self, blocks, samples):
        """Re-centre blocks on each subject, if the training samples were."""
        return blocks if self.alignment is None else self.alignment.apply(blocks, samples)


@dataclass(frozen=True, eq=False)
class ProbeDecoder(Decoder):
    """A head on the features of a frozen network."""

    encoder: Encoder
    head: object  # FusedProbe, or LayeredHead
    alignment: Alignment | None = None

    @property
    def feature_weights(self):
        """Share of each block in the outputs; None for a head that has no such shares."""
        return getattr(self.head, "weights_", None)

    def outputs(self, samples):
        """Return outputs (n_samples, n_outputs)."""
        return self.outputs_of(embed_blocks(self.encoder, samples), samples)

    @property
    def reader(self):
        """The encoder of the blocks."""
        return self.encoder

    def decision(self, blocks):
        """Return outputs (n_samples, n_outputs) of aligned blocks."""
        return self.head.decision(blocks)

    def neutral(self, blocks):
        """Return the mean (n_columns,) of each aligned block in training, by name."""
        return self.head.means

    def as_network(self):
        """Return network and head as one differentiable network."""
        return make_network(self.encoder, self.head)


@dataclass(frozen=True, eq=False)
class NetworkDecoder(Decoder):
    """A network that was trained with its head, and what training it further needs."""

    encoder: Encoder
    network: Network  # Its backbone is the encoder's network
    history: pd.DataFrame | None = None  # Losses by epoch
    updates: dict | None = None  # Factors of the low-rank updates, by name
    matrices: dict = field(default_factory=dict)  # The matrices without these updates
    base_weights: str | None = None  # Identifier of the checkpoint's weights
    optimizer_state: dict | None = None
    probe: FusedProbe | None = None  # A probe on the explicit features
    factors: tuple = (1.0,)  # On the outputs of the network and of the probe
    shares: dict | None = None  # Share of each member in the outputs
    alignment: Alignment | None = None

    @property
    def feature_weights(self):
        """Share of the network and of each explicit block in the outputs."""
        return self.shares or {NETWORK: 1.0}

    def outputs(self, samples):
        """Return outputs (n_samples, n_outputs), float64."""
        if isinstance(samples, PrecomputedFeatures):
            raise ValueError(
                "This network was trained: it needs the samples themselves, not features that "
                "were computed ahead."
            )
        return self.outputs_of(self.reader.embed_blocks(samples), samples)

    @property
    def reader(self):
        """The encoder of the blocks, of which ``"latents"`` are the outputs of the network."""
        return self.encoder.with_outputs(self.network)

    def decision(self, blocks):
        """Return outputs (n_samples, n_outputs) of aligned outputs and explicit blocks."""
        blocks = dict(blocks)
        outputs = self.factors[0] * blocks.pop("latents").astype(np.float64)
        if self.probe is not None:
            outputs = outputs + self.factors[1] * self.probe.decision(blocks)
        return outputs

    def neutral(self, blocks):
        """Return the mean of each block in training; of the network's outputs, in the blocks."""
        means = {} if self.probe is None else self.probe.means
        return {"latents": np.nanmean(blocks["latents"], axis=0), **means}

    def as_network(self):
        """Return the network."""
        if self.probe is not None:
            raise ValueError(
                "The decoder uses explicit features beside the network, and this needs latents "
                "alone: pass features='latents'."
            )
        return self.network

    def __getstate__(self):
        """Pickle with the weights on the CPU, so that any machine loads them."""
        self.network.cpu()
        return vars(self)

    def __setstate__(self, state):
        vars(self).update(state)
