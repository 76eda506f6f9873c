"""Fitted decoders: an encoder and a head, with a network that was trained or a frozen one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..encoder import Encoder
from .alignment import center_new
from .fusion import FusedProbe
from .heads import LayeredHead, refuse_others
from .network import Network, make_network
from .precomputed import PrecomputedFeatures


@dataclass(frozen=True, eq=False)
class Decoder:
    """From samples to outputs (n_samples, n_outputs): logits of classes, or one target.

    Without ``network``, the head is on the features of the frozen network. With it, the block
    ``"latents"`` holds its outputs, and the head adds those of a probe on explicit features.
    """

    encoder: Encoder
    head: FusedProbe | LayeredHead
    centre: dict | None = None  # Of aligned subjects, (n_columns,) by block
    network: Network | None = None  # Its backbone is the encoder's network
    history: pd.DataFrame | None = None  # Losses by epoch
    updates: dict | None = None  # Factors of the low-rank updates, by name
    matrices: dict = field(default_factory=dict)  # The matrices without these updates
    base_weights: str | None = None  # Identifier of the checkpoint's weights
    optimizer_state: dict | None = None

    @property
    def feature_weights(self):
        """Share of each block in the outputs; None for a head that has no such shares."""
        shares = getattr(self.head, "weights_", None)
        if self.network is None:
            return shares
        return {"network" if name == "latents" else name: x for name, x in shares.items()}

    @property
    def reader(self):
        """The encoder of the blocks."""
        return self.encoder if self.network is None else self.encoder.with_outputs(self.network)

    def outputs(self, samples):
        """Return outputs (n_samples, n_outputs), float64."""
        if not isinstance(samples, PrecomputedFeatures):
            blocks = self.reader.embed_blocks(samples)
        elif self.network is None:
            blocks = samples.blocks_for(self.encoder)
        else:
            raise ValueError(
                "This network was trained: it needs the samples themselves, not features that "
                "were computed ahead."
            )
        return self.outputs_of(blocks, samples)

    def outputs_of(self, blocks, samples):
        """Return outputs (n_samples, n_outputs) of the blocks that ``reader`` computes."""
        return self.decision(self.align(blocks, samples))

    def align(self, blocks, samples):
        """Re-centre blocks on each subject, if the training samples were."""
        return blocks if self.centre is None else center_new(blocks, samples, self.centre)

    def decision(self, blocks):
        """Return outputs (n_samples, n_outputs) of aligned blocks."""
        return self.head.decision(blocks)

    def neutral(self, blocks):
        """Return the mean of each block in training; of the network's outputs, in the blocks."""
        own = {} if self.network is None else {"latents": np.nanmean(blocks["latents"], axis=0)}
        return self.head.means | own

    def as_network(self):
        """Return network and head as one differentiable network."""
        if self.network is None:
            return make_network(self.encoder, self.head)
        refuse_others(self.head.parts)
        return self.network

    def __getstate__(self):
        """Pickle with the weights on the CPU, so that any machine loads them."""
        if self.network is not None:
            self.network.cpu()
        return vars(self)

    def __setstate__(self, state):
        vars(self).update(state)
