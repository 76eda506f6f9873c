"""
When channels drop out
======================

Sensors fail and electrodes come off. ``BrainOFClassifier`` uses the channels that are present;
most decoders need a fixed set of channels, so that missing ones must be interpolated. Here both
are trained with all channels and tested with fewer.
"""

# %%
# Simulated EEG of one subject, 19 electrodes: the first half of the recording is training data,
# the second half test data.
import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    1, modalities=["eeg"], label="state", duration=200, block_duration=10, effect_size=0.6
)
raw = recordings.records[0]["eeg"]
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=1.99, baseline=None, preload=True)
train, test = epochs[:50], epochs[50:]

network = BrainOFClassifier().fit(train, train.events[:, 2])
log_power = make_pipeline(
    mne.decoding.PSDEstimator(epochs.info["sfreq"], fmin=2, fmax=40),
    FunctionTransformer(np.log),
    mne.decoding.Vectorizer(),
    StandardScaler(),
    LogisticRegression(C=0.01, max_iter=1000),
).fit(train.get_data(), train.events[:, 2])

# %%
# Channels of the test data are marked as bad, three random choices for each number of channels.
# ``BrainOFClassifier`` leaves bad channels out; for the power spectrum MNE interpolates them.
rng = np.random.default_rng(0)
label = test.events[:, 2]
n_bad = [0, 3, 6, 9, 12, 15]
found = {"Brain-OF, left out": [], "log power, interpolated": []}
for n in n_bad:
    for _ in range(3 if n else 1):
        broken = test.copy()
        broken.info["bads"] = list(rng.choice(epochs.ch_names, n, replace=False))
        score = np.mean(network.predict(broken) == label)
        found["Brain-OF, left out"].append((19 - n, score))
        mended = broken.copy().interpolate_bads() if n else broken
        score = np.mean(log_power.predict(mended.get_data()) == label)
        found["log power, interpolated"].append((19 - n, score))

# %%
_, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
styles = [("o", "#0072B2", -0.15), ("s", "#D55E00", 0.15)]
for (name, points), (marker, colour, shift) in zip(found.items(), styles):
    n_left, scores = np.array(points).T
    axes.plot(n_left + shift, scores, marker, color=colour, alpha=0.6, label=name)
    counts = np.unique(n_left)
    means = [scores[n_left == n].mean() for n in counts]
    axes.plot(counts + shift, means, color=colour)
axes.axhline(0.5, color="black", linestyle="--", linewidth=1)
axes.set_title("Electrodes lost in the second half")
axes.set(xlabel="electrodes left, of 19", ylabel="accuracy in the second half", ylim=(0.3, 1.03))
axes.invert_xaxis()
axes.legend(loc="lower left")

# %%
# ``BrainOFClassifier`` was fitted once with all channels. Its accuracy changes little down to
# seven electrodes of 19, without interpolation and without refitting. With four electrodes it is
# higher than that of the power spectrum of interpolated channels. Potentials of a simulated,
# spherical head are smoother than real ones, and therefore easier to interpolate.
# :doc:`/invariance` has results for the latents in real recordings.
