"""Recordings -> classes."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_number
from ..io.inputs import count_samples
from ._supervised import SupervisedBrainOF, trains_the_network
from .base import as_seed
from .heads import fit_classification_head


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
        ``"lora"`` trains the head and low-rank differences to some of the matrices
        :footcite:p:`hu2022lora`, which are added to them for prediction.
    head : str
        ``"linear"``, or ``"mlp"`` for a small network of one hidden layer with 32 units.
    pooling : str
        ``"flat"``, ``"mean"`` or ``"mean+std"`` over the network's latents.
    layer : int | None
        Read the latents after so many layers of the backbone: 0 before the first, ``None`` after
        the last. A grid search can choose it.
    unfreeze : str
        ``"all"``, or ``"last:n"``: train the last n of the layers that are run, the final norm
        and the head (``"full"``).
    lora_rank : int
        Rank of each difference (``"lora"``), as in the paper.
    lora_scaling : float
        Differences are multiplied by ``lora_scaling / lora_rank``, as in the paper.
    lora_targets : str
        Which matrices differ: ``"attention"`` of the backbone (2 % of the weights of
        ``"brainof-tiny"``), ``"attention+experts"`` with those that all tokens meet, or
        ``"attention+resampler"`` with the attention that reads the tokens.
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
    missing_positions : str
        What happens to channels without a position: ``"raise"``, or ``"placeholder"`` for
        placeholder positions by order.
    class_weight : dict | "balanced" | None
        Weights of the classes in the loss.
    max_epochs : int
        Passes over the training data at most.
    patience : int
        Epochs without a better validation loss after which training stops.
    learning_rate : float | None
        Peak rate of the head. ``None``: 1e-3 for ``"lora"`` and 1e-4 for ``"full"``, which did
        best on forty to a hundred samples (see the notes).
    layer_decay : float
        Factor on the rate per layer away from the head.
    weight_decay : float
        Decay of AdamW.
    augmentation : "default" | Augmentation | None
        How training samples are changed each time the network sees them: see
        :class:`~brainof_toolbox.estimators.Augmentation`, whose defaults are ``"default"``.
    label_smoothing : float
        Share of the probability that the training loss spreads over all classes.
    validation_fraction : float
        Share of the training samples, by whole groups where ``groups`` are given, watched for
        early stopping; 0 runs all epochs.
    refit : bool
        After the best number of epochs is known, train again with the watched samples too, for so
        many epochs.
    warm_start : bool
        Go on from where the last ``fit`` ended, rather than from the checkpoint and the probe. A
        probe has nothing to go on from.
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
        Losses by epoch (``"lora"``, ``"full"``).
    head_ : sklearn.pipeline.Pipeline
        The head (``"probe"``).
    adapter_ : dict of str -> torch.Tensor
        The trained differences, two factors for each matrix (``"lora"``).
    backbone_ : BrainOF
        The network, differences added.

    Notes
    -----
    Defaults of ``"lora"`` and ``"full"`` were chosen on people whose recordings, without labels,
    were in the corpus of ``"brainof-tiny"``, and on simulated ones
    (``benchmarks/adaptations.py``).

    References
    ----------
    .. footbibliography::
    """

    _loss_label = "cross entropy (nats)"

    #: ``predict`` gives the class of the largest probability of ``predict_proba``.
    _predicts_most_probable = True

    def __init__(
        self,
        checkpoint="brainof-tiny",
        *,
        adaptation="probe",
        head="linear",
        pooling="flat",
        layer=None,
        unfreeze="all",
        lora_rank=32,
        lora_scaling=64.0,
        lora_targets="attention",
        info=None,
        masker=None,
        window=None,
        missing_positions="raise",
        class_weight=None,
        max_epochs=10,
        patience=4,
        learning_rate=None,
        layer_decay=0.9,
        weight_decay=0.05,
        augmentation="default",
        label_smoothing=0.1,
        validation_fraction=0.2,
        refit=True,
        warm_start=False,
        batch_size=32,
        device="auto",
        memory=None,
        random_state=None,
        verbose=None,
    ):
        self.checkpoint = checkpoint
        self.adaptation = adaptation
        self.head = head
        self.pooling = pooling
        self.layer = layer
        self.unfreeze = unfreeze
        self.lora_rank = lora_rank
        self.lora_scaling = lora_scaling
        self.lora_targets = lora_targets
        self.info = info
        self.masker = masker
        self.window = window
        self.missing_positions = missing_positions
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.augmentation = augmentation
        self.label_smoothing = label_smoothing
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.device = device
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, groups=None, sample_weight=None):
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
        sample_weight : array-like, shape (n_samples,) | None
            Weight of each sample in training, in the choice of the head's strength and in the
            loss that is watched.

        Returns
        -------
        self : BrainOFClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter, ``X``, ``y``, ``groups`` or ``sample_weight`` is not usable.
        """
        self._check_parameters()
        sources = self._as_sources(X, reset=True)
        y = self._check_targets(y, count_samples(sources))
        groups = self._check_groups(groups, len(y))
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has one class only, {classes.tolist()[0]!r}; a classifier needs samples "
                "of at least two classes."
            )
        before = self._before_this_fit(classes)
        self.classes_ = classes
        weight = self._weigh(labels, self._check_weight(sample_weight, len(y)))
        self._load_backbone()
        self._fit_adapted(sources, labels, weight, groups, self._fit_head(), before)
        return self

    @available_if(trains_the_network)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from some more samples in one pass, at a constant rate.

        The first call starts from the checkpoint and from a head that is fitted to its samples,
        so these must be of all classes. Only with ``adaptation="lora"`` and ``"full"``.

        Parameters
        ----------
        X : object
            Samples in any accepted form.
        y : array-like, shape (n_samples,)
            Their labels.
        classes : array-like, shape (n_classes,) | None
            All labels there are; ``None`` in the first call: those in ``y``.
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
        self._check_parameters()
        is_first = not hasattr(self, "network_")
        sources = self._as_sources(X, reset=is_first)
        y = self._check_targets(y, count_samples(sources))
        check_classification_targets(y)
        if is_first:
            known = np.unique(y if classes is None else classes)
            missing = np.setdiff1d(known, y)
            if len(missing) or len(known) < 2:
                raise ValueError(
                    f"The first samples must be of all classes, at least two, for the head to "
                    f"start from: there are none of {missing.tolist() or 'a second one'}."
                )
            self.classes_ = known
            self._load_backbone()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes must stay {self.classes_.tolist()}, got {np.unique(classes).tolist()}."
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[:5]}; the classes are {self.classes_.tolist()}."
            )
        labels = np.searchsorted(self.classes_, y)
        weight = self._weigh(labels, self._check_weight(sample_weight, len(y)))
        self._fit_pass(sources, labels, weight, len(self.classes_), self._fit_head())
        return self

    def _describe_outputs(self):
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _take_outputs(self, outputs):
        kind = np.dtype(outputs["dtype"])
        if kind.kind not in "biufUO":
            raise ValueError(f"classes of type {kind.str!r}")
        # Text is as wide as its longest word, whatever width the file names.
        classes = np.array(outputs["classes"], dtype=str if kind.kind == "U" else kind)
        if classes.ndim != 1 or len(classes) < 2 or len(set(classes.tolist())) < len(classes):
            raise ValueError("classes must be at least two, and each of them once")
        self.classes_ = classes
        return len(classes)

    def _fit_head(self):
        seed = as_seed(self.random_state)
        return partial(fit_classification_head, kind=self.head, random_state=seed)

    def _before_this_fit(self, classes):
        """What an earlier fit left, if this one goes on from it."""
        before = self._fitted_before(len(classes)) if self.warm_start else None
        if before and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the classes of the earlier fit, {self.classes_.tolist()}, "
                f"got {classes.tolist()}. Fit anew with warm_start=False."
            )
        return before

    def _weigh(self, labels, sample_weight):
        """Weight of each sample times that of its class."""
        if self.class_weight is None:
            return sample_weight
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
            by_class = np.array([weight.get(label, 1.0) for label in self.classes_.tolist()])
        else:
            by_class = compute_class_weight(
                weight, classes=classes, y=labels, sample_weight=sample_weight
            )
        return sample_weight * by_class[labels]

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
