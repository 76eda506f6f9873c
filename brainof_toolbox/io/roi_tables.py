"""Read the region time series of one run from a text, MATLAB or NumPy file."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np

from .._utils.unique import refuse_repeated

_TEXT = (".txt", ".csv", ".tsv", ".1d", ".dat")
ENDINGS = (*_TEXT, ".mat", ".npy")


def read_roi_table(path, *, n_rois, variable=None):
    """Read the table of region time series of one run."""
    # -> values (n_rois, n_volumes).
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{path} is not a table of region time series by its name: accepted are "
            f"{', '.join(ENDINGS)}. Images are read by from_nifti()."
        )
    if not path.is_file():
        raise FileNotFoundError(f"No such table: {path}.")
    if variable is not None and ending != ".mat":
        raise ValueError(f"variable={variable!r} is for .mat files; {path} is not one.")
    if ending in _TEXT:
        values, names = _read_text(path)
        if names is not None:
            return values.T, names
        return _regions_first(values.T, n_rois), None
    values = _read_mat(path, variable, n_rois) if ending == ".mat" else _read_npy(path)
    return _regions_first(values, n_rois), None


def _regions_first(values, n_rois):
    """Transpose the table if only its second axis has the number of regions."""
    n_first, n_second = values.shape
    return values.T if n_first != n_rois and n_second == n_rois else values


# -------------------------------------------------------------------------------------------- text
def _read_text(path):
    """Read values (n_volumes, n_columns), and the names in the first line or None."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in islice(file, 100)]
        first = next(line for line in lines if line and not line.startswith("#"))
        sep = next((s for s in "\t;," if s in first), r"\s+")
        tokens = [t.strip(" \"'") for t in re.split(sep, first)]
        has_names = not all(_is_number(token) for token in tokens)
        options = {
            "sep": sep,
            "comment": "#",
            "decimal": "," if sep == ";" and "," in "".join(lines) else ".",
            "na_values": ["n/a"],
            "skipinitialspace": True,
            "encoding": "utf-8-sig",
        }
        table = pd.read_csv(path, header=0 if has_names else None, **options)
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0].dropna()
    except StopIteration:
        raise ValueError(f"{path} is empty: no table.") from None
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise ValueError(
            f"Cannot read the table {path}: damaged or not plain text "
            f"({type(error).__name__}: {error})."
        ) from error
    names = [str(name).strip() for name in table.columns] if has_names else _commented(lines)
    refuse_repeated(head.str.strip() if has_names else names or (), f"{path} has regions")
    return _numbers(table, names, has_names, path)


def _numbers(table, names, has_names, path):
    if has_names and names[0] in ("Unnamed: 0", ""):  # row numbers written by pandas
        if np.array_equal(table.iloc[:, 0], np.arange(len(table))):
            table, names = table.iloc[:, 1:], names[1:]
    words = [
        str(c)
        for c, kind in zip(table.columns, table.dtypes, strict=True)
        if kind.kind not in "iuf"
    ]
    if words:
        raise ValueError(
            f"{path}: these columns do not hold numbers: {words[:10]}. Regions are the columns "
            "and volumes the rows; remove all other columns."
        )
    if names is not None and len(names) != table.shape[1]:
        names = None
    return table.to_numpy(dtype=np.float64), names


def _commented(lines):
    """Return the names in a first line that starts with #, as of numpy.savetxt."""
    if not lines or not lines[0].startswith("#"):
        return None
    line = lines[0].lstrip("# ")
    sep = next((s for s in "\t;," if s in line), r"\s+")
    names = [n.strip(" \"'") for n in re.split(sep, line)]
    return None if any(_is_number(n) for n in names) else names


def _is_number(text):
    if text.lower() in ("", "n/a", "na"):
        return True
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------ binary
def _read_mat(path, variable, n_rois):
    from scipy.io import loadmat

    with path.open("rb") as file:
        if file.read(20).startswith(b"MATLAB 7.3"):
            raise ValueError(
                f"{path} is a MATLAB 7.3 file (HDF5), which is not read. Save it in MATLAB with "
                "save(..., '-v7'), or pass the array."
            )
    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises anything on a damaged file; it must be named
        raise ValueError(
            f"Cannot read {path}: damaged or not a MATLAB file ({type(error).__name__}: {error})."
        ) from error
    matrices = {
        name: value
        for name, value in content.items()
        if not name.startswith("__")
        and getattr(value, "ndim", 0) == 2
        and value.dtype.kind in "fiu"
        and min(value.shape) > 0
    }
    if variable is None:
        fitting = {n: v for n, v in matrices.items() if n_rois in v.shape and max(v.shape) > 1}
        fitting = fitting if len(fitting) == 1 else matrices
        if len(fitting) == 1:
            return next(iter(fitting.values()))
    elif variable in matrices:
        return matrices[variable]
    listed = ", ".join(f"{name!r} {value.shape}" for name, value in matrices.items()) or "none"
    asked = "several matrices" if variable is None else f"no matrix {variable!r}"
    raise ValueError(f"{path} holds {asked}: choose with variable= among {listed}.")


def _read_npy(path):
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"Cannot read {path}: damaged or not an array ({type(error).__name__}: {error})."
        ) from error
    if values.ndim != 2:
        raise ValueError(
            f"{path} must hold one run (n_rois, n_volumes), got shape {values.shape}. Pass the "
            "array itself for several runs."
        )
    return values
