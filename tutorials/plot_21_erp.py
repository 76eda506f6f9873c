"""
An evoked response, from average to paper
=========================================

Six people see pairs of pictures. Does the brain respond differently to the second picture of a
pair, and can this be read from single trials of a person who was not in the training data? The
page shows the effect in the averages first, then decodes it, and ends with the sentences of a
results section.
"""

# %%
# The recordings
# --------------
# An excerpt of the UCI EEG database :footcite:p:`zhang1995event` that comes with this book: 30
# trials of each person, 27 electrodes, one second from the onset of a picture, 128 Hz. In half of
# the trials that show a second picture it repeats the first one. The two people of the full data
# set who are in the training data of the bundled weights are left out
# (``doc/data/README.rst``).
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

DATA = Path("..") / "doc" / "data"
epochs = mne.read_epochs(DATA / "pictures_epo.fif.gz", verbose="error")
epochs.filter(0.5, 30.0, verbose="error")
order = np.where(epochs.metadata["picture"] == "S1/obj", "first", "second")
subject = epochs.metadata["subject"]
pd.crosstab(subject, order)

# %%
# There are ten trials with a first and twenty with a second picture of each person: the classes
# are unbalanced. The decoders give both classes the same weight, and the score is balanced
# accuracy, of which chance is 0.5 whatever the numbers of trials.
#
# The effect in the averages
# --------------------------
# Averages of each person and condition first, then their mean over people: a person counts once.
people = sorted(set(subject))
average = np.array(
    [
        [epochs[(subject == who) & (order == one)].average().data for one in ("first", "second")]
        for who in people
    ]
)  # (people, 2, electrodes, times)
difference = mne.EvokedArray((average[:, 1] - average[:, 0]).mean(axis=0), epochs.info)
t_values = (average[:, 1] - average[:, 0]).mean(axis=0) / (
    (average[:, 1] - average[:, 0]).std(axis=0, ddof=1) / np.sqrt(len(people))
)

_, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", width_ratios=[4, 4, 3])
for panel, name in zip(axes, ("Pz", "PO8")):
    at = epochs.ch_names.index(name)
    for k, (label, colour, style) in enumerate(
        [("first", "#0072B2", "-"), ("second", "#D55E00", "--")]
    ):
        values = 1e6 * average[:, k, at]
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(people))
        panel.plot(epochs.times, mean, style, color=colour, label=label)
        panel.fill_between(epochs.times, mean - error, mean + error, color=colour, alpha=0.2)
    panel.axhline(0, color="black", linewidth=0.6)
    panel.set(title=name, xlabel="time (s)", xlim=(0, 0.99))
axes[0].set_ylabel("µV, mean and standard error")
axes[0].legend(frameon=False)
difference.copy().crop(0.3, 0.5).plot_topomap(
    times=[0.4], average=0.2, axes=axes[2], colorbar=False, show=False
)
_ = axes[2].set_title("second - first, 0.3 to 0.5 s")

# %%
# Decoding single trials
# ----------------------
# All decoders are scored on the same left-out people. ``align="subject"`` subtracts each person's
# mean from the features; it uses unlabelled trials of the test person, which a paper has to state.
from brainof_toolbox import BrainOFClassifier, compare

decoders = {
    "Brain-OF": BrainOFClassifier(),
    "Brain-OF, aligned": BrainOFClassifier(align="subject"),
    "no network": BrainOFClassifier(features="explicit"),
}
found = compare(decoders, epochs, order, groups=subject, baselines=True)
found

# %%
_ = found.plot()

# %%
# What the decoder relies on
# --------------------------
# The share of the features tells covariance (rhythms) from the evoked course. The patterns of the
# evoked block show where and when; see :ref:`sphx_glr_auto_tutorials_plot_70_looking_inside.py`.
ours = found.scores["Brain-OF, aligned"]
ours.feature_weights.mean().round(2)

# %%
# As a paper would report it
# --------------------------
# Every number of the text is taken from the results, so that text and analysis agree.
best = max(list(found.scores)[3:], key=lambda name: found.scores[name].mean)
theirs = found.scores[best]
pairs = found.differences.set_index(["first", "second"])
pair = pairs.loc[("Brain-OF, aligned", best)]
(low, high), (low_2, high_2) = ours.interval, theirs.interval
print(
    f"Whole subjects were left out ({len(ours.folds)} folds, {ours.n_groups} subjects, "
    f"{len(epochs)} trials). Balanced accuracy of BrainOFClassifier with features re-centred on "
    f"each subject (transductive: unlabelled test trials were used) was {ours.mean:.2f} "
    f"(95 % interval {low:.2f} to {high:.2f}; chance {ours.chance:.2f}). Of "
    f"{len(found.scores) - 3} classical decoders on the same folds, {best} scored highest: "
    f"{theirs.mean:.2f} ({low_2:.2f} to {high_2:.2f}). The mean paired difference was "
    f"{pair['difference']:+.2f} (sign flips over {pair['n_units']} subjects, "
    f"p = {pair['p_value']:.2f})."
)

# %%
# Limits
# ------
# Six people: with six, no paired p-value is below 2 / 2\ :sup:`6` = 0.03. First and second
# pictures also differ in their place in the trial, so that the contrast is not repetition alone.
# The best classical decoder was chosen after seeing the scores, which favours it.
#
# References
# ----------
# .. footbibliography::
