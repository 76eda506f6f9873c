"""Importance as the rise of the loss when part of the input is hidden."""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number
from ..models.isolate import isolate_torch
from ._scoring import prepare
from .hiding import Hidden
from .importance import Importance, PartImportance, usable_bands


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
    X : object
        Samples in any accepted form, of one montage per modality. Use left-out samples to map
        what generalises.
    y : array-like, shape (n_samples,) | None
        Targets of the samples: importance is the rise of the loss of predictions. ``None``
        takes the estimator's own predictions as targets: importance is the loss of confidence.
    radius : float
        Radius in metres: neighbours of a channel are hidden with it. One hidden channel alone
        loses no information that its neighbours share.
    bands : dict of str -> (float, float) | None
        Lower and upper edge in Hz by name. ``None``: theta to gamma for EEG and MEG, three bands
        of slow fluctuations for fMRI; bands above the Nyquist frequency are left out.

    Returns
    -------
    importance : Importance
        Rise of the mean loss: log loss in nats for classifiers, squared error in units of the
        target's variance for regressors. Negative where hiding improves predictions.

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
    patch, n_times = case.patch_size, signals.shape[2]
    near = np.linalg.norm(signals.ch_pos[:, None] - signals.ch_pos[None], axis=-1) <= radius
    near |= np.eye(len(near), dtype=bool)
    spans = [(start, min(start + patch, n_times)) for start in range(0, n_times, patch)]
    limits = usable_bands(bands, signals)

    def cost(**what):
        return float(case.losses(case.outputs(Hidden((name,), **what))).mean() - plain)

    return PartImportance(
        ch_names=signals.ch_names,
        ch_types=signals.ch_types,
        ch_pos=signals.ch_pos,
        times=np.mean(spans, axis=1) / signals.sfreq,
        channels=np.array([cost(channels=row) for row in near]),
        patches=np.array([cost(span=span) for span in spans]),
        bands={band: cost(band=x) for band, x in limits.items()},
        limits=limits,
    )
