"""read_bids: what is found, what is paired, what is said; recordings with their sidecars."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import bids
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from brainof_toolbox import Records, read_bids
from brainof_toolbox.io.datalad import check_present
from brainof_toolbox.io.records import read_record

MNI = "MNI152NLin2009cAsym"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """EEG, MEG and fMRI of one task for two subjects."""
    return bids.write_study(tmp_path_factory.mktemp("bids") / "study")


@pytest.fixture
def names_only(tmp_path):
    """Make a dataset of empty files."""
    return lambda *names: bids.touch(tmp_path / "names", *names)


def paths(records, modality):
    """File names of a modality, None where missing."""
    return [Path(os.fspath(r[modality])).name if modality in r else None for r in records]


def quiet(*args, **kwargs):
    """read_bids without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_bids(*args, **kwargs)


# ----------------------------------------------------------------------------------- what is found
def test_three_datatypes_become_one_record_per_subject(study):
    records = quiet(study)
    assert len(records) == 2 and records.subject == ("01", "02")
    assert all(set(record) >= {"eeg", "meg", "fmri", "t_r"} for record in records)
    assert records[0]["t_r"] == 2.0 and records.task == ("hands", "hands")
    signals = read_record(records[1], masker=bids.make_masker())
    assert set(signals.by_modality) == {"fmri", "eeg", "meg"} and signals.by_modality[
        "eeg"
    ].subject == ("02",)
    assert (
        signals.by_modality["fmri"].shape == (1, 3, 60)
        and signals.by_modality["meg"].shape[1] == 9
    )


@pytest.mark.parametrize("datatype, key", [("eeg", "eeg"), ("meg", "meg"), ("func", "fmri")])
def test_datatypes_are_chosen(study, datatype, key):
    records = quiet(study, datatypes=datatype)
    assert {"eeg", "meg", "fmri"} & set(records[0]) == {key}


@pytest.mark.parametrize("subject", ["02", "sub-02", ["sub-02"]])
def test_subjects_are_chosen_with_and_without_prefix(study, subject):
    assert quiet(study, subjects=subject).subject == ("02",)


def test_sessions_and_runs_are_records(names_only):
    """One record each, runs in their numerical order."""
    root = names_only(
        *(
            f"sub-01/ses-{ses}/func/sub-01_ses-{ses}_task-rest_run-{run}_bold.nii.gz"
            for ses in ("a", "b")
            for run in (1, 2, 10)
        )
    )
    records = quiet(root)
    assert records.session == ("a",) * 3 + ("b",) * 3
    assert records.run == ("1", "2", "10") * 2 and records.subject == ("01",) * 6
    chosen = quiet(root, sessions="ses-b", runs=["01", "10"])
    assert chosen.session == ("b", "b") and chosen.run == ("1", "10")


def test_sessions_of_some_subjects_only(names_only):
    root = names_only(
        "sub-01/ses-a/eeg/sub-01_ses-a_task-rest_eeg.edf",
        "sub-02/eeg/sub-02_task-rest_eeg.EDF",
        "sub-01/ses-a/func/sub-01_ses-a_task-rest_bold.nii",
        "sub-02/func/sub-02_task-rest_bold.nii",
    )
    records = quiet(root)
    assert records.session == ("a", None) and all({"eeg", "fmri"} <= set(r) for r in records)


def test_what_is_no_recording_is_left_out(names_only):
    root = names_only(
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_sbref.nii.gz",
        "sub-01/func/sub-01_task-rest_part-phase_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_events.tsv",
        "sub-01/meg/sub-01_task-rest_meg.fif",
        "sub-01/meg/sub-01_acq-crosstalk_meg.fif",
        "sub-01/meg/sub-01_task-rest_channels.tsv",
        "sub-emptyroom/ses-20200101/meg/sub-emptyroom_ses-20200101_task-noise_meg.fif",
        "sourcedata/sub-01/eeg/sub-01_task-rest_eeg.edf",
    )
    records = quiet(root)
    assert paths(records, "fmri") == ["sub-01_task-rest_bold.nii.gz"]
    assert paths(records, "meg") == ["sub-01_task-rest_meg.fif"] and "eeg" not in records[0]


def test_names_that_are_not_bids_are_said(names_only):
    root = names_only("sub-01/eeg/sub-01_task-a_eeg.edf", "sub-01/eeg/sub-01_foo-1_eeg.edf")
    with pytest.warns(RuntimeWarning, match=r"do not follow BIDS: \['sub-01_foo-1_eeg\.edf'\]"):
        records = read_bids(root)
    assert paths(records, "eeg") == ["sub-01_task-a_eeg.edf"]


def test_files_of_one_recording_are_one(names_only):
    """Split FIF files; the three files of BrainVision; the folders of CTF and BTi."""
    root = names_only(
        "sub-01/meg/sub-01_task-a_split-01_meg.fif",
        "sub-01/meg/sub-01_task-a_split-02_meg.fif",
        "sub-01/meg/sub-01_task-b_meg.ds/sub-01_task-b_meg.meg4",
        "sub-01/meg/sub-01_task-c_meg/config",
        *(f"sub-01/eeg/sub-01_task-a_eeg.{ending}" for ending in ("vhdr", "vmrk", "eeg")),
    )
    with pytest.warns(RuntimeWarning, match="1 have eeg and 3 have meg"):
        records = read_bids(root)
    assert paths(records, "meg") == [
        "sub-01_task-a_split-01_meg.fif",
        "sub-01_task-b_meg.ds",
        "sub-01_task-c_meg",
    ]
    assert paths(records, "eeg") == ["sub-01_task-a_eeg.vhdr", None, None]


@pytest.mark.parametrize(
    "names, runs",
    [
        (["task-a_acq-x_run-01", "task-a_acq-y_run-01"], ("01_acq-x", "01_acq-y")),
        (["task-a_dir-AP", "task-a_dir-PA"], ("dir-AP", "dir-PA")),
        (["task-a_run-1_echo-1", "task-a_run-1_echo-2"], ("1_echo-1", "1_echo-2")),
        (["task-a_acq-x_run-1", "task-a_acq-x_run-2"], ("1", "2")),
    ],
    ids=["acq", "dir", "echo", "common"],
)
def test_other_entities_tell_records_apart(names_only, names, runs):
    root = names_only(*(f"sub-01/func/sub-01_{name}_bold.nii.gz" for name in names))
    records = quiet(root)
    assert records.run == runs and len(set(paths(records, "fmri"))) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["func/sub-01_task-a_bold.nii", "func/sub-01_task-a_bold.nii.gz"],
        ["eeg/sub-01_task-a_eeg.edf", "eeg/sub-01_task-a_eeg.set"],
    ],
)
def test_two_files_of_one_recording_are_refused(names_only, names):
    root = names_only(*(f"sub-01/{name}" for name in names))
    with pytest.raises(ValueError, match="Two files") as caught:
        read_bids(root)
    assert all(Path(name).name in str(caught.value) for name in names)


# ---------------------------------------------------------------------------------------- pairing
def pair_names(names_only, eeg, func):
    found = [f"sub-01/eeg/sub-01_{name}_eeg.edf" for name in eeg]
    found += [f"sub-01/func/sub-01_{name}_bold.nii" for name in func]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = read_bids(names_only(*found))
    pairs = [tuple(sorted({"eeg", "fmri"} & set(record))) for record in records]
    return list(zip(records.task, records.run, pairs, strict=True)), caught


BOTH, EEG, FMRI = ("eeg", "fmri"), ("eeg",), ("fmri",)


@pytest.mark.parametrize(
    "eeg, func, expected",
    [
        (["task-a"], ["task-a"], [("a", None, BOTH)]),
        (["task-a_run-01"], ["task-a_run-1"], [("a", "1", BOTH)]),
        (["task-a"], ["task-a_run-01"], [("a", "01", BOTH)]),
        (["task-a_acq-x"], ["task-a_dir-AP"], [("a", None, BOTH)]),
        (["task-a"], ["task-b"], [("a", None, EEG), ("b", None, FMRI)]),
        (["task-a_run-2"], ["task-a_run-1"], [("a", "1", FMRI), ("a", "2", EEG)]),
        (
            ["task-a"],
            ["task-a_run-1", "task-a_run-2"],
            [("a", None, EEG), ("a", "1", FMRI), ("a", "2", FMRI)],
        ),
    ],
)
def test_pairing(names_only, eeg, func, expected):
    """By task and run; a modality's only recording joins the other's only run."""
    found, caught = pair_names(names_only, eeg, func)
    assert found == expected
    assert len(caught) == (0 if all(kind == BOTH for *_, kind in expected) else 1)


def test_missing_modalities_are_said_once(names_only):
    """Absent keys, one warning that counts and names."""
    subjects = [f"{i:02d}" for i in range(1, 7)]
    root = names_only(
        *(f"sub-{s}/eeg/sub-{s}_task-a_eeg.edf" for s in subjects),
        *(f"sub-{s}/func/sub-{s}_task-a_bold.nii" for s in subjects[:4]),
    )
    with pytest.warns(RuntimeWarning) as caught:
        records = read_bids(root)
    assert len(caught) == 1
    assert "Of 6 records 6 have eeg and 4 have func. Without func: sub-05, sub-06." in str(
        caught[0].message
    )
    assert [("fmri" in record) for record in records] == [True] * 4 + [False] * 2


def test_unpaired_tasks_are_said(names_only):
    _, caught = pair_names(names_only, ["task-a"], ["task-b"])
    assert "nothing was paired" in str(caught[0].message) and "'b'" in str(caught[0].message)


# ------------------------------------------------------------------------------- what is not there
def test_folder_that_is_no_dataset(tmp_path, study):
    """Not a BIDS folder / missing root: error naming path and dataset_description.json."""
    with pytest.raises(FileNotFoundError, match="nowhere.*dataset_description.json"):
        read_bids(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="dataset_description.json") as caught:
        read_bids(tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ValueError, match="pass that") as caught:
        read_bids(study / "sub-01")
    assert f"{study} has one" in str(caught.value)


@pytest.mark.parametrize(
    "asked, there",
    [
        ({"subjects": "09"}, "no subject '09'.*'01', '02'"),
        ({"subjects": ["01", "9", "x"]}, "no subject '9', 'x'.*'01', '02'"),
        ({"sessions": "a"}, "no session 'a'.*none"),
        ({"tasks": "rest"}, "no task 'rest'.*'hands'"),
        ({"runs": "3"}, "no run '3'.*none"),
        ({"datatypes": "ieeg"}, "'eeg'"),
        ({"datatypes": []}, "empty"),
    ],
)
def test_unknown_value_lists_what_is_there(study, asked, there):
    """Unknown subject asked: error listing subjects available."""
    with pytest.raises(ValueError, match=there):
        read_bids(study, **asked)


def test_absent_datatype_and_empty_combination(names_only):
    root = names_only(
        "sub-01/eeg/sub-01_task-a_eeg.edf",
        "sub-02/eeg/sub-02_task-b_eeg.edf",
    )
    with pytest.raises(ValueError, match=r"No func recording .*\['eeg'\]"):
        read_bids(root, datatypes=["eeg", "func"])
    with pytest.raises(ValueError, match="fits all of .*'subjects': '01'"):
        read_bids(root, subjects="01", tasks="b")


def test_dataset_without_recordings(names_only):
    with pytest.raises(ValueError, match="No recording"):
        read_bids(names_only("sub-01/anat/sub-01_T1w.nii.gz"))


def test_broken_datalad_link(names_only):
    """Said once when found, an error when read, which says what to do."""
    root = names_only("sub-01/eeg/sub-01_task-a_eeg.vhdr")
    missing = ("sub-01/eeg/sub-01_task-a_eeg.eeg", "sub-02/func/sub-02_task-a_bold.nii.gz")
    for name in missing:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to("../../.git/annex/objects/xx/MD5E-s1--0")
    with pytest.warns(RuntimeWarning) as caught:
        records = read_bids(root)
    said = [str(entry.message) for entry in caught if "datalad" in str(entry.message)]
    assert (
        len(said) == 1
        and "2 of 2 recordings" in said[0]
        and f"datalad get {missing[0]}" in said[0]
    )
    for record in records:
        with pytest.raises(FileNotFoundError, match="datalad get"):
            read_record(record)


def test_pointer_file_is_not_data(tmp_path):
    path = tmp_path / "sub-01_task-a_bold.nii.gz"
    path.write_text("/annex/objects/MD5E-s1--0\n")
    with pytest.raises(FileNotFoundError, match="datalad get"):
        check_present(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(FileNotFoundError, match="git lfs pull"):
        check_present(path)
    path.write_text("data")
    check_present(path)


# ----------------------------------------------------------------------------------------- Records
def test_records_are_a_sequence(study):
    records = read_bids(study)
    assert isinstance(records[0], dict) and records[-1]["subject"] == "02"
    for key in ([1], slice(1, None), np.array([False, True]), np.array([1]), [False, True]):
        assert isinstance(records[key], Records) and records[key].subject == ("02",)
    assert records[[1, 0]].groups.tolist() == ["02", "01"] and len(records[[]]) == 0
    assert records[:] == records and records[:1] != records and records != list(records)
    with pytest.raises(IndexError):
        records[2]
    records[0]["subject"] = "changed"  # what is handed out is a copy
    assert records.subject == ("01", "02")
    assert pickle.loads(pickle.dumps(records)) == records
    assert len(pickle.dumps(records)) < 20_000


def test_records_are_what_scikit_learn_splits(study):
    """Groups stay with the records through scikit-learn's own indexing."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Remember(ClassifierMixin, BaseEstimator):
        """Score 1 when no subject of the test was in the training."""

        def fit(self, X, y):
            """Keep the subjects."""
            self.classes_, self.seen_ = np.unique(y), set(X.subject)
            return self

        def predict(self, X):
            """Say True for subjects not seen."""
            return np.array([subject not in self.seen_ for subject in X.subject])

    records = read_bids(study)
    records = Records([*records, *records])
    assert _num_samples(records) == 4 and isinstance(_safe_indexing(records, [0, 2]), Records)
    scores = cross_val_score(
        Remember(), records, [True, True, True, True], groups=records.groups, cv=GroupKFold(2)
    )
    assert scores.tolist() == [1.0, 1.0]


def test_records_show_themselves_as_a_table(study):
    records = read_bids(study)
    table = records.to_dataframe()
    assert list(table) == ["subject", "session", "task", "run", "eeg", "meg", "fmri", "t_r"]
    assert Path(table["fmri"][0]).is_file() and table["eeg"][1].endswith(
        "sub-02_task-hands_eeg.vhdr"
    )
    text = repr(records)
    assert "2 records of 2 subjects: 2 eeg, 2 meg, 2 fmri" in text
    assert "sub-01_task-hands_bold.nii.gz" in text and str(study) not in text
    assert "<table" in records._repr_html_()
    assert "0 records" in repr(Records([]))
    by_hand = Records([{"eeg": object(), "subject": "01"}, {"fmri": "b.nii", "subject": "01"}])
    assert by_hand.to_dataframe()["fmri"].isna().tolist() == [True, False]
    assert "1 subject:" in repr(by_hand)
