"""Importance as the rise of the loss when part of the input is hidden."""

from __future__ import annotations

from functools import partial

import numpy as np

from .._utils.validation import check_number
from ..models.isolate import isolate_torch
from ._scoring import prepare, take_tokens
from .importance import Importance, PartImportance, in_band, usable_bands


@isolate_torch()
def occlusion_importance(estimator, X, y=None, *, radius=0.0, bands=None):
    """Map the importance of channels, times and bands: the rise of the loss when one is hidden.

    The tokens of a hidden channel or time are left out, as if it had not been recorded. A hidden
    band is removed from the Fourier transform of each window. The paper maps channels and
    regions in this way :footcite:p:`guo2026brainof`.

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

    References
    ----------
    .. footbibliography::
    """
    check_number("radius", radius, low=0)
    case = prepare(estimator, X, y)
    plain = case.losses(case.run(take_tokens))
    parts = {
        name: _occlude_part(case, plain.mean(), name, signals, radius, bands)
        for name, signals in case.signals.items()
    }
    return Importance(parts, "occlusion", case.unit, len(case.targets), masker=estimator.masker)


def _occlude_part(case, plain, name, signals, radius, bands):
    patch = case.network.backbone.config.patch_size
    n_channels, n_times = signals.shape[1:]
    n_patches = -(-n_times // patch)
    near = np.linalg.norm(signals.ch_pos[:, None] - signals.ch_pos[None], axis=-1) <= radius
    near |= np.eye(n_channels, dtype=bool)

    def cost(**change):
        take = partial(take_tokens, modality=name, **change)
        return case.losses(case.run(take)).mean() - plain

    limits = usable_bands(bands, signals)
    starts = np.arange(n_patches) * patch
    ends = np.minimum(starts + patch, n_times)
    hide = np.broadcast_to
    shape = (n_channels, n_patches)
    return PartImportance(
        ch_names=signals.ch_names,
        ch_types=signals.ch_types,
        ch_pos=signals.ch_pos,
        times=(starts + ends) / 2 / signals.sfreq,
        channels=np.array([cost(hidden=hide(row[:, None], shape)) for row in near]),
        patches=np.array([cost(hidden=hide(row, shape)) for row in np.eye(n_patches, dtype=bool)]),
        bands={band: cost(change=partial(without_band, limits=x)) for band, x in limits.items()},
        limits=limits,
    )


def without_band(data, signals, *, limits):
    """Set the Fourier components of a band to zero."""
    # data (n_windows, n_channels, n_times) -> data (n_windows, n_channels, n_times), is_dropped
    # (n_windows, n_channels).
    n_times = data.shape[2]
    spectrum = np.fft.rfft(data, axis=2)
    spectrum[:, :, in_band(np.fft.rfftfreq(n_times, 1 / signals.sfreq), limits)] = 0.0
    left = np.fft.irfft(spectrum, n=n_times, axis=2).astype(np.float32)
    return left, np.zeros(data.shape[:2], dtype=bool)
