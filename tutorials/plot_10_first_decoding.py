"""
First decoding of an EEG recording
==================================

From one recording to a score that can be believed: can rest be told from a task, two seconds at a
time? On the way: what the network needs of your data (little), what it does to them, why
neighbouring windows must not be parted, and what a classical decoder makes of the same windows.
"""

# %%
# A recording
# -----------
# The recording is simulated, so that this page needs no download: 19 electrodes, 200 s, blocks of
# rest and task in turn. In task blocks alpha and mu rhythms are lower, and beta and theta higher.
# It is an ordinary :class:`mne.io.Raw`; for a recording of your own, write ``raw =
# mne.io.read_raw("sub-01_eeg.edf")``, and see the end of this page for public ones.
import matplotlib.pyplot as plt
import mne
import numpy as np

from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    1, modalities=["eeg"], label="state", duration=200, block_duration=10, effect_size=0.7
)
raw = recordings.records[0]["eeg"]
print(raw)

# %%
# The network wants three things: channels with **positions** (``raw.set_montage`` where a file has
# none), values in **volts** as always in MNE, and **more than 0.2 s** at a time. It does not ask
# for a sampling rate, a set of electrodes or a reference. Filtering (0.5 Hz high-pass), resampling
# (256 Hz) and scaling are done by the estimators as the weights were trained, so there is no need
# to do any of it. What MNE marks as bad is respected: channels in ``raw.info["bads"]`` and spans
# annotated ``BAD`` are not read.
#
# Windows with labels are epochs. Each annotation is cut into windows of 2 s; we also note the
# block that each of them comes from.
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
tmax = 2.0 - 1 / raw.info["sfreq"]
epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=tmax, baseline=None, preload=True)
state = np.where(epochs.events[:, 2] == 1, "rest", "task")
block = (epochs.events[:, 0] / raw.info["sfreq"] // 10).astype(int)
print(epochs)

# %%
# What is there to be found? The spectrum at the back of the head says it: alpha is lower in the
# task.
_, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, colour, style in [("rest", "#0072B2", "-"), ("task", "#D55E00", "--")]:
    spectrum = epochs[name].compute_psd("welch", fmin=2, fmax=40, picks=["O1", "O2"], n_fft=256)
    power = spectrum.get_data().mean(axis=(0, 1)) * 1e12  # V^2 to uV^2
    axes.semilogy(spectrum.freqs, power, color=colour, linestyle=style, label=name)
axes.set(xlabel="frequency (Hz)", ylabel="power (µV²/Hz)", title="O1 and O2, mean of all windows")
axes.legend()

# %%
# Fit and predict
# ---------------
# :class:`~brainof_toolbox.BrainOFClassifier` takes the epochs as they are. By default the network
# is frozen and a logistic regression is fitted to its features (``adaptation="probe"``). The first
# half of the recording teaches, the second half is predicted.
from brainof_toolbox import BrainOFClassifier

is_first = block < 10
decoder = BrainOFClassifier().fit(epochs[is_first], state[is_first])
predicted = decoder.predict(epochs[~is_first])
print(f"right in {np.mean(predicted == state[~is_first]):.0%} of the second half")

# %%
# A score that can be believed
# ----------------------------
# One split is an anecdote. :func:`~brainof_toolbox.cross_validate` gives every window a turn as
# test. It asks what belongs together, and keeps it on one side of every split: here the windows of
# a block, because neighbouring windows share drifts, posture and level of drowsiness, and a
# decoder may learn those instead of the task. With several people, whole people are left out (see
# the next tutorial).
from brainof_toolbox import cross_validate

scores = cross_validate(BrainOFClassifier(), epochs, state, groups=block)
scores

# %%
# Each small point is one block that was left out, the large one their mean with its interval. A
# block has one label only, so its score is the share of its windows that were told right.
_ = scores.plot()

# %%
# And a classical decoder?
# ------------------------
# Always ask. :func:`~brainof_toolbox.compare` scores several decoders on the same splits, and
# pairs them block by block. Arrays are passed here, because the classical pipeline is made of
# pieces from :mod:`mne.decoding`; to the network ``info`` then says what the channels are.
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import compare

log_power = make_pipeline(
    mne.decoding.PSDEstimator(raw.info["sfreq"], fmin=2, fmax=40),
    FunctionTransformer(np.log),
    mne.decoding.Vectorizer(),
    StandardScaler(),
    LogisticRegression(C=0.01, max_iter=1000),
)
found = compare(
    {"Brain-OF": BrainOFClassifier(info=epochs.info), "log power": log_power},
    epochs.get_data(),
    state,
    groups=block,
)
_ = found.plot()
found

# %%
# What do we see?
# ---------------
# The network tells rest from task in about four of five windows of blocks that it has not been
# taught with, clearly above chance. The logarithm of the power spectrum does better still, and in
# nearly every block: the state was simulated as a change of rhythms, and a decoder that is handed
# the rhythms has little left to learn. This is what we find on most real recordings too, with the
# weights that come with the package: see :doc:`/quality`. Take the network for what it does that
# spectra cannot (any montage, any rate, several modalities at once, one vector of a fixed length),
# and keep a classical decoder beside it.
#
# The interval is wide, because twenty blocks of one person are not much, and it says nothing about
# other people.
#
# The same on public recordings
# -----------------------------
# Left and right fist in a recording of PhysioNet :footcite:p:`schalk2004bci2000`, which MNE
# downloads. Its file names electrodes in capitals and with dots and has no positions;
# ``standardize`` and ``set_montage`` see to that. What is left out together is a run::
#
#     parts = []
#     for file in mne.datasets.eegbci.load_data(1, [3, 7, 11]):
#         raw = mne.io.read_raw(file)
#         mne.datasets.eegbci.standardize(raw)
#         raw.set_montage("standard_1005")
#         events, event_id = mne.events_from_annotations(raw, event_id={"T1": 1, "T2": 2})
#         part = mne.Epochs(raw, events, event_id, tmin=0.5, tmax=3.5, baseline=None, preload=True)
#         parts.append(part)
#     run = np.repeat([3, 7, 11], [len(part) for part in parts])
#     epochs = mne.concatenate_epochs(parts)
#     cross_validate(BrainOFClassifier(), epochs, epochs.events[:, 2], groups=run)
#
# The balanced accuracy was 0.55 there, which cannot be told from chance; common spatial patterns
# reach 0.65 (:doc:`/quality`). These are 45 movements of one person.
#
# References
# ----------
# .. footbibliography::
