"""Riemannian decoders: covariances in their tangent space, then logistic regression."""

from __future__ import annotations

from sklearn.pipeline import make_pipeline, make_union

from brainof_toolbox.baselines.arrays import BANDS, BandPass, LogisticHead, ToArray


def make_tangent(sfreq):
    """Make the decoders; pyRiemann is only needed here.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    decoders : dict of str -> Pipeline
        In one band, in five bands, and of evoked responses (covariances with the Xdawn responses
        of each class). Covariances are shrunk (OAS); the strength of the regression is chosen on
        inner folds.
    """
    from pyriemann.estimation import Covariances, XdawnCovariances
    from pyriemann.tangentspace import TangentSpace

    def in_band(edges):
        return make_pipeline(BandPass(sfreq, edges), Covariances("oas"), TangentSpace())

    evoked = XdawnCovariances(nfilter=4, estimator="oas", xdawn_estimator="oas")
    return {
        "tangent space": make_pipeline(ToArray(), in_band((8.0, 30.0)), LogisticHead()),
        "tangent space, filter bank": make_pipeline(
            ToArray(), make_union(*map(in_band, BANDS.values())), LogisticHead()
        ),
        "tangent space, evoked": make_pipeline(
            ToArray(), BandPass(sfreq, (0.5, 20.0)), evoked, TangentSpace(), LogisticHead()
        ),
    }
