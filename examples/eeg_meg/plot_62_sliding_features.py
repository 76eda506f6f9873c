"""
Sliding windows of explicit features
====================================

When does an effect occur? :class:`mne.decoding.SlidingEstimator` fits one decoder for each entry
of the last axis, usually a time point. Here each entry is a window, and the features are evoked
time courses or covariances of virtual channels. No network is needed.
"""

# %%
# Simulated MEG of one subject: the evoked response at 300 ms is larger for targets than for
# standards. The baseline matters here: without one, the mean over the epoch is subtracted, and the
# response then also changes the bins before it.
import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

epochs = make_epochs("meg", effect="evoked", n_epochs=200, duration=1.0, sfreq=250)
epochs.apply_baseline((0, 0.15), verbose="error")
label = epochs.events[:, 2]

# %%
# The feature set ``"evoked"`` has a column for each virtual channel and bin of 50 ms, bins varying
# fastest, so that one call gives the features of all bins.
rows = BrainOFEmbedder(features="evoked").fit_transform(epochs)
n_bins = 20
evoked = rows.reshape(len(epochs), -1, n_bins)  # (epochs, virtual channels, bins)
evoked_times = (np.arange(n_bins) + 0.5) / n_bins

# %%
# Covariances need longer windows: 0.4 s every 0.15 s. Features are not fitted to the data, so that
# they can be computed before the data are split into folds.
width, starts = 0.4, np.arange(0, 0.61, 0.15)
covariance = np.stack(
    [
        BrainOFEmbedder(features="covariance").fit_transform(
            epochs.copy().crop(start, start + width - 1 / epochs.info["sfreq"])
        )
        for start in starts
    ],
    axis=2,
)
covariance_times = starts + width / 2

# %%
# Scaling and classifier are fitted in each fold and window.
decoder = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
sliding = mne.decoding.SlidingEstimator(decoder, scoring="roc_auc", verbose=False)
cv = StratifiedKFold(5, shuffle=True, random_state=0)
auc = {
    name: mne.decoding.cross_val_multiscore(sliding, X, label, cv=cv, verbose=False).mean(axis=0)
    for name, X in {"evoked": evoked, "covariance": covariance}.items()
}

# %%
_, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(evoked_times, auc["evoked"], "o-", color="#0072B2", label="evoked, bins of 50 ms")
axes.plot(
    covariance_times,
    auc["covariance"],
    "s-",
    color="#D55E00",
    label="covariance, windows of 0.4 s",
)
axes.axhline(0.5, color="black", linestyle="--", linewidth=1, label="chance")
axes.set_title("Decoding over time")
axes.set(xlabel="centre of the window (s)", ylabel="area under the ROC curve")
axes.legend(loc="upper right")

# %%
# Bins around the response separate targets from standards; bins before and after it scatter around
# chance. Covariances are above chance in windows that contain the response, but score lower: they
# ignore that the response is phase-locked, and their windows are eight times as long. Neighbouring
# bins and windows share data, so that their scores are not independent.
