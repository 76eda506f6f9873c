"""Find and read the sidecars of a recording by the BIDS inheritance principle.

A sidecar applies if the recording has all of its entities. The nearest folder has priority, and
in one folder the sidecar with most entities.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .._utils.messages import describe_errors
from .._utils.unique import load_json
from .bids_names import parse, plain_label, stem_of

#: Entities of sidecars that describe the sidecar itself: the space of its coordinates.
_OF_SIDECARS = {"electrodes": ("space",), "coordsystem": ("space",)}
_LEVELS = re.compile(r"func|eeg|meg|(ses|sub)-.+")


def _located(path):
    """Make a path absolute without resolving links: datalad links point outside the dataset."""
    path = Path(path)
    return path.parent.absolute() / path.name


def names_in(folder):
    """List the names of the files in a folder; none if there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def sidecar_files(path, suffix=None, extension=".json", *, names_in=names_in):
    """List the sidecars that apply to a recording, the most specific last."""
    # ``names_in`` lists a folder; a cached one serves many recordings of one dataset.
    path = _located(path)
    entities, own_suffix = _parse_plain(path)
    levels = _folders(path, entities)
    files = [
        file
        for level in levels
        for file in _applicable(level, entities, suffix or own_suffix, extension, names_in)
    ]
    beside = path.with_name(f"{stem_of(path)}{extension}")
    if suffix is None and beside not in files and beside.is_file():
        files.append(beside)
    return files


def nearest_sidecar(path, suffix, extension=".tsv", *, base=None):
    """Return the sidecar that applies to a recording, or None; ``base`` is another root."""
    path = _located(path)
    entities, _ = _parse_plain(path)
    for level in reversed(_folders(path, entities, base)):
        found = _applicable(level, entities, suffix, extension)
        if found:
            return _only_best(found, suffix, path)
    return None


def paired_by_space(path):
    """List the pairs of electrodes.tsv and coordsystem.json that apply, one pair per space."""
    # Only pairs with the most entities in common with the recording are kept. A table without a
    # coordinate system is paired with None.
    path = _located(path)
    entities, _ = _parse_plain(path)
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
        spaces.setdefault(parse(file)[0].get("space"), []).append(file)
    return {space: _only_best(found, "sidecar", path) for space, found in spaces.items()}


def _count(file):
    """Count the entities that a sidecar shares with its recording."""
    return len(parse(file)[0].keys() - {"space"})


def _only_best(files, suffix, path):
    """Return the sidecar with most entities; raise if there are several."""
    most = max(len(parse(file)[0]) for file in files)
    best = [file for file in files if len(parse(file)[0]) == most]
    if len(best) > 1:
        named = " and ".join(str(file) for file in best)
        raise ValueError(
            f"Several {suffix} files fit {path.name} equally well: {named}. Remove those of other "
            "recordings, or add the entities that distinguish them to their names."
        )
    return best[0]


def _applicable(folder, entities, suffix, extension, names_in=names_in):
    """List sidecars in one folder whose entities the recording has, fewest entities first."""
    if not entities:
        return []
    found = []
    for name in names_in(folder):
        if not name.endswith(f"{suffix}{extension}"):
            continue
        own, own_suffix = _parse_plain(name)
        for entity in _OF_SIDECARS.get(suffix, ()):
            if entity not in entities:
                own.pop(entity, None)
        if own_suffix == suffix and own.items() <= entities.items():
            found.append((len(own), name))
    return [folder / name for _, name in sorted(found)]


def _parse_plain(path):
    """Parse a name; numbers without leading zeros, so that run-1 equals run-01."""
    entities, suffix = parse(path)
    return {name: plain_label(name, value) for name, value in entities.items()}, suffix


def _folders(path, entities, base=None):
    """List folders that may hold sidecars, from the dataset root to the recording's folder."""
    if not entities:
        return []
    if base is not None:
        levels = [part for part in path.parent.parts if _LEVELS.fullmatch(part)]
        return [Path(base).joinpath(*levels[:n]) for n in range(len(levels) + 1)]
    folders = [path.parent, *path.parent.parents]
    for i, folder in enumerate(folders):
        if (folder / "dataset_description.json").is_file():
            return folders[i::-1]
    # Without a root, go up through folders with BIDS names only.
    top = 0
    while top < len(folders) - 1 and _LEVELS.fullmatch(folders[top].name):
        top += 1
    return folders[top::-1]


def read_sidecar(path, *, names_in=names_in):
    """Read the JSON sidecars of a recording into one dict; the most specific value is kept."""
    return merge_sidecars(sidecar_files(path, names_in=names_in))


def merge_sidecars(files):
    """Read JSON sidecars into one dict; the value of the last file is kept."""
    values = {}
    for file in files:
        values.update(read_json_sidecar(file))
    return values


def read_json_sidecar(file):
    """Read one JSON sidecar."""
    with describe_errors(f"Cannot read the sidecar {file}: damaged or not JSON"):
        values = load_json(Path(file).read_text(encoding="utf-8-sig"))
    if not isinstance(values, dict):
        raise ValueError(f"The sidecar {file} must hold a JSON object ({{...}}).")
    return values
