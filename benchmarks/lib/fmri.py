"""The fMRI development sets: objects that were seen, and who or what is recognised."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nilearn.decoding import Decoder
from nilearn.maskers import NiftiMasker
from scipy.io import loadmat
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import LeaveOneGroupOut

from benchmarks.lib.sets import DevelopmentSet, data_dir
from benchmarks.suite.people import choose_scored
from brainof_toolbox import BrainOFEmbedder, epochs_from_bids, from_roi_timeseries
from brainof_toolbox.baselines.channels import ChannelFeatures, SharedChannels
from brainof_toolbox.io.bids_names import subject_of

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
def haxby_folder(folder, root, resolution):
    """Lay the runs of fmri-haxby out as a BIDS dataset, with links to the images."""
    source, func = folder.resolve() / "sub-1", root / "sub-1" / "func"
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


def haxby_masker(folder, resolution):
    """Make a masker of voxels: the brain mask at 25 mm, the bright voxels of the slice."""
    if resolution == "25mm":
        return NiftiMasker(folder / "masks_25mm" / "brain.nii.gz", standardize=None)
    image = nibabel.load(folder / "sub-1" / "sub-1_run-01_res-1slice_bold.nii.gz")
    mean = image.get_fdata().mean(axis=3)
    mask = nibabel.Nifti1Image(
        (mean > 0.4 * np.percentile(mean, 95)).astype(np.int8), image.affine
    )
    return NiftiMasker(mask, standardize=None)


def describe(samples):
    """Compute classical features: correlations of runs, means of trials."""
    kind = "means" if samples[0].has_baseline else "correlations"
    described = ChannelFeatures({"fmri": kind}).transform(samples)
    return SharedChannels(("fmri",)).fit(described).transform(described)


def load_haxby(resolution, shift):
    """Load eight categories of objects, one run left out."""
    folder = data_dir() / "fmri-haxby"
    masker = haxby_masker(folder, resolution)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = haxby_folder(folder, Path(scratch) / "haxby", resolution)
        trials = epochs_from_bids(root, datatypes="func", shift=shift, masker=masker)
    return DevelopmentSet(
        "fmri-haxby",
        f"eight categories, {resolution}, shift {shift:g} s, one run left out",
        trials,
        trials.metadata["trial_type"].to_numpy(dtype=str),
        trials.metadata["run"].to_numpy(),
        LeaveOneGroupOut(),
        unit="run",
        kind="voxels",
        masker=masker,
    )


class BlockDecoder(ClassifierMixin, BaseEstimator):
    """nilearn's ``Decoder``, its defaults, on the mean image of each block.

    Parameters
    ----------
    masker : NiftiMasker
        What made channels of the voxels.
    """

    def __init__(self, masker):
        self.masker = masker

    def fit(self, X, y, groups):
        """Choose voxels and the strength of the support vector machine on left-out runs."""
        self.classes_ = np.unique(y)
        self.masker_ = clone(self.masker).fit()
        self.decoder_ = Decoder(mask=self.masker_.mask_img_, cv=LeaveOneGroupOut())
        self.decoder_.fit(self._images(X), y, groups=groups)
        return self

    def predict(self, X):
        """Predict the class of each block."""
        return self.decoder_.predict(self._images(X))

    def _images(self, X):
        return self.masker_.inverse_transform(means([X[i] for i in range(len(X))]))


# ----------------------------------------------------------------------------- identification
def embed(samples, checkpoint, random_state):
    """Embed samples: (n_samples, n_features)."""
    return BrainOFEmbedder(checkpoint, random_state=random_state).fit_transform(samples)


def identify_each(first, second):
    """Return how often each row matches its own in the other set: 0, 0.5 or 1.

    A row finds what it correlates with most. Each set of rows is centred on its own mean: what
    all rows share carries no identity.
    """
    first, second = (rows - rows.mean(axis=0) for rows in (first, second))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    similarity, own = second @ first.T, np.arange(len(first))
    return (
        (similarity.argmax(axis=1) == own) + (similarity.argmax(axis=0) == own).astype(int)
    ) / 2


def identify(first, second):
    """Return the share of rows that match their own, in both directions."""
    return identify_each(first, second).mean()


def load_rest():
    """Load the halves of each HCP run: two lists of Signals (94 regions x 600 volumes)."""
    centres = pd.read_csv(data_dir() / "atlas-mni" / "AAL2_centroids.csv")[:94]
    files = sorted((data_dir() / "fmri-hcp-rest").glob("*_bold.mat"))
    runs = from_roi_timeseries(
        [loadmat(file)["tc"].T for file in files],
        t_r=0.72,
        subject=[subject_of(file) for file in files],
        roi_positions=centres[["x", "y", "z"]].to_numpy() * 1e-3,
        ch_names=centres["name"].tolist(),
    )
    half = runs[0].shape[2] // 2
    return (
        [run.replace(data=run.data[:, :, :half], good_segments=None) for run in runs],
        [run.replace(data=run.data[:, :, half:], good_segments=None) for run in runs],
    )


def identify_rest(features):
    """Return the share identified by subject, across the halves of a run.

    Parameters
    ----------
    features : callable
        From a list of Signals to rows.

    Returns
    -------
    shares, chance : dict of str -> float, float
        By subject.
    """
    first, second = load_rest()
    found = identify_each(features(first), features(second))
    return {str(run.subject[0] or i): found[i] for i, run in enumerate(first)}, 1 / len(first)


def read_series(path):
    """Read the series of each key, regions x volumes."""
    with np.load(path) as file:
        keys = sorted(key for key in file if not key.endswith(("_scale", "_mean")))
        return {key: file[key] * file[f"{key}_scale"] + file[f"{key}_mean"] for key in keys}


def read_centres(path):
    """Read the centres of regions in metres."""
    table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return table[["x", "y", "z"]].to_numpy() * 1e-3


def read_story(subject="*"):
    """Read the runs of one subject, or of all in the order of their names."""
    folder = data_dir() / "fmri-story-listening"
    return from_roi_timeseries(
        sorted(folder.glob(f"{subject}/*_rois-6mm_timecourses.txt")),
        t_r=2.0,
        roi_positions=np.array(STORY_CENTRES) * 1e-3,
        ch_names=["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"],
    )


def load_story(n_volumes, subjects=("*",)):
    """Load segments of the story: one list of Signals per subject, in the same order."""
    runs = [run for subject in subjects for run in read_story(subject)]
    starts = range(0, runs[0].shape[2] - n_volumes + 1, n_volumes)
    segments = []
    for run in runs:
        data = run.data - run.data.mean(axis=2, keepdims=True)
        data = data / data.std(axis=2, keepdims=True)
        segments.append(
            [
                run.replace(
                    data=data[:, :, s : s + n_volumes], good_segments=None, has_baseline=True
                )
                for s in starts
            ]
        )
    return segments


def story_subjects():
    """Return the subjects of the story that no weights were trained on."""
    folder = data_dir() / "fmri-story-listening"
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    return choose_scored(folder.name, names)[0]


def identify_story(features, n_volumes=30):
    """Return the share of each subject's segments that match the mean ones of the others.

    Parameters and returns are those of :func:`identify_rest`.
    """
    names = story_subjects()
    segments = load_story(n_volumes, names)
    rows = np.asarray(features([one for subject in segments for one in subject]))
    rows = rows.reshape(len(segments), len(segments[0]), -1)
    total = rows.sum(axis=0)
    found = [identify((total - one) / (len(rows) - 1), one.copy()) for one in rows]
    return dict(zip(names, found)), 1 / len(segments[0])


def series(samples):
    """Return the values themselves (n_samples, n_channels * n_times)."""
    return np.stack([one.data[0].ravel() for one in samples])


def means(samples):
    """Return the mean of each region (n_samples, n_channels)."""
    return np.stack([one.data[0].mean(axis=1) for one in samples])


def connectivity(samples):
    """Return correlations between regions, of runs and trials alike (n_samples, n_pairs)."""
    return describe([one.replace(has_baseline=False) for one in samples])
