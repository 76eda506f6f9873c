"""Recordings -> classes."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from .._utils.validation import check_number, check_option
from ._docs import fill_estimator_doc
from ._supervised import SupervisedBrainOF, trains_the_network
from .targets import ClassTargets


@fill_estimator_doc
@dataclass(eq=False, repr=False)
class BrainOFClassifier(ClassifierMixin, SupervisedBrainOF):
    """Decode classes from fMRI, EEG and MEG :footcite:p:`guo2026brainof`.

    A sample may hold one modality or several; the network reads those that it has one after the
    other into the same latents.

    Parameters
    ----------
    %(checkpoint)s
    %(adaptation)s
    %(decoder_parameters)s
    %(running)s
    class_weight : dict | "balanced" | None
        Weights of the classes in the loss. ``"balanced"``: classes count alike, as in balanced
        accuracy; ``None``: samples count alike.

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

    _: KW_ONLY
    class_weight: dict | str | None = "balanced"

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
        return self._fit(X, y, None, sample_weight, is_pass=True, classes=classes)

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
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

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
        return softmax(self._outputs(X), axis=1)

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
