"""
A decoding study across people
==============================

The question of most studies is not whether a decoder works in the people it was taught with, but
whether it works in the next one. This page makes a study of eight people without leakage: what is
left out, how sure the mean is, a p-value, a comparison with a classical decoder, and what goes
wrong when windows are shuffled.
"""

# %%
# Eight people
# ------------
# Simulated: 40 s of EEG of each, blocks of rest and task, cut into windows of 2 s. People differ
# in the size of their heads and in the strength and frequency of their rhythms. Whose window it is
# goes into ``metadata``, from where everything below takes it.
import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    8, modalities=["eeg"], label="state", duration=40, block_duration=10, effect_size=0.4
)


def cut(record):
    """Windows of 2 s of one person, with subject and state."""
    raw = record["eeg"]
    events, event_id = mne.events_from_annotations(
        raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
    )
    epochs = mne.Epochs(
        raw, events, event_id, 0.0, 2.0 - 1 / raw.info["sfreq"], baseline=None, preload=True
    )
    epochs.set_annotations(None)  # not needed any more, and not concatenated by MNE
    names = {code: name for name, code in event_id.items()}
    epochs.metadata = pd.DataFrame(
        {
            "subject": record["subject"],
            "state": [names[code] for code in epochs.events[:, 2]],
        }
    )
    return epochs


epochs = mne.concatenate_epochs([cut(record) for record in recordings.records])
state = epochs.metadata["state"]
pd.crosstab(epochs.metadata["subject"], state)

# %%
# Whole people are left out
# -------------------------
# :func:`~brainof_toolbox.cross_validate` finds the column ``subject`` and leaves out whole people;
# without any groups it refuses to go on rather than shuffle windows. A decoder that chooses
# something, as ``BrainOFClassifier`` does with the strength of its regression, chooses it on inner
# splits, which respect people too.
#
# ``n_permutations`` asks for a p-value: labels change places within each person, and the whole
# cross-validation is repeated. The frozen network is run over all windows once only.
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder, cross_validate

decoder = make_pipeline(BrainOFEmbedder(pooling="mean"), StandardScaler(), LogisticRegression())
scores = cross_validate(decoder, epochs, state, n_permutations=100)
scores

# %%
# One point is one person. The interval is of the mean over people, which is what a new study of as
# many people would vary in.
_ = scores.plot()

# %%
# Beside a classical decoder
# --------------------------
# The same splits, and differences paired by person. ``info`` tells the network what the columns of
# the array are.
from sklearn.preprocessing import FunctionTransformer

from brainof_toolbox import BrainOFClassifier, compare

log_power = make_pipeline(
    mne.decoding.PSDEstimator(epochs.info["sfreq"], fmin=2, fmax=40),
    FunctionTransformer(np.log),
    mne.decoding.Vectorizer(),
    StandardScaler(),
    LogisticRegression(C=1e-3),
)
found = compare(
    {"Brain-OF": BrainOFClassifier(info=epochs.info), "log power": log_power},
    epochs.get_data(),
    state,
    groups=epochs.metadata["subject"],
)
_ = found.plot()
found

# %%
# What leakage looks like
# -----------------------
# Now a label that **cannot** be decoded: half of the people are called A and half B, at random.
# Windows of one person resemble each other, so a decoder that has seen some of a person's windows
# recognises the others, and with them the label. Shuffled windows give a fine score for nothing.
features = BrainOFEmbedder(pooling="mean").fit_transform(epochs)  # once, for all that follows
subject = epochs.metadata["subject"].to_numpy()
classifier = make_pipeline(StandardScaler(), LogisticRegression())
rng = np.random.default_rng(0)
rows = []
for _ in range(10):
    half = np.isin(subject, rng.choice(np.unique(subject), 4, replace=False))
    shuffled = cross_validate(classifier, features, half, groups="none", cv=5)
    honest = cross_validate(classifier, features, half, groups=subject, cv=4)
    rows.append({"windows shuffled": shuffled.mean, "people left out": honest.mean})
leak = pd.DataFrame(rows)

# %%
_, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for place, (name, marker, colour) in enumerate(
    [("windows shuffled", "s", "#D55E00"), ("people left out", "o", "#0072B2")]
):
    axes.plot(leak[name], [place] * len(leak), marker, color=colour, alpha=0.6)
axes.axvline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (0.5, 1.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks([0, 1], list(leak))
axes.set(xlim=(0, 1.03), ylim=(1.5, -0.5))
axes.set(xlabel="balanced accuracy of labels that mean nothing (10 draws)")
leak.mean().round(2)

# %%
# What do we see?
# ---------------
# The state of people whom the decoder has never met is told in more than four of five windows, and
# in each of the eight people above chance; not one of 100 permutations did as well, which is the
# smallest p-value that they can give. The power spectrum tells it a little better in nearly
# everybody.
#
# The last picture is the warning of this page. The labels A and B mean nothing, and people left
# out say so: chance, or below it (with few people, a label that is balanced over all of them is
# unbalanced against the one left out). Windows shuffled say 0.7. Real people differ far more than
# simulated ones, and recordings of one day differ from those of another, so that on real data this
# number is often close to 1. It is the same decoder, and the same data.
#
# The same on public recordings
# -----------------------------
# Eyes open (run 1) against eyes closed (run 2) of ten people of PhysioNet, a minute each, which
# MNE downloads. ``cut`` then reads a file, and everything below it stays as it is::
#
#     def cut(subject, run):
#         (file,) = mne.datasets.eegbci.load_data(subject, [run])
#         raw = mne.io.read_raw(file)
#         mne.datasets.eegbci.standardize(raw)
#         raw.set_montage("standard_1005")
#         epochs = mne.make_fixed_length_epochs(raw, duration=2.0, preload=True)
#         state = "open" if run == 1 else "closed"
#         epochs.metadata = pd.DataFrame({"subject": [subject] * len(epochs), "state": state})
#         return epochs
#
#     parts = [cut(subject, run) for subject in range(1, 11) for run in (1, 2)]
#     epochs = mne.concatenate_epochs(parts)
#
# A state that fills a whole run cannot be told from anything else that differs between the two
# runs. People left out take care of that only as far as it differs from person to person.
