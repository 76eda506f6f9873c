"""
Several modalities in one sample
================================

EEG, MEG and fMRI of one subject can be one sample: the network reads one modality after the other,
and the result is one vector. A missing modality is skipped. This page shows such samples, the
scores of single and combined modalities, and what happens when a modality is missing.
"""

# %%
# Samples with three modalities
# -----------------------------
# A sample of recordings or images is a dict with the keys ``"eeg"``, ``"meg"`` and ``"fmri"``
# (objects or paths) and ``"subject"``. All estimators accept a list of such dicts;
# :func:`~brainof_toolbox.read_bids` makes it from a folder::
#
#     X = [
#         {"subject": "01", "eeg": "sub-01_eeg.edf", "fmri": "sub-01_bold.nii.gz"},
#         {"subject": "02", "eeg": "sub-02_eeg.edf"},
#     ]
#
# Many short samples are stored as :class:`~brainof_toolbox.PairedSignals`. Here they are
# simulated, 12 samples from each of eight subjects. **In each modality the two states differ in
# another signal**: in EEG the alpha rhythm of radial sources, in MEG the beta rhythm of tangential
# sources, in fMRI the level of deep nuclei. Otherwise combining modalities would gain little.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder, cross_validate
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(12, n_subjects=8, random_state=0)
signals

# %%
# Single and combined modalities
# ------------------------------
# ``by_modality`` holds the modalities. With ``pooling="flatten"`` the number of features is the
# same for each modality and for all together. All samples are embedded once here; this is no
# leakage, because a frozen network is not fitted to the data. Only the latents are used on this
# page.
embedder = BrainOFEmbedder(pooling="flatten")
features = {
    name: embedder.fit_transform(signals.by_modality[name]) for name in ("fmri", "eeg", "meg")
}
features["all three"] = embedder.fit_transform(signals)
decoder = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))

scores = {
    name: cross_validate(decoder, rows, state, groups=subject) for name, rows in features.items()
}
pd.DataFrame(
    {
        name: {"score": one.mean, "from": one.interval[0], "to": one.interval[1]}
        for name, one in scores.items()
    }
).T.round(2)


# %%
# When a modality is missing
# --------------------------
# The latents of a sample with three modalities differ from those of a sample with one: a decoder
# that was trained on complete samples only may fail on incomplete ones. We compare three kinds of
# training data and four kinds of test samples, on the same left-out subjects:
def score(trained_on, tested_with):
    """Return the mean balanced accuracy in left-out subjects."""
    folds = []
    for train, test in GroupKFold(4).split(state, groups=subject):
        rows = np.concatenate([features[name][train] for name in trained_on])
        decoder.fit(rows, np.tile(state[train], len(trained_on)))
        predicted = decoder.predict(features[tested_with][test])
        folds.append(balanced_accuracy_score(state[test], predicted))
    return np.mean(folds)


table = pd.DataFrame(
    {
        "the same kind": {name: score([name], name) for name in features},
        "complete samples": {name: score(["all three"], name) for name in features},
        "all kinds": {name: score(list(features), name) for name in features},
    }
)
table.round(2)

# %%
_, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
styles = {"the same kind": ("o", "#0072B2"), "complete samples": ("s", "#D55E00")}
styles["all kinds"] = ("^", "#009E73")
for shift, (name, (marker, colour)) in zip((-0.15, 0, 0.15), styles.items()):
    places = np.arange(len(table)) + shift
    axes.plot(places, table[name], marker, color=colour, markersize=8, label=name)
axes.axhline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (-0.2, 0.5), xytext=(0, -12), textcoords="offset points")
axes.set_xticks(range(len(table)), table.index)
axes.set(xlabel="modalities of test samples", ylabel="balanced accuracy, subjects left out")
axes.set_ylim(0.45, 0.95)
axes.legend(title="trained on", loc="upper left", bbox_to_anchor=(1.0, 1.0))

# %%
# Results
# -------
# Latents of complete samples score 0.77, no higher than those of EEG or MEG alone. In this
# simulation each modality has information that the others lack, but these latents do not combine
# it. The default decoder does, because it has features of each modality beside the latents
# (:doc:`/index`).
#
# A decoder that was trained on complete samples classifies incomplete samples poorly (squares). A
# decoder that was trained on all kinds of samples classifies incomplete samples about as well as
# one that was trained on this kind only, and complete samples as well (triangles). The training
# data should therefore include samples that lack the same modalities as the test data.
# ``BrainOFClassifier().fit`` accepts records of which some lack a modality.
#
# The same on public data
# -----------------------
# Few open data sets have several modalities of the same subjects. ds000117 on OpenNeuro has EEG,
# MEG and fMRI of 16 subjects who look at faces, recorded on different days; LEMON has EEG and fMRI
# at rest of 200 subjects. :func:`~brainof_toolbox.read_bids` makes a record of each session; for
# one sample per subject, write the records by hand as above::
#
#     X = [
#         {
#             "subject": subject,
#             "eeg": f"{root}/sub-{subject}/eeg/sub-{subject}_task-rest_eeg.vhdr",
#             "fmri": f"{fmriprep}/sub-{subject}_task-rest_space-MNI152NLin2009cAsym_bold.nii.gz",
#         }
#         for subject in subjects
#     ]
#     cross_validate(BrainOFClassifier(pooling="mean"), X, y)  # groups: the subjects
