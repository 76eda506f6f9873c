"""
A block design of fMRI: heat on the arm
=======================================

Six people received heat on the arm in blocks of 12.5 s, and rated the pain after each block. Can a
decoder distinguish blocks of heat from blocks of rating in a person who was not in the training
data? And hotter from milder heat? The first contrast is large, the second small.
"""

# %%
# Time series of regions, and events
# ----------------------------------
# An excerpt of OpenNeuro ds000140 :footcite:p:`woo2015distinct` that comes with this book: three
# runs of each person, means of 119 parcels of MIST :footcite:p:`urchs2019mist`, a volume every
# 2 s (``doc/data/README.rst``). Slow drifts are removed from each run, and each region is
# z-scored over its run, so that the level of a block is relative to the run.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from nilearn.signal import clean

DATA, T_R = Path("..") / "doc" / "data", 2.0
parcels = pd.read_csv(DATA / "pain_parcels.tsv", sep="\t")
events = pd.read_csv(DATA / "pain_events.tsv", sep="\t", dtype={"run": str})
series = {}
with np.load(DATA / "pain_timeseries.npz") as stored:
    for key in [key for key in stored if not key.endswith(("_scale", "_mean"))]:
        values = stored[key] * stored[f"{key}_scale"] + stored[f"{key}_mean"]
        series[key] = clean(values.T, standardize="zscore_sample", high_pass=0.01, t_r=T_R)
events["block"] = np.where(events["temperature"].notna(), "heat", "rating")
events.groupby(["participant_id", "block"]).size().unstack()

# %%
# The effect in the time series
# -----------------------------
# The mean of the insula, a region that responds to pain, from the start of each block, for hotter
# heat (45.3 and 46.3 degrees C) and milder heat (42.3 and 43.3). Blocks are averaged for each
# person, then over people. The response is delayed by some seconds.
insula = parcels["name"].str.contains("INS")
print(list(parcels["name"][insula]))
after = np.arange(-4, 26, T_R)  # s


def course(own):
    """Average the insula around the onsets of one person, minus the 4 s before."""
    found = []
    for run, onset in zip(own["participant_id"] + "_run-" + own["run"], own["onset"]):
        mean = series[run][:, insula].mean(axis=1)
        found.append(np.interp(onset + after, T_R * np.arange(len(mean)), mean))
    found = np.mean(found, axis=0)
    return found - found[after < 0].mean()


is_hot = events["temperature"].isin([45.3, 46.3])
is_mild = events["temperature"].isin([42.3, 43.3])
_, axes = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
for label, chosen, colour, style in (
    ("45.3 and 46.3 degrees", is_hot, "#D55E00", "-"),
    ("42.3 and 43.3 degrees", is_mild, "#0072B2", "--"),
):
    each = np.array([course(own) for _, own in events[chosen].groupby("participant_id")])
    mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))
    axes.plot(after, mean, style, color=colour, label=label)
    axes.fill_between(after, mean - error, mean + error, color=colour, alpha=0.2)
axes.axvspan(0, 12.5, color="0.9", zorder=-1)
axes.annotate("heat", (6, -0.37), ha="center")
axes.set(xlabel="time from the start of the block (s)", ylabel="insula (z), mean and s.e.")
axes.set_title("Insula after the start of heat")
_ = axes.legend(frameon=False, loc="upper left")

# %%
# Blocks as samples
# -----------------
# A sample consists of ten volumes of a block, from 4 s after its start.
# :func:`~brainof_toolbox.from_roi_timeseries` takes the positions of the regions in metres.
# ``has_baseline=True`` states that the level of a block is relative to its run, so that it is used
# as a feature. Subjects have the names that they would have in the list of training data of the
# weights: there would be a warning if one of them were in it.
#
# With images in place of time series, ``epochs_from_bids`` cuts blocks by ``events.tsv``
# (:ref:`sphx_glr_auto_tutorials_plot_30_fmri.py`).
from brainof_toolbox import Signals, from_roi_timeseries


def cut(chosen, n_volumes=10, delay=4.0):
    """Cut the chosen blocks; return them and the rows of the table."""
    parts, rows = [], []
    for (who, run), own in chosen.groupby(["participant_id", "run"]):
        whole = series[f"{who}_run-{run}"]
        first = np.round((own["onset"] + delay) / T_R).astype(int)
        own, first = (
            own[first + n_volumes <= len(whole)],
            first[first + n_volumes <= len(whole)],
        )
        blocks = np.stack([whole[at : at + n_volumes] for at in first])
        positions = parcels[["x", "y", "z"]].to_numpy() * 1e-3
        part = from_roi_timeseries(
            blocks, t_r=T_R, roi_positions=positions, subject=f"fmri-connattractor-pain-{who[4:]}"
        )
        parts.append(part.replace(has_baseline=True))
        rows.append(own)
    return Signals.concatenate(parts), pd.concat(rows)


# %%
# Heat against rating
# -------------------
# Whole subjects are left out; their names are in the samples (``subject``).
from brainof_toolbox import BrainOFClassifier, compare

blocks, table = cut(events)
decoders = {"Brain-OF": BrainOFClassifier(), "no network": BrainOFClassifier(features="explicit")}
contrast = compare(decoders, blocks, table["block"].to_numpy(), baselines=True)
contrast

# %%
# Hotter against milder heat
# --------------------------
# The same people and decoders, and blocks of heat only.
blocks, table = cut(events[is_hot | is_mild])
level = np.where(table["temperature"] > 44, "hotter", "milder")
heat = compare(decoders, blocks, level, baselines=True)
heat

# %%
_, axes = plt.subplots(2, 1, figsize=(7, 6.5), layout="constrained")
for panel, found, title in zip(axes, (contrast, heat), ("heat or rating", "hotter or milder")):
    found.plot(panel)
    panel.set_title(title)

# %%
# As a paper would report it
# --------------------------
for name, found in {"heat and rating": contrast, "hotter and milder heat": heat}.items():
    ours = found.scores["Brain-OF"]
    theirs = {one: found.scores[one] for one in list(found.scores)[2:]}
    text = "; ".join(
        f"{one} {score.mean:.2f} ({score.interval[0]:.2f} to {score.interval[1]:.2f})"
        for one, score in theirs.items()
    )
    print(
        f"Blocks of {name} (n = {len(ours.predictions)}) of left-out subjects were classified "
        f"with a balanced accuracy of {ours.mean:.2f} (95 % interval {ours.interval[0]:.2f} to "
        f"{ours.interval[1]:.2f} over {ours.n_groups} subjects; chance {ours.chance:.2f}; {text})."
    )

# %%
# Limits
# ------
# Heat and rating differ in more than pain: ratings are given with a hand, at a screen. A decoder
# of the first contrast is therefore not a decoder of pain. The second contrast is about pain. Its
# effect is visible in the average of the insula, but single blocks of six people cannot be
# classified: the interval of every decoder includes chance or lies below it. With 28 people in the
# training data, the score for these six is 0.57 [0.52, 0.62] (:doc:`/decoding`, "pain"). An effect
# in the average is not always decodable from single blocks.
#
# References
# ----------
# .. footbibliography::
