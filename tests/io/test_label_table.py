"""Labels by file or subject: the right row of a table, or an error that names what repeats."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from brainof_toolbox.io.label_table import read_labels

FOUR = [f"sub-{who}_ses-{when}_eeg.edf" for who in ("01", "02") for when in (1, 2)]
LONG = "participant_id,session_id,state\n01,1,x\n01,2,y\n02,1,z\n02,2,w\n"


def read(tmp_path, text, files, target="state"):
    table = tmp_path / ("labels.tsv" if "\t" in text else "labels.csv")
    table.write_text(text, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_labels([tmp_path / file for file in files], table, target).tolist()


def refuse(tmp_path, text, files, match):
    with pytest.raises(ValueError, match=match):
        read(tmp_path, text, files)


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LONG.replace(",", "\t"),
        LONG.replace("\n0", "\nsub-0").replace(",1,", ",ses-1,").replace(",2,", ",ses-2,"),
        LONG.replace("session_id", "session").replace("participant_id", "subject"),
        "state,session_id,participant_id\nx,1,01\ny,2,01\nz,1,02\nw,2,02\n",
        LONG.replace("01,1", " 01 , 1 "),
        "\ufeff" + LONG,
        LONG + "01,1,x\n",
    ],
    ids="plain tabs prefixes names order blanks mark same-row-twice".split(),
)
def test_row_of_subject_and_session(tmp_path, text):
    assert read(tmp_path, text, FOUR) == ["x", "y", "z", "w"]


@pytest.mark.parametrize(
    ("column", "labels", "files"),
    [
        ("run", ("1", "2"), ["sub-01_run-01_eeg.edf", "sub-01_run-02_eeg.edf"]),
        ("task", ("rest", "task-go"), ["sub-01_task-rest_eeg.edf", "sub-01_task-go_eeg.edf"]),
        ("acq_id", ("a", "b"), ["sub-01_acq-a_eeg.edf", "sub-01_acq-b_eeg.edf"]),
        ("ses", ("a", "b"), ["sub-01/ses-a/rec.edf", "sub-01/ses-b/rec.edf"]),
    ],
)
def test_row_of_other_entities(tmp_path, column, labels, files):
    text = f"subject,{column},state\n01,{labels[0]},x\n01,{labels[1]},y\n"
    assert read(tmp_path, text, files) == ["x", "y"]


def test_row_for_all_sessions(tmp_path):
    """One row per subject, or rows that agree."""
    assert read(tmp_path, "participant_id,state\n01,x\nsub-02,y\n", FOUR) == ["x", "x", "y", "y"]
    assert read(tmp_path, "participant_id,state\n01,x\n01,x\n", FOUR[:2]) == ["x", "x"]
    open_row = "participant_id,session_id,state\n01,n/a,x\n02,1,y\n"
    assert read(tmp_path, open_row, FOUR[:3]) == ["x", "x", "y"]
    assert read(tmp_path, "participant_id,state\n01,20\n02,30.5\n", FOUR[1:3]) == [20.0, 30.5]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (LONG.replace("session_id", "visit"), r"more than once: \['sub-01', 'sub-02'\]"),
        ("participant_id,state\nsub-01,x\n01,y\n02,z\n", r"more than once: \['sub-01'\]"),
        ("participant_id,state\n1,x\n01,y\n02,z\n", r"more than once: \['sub-01'\]"),
        ("participant_id,state\n01,x\n01 ,y\n02,z\n", r"more than once: \['sub-01'\]"),
        ("participant_id,state\nSUB-01,x\nsub-01,y\n02,z\n", r"sub-01"),
        ("participant_id,state\n01,x\n01,n/a\n02,z\n", r"more than once: \['sub-01'\]"),
        (LONG + "02,2,v\n", r"more than once: \['sub-02'\].*'w', 'v'"),
        (LONG.replace("02,2,w\n", ""), "no 'state' for sub-02_ses-2_eeg.edf"),
        (LONG.replace("02,2,w", "02,2,NULL"), "no 'state' for sub-02_ses-2_eeg.edf"),
        ("participant_id,state\n1,x\n2,y\n", r"no 'state' for sub-01.*\['1'\].*spelling"),
        ("participant_id,state,state\n01,x,y\n02,z,w\n", "column 'state' more than once"),
        ("participant_id,participant_id,state\n01,02,y\n02,01,w\n", "'participant_id' more than"),
        ("participant_id,state\n01,x,more\n02,y,more\n", "more cells than column names"),
        ("participant_id,mood\n01,x\n", "no column 'state'"),
    ],
)
def test_ambiguous_subjects_are_refused(tmp_path, text, match):
    refuse(tmp_path, text, FOUR, match)


def test_unlike_files_of_one_session(tmp_path):
    """A table without sessions for files that name none."""
    refuse(tmp_path, LONG, ["sub-01_eeg.edf"], "more than once.*'x', 'y'")
    assert read(tmp_path, LONG.replace("01,2,y\n", ""), ["sub-01_eeg.edf"]) == ["x"]


TWO = ["s1/rec.edf", "s2/rec.edf"]


@pytest.mark.parametrize(
    "text",
    [
        "file,state\ns1/rec.edf,x\ns2/rec.edf,y\n",
        "filename,state\n./s1/rec.edf,x\ns2\\rec.edf,y\n",
        "folder,file,state\ns1,rec.edf,x\ns2,rec.edf,y\n",
        "recording,state\ns1/rec.edf,x\ns2/rec.edf,y\n",
        "state,path\nx,{top}/s1/rec.edf\ny,{top}/s2/rec.edf\n",
    ],
)
def test_files_of_one_name_by_their_folders(tmp_path, text):
    assert read(tmp_path, text.replace("{top}", str(tmp_path)), TWO) == ["x", "y"]


def test_files_of_one_name_by_other_columns(tmp_path):
    text = "file,subject,session,state\nrec.edf,1a,1,x\nrec.edf,1a,2,y\nrec.edf,2b,1,z\n"
    files = ["sub-1a/ses-1/rec.edf", "sub-1a/ses-2/rec.edf", "sub-2b/ses-1/rec.edf"]
    assert read(tmp_path, text, files) == ["x", "y", "z"]
    # The name of a file is enough where it is named once, whatever other columns mean.
    text = "file,session,state\na_ses-1.edf,first,x\nb_ses-1.edf,second,y\n"
    assert read(tmp_path, text, ["a_ses-1.edf", "b_ses-1.edf"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,state\nrec.edf,x\nrec.edf,y\n", r"more than once: \['rec.edf'\].*'x', 'y'"),
        ("file,state\ns1/rec.edf,x\nrec.edf,y\n", r"more than once: \['rec.edf'\]"),
        ("file,state\nrec.edf,x\n", r"'rec.edf' once, but 2 files .*folders"),
        ("file,state\ns1/rec.edf,x\n", "no 'state' for rec.edf in column 'file'"),
        ("file,participant_id,state\nother.edf,01,x\n", "no 'state' for rec.edf"),
        ("folder,file,state\ns1,rec.edf,x\ns1,rec.edf,y\n", "more than once"),
    ],
)
def test_ambiguous_files_are_refused(tmp_path, text, match):
    refuse(tmp_path, text, TWO, match)


def test_same_file_twice(tmp_path):
    assert read(tmp_path, "file,state\nrec.edf,x\n", ["s1/rec.edf", "s1/rec.edf"]) == ["x", "x"]
    assert read(tmp_path, "file,state\nrec.edf,x\nrec.edf,x\n", TWO) == ["x", "x"]


def test_numbers_mixed_with_words_are_said(tmp_path):
    (tmp_path / "t.csv").write_text("participant_id,age\n01,31\n02,89+\n")
    files = [Path("sub-01.edf"), Path("sub-02.edf")]
    with pytest.warns(RuntimeWarning, match="'age' is read as text.*89"):
        assert read_labels(files, tmp_path / "t.csv", "age").tolist() == ["31", "89+"]
