"""Recordings -> classes."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional as F

from .._samples import count_samples
from .._utils.validation import check_number
from ._heads import fit_classification_head
from ._supervised import SupervisedBrainOF


class BrainOFClassifier(ClassifierMixin, SupervisedBrainOF):
    """Decode classes from fMRI, EEG and MEG :footcite:p:`guo2026brainof`.

    A sample may hold one modality or several; what it lacks is not read, and the network reads
    the others one after the other into the same latents.

    Parameters
    ----------
    checkpoint : path-like | str | None
        Name of a bundled checkpoint, a checkpoint directory, or ``"hf://owner/name@revision"``.
        ``"brainof-tiny"`` comes with the package, trained as its model card says
        (``brainof info``). ``None``: untrained weights drawn from ``random_state``, with a
        warning.
    adaptation : str
        ``"probe"`` freezes the network and fits a logistic regression on its features, its
        strength chosen by cross-validation inside the training data. ``"full"`` trains network and
        head together, from the probe's head on: AdamW, warm-up and cosine, rates that fall with
        the distance from the head, early stopping on an inner split, best weights restored.
    pooling : str
        ``"flat"``, ``"mean"`` or ``"mean+std"`` over the network's latents.
    info : mne.Info | None
        Channels and sampling rate of arrays; other inputs bring their own.
    masker : nilearn masker | 3-D or 4-D atlas | str | None
        How images become regions: any nilearn masker, an atlas image or its path, or the name of
        an atlas that :func:`~brainof_toolbox.datasets.fetch_atlas` has fetched. ``None``: an
        offline parcellation of 246 regions.
    window : float | dict of str -> float | None
        Samples longer than this, in seconds, are cut into windows; predictions are averaged over
        them. ``None``: what the checkpoint states, also for modalities that a dict does not
        name.
    on_missing : str
        What happens to channels without a position: ``"raise"``, or ``"index"`` for placeholder
        positions by order.
    class_weight : dict | "balanced" | None
        Weights of the classes in the loss.
    max_epochs : int
        Passes over the training data at most (``"full"``).
    patience : int
        Epochs without a better validation loss after which training stops (``"full"``).
    learning_rate : float
        Peak rate of the head (``"full"``).
    layer_decay : float
        Factor on the rate per layer away from the head (``"full"``).
    weight_decay : float
        Decay of AdamW (``"full"``).
    validation_fraction : float
        Share of the training samples, by whole groups where ``groups`` are given, watched for
        early stopping (``"full"``); 0 runs all epochs.
    batch_size : int
        Windows that go through the network at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:0"``, ``"mps"``.
    memory : str | joblib.Memory | None
        Caches what maskers give, by the content of image and masker.
    random_state : int | RandomState | None
        Seed of inner splits, of the order of samples and of untrained weights
        (``checkpoint=None``); ``None`` means 0.
    verbose : bool | None
        ``True`` shows progress bars on a terminal.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    checkpoint_info_ : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    history_ : pandas.DataFrame
        Losses by epoch (``"full"``).
    head_ : sklearn.pipeline.Pipeline
        The head (``"probe"``).
    backbone_ : BrainOF
        The network.

    References
    ----------
    .. footbibliography::
    """

    def __init__(
        self,
        checkpoint="brainof-tiny",
        *,
        adaptation="probe",
        pooling="flat",
        info=None,
        masker=None,
        window=None,
        on_missing="raise",
        class_weight=None,
        max_epochs=30,
        patience=8,
        learning_rate=1e-3,
        layer_decay=0.9,
        weight_decay=0.05,
        validation_fraction=0.2,
        batch_size=32,
        device="auto",
        memory=None,
        random_state=None,
        verbose=None,
    ):
        self.checkpoint = checkpoint
        self.adaptation = adaptation
        self.pooling = pooling
        self.info = info
        self.masker = masker
        self.window = window
        self.on_missing = on_missing
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.batch_size = batch_size
        self.device = device
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, groups=None):
        """Fit to labelled samples.

        Parameters
        ----------
        X : object
            :class:`mne.Epochs`, :class:`mne.io.Raw`, a 4-D image, a list of these, of file paths
            or of records (:func:`~brainof_toolbox.read_bids`, or dicts like ``{"eeg": raw,
            "fmri": image, "subject": "01"}``), :class:`~brainof_toolbox.Signals`,
            :class:`~brainof_toolbox.PairedSignals`, or an array (n_samples, n_channels, n_times).
        y : array-like, shape (n_samples,)
            Labels: numbers or strings.
        groups : array-like, shape (n_samples,) | None
            Samples of one group (a subject, a run) stay on one side of every inner split.

        Returns
        -------
        self : BrainOFClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter, ``X`` or ``y`` is not usable.
        """
        self._check_parameters()
        sources = self._as_sources(X, reset=True)
        y = self._check_targets(y, count_samples(sources))
        groups = self._check_groups(groups, len(y))
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()[0]!r}; a classifier needs samples "
                "of at least two classes."
            )
        weight = self._class_weight_by_index(labels)
        self._load_backbone()
        self._forget()
        fit_head = partial(fit_classification_head, class_weight=weight)
        if self.adaptation == "probe":
            self.head_ = fit_head(self._embed(sources), labels, groups)
        else:
            if weight is not None:
                weight = self._tensor(
                    [weight[i] for i in range(len(self.classes_))], torch.float32
                )
            self._fit_full(
                sources,
                self._tensor(labels, torch.int64),
                groups,
                lambda outputs, target: F.cross_entropy(
                    outputs.float(), target, None if weight is None else weight.to(outputs.device)
                ),
                fit_head=fit_head,
                is_classification=True,
            )
        return self

    def _class_weight_by_index(self, labels):
        """Weights by index of the class, as the heads know it."""
        if self.class_weight is None:
            return None
        classes = np.arange(len(self.classes_))
        weight = self.class_weight
        if isinstance(weight, dict):
            unknown = [key for key in weight if key not in self.classes_.tolist()]
            if unknown:
                raise ValueError(
                    f"class_weight names {unknown}; the classes are {self.classes_.tolist()}."
                )
            for label, value in weight.items():
                check_number(f"class_weight[{label!r}]", value, low=0)
            return {i: weight.get(label, 1.0) for i, label in enumerate(self.classes_.tolist())}
        return dict(enumerate(compute_class_weight(weight, classes=classes, y=labels).tolist()))

    def decision_function(self, X):
        """Confidence scores.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        scores : ndarray, shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second class for two classes; otherwise one score per class.
        """
        check_is_fitted(self)
        if self.adaptation == "probe":
            return self.head_.decision_function(self._features(X))
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict_proba(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        probabilities : ndarray, shape (n_samples, n_classes)
            Rows sum to one; columns as in ``classes_``.
        """
        check_is_fitted(self)
        if self.adaptation == "probe":
            return self.head_.predict_proba(self._features(X))
        return softmax(self._outputs(X), axis=1)

    def predict(self, X):
        """Most probable classes.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        labels : ndarray, shape (n_samples,)
            Entries of ``classes_``.
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
