"""Targets from the participants table of a BIDS dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import join_some
from .bids_files import check_root

#: How tables of BIDS datasets write that a value is not known.
MISSING = ("n/a", "N/A", "na", "NA", "nan", "NaN", "")


def read_participants(root, column, records):
    """Take a target per record from ``participants.tsv``.

    Parameters
    ----------
    root : path-like
        The dataset.
    column : str
        Column of ``participants.tsv``, or of the subjects' ``sub-*_sessions.tsv`` where
        ``participants.tsv`` does not have it.
    records : Records | sequence of dict
        What :func:`read_bids` gave; each names its ``"subject"``.

    Returns
    -------
    y : ndarray, shape (n_records,)
        float64 when all values in use are numbers, also where numbers code categories; else
        str, with a warning that names the others when some are numbers (``"89+"``).

    Raises
    ------
    FileNotFoundError
        If the dataset or its ``participants.tsv`` does not exist.
    ValueError
        If the column does not exist, or a subject (or session) is not in the table or has no
        value (``n/a``); the message names them.
    """
    root = check_root(root)
    path = root / "participants.tsv"
    if not path.is_file():
        raise FileNotFoundError(
            f"No participants.tsv in {root}: {column!r} was asked from {path}."
        )
    table = read_table(path)
    who = [(_plain(item.get("subject")), _plain(item.get("session"))) for item in records]
    if any(subject is None for subject, _ in who):
        raise ValueError("Each record must name its 'subject', to find it in participants.tsv.")
    if column in table:
        values = _by_subject(table, column, path)
        found = [values.get(subject) for subject, _ in who]
    else:
        found = _from_sessions(root, column, who, sorted(table))
        path = f"the sessions.tsv files of {root}"
    _check_found(found, who, column, path)
    is_text = [not _is_number(value) for value in found]
    if not any(is_text):
        return np.array(found, dtype=np.float64)
    if not all(is_text):
        odd = sorted({value for value, text in zip(found, is_text, strict=True) if text})
        warn(
            f"{column!r} is taken as text: some values in {path} are numbers, but not "
            f"{odd[:10]}. Correct these, or leave their records out, to have numbers."
        )
    return np.array(found, dtype=str)


def read_table(path):
    """Read a BIDS table as text."""
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise ValueError(f"Cannot read {path}: {error}.") from error
    table.columns = [str(name).strip() for name in table.columns]
    return table.fillna("n/a").apply(lambda values: values.str.strip())


def _plain(label):
    return None if label is None else str(label).removeprefix("sub-").removeprefix("ses-")


def _is_number(text):
    try:
        return np.isfinite(float(text)) and "_" not in text  # Python reads 1_2 as 12
    except ValueError:
        return False


def _by_subject(table, column, path):
    if "participant_id" not in table:
        raise ValueError(f"{path} has no column participant_id; it has {list(table)}.")
    subjects = [_plain(name) for name in table["participant_id"]]
    repeated = sorted({name for name in subjects if subjects.count(name) > 1})
    if repeated:
        raise ValueError(f"{path} names subjects more than once: {repeated}.")
    return dict(zip(subjects, table[column], strict=True))


def _from_sessions(root, column, who, columns):
    """Values of sub-*_sessions.tsv, by subject and session."""
    values, known = {}, set()
    for subject in dict.fromkeys(subject for subject, _ in who):
        path = Path(root) / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        if not path.is_file():
            continue
        table = read_table(path)
        known |= set(table)
        if column in table and "session_id" in table:
            sessions = [_plain(name) for name in table["session_id"]]
            values |= {(subject, s): v for s, v in zip(sessions, table[column], strict=True)}
    if column not in known:
        also = f"; the sessions.tsv files have {sorted(known)}" if known else ""
        raise ValueError(
            f"No column {column!r} in {Path(root) / 'participants.tsv'}: it has {columns}{also}."
        )
    return [values.get(key) for key in who]


def _check_found(found, who, column, path):
    absent = [key for key, value in zip(who, found, strict=True) if value is None]
    if absent:
        raise ValueError(f"{_name(absent)} of the records not in {path}. {_ADVICE}")
    unknown = [key for key, value in zip(who, found, strict=True) if value in MISSING]
    if unknown:
        raise ValueError(f"{column!r} is n/a for {_name(unknown)} in {path}. {_ADVICE}")


_ADVICE = (
    "Leave these records out: records[mask], for example with "
    "mask = [subject not in (...) for subject in records.subject]."
)


def _name(keys):
    names = [f"sub-{subject}" + (f" ses-{ses}" if ses else "") for subject, ses in keys]
    return join_some(dict.fromkeys(names), 20)
