"""Read fMRI sets, and identify rows of features."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pandas as pd
from nilearn.maskers import NiftiMasker
from scipy.io import loadmat

from benchmarks.lib.sets import data_dir
from benchmarks.suite.people import choose_scored
from brainof_toolbox import from_roi_timeseries
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


def read_people(folder):
    """Read the table of people."""
    return pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id")


def read_sites(root, column):
    """Read the series of all people with an entry in ``column``, and their table."""
    folder = root / "fmri-rpn-rest"
    people = read_people(folder).dropna(subset=[column])
    # Parcel 11 lies outside the field of view of eight people.
    keep = np.arange(122) != 10
    centres = read_centres(folder / "parcels.tsv")[keep]
    series = {}
    for path in sorted(folder.glob("*.npz")):
        series |= read_series(path)
    people = people.loc[[name for name in series if name in people.index]]
    X = [
        from_roi_timeseries(series[name][keep].T, t_r=2.5, roi_positions=centres, subject=name)
        for name in people.index
    ]
    return X, people


# ------------------------------------------------------------------------------------- haxby
def read_scored_sites(part):
    """Read the series of people who are scored: runs, people and their sites."""
    X, people = read_sites(data_dir(), "site")
    scored, _ = choose_scored("fmri-rpn-rest", people.index, part)
    runs = [run for run, who in zip(X, people.index, strict=True) if who in scored]
    names = [who for who in people.index if who in scored]
    return runs, names, people["site"][names].to_numpy(str)


def haxby_folder(folder, root):
    """Lay the runs of fmri-haxby out as a BIDS dataset, with links to the images."""
    source, func = folder.resolve() / "sub-1", root / "sub-1" / "func"
    func.mkdir(parents=True)
    description = {"Name": "Haxby 2001, subject 1", "BIDSVersion": "1.9.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    for run in range(1, 9):
        stem = f"sub-1_task-objects_run-{run:02d}"
        own = f"sub-1_run-{run:02d}"
        image = source / f"{own}_res-1slice_bold.nii.gz"
        (func / f"{stem}_bold.nii.gz").symlink_to(image)
        (func / f"{stem}_bold.json").write_text(
            json.dumps({"RepetitionTime": 2.5, "TaskName": "objects"})
        )
        (func / f"{stem}_events.tsv").write_text((source / f"{own}_events.tsv").read_text())
        motion = pd.DataFrame(np.loadtxt(source / f"{own}_motion.txt"), columns=names)
        motion.to_csv(func / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False)
    return root


def haxby_masker(folder):
    """Make a masker of the bright voxels of the slice."""
    image = nibabel.load(folder / "sub-1" / "sub-1_run-01_res-1slice_bold.nii.gz")
    mean = image.get_fdata().mean(axis=3)
    mask = nibabel.Nifti1Image(
        (mean > 0.4 * np.percentile(mean, 95)).astype(np.int8), image.affine
    )
    return NiftiMasker(mask, standardize=None)


# ----------------------------------------------------------------------------- identification
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
    """Load a run of each of ten people of HCP: Signals (94 regions x 1200 volumes)."""
    centres = pd.read_csv(data_dir() / "atlas-mni" / "AAL2_centroids.csv")[:94]
    files = sorted((data_dir() / "fmri-hcp-rest").glob("*_bold.mat"))
    return from_roi_timeseries(
        [loadmat(file)["tc"].T for file in files],
        t_r=0.72,
        subject=[subject_of(file) for file in files],
        roi_positions=centres[["x", "y", "z"]].to_numpy() * 1e-3,
        ch_names=centres["name"].tolist(),
    )


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

    Parameters
    ----------
    features : callable
        From a list of Signals to rows.
    n_volumes : int
        Length of a segment.

    Returns
    -------
    shares, chance : dict of str -> float, float
        By subject.
    """
    names = story_subjects()
    segments = load_story(n_volumes, names)
    rows = np.asarray(features([one for subject in segments for one in subject]))
    rows = rows.reshape(len(segments), len(segments[0]), -1)
    total = rows.sum(axis=0)
    found = [identify((total - one) / (len(rows) - 1), one.copy()) for one in rows]
    return dict(zip(names, found)), 1 / len(segments[0])
