"""Common base of classifier and regressor: fitting, predicting, saving what was trained."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import as_seed, check_option
from ..encoder.blocks import describe_features
from ..io.inputs import count_samples
from ..models.isolate import isolate_torch
from . import adapters
from ._docs import fill_estimator_doc
from ._history import plot_history
from .adaptation import resolve_adaptation
from .alignment import subjects_of
from .base import BaseBrainOF, is_table
from .precomputed import PrecomputedFeatures
from .targets import check_groups, check_targets, check_weight
from .training import LabelledSamples


class SupervisedBrainOF(BaseBrainOF):
    """Fitting to targets, and the ways of adapting; not for direct use."""

    #: Under scikit-learn's metadata routing these are requested unless the user refuses them.
    __metadata_request__fit = {"groups": True, "sample_weight": True}
    __metadata_request__partial_fit = {"sample_weight": True}

    @fill_estimator_doc
    def fit(self, X, y, groups=None, sample_weight=None):
        """Fit to samples with targets.

        Parameters
        ----------
        %(X)s
        y : array-like, shape (n_samples,)
            Labels (numbers or strings), or continuous targets in any unit.
        groups : array-like, shape (n_samples,) | None
            Samples of one group (a subject, a run) stay on one side of every inner split.
        sample_weight : array-like, shape (n_samples,) | None
            Weight of each sample in training, in the choice of the head's strength and in the
            validation loss.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter, ``X``, ``y``, ``groups`` or ``sample_weight`` is not usable.
        """
        adaptation, encoder = self._start()
        samples = self._samples(X, encoder)
        y = check_targets(y, count_samples(samples), type(self).__name__)
        groups = check_groups(groups, len(y))
        weight = check_weight(sample_weight, len(y))
        is_warm = getattr(adaptation, "warm_start", False) and hasattr(self, "decoder_")
        earlier = self.decoder_ if is_warm else None
        targets, encoded, weight = self._encode_y(y, weight, self.targets_ if is_warm else None)
        data = LabelledSamples(
            encoder, samples, encoded, weight, groups, as_seed(self.random_state), self.align
        )
        if earlier is not None:
            earlier = adaptation._check_resumable(earlier, encoder, targets.n_outputs)
        return self._store(targets, adaptation._adapt(data, earlier))

    def _fit_pass(self, X, y, sample_weight, classes=None):
        """Train for one pass over some more samples."""
        adaptation, encoder = self._start()
        earlier = getattr(self, "decoder_", None)
        samples = self._samples(X, None if earlier else encoder)
        if earlier:
            encoder = encoder.with_explicit(earlier.encoder.explicit)
        y = check_targets(y, count_samples(samples), type(self).__name__)
        weight = check_weight(sample_weight, len(y))
        before = self.targets_ if earlier else None
        targets, encoded, weight = self._encode_y(y, weight, before, classes=classes, is_pass=True)
        data = LabelledSamples(encoder, samples, encoded, weight, None, as_seed(self.random_state))
        if earlier is not None:
            earlier = adaptation._check_resumable(earlier, encoder, targets.n_outputs)
        return self._store(targets, adaptation._adapt_once(data, earlier))

    def _start(self):
        """Check the parameters, and load the network."""
        if self.align is not None:
            check_option("align", self.align, ("subject",), "Or pass None.")
        adaptation, encoder = resolve_adaptation(self.adaptation), self._make_encoder()
        adaptation._check(encoder)
        return adaptation, encoder

    def _store(self, targets, decoder):
        """Store the fitted decoder and its encoder."""
        self.targets_, self.decoder_, self._encoder = targets, decoder, decoder.encoder
        return self

    def _predictable(self, X):
        """Return samples for the fitted decoder."""
        check_is_fitted(self)
        return self._samples(X)

    def precompute(self, X, groups=None):
        """Compute features once, for many fits on parts of the same samples.

        :func:`~brainof_toolbox.cross_validate` and :func:`~brainof_toolbox.compare` use this.

        Parameters
        ----------
        X : object
            Samples in any accepted form.
        groups : array-like, shape (n_samples,) | None
            Subject of each sample, for ``align="subject"``; ``None``: those that ``X`` names.

        Returns
        -------
        features : PrecomputedFeatures | None
            A valid ``X`` for this estimator and its clones, or None where there is nothing to
            compute ahead: with other adaptations than a probe, for two-dimensional arrays, and
            with a ``random_state`` that changes at each use.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            As in ``fit``.
        """
        changes = isinstance(self.random_state, np.random.RandomState)
        if resolve_adaptation(self.adaptation).trains_network or changes:
            return None
        if is_table(X) or isinstance(X, PrecomputedFeatures):
            return None
        _, encoder = self._start()
        samples = self._samples(X, encoder)
        blocks = encoder.embed_blocks(samples)
        self._encoder = encoder
        subject = subjects_of(samples) if groups is None else np.asarray(groups)
        return PrecomputedFeatures(blocks, encoder.fingerprint, encoder.explicit, subject)

    # ----------------------------------------------------------------- what was fitted

    def __sklearn_is_fitted__(self):
        return hasattr(self, "decoder_")

    @property
    def feature_weights_(self):
        """Share of each block of features in the outputs."""
        return self._fitted("feature_weights")

    @property
    def head_(self):
        """The head of a probe."""
        return self._fitted("head")

    @property
    def history_(self):
        """Losses by epoch."""
        return self._fitted("history")

    @property
    def adapter_(self):
        """Factors of the low-rank updates."""
        return self._fitted("updates")

    def _fitted(self, name):
        value = getattr(self.decoder_, name, None)
        if value is None:
            raise AttributeError(f"This fit of {type(self).__name__} left no {name}.")
        return value

    def plot_history(self, axes=None):
        """Draw the losses by epoch.

        Parameters
        ----------
        axes : matplotlib.axes.Axes | None
            Axes to draw into; ``None`` makes a figure.

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
        """Save the updates that LoRA trained, the head and the rest of the decoder.

        The checkpoint is not part of it.

        Parameters
        ----------
        directory : path-like
            The adapter; an existing one is replaced in one step.

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
        adaptation = resolve_adaptation(self.adaptation)
        name, features = type(self).__name__, describe_features(self.features)
        options = {"features": features, "align": self.align}
        adapters.save(directory, name, adaptation, self.decoder_, self.targets_, options)

    @isolate_torch()
    def load_adapter(self, directory):
        """Become the estimator that :meth:`save_adapter` was called on.

        Parameters
        ----------
        directory : path-like
            From :meth:`save_adapter`, of an estimator with the same checkpoint, adaptation,
            features, alignment and parameters of the network.

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
        if not getattr(resolve_adaptation(self.adaptation), "has_updates", False):
            raise ValueError(
                f"load_adapter needs adaptation='lora', this estimator has {self.adaptation!r}."
            )
        adaptation, encoder = self._start()
        name, kind, seed = type(self).__name__, self._targets, as_seed(self.random_state)
        options = {"features": describe_features(self.features), "align": self.align}
        targets, decoder = adapters.load(directory, name, adaptation, encoder, kind, seed, options)
        return self._store(targets, decoder)


def trains_the_network(estimator):
    """Return True if training can continue, or raise AttributeError."""
    if not resolve_adaptation(estimator.adaptation).trains_network:
        raise AttributeError(
            "partial_fit needs adaptation='lora' or 'full': a probe is fitted to all samples at "
            "once."
        )
    return True
