"""BIDS names against the parser of mne-bids, and labels in names that are not BIDS."""

from __future__ import annotations

import pytest
from mne_bids import get_entities_from_fname

from brainof_toolbox.io.bids_names import (
    find_label,
    parse,
    plain_label,
    subject_of,
    without_entities,
)

NAMES = (
    "sub-01_task-rest_eeg.vhdr",
    "sub-01_ses-a_task-rest_acq-x_run-02_proc-y_meg.fif",
    "sub-A1_task-b_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz",
    "sub-01_task-b_dir-AP_echo-1_part-mag_bold.nii",
    "sub-01_ses-2_task-noise_split-01_meg.ds",
)


@pytest.mark.parametrize("name", NAMES)
def test_entities_are_those_of_mne_bids(name):
    expected = get_entities_from_fname(name, on_error="ignore", verbose="error")
    entities, suffix = parse(f"some/folder/{name}")
    assert entities == {key: value for key, value in expected.items() if value is not None}
    assert suffix == name.rpartition("_")[2].partition(".")[0]


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("sub-01_task-rest_eeg.vhdr", "01"),
        ("sub-01.edf", "01"),
        ("study/sub-01/ses-2/recording.edf", "01"),
        ("sub-01/sub-02_eeg.edf", "02"),
        (r"C:\data\sub-01\eeg.edf", "01"),
        ("first.sub-07_eeg.edf", "07"),
        ("nosub-01_eeg.edf", None),
        ("recording.edf", None),
    ],
)
def test_subject_of_a_path(path, subject):
    assert subject_of(path) == subject


def test_labels():
    assert find_label("a/ses-2/sub-01_run-03_eeg.edf", "session") == "2"
    assert find_label("sub-01_acq-x_eeg.edf", "acquisition") == "x"
    assert plain_label("run", "run-01") == plain_label("run", 1) == "1"
    assert plain_label("subject", "sub-01") == "01"
    name = "sub-01_task-a_space-T1w_desc-preproc_bold.nii.gz"
    assert without_entities(name, ("space", "description")) == "sub-01_task-a_bold.nii.gz"
