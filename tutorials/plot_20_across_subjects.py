"""
A decoding study across subjects
================================

Most studies ask whether a decoder generalises to subjects who are not in the training data. This
page analyses eight subjects: whole subjects left out, the interval of the mean, a p-value, a
comparison with a classical decoder, and the score that leakage gives when windows of a subject are
in training and test data.
"""

# %%
# Eight subjects
# --------------
# Simulated: 40 s of EEG per subject, blocks of rest and task, cut into windows of 2 s. Subjects
# differ in the size of the head and in the strength and frequency of their rhythms. ``metadata``
# holds the subject of each window; all functions below read it there.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    8, modalities=["eeg"], label="state", duration=40, block_duration=10, effect_size=0.4
)


def cut(record):
    """Cut windows of 2 s of one subject, with subject and state."""
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
# Leaving out whole subjects
# --------------------------
# :func:`~brainof_toolbox.cross_validate` uses the column ``subject`` and leaves out whole
# subjects; data without subjects are an error. Hyper-parameters, such as the penalties of
# ``BrainOFClassifier``, are chosen on inner splits that keep subjects together too.
#
# ``n_permutations`` requests a p-value: labels are permuted within each subject, and the whole
# cross-validation is repeated. The frozen network has to embed all windows only once.
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder, cross_validate

decoder = make_pipeline(BrainOFEmbedder(pooling="mean"), StandardScaler(), LogisticRegression())
scores = cross_validate(decoder, epochs, state, n_permutations=100)
scores

# %%
# One point is one subject. The interval is that of the mean over subjects.
_ = scores.plot().suptitle("Subjects left out")

# %%
# Comparison with a classical decoder
# -----------------------------------
# The same splits, and differences paired by subject. ``info`` describes the channels of the array.
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
_ = found.plot().suptitle("Beside a classical decoder")
found

# %%
# Leakage
# -------
# Now a label that **cannot** be decoded: half of the subjects are assigned to A and half to B, at
# random. Windows of one subject are similar. A decoder that was trained on some windows of a
# subject identifies the subject in the other windows, and with it the label. With shuffled windows
# the score is far above chance without any effect.
features = BrainOFEmbedder(pooling="mean").fit_transform(epochs)  # once, for all that follows
subject = epochs.metadata["subject"].to_numpy()
classifier = make_pipeline(StandardScaler(), LogisticRegression())
rng = np.random.default_rng(0)
rows = []
for _ in range(10):
    half = np.isin(subject, rng.choice(np.unique(subject), 4, replace=False))
    shuffled = cross_validate(classifier, features, half, groups="none", cv=5)
    honest = cross_validate(classifier, features, half, groups=subject, cv=4)
    rows.append({"windows shuffled": shuffled.mean, "subjects left out": honest.mean})
leak = pd.DataFrame(rows)

# %%
_, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for place, (name, marker, colour) in enumerate(
    [("windows shuffled", "s", "#D55E00"), ("subjects left out", "o", "#0072B2")]
):
    axes.plot(leak[name], [place] * len(leak), marker, color=colour, alpha=0.6)
axes.axvline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (0.5, 1.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks([0, 1], list(leak))
axes.set(xlim=(0, 1.03), ylim=(1.5, -0.5))
axes.set_title("Leakage between windows of one subject")
axes.set(xlabel="balanced accuracy of random labels (10 draws)")
leak.mean().round(2)

# %%
# Results
# -------
# The averaged latents classify more than four of five windows of left-out subjects correctly,
# above chance in all folds. None of 100 permutations reached the score, so the p-value is the
# smallest possible. ``BrainOFClassifier`` adds covariances and evoked time courses, and scores
# about the same; it does not differ significantly from the power spectrum.
#
# In the last figure, the labels A and B are random. With left-out subjects the score is at chance
# or below: if subjects of one class are left out, the other class is more frequent in the training
# data. With shuffled windows the score of the same decoder on the same data is 0.7. On real data
# it is often close to 1, because real subjects, and recordings of different days, differ more than
# simulated ones.
#
# The same on public recordings
# -----------------------------
# Eyes open (run 1) against eyes closed (run 2) of ten subjects of PhysioNet, a minute each, which
# MNE downloads. ``cut`` then reads a file, and all other lines stay as they are::
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
# Here each state fills a whole run, so it is confounded with all other differences between the two
# runs. Leaving out subjects helps only if these differences vary between subjects.
