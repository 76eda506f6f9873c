"""A simulated BIDS dataset reads back as what was simulated."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brainof_toolbox.datasets import make_paired_recordings

SMALL = {"duration": 20.0, "montage": 4, "n_meg": 6, "voxel_size": 16}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two subjects, two runs of rest and task; returns the recordings and the folder."""
    root = tmp_path_factory.mktemp("bids") / "dataset"
    made = make_paired_recordings(
        2, n_runs=2, label="state", block_duration=10.0, write_bids=root, **SMALL
    )
    assert made.root == root
    return made, root


@pytest.mark.parametrize("name", ["eeg", "meg"])
def test_raw_reads_back(written, name):
    import mne_bids

    made, root = written
    for record in made.records:
        path = mne_bids.BIDSPath(
            subject=record["subject"], task="blocks", run=record["run"], datatype=name, root=root
        )
        raw, one = mne_bids.read_raw_bids(path, verbose="error"), record[name]
        assert raw.ch_names == one.ch_names
        assert raw.get_channel_types() == one.get_channel_types()
        values, known = raw.get_data(), one.get_data()
        if name == "eeg":
            assert np.abs(values - known).max() < 1e-7
        else:
            assert np.allclose(values, known, rtol=1e-5, atol=1e-4 * known.std())
        places = [np.array([ch["loc"][:3] for ch in item.info["chs"]]) for item in (raw, one)]
        assert np.allclose(*places, atol=1e-6)
        assert raw.info["sfreq"] == 128.0 and raw.info["line_freq"] == 50.0
        assert sorted(raw.annotations.description) == sorted(one.annotations.description)
        onsets = [np.sort(item.annotations.onset) for item in (raw, one)]
        assert np.allclose(*onsets, atol=1 / 128)


def test_images_read_back(written):
    import nibabel as nib
    from nilearn.interfaces.bids import get_bids_files

    made, root = written
    files = sorted(get_bids_files(root, file_tag="bold", file_type="nii.gz", sub_folder=True))
    assert len(files) == 4
    for file, record in zip(files, made.records, strict=True):
        assert file.endswith(
            f"sub-{record['subject']}_task-blocks_run-{record['run']}_bold.nii.gz"
        )
        image = nib.load(file)
        assert np.array_equal(image.dataobj, record["fmri"].dataobj)
        assert np.allclose(image.affine, record["fmri"].affine)
        sidecar = json.loads(open(file.replace(".nii.gz", ".json"), encoding="utf-8").read())
        assert sidecar["RepetitionTime"] == 2.0 and sidecar["TaskName"] == "blocks"
        events = pd.read_csv(file.replace("bold.nii.gz", "events.tsv"), sep="\t")
        assert {"rest", "task", "stimulus"} == set(events["trial_type"])
        blocks = events[events["trial_type"] != "stimulus"]
        assert (blocks["duration"] == 10.0).all() and blocks["onset"].tolist() == [0.0, 10.0]


def test_participants_and_description(written):
    made, root = written
    table = pd.read_csv(root / "participants.tsv", sep="\t")
    assert table.equals(made.participants)
    assert set(json.loads((root / "participants.json").read_text())) >= {"sex", "age"}
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "raw" and description["BIDSVersion"]
    assert "No person was recorded" in (root / "README").read_text()


def test_sparse_datasets_lack_files(tmp_path):
    """What a record lacks is not written; one run needs no number."""
    made = make_paired_recordings(4, missing=0.5, write_bids=tmp_path / "sparse", **SMALL)
    folders = {"fmri": "func", "eeg": "eeg", "meg": "meg"}
    lacking = 0
    for record in made.records:
        for name, folder in folders.items():
            there = (tmp_path / "sparse" / f"sub-{record['subject']}" / folder).is_dir()
            assert there == (name in record)
            lacking += not there
    assert lacking > 0
    assert not list((tmp_path / "sparse").rglob("*run-*"))
    assert not list((tmp_path / "sparse").rglob("*events*"))


def test_read_with_one_call(written):
    from brainof_toolbox import read_bids, read_participants

    made, root = written
    records = read_bids(root)
    assert records.subject == made.subject
    assert all({"fmri", "eeg", "meg"} <= set(record) for record in records)
    assert read_participants(root, "sex", records).tolist() == ["F", "F", "M", "M"]


def test_full_folders_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        make_paired_recordings(1, write_bids=tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
