"""Common base of classifier and regressor: fitting, predicting, saving what was trained."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils.logging import group_warnings
from .._utils.validation import as_seed, check_option
from ..io.inputs import count_samples
from ..models.isolate import isolate_torch
from . import saving
from ._docs import fill_estimator_doc
from .adaptation import resolve_adaptation
from .alignment import subjects_of
from .base import BaseBrainOF, is_table
from .finetune import Interrupted
from .precomputed import PrecomputedFeatures
from .targets import check_groups, check_targets, check_weight
from .training import LabelledSamples


@dataclass(eq=False, repr=False)
class SupervisedBrainOF(BaseBrainOF):
    """Fitting to targets, and the ways of adapting; not for direct use."""

    checkpoint: object = "brainof-tiny"
    _: KW_ONLY
    adaptation: object = "probe"
    features: object = "auto"
    align: str | None = None
    pooling: str = "auto"
    layer: int | None = None
    window: float | dict | None = None
    info: object = None
    masker: object = None
    memory: object = None
    missing_positions: str = "raise"
    batch_size: int = 32
    device: str = "auto"
    precision: str = "float32"
    random_state: object = None
    verbose: bool | None = None

    #: Under scikit-learn's metadata routing these are requested unless the user refuses them.
    __metadata_request__fit = {"groups": True, "sample_weight": True}
    __metadata_request__partial_fit = {"sample_weight": True}

    @group_warnings()
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
        return self._fit(X, y, groups, sample_weight)

    def _fit(self, X, y, groups=None, sample_weight=None, *, is_pass=False, classes=None):
        """Fit to all samples, or train for one pass over some more."""
        adaptation, encoder = self._start()
        continues = is_pass or getattr(adaptation, "warm_start", False)
        earlier = getattr(self, "decoder_", None) if continues else None
        samples = self._samples(X, None if is_pass and earlier else encoder)
        if earlier:
            encoder = encoder.with_explicit(earlier.encoder.explicit)
        y = check_targets(y, count_samples(samples), type(self).__name__)
        groups, weight = check_groups(groups, len(y)), check_weight(sample_weight, len(y))
        before = self.targets_ if earlier else None
        targets, y, weight = self._encode_y(y, weight, before, classes=classes, is_pass=is_pass)
        if earlier:
            adaptation._check_resumable(earlier, encoder, targets.n_outputs)
        seed = as_seed(self.random_state)
        data = LabelledSamples(encoder, samples, y, weight, groups, seed, self.align)
        adapt = adaptation._adapt_once if is_pass else adaptation._adapt
        try:
            return self._store(targets, adapt(data, earlier))
        except Interrupted as error:
            if error.decoder is not None:
                self._store(targets, error.decoder)
            raise

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

    def _outputs(self, X):
        """Compute the outputs of the fitted decoder (n_samples, n_outputs)."""
        check_is_fitted(self)
        return self.decoder_.outputs(self._samples(X))

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
        if self.decoder_.network is not None:
            raise AttributeError("The network was trained: there is no head of a probe.")
        return self.decoder_.head

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
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        if axes is None:
            _, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
        history = self.history_.set_index("epoch")
        # Okabe and Ito's colours; markers distinguish the lines in grey.
        axes.plot(history["train_loss"], "o-", color="#0072B2", label="training")
        watched = history["valid_loss"]
        if watched.notna().any():
            axes.plot(watched, "s--", color="#D55E00", label="validation")
            axes.plot(watched.idxmin(), watched.min(), "*", color="black", ms=12, label="best")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=self._loss_label)
        axes.legend(frameon=False)
        return axes.figure

    @isolate_torch()
    def save_pretrained(self, directory, *, backbone="auto"):
        """Save everything that predictions need, in JSON and safetensors.

        The history of training and the state of its optimiser are not part of it.

        Parameters
        ----------
        directory : path-like
            An existing one, written by this method, is replaced in one step.
        backbone : str
            ``"outside"`` saves the name and the sha256 of the checkpoint; ``"inside"`` saves the
            network, and the directory is then a checkpoint too, which every estimator loads.
            ``"auto"``: outside for a bundled checkpoint and one of the hub, inside for others and
            for a network that was fine-tuned as a whole.

        Raises
        ------
        ValueError
            If the network cannot be saved in this way, or the directory holds other files.
        OSError
            If the directory cannot be written; what was there before stays.
        """
        check_is_fitted(self)
        saving.save(directory, self, backbone)

    @classmethod
    @isolate_torch()
    def from_pretrained(cls, directory, **parameters):
        """Load what :meth:`save_pretrained` saved.

        Parameters
        ----------
        directory : path-like
            From :meth:`save_pretrained`.
        **parameters : object
            ``info``, ``masker``, ``memory``, ``batch_size``, ``device``, ``precision`` and
            ``verbose``, which are not saved (but the name of an atlas as ``masker``), and
            ``checkpoint`` where the one of the fit has another name here.

        Returns
        -------
        estimator : estimator
            Fitted.

        Raises
        ------
        FileNotFoundError
            If the directory holds no fitted decoder, or its checkpoint is missing.
        ValueError
            If it is damaged, of another version or class, or its checkpoint has changed.
        """
        return saving.load(cls, directory, parameters)

    def save_adapter(self, directory):
        """Save the updates that LoRA trained, the head and the rest of the decoder.

        The checkpoint is not part of it, wherever it is from.

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
        self.save_pretrained(directory, backbone="outside")

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
        return saving.load_adapter(self, directory)


def trains_the_network(estimator):
    """Return True if training can continue, or raise AttributeError."""
    if not resolve_adaptation(estimator.adaptation).trains_network:
        raise AttributeError(
            "partial_fit needs adaptation='lora' or 'full': a probe is fitted to all samples at "
            "once."
        )
    return True
