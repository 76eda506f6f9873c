"""The Riemannian decoder of evoked responses: covariances with the Xdawn responses of classes."""

from __future__ import annotations

from scipy import signal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

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

    band = FunctionTransformer(_filter, kw_args={"sfreq": sfreq})
    evoked = XdawnCovariances(nfilter=4, estimator="oas", xdawn_estimator="oas")
    return make_pipeline(ToArray(), band, evoked, TangentSpace(), LogisticHead())


def _filter(X, sfreq):
    """Apply a zero-phase Butterworth filter of order 4, 0.5 to 20 Hz, along the last axis."""
    sos = signal.butter(4, (0.5, 20.0), "bandpass", fs=sfreq, output="sos")
    return signal.sosfiltfilt(sos, X, axis=-1)
