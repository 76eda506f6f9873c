"""Recordings -> numbers."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional as F

from .._samples import count_samples
from ._heads import fit_regression_head
from ._supervised import SupervisedBrainOF


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
        together, from the probe's head on, with early stopping on an inner split.
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
    checkpoint_info_ : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    history_ : pandas.DataFrame
        Losses by epoch (``"full"``), in units of the standardised target.
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

        Returns
        -------
        self : BrainOFRegressor
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
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"y must be numbers, got dtype {y.dtype}: {error}") from error
        self._load_backbone()
        self._forget()
        self._mean, self._spread = float(y.mean()), float(y.std()) or 1.0
        z = (y - self._mean) / self._spread
        if self.adaptation == "probe":
            self.head_ = fit_regression_head(self._embed(sources), z, groups)
        else:
            self._fit_full(
                sources,
                self._tensor(z, torch.float32),
                groups,
                lambda outputs, target: F.mse_loss(outputs[:, 0].float(), target),
                fit_head=fit_regression_head,
                is_classification=False,
            )
        return self

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
