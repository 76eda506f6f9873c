"""Training a network and its head on labelled samples, from the probe's solution on."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from .._utils.subjects import hash_subject
from .._utils.validation import check_number, check_option
from ..encoder import Encoder
from ..models.isolate import isolate_torch
from . import lora
from .alignment import Alignment, subjects_of
from .augment import Augmentation
from .decoders import JoinedHead, NetworkDecoder, join_blocks
from .finetune import Settings, TrainingData, fit_network, make_optimizer
from .fuse_network import fuse_network
from .fusion import fit_fused_classifier, fit_fused_regressor
from .heads import fit_classification_head, fit_regression_head, inner_splits
from .network import make_network
from .precomputed import PrecomputedFeatures

#: Factors of latents in a fused probe without evidence, by pooling; explicit blocks have 1.
PRIOR_FACTORS = {"compact": 1, "flatten": 0, "mean": 0, "mean+std": 0}


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
        if head == "linear":
            return self.fit_probe(blocks, rows)
        fit = fit_classification_head if self.is_classification else fit_regression_head
        groups = None if self.groups is None else self.groups[rows]
        features, targets = join_blocks(blocks)[rows], self.targets[rows]
        weight = self.weight[rows]
        options = {"parts": self._parts_of(blocks), "random_state": self.seed}
        return JoinedHead(fit(features, targets, groups, kind=head, weight=weight, **options))

    def _parts_of(self, blocks):
        """Return the numbers of columns that share a scale, of blocks side by side, or None."""
        own = self.encoder.scale_parts() if "latents" in blocks else None
        if own is None:
            return None
        parts = [own if k == "latents" else (1,) * X.shape[1] for k, X in blocks.items()]
        return tuple(n for part in parts for n in part)

    def fit_probe(self, blocks, rows=slice(None)):
        """Fit a fused probe to some of the samples."""
        fit = fit_fused_classifier if self.is_classification else fit_fused_regressor
        some = {name: block[rows] for name, block in blocks.items()}
        groups = None if self.groups is None else self.groups[rows]
        weight = self.weight[rows]
        options = {"random_state": self.seed}
        if "latents" in blocks:
            is_optional = not PRIOR_FACTORS[self.encoder.pooler.name]
            options["optional"] = ("latents",) * is_optional
            options["parts"] = {"latents": self.encoder.scale_parts()}
        return fit(some, self.targets[rows], groups, weight, **options)

    def align_blocks(self, blocks):
        """Re-centre blocks on each subject, if wanted; returns them and the alignment."""
        if self.align is None:
            return blocks, None
        subjects = subjects_of(self.samples) if self.groups is None else self.groups
        if subjects is None:
            raise ValueError(
                "align='subject' needs the subject of each sample: pass groups= to fit, or "
                "samples that name their subjects."
            )
        moved, alignment = Alignment.fit(blocks, subjects)
        return moved, alignment

    @property
    def is_classification(self):
        """Whether targets are class indices."""
        return self.targets.dtype.kind == "i"


class Training(BaseEstimator):
    """Training of the network from the probe's solution on; not for direct use."""

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

    def _settings(self, data):
        return Settings(
            max_epochs=self.max_epochs,
            patience=self.patience,
            learning_rate=self.learning_rate,
            layer_decay=self.layer_decay,
            weight_decay=self.weight_decay,
            batch_size=data.encoder.batch_size,
            seed=data.seed,
            augmentation=Augmentation() if self.augmentation == "default" else self.augmentation,
            label_smoothing=self.label_smoothing,
            verbose=data.encoder.verbose,
        )

    @isolate_torch()
    def _adapt(self, data, earlier=None):
        """Train from the probe, or from an earlier NetworkDecoder; returns a NetworkDecoder."""
        batches, settings = _read(data), self._settings(data)
        everything = np.arange(len(data.targets))
        train, valid = self._split(data)
        latents, blocks = self._embed(data.encoder, batches, data.samples, earlier)

        def start(samples):
            # The head is fitted to training samples alone, so that watched ones stay unseen.
            return self._start(data, latents, samples, earlier)

        network, matrices = start(train)
        targets, weight = _as_tensor(data.targets), _as_tensor(data.weight)
        training = TrainingData(batches, targets, weight, train, valid)
        history = pd.DataFrame(fit_network(network, training, settings))
        fusion = fuse_network(data, network, batches, blocks, train, valid)
        if self.refit and len(valid):
            # As many epochs as were best, now with the watched samples.
            best = int(history["valid_loss"].idxmin())
            network, matrices = start(everything)
            if best:
                training = TrainingData(batches, targets, weight, everything)
                fit_network(network, training, replace(settings, stop_after=best))
        decoder = self._finish(
            data.encoder, network, matrices, _subjects(batches, earlier), history
        )
        if "probe" not in fusion:
            fusion["encoder"] = decoder.encoder.only_latents()
        return replace(decoder, **fusion)

    @isolate_torch()
    def _adapt_once(self, data, earlier=None):
        """Make one pass at a constant rate, with the optimiser's state of the earlier pass."""
        batches = _read(data)
        settings = replace(self._settings(data), max_epochs=1, is_constant=True)
        everything = np.arange(len(data.targets))
        encoder = data.encoder.only_latents()
        data = replace(data, encoder=encoder, align=None)
        latents, _ = self._embed(encoder, batches, data.samples, earlier)
        network, matrices = self._start(data, latents, everything, earlier)
        optimizer, rows = make_optimizer(network, settings), []
        if earlier:
            rows = [] if earlier.history is None else earlier.history.to_dict("records")
        if earlier and earlier.optimizer_state is not None:
            optimizer.load_state_dict(earlier.optimizer_state)
            settings = replace(settings, seed=settings.seed + len(rows))
        targets, weight = _as_tensor(data.targets), _as_tensor(data.weight)
        training = TrainingData(batches, targets, weight, everything)
        _, done = fit_network(network, training, settings, optimizer)
        history = pd.DataFrame([*rows, {**done, "epoch": len(rows) + 1}])
        subjects, state = _subjects(batches, earlier), optimizer.state_dict()
        return self._finish(data.encoder, network, matrices, subjects, history, state)

    @staticmethod
    def _embed(encoder, batches, samples, earlier):
        """Return the latents, which only a first training starts from, and explicit blocks."""
        if not earlier:
            blocks = encoder.embed_windows(batches, samples)
            return {"latents": blocks.pop("latents")}, blocks
        if not encoder.explicit.features:
            return None, {}
        return None, encoder.without_latents().embed_windows(batches, samples)

    def _start(self, data, latents, samples, earlier):
        """Return the network before training, and the matrices that LoRA updates."""
        if earlier:
            return self._resume(data, earlier)
        head = data.fit_head(latents, self.head, samples)
        network = make_network(data.encoder, head)
        return network, self._prepare(network, data.encoder, data.seed)

    def _resume(self, data, earlier):
        """Copy a trained network, with its updates separate from their matrices again."""
        network = copy.deepcopy(earlier.network)
        modules = dict(network.backbone.named_modules())
        with torch.no_grad():
            for name, matrix in earlier.matrices.items():
                modules[name].weight.copy_(matrix)
        return network, self._prepare(network, data.encoder, data.seed, earlier.updates)

    def _finish(self, encoder, network, matrices, subjects, history=None, optimizer_state=None):
        """Merge what was trained, and return a NetworkDecoder."""
        updates = lora.merge(network.backbone) if matrices else None
        network.requires_grad_(True)
        base, backbone = encoder.backbone.weights, network.eval().backbone
        return NetworkDecoder(
            encoder.with_network(backbone, subjects),
            network,
            history,
            updates,
            matrices,
            base,
            optimizer_state,
        )

    def _check_resumable(self, decoder, encoder, n_outputs):
        """Return a fitted NetworkDecoder, if training can continue from it."""
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
        return decoder

    def _split(self, data):
        """Return training and validation samples."""
        everything, none = np.arange(len(data.targets)), np.array([], dtype=int)
        if self.validation_fraction == 0:
            return everything, none
        splits = inner_splits(
            data.targets,
            data.groups,
            is_classification=data.targets.dtype.kind == "i",
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


def _as_tensor(values):
    """Return whole numbers as they are, others in single precision."""
    tensor = torch.as_tensor(np.asarray(values))
    return tensor.float() if tensor.is_floating_point() else tensor.long()
