"""Recordings -> numbers."""

from __future__ import annotations

from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from ._docs import fill_estimator_doc
from ._supervised import SupervisedBrainOF, trains_the_network
from .targets import NumberTargets, as_numbers


@fill_estimator_doc
class BrainOFRegressor(RegressorMixin, SupervisedBrainOF):
    """Predict a continuous target from fMRI, EEG and MEG :footcite:p:`guo2026brainof`.

    Parameters
    ----------
    %(checkpoint)s
    %(adaptation)s
    %(decoder_parameters)s
    %(running)s

    Attributes
    ----------
    %(fitted)s

    Notes
    -----
    Losses in ``history_`` are in units of the standardised target.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from brainof_toolbox import BrainOFRegressor, datasets
    >>> epochs = datasets.make_epochs(n_epochs=24, random_state=0)
    >>> decoder = BrainOFRegressor(pooling="mean").fit(epochs, np.arange(24.0))
    >>> decoder.predict(epochs).shape
    (24,)
    """

    _loss_label = "squared error (variance of the target)"
    _targets = NumberTargets

    @available_if(trains_the_network)
    def partial_fit(self, X, y, sample_weight=None):
        """Train on some more samples in one pass, at a constant rate.

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
        return self._fit(X, y, None, sample_weight, is_pass=True)

    def _encode_y(self, y, weight, before, *, classes=None, is_pass=False):
        """Return targets, standardised numbers, and weights; a continued fit keeps its scale."""
        y = as_numbers(y)
        targets = NumberTargets.of(y, weight) if before is None else before
        return targets, targets.encode(y), weight

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
        outputs = self._outputs(X)
        return self.targets_.decode(outputs[:, 0])
