"""
Resting-state fMRI of several sites: sex, age, and the scanner
==============================================================

Can sex or age be predicted from connectivity at rest, at a site that was not in the training data?
With data of several scanners, a decoder can identify the scanner instead of the label. The page
shows this in the data, leaves out whole sites, and reports what remains.
"""

# %%
# Forty people, three sites
# -------------------------
# An excerpt of the RPN study :footcite:p:`spisak2020pain` that comes with this book: 150 volumes
# at rest of each person, means of 119 parcels of MIST :footcite:p:`urchs2019mist`
# (``doc/data/README.rst``). The repetition time is around 2.5 s.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

DATA = Path("..") / "doc" / "data"
parcels = pd.read_csv(DATA / "rest_parcels.tsv", sep="\t")
people = pd.read_csv(DATA / "rest_participants.tsv", sep="\t").set_index("participant_id")
with np.load(DATA / "rest_timeseries.npz") as stored:
    series = {
        who: (stored[who] * stored[f"{who}_scale"] + stored[f"{who}_mean"]).T
        for who in people.index
    }
site = people["site"].to_numpy()
people.groupby("site").agg(
    n=("sex", "size"), women=("sex", lambda sex: (sex == "F").sum()), age=("age", "median")
)

# %%
# The scanner in the raw data
# ---------------------------
# Correlation of every two regions, sorted by functional network. Left: the mean of all people.
# Middle and right: the difference between two sites, and between women and men, on one scale. The
# scanners differ over whole networks, women and men hardly.
order = np.argsort(parcels["network"].to_numpy(), kind="stable")
networks = parcels["network"].to_numpy()[order]
connectivity = np.array([np.corrcoef(series[who][:, order].T) for who in people.index])
is_woman = people["sex"].to_numpy() == "F"
panels = {
    "all": connectivity.mean(axis=0),
    "Essen - Bochum": connectivity[site == "essen"].mean(0)
    - connectivity[site == "bochum"].mean(0),
    "women - men": connectivity[is_woman].mean(axis=0) - connectivity[~is_woman].mean(axis=0),
}
_, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
edges = np.flatnonzero(networks[1:] != networks[:-1]) + 0.5
for panel, (title, values) in zip(axes, panels.items()):
    limit = 1.0 if title == "all" else 0.3
    picture = panel.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    panel.set(title=title, xticks=edges, yticks=edges, xticklabels=[], yticklabels=[])
    plt.colorbar(picture, ax=panel, shrink=0.8)

# %%
# People or sites left out
# ------------------------
# Site, sex and age are predicted with people left out or with whole sites left out. (The site
# itself cannot be predicted at a left-out site.) The decoder is ``features="explicit"``, the
# default without the network, which scores higher on data of this kind (:doc:`/which_decoder`).
from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFRegressor,
    cross_validate,
    from_roi_timeseries,
)

positions = parcels[["x", "y", "z"]].to_numpy() * 1e-3
signals = from_roi_timeseries(
    np.stack(list(series.values())),
    t_r=2.5,
    roi_positions=positions,
    subject=[f"fmri-rpn-rest-{who[4:]}" for who in people.index],
)
decoder = BrainOFClassifier(features="explicit")
sex, age = people["sex"].to_numpy(), people["age"].to_numpy(float)
results = {
    "site, people left out": cross_validate(decoder, signals, site),
    "sex, people left out": cross_validate(decoder, signals, sex),
    "sex, sites left out": cross_validate(decoder, signals, sex, groups=site),
}
table = pd.DataFrame(
    {
        name: {
            "balanced accuracy": round(score.mean, 2),
            "95 % from": round(score.interval[0], 2),
            "to": round(score.interval[1], 2),
            "chance": round(score.chance, 2),
        }
        for name, score in results.items()
    }
).T
table

# %%
# Age, in years: the mean absolute error, and that of predicting the median age of the training
# data (chance).
years = cross_validate(BrainOFRegressor(features="explicit"), signals, age, groups=site)
years

# %%
# Beside a classical decoder
# --------------------------
# On the same folds. The share of the latents is 0: the network is not used.
from brainof_toolbox import compare

decoders = {"Brain-OF": BrainOFClassifier(), "no network": decoder}
found = compare(decoders, signals, sex, groups=site, baselines=True)
_ = found.plot().suptitle("Sex, sites left out")
found

# %%
# As a paper would report it
# --------------------------
scanner, across = results["site, people left out"], results["sex, sites left out"]
print(
    f"Functional connectivity identified the scanner of left-out people (balanced accuracy "
    f"{scanner.mean:.2f}, 95 % interval {scanner.interval[0]:.2f} to {scanner.interval[1]:.2f}, "
    f"chance {scanner.chance:.2f}), so all phenotypes were scored with whole sites left out. Sex "
    f"({is_woman.sum()} women, {(~is_woman).sum()} men) was predicted with a balanced accuracy of "
    f"{across.mean:.2f} ({across.interval[0]:.2f} to {across.interval[1]:.2f} over "
    f"{across.n_groups} sites; chance 0.50). The mean absolute error of age was {years.mean:.1f} "
    f"years, that of the training median {years.chance:.1f} years."
)

# %%
# Limits
# ------
# With three sites, intervals over sites are wide, and no conclusion about sex is possible. Where a
# label is more frequent at one site than at another, a decoder that identifies the scanner scores
# above chance with people left out, without any effect of the label. Leaving out sites avoids
# this. Connectivity also identifies people: treat it as personal data (:doc:`/reporting`).
#
# References
# ----------
# .. footbibliography::
