"""Importance as the rise of the loss when part of the input is hidden."""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number
from ..evaluation.docs import fill_evaluation_doc
from ..models.isolate import isolate_torch
from .hiding import Hidden
from .importance import Importance, PartImportance, layout_of, patch_times, usable_bands
from .scoring import prepare


@fill_evaluation_doc
@isolate_torch()
def occlusion_importance(estimator, X, y=None, *, radius=0.0, bands=None):
    """Map the importance of channels, times and bands: the rise of the loss when one is hidden.

    The tokens of a hidden channel or time are left out, as if it had not been recorded. A hidden
    band is removed from the Fourier transform of each window. The paper maps channels and
    regions in this way :footcite:p:`guo2026brainof`. Explicit features are computed anew from
    what is left, see Notes.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        A fitted estimator, with any adaptation.
    %(X)s
    %(y_or_predicted)s
    radius : float
        Radius in metres: neighbours of a channel are hidden with it. One hidden channel alone
        loses no information that its neighbours share.
    %(bands)s

    Returns
    -------
    importance : Importance
        Rise of the mean loss: log loss in nats for classifiers, squared error in units of the
        target's variance for regressors. Negative where hiding improves predictions. Without
        ``y`` it is the loss of confidence.

    Raises
    ------
    TypeError
        If the estimator is no classifier or regressor.
    ValueError
        If it is not fitted, samples have several montages, or ``y`` does not fit them.

    See Also
    --------
    gradient_importance : Integrated gradients, for all channels at once.

    Notes
    -----
    What is hidden from explicit features takes a value without information:

    * Sensors are left out of the montage, so that virtual channels are interpolated from the
      others. Features of a hidden region count as their mean in training; virtual regions move
      towards it by the share that they have of the hidden one.
    * Times are left out of covariances and correlations; in evoked courses they take their mean
      over the samples.
    * Bands: of the covariance of EEG and MEG, columns of the bands whose centre is hidden count as
      their mean in training. Correlations of regions are those of the other frequencies. In evoked
      courses the band takes its mean over the samples.

    A feature of which nothing is left counts as its mean in training.

    References
    ----------
    .. footbibliography::
    """
    check_number("radius", radius, low=0)
    case = prepare(estimator, X, y)
    plain = case.losses(case.outputs()).mean()
    parts = {
        name: _occlude_part(case, plain, name, signals, radius, bands)
        for name, signals in case.signals.items()
    }
    return Importance(parts, "occlusion", case.unit, len(case.targets), masker=estimator.masker)


def _occlude_part(case, plain, name, signals, radius, bands):
    near = np.linalg.norm(signals.ch_pos[:, None] - signals.ch_pos[None], axis=-1) <= radius
    near |= np.eye(len(near), dtype=bool)
    spans, times = patch_times(signals, case.patch_size)
    limits = usable_bands(bands, signals)

    def cost(**what):
        return float(case.losses(case.outputs(Hidden((name,), **what))).mean() - plain)

    return PartImportance(
        **layout_of(signals),
        times=times,
        channels=np.array([cost(channels=row) for row in near]),
        patches=np.array([cost(span=span) for span in spans]),
        bands={band: cost(band=x) for band, x in limits.items()},
        limits=limits,
    )
