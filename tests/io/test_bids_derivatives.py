"""read_bids on derivatives: spaces, resolutions, echoes, confounds, repetition times."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import bids
import pytest

from brainof_toolbox import read_bids
from brainof_toolbox.io.records import read_record

MNI = "MNI152NLin2009cAsym"


def paths(records, key):
    """File names under a key, None where missing."""
    return [Path(os.fspath(r[key])).name if key in r else None for r in records]


def quiet(*args, **kwargs):
    """read_bids without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_bids(*args, **kwargs)


def derivative_names(*versions, subjects=("01", "02")):
    return [f"sub-{s}/func/sub-{s}_task-a_{v}_bold.nii.gz" for s in subjects for v in versions]


@pytest.fixture
def prepared(tmp_path):
    """A raw dataset with EEG, and what fMRIPrep made of its images in two spaces."""
    root = bids.touch(
        tmp_path / "set",
        *(f"sub-{s}/func/sub-{s}_task-a_bold.nii.gz" for s in ("01", "02")),
        *(f"sub-{s}/eeg/sub-{s}_task-a_eeg.edf" for s in ("01", "02")),
    )
    (root / "task-a_bold.json").write_text(json.dumps({"RepetitionTime": 1.5}))
    spaces = [f"space-{name}_desc-preproc" for name in (MNI, "T1w")]
    names = derivative_names(*spaces)
    names += [f"sub-{s}/func/sub-{s}_task-a_desc-confounds_timeseries.tsv" for s in ("01", "02")]
    names += ["sub-01/func/sub-01_task-a_space-T1w_boldref.nii.gz"]
    bids.touch(root / "derivatives" / "fmriprep", *names, DatasetType="derivative")
    return root


def test_derivatives_are_not_counted_twice(prepared):
    """BIDS: derivatives/ folder present: raw files not counted twice."""
    records = quiet(prepared)
    assert paths(records, "fmri") == [f"sub-{s}_task-a_bold.nii.gz" for s in ("01", "02")]
    assert "confounds" not in records[0] and records[0]["t_r"] == 1.5


def test_several_spaces_must_be_chosen(prepared):
    """BIDS: several space- entities for one run: error listing spaces, asks for space=."""
    with pytest.raises(ValueError, match="space=") as caught:
        read_bids(prepared, derivatives="fmriprep")
    assert MNI in str(caught.value) and "T1w" in str(caught.value)
    with pytest.raises(ValueError, match="there are .*T1w"):
        read_bids(prepared, derivatives="fmriprep", space="MNI305")
    assert quiet(prepared, derivatives="fmriprep", space=f"space-{MNI}") == quiet(
        prepared, derivatives="fmriprep", space=MNI
    )
    with pytest.warns(RuntimeWarning, match="space-T1w, not in MNI space"):
        read_bids(prepared, derivatives="fmriprep", space="T1w")


@pytest.mark.parametrize("how", ["name", "path", "root"])
def test_preprocessed_images_come_with_confounds_and_repetition_time(prepared, how):
    folder = prepared / "derivatives" / "fmriprep"
    if how == "root":
        records = quiet(folder, space=MNI)
    else:
        which = "fmriprep" if how == "name" else folder
        records = quiet(prepared, derivatives=which, space=MNI)
        assert paths(records, "eeg") == [f"sub-{s}_task-a_eeg.edf" for s in ("01", "02")]
        assert records[0]["t_r"] == 1.5  # of the raw image: the derivative has no sidecar
    assert paths(records, "fmri") == [
        f"sub-{s}_task-a_space-{MNI}_desc-preproc_bold.nii.gz" for s in ("01", "02")
    ]
    assert paths(records, "confounds") == [
        f"sub-{s}_task-a_desc-confounds_timeseries.tsv" for s in ("01", "02")
    ]


def test_several_resolutions_must_be_chosen(tmp_path):
    root = bids.touch(
        tmp_path / "set",
        *derivative_names(*(f"space-{MNI}_res-{i}_desc-preproc" for i in (1, 2))),
        "sub-01/func/sub-01_task-a_desc-confounds_regressors.tsv",
        DatasetType="derivative",
    )
    with pytest.raises(ValueError, match=f"'{MNI}:res-1', '{MNI}:res-2'"):
        read_bids(root, space=MNI)
    records = quiet(root, space=f"{MNI}:res-2")
    assert all("res-2" in name for name in paths(records, "fmri"))
    assert paths(records, "confounds")[0].endswith("regressors.tsv") and len(records) == 2


def test_confounds_are_those_of_the_run(tmp_path):
    stem = "sub-01/func/sub-01_task-a_run-{}_"
    root = bids.touch(
        tmp_path / "set",
        *(stem.format(i) + f"space-{MNI}_desc-preproc_bold.nii.gz" for i in (1, 2)),
        stem.format(2) + "desc-confounds_timeseries.tsv",
    )
    assert paths(quiet(root), "confounds") == [
        None,
        "sub-01_task-a_run-2_desc-confounds_timeseries.tsv",
    ]


def test_preprocessed_images_go_before_other_versions(tmp_path):
    root = bids.touch(tmp_path / "set", *derivative_names("desc-preproc", "desc-smoothed"))
    assert paths(quiet(root), "fmri")[0] == "sub-01_task-a_desc-preproc_bold.nii.gz"
    other = bids.touch(tmp_path / "other", *derivative_names("desc-x", "desc-y"))
    with pytest.raises(ValueError, match="desc-x, desc-y"):
        read_bids(other)


def test_combined_echoes_go_before_single_ones(tmp_path):
    versions = [f"echo-{i}_desc-preproc" for i in (1, 2)] + [f"space-{MNI}_desc-preproc"]
    root = bids.touch(tmp_path, *derivative_names(*versions, subjects=["01"]))
    assert paths(quiet(root), "fmri") == [f"sub-01_task-a_space-{MNI}_desc-preproc_bold.nii.gz"]


def test_unknown_derivatives_list_those_there(prepared):
    with pytest.raises(FileNotFoundError, match=r"\['fmriprep'\]"):
        read_bids(prepared, derivatives="xcpd")
    (prepared / "derivatives" / "empty").mkdir()
    with pytest.raises(ValueError, match="No func or eeg or meg recording is in"):
        read_bids(prepared, derivatives="empty")


# --------------------------------------------------------------------------------- repetition time
def test_unknown_repetition_time(tmp_path):
    """BIDS: bold.json without RepetitionTime and pixdim 0: error naming RepetitionTime."""
    root = bids.describe(tmp_path)
    image = bids.make_image(t_r=0)
    bids.write_image(root, "sub-01_task-a_bold", image=image, sidecar={"TaskName": "a"})
    records = read_bids(root)
    assert "t_r" not in records[0]
    with pytest.raises(ValueError, match="RepetitionTime"):
        read_record(records[0], masker=bids.make_masker())


def test_repetition_time_that_differs_from_the_header(tmp_path):
    """The sidecar is used; both are said."""
    root = bids.describe(tmp_path)
    image = bids.make_image(t_r=2.0)
    bids.write_image(root, "sub-01_task-a_bold", image=image, sidecar={"RepetitionTime": 1.25})
    with pytest.warns(RuntimeWarning, match=r"1\.25 s.*2 s"):
        signals = read_record(read_bids(root)[0], masker=bids.make_masker())
    assert signals.sfreq == pytest.approx(0.8)


def test_impossible_repetition_time_names_the_sidecar(tmp_path):
    root = bids.describe(tmp_path)
    bids.write_image(root, "sub-01_task-a_bold", sidecar={"RepetitionTime": 2000})
    with pytest.raises(ValueError, match=r"bold\.json.*milliseconds"):
        read_record(read_bids(root)[0], masker=bids.make_masker())
