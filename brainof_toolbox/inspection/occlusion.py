"""Importance as what is lost when the network does not get to see something."""

from __future__ import annotations

from functools import partial

import numpy as np

from .._utils.validation import check_number
from ..models.isolate import isolate_torch
from ._scoring import prepare, take_tokens
from .importance import Importance, PartImportance, in_band, usable_bands


@isolate_torch()
def occlusion_importance(estimator, X, y=None, *, radius=0.0, bands=None):
    """Map what a decoder goes by: the loss that hiding a channel, a time or a band costs.

    A hidden channel is one that was never recorded, and a hidden time one that is not read: their
    tokens are left out, which the network has learned to live with. A hidden band is cut out of
    the Fourier transform of each window. The paper maps channels and regions in this way
    :footcite:p:`guo2026brainof`.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        Fitted, with any adaptation.
    X : object
        Samples in any accepted form, of one montage per modality; not those it was fitted to, if
        the map is to tell what generalises.
    y : array-like, shape (n_samples,) | None
        Their targets: importance is then how much worse predictions become. ``None``: how much
        less sure the estimator becomes of what it says.
    radius : float
        Hide all channels up to so many metres from each one together with it. What neighbours
        tell too is not missed when one of them is hidden.
    bands : dict of str -> (float, float) | None
        Low and high end in Hz by name. ``None``: theta to gamma for EEG and MEG, and three bands
        of slow fluctuations for fMRI; those beyond the sampling rate are left out.

    Returns
    -------
    importance : Importance
        Rise of the mean loss: of the log loss in nats for classes, of the squared error in units
        of the target's variance for numbers. Negative where hiding helps.

    Raises
    ------
    TypeError
        If the estimator predicts nothing.
    ValueError
        If it is not fitted, samples have several montages, or ``y`` does not belong to them.

    See Also
    --------
    gradient_importance : One pass per step of the integral, for all channels at once.

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
