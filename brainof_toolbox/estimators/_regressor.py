"""Recordings -> numbers."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_number
from ..io.inputs import count_samples
from ._supervised import SupervisedBrainOF, trains_the_network
from .base import as_seed
from .heads import fit_regression_head


class BrainOFRegressor(RegressorMixin, SupervisedBrainOF):
    """Predict a continuous target from fMRI, EEG and MEG :footcite:p:`guo2026brainof`.

    Parameters
    ----------
    checkpoint : path-like | str | None
        Name of a bundled checkpoint, a checkpoint directory, or ``"hf://owner/name@revision"``.
        ``"brainof-tiny"`` comes with the package, trained as its model card says
        (``brainof info``). ``None``: untrained weights drawn from ``random_state``, with a
        warning.
    adaptation : str
        ``"probe"`` freezes the network and fits a ridge regression on its features, its strength
        chosen by cross-validation inside the training data. ``"full"`` trains network and head
        together, from the probe's head on, with early stopping on an inner split. ``"lora"``
        trains the head and low-rank differences to some of the matrices
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
    checkpoint_info_ : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    history_ : pandas.DataFrame
        Losses by epoch (``"lora"``, ``"full"``), in units of the standardised target.
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

    _loss_label = "squared error (variance of the target)"

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
        max_epochs=10,
        patience=4,
        learning_rate=None,
        layer_decay=0.9,
        weight_decay=0.05,
        augmentation="default",
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
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.augmentation = augmentation
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.device = device
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, groups=None, sample_weight=None):
        """Fit to samples with a continuous target.

        Parameters
        ----------
        X : object
            :class:`mne.Epochs`, :class:`mne.io.Raw`, a 4-D image, a list of these, of file paths
            or of records (:func:`~brainof_toolbox.read_bids`, or dicts like ``{"eeg": raw,
            "fmri": image, "subject": "01"}``), :class:`~brainof_toolbox.Signals`,
            :class:`~brainof_toolbox.PairedSignals`, or an array (n_samples, n_channels, n_times).
        y : array-like, shape (n_samples,)
            Targets in any unit.
        groups : array-like, shape (n_samples,) | None
            Samples of one group (a subject, a run) stay on one side of every inner split.
        sample_weight : array-like, shape (n_samples,) | None
            Weight of each sample in training, in the choice of the head's strength and in the
            loss that is watched.

        Returns
        -------
        self : BrainOFRegressor
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter, ``X``, ``y``, ``groups`` or ``sample_weight`` is not usable.
        """
        self._check_parameters()
        sources = self._as_sources(X, reset=True)
        y = self._check_numbers(y, count_samples(sources))
        groups = self._check_groups(groups, len(y))
        weight = self._check_weight(sample_weight, len(y))
        before = self._fitted_before(1) if self.warm_start else None
        self._load_backbone()
        if not before:  # what goes on keeps the scale that its outputs have
            self._set_scale(y, weight)
        z = (y - self._mean) / self._spread
        self._fit_adapted(sources, z, weight, groups, self._fit_head(), before)
        return self

    @available_if(trains_the_network)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn from some more samples in one pass, at a constant rate.

        The first call starts from the checkpoint and from a head that is fitted to its samples;
        their mean and spread stay the scale of the target. Only with ``adaptation="lora"`` and
        ``"full"``.

        Parameters
        ----------
        X : object
            Samples in any accepted form.
        y : array-like, shape (n_samples,)
            Their targets.
        sample_weight : array-like, shape (n_samples,) | None
            Weight of each sample in the loss.

        Returns
        -------
        self : BrainOFRegressor
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If a parameter or an argument is not usable.
        """
        self._check_parameters()
        is_first = not hasattr(self, "network_")
        sources = self._as_sources(X, reset=is_first)
        y = self._check_numbers(y, count_samples(sources))
        weight = self._check_weight(sample_weight, len(y))
        if is_first:
            self._load_backbone()
            self._set_scale(y, weight)
        z = (y - self._mean) / self._spread
        self._fit_pass(sources, z, weight, 1, self._fit_head())
        return self

    def _describe_outputs(self):
        return {"mean": self._mean, "spread": self._spread}

    def _take_outputs(self, outputs):
        self._mean = check_number("mean", outputs["mean"])
        self._spread = check_number("spread", outputs["spread"], low=0, low_open=True)
        return 1

    def _fit_head(self):
        seed = as_seed(self.random_state)
        return partial(fit_regression_head, kind=self.head, random_state=seed)

    def _set_scale(self, y, weight):
        self._mean = float(np.average(y, weights=weight))
        spread = np.sqrt(np.average(np.square(y - self._mean), weights=weight))
        self._spread = float(spread) or 1.0

    def _check_numbers(self, y, n_samples):
        y = self._check_targets(y, n_samples)
        try:
            return y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"y must be numbers, got dtype {y.dtype}: {error}") from error

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : object
            Samples in any accepted form.

        Returns
        -------
        targets : ndarray, shape (n_samples,)
            In the unit of ``y``.
        """
        check_is_fitted(self)
        if self.adaptation == "probe":
            z = self.head_.predict(self._features(X))
        else:
            z = self._outputs(X)[:, 0]
        return z * self._spread + self._mean
