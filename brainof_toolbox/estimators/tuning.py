"""Train the network itself: all of it, its last layers, or low-rank differences."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from .._utils.subjects import hash_subject
from .._utils.validation import check_number, check_option
from . import lora
from ._embedded import Embedded
from .augment import Augmentation
from .base import BaseBrainOF, as_seed, check_device
from .finetune import Settings, Task, fit_network, freeze, make_optimizer
from .heads import inner_splits
from .network import make_network

ADAPTATIONS = ("probe", "lora", "full")
#: Measured by benchmarks/adaptations.py.
_RATES = {"lora": 1e-3, "full": 1e-4}


class Earlier(NamedTuple):
    """What a fit leaves to the next one; not for direct use."""

    network: torch.nn.Module
    differences: dict | None
    matrices: dict | None
    manifest: dict


class TunedBrainOF(BaseBrainOF):
    """What ``adaptation="lora"`` and ``"full"`` share; not for direct use."""

    label_smoothing = 0.0

    def _check_parameters(self):
        super()._check_parameters()
        check_option("adaptation", self.adaptation, ADAPTATIONS)
        check_option("head", self.head, ("linear", "mlp"))
        check_option("lora_targets", self.lora_targets, tuple(lora.TARGETS))
        check_number("lora_rank", self.lora_rank, low=1, integer=True)
        check_number("lora_scaling", self.lora_scaling, low=0, low_open=True)
        check_number("max_epochs", self.max_epochs, low=1, integer=True)
        check_number("patience", self.patience, low=1, integer=True)
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, low=0, low_open=True)
        check_number("layer_decay", self.layer_decay, low=0, high=1, low_open=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("label_smoothing", self.label_smoothing, low=0, high=0.9)
        check_number("validation_fraction", self.validation_fraction, low=0, high=0.9)
        check_option("refit", self.refit, (True, False))
        check_option("warm_start", self.warm_start, (True, False))
        if not (self.augmentation is None or isinstance(self.augmentation, Augmentation)):
            check_option("augmentation", self.augmentation, ("default",), _SAY_AUGMENTATION)
        if not re.fullmatch(r"all|last:[1-9]\d*", str(self.unfreeze)):
            raise ValueError(
                "Invalid value for the parameter 'unfreeze': allowed are 'all' and 'last:n', such "
                f"as 'last:2', got {self.unfreeze!r}."
            )

    def _check_depth(self):
        """Refuse to train more layers than are run."""
        n_run = self.backbone_.config.n_layers if self.layer is None else self.layer
        _, _, n_last = self.unfreeze.partition(":")
        if self.adaptation == "full" and n_last and int(n_last) > n_run:
            raise ValueError(
                f"unfreeze={self.unfreeze!r} asks for more layers than the {n_run} that are run."
            )

    def _settings(self):
        augmentation, rate = self.augmentation, self.learning_rate
        return Settings(
            max_epochs=self.max_epochs,
            patience=self.patience,
            learning_rate=_RATES[self.adaptation] if rate is None else rate,
            layer_decay=self.layer_decay,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            seed=as_seed(self.random_state),
            augmentation=Augmentation() if augmentation == "default" else augmentation,
            label_smoothing=self.label_smoothing,
            verbose=bool(self.verbose),
        )

    # ------------------------------------------------------------------------------ fitting

    def _fit_tuned(self, sources, targets, weight, groups, fit_head, before):
        """Fine-tune from the probe, or from where the last fit ended."""
        # ``targets`` and ``weight`` are tensors with one entry per sample; ``before`` is what
        # :meth:`_fitted_before` gave.
        if isinstance(sources, Embedded):
            raise ValueError(
                f"adaptation={self.adaptation!r} trains the network: it needs the samples "
                "themselves, not features that were computed ahead."
            )
        self._check_depth()
        blocks, settings = list(self._blocks(sources)), self._settings()
        everything = np.arange(len(targets))
        train, valid = self._split(targets.numpy(), groups, settings.seed)
        features = None if before else self._embed_blocks(blocks, len(targets))

        def start(samples):
            if before:
                return self._go_on(before)
            # The head learns from training samples alone, so that watched ones stay unseen.
            who = None if groups is None else groups[samples]
            head = fit_head(
                features[samples], targets[samples].numpy(), who, weight=weight[samples].numpy()
            )
            return self._prepare(make_network(self.backbone_, self.pooling, head, self.layer))

        network = start(train)
        task = Task(blocks, targets, weight, train, valid)
        history = pd.DataFrame(fit_network(network, task, settings))
        if self.refit and len(valid):
            # As many epochs as were best, with the samples that told so.
            best = int(history["valid_loss"].idxmin())
            network = start(everything)
            if best:
                task = Task(blocks, targets, weight, everything)
                fit_network(network, task, replace(settings, stop_after=best))
        self.history_ = history
        self._keep(network, _subjects(blocks))

    def _prepare(self, network, state=None):
        """Move to the device, and say what is trained; notes the matrices below differences."""
        network.to(check_device(self.device))
        if self.adaptation == "full":
            freeze(network, self.unfreeze)
            return network
        self._attach_differences(network)
        if state is not None:
            lora.restore(network.backbone, state)
        return network

    def _attach_differences(self, network):
        """Put differences beside the matrices of a network, which are noted."""
        found = lora.find_targets(network.backbone, self.lora_targets, self.layer)
        self._matrices = {name: m.weight.detach().cpu().clone() for name, m in found.items()}
        lora.attach(
            network.backbone,
            self.lora_targets,
            self.lora_rank,
            self.lora_scaling,
            torch.Generator().manual_seed(as_seed(self.random_state)),
            n_layers=self.layer,
        )

    def _keep(self, network, subjects):
        """Store a trained network, ready to predict; ``subjects`` are hashes of its teachers."""
        if self.adaptation == "lora":
            self.adapter_ = lora.merge(network.backbone)
        network.requires_grad_(True)
        self.network_ = network.eval()
        self.backbone_ = network.backbone
        known = getattr(self, "_tuned_manifest", self._manifest)
        seen = {*known.get("subjects", ()), *subjects}
        subjects = {"subjects": sorted(seen)} if seen else {}
        self._tuned_manifest = {**self._manifest, "fine_tuned": True, **subjects}

    def _split(self, y, groups, seed):
        everything, nobody = np.arange(len(y)), np.array([], dtype=int)
        if self.validation_fraction == 0:
            return everything, nobody
        n_folds = max(2, round(1 / self.validation_fraction))
        is_classification = y.dtype.kind == "i"
        splits = inner_splits(
            y, groups, is_classification=is_classification, n_folds=n_folds, random_state=seed
        )
        return splits[0] if splits else (everything, nobody)

    # --------------------------------------------------------------------------- going on

    def _fitted_before(self, n_outputs):
        """What an earlier fit left to go on from."""
        if not hasattr(self, "network_"):
            return None
        network = self.network_
        found = (network.pooling, network.layer, len(network.biases[-1]))
        if found != (self.pooling, self.layer, n_outputs):
            raise ValueError(
                f"The fitted network has (pooling, layer, outputs) {found}, now "
                f"{(self.pooling, self.layer, n_outputs)} are asked for: fit anew with "
                "warm_start=False."
            )
        if (self.adaptation == "lora") != hasattr(self, "adapter_"):
            raise ValueError(
                "The earlier fit had another adaptation: fit anew with warm_start=False."
            )
        return Earlier(
            network,
            getattr(self, "adapter_", None),
            getattr(self, "_matrices", None),
            self._tuned_manifest,
        )

    def _go_on(self, earlier):
        """A copy of a fitted network, its differences beside their matrices again."""
        network = copy.deepcopy(earlier.network)
        if earlier.differences is not None:
            modules = dict(network.backbone.named_modules())
            with torch.no_grad():
                for name, matrix in earlier.matrices.items():
                    modules[name].weight.copy_(matrix)
        return self._prepare(network, earlier.differences)

    def _fit_once(self, sources, targets, weight, n_outputs, fit_head):
        """One pass over some samples at a constant rate; the optimiser's moments live on."""
        self._check_depth()
        blocks = list(self._blocks(sources))
        settings = replace(self._settings(), max_epochs=1, is_constant=True)
        before = self._fitted_before(n_outputs)
        if before:
            network = self._go_on(before)
        else:
            features = self._embed_blocks(blocks, len(targets))
            head = fit_head(features, targets.numpy(), None, weight=weight.numpy())
            network = make_network(self.backbone_, self.pooling, head, self.layer)
            network = self._prepare(network)
        optimizer = make_optimizer(network, settings)
        if before and hasattr(self, "_moments"):
            optimizer.load_state_dict(self._moments)
            settings = replace(settings, seed=settings.seed + len(self.history_))
        task = Task(blocks, targets, weight, np.arange(len(targets)))
        _, done = fit_network(network, task, settings, optimizer)
        self._moments = optimizer.state_dict()
        rows = self.history_.to_dict("records") if hasattr(self, "history_") else []
        self.history_ = pd.DataFrame([*rows, {**done, "epoch": len(rows) + 1}])
        self._keep(network, _subjects(blocks))


def _subjects(blocks):
    """Hashes of the subjects of some windows, as far as they are named."""
    parts = [windows.signals for block in blocks for windows in block.windows.values()]
    named = {subject for part in parts for subject in part.subject if subject is not None}
    return set(map(hash_subject, named))


_SAY_AUGMENTATION = "Pass None for none, or an Augmentation."
