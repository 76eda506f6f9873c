"""What classifier and regressor share: targets, groups, probe or full fine-tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.utils import column_or_1d
from sklearn.utils.validation import assert_all_finite

from .._samples import count_samples
from .._utils.subjects import hash_subject
from .._utils.validation import check_number, check_option
from ._base import BaseBrainOF, as_seed, check_device, is_table
from ._embedded import Embedded
from ._finetune import Settings, fit_network, make_network, predict_outputs
from ._heads import inner_splits

ADAPTATIONS = ("probe", "full")


class SupervisedBrainOF(BaseBrainOF):
    """Targets, groups and the two ways of adapting; not for direct use."""

    def _check_parameters(self):
        super()._check_parameters()
        check_option("adaptation", self.adaptation, ADAPTATIONS)
        check_number("max_epochs", self.max_epochs, low=1, integer=True)
        check_number("patience", self.patience, low=1, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, low_open=True)
        check_number("layer_decay", self.layer_decay, low=0, high=1, low_open=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("validation_fraction", self.validation_fraction, low=0, high=0.9)

    def embed_ahead(self, X):
        """Compute features once, for many fits on parts of the same samples.

        :func:`~brainof_toolbox.cross_validate` and :func:`~brainof_toolbox.compare` do so by
        themselves.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        embedded : Embedded | None
            A valid ``X`` for this estimator and its clones, or None where there is nothing to
            compute ahead: with ``adaptation="full"``, for two-dimensional arrays, and with a
            ``random_state`` that changes at each use.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            As in ``fit``.
        """
        changes = isinstance(self.random_state, np.random.RandomState)
        if self.adaptation != "probe" or changes or is_table(X) or isinstance(X, Embedded):
            return None
        self._check_parameters()
        sources = self._as_sources(X, reset=True)
        self._load_backbone()
        subject = getattr(X, "subject", None)
        subject = subject if isinstance(subject, tuple) else None
        return Embedded(self._embed(sources), self._feature_key(), subject)

    def _check_targets(self, y, n_samples):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                f"X has {n_samples} samples."
            )
        y = column_or_1d(y, warn=True)
        if len(y) != n_samples:
            raise ValueError(f"y has {len(y)} entries but X has {n_samples} samples.")
        if y.dtype.kind in "fc" or y.dtype == object:
            missing = pd.isna(y)
            if missing.any():
                raise ValueError(
                    f"Input y contains NaN in {int(missing.sum())} of {n_samples} entries, the "
                    f"first at index {int(np.flatnonzero(missing)[0])}. Drop these samples."
                )
        if y.dtype.kind in "fc":
            assert_all_finite(y, input_name="y")
        return y

    @staticmethod
    def _check_groups(groups, n_samples):
        if groups is None:
            return None
        groups = column_or_1d(groups)
        if len(groups) != n_samples:
            raise ValueError(f"groups has {len(groups)} entries but X has {n_samples} samples.")
        codes = pd.factorize(groups)[0]  # names of any kind to numbers, missing ones to -1
        if (codes < 0).any():
            raise ValueError(
                f"groups is missing (None or NaN) for {int((codes < 0).sum())} of {n_samples} "
                f"samples, the first at index {int(codes.argmin())}. Name a group for each."
            )
        return codes

    def _fit_full(self, sources, targets, groups, loss, fit_head, is_classification):
        """Fine-tune from the probe; ``targets`` is a tensor with one entry per sample."""
        if isinstance(sources, Embedded):
            raise ValueError(
                "adaptation='full' trains the network: it needs the samples themselves, not "
                "features that were computed ahead."
            )
        blocks = list(self._blocks(sources))
        seed = as_seed(self.random_state)
        train, valid = self._split(targets.numpy(), groups, is_classification, seed)
        # The head learns from the training part alone, so that validation samples stay unseen.
        features = self._embed_blocks(blocks, len(targets))[train]
        head = fit_head(
            features, targets[train].numpy(), None if groups is None else groups[train]
        )
        network = make_network(self.backbone_, self.pooling, head)
        network.to(check_device(self.device))
        settings = Settings(
            max_epochs=self.max_epochs,
            patience=self.patience,
            learning_rate=self.learning_rate,
            layer_decay=self.layer_decay,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            seed=seed,
            verbose=bool(self.verbose),
        )
        history = fit_network(network, blocks, targets, train, valid, loss, settings)
        self.history_ = pd.DataFrame(history)
        self.network_ = network
        self.backbone_ = network.backbone
        self._tuned_manifest = {**self._manifest, "fine_tuned": True, **self._subjects(blocks)}

    def _subjects(self, blocks):
        """Hashes of the subjects that the weights have seen, as far as samples name them."""
        parts = [windows.signals for block in blocks for windows in block.windows.values()]
        named = {subject for part in parts for subject in part.subject if subject is not None}
        seen = {*self._manifest.get("subjects", ()), *map(hash_subject, named)}
        return {"subjects": sorted(seen)} if seen else {}

    def _split(self, y, groups, is_classification, seed):
        everything, nobody = np.arange(len(y)), np.array([], dtype=int)
        if self.validation_fraction == 0:
            return everything, nobody
        n_folds = max(2, round(1 / self.validation_fraction))
        splits = inner_splits(
            y, groups, is_classification=is_classification, n_folds=n_folds, random_state=seed
        )
        return splits[0] if splits else (everything, nobody)

    def _outputs(self, X):
        """Outputs of the fine-tuned network (n_samples, n_outputs), float64."""
        sources = self._as_sources(X, reset=False)
        self.network_.to(check_device(self.device))
        outputs = predict_outputs(
            self.network_, self._blocks(sources), count_samples(sources), self.batch_size
        )
        return outputs.numpy()

    def _as_network(self):
        """Backbone and head as one differentiable network, whatever way it was fitted."""
        if hasattr(self, "network_"):
            return self.network_
        return make_network(self.backbone_, self.pooling, self.head_)

    def _features(self, X):
        return self._embed(self._as_sources(X, reset=False))

    def __sklearn_is_fitted__(self):
        return hasattr(self, "network_") or hasattr(self, "head_")

    def _forget(self):
        for name in ("network_", "head_", "history_", "_tuned_manifest"):
            if hasattr(self, name):
                delattr(self, name)

    @staticmethod
    def _tensor(values, dtype):
        return torch.as_tensor(np.asarray(values), dtype=dtype)
