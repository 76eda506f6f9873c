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

#: Sidecars with a space of their own: that of their coordinates.
_WITH_SPACE = ("electrodes", "coordsystem")
_LEVELS = re.compile(r"func|eeg|meg|(ses|sub)-.+")


def names_in(folder):
    """List the names of the files in a folder; none if there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def sidecar_files(path, suffix=None, extension=".json", *, names_in=names_in):
    """List the sidecars that apply to a recording, the most specific last."""
    # ``names_in`` lists a folder; a cached one serves many recordings of one dataset.
    path, levels = _applicable(path, suffix, extension, names_in=names_in)
    files = [file for found in levels for file in found]
    beside = path.with_name(f"{stem_of(path)}{extension}")
    if suffix is None and beside not in files and beside.is_file():
        files.append(beside)
    return files


def nearest_sidecar(path, suffix, extension=".tsv", *, base=None):
    """Return the sidecar that applies to a recording, or None; ``base`` is another root."""
    path, levels = _applicable(path, suffix, extension, base=base)
    return _only_best(levels[-1], suffix, path) if levels else None


def paired_by_space(path):
    """List the pairs of electrodes.tsv and coordsystem.json that apply, one pair per space."""
    # Only pairs with the most entities in common with the recording are kept. A table without a
    # coordinate system is paired with None.
    path, tables = _applicable(path, "electrodes", ".tsv")
    _, systems = _applicable(path, "coordsystem", ".json")
    if not tables:
        return []
    tables = _by_space(tables[-1], path)
    counts = {space: len(parse(file)[0].keys() - {"space"}) for space, file in tables.items()}
    pairs = []
    for space in [space for space, count in counts.items() if count == max(counts.values())]:
        by_space = (_by_space(level, path) for level in reversed(systems))
        found = next((found for found in by_space if space in found or None in found), {})
        pairs.append((tables[space], found.get(space, found.get(None))))
    return pairs


def _by_space(files, path):
    spaces = {}
    for file in files:
        spaces.setdefault(parse(file)[0].get("space"), []).append(file)
    return {space: _only_best(found, "sidecar", path) for space, found in spaces.items()}


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


def _applicable(path, suffix, extension, *, base=None, names_in=names_in):
    """List sidecars that apply to a recording, by folder; the most specific come last."""
    path = Path(path)
    path = path.parent.absolute() / path.name  # datalad links are not followed
    entities, own_suffix = _parse_plain(path)
    suffix, levels = suffix or own_suffix, []
    for folder in _folders(path, entities, base):
        found = []
        for name in names_in(folder):
            if not name.endswith(f"{suffix}{extension}"):
                continue
            own, its_suffix = _parse_plain(name)
            if suffix in _WITH_SPACE and "space" not in entities:
                own.pop("space", None)
            if its_suffix == suffix and own.items() <= entities.items():
                found.append((len(own), name))
        if found:
            levels.append([folder / name for _, name in sorted(found)])
    return path, levels


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
