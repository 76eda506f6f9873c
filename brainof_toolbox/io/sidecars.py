"""Names of BIDS files, and the rule by which sidecars apply to a recording.

A sidecar applies if the recording has all of its entities. The nearest folder wins, and in one
folder the sidecar with most entities.
"""

from __future__ import annotations

import re
from pathlib import Path

from .._utils.unique import load_json

_ENDINGS = (".gz", ".nii", ".img", ".hdr", ".mgz", ".mgh", ".json", ".tsv")
#: Entities of sidecars that describe the sidecar itself: the space of its coordinates.
_OF_SIDECARS = {"electrodes": ("space",), "coordsystem": ("space",)}
#: Entities whose values are numbers: run-1 is run-01.
_NUMBERS = ("run", "echo", "split", "flip", "inv")
_LEVELS = re.compile(r"func|eeg|meg|(ses|sub)-.+")


def split_bids_name(path):
    """Split a BIDS file name into its entities (dict) and its suffix."""
    *parts, suffix = _stem(path).split("_")
    found = [re.fullmatch(r"([A-Za-z0-9]+)-([^_]+)", part) for part in parts]
    entities = {match[1]: match[2] for match in found if match}
    return entities, suffix.partition(".")[0] if entities else suffix


def _stem(path):
    stem = Path(path).name
    for ending in _ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    return stem


def _located(path):
    """Make a path absolute without following it: a datalad link counts where it lies."""
    path = Path(path)
    return path.parent.absolute() / path.name


def sidecar_files(path, suffix=None, extension=".json"):
    """List the sidecars that apply to a recording, the most specific last."""
    path = _located(path)
    entities, own_suffix = split_bids_name(path)
    levels = _folders(path, entities)
    files = [
        file
        for level in levels
        for file in _applicable(level, entities, suffix or own_suffix, extension)
    ]
    beside = path.with_name(f"{_stem(path)}{extension}")
    if suffix is None and beside not in files and beside.is_file():
        files.append(beside)
    return files


def nearest_sidecar(path, suffix, extension=".tsv", *, base=None):
    """Return the sidecar that applies to a recording, or None; ``base`` is another root."""
    path = _located(path)
    entities, _ = split_bids_name(path)
    for level in reversed(_folders(path, entities, base)):
        found = _applicable(level, entities, suffix, extension)
        if found:
            return _only_best(found, suffix, path)
    return None


def paired_by_space(path):
    """List the pairs of electrodes.tsv and coordsystem.json that apply, one pair per space."""
    # Pairs that do not fit the recording as closely as others are left out. A table without a
    # coordinate system has None in its place.
    path = _located(path)
    entities, _ = split_bids_name(path)
    for level in reversed(_folders(path, entities)):
        tables = _by_space(_applicable(level, entities, "electrodes", ".tsv"), path)
        if tables:
            most = max(_count(file) for file in tables.values())
            tables = {s: file for s, file in tables.items() if _count(file) == most}
            return [(file, _coordinate_system(path, entities, s)) for s, file in tables.items()]
    return []


def _coordinate_system(path, entities, space):
    for level in reversed(_folders(path, entities)):
        found = _by_space(_applicable(level, entities, "coordsystem", ".json"), path)
        if space in found or None in found:
            return found.get(space, found.get(None))
    return None


def _by_space(files, path):
    spaces = {}
    for file in files:
        spaces.setdefault(split_bids_name(file)[0].get("space"), []).append(file)
    return {space: _only_best(found, "sidecar", path) for space, found in spaces.items()}


def _count(file):
    """Number of entities that a sidecar shares with its recording."""
    return len(split_bids_name(file)[0].keys() - {"space"})


def _only_best(files, suffix, path):
    """Of sidecars in one folder return that with most entities; several of these are an error."""
    most = max(len(split_bids_name(file)[0]) for file in files)
    best = [file for file in files if len(split_bids_name(file)[0]) == most]
    if len(best) > 1:
        named = " and ".join(str(file) for file in best)
        raise ValueError(
            f"Several {suffix} files fit {path.name} equally well: {named}. Remove those of other "
            "recordings, or add the entities that tell them apart to their names."
        )
    return best[0]


def _applicable(folder, entities, suffix, extension):
    """Sidecars in one folder whose entities the recording has, fewest entities first."""
    if not entities:
        return []
    found = []
    for file in folder.glob(f"*{suffix}{extension}"):
        own, own_suffix = split_bids_name(file)
        for name in _OF_SIDECARS.get(suffix, ()):
            if name not in entities:
                own.pop(name, None)
        if own_suffix == suffix and all(_is_same(n, v, entities.get(n)) for n, v in own.items()):
            found.append((len(own), file.name, file))
    return [file for _, _, file in sorted(found)]


def _is_same(name, value, other):
    """Whether two values of an entity are equal; numbers may have leading zeros."""
    if name in _NUMBERS and value.isdecimal() and (other or "").isdecimal():
        return int(value) == int(other)
    return value == other


def _folders(path, entities, base=None):
    """Folders that may hold sidecars, from the dataset's root down to the recording's own."""
    if not entities:
        return []
    if base is not None:
        levels = [part for part in path.parent.parts if _LEVELS.fullmatch(part)]
        return [Path(base).joinpath(*levels[:n]) for n in range(len(levels) + 1)]
    folders = [path.parent, *path.parent.parents]
    for i, folder in enumerate(folders):
        if (folder / "dataset_description.json").is_file():
            return folders[i::-1]
    # Without a root, only folders that are named as in BIDS are left upwards.
    top = 0
    while top < len(folders) - 1 and _LEVELS.fullmatch(folders[top].name):
        top += 1
    return folders[top::-1]


def read_sidecar(path):
    """Read the JSON sidecars of a recording into one dict; the most specific value wins."""
    values = {}
    for file in sidecar_files(path):
        values.update(read_json_sidecar(file))
    return values


def read_json_sidecar(file):
    """Read one JSON sidecar."""
    try:
        values = load_json(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Cannot read the sidecar {file}: damaged or not JSON ({type(error).__name__}: "
            f"{error})."
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"The sidecar {file} must hold a JSON object ({{...}}).")
    return values
