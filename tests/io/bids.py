"""Small BIDS datasets on disk: EEG and MEG by mne-bids, fMRI and tables by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

#: Two labels of blocks: name -> value.
CODES = {"left": 1, "right": 2}


def describe(root, **more):
    """Write dataset_description.json."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    says = {"Name": "simulated", "BIDSVersion": "1.9.0", **more}
    (root / "dataset_description.json").write_text(json.dumps(says))
    return root


def touch(root, *names, **description):
    """A dataset whose data files are empty: what read_bids looks at is their names."""
    root = describe(root, **description)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def make_raw(kind="eeg", *, seed=0, duration=12.0, sfreq=100.0, events=True):
    """A short recording with an event of 1 s every 2 s."""
    import mne

    from brainof_toolbox import datasets

    n_channels = 9 if kind == "meg" else 10
    raw = datasets.make_raw(
        kind, n_channels=n_channels, sfreq=sfreq, duration=duration, random_state=seed
    )
    if events:
        onsets = np.arange(1.0, duration - 1.0, 2.0)
        names = np.resize(["left", "right"], len(onsets))
        raw.set_annotations(mne.Annotations(onsets, np.ones(len(onsets)), names))
    return raw


def write_sensors(root, subject, *, kind="eeg", raw=None, task="hands", **entities):
    """Write an EEG (BrainVision) or MEG (FIF) recording; returns its BIDSPath."""
    import mne_bids

    raw = make_raw(kind) if raw is None else raw
    path = mne_bids.BIDSPath(
        root=root, subject=subject, task=task, datatype=kind, suffix=kind, **entities
    )
    event_id = CODES if len(raw.annotations) else None
    return mne_bids.write_raw_bids(
        raw,
        path,
        event_id=event_id,
        allow_preload=True,
        format="FIF" if kind == "meg" else "BrainVision",
        overwrite=True,
        verbose="error",
    )


def make_image(*, n_volumes=60, t_r=2.0, seed=0, effect=None):
    """A 4-D image of 5 x 6 x 5 voxels; ``effect`` (n_volumes,) is added to voxel 1, 1, 1."""
    import nibabel as nib

    rng = np.random.default_rng(seed)
    data = 1000 + 10 * rng.standard_normal((5, 6, 5, n_volumes))
    if effect is not None:
        data[1, 1, 1] += 100 * np.asarray(effect)
    affine = np.diag([30.0, 30.0, 30.0, 1.0])
    affine[:3, 3] = [-60, -90, -50]
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = t_r
    return image


def make_masker():
    """Three labelled boxes of :func:`make_image`; the first is voxel 1, 1, 1 alone."""
    import nibabel as nib
    from nilearn.maskers import NiftiLabelsMasker

    labels = np.zeros((5, 6, 5), dtype=np.int16)
    labels[1, 1, 1] = 1
    labels[3, :3, :] = 2
    labels[3, 3:, :] = 3
    return NiftiLabelsMasker(nib.Nifti1Image(labels, make_image(n_volumes=1).affine))


def write_image(root, name, *, image=None, sidecar=None, session=None):
    """Write ``sub-<label>_..._bold.nii.gz`` with its sidecar; returns its path."""
    import nibabel as nib

    folder = Path(root) / name.split("_")[0]
    folder = folder / f"ses-{session}" if session else folder
    folder = folder / "func"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    nib.save(make_image() if image is None else image, path)
    if sidecar is not None:
        (folder / f"{name}.json").write_text(json.dumps(sidecar))
    return path


def write_table(path, columns):
    """Write a tab-separated table from a dict of columns."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["\t".join(columns), *("\t".join(map(str, row)) for row in zip(*columns.values()))]
    path.write_text("\n".join(rows) + "\n")
    return path


def write_confounds(path, csf, *, n_unsteady=0):
    """Write fMRIPrep's table: small motion, ``csf`` (n_volumes,), first volumes unsteady."""
    rng = np.random.default_rng(9)
    kinds = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    powers = ("", "_derivative1", "_power2", "_derivative1_power2")
    columns = {f"{k}{p}": rng.standard_normal(len(csf)).round(4) for k in kinds for p in powers}
    columns |= {"csf": csf, "white_matter": rng.standard_normal(len(csf)).round(4)}
    for i in range(n_unsteady):
        columns[f"non_steady_state_outlier{i:02d}"] = np.eye(len(csf), dtype=int)[i]
    return write_table(path, columns)


def write_study(root, *, subjects=("01", "02"), kinds=("eeg", "meg", "func")):
    """All three datatypes of a task for each subject, with events and participants."""
    root = describe(root)
    for number, subject in enumerate(subjects):
        for kind in kinds:
            if kind == "func":
                name = f"sub-{subject}_task-hands"
                write_image(
                    root,
                    f"{name}_bold",
                    image=make_image(seed=number),
                    sidecar={"RepetitionTime": 2.0, "TaskName": "hands"},
                )
                write_table(
                    root / f"sub-{subject}" / "func" / f"{name}_events.tsv",
                    {
                        "onset": [10.0, 40.0, 70.0],
                        "duration": [20.0, 20.0, 20.0],
                        "trial_type": ["left", "right", "left"],
                    },
                )
            else:
                write_sensors(root, subject, kind=kind, raw=make_raw(kind, seed=number))
    write_table(
        root / "participants.tsv",
        {
            "participant_id": [f"sub-{subject}" for subject in subjects],
            "age": [20 + i for i in range(len(subjects))],
            "sex": ["F" if i % 2 else "M" for i in range(len(subjects))],
        },
    )
    return root
