"""Read labels of recordings from a table of files or of subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .bids_names import find_label
from .tables import (
    COLUMNS,
    MISSING,
    as_targets,
    entity_columns,
    matching_rows,
    read_table,
    take_values,
)

_FILES = ("file", "filename", "file_name", "path", "filepath", "file_path")
_FOLDERS = ("folder", "directory", "dir")


def read_labels(files, path, target):
    """Read a label per file from a table of files or of subjects."""
    # -> y (n_files,).
    names = [name for pair in COLUMNS.values() for part in pair for name in part]
    table = read_table(path, (target, *_FILES, *_FOLDERS, *names), keep_default_na=True)
    if target not in table:
        raise ValueError(f"{path} has no column {target!r}; it has {list(table)}. Give --target.")
    columns = entity_columns(table, target)
    by_file = next((name for name in _FILES if name in table and name != target), None)
    by_subject = by_file or columns.get("subject", table.columns[0])
    by_file = by_file or table.columns[0]
    cells = _behind_folders(table, by_file)
    wanted, users = [], {}
    for file in files:
        who = _entities(file)
        named = np.array([_is_called(file, cell) for cell in cells], dtype=bool)
        if named.any():
            rows = named, named
            if table[target][named].nunique() > 1:  # selected by other columns
                rows = matching_rows(table, columns, who)
            if named.sum() == 1:
                users.setdefault(int(named.argmax()), set()).add(file.absolute())
            name = file.name
        else:
            rows = matching_rows(table, {**columns, "subject": by_subject}, who)
            named = ~table[by_subject].isin(MISSING).to_numpy() & (who["subject"] is not None)
            name = f"sub-{who['subject']}"
        wanted.append((name, *(named & fits for fits in rows)))
    _check_shared(users, cells, path)
    found = take_values(table, target, wanted, path)
    for file, value, (_, fits, _) in zip(files, found, wanted, strict=True):
        if value is None or value in MISSING:
            spelled = sorted(set(table[by_subject][fits])) if value is None else []
            hint = f" It has {spelled}: use the spelling of the file names." * bool(spelled)
            raise ValueError(
                f"{path} has no {target!r} for {file.name} in column {by_subject!r}.{hint}"
            )
    return as_targets(found, target, path)


def _behind_folders(table, key):
    """Return names of files, with their folders if there is a column of folders."""
    folder = next((name for name in _FOLDERS if name in table and name != key), None)
    if folder is None:
        return list(table[key])
    pairs = zip(table[folder], table[key], strict=True)
    return [cell if top in MISSING else f"{top}/{cell}" for top, cell in pairs]


def _entities(file):
    """Return the entities in the name of a file; subject and session also of its folders."""
    found = {entity: find_label(file.name, entity) for entity in ("task", "acquisition", "run")}
    found |= {entity: find_label(file.absolute(), entity) for entity in ("subject", "session")}
    return found


def _is_called(file, cell):
    """Check if a path ends with the text of a cell, which may have folders."""
    tail = tuple(part for part in Path(cell.replace("\\", "/")).parts if part != ".")
    return cell == str(file) or (bool(tail) and file.absolute().parts[-len(tail) :] == tail)


def _check_shared(users, cells, path):
    """Raise if one row applies to several files of one name."""
    for row, files in users.items():
        if len(files) > 1:
            listed = ", ".join(map(str, sorted(files)[:3]))
            raise ValueError(
                f"{path} has {cells[row]!r} once, but {len(files)} files have this name: "
                f"{listed}. Write their folders in the table too."
            )
