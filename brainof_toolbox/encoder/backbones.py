"""Networks behind one face: Brain-OF checkpoints and the authors' released weights.

A backbone prepares windows for its network and embeds them; the encoder does not ask which one it
is. ``weights`` identifies the weights, ``info`` describes them, ``manifest`` is the checkpoint's.
"""

from __future__ import annotations

import copy
import hashlib
import os

import safetensors.torch
import torch

from .._utils.validation import check_number
from ..models import BrainOF, BrainOFConfig, load_checkpoint
from ..models.checkpoint import find_bundled, known_checkpoints, read_checkpoint_config
from ..models.release import ReleasedBrainOF
from ..preprocessing import Preprocessing
from ..pretraining.run_dir import is_run, latest_checkpoint
from .pooling import Pooling, choose_pooling
from .tokens import batch_tokens, refuse_maps

__all__ = ["BrainOFBackbone", "ReleasedBackbone", "load_backbone", "load_preprocessing"]


class TokenBackbone:
    """A network that takes tokens."""

    embeds = "tokens"

    def prepare(self, batch, rows, device):
        """Turn windows into tokens on a device, one batch per modality in reading order."""
        return [part.to(device) for part in batch_tokens(batch, rows)]

    def pooling(self, name, modalities):
        """Return the form of the latents for samples of some modalities."""
        return choose_pooling(self.config, name, modalities)


class BrainOFBackbone(TokenBackbone):
    """A Brain-OF network; weights of a bundled checkpoint may stay outside of pickles."""

    is_portable = True  # workers can build the network from its configuration and weights

    def __init__(self, network, weights, info, manifest, *, is_bundled=False):
        self._network, self.config = network, network.config
        self._weights, self.info, self.manifest = weights, info, manifest
        self.is_bundled = is_bundled  # True: the weights come with the package, unchanged

    @property
    def network(self):
        """The network, loaded again where a pickle left it out."""
        if self._network is None:
            self._network = _load_bundled(self._weights)
        return self._network

    @property
    def weights(self):
        """Identifier of the weights: their sha256, or the seed of untrained ones."""
        if self._weights is None:
            state = {name: x.detach().cpu() for name, x in self.network.state_dict().items()}
            self._weights = hashlib.sha256(safetensors.torch.save(state)).hexdigest()
        return self._weights

    def with_network(self, network):
        """Return a copy with other weights."""
        other = copy.copy(self)
        other._network, other._weights, other.is_bundled = network, None, False
        return other

    def with_outputs(self, network):
        """Return a backbone that gives the outputs of a network with a head."""
        return OutputBackbone(network, self.config)

    def without_network(self):
        """Return a copy without weights, which is given them by :meth:`receive`."""
        other = copy.copy(self)
        other._weights, other._network = self.weights, None
        return other

    def receive(self, network):
        """Return a copy that uses a network with the same weights."""
        other = copy.copy(self)
        other._network = network
        return other

    def __getstate__(self):
        """Leave bundled weights out; put others on the CPU, so that any machine loads them."""
        state = dict(vars(self))
        network = state["_network"]
        state["_network"] = None if self.is_bundled or network is None else network.cpu()
        return state

    def check_layer(self, layer):
        """Return the number of layers to use, None for all; negative ones count from the last."""
        if layer in (None, -1):
            return None
        n_layers = self.config.n_layers
        check_number("layer", layer, low=-n_layers - 1, high=n_layers, integer=True)
        return layer + n_layers + 1 if layer < 0 else layer

    def check_pooling(self, name, layer):
        """Return the name of a pooling; refuse read-outs that the network does not have."""
        has_read_outs = layer is None and bool(self.config.read_outs)
        if name == "auto" and not has_read_outs:
            return "flatten"
        if name == "compact" and not self.config.read_outs:
            owner = self.info["name"] or "an untrained network"
            raise ValueError(
                f"pooling='compact' needs read-outs, and {owner} has none: they come from "
                "pretraining with terms. Use pooling='auto' or 'flatten'."
            )
        if name == "compact" and layer is not None:
            raise ValueError(
                f"pooling='compact' reads the latents after the last layer, got layer={layer}. "
                "Use layer=None, or pooling='flatten'."
            )
        return name

    def columns(self, pooling):
        """Name the columns of a sample."""
        return pooling.columns()

    def embed(self, tokens, *, layer, pooling):
        """Embed windows: (n_windows, n_columns)."""
        return pooling.rows(self.network, self.network(tokens, layer=layer), tokens)


class OutputBackbone(TokenBackbone):
    """A network with its head: its outputs take the place of pooled latents."""

    is_portable = False
    is_bundled = False

    def __init__(self, network, config):
        self.network, self.config = network, config

    def embed(self, tokens, *, layer, pooling):
        """Compute outputs of windows: (n_windows, n_outputs)."""
        return self.network(tokens)


class ReleasedBackbone:
    """The authors' network: one embedding of each modality of a window, averaged."""

    is_portable = False
    is_bundled = False
    embeds = "arrays"
    config = None

    def __init__(self, network):
        self.network, self.manifest, self.info = network, {}, dict(network.info)
        self.weights = network.info["sha256"]

    def check_layer(self, layer):
        """Refuse any layer but the last."""
        if layer not in (None, -1):
            raise ValueError("Released weights are used whole: they need layer=None.")

    def check_pooling(self, name, layer):
        """Refuse read-outs; there is one embedding, whatever the pooling."""
        if name == "compact":
            raise ValueError(
                "The authors' released weights have no read-outs, which pooling='compact' needs. "
                "Use pooling='auto'."
            )
        return "flatten" if name == "auto" else name

    def pooling(self, name, modalities):
        """Return the pooling, which changes nothing."""
        return Pooling(name)

    def columns(self, pooling):
        """Number the columns of the embedding, whatever the pooling."""
        return [str(i) for i in range(self.network.embedding_size)]

    def prepare(self, batch, rows, device):
        """List the arrays of the modalities that each window has."""
        # They stay on the CPU, where the authors' transform takes them.
        for windows in batch.windows.values():
            refuse_maps(windows.signals)
        return [
            [
                windows.signals.data[batch.rows[name][row]]
                for name, windows in batch.windows.items()
                if not batch.is_missing[name][row]
            ]
            for row in rows
        ]

    def embed(self, windows, *, layer, pooling):
        """Embed windows: (n_windows, embedding_size)."""
        rows = self.network([array for arrays in windows for array in arrays])
        counts = [len(arrays) for arrays in windows]
        return torch.stack([part.mean(0) for part in rows.split(counts)])


def load_backbone(checkpoint, seed):
    """Load a checkpoint, or make untrained weights; returns a backbone and its preprocessing."""
    if isinstance(checkpoint, ReleasedBrainOF):
        return ReleasedBackbone(checkpoint), Preprocessing(reference=None)
    if checkpoint is None:
        network = BrainOF(BrainOFConfig.preset("tiny"), random_state=seed).eval()
        info = {"name": None, "sha256": None, "step": 0, "parameters": network.n_parameters()}
        info |= {"corpus": "none (untrained)", "licence": None}
        return BrainOFBackbone(network, f"untrained, seed {seed}", info, {}), Preprocessing()
    checkpoint = find_checkpoint(checkpoint)
    loaded = load_checkpoint(checkpoint)
    manifest = loaded.manifest
    info = {
        "name": loaded.name,
        "sha256": loaded.sha256,
        "step": manifest.get("steps"),
        "parameters": loaded.model.n_parameters(),
        "corpus": manifest.get("datasets"),
        "licence": manifest.get("licence"),
    }
    is_bundled = loaded.name in known_checkpoints()
    backbone = BrainOFBackbone(loaded.model, loaded.sha256, info, manifest, is_bundled=is_bundled)
    return backbone, _parse_preprocessing(loaded.preprocessing, loaded.name)


def find_checkpoint(checkpoint):
    """Return the latest checkpoint of the folder of a pretraining run; others as they are."""
    is_path = isinstance(checkpoint, str | os.PathLike)
    return latest_checkpoint(checkpoint) if is_path and is_run(checkpoint) else checkpoint


def load_preprocessing(checkpoint):
    """Return the preprocessing that a checkpoint expects, without loading its weights."""
    if checkpoint is None or isinstance(checkpoint, ReleasedBrainOF):
        return Preprocessing()
    checkpoint = find_checkpoint(checkpoint)
    _, values = read_checkpoint_config(checkpoint)
    return _parse_preprocessing(values, checkpoint)


def _parse_preprocessing(values, name):
    """Read the preprocessing of the checkpoint ``name``; errors name its file."""
    try:
        return Preprocessing.from_dict(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}, config.json: {error}") from error


def _load_bundled(sha256):
    """Load the bundled checkpoint with these weights."""
    name = find_bundled(sha256)
    if name is None:
        known = ", ".join(known_checkpoints()) or "none"
        raise ValueError(
            f"This object was pickled without its weights (sha256 {sha256}), which came with "
            f"brainof_toolbox; the installed version bundles other ones ({known}). Install the "
            "version that it was pickled with, or fit again."
        )
    return load_checkpoint(name).model
