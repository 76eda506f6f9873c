"""The fMRI development sets: what untrained embeddings hold, beside classical features."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from _sets import data_dir
from nilearn.maskers import NiftiMasker
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    compare,
    epochs_from_bids,
    from_roi_timeseries,
)
from brainof_toolbox._baselines import LogisticHead
from brainof_toolbox._record_baselines import DescribeRecords, SharedChannels

#: Centres in MNI space (mm) of the six regions of fmri-story-listening, read off the names (left
#: and right anterior temporal, posterior temporal, inferior parietal, premotor, inferior frontal):
#: the set does not give them.
STORY_CENTRES = [
    (-52, 4, -22),
    (52, 4, -22),
    (-56, -44, 8),
    (-48, -56, 30),
    (-46, 2, 48),
    (-50, 20, 10),
]


# ------------------------------------------------------------------------------------- haxby
def haxby_folder(root, resolution):
    """Lay the Haxby runs out as a BIDS dataset, with links to the images."""
    source, func = data_dir() / "fmri-haxby" / "sub-1", root / "sub-1" / "func"
    func.mkdir(parents=True)
    description = {"Name": "Haxby 2001, subject 1", "BIDSVersion": "1.9.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    for run in range(1, 9):
        stem = f"sub-1_task-objects_run-{run:02d}"
        own = f"sub-1_run-{run:02d}"
        image = source / f"{own}_res-{resolution}_bold.nii.gz"
        (func / f"{stem}_bold.nii.gz").symlink_to(image)
        (func / f"{stem}_bold.json").write_text(
            json.dumps({"RepetitionTime": 2.5, "TaskName": "objects"})
        )
        (func / f"{stem}_events.tsv").write_text((source / f"{own}_events.tsv").read_text())
        motion = pd.DataFrame(np.loadtxt(source / f"{own}_motion.txt"), columns=names)
        motion.to_csv(func / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False)
    return root


def haxby_masker(resolution):
    """Voxels as channels: the brain mask at 25 mm; in the slice, what is bright."""
    folder = data_dir() / "fmri-haxby"
    if resolution == "25mm":
        return NiftiMasker(folder / "masks_25mm" / "brain.nii.gz", standardize=None)
    image = nibabel.load(folder / "sub-1" / "sub-1_run-01_res-1slice_bold.nii.gz")
    mean = image.get_fdata().mean(axis=3)
    mask = nibabel.Nifti1Image(
        (mean > 0.4 * np.percentile(mean, 95)).astype(np.int8), image.affine
    )
    return NiftiMasker(mask, standardize=None)


def describe(samples):
    """Classical features: correlations of runs, means of trials."""
    described = DescribeRecords(("fmri",)).transform(samples)
    return SharedChannels(("fmri",)).fit(described).transform(described)


def score_haxby(resolution, shift, random_state, max_epochs):
    """Eight categories, one run left out; returns the comparison."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = haxby_folder(Path(scratch) / "haxby", resolution)
        trials = epochs_from_bids(
            root, datatype="func", shift=shift, masker=haxby_masker(resolution)
        )
    y = trials.metadata["trial_type"].to_numpy(dtype=str)
    runs = trials.metadata["run"].to_numpy()
    estimators = {
        "Brain-OF probe, untrained": BrainOFClassifier(random_state=random_state),
        "Brain-OF full, from scratch": BrainOFClassifier(
            adaptation="full", max_epochs=max_epochs, random_state=random_state
        ),
        "voxel means + logistic regression": make_pipeline(
            DescribeRecords(("fmri",)), SharedChannels(("fmri",)), StandardScaler(), LogisticHead()
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compare(estimators, trials, y, groups=runs, cv=LeaveOneGroupOut())


# ----------------------------------------------------------------------------- identification
def embed(samples, random_state):
    """Untrained embeddings (n_samples, n_features)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BrainOFEmbedder(random_state=random_state).fit_transform(samples)


def identify(first, second):
    """Share of rows of ``second`` whose most correlated row of ``first`` is their own, both ways.

    Each set of rows is centred on its own mean: what all rows share identifies nobody.
    """
    first, second = (rows - rows.mean(axis=0) for rows in (first, second))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    similarity, own = second @ first.T, np.arange(len(first))
    return (
        (similarity.argmax(axis=1) == own).mean() + (similarity.argmax(axis=0) == own).mean()
    ) / 2


def load_rest():
    """Halves of each HCP subject's run: two lists of Signals (94 regions x 600 volumes)."""
    centres = pd.read_csv(data_dir() / "atlas-mni" / "AAL2_centroids.csv")[:94]
    files = sorted((data_dir() / "fmri-hcp-rest").glob("*_bold.mat"))
    runs = from_roi_timeseries(
        files,
        t_r=0.72,
        roi_positions=centres[["x", "y", "z"]].to_numpy() * 1e-3,
        ch_names=centres["name"].tolist(),
    )
    half = runs[0].shape[2] // 2
    return (
        [run.replace(data=run.data[:, :, :half], stretches=None) for run in runs],
        [run.replace(data=run.data[:, :, half:], stretches=None) for run in runs],
    )


def score_rest(seeds):
    """Identify subjects across the halves of a run."""
    first, second = load_rest()
    connectivity = [describe(half) for half in (first, second)]
    means = [np.stack([s.data[0].mean(axis=1) for s in half]) for half in (first, second)]
    mine = [identify(embed(first, seed), embed(second, seed)) for seed in seeds]
    return {
        "embedding, untrained": mine,
        "connectivity (correlations)": [identify(*connectivity)],
        "mean of each region": [identify(*means)],
        "chance": [1 / len(first)],
    }


def read_story(subject="*"):
    """The runs of one subject, or of all in the order of their names, as Signals."""
    folder = data_dir() / "fmri-story-listening"
    return from_roi_timeseries(
        sorted(folder.glob(f"{subject}/*_rois-6mm_timecourses.txt")),
        t_r=2.0,
        roi_positions=np.array(STORY_CENTRES) * 1e-3,
        ch_names=["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"],
    )


def load_story(n_volumes, subjects=("*",)):
    """Segments of the story: one list of Signals per subject, in the same order."""
    runs = [run for subject in subjects for run in read_story(subject)]
    starts = range(0, runs[0].shape[2] - n_volumes + 1, n_volumes)
    segments = []
    for run in runs:
        data = run.data - run.data.mean(axis=2, keepdims=True)
        data = data / data.std(axis=2, keepdims=True)
        segments.append(
            [
                run.replace(data=data[:, :, s : s + n_volumes], stretches=None, has_baseline=True)
                for s in starts
            ]
        )
    return segments


def score_story(seeds, n_volumes=30):
    """Find a segment of one subject among the mean segments of the other subjects."""
    segments = load_story(n_volumes)
    flat = [segment for subject in segments for segment in subject]
    n_subjects, n_segments = len(segments), len(segments[0])

    def match(rows):
        rows = rows.reshape(n_subjects, n_segments, -1)
        total = rows.sum(axis=0)
        return np.mean([identify((total - one) / (n_subjects - 1), one.copy()) for one in rows])

    series = np.stack([segment.data[0].ravel() for segment in flat])
    correlations = describe([segment.replace(has_baseline=False) for segment in flat])
    return {
        "embedding, untrained": [match(embed(flat, seed)) for seed in seeds],
        "the series themselves": [match(series)],
        "connectivity (correlations)": [match(correlations)],
        "chance": [1 / n_segments],
    }


def identification_table(name, scores):
    """One row per kind of features: mean over seeds, and their range."""
    rows = []
    for features, values in scores.items():
        text = f"{np.mean(values):.3f}"
        if len(values) > 1:
            text += f" ({min(values):.3f} to {max(values):.3f}, {len(values)} seeds)"
        rows.append({"set": name, "features": features, "share found": text})
    return pd.DataFrame(rows)
