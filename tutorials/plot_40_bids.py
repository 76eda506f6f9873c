"""
BIDS: from a folder to a table of scores
========================================

Three functions lead from a BIDS folder to a table of scores: :func:`~brainof_toolbox.read_bids`
finds every EEG, MEG and fMRI recording and combines those of one subject,
:func:`~brainof_toolbox.read_participants` reads the labels, and
:func:`~brainof_toolbox.cross_validate` scores a decoder on left-out subjects.
"""

# %%
# A folder
# --------
# Simulated: 16 subjects with EEG, MEG and fMRI of half a minute each. In this simulation, the
# groups of the column ``sex`` in ``participants.tsv`` differ in the amplitude of rhythms and of
# slow BOLD fluctuations.
import tempfile
from pathlib import Path

import pandas as pd

from brainof_toolbox.datasets import make_paired_recordings

root = Path(tempfile.mkdtemp()) / "bids"
make_paired_recordings(16, duration=30, write_bids=root)
for path in sorted(root.rglob("sub-01*")):
    print(path.relative_to(root))

# %%
# Records
# -------
# :func:`~brainof_toolbox.read_bids` reads file names only; recordings are read when they are
# needed. Recordings of one subject, session, task and run become one record; a warning lists
# missing modalities.
from brainof_toolbox import read_bids

records = read_bids(root)
records

# %%
# The table of participants
# -------------------------
# :func:`~brainof_toolbox.read_participants` returns a column, one entry per record. Words are
# classes, numbers are targets of a regression. A record of a subject without an entry is an error
# that names the subject.
from brainof_toolbox import read_participants

sex = read_participants(root, "sex", records)
pd.Series(sex).value_counts()

# %%
# Scores
# ------
# Records can be passed as ``X``. Whole subjects are left out, also where each has several sessions
# or runs.
#
# ``pooling="mean"`` reduces the output of the network to 128 numbers, for any modality (see the
# :doc:`user guide </user_guide>`).
from brainof_toolbox import BrainOFClassifier, cross_validate

scores = {}
for name, datatypes in {
    "EEG": ["eeg"],
    "MEG": ["meg"],
    "fMRI": ["func"],
    "all": ["eeg", "meg", "func"],
}.items():
    some = read_bids(root, datatypes=datatypes)
    target = read_participants(root, "sex", some)
    scores[name] = cross_validate(BrainOFClassifier(pooling="mean"), some, target)

# %%
# A table for a paper
# -------------------
# All values are attributes of the scores; ``scores["EEG"].predictions`` has the prediction for
# every record, ``scores["EEG"].to_dataframe()`` the score of every fold.
table = pd.DataFrame(
    {
        name: {
            "records": len(one.predictions),
            "balanced accuracy": round(one.mean, 2),
            "95 % from": round(one.interval[0], 2),
            "to": round(one.interval[1], 2),
            "chance": one.chance,
        }
        for name, one in scores.items()
    }
).T.astype({"records": int})
table.to_csv(root / "scores.csv")
table

# %%
# Confusion matrix of EEG:
predictions = scores["EEG"].predictions
pd.crosstab(predictions["y"], predictions["predicted"])

# %%
import matplotlib.pyplot as plt

_, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for place, (_name, row) in enumerate(table.iterrows()):
    axes.plot([row["95 % from"], row["to"]], [place, place], color="black", linewidth=1.5)
    axes.plot(row["balanced accuracy"], place, "o", color="#0072B2", markersize=8)
axes.axvline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (0.5, 3.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks(range(len(table)), table.index)
axes.set_title("Sex from each modality and from all")
axes.set(xlabel="balanced accuracy, subjects left out, with 95 % interval", xlim=(0.2, 1.03))
axes.set_ylim(3.5, -0.5)

# %%
# Results
# -------
# The simulated groups differ, and all 16 subjects are classified correctly from half a minute of
# EEG, 14 from MEG. Fifteen volumes of fMRI are too few: the interval reaches from below chance to
# 1. All three together score no higher than the best of them. The next tutorial compares single
# and combined modalities.
#
# Even with 16 of 16 subjects correct, the interval is 0.79 to 1: a higher lower limit needs more
# subjects.
#
# The same on public data
# -----------------------
# OpenNeuro holds hundreds of BIDS data sets. This one has four minutes of resting EEG of 111
# subjects, and their age and sex in ``participants.tsv``; the package ``openneuro-py`` downloads
# it::
#
#     import openneuro
#
#     openneuro.download(dataset="ds003775", target_dir="ds003775")
#     records = read_bids("ds003775", datatypes="eeg")
#     age = read_participants("ds003775", "age", records)
#     cross_validate(BrainOFRegressor(pooling="mean"), records, age)
#
# Images in scanner space do not match an atlas. Read images that fMRIPrep has transformed to MNI
# space, with the confounds beside them::
#
#     read_bids(root, datatypes="func", derivatives="fmriprep", space="MNI152NLin2009cAsym")
#
# On the command line
# -------------------
# The same scores, compared with classical decoders::
#
#     brainof decode bids/ --datatypes eeg --target sex --pooling mean
