"""
fMRI: from images and an atlas to a decoder
===========================================

From 4-D images in MNI space to time series of regions, from these to embeddings, and to a decoder
of what people did. On the way: what an atlas means to the network, where the repetition time comes
from, what is cleaned and what is left to you, and how trials are cut when the haemodynamic
response lags behind.
"""

# %%
# Images
# ------
# Simulated, so that nothing is downloaded: eight people, two runs of 160 s each, blocks of rest
# and task in turn, voxels of 8 mm. They are written as a small BIDS folder, because onsets and
# repetition times have their place there; of images without BIDS, a list of paths will do for
# everything but the trials.
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
# The network reads regions, not voxels: of each a time series and a position in the head. Any
# nilearn masker, any atlas image, and the name of any atlas that
# :func:`~brainof_toolbox.datasets.fetch_atlas` has fetched will do as ``masker``. Without one,
# images become 246 parcels of the grey matter that need no download;
# :func:`~brainof_toolbox.from_nifti` shows what they give.
from brainof_toolbox import from_nifti

signals = from_nifti(images[0])
signals

# %%
# What of an atlas reaches the network is where its regions are, in metres, in the frame of the
# head that electrodes and coils have too. Here are the default parcels from above, and 160 spheres
# at places that come with nilearn. Neither the number of regions nor their order matters.
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
# The repetition time is in ``signals.sfreq`` as a rate: it was read from the sidecar,
# ``RepetitionTime``. Where a header and a sidecar disagree, or neither says anything, ``t_r=`` in
# seconds settles it. The network is told the time of each volume and needs no common repetition
# time.
#
# The series themselves, regions sorted from back to front:
order = np.argsort(signals.ch_pos[:, 1])
values = signals.data[0][order]
z = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
_, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
picture = axes.imshow(z, cmap="gray", vmin=-2.5, vmax=2.5, aspect="auto", interpolation="nearest")
axes.set(xlabel="volume (1 s each)", ylabel="region, from back to front")
_ = plt.colorbar(picture, label="standard deviations")

# %%
# Embeddings
# ----------
# One row for each image, of one length whatever the atlas was. The z-scored series go in whole, up
# to 320 s at a time. Nothing else is done to them: no smoothing, no filter. **Confounds** are
# yours to choose: what fMRIPrep wrote is taken by ``read_bids(..., derivatives="fmriprep")``, or
# give ``confounds=`` to ``from_nifti``.
from brainof_toolbox import BrainOFEmbedder

rows = BrainOFEmbedder().fit_transform(images[:4])
others = BrainOFEmbedder(masker=spheres).fit_transform(images[:4])
print("246 parcels:", rows.shape, " 160 spheres:", others.shape)

# %%
# Trials
# ------
# What happened when stands in ``events.tsv``. :func:`~brainof_toolbox.epochs_from_bids` detrends
# and z-scores each region over its whole run, and then cuts: from the onset of each event to its
# end, both moved by ``shift`` seconds (5 by default), because the response comes late. The level
# of a trial relative to its run is kept.
from brainof_toolbox import epochs_from_bids

trials = epochs_from_bids(root, event_id=["rest", "task"])
state = trials.metadata["trial_type"]
trials.metadata.groupby("subject")["trial_type"].value_counts().unstack()

# %%
# Decoding
# --------
# Beside the network stands the classical way: the mean of each region over the trial, and a
# regression. Whole people are left out of both.
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import BrainOFClassifier, compare


def region_means(trials):
    """Mean of each region: (n_trials, n_regions)."""
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
_ = found.plot()
found

# %%
# What do we see?
# ---------------
# Rest is told from task in about four of five blocks of people who were left out. The means of
# regions do as well or a little better, with eight people too few to say: the states were
# simulated as different levels of activity, which is just what a mean measures. On real sets too a
# frozen ``brainof-tiny`` stays behind classical features, see :doc:`/quality_fmri`. The
# warning above is the ``shift`` at work: the last block of each run ends after the scanner did.
#
# The same on public data
# -----------------------
# Nilearn downloads one run of each of several children and adults who watched a film, in MNI
# space, with confounds. One image is one sample, its label stands in a table, and no events are
# needed::
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
# A data set of OpenNeuro that fMRIPrep has gone over is read like the folder above; its confounds
# are taken from beside the images::
#
#     space = "MNI152NLin2009cAsym"
#     epochs_from_bids("ds000114", task="fingerfootlips", derivatives="fmriprep", space=space)
#
# The network expects MNI space: images as they leave the scanner do not fit an atlas, and a
# warning says so where it can be seen from the header.
