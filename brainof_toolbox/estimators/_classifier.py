"""Recordings -> classes."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from .._utils.validation import check_number, check_option
from ._docs import fill_estimator_doc
from ._supervised import SupervisedBrainOF, trains_the_network
from .targets import ClassTargets


@fill_estimator_doc
class BrainOFClassifier(ClassifierMixin, SupervisedBrainOF):
    """Decode classes from fMRI, EEG and MEG :footcite:p:`guo2026brainof`.

    A sample may hold one modality or several; the network reads those that it has one after the
    other into the same latents.

    Parameters
    ----------
    %(checkpoint)s
    %(adaptation)s
    %(decoder_parameters)s
    class_weight : dict | "balanced" | None
        Weights of the classes in the loss. ``"balanced"``: classes count alike, as in balanced
        accuracy; ``None``: samples count alike.
    %(batch_size)s
    %(device)s
    %(random_state)s
    %(verbose)s

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    %(fitted)s

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox import BrainOFClassifier, datasets
    >>> epochs = datasets.make_epochs(n_epochs=24, random_state=0)
    >>> decoder = BrainOFClassifier(pooling="mean").fit(epochs, epochs.events[:, 2])
    >>> decoder.predict_proba(epochs).shape
    (24, 2)
    """

    _loss_label = "cross entropy (nats)"
    _targets = ClassTargets

    #: ``predict`` gives the class of the largest probability of ``predict_proba``.
    _predicts_most_probable = True

    def __init__(
        self,
        checkpoint="brainof-tiny",
        *,
        adaptation="probe",
        features="auto",
        align=None,
        pooling="auto",
        layer=None,
        window=None,
        info=None,
        masker=None,
        memory=None,
        missing_positions="raise",
        class_weight="balanced",
        batch_size=32,
        device="auto",
        random_state=None,
        verbose=None,
    ):
        self.checkpoint = checkpoint
        self.adaptation = adaptation
        self.features = features
        self.align = align
        self.pooling = pooling
        self.layer = layer
        self.window = window
        self.info = info
        self.masker = masker
        self.memory = memory
        self.missing_positions = missing_positions
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @property
    def classes_(self):
        """The labels, sorted."""
        return self.targets_.classes

    @available_if(trains_the_network)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train on some more samples in one pass, at a constant rate.

        The first call starts from the checkpoint and from a head that is fitted to its samples,
        so these must be of all classes. Only with ``adaptation="lora"`` and ``"full"``.

        Parameters
        ----------
        X : object
            Samples in any accepted form.
        y : array-like, shape (n_samples,)
            Their labels.
        classes : array-like, shape (n_classes,) | None
            All labels; ``None`` in the first call: those in ``y``.
        sample_weight : array-like, shape (n_samples,) | None
            Weight of each sample in the loss.

        Returns
        -------
        self : BrainOFClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter or an argument is not usable.
        """
        return self._fit_pass(X, y, sample_weight, classes)

    def _encode_y(self, y, weight, before, *, classes=None, is_pass=False):
        """Return targets, class indices, and weights of samples times those of their classes."""
        check_classification_targets(y)
        if is_pass and before is not None:
            if classes is not None and not np.array_equal(np.unique(classes), before.classes):
                raise ValueError(
                    f"classes must stay {before.classes.tolist()}, got "
                    f"{np.unique(classes).tolist()}."
                )
            labels = before.encode(y)
            return before, labels, self._weigh(before.classes, labels, weight)
        found = np.unique(y)
        labels = found if classes is None else np.unique(classes)
        missing = np.setdiff1d(labels, found)
        if is_pass and (len(missing) or len(labels) < 2):
            raise ValueError(
                "The first samples must be of all classes, at least two, for the head to start "
                f"from: there are none of {missing.tolist() or 'a second one'}."
            )
        if len(labels) < 2:
            raise ValueError(
                f"y has one class only, {labels.tolist()[0]!r}; a classifier needs samples of at "
                "least two classes."
            )
        if before is not None and not np.array_equal(labels, before.classes):
            raise ValueError(
                f"warm_start=True needs the classes of the earlier fit, "
                f"{before.classes.tolist()}, got {labels.tolist()}. Fit anew with "
                "warm_start=False."
            )
        targets = ClassTargets(labels)
        index = targets.encode(y)
        return targets, index, self._weigh(labels, index, weight)

    def _weigh(self, classes, labels, sample_weight):
        """Return the weight of each sample times that of its class."""
        weight = self.class_weight
        if weight is None:
            return sample_weight
        if isinstance(weight, dict):
            unknown = [key for key in weight if key not in classes.tolist()]
            if unknown:
                raise ValueError(
                    f"class_weight names {unknown}; the classes are {classes.tolist()}."
                )
            for label, value in weight.items():
                check_number(f"class_weight[{label!r}]", value, low=0)
            by_class = np.array([weight.get(label, 1.0) for label in classes.tolist()])
        else:
            check_option("class_weight", weight, ("balanced",), "Or pass a dict, or None.")
            total = np.bincount(labels, weights=sample_weight, minlength=len(classes))
            present = total > 0  # sample weights may leave a class out
            by_class = np.where(present, total.sum() / np.maximum(total, 1e-300), 0.0)
            by_class /= present.sum()
        return sample_weight * by_class[labels]

    def decision_function(self, X):
        """Return confidence scores.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        scores : ndarray, shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second class for two classes; otherwise one score per class.
        """
        samples = self._predictable(X)
        return self.decoder_.decision_function(samples)

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        probabilities : ndarray, shape (n_samples, n_classes)
            Rows sum to one; columns as in ``classes_``.
        """
        samples = self._predictable(X)
        return self.decoder_.predict_proba(samples)

    def predict(self, X):
        """Predict the most probable classes.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        labels : ndarray, shape (n_samples,)
            Entries of ``classes_``.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]
