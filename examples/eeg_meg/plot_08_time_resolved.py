"""
Time-resolved decoding and decoding of windows
==============================================

:class:`mne.decoding.SlidingEstimator` fits a decoder at every time point and shows *when* two
conditions differ. ``BrainOFClassifier`` decodes whole windows: it shows how well a window
separates the conditions, wherever in the window the difference is. This example compares both.
"""

# %%
# Simulated MEG of one subject: the evoked response at 300 ms is larger for targets than for
# standards.
import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold

from brainof_toolbox import BrainOFClassifier, cross_validate
from brainof_toolbox.datasets import make_epochs

epochs = make_epochs("meg", effect="evoked", n_epochs=100, duration=1.0, sfreq=250)
label = epochs.events[:, 2]

# %%
# Every time point, of data below 20 Hz.
smooth = epochs.copy().filter(None, 20).decimate(4)
sliding = mne.decoding.SlidingEstimator(
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), scoring="roc_auc", verbose=False
)
cv = StratifiedKFold(5, shuffle=True, random_state=0)
auc = mne.decoding.cross_val_multiscore(
    sliding, smooth.get_data(), label, cv=cv, verbose=False
).mean(axis=0)

# %%
# Consecutive windows of 250 ms.
windows = {}
for start in np.arange(0, 1, 0.25):
    some = epochs.copy().crop(start, start + 0.25 - 1 / epochs.info["sfreq"])
    decoder = BrainOFClassifier(pooling="flatten")
    windows[start] = cross_validate(decoder, some, label, groups="none", cv=5, scoring="roc_auc")
whole = cross_validate(BrainOFClassifier(), epochs, label, groups="none", scoring="roc_auc")

# %%
_, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(smooth.times, auc, color="black", label="each time point, LDA")
for start, one in windows.items():
    axes.plot([start, start + 0.25], [one.mean] * 2, color="#D55E00", linewidth=4)
axes.plot([], [], color="#D55E00", linewidth=4, label="windows, Brain-OF")
axes.axhline(whole.mean, color="#0072B2", linestyle=":", label="whole epoch, Brain-OF")
axes.axhline(0.5, color="black", linestyle="--", linewidth=1)
axes.set_title("Decoding over time")
axes.set(xlabel="time from the stimulus (s)", ylabel="area under the ROC curve")
axes.legend(loc="upper right")

# %%
# The time points from 0.25 to 0.3 s separate targets from standards almost without error. The two
# windows that contain a part of the response are above chance. They score lower than the decoder
# of single time points, because the response is brief, phase-locked and small relative to the
# background. The later windows contain no response; their distance from chance shows the
# uncertainty of a score from 100 epochs.
#
# Use the sliding estimator for the time of an effect, and windows for effects without a fixed
# time, such as changes of rhythms.
