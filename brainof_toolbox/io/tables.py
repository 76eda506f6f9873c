"""Read tables of text with column names, and match their rows to recordings."""

from __future__ import annotations

import os
import re
import warnings
from itertools import islice

import numpy as np

from .._utils.logging import warn
from .._utils.messages import describe_errors
from .._utils.unique import find_repeated, refuse_repeated
from .bids_names import plain_label

#: Missing values in tables of BIDS datasets.
MISSING = ("n/a", "N/A", "na", "NA", "nan", "NaN", "")
#: Columns of an entity: unambiguous names, and names with other meanings too.
COLUMNS = {
    "subject": (("participant_id", "subject_id"), ("subject", "participant", "sub")),
    "session": (("session_id", "ses_id"), ("session", "ses")),
    "task": (("task_id",), ("task",)),
    "acquisition": (("acq_id", "acquisition_id"), ("acquisition", "acq")),
    "run": (("run_id",), ("run",)),
}


def read_table(path, wanted=(), *, keep_default_na=False):
    """Read a table as text."""
    import pandas as pd

    options = {
        "sep": "," if os.fspath(path).lower().endswith(".csv") else "\t",
        "dtype": str,
        "encoding": "utf-8-sig",
    }
    try:
        with warnings.catch_warnings():  # longer rows would shift the names by a column
            warnings.simplefilter("error", pd.errors.ParserWarning)
            head = pd.read_csv(path, header=None, nrows=1, keep_default_na=False, **options)
            head = [str(name).strip() for name in head.iloc[0]]
            names = [n if n not in head[:i] else f"{n}\n{i}" for i, n in enumerate(head)]
            options |= {"header": 0, "names": names, "index_col": False}
            table = pd.read_csv(path, keep_default_na=keep_default_na, **options)
    except pd.errors.ParserWarning:
        raise ValueError(f"{path} has rows with more cells than column names.") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"Cannot read {path}: {error}.") from error
    table = table.fillna("n/a").apply(lambda values: values.str.strip())
    for name in set(find_repeated(head)) & set(wanted):
        same = table.iloc[:, [other == name for other in head]]
        if (same.nunique(axis=1) > 1).any():
            raise ValueError(
                f"{path} has the column {name!r} more than once, with different values. Keep one "
                "of them."
            )
    return table[list(dict.fromkeys(head))]


def read_numbers(path):
    """Read a table of numbers with or without a line of names; names may repeat."""
    # -> table (n_rows, n_columns), names of its columns or None.
    import pandas as pd

    with describe_errors(f"Cannot read {path}: damaged or not a table"):
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in islice(file, 100)]
        first = next((line for line in lines if line and not line.startswith("#")), None)
        if first is None:
            raise ValueError("the file is empty")
        sep, names = _split(first)
        has_names = not all(_may_be_number(name) for name in names)
        options = {"sep": sep, "comment": "#", "skipinitialspace": True, "encoding": "utf-8-sig"}
        options["decimal"] = "," if sep == ";" and "," in "".join(lines) else "."
        table = pd.read_csv(path, header=0 if has_names else None, na_values=["n/a"], **options)
    if not has_names:  # names may be in a first line that starts with #, as of numpy.savetxt
        names = _split(lines[0].lstrip("# "))[1] if lines[0].startswith("#") else []
        if len(names) != table.shape[1] or any(_may_be_number(name) for name in names):
            return table, None
    elif len(names) == table.shape[1] and names[0] in ("Unnamed: 0", ""):
        if np.array_equal(table.iloc[:, 0], np.arange(len(table))):  # written by pandas
            table, names = table.iloc[:, 1:], names[1:]
    elif len(names) != table.shape[1]:
        names = [str(name).strip() for name in table.columns]
    table.columns = names
    return table, names


def _split(line):
    """Return the separator of a line and its cells."""
    sep = next((s for s in "\t;," if s in line), r"\s+")
    return sep, [cell.strip(" \"'") for cell in re.split(sep, line)]


def _may_be_number(text):
    try:
        return text in MISSING or float(text.replace(",", ".")) is not None
    except ValueError:
        return False


def check_names(path):
    """Raise if a table has a channel twice."""
    table = read_table(path)
    if "name" in table:
        names = table["name"][~table["name"].isin(MISSING)]
        refuse_repeated(names, f"{path} has channels")


def entity_columns(table, target, *, is_certain=False):
    """Return the columns of a table that identify a recording, by entity."""
    found = {}
    for entity, (certain, others) in COLUMNS.items():
        names = certain if is_certain else (*certain, *others)
        name = next((name for name in names if name in table and name != target), None)
        if name is not None:
            found[entity] = name
    return found


def loose_label(label):
    """Normalise other spellings of a label: leading zeros, capitals, its entity."""
    label = re.sub(r"^(sub|ses|task|acq|run)[-_]", "", label.casefold())
    return label.lstrip("0") or "0" if label.isdigit() else label


def matching_rows(table, columns, who):
    """Return masks of rows with these entities, in any and in the same spelling."""
    fits = exact = np.ones(len(table), dtype=bool)
    for entity, column in columns.items():
        label = who.get(entity)
        if label is None:
            continue
        label = plain_label(entity, label)
        cells = [plain_label(entity, cell) for cell in table[column]]
        is_open = table[column].isin(MISSING).to_numpy()
        fits = fits & (is_open | [loose_label(cell) == loose_label(label) for cell in cells])
        exact = exact & (is_open | [cell == label for cell in cells])
    return fits, exact & fits


def take_values(table, target, wanted, path):
    """Return one value per item; None where no row has the same spelling."""
    # Items are tuples: name in messages, mask of rows, mask of rows with the same spelling.
    found, repeated = [], {}
    for name, fits, exact in wanted:
        values = list(dict.fromkeys(table[target][fits]))
        if len(values) > 1:
            repeated[name] = values[:3]
        found.append(values[0] if values and exact.any() else None)
    if repeated:
        first, values = next(iter(repeated.items()))
        raise ValueError(
            f"{path} has subjects or files more than once: {list(repeated)[:20]}. The values of "
            f"{target!r} differ, for example {values} for {first!r}. Keep one row for each, or "
            "distinguish the rows by a column: session_id, task, acq or run, or the folder of a "
            "file."
        )
    return found


def as_targets(found, column, path):
    """Convert values to numbers if all are, else to text."""
    is_text = [not _is_number(value) for value in found]
    if not any(is_text):
        return np.array(found, dtype=np.float64)
    if not all(is_text):
        odd = sorted({value for value, text in zip(found, is_text, strict=True) if text})
        warn(
            f"{column!r} is read as text: some values in {path} are numbers, but not "
            f"{odd[:10]}. Correct these, or leave their records out, to get numbers."
        )
    return np.array(found, dtype=str)


def _is_number(text):
    try:
        return np.isfinite(float(text)) and "_" not in text  # Python reads 1_2 as 12
    except ValueError:
        return False
