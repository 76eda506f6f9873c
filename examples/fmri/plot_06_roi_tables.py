"""
Time series of regions from derivatives
=======================================

Many data sets publish time series of regions instead of images.
:func:`~brainof_toolbox.from_roi_timeseries` reads such tables. You have to pass the repetition
time and the positions of the regions.
"""

# %%
# Three tables in a common format, volumes in rows and regions in columns: two runs of 160 volumes
# and one of 120. The positions are those of the atlas, in MNI space and in metres.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from nilearn.datasets import fetch_coords_dosenbach_2010

from brainof_toolbox import BrainOFEmbedder, from_roi_timeseries

atlas = fetch_coords_dosenbach_2010()  # comes with nilearn
positions = atlas.rois[["x", "y", "z"]].to_numpy() * 1e-3  # mm to m
names = [f"region {i + 1}" for i in range(len(positions))]

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
closeness = np.exp(-np.linalg.norm(positions[:, None] - positions[None], axis=2) / 0.03)
mixing = np.linalg.cholesky(closeness + 1e-6 * np.eye(len(names)))
for subject, n_volumes in (("01", 160), ("02", 160), ("03", 120)):
    slow = rng.normal(size=(n_volumes + 4, len(names))) @ mixing.T
    slow = sum(slow[k : k + n_volumes] for k in range(5)) + 1000  # smooth in time, as BOLD is
    table = pd.DataFrame(slow, columns=names)
    table.to_csv(folder / f"sub-{subject}_task-rest_timeseries.tsv", sep="\t", index=False)

# %%
# ``roi_positions`` may be an array or the name of an atlas; ``labels_img`` takes positions and
# names from the image or the masker that the series were extracted with. Tables without a header,
# ``.npy`` and ``.mat`` files are read too.
tables = sorted(folder.glob("*.tsv"))
runs = from_roi_timeseries(tables, t_r=2.0, roi_positions=positions)
for run in runs:
    print(run, run.subject)

# %%
# Each run is a sample; runs may differ in length. Pass the list to any estimator.
rows = BrainOFEmbedder().fit_transform(runs)
rows.shape

# %%
# Check the result: a wrong order of regions raises no error. Neighbouring regions should be
# correlated.
run = runs[0]
correlation = np.corrcoef(run.data[0])
distance = np.linalg.norm(run.ch_pos[:, None] - run.ch_pos[None], axis=2)
pairs = np.triu_indices(len(names), 1)

_, axes = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
axes.plot(1e2 * distance[pairs], correlation[pairs], ".", color="0.6", markersize=2)
edges = np.arange(0, 0.161, 0.01)
middle = 1e2 * (edges[:-1] + 0.005)
bins = np.digitize(distance[pairs], edges) - 1
means = [correlation[pairs][bins == k].mean() for k in range(len(middle))]
axes.plot(middle, means, "o-", color="#0072B2", label="mean in bins of 1 cm")
axes.set_title("Correlations fall with distance")
axes.set(xlabel="distance of two regions (cm)", ylabel="correlation of their series")
_ = axes.legend()

# %%
# Correlations fall with distance, as in real fMRI. If they do not in your data, the order of
# columns is not that of the positions.
