"""The repetition time of an fMRI run: from the header, its BIDS sidecar, or the user."""

from __future__ import annotations

import math
import numbers

import numpy as np

from .._utils.logging import warn
from .sidecars import read_json_sidecar, sidecar_files

#: Repetition times outside this range, in seconds, are in another unit.
_SHORTEST, _LONGEST = 0.01, 60.0
#: Two statements of one repetition time that differ by more than this share are said.
_TOLERANCE = 0.01
_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def resolve_t_r(image, *, where="The image", path=None, t_r=None, masker_t_r=None):
    """Decide on the repetition time of a run."""
    # Headers are believed least: scripts drop or mangle their repetition time. The sidecar's
    # ``RepetitionTime`` goes before the header's, the user's ``t_r=`` and then the masker's before
    # both. Statements that differ by more than 1 % are warned about.
    said = []  # (who, seconds), the most trusted first
    for name, value in (("t_r", t_r), ("masker.t_r", masker_t_r)):
        if value is not None:
            said.append((name, check_seconds(name, value)))
    files = sidecar_files(path) if path is not None else []
    n_volumes = image.shape[3] if len(image.shape) > 3 else None
    value, source = t_r_from_sidecars(files, n_volumes, lenient=bool(said))
    if value is not None:
        said.append((source, value))
    value, doubt = _from_header(image.header, where)
    if said:
        if value is not None and doubt != "default":
            said.append(("the header", value))
        _warn_differences(said, where)
        return said[0][1]
    if value is None:
        _raise_unknown(where, files)
    if doubt == "unit":
        raise ValueError(
            f"{where}: the header's repetition time (TR) is {value:g} s, which cannot be: "
            f"{_guess(value)}. Pass t_r= in seconds, or correct pixdim[4] and its unit."
        )
    if doubt == "default":
        warn(
            f"{where}: the repetition time (TR) in the header is 1 without a unit, which is what "
            "nibabel writes when nobody set it. 1 s is taken; pass t_r= (in seconds)."
        )
    return value


def check_seconds(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}.")
    value = float(value)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a repetition time above 0 s, got {value!r}.")
    if not _SHORTEST <= value <= _LONGEST:
        raise ValueError(
            f"{name}={value:g}: seconds are expected, and no repetition time is that long or "
            f"short; {_guess(value)}."
        )
    return value


def _guess(value):
    if value > _LONGEST:
        return f"most likely it is in milliseconds ({value / 1e3:g} s)"
    return f"most likely it was divided by 1000 once too often ({value * 1e3:g} s)"


def t_r_from_sidecars(files, n_volumes=None, *, lenient=False):
    """Return the repetition time in seconds and the entry that states it, or (None, None)."""
    # With ``lenient`` a ``RepetitionTime`` that cannot be seconds is a warning.
    for file in reversed(files):
        values = read_json_sidecar(file)
        if "VolumeTiming" in values:
            step = _step_of(values["VolumeTiming"], f"VolumeTiming in {file}", n_volumes)
            if "RepetitionTime" in values:
                name = f"RepetitionTime in {file}"
                _compare(step, check_seconds(name, values["RepetitionTime"]), file)
            return step, f"VolumeTiming in {file}"
        if "RepetitionTime" not in values:
            continue
        name = f"RepetitionTime in {file}"
        try:
            return check_seconds(name, values["RepetitionTime"]), name
        except (TypeError, ValueError) as error:
            if not lenient:
                raise ValueError(f"{error} Correct the sidecar, or pass t_r=.") from error
            warn(f"{error} It is ignored, as t_r is given.")
            return None, None
    return None, None


def _step_of(onsets, name, n_volumes):
    """Return the step of evenly spaced volume onsets; other onsets are an error."""
    is_list = isinstance(onsets, list) and all(
        isinstance(v, numbers.Real) and not isinstance(v, bool) for v in onsets
    )
    if not is_list or len(onsets) < 2 or not np.isfinite(np.array(onsets, dtype=float)).all():
        raise ValueError(f"{name} must be a list of at least two onsets in seconds.")
    if n_volumes is not None and len(onsets) != n_volumes:
        raise ValueError(f"{name} has {len(onsets)} onsets but the image has {n_volumes} volumes.")
    steps = np.diff(np.array(onsets, dtype=float))
    if (steps <= 0).any():
        raise ValueError(f"{name} does not increase: onset {np.argmax(steps <= 0) + 1} is early.")
    step = check_seconds(f"The step of {name}", float(np.median(steps)))
    if np.abs(steps - step).max() > _TOLERANCE * step:
        raise ValueError(
            f"{name}: the volumes are {steps.min():g} to {steps.max():g} s apart (sparse or "
            "clustered acquisition), but a series needs one repetition time. Resample the image "
            "to even steps and remove VolumeTiming, or leave the run out."
        )
    return step


def _compare(step, t_r, file):
    """Refuse a repetition time that contradicts the onsets in the same sidecar."""
    if abs(step - t_r) > _TOLERANCE * step:
        raise ValueError(
            f"{file}: RepetitionTime is {t_r:g} s but the volumes of VolumeTiming are {step:g} s "
            "apart. Remove the wrong one; BIDS allows one of them."
        )


def _from_header(header, where):
    """Seconds that the header states, and why to doubt them: None, "default" or "unit"."""
    zooms = header.get_zooms()
    if len(zooms) < 4:
        return None, None
    value = float(zooms[3])
    unit = header.get_xyzt_units()[1] if hasattr(header, "get_xyzt_units") else "unknown"
    if type(header).__name__ == "MGHHeader":  # FreeSurfer counts in milliseconds
        unit = "msec"
    if not math.isfinite(value) or value <= 0 or unit not in _UNITS:  # Hz, ppm: no time axis
        return None, None
    if unit == "unknown" and value == 1.0:
        return 1.0, "default"
    value = float(f"{value:.6g}") * _UNITS[unit]  # the header's single precision
    return value, None if _SHORTEST <= value <= _LONGEST else "unit"


def _warn_differences(said, where):
    name, value = said[0]
    others = [(n, v) for n, v in said[1:] if abs(v - value) > _TOLERANCE * value]
    if others:
        listed = " and ".join(f"{v:g} s ({n})" for n, v in others)
        warn(
            f"{where}: the repetition time (TR) is {value:g} s by {name}, which is used, but "
            f"{listed}. Check which is right."
        )


def _raise_unknown(where, files):
    if files:
        raise ValueError(
            f"{where}: the repetition time (TR) is unknown: {files[-1]} has no RepetitionTime, "
            "and the header says 0. Add RepetitionTime to it, or pass t_r= in seconds."
        )
    raise ValueError(
        f"{where}: the repetition time (TR) is unknown: the header says 0 (pixdim[4]) and there "
        "is no JSON sidecar. Pass t_r= in seconds."
    )
