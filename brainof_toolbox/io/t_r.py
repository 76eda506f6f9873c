"""The repetition time of an fMRI run: from the header, its BIDS sidecar, or the user."""

from __future__ import annotations

import json
import math
import numbers
import re
from pathlib import Path

from .._utils.logging import warn

#: Repetition times outside this range, in seconds, are in another unit.
_SHORTEST, _LONGEST = 0.01, 60.0
#: Two statements of one repetition time that differ by more than this share are said.
_TOLERANCE = 0.01
_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_ENDINGS = (".gz", ".nii", ".img", ".hdr", ".mgz", ".mgh", ".json", ".tsv")


def split_bids_name(path):
    """Take a BIDS file name apart."""
    stem = _stem(path)
    *parts, suffix = stem.split("_")
    found = [re.fullmatch(r"([A-Za-z0-9]+)-([^_]+)", part) for part in parts]
    return {match[1]: match[2] for match in found if match}, suffix


def _stem(path):
    stem = Path(path).name
    for ending in _ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    return stem


def find_sidecar(path):
    """Read what BIDS says beside a file, by the inheritance principle."""
    values = {}
    for file in sidecar_files(path):
        values.update(_read_json(file))
    return values


def sidecar_files(path):
    """List the sidecars of a file."""
    path = Path(path)
    path = path.parent.absolute() / path.name  # a datalad link is looked for where it lies
    entities, suffix = split_bids_name(path)
    files = []
    for folder in _folders(path, entities):
        found = []
        for file in folder.glob(f"*{suffix}.json") if entities else ():
            own, own_suffix = split_bids_name(file)
            if own_suffix == suffix and own.items() <= entities.items():
                found.append((len(own), file.name, file))
        files.extend(file for _, _, file in sorted(found))
    beside = path.with_name(f"{_stem(path)}.json")
    if beside not in files and beside.is_file():
        files.append(beside)
    return files


def _folders(path, entities):
    """Folders that may hold sidecars, from the dataset's root down to the file's own."""
    if not entities:
        return []
    folders = [path.parent, *path.parent.parents]
    for i, folder in enumerate(folders):
        if (folder / "dataset_description.json").is_file():
            return folders[i::-1]
    # Without a root, only folders that are named as in BIDS are left upwards.
    top = 0
    while top < len(folders) - 1 and re.fullmatch(r"func|(ses|sub)-.+", folders[top].name):
        top += 1
    return folders[top::-1]


def _read_json(file):
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Cannot read the sidecar {file}: damaged or not JSON ({type(error).__name__}: "
            f"{error})."
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"The sidecar {file} must hold a JSON object ({{...}}).")
    return values


def resolve_t_r(image, *, where="The image", path=None, t_r=None, masker_t_r=None):
    """Decide on the repetition time of a run."""
    # Headers are believed least: scripts drop or mangle their repetition time. The sidecar's
    # ``RepetitionTime`` goes before the header's, the user's ``t_r=`` and then the masker's before
    # both. Statements that differ by more than 1 % are warned about.
    said = []  # (who, seconds), the most trusted first
    for name, value in (("t_r", t_r), ("masker.t_r", masker_t_r)):
        if value is not None:
            said.append((name, _check_seconds(name, value)))
    files = sidecar_files(path) if path is not None else []
    value, source = _from_sidecars(files, lenient=bool(said))
    if value is not None:
        said.append((f"RepetitionTime in {source}", value))
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


def _check_seconds(name, value):
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


def _from_sidecars(files, lenient):
    """Seconds and the file that says so; with ``lenient`` a senseless value is warned about."""
    for file in reversed(files):
        values = _read_json(file)
        if "RepetitionTime" not in values:
            continue
        try:
            name = f"RepetitionTime in {file}"
            return _check_seconds(name, values["RepetitionTime"]), file
        except (TypeError, ValueError) as error:
            if not lenient:
                raise ValueError(f"{error} Correct the sidecar, or pass t_r=.") from error
            warn(f"{error} It is ignored, as t_r is given.")
            return None, file
    return None, None


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
