"""What classifier and regressor share: targets, groups, weights, probe or fine-tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.utils import column_or_1d
from sklearn.utils.validation import assert_all_finite, check_is_fitted

from ..io.inputs import count_samples
from ..models import BrainOF
from ..models.isolate import isolate_torch
from . import adapters
from ._embedded import Embedded
from ._history import plot_history
from .base import check_device, is_table
from .network import make_network, predict_outputs
from .tuning import TunedBrainOF


class SupervisedBrainOF(TunedBrainOF):
    """Targets, groups, weights, and the ways of adapting; not for direct use."""

    #: Under scikit-learn's metadata routing these are asked for unless the user refuses them.
    __metadata_request__fit = {"groups": True, "sample_weight": True}
    __metadata_request__partial_fit = {"sample_weight": True}

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
            compute ahead: with other adaptations than ``"probe"``, for two-dimensional arrays,
            and with a ``random_state`` that changes at each use.

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

    @isolate_torch()
    def _outputs(self, X):
        """Outputs of the fine-tuned network (n_samples, n_outputs), float64."""
        sources = self._as_sources(X, reset=False)
        self.network_.to(check_device(self.device))
        outputs = predict_outputs(
            self.network_, self._blocks(sources), count_samples(sources), self.batch_size
        )
        return outputs.numpy()

    @isolate_torch()
    def _fit_adapted(self, sources, targets, weight, groups, fit_head, before):
        """Fit head or network to class indices or standardised targets."""
        self._forget()
        if before:
            self._tuned_manifest = before.manifest
        if self.adaptation == "probe":
            self.head_ = fit_head(self._embed(sources), targets, groups, weight=weight)
            return
        self._fit_tuned(sources, _as_tensor(targets), _as_tensor(weight), groups, fit_head, before)

    @isolate_torch()
    def _fit_pass(self, sources, targets, weight, n_outputs, fit_head):
        """Go once over samples that came later."""
        self._fit_once(sources, _as_tensor(targets), _as_tensor(weight), n_outputs, fit_head)

    @staticmethod
    def _check_weight(sample_weight, n_samples):
        """Weights of samples as an array; ones where there are none."""
        if sample_weight is None:
            return np.ones(n_samples)
        weight = column_or_1d(np.asarray(sample_weight, dtype=np.float64))
        if len(weight) != n_samples:
            raise ValueError(
                f"sample_weight has {len(weight)} entries but X has {n_samples} samples."
            )
        is_bad = ~np.isfinite(weight) | (weight < 0)
        if is_bad.any() or not weight.any():
            what = f"{weight[is_bad][0]} at index {is_bad.argmax()}" if is_bad.any() else "zeros"
            raise ValueError(
                f"sample_weight must be numbers of at least 0, not all 0; got {what}."
            )
        return weight

    def _as_network(self):
        """Backbone and head as one differentiable network, whatever way it was fitted."""
        if hasattr(self, "network_"):
            return self.network_
        if not isinstance(self.backbone_, BrainOF):
            raise ValueError("The authors' network cannot be looked into: it takes no tokens.")
        return make_network(self.backbone_, self.pooling, self.head_, self.layer)

    def plot_history(self, axes=None):
        """Draw the losses by epoch.

        Parameters
        ----------
        axes : matplotlib.axes.Axes | None
            Where to draw; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The figure.

        Raises
        ------
        ValueError
            If there is no history, because nothing but the head was fitted.
        """
        check_is_fitted(self)
        if not hasattr(self, "history_"):
            raise ValueError(
                "There is no history: adaptation='probe' trains no network. Use 'lora' or 'full'."
            )
        return plot_history(self.history_, self._loss_label, axes)

    @isolate_torch()
    def save_adapter(self, directory):
        """Save what LoRA has learned, and the head: what predictions need beside the checkpoint.

        Parameters
        ----------
        directory : path-like
            Where to; an existing adapter there is replaced in one step.

        Raises
        ------
        ValueError
            If this estimator was fitted otherwise.
        OSError
            If the directory cannot be written; what was there before stays.
        """
        check_is_fitted(self)
        if not hasattr(self, "adapter_"):
            raise ValueError(
                f"There is no adapter: save_adapter needs adaptation='lora', got "
                f"{self.adaptation!r}. For other networks there is save_pretrained."
            )
        adapters.save(directory, self, self._describe_outputs())

    @isolate_torch()
    def load_adapter(self, directory):
        """Become the estimator that :meth:`save_adapter` was called on.

        Parameters
        ----------
        directory : path-like
            From :meth:`save_adapter`, of an estimator with the same checkpoint, adaptation and
            parameters of the network.

        Returns
        -------
        self : estimator
            Fitted.

        Raises
        ------
        FileNotFoundError
            If there is no adapter.
        ValueError
            If it is damaged, or belongs to another checkpoint or other parameters.
        """
        if self.adaptation != "lora":
            raise ValueError(
                f"load_adapter needs adaptation='lora', this estimator has {self.adaptation!r}."
            )
        self._check_parameters()
        self._load_backbone()
        self._forget()
        adapters.load(directory, self)
        return self

    def _features(self, X):
        return self._embed(self._as_sources(X, reset=False))

    def __sklearn_is_fitted__(self):
        return hasattr(self, "network_") or hasattr(self, "head_")

    def _forget(self):
        for name in _FITTED:
            if hasattr(self, name):
                delattr(self, name)


def trains_the_network(estimator):
    """Whether fitting can go on: a probe is solved at once, and has no state to go on from."""
    if estimator.adaptation == "probe":
        raise AttributeError(
            "partial_fit needs adaptation='lora' or 'full': a probe is fitted to all samples at "
            "once."
        )
    return True


def _as_tensor(values):
    """Whole numbers as they are, others in single precision."""
    tensor = torch.as_tensor(np.asarray(values))
    return tensor.float() if tensor.is_floating_point() else tensor.long()


#: What a fit leaves behind, beside the checkpoint.
_FITTED = (
    "network_",
    "head_",
    "history_",
    "adapter_",
    "_tuned_manifest",
    "_matrices",
    "_moments",
)
