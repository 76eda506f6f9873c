"""
First decoding of an EEG recording
==================================

This page classifies rest and task in windows of two seconds of one EEG recording. It covers the
requirements on the data, the preprocessing, cross-validation without leakage between neighbouring
windows, and the comparison with a classical decoder.
"""

# %%
# A recording
# -----------
# The recording is simulated, so that this page needs no download: 19 electrodes, 200 s,
# alternating blocks of rest and task. In task blocks alpha and mu power are lower, and beta and
# theta power higher. It is an ordinary :class:`mne.io.Raw`; for your own recording, write ``raw =
# mne.io.read_raw("sub-01_eeg.edf")``. The end of this page uses a public one.

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
# rate and any set of electrodes can be used. The estimators preprocess the data as the training
# data of the network were preprocessed (average reference, 0.5 Hz high-pass, 128 Hz, a fixed
# scale). Channels in ``raw.info["bads"]`` and segments annotated ``BAD`` are not read.
#
# Windows with labels are epochs. Each annotation is cut into windows of 2 s. The number of the
# block to which each window belongs is kept for the cross-validation.
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
# is frozen (``adaptation="probe"``), and penalised logistic regressions are fitted to three
# feature sets: the latents (the output of the network), covariances of virtual channels, and the
# evoked time course. The weights of the feature sets are chosen inside the training data. The
# classifier is trained on the first half of the recording and predicts the second half.
from brainof_toolbox import BrainOFClassifier

is_first = block < 10
decoder = BrainOFClassifier().fit(epochs[is_first], state[is_first])
predicted = decoder.predict(epochs[~is_first])
print(f"accuracy in the second half: {np.mean(predicted == state[~is_first]):.0%}")
decoder.feature_weights_

# %%
# Cross-validation without leakage
# --------------------------------
# :func:`~brainof_toolbox.cross_validate` tests every window once. ``groups`` names the windows
# that stay together in training or test: here those of a block, because neighbouring windows share
# drifts, posture and level of drowsiness, which a decoder may use instead of the task. With
# several subjects, whole subjects are left out (see the next tutorial).
from brainof_toolbox import cross_validate

scores = cross_validate(BrainOFClassifier(), epochs, state, groups=block)
scores

# %%
# Each small point is one left-out block, the large point is their mean with its 95 % interval. A
# block has one label only, so its score is the share of its windows that were classified
# correctly.
_ = scores.plot().suptitle("Blocks left out")

# %%
# A classical decoder
# -------------------
# :func:`~brainof_toolbox.compare` scores several decoders on the same splits, and compares them
# block by block. Arrays are passed here, because the steps of the classical pipeline, from
# :mod:`mne.decoding`, take arrays; ``info`` then describes the channels for the network.
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
# not differ significantly. The simulated task changes rhythms, so the power spectrum contains
# nearly all information. ``Brain-OF`` uses latents and covariances in similar shares here; the
# latents of ``brainof-tiny`` help where sensors are few or noisy (:doc:`/weights`). Always report
# a classical decoder on the same splits.
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
# With 45 movements of one subject, intervals are wide.
#
# References
# ----------
# .. footbibliography::
