"""Training a network and its head on labelled samples, from the probe's solution on."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from .._utils.logging import MANY_SECONDS, describe_seconds, inform
from .._utils.subjects import hash_subject
from .._utils.validation import check_number, check_option
from ..encoder import Encoder
from ..models.isolate import isolate_torch
from . import lora
from .alignment import center_by_group, subjects_of
from .augment import Augmentation
from .decoders import Decoder
from .finetune import Interrupted, TrainingData, fit_network, make_optimizer
from .fusion import FusedProbe, choose_factors, fit_fused, make_family
from .heads import LayeredHead, inner_splits
from .network import make_network, predict_outputs
from .precomputed import PrecomputedFeatures


def _are_trusted(pooler):
    """Return whether latents have the factor of explicit blocks where there is no evidence."""
    # Otherwise it is 0. Read-outs of EEG and MEG improved decoding with few or noisy sensors, and
    # those of fMRI none (doc/decoding.rst).
    return pooler.name == "compact" and "fmri" not in pooler.modalities


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples with encoded targets, as adaptations take them."""

    encoder: Encoder
    samples: object  # Lazily read samples, or PrecomputedFeatures
    targets: np.ndarray  # (n_samples,) Class indices (int64) or standardised numbers
    weight: np.ndarray  # (n_samples,)
    groups: np.ndarray | None  # (n_samples,)
    seed: int
    align: str | None = None  # "subject" re-centres features on each subject

    def fit_head(self, blocks, head, rows=slice(None)):
        """Fit a head to some of the samples, given the blocks of features of all."""
        some = {name: block[rows] for name, block in blocks.items()}
        groups = None if self.groups is None else self.groups[rows]
        parts = some, self.targets[rows], groups, self.weight[rows]
        if head == "mlp":
            return LayeredHead.fit(*parts, random_state=self.seed)
        is_optional = "latents" in blocks and not _are_trusted(self.encoder.pooler)
        return fit_fused(*parts, optional=("latents",) * is_optional, random_state=self.seed)

    def align_blocks(self, blocks):
        """Re-centre blocks on each subject, if wanted; returns them and their centre."""
        if self.align is None:
            return blocks, None
        subjects = subjects_of(self.samples) if self.groups is None else self.groups
        if subjects is None:
            raise ValueError(
                "align='subject' needs the subject of each sample: pass groups= to fit, or "
                "samples that name their subjects."
            )
        return center_by_group(blocks, subjects)

    @property
    def is_classification(self):
        """Whether targets are class indices."""
        return self.targets.dtype.kind == "i"


@dataclass(eq=False, repr=False, kw_only=True)
class Training(BaseEstimator):
    """Training of the network from the probe's solution on; not for direct use."""

    head: str = "linear"
    max_epochs: int = 10
    patience: int = 4
    learning_rate: float = 1e-4
    layer_decay: float = 0.9
    weight_decay: float = 0.05
    augmentation: Augmentation | str | None = "default"
    label_smoothing: float = 0.1
    validation_fraction: float = 0.2
    refit: bool = True
    warm_start: bool = False

    trains_network = True
    has_updates = False

    def _check(self, encoder):
        """Refuse unusable parameters, and an encoder that cannot be trained."""
        check_option("head", self.head, ("linear", "mlp"))
        check_number("max_epochs", self.max_epochs, low=1, integer=True)
        check_number("patience", self.patience, low=1, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, low_open=True)
        check_number("layer_decay", self.layer_decay, low=0, high=1, low_open=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("label_smoothing", self.label_smoothing, low=0, high=0.9)
        check_number("validation_fraction", self.validation_fraction, low=0, high=0.9)
        check_option("refit", self.refit, (True, False))
        check_option("warm_start", self.warm_start, (True, False))
        if not (self.augmentation is None or isinstance(self.augmentation, Augmentation)):
            hint = "Pass None for none, or an Augmentation."
            check_option("augmentation", self.augmentation, ("default",), hint)
        if "latents" not in encoder.features:
            raise ValueError(
                f"{type(self).__name__} trains the network: features must include 'latents'."
            )
        if encoder.backbone.embeds != "tokens":
            raise ValueError("Released weights are used frozen: they need adaptation='probe'.")

    @isolate_torch()
    def _adapt(self, data, earlier=None):
        """Train from the probe, or from an earlier Decoder; returns a Decoder."""
        batches, everything = _read(data), np.arange(len(data.targets))
        train, valid = self._split(data)
        started = time.perf_counter()
        latents, blocks = self._embed(data, batches, earlier)
        if earlier is None:
            self._announce(time.perf_counter() - started, data, len(train), len(valid))
        # The head is fitted to training samples alone, so that watched ones stay unseen.
        network, matrices = self._start(data, latents, train, earlier)
        training = self._training_data(data, batches, train, valid)
        stopped = None
        try:
            history = fit_network(network, training, self)
        except Interrupted as error:
            stopped, history = error, error.history
        history = pd.DataFrame(history)
        fields = {"history": history, **_fuse(data, network, batches, blocks, train, valid)}
        if self.refit and len(valid) and stopped is None:
            # As many epochs as were best, now with the watched samples.
            first = network, matrices
            network, matrices = self._start(data, latents, everything, earlier)
            if best := int(history["valid_loss"].idxmin()):
                training = self._training_data(data, batches, everything)
                try:
                    fit_network(network, training, self, n_epochs=best)
                except Interrupted as error:
                    stopped, (network, matrices) = error, first
        encoder = data.encoder if blocks else data.encoder.only_latents()
        decoder = self._finish(encoder, network, matrices, _subjects(batches, earlier), **fields)
        if stopped is not None:
            stopped.decoder = decoder
            raise stopped
        return decoder

    def _announce(self, seconds, data, n_train, n_valid):
        """State the expected time, from the seconds that embedding all samples took."""
        n_passes = 3 * n_train + n_valid  # a step takes about three passes
        again = ""
        if self.refit and n_valid:
            n_passes += 3 * (n_train + n_valid)
            again = f", then on all {n_train + n_valid}"
        expected = seconds * self.max_epochs * n_passes / (n_train + n_valid)
        if expected > MANY_SECONDS or data.encoder.verbose:
            inform(
                f"Fine-tuning for up to {self.max_epochs} epochs on {n_train} samples{again}: at "
                f"most about {describe_seconds(expected)} on {data.encoder.device}.",
                data.encoder.verbose,
            )

    @isolate_torch()
    def _adapt_once(self, data, earlier=None):
        """Make one pass at a constant rate, with the optimiser's state of the earlier pass."""
        batches, everything = _read(data), np.arange(len(data.targets))
        data = replace(data, encoder=data.encoder.only_latents(), align=None)
        latents, _ = self._embed(data, batches, earlier)
        network, matrices = self._start(data, latents, everything, earlier)
        optimizer, rows = make_optimizer(network, self), []
        training = self._training_data(data, batches, everything)
        if earlier:
            rows = [] if earlier.history is None else earlier.history.to_dict("records")
            if earlier.optimizer_state is not None:
                optimizer.load_state_dict(earlier.optimizer_state)
                training.seed += len(rows)
        _, done = fit_network(network, training, self, optimizer, n_epochs=1)
        history = pd.DataFrame([*rows, {**done, "epoch": len(rows) + 1}])
        fields = {"head": FusedProbe.of_network(len(network.biases[-1]))}
        fields |= {"history": history, "optimizer_state": optimizer.state_dict()}
        subjects = _subjects(batches, earlier)
        return self._finish(data.encoder, network, matrices, subjects, **fields)

    def _training_data(self, data, batches, train, *valid):
        """Describe what a network is trained on."""
        encoder = data.encoder
        is_default = self.augmentation == "default"
        return TrainingData(
            batches,
            torch.as_tensor(data.targets, dtype=None if data.is_classification else torch.float32),
            torch.as_tensor(data.weight, dtype=torch.float32),
            train,
            *valid,
            batch_size=encoder.batch_size,
            seed=data.seed,
            augmentation=Augmentation() if is_default else self.augmentation,
            verbose=encoder.verbose,
        )

    @staticmethod
    def _embed(data, batches, earlier):
        """Return the latents, which only a first training starts from, and explicit blocks."""
        encoder = data.encoder.without_latents() if earlier else data.encoder
        if not encoder.features:
            return None, {}
        blocks = encoder.embed_windows(batches, data.samples)
        if not earlier and "latents" not in blocks:
            raise ValueError(
                "The samples are maps of one volume, which train no network: use "
                "adaptation='probe'."
            )
        return {"latents": blocks.pop("latents", None)}, blocks

    def _start(self, data, latents, samples, earlier):
        """Return the network before training, and the matrices that LoRA updates."""
        if earlier is None:
            network = make_network(data.encoder, data.fit_head(latents, self.head, samples))
            return network, self._prepare(network, data.encoder, data.seed)
        # A trained network has its updates separate from their matrices again.
        network = copy.deepcopy(earlier.network)
        modules = dict(network.backbone.named_modules())
        with torch.no_grad():
            for name, matrix in earlier.matrices.items():
                modules[name].weight.copy_(matrix)
        return network, self._prepare(network, data.encoder, data.seed, earlier.updates)

    def _finish(self, encoder, network, matrices, subjects, **fields):
        """Merge what was trained, and return a Decoder."""
        updates = lora.merge(network.backbone) or None
        fields = {"updates": updates, "base_weights": encoder.backbone.weights, **fields}
        encoder = encoder.with_network(network.requires_grad_(True).eval().backbone, subjects)
        return Decoder(encoder, network=network, matrices=matrices, **fields)

    def _check_resumable(self, decoder, encoder, n_outputs):
        """Refuse a fitted Decoder that training cannot continue from."""
        network = decoder.network
        found = (network.pooling.label, network.layer, len(network.biases[-1]))
        wanted = (encoder.pooler.label, encoder.layer, n_outputs)
        if found != wanted:
            raise ValueError(
                f"The fitted network has (pooling, layer, outputs) {found}, now {wanted} are "
                "asked for: fit anew with warm_start=False."
            )
        if (decoder.updates is not None) != self.has_updates:
            raise ValueError(
                "The earlier fit had another adaptation: fit anew with warm_start=False."
            )

    def _split(self, data):
        """Return training and validation samples."""
        everything, none = np.arange(len(data.targets)), np.array([], dtype=int)
        if self.validation_fraction == 0:
            return everything, none
        splits = inner_splits(
            data.targets,
            data.groups,
            is_classification=data.is_classification,
            n_folds=max(2, round(1 / self.validation_fraction)),
            random_state=data.seed,
        )
        return splits[0] if splits else (everything, none)


def _read(data):
    """Read and preprocess all windows, which training visits again and again."""
    if isinstance(data.samples, PrecomputedFeatures):
        raise ValueError(
            "Training the network needs the samples themselves, not features that were computed "
            "ahead."
        )
    return list(data.encoder.windows(data.samples))


def _subjects(batches, earlier):
    """Hash the named subjects of windows, and add those of an earlier fit."""
    parts = [windows.signals for batch in batches for windows in batch.windows.values()]
    named = {subject for part in parts for subject in part.subject if subject is not None}
    return {*map(hash_subject, named), *(earlier.encoder.subjects if earlier else ())}


def _fuse(data, network, batches, blocks, train, valid):
    """Choose the factors of a network and of a probe on explicit blocks; return fields."""
    # Both members were fitted to ``train``; factors are chosen on ``valid``, as early stopping is.
    outputs = predict_outputs(network, batches, len(data.targets), data.encoder.batch_size)
    moved, centre = data.align_blocks({"latents": outputs.numpy(), **blocks})
    outputs = moved.pop("latents").astype(np.float64)
    if not moved:
        return {"centre": centre, "head": FusedProbe.of_network(outputs.shape[1])}
    factors = np.full(2, 0.5)
    if len(valid):
        family = make_family(data.targets, data.weight)
        members = np.full((2, *outputs.shape), np.nan)
        probe = data.fit_head(moved, "linear", train)
        members[:, valid] = outputs[valid], probe.decision(moved)[valid]
        groups = None if data.groups is None else data.groups[valid]
        factors = choose_factors(family, (members - family.origin) / family.unit, groups, factors)
    probe, factors = data.fit_head(moved, "linear"), [float(factor) for factor in factors]
    own, explicit = (rows.std(axis=0).sum() for rows in (outputs, probe.decision(moved)))
    total = factors[0] * own + factors[1] * explicit
    share = float(factors[0] * own / total) if total else 0.5
    head = FusedProbe.of_network(outputs.shape[1], factors, share, probe)
    return {"centre": centre, "head": head}
