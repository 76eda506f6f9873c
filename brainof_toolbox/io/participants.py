"""Read targets from the participants table of a BIDS dataset."""

from __future__ import annotations

from .._utils.messages import join_some
from .._utils.unique import find_repeated
from .._utils.validation import check_option
from ..signals import PER_SAMPLE
from .bids_files import check_root
from .bids_names import plain_label
from .tables import MISSING, as_targets, entity_columns, matching_rows, read_table, take_values


def read_participants(root, column, records, on_missing="raise"):
    """Read a target per record from ``participants.tsv``.

    Parameters
    ----------
    root : path-like
        The dataset.
    column : str
        Column of ``participants.tsv``, or of the subjects' ``sub-*_sessions.tsv`` where
        ``participants.tsv`` does not have it.
    records : Records | sequence of dict
        Records of :func:`read_bids`; each needs its ``"subject"``.
    on_missing : str
        ``"raise"`` refuses records of a subject (or session) that is not in the table or has no
        value (``n/a``); ``"drop"`` leaves them out.

    Returns
    -------
    y : ndarray, shape (n_records,)
        float64 if all values in use are numbers, also if they code categories; else str, with a
        warning if some are numbers (``"89+"``).
    records : Records | list of dict
        The records that are left, in order. Only returned with ``on_missing="drop"``.

    Raises
    ------
    FileNotFoundError
        If the dataset or its ``participants.tsv`` does not exist.
    ValueError
        If the column does not exist, a value is missing (with ``"drop"``: all are), or rows of
        one record differ; the message names them.

    Notes
    -----
    ``participants.tsv`` has one row per subject. Of several, the row with the ``session_id`` (or
    ``session``, ``task``, ``run``) of the record is used.
    """
    check_option("on_missing", on_missing, ("raise", "drop"))
    root = check_root(root)
    path = root / "participants.tsv"
    if not path.is_file():
        raise FileNotFoundError(f"No participants.tsv in {root}: {column!r} is read from {path}.")
    table = read_table(path, ("participant_id", column))
    labels = [{name: item.get(name) for name in PER_SAMPLE} for item in records]
    if any(item["subject"] is None for item in labels):
        raise ValueError("Each record needs a 'subject', to find it in participants.tsv.")
    who = [
        {name: plain_label(name, label) for name, label in item.items() if label is not None}
        for item in labels
    ]
    if is_by_session := column not in table:
        table = _read_sessions(root, column, who, sorted(table))
        columns = {"subject": "participant_id", "session": "session_id"}
        path = f"the sessions.tsv files of {root}"
    elif "participant_id" in table:  # by session, task and run too if subjects repeat
        subjects = [plain_label("subject", name) for name in table["participant_id"]]
        columns = entity_columns(table, column, is_certain=not find_repeated(subjects))
        columns["subject"] = "participant_id"
    else:
        raise ValueError(f"{path} has no column participant_id; it has {list(table)}.")
    wanted = [(_name_of(item), *matching_rows(table, columns, item)) for item in who]
    found = take_values(table, column, wanted, path)
    if is_by_session:
        found = [v if "session" in item else None for item, v in zip(who, found, strict=True)]
    kept = [i for i, value in enumerate(found) if value is not None and value not in MISSING]
    if on_missing == "drop" and kept:
        y = as_targets([found[i] for i in kept], column, path)
        is_list = isinstance(records, (list, tuple))
        return y, [records[i] for i in kept] if is_list else records[kept]
    names = [f"sub-{_name_of(item)}" for item in who]
    absent = [name for name, value in zip(names, found, strict=True) if value is None]
    if absent:
        raise ValueError(f"{_join(absent)} of the records not in {path}. {_ADVICE}")
    unknown = [name for name, value in zip(names, found, strict=True) if value in MISSING]
    if unknown:
        raise ValueError(f"{column!r} is n/a for {_join(unknown)} in {path}. {_ADVICE}")
    return as_targets(found, column, path)


def _read_sessions(root, column, who, columns):
    """Read the rows of the subjects' sub-*_sessions.tsv that have the column."""
    import pandas as pd

    tables = []
    for subject in dict.fromkeys(item["subject"] for item in who):
        path = root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        if path.is_file():
            tables.append(read_table(path, ("session_id", column)).assign(participant_id=subject))
    tables = [table for table in tables if "session_id" in table]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if column not in table:
        known = sorted(set(table) - {"participant_id"})
        also = f"; the sessions.tsv files have {known}" if known else ""
        raise ValueError(
            f"No column {column!r} in {root / 'participants.tsv'}: it has {columns}{also}."
        )
    return table[table[column].notna()]


def _name_of(item):
    return item["subject"] + (f" ses-{item['session']}" if "session" in item else "")


def _join(names):
    return join_some(dict.fromkeys(names), 20)


_ADVICE = (
    "Leave these records out: on_missing='drop', or records[mask], for example with "
    "mask = [subject not in (...) for subject in records.subject]."
)
