"""read_participants: targets by subject, and what is said when there are none."""

from __future__ import annotations

import re

import bids
import numpy as np
import pytest

from brainof_toolbox import Records, read_participants


@pytest.fixture
def root(tmp_path):
    """Three subjects; one of them has no age."""
    root = bids.describe(tmp_path)
    bids.write_table(
        root / "participants.tsv",
        {
            "participant_id": ["sub-01", "sub-02", "sub-03"],
            "age": [31, "n/a", 27.5],
            "sex": ["F", "M", "F"],
            "site": [1, 2, 1],
        },
    )
    return root


def records(*subjects, session=None):
    return Records([{"eeg": "x.edf", "subject": s, "session": session} for s in subjects])


def test_numbers_and_words(root):
    y = read_participants(root, "age", records("03", "01", "03"))
    assert y.dtype == np.float64 and y.tolist() == [27.5, 31.0, 27.5]
    y = read_participants(root, "sex", records("01", "02"))
    assert y.dtype.kind == "U" and y.tolist() == ["F", "M"]
    assert read_participants(root, "site", records("02", "sub-01")).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("age", ["89+", "31,5", "3_1", "inf"])
def test_numbers_mixed_with_words_are_said(root, age):
    """Ages that are text would be classes, or refused far from here."""
    table = root / "participants.tsv"
    table.write_text(table.read_text().replace("31", age))
    with pytest.warns(RuntimeWarning, match=f"'age' is read as text.*{re.escape(age)}"):
        y = read_participants(root, "age", records("01", "03"))
    assert y.tolist() == [age, "27.5"]
    assert read_participants(root, "age", records("03")).tolist() == [27.5]


def test_plain_dicts_are_records_too(root):
    assert read_participants(root, "sex", [{"subject": "02"}]).tolist() == ["M"]
    with pytest.raises(ValueError, match="needs a 'subject'"):
        read_participants(root, "sex", [{"eeg": "x.edf"}])


def test_missing_table_names_the_file(root):
    """BIDS: participants.tsv missing, label column asked: error naming file."""
    (root / "participants.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"participants\.tsv.*'age'"):
        read_participants(root, "age", records("01"))


@pytest.mark.parametrize("missing", ["n/a", "", "NaN"])
def test_unknown_value_names_the_subject(root, missing):
    """And leaving the subject out works."""
    table = root / "participants.tsv"
    table.write_text(table.read_text().replace("n/a", missing))
    found = records("01", "02", "03")
    with pytest.raises(ValueError, match=r"n/a for sub-02 .*records\[mask\]"):
        read_participants(root, "age", found)
    mask = [subject != "02" for subject in found.subject]
    assert read_participants(root, "age", found[mask]).tolist() == [31.0, 27.5]
    assert read_participants(root, "sex", found).tolist() == ["F", "M", "F"]


def test_unknown_column_lists_columns(root):
    """BIDS: unknown column asked: error listing columns."""
    with pytest.raises(ValueError, match=r"No column 'iq'.*'age', 'participant_id', 'sex'"):
        read_participants(root, "iq", records("01"))


def test_subject_without_row_is_named(root):
    with pytest.raises(ValueError, match="sub-07 of the records not in"):
        read_participants(root, "sex", records("01", "07"))


def test_sessions_have_their_own_values(root):
    for subject, values in (("01", [3, 4]), ("02", [5, "n/a"])):
        bids.write_table(
            root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv",
            {"session_id": ["ses-a", "ses-b"], "score": values},
        )
    found = Records([*records("01", "02", session="a"), *records("01", session="b")])
    assert read_participants(root, "score", found).tolist() == [3.0, 5.0, 4.0]
    with pytest.raises(ValueError, match="n/a for sub-02 ses-b"):
        read_participants(root, "score", records("02", session="b"))
    with pytest.raises(ValueError, match=r"No column 'iq'.*'score', 'session_id'"):
        read_participants(root, "iq", found)


def test_odd_tables(root):
    """Byte order mark and blanks of spreadsheets; a subject twice."""
    table = root / "participants.tsv"
    table.write_text("\ufeffparticipant_id\tage \nsub-01\t 31 \nsub-02\n", encoding="utf-8")
    assert read_participants(root, "age", records("01")).tolist() == [31.0]
    with pytest.raises(ValueError, match="n/a for sub-02"):
        read_participants(root, "age", records("02"))
    table.write_text("participant_id\tage\nsub-01\t31\nsub-01\t32\n")
    with pytest.raises(ValueError, match="more than once.*'01'"):
        read_participants(root, "age", records("01"))
    table.write_text("subject\tage\n01\t31\n")
    with pytest.raises(ValueError, match="no column participant_id"):
        read_participants(root, "age", records("01"))


def test_records_without_a_value_are_dropped(root):
    """Unknown subjects and n/a; the same as leaving them out by hand."""
    found = records("01", "02", "07", "03", "02")
    y, left = read_participants(root, "age", found, on_missing="drop")
    assert left == found[[0, 3]] and isinstance(left, Records)
    assert y.tolist() == read_participants(root, "age", left).tolist() == [31.0, 27.5]
    y, left = read_participants(root, "age", [dict(r) for r in found], on_missing="drop")
    assert [record["subject"] for record in left] == ["01", "03"]
    y, left = read_participants(root, "sex", records("01", "02"), on_missing="drop")
    assert y.tolist() == ["F", "M"] and left == records("01", "02")


def test_nothing_left_to_drop(root):
    with pytest.raises(ValueError, match="n/a for sub-02"):
        read_participants(root, "age", records("02"), on_missing="drop")
    with pytest.raises(ValueError, match="No column 'iq'"):
        read_participants(root, "iq", records("01"), on_missing="drop")
    with pytest.raises(ValueError, match="'on_missing'.*'raise' or 'drop'"):
        read_participants(root, "age", records("01"), on_missing="skip")
