"""The Riemannian decoder of evoked responses: covariances with the Xdawn responses of classes."""

from __future__ import annotations

import mne
from sklearn.pipeline import make_pipeline

from benchmarks.lib.arrays import ToArray
from brainof_toolbox.baselines.decoders import LogisticHead


def make_evoked_tangent(sfreq):
    """Make the decoder; pyRiemann is only needed here.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    decoder : Pipeline
        From 0.5 to 20 Hz; covariances are shrunk (OAS).
    """
    from pyriemann.estimation import XdawnCovariances
    from pyriemann.tangentspace import TangentSpace

    info = mne.create_info(1, sfreq)  # only its rate is used
    band = mne.decoding.FilterEstimator(info, 0.5, 20.0, method="iir", verbose="error")
    evoked = XdawnCovariances(nfilter=4, estimator="oas", xdawn_estimator="oas")
    return make_pipeline(ToArray(), band, evoked, TangentSpace(), LogisticHead())
