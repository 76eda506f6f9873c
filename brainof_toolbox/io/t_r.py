"""Repetition time of an fMRI run: from the user, the BIDS sidecar or the header."""

from __future__ import annotations

import math
import numbers

import numpy as np

from .sidecars import read_json_sidecar

#: Repetition times outside this range, in seconds, are in another unit.
_SHORTEST, _LONGEST = 0.01, 60.0
#: Relative difference of two repetition times of one run above which a warning is given.
_TOLERANCE = 0.01
_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def resolve_t_r(image, *, where="The image", files=(), t_r=None, masker_t_r=None):
    """Determine the repetition time (s) of a run from all sources, and warnings about it."""
    # Headers come last, as scripts drop or corrupt their repetition time: first the user's
    # ``t_r=``, then the masker's, then that of the sidecars ``files``. Differences above 1 % are
    # warned about.
    found, notes = [], []  # (source, seconds), the most reliable first
    for name, value in (("t_r", t_r), ("masker.t_r", masker_t_r)):
        if value is not None:
            found.append((name, check_seconds(name, value)))
    n_volumes = image.shape[3] if len(image.shape) > 3 else None
    value, source = t_r_from_sidecars(files, n_volumes, notes=notes if found else None)
    if value is not None:
        found.append((source, value))
    value, doubt = _from_header(image.header)
    if found:
        if value is not None and doubt != "default":
            found.append(("the header", value))
        return found[0][1], notes + _note_differences(found, where)
    if value is None:
        reason = "it is 0 in the header (pixdim[4]) and there is no JSON sidecar. Pass"
        if files:
            reason = (
                f"{files[-1]} has no RepetitionTime, and 0 in the header. Add RepetitionTime to "
                "it, or pass"
            )
        raise ValueError(
            f"{where}: the repetition time (TR) is unknown: {reason} t_r= in seconds."
        )
    if doubt == "unit":
        raise ValueError(
            f"{where}: the header's repetition time (TR) is {value:g} s, which is impossible: "
            f"{_guess(value)}. Pass t_r= in seconds, or correct pixdim[4] and its unit."
        )
    if doubt == "default":
        notes.append(
            f"{where}: the repetition time (TR) in the header is 1 without a unit, the default "
            "of nibabel. 1 s is used; pass t_r= (in seconds)."
        )
    return value, notes


def check_seconds(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}.")
    value = float(value)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a repetition time above 0 s, got {value!r}.")
    if not _SHORTEST <= value <= _LONGEST:
        raise ValueError(
            f"{name}={value:g}: seconds are expected, from {_SHORTEST:g} to {_LONGEST:g}; "
            f"{_guess(value)}."
        )
    return value


def _guess(value):
    if value > _LONGEST:
        return f"most likely it is in milliseconds ({value / 1e3:g} s)"
    return f"most likely it was divided by 1000 once too often ({value * 1e3:g} s)"


def t_r_from_sidecars(files, n_volumes=None, *, notes=None):
    """Return the repetition time (s) and the sidecar entry that states it, or (None, None)."""
    # An impossible ``RepetitionTime`` is an error, or appended to the list ``notes``.
    for file in reversed(files):
        values, name = read_json_sidecar(file), f"RepetitionTime in {file}"
        t_r = values.get("RepetitionTime")
        if "VolumeTiming" in values:
            step = _step_of(values["VolumeTiming"], f"VolumeTiming in {file}", n_volumes)
            if "RepetitionTime" in values and _differ(check_seconds(name, t_r), step):
                raise ValueError(
                    f"{file}: RepetitionTime is {t_r:g} s but the volumes of VolumeTiming are "
                    f"{step:g} s apart. Remove the wrong one; BIDS allows one of them."
                )
            return step, f"VolumeTiming in {file}"
        if "RepetitionTime" in values:
            try:
                return check_seconds(name, t_r), name
            except (TypeError, ValueError) as error:
                if notes is None:
                    raise ValueError(f"{error} Correct the sidecar, or pass t_r=.") from error
                notes.append(f"{error} It is ignored, as t_r is given.")
                return None, None
    return None, None


def _differ(seconds, others):
    return np.abs(np.subtract(seconds, others)) > _TOLERANCE * np.abs(others)


def _step_of(onsets, name, n_volumes):
    """Return the step of evenly spaced volume onsets; other onsets are an error."""
    is_list = isinstance(onsets, list) and not any(isinstance(v, bool) for v in onsets)
    is_list = is_list and all(isinstance(v, numbers.Real) for v in onsets)
    if not is_list or len(onsets) < 2 or not np.isfinite(np.array(onsets, dtype=float)).all():
        raise ValueError(f"{name} must be a list of at least two onsets in seconds.")
    if n_volumes is not None and len(onsets) != n_volumes:
        raise ValueError(f"{name} has {len(onsets)} onsets but the image has {n_volumes} volumes.")
    steps = np.diff(np.array(onsets, dtype=float))
    if (steps <= 0).any():
        raise ValueError(f"{name} does not increase: onset {np.argmax(steps <= 0) + 1} is early.")
    step = check_seconds(f"The step of {name}", float(np.median(steps)))
    if _differ(steps, step).any():
        raise ValueError(
            f"{name}: the volumes are {steps.min():g} to {steps.max():g} s apart (sparse or "
            "clustered acquisition), but a series needs one repetition time. Resample the image "
            "to even steps and remove VolumeTiming, or leave the run out."
        )
    return step


def _from_header(header):
    """Return the seconds in the header, and why to doubt them: None, "default" or "unit"."""
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


def _note_differences(found, where):
    name, value = found[0]
    listed = " and ".join(f"{v:g} s ({n})" for n, v in found[1:] if _differ(v, value))
    message = (
        f"{where}: the repetition time (TR) is {value:g} s by {name}, which is used, but "
        f"{listed}. Check which is right."
    )
    return [message] if listed else []
