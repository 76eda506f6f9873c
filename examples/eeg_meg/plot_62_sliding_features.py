"""
Sliding windows of explicit features
====================================

:class:`mne.decoding.SlidingEstimator` fits one decoder for each entry of the last axis. Here this
axis is not the time point but a window, and the rows are explicit features of Brain-OF: evoked
courses or covariances of virtual channels. No network is needed.
"""

# %%
# Simulated MEG of one subject: 300 ms after the start a deflection is larger for targets than for
# standards. The baseline matters here: epochs without one lose their mean over the epoch, which
# carries the response into bins before it.
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
# The block ``"evoked"`` of a whole epoch has a column per virtual channel and bin of 50 ms, bins
# varying fastest, so that one call gives the features of all bins.
rows = BrainOFEmbedder(features="evoked").fit_transform(epochs)
n_bins = 20
evoked = rows.reshape(len(epochs), -1, n_bins)  # (epochs, virtual channels, bins)
evoked_times = (np.arange(n_bins) + 0.5) / n_bins

# %%
# Covariances need longer windows: 0.4 s every 0.15 s. Features are functions of one window of one
# epoch; nothing is fitted, so that they can be computed before the folds are split.
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
# Bins around the response separate targets from standards, and bins before and after it scatter
# around chance. Covariances are above chance in windows that contain the response, but lower: they
# do not use that it is phase-locked, and their windows are eight times as long. Neighbouring bins
# and windows share signal, so that their scores are not independent.
