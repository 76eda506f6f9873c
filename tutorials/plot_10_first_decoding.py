"""
First decoding of an EEG recording
==================================

This page classifies rest and task in windows of two seconds of one EEG recording. It covers the
requirements on the data, the preprocessing, splits that keep neighbouring windows together, and
the comparison with a classical decoder.
"""

# %%
# A recording
# -----------
# The recording is simulated, so that this page needs no download: 19 electrodes, 200 s,
# alternating blocks of rest and task. In task blocks alpha and mu rhythms are lower, and beta and
# theta higher. It is an ordinary :class:`mne.io.Raw`; for your own recording, write ``raw =
# mne.io.read_raw("sub-01_eeg.edf")``, and see the end of this page for public ones.

# sphinx_gallery_thumbnail_number = 3
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
# There are three requirements: channels with **positions** (``raw.set_montage`` where a file has
# none), values in **volts** as always in MNE, and samples of **more than 0.2 s**. Any sampling
# rate and any set of electrodes can be used. The estimators apply the preprocessing that the
# weights were trained with (average reference, 0.5 Hz high-pass, 128 Hz, a fixed scale). Channels
# in ``raw.info["bads"]`` and spans annotated ``BAD`` are not read.
#
# Windows with labels are epochs. Each annotation is cut into windows of 2 s; the block of each
# window is kept for the splits.
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
tmax = 2.0 - 1 / raw.info["sfreq"]
epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=tmax, baseline=None, preload=True)
state = np.where(epochs.events[:, 2] == 1, "rest", "task")
block = (epochs.events[:, 0] / raw.info["sfreq"] // 10).astype(int)
print(epochs)

# %%
# The expected effect is visible in the spectrum over the back of the head: alpha is lower in the
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
# is frozen (``adaptation="probe"``) and penalised logistic regressions are fitted to three blocks
# of features: its latents, covariances of virtual channels, and the evoked course. The weights of
# the blocks are chosen inside the training data. The classifier is trained on the first half of
# the recording and predicts the second half.
from brainof_toolbox import BrainOFClassifier

is_first = block < 10
decoder = BrainOFClassifier().fit(epochs[is_first], state[is_first])
predicted = decoder.predict(epochs[~is_first])
print(f"accuracy in the second half: {np.mean(predicted == state[~is_first]):.0%}")
decoder.feature_weights_

# %%
# Cross-validation without leakage
# --------------------------------
# :func:`~brainof_toolbox.cross_validate` tests every window once. ``groups`` are samples that stay
# on one side of every split: here the windows of a block, because neighbouring windows share
# drifts, posture and level of drowsiness, which a decoder may use instead of the task. With
# several subjects, whole subjects are left out (see the next tutorial).
from brainof_toolbox import cross_validate

scores = cross_validate(BrainOFClassifier(), epochs, state, groups=block)
scores

# %%
# Each small point is one block that was left out, the large one their mean with its interval. A
# block has one label only, so its score is the share of its windows that were classified
# correctly.
_ = scores.plot().suptitle("Blocks left out")

# %%
# A classical decoder
# -------------------
# :func:`~brainof_toolbox.compare` scores several decoders on the same splits, and pairs them block
# by block. Arrays are passed here, because the classical pipeline consists of parts of
# :mod:`mne.decoding`; ``info`` then describes the channels for the network.
# ``compare(..., baselines=True)`` adds ready-made classical decoders (see
# :ref:`sphx_glr_auto_examples_eeg_meg_plot_12_baselines.py`).
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
_ = found.plot().suptitle("Beside a classical decoder")
found

# %%
# Results
# -------
# Both decoders classify most windows of left-out blocks correctly, clearly above chance, and do
# not differ significantly. The state was simulated as a change of rhythms, so the power spectrum
# is a nearly sufficient feature. In ``Brain-OF`` the covariances have the largest share; the
# latents of ``brainof-tiny`` pay where sensors are few or noisy (:doc:`/weights`). Always report a
# classical decoder on the same splits.
#
# The interval describes this recording only, not other subjects.
#
# The same on public recordings
# -----------------------------
# Left and right fist in a recording of PhysioNet :footcite:p:`schalk2004bci2000`, which MNE
# downloads. Its electrode names are in capitals and with dots, and it has no positions;
# ``standardize`` and ``set_montage`` correct both. Whole runs are left out::
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
#     decoders = {"Brain-OF": BrainOFClassifier()}
#     compare(decoders, epochs, epochs.events[:, 2], groups=run, baselines=True)
#
# These are 45 movements of one subject, so that intervals are wide.
#
# References
# ----------
# .. footbibliography::
