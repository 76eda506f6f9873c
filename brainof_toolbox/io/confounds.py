"""Read confounds of an fMRI run: a table, a file, or the output of fMRIPrep."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import and_more, describe_errors
from .._utils.unique import find_repeated
from .datalad import check_present
from .tables import read_numbers

#: Values of ``confounds`` for fMRIPrep's table beside the image.
FMRIPREP = ("auto", "fmriprep")
_MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
_TISSUES = ("csf", "white_matter")
_POWERS = ("", "_derivative1", "_power2", "_derivative1_power2")
#: Columns of changes between volumes, undefined for the first volume.
_CHANGES = re.compile(r"derivative|framewise_displacement|dvars|rmsd|^fd$", re.IGNORECASE)
_ENDINGS = (".tsv", ".csv", ".txt", ".par", ".1d")
#: Number of first rows in which NaN is filled; elsewhere it is an error.
_FIRST_ROWS = 2


def read_confounds(confounds, n_volumes, *, where="The image", path=None):
    """Read the confounds of one run."""
    # confounds (n_volumes, n_confounds) -> values (n_volumes, n_confounds).
    if confounds is None:
        return None, None
    table, sample_mask = confounds, None
    if isinstance(confounds, str) and confounds in FMRIPREP:
        table, sample_mask = _by_nilearn(path, where)
        where = f"{where}, confounds by nilearn"
    elif isinstance(confounds, (str, os.PathLike)):
        file = Path(confounds)
        table = _read_file(file)
        if re.search(r"desc-confounds_(timeseries|regressors)\.tsv$", file.name):
            table, sample_mask = _select(table, file)
        where = f"{where}, confounds {file}"
    else:
        where = f"{where}, confounds"
    values, names = _as_numbers(table, where)
    _check_shape(values, n_volumes, where)
    values = _fill_first_rows(values, names, where)
    return (values if values.shape[1] else None), sample_mask


def _by_nilearn(path, where):
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    if path is None:
        raise ValueError(
            f"{where}: confounds='auto' looks for fMRIPrep's table beside the image, but this "
            "image is in memory. Pass the path of the image, or that of the table as confounds=."
        )
    advice = (
        " The image must be called *_desc-preproc_bold.nii.gz with "
        "*_desc-confounds_timeseries.tsv beside it; otherwise pass the path of a table as "
        "confounds=."
    )
    with describe_errors(f"{where}: no fMRIPrep confounds for {path}", advice):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_confounds_strategy(str(path), denoise_strategy="simple")


def _read_file(file):
    if not file.exists() and not file.is_symlink():
        raise FileNotFoundError(
            f"No such table of confounds: {file}. confounds= is a table, its path, or 'auto'."
        )
    check_present(file)
    if file.suffix.lower() not in _ENDINGS:
        raise ValueError(f"{file}: confounds must be one of {sorted(_ENDINGS)}.")
    return read_numbers(file)[0]


def _select(table, file):
    """Select the columns of nilearn's strategy "simple" from fMRIPrep's table."""
    wanted = [name + power for power in _POWERS for name in _MOTION] + list(_TISSUES)
    missing = [name for name in wanted if name not in table.columns]
    wanted = [name for name in wanted if name in table.columns]
    if not wanted:
        raise ValueError(
            f"{file} has the name of an fMRIPrep table but none of its columns {missing[:6]}, "
            "... Pass the columns to use as a DataFrame: confounds=table[names]."
        )
    if missing:
        more = and_more(len(missing), 8)
        warn(f"{file}: regressed out {wanted}; the columns {missing[:8]}{more} are missing.")
    cosines = [name for name in table.columns if str(name).startswith("cosine")]
    unsteady = [name for name in table.columns if str(name).startswith("non_steady_state")]
    keep = np.flatnonzero(~table[unsteady].to_numpy(dtype=bool).any(axis=1))
    return table[wanted + cosines], (keep if len(keep) < len(table) else None)


def _as_numbers(table, where):
    import pandas as pd

    if isinstance(table, pd.Series):
        table = table.to_frame()
    if isinstance(table, pd.DataFrame):
        names = [str(name) for name in table.columns]
        repeated = find_repeated(names)
        if repeated:
            raise ValueError(f"{where}: columns {repeated} occur twice. Keep one of each.")
        numbers = table.apply(pd.to_numeric, errors="coerce")
        is_text = numbers.isna() & table.notna() & (table.astype(str) != "n/a")
        texts = [name for name, has_text in zip(names, is_text.any(), strict=True) if has_text]
        if texts:
            raise ValueError(f"{where}: columns {texts} hold text; confounds must be numbers.")
        return numbers.to_numpy(dtype=np.float64), names
    try:
        values = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{where}: must be a DataFrame, an array (n_volumes, n_confounds), the path of a "
            f"table, 'auto' or None, got {type(table).__name__}."
        ) from error
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise ValueError(f"{where}: must be (n_volumes, n_confounds), got shape {values.shape}.")
    return values, [f"column {i}" for i in range(values.shape[1])]


def _check_shape(values, n_volumes, where):
    n_rows, n_columns = values.shape
    if n_rows != n_volumes:
        hint = ""
        if n_columns == n_volumes:
            hint = " There are that many columns: pass the table transposed."
        elif n_rows == n_volumes - 1:
            hint = " Its first row may have been read as names of columns."
        raise ValueError(f"{where}: {n_rows} rows, but the image has {n_volumes} volumes.{hint}")
    if n_columns >= n_volumes - 1:
        raise ValueError(
            f"{where}: {n_columns} confounds would leave nothing of {n_volumes} volumes. Choose "
            "columns: confounds=table[names]."
        )


def _fill_first_rows(values, names, where):
    """Fill NaN in the first rows with a warning; raise on other NaN."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    n_leading = np.argmin(bad, axis=0)  # rows before the first finite one
    refused = bad.sum(axis=0) > np.where(bad[0], np.minimum(n_leading, _FIRST_ROWS), 0)
    refused |= np.isinf(values).any(axis=0)
    if refused.any():
        rows = f"of {len(values)} rows"
        listed = [f"{names[i]} ({bad[:, i].sum()} {rows})" for i in np.flatnonzero(refused)]
        raise ValueError(
            f"{where}: NaN or infinite values in {', '.join(listed)}. Only the first "
            f"{_FIRST_ROWS} rows may be NaN. Interpolate these columns, or leave them out."
        )
    values, zero, other = values.copy(), [], []
    for i in np.flatnonzero(bad[0]):
        n, is_change = n_leading[i], _CHANGES.search(names[i])
        values[:n, i] = 0.0 if is_change else values[n, i]
        (zero if is_change else other).append(names[i])
    filled = [f"0 in {zero}"] * bool(zero) + [f"the next value in {other}"] * bool(other)
    warn(f"{where}: NaN in the first rows is replaced by {' and by '.join(filled)}.")
    return values
