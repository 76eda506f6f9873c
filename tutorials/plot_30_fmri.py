"""
fMRI: from images and an atlas to a decoder
===========================================

From 4-D images in MNI space to a decoder of task blocks, scored on left-out subjects. This page
covers atlases, the repetition time, confounds, and trials with a delayed haemodynamic response.
"""

# %%
# Images
# ------
# Simulated, so that nothing is downloaded: eight subjects, two runs of 160 s each, alternating
# blocks of rest and task, voxels of 8 mm. They are written as a small BIDS folder, which also has
# onsets and repetition times. Without BIDS, use a list of paths, and
# :func:`~brainof_toolbox.epochs_from_nifti` with tables of events.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from brainof_toolbox.datasets import make_paired_recordings

root = tempfile.mkdtemp()
make_paired_recordings(
    8,
    modalities=["fmri"],
    label="state",
    n_runs=2,
    duration=160,
    t_r=1.0,
    effect_size=0.5,
    write_bids=root,
)
images = sorted(Path(root).glob("sub-*/func/*_bold.nii.gz"))
print(len(images), "images, for example", images[0].name)

# %%
# Regions
# -------
# The decoder takes regions, not voxels: a time series and a position for each. ``masker`` may be
# any nilearn masker, any atlas image, or the name of an atlas that
# :func:`~brainof_toolbox.datasets.fetch_atlas` has downloaded. The default is a built-in
# parcellation of the grey matter into 246 regions. :func:`~brainof_toolbox.from_nifti` returns the
# time series.
from brainof_toolbox import from_nifti

signals = from_nifti(images[0])
signals

# %%
# The network uses the positions of the regions, in metres, in the same head coordinates as
# electrodes and coils. Neither the number of regions nor their order matters. Here are the default
# parcels, seen from above, and 160 spheres at coordinates that come with nilearn.
from nilearn.datasets import fetch_coords_dosenbach_2010
from nilearn.maskers import NiftiSpheresMasker

seeds = fetch_coords_dosenbach_2010().rois[["x", "y", "z"]].to_numpy()
spheres = NiftiSpheresMasker(seeds, radius=8, allow_overlap=True)
parts = {"default parcels": signals, "spheres": from_nifti(images[0], masker=spheres)}

_, both = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained", sharex=True, sharey=True)
for axes, (name, part) in zip(both, parts.items()):
    x, y, z = 1e2 * part.ch_pos.T
    picture = axes.scatter(x, y, c=z, s=22, cmap="cividis", vmin=-4, vmax=12)
    axes.set(title=f"{name}: {len(x)} regions", xlabel="x, to the right (cm)", aspect="equal")
both[0].set_ylabel("y, to the front (cm)")
_ = plt.colorbar(picture, label="z, upwards (cm)")

# %%
# ``signals.sfreq`` is one over the repetition time, which was read from ``RepetitionTime`` of the
# BIDS sidecar. Where header and sidecar disagree, or neither has a value, pass ``t_r=`` in
# seconds.
#
# The time series, regions sorted from back to front:
order = np.argsort(signals.ch_pos[:, 1])
values = signals.data[0][order]
z = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
_, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
picture = axes.imshow(z, cmap="gray", vmin=-2.5, vmax=2.5, aspect="auto", interpolation="nearest")
axes.set_title("Series of 246 regions")
axes.set(xlabel="volume (1 s each)", ylabel="region, from back to front")
_ = plt.colorbar(picture, label="standard deviations")

# %%
# Embeddings
# ----------
# An embedding is one row of numbers per image, of the same length for any atlas. The time series
# are z-scored and cut into windows; they are neither smoothed nor filtered. **Confounds** are
# regressed out on request: ``read_bids(..., derivatives="fmriprep")`` uses those of fMRIPrep,
# ``from_nifti(..., confounds=...)`` those that you pass.
from brainof_toolbox import BrainOFEmbedder

rows = BrainOFEmbedder().fit_transform(images[:4])
others = BrainOFEmbedder(masker=spheres).fit_transform(images[:4])
print("246 parcels:", rows.shape, " 160 spheres:", others.shape)

# %%
# Trials
# ------
# ``events.tsv`` lists the events. :func:`~brainof_toolbox.epochs_from_bids` detrends and z-scores
# each region over its whole run, and then cuts it from the onset to the end of each event, both
# shifted by ``shift`` seconds (5 by default), because the BOLD response is delayed. The level of a
# trial relative to its run is therefore kept.
from brainof_toolbox import epochs_from_bids

trials = epochs_from_bids(root, event_id=["rest", "task"])
state = trials.metadata["trial_type"]
trials.metadata.groupby("subject")["trial_type"].value_counts().unstack()

# %%
# Decoding
# --------
# The classical decoder is a logistic regression on the mean of each region over the trial. Whole
# subjects are left out for both.
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import BrainOFClassifier, compare


def region_means(trials):
    """Average each region over time: (n_trials, n_regions)."""
    return np.stack([trial.data[0].mean(axis=1) for trial in trials])


found = compare(
    {
        "Brain-OF": BrainOFClassifier(),
        "region means": make_pipeline(
            FunctionTransformer(region_means), StandardScaler(), LogisticRegression(C=0.01)
        ),
    },
    trials,
    state,
)
_ = found.plot().suptitle("Rest or task, subjects left out")
found

# %%
# Results
# -------
# About three of four blocks of left-out subjects are classified correctly. Region means score
# higher in most subjects: the simulated states are different levels of activity, which a mean
# measures directly. On real data, too, the latents of ``brainof-tiny`` alone score below classical
# features (:doc:`/weights`). The warning above is due to ``shift``: with the delay, the last block
# of each run ends after the scan.
#
# The same on public data
# -----------------------
# Nilearn downloads one run each of several children and adults who watched a film, in MNI space,
# with confounds. One image is one sample, labels are in a table, and no events are needed::
#
#     from nilearn.datasets import fetch_development_fmri
#     from brainof_toolbox import cross_validate
#
#     film = fetch_development_fmri(n_subjects=40)
#     signals = from_nifti(film.func, confounds=film.confounds, t_r=2.0)
#     people = film.phenotypic
#     cross_validate(
#         BrainOFClassifier(), signals, people["Child_Adult"], groups=people["participant_id"]
#     )
#
# Derivatives of fMRIPrep for a data set of OpenNeuro are read like the folder above, with the
# confounds beside the images::
#
#     space = "MNI152NLin2009cAsym"
#     epochs_from_bids("ds000114", tasks="fingerfootlips", derivatives="fmriprep", space=space)
#
# Images must be in MNI space: an atlas does not match images in scanner space. There is a warning
# where the header contradicts MNI space.
