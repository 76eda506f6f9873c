"""Read the region time series of one run from a text, MATLAB or NumPy file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._utils.messages import describe_errors
from .._utils.unique import refuse_repeated
from .tables import read_numbers

_TEXT = (".txt", ".csv", ".tsv", ".1d", ".dat")
ENDINGS = (*_TEXT, ".mat", ".npy")


def read_roi_table(path, *, n_rois, variable=None):
    """Read the table of region time series of one run."""
    # -> values (n_volumes, n_rois), names of the regions or None.
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
    if ending == ".mat":
        return _read_mat(path, variable, n_rois), None
    if ending == ".npy":
        with describe_errors(f"Cannot read {path}: damaged or not an array"):
            return np.load(path, allow_pickle=False), None
    table, names = read_numbers(path)
    refuse_repeated(names or (), f"{path} has regions")
    words = [str(name) for name, kind in table.dtypes.items() if kind.kind not in "iuf"]
    if words:
        raise ValueError(
            f"{path}: these columns do not hold numbers: {words[:10]}. Regions are the columns "
            "and volumes the rows; remove all other columns."
        )
    return table.to_numpy(dtype=np.float64), names


def _read_mat(path, variable, n_rois):
    from scipy.io import loadmat

    with path.open("rb") as file:
        if file.read(20).startswith(b"MATLAB 7.3"):
            raise ValueError(
                f"{path} is a MATLAB 7.3 file (HDF5), which is not read. Save it in MATLAB with "
                "save(..., '-v7'), or pass the array."
            )
    with describe_errors(f"Cannot read {path}: damaged or not a MATLAB file"):
        content = loadmat(path)
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
