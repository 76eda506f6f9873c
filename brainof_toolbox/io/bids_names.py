"""Parse BIDS file names and labels."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .._utils.logging import warn
from .._utils.unique import load_json

#: Abbreviations in file names; other entities are abbreviated as they are called.
SHORT = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "processing": "proc",
    "description": "desc",
    "tracking_system": "tracksys",
}
DESCRIPTION = "dataset_description.json"
_LONG = {short: entity for entity, short in SHORT.items()}
_ENDINGS = (".gz", ".nii", ".img", ".hdr", ".mgz", ".mgh", ".json", ".tsv")
#: Entities with numbers as values: run-1 is run-01.
_NUMBERS = ("run", "echo", "split", "flip", "inv")


def parse(path):
    """Parse a BIDS file name -> entities (dict by full name), suffix."""
    *parts, suffix = stem_of(path).split("_")
    found = [re.fullmatch(r"([A-Za-z0-9]+)-([^_]+)", part) for part in parts]
    entities = {_LONG.get(match[1], match[1]): match[2] for match in found if match}
    return entities, suffix.partition(".")[0] if entities else suffix


def stem_of(path):
    """Return a file name without the extension of an image, ``.json`` or ``.tsv``."""
    stem = Path(path).name
    for ending in _ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    return stem


def find_label(path, entity):
    """Return the label of an entity in any file name, else in the nearest folder, or None."""
    pattern = re.compile(rf"(?<![A-Za-z0-9]){SHORT.get(entity, entity)}-([A-Za-z0-9]+)")
    for part in reversed(re.split(r"[/\\]", os.fspath(path))):
        match = pattern.search(part)
        if match:
            return match[1]
    return None


def subject_of(path):
    """Return the subject in a file name, else in the nearest folder, or None."""
    return find_label(path, "subject")


def name_data_set(folder):
    """Return the name of the BIDS data set that a folder is in, or None."""
    folder = Path(folder).absolute()
    for root in [*reversed(folder.parents), folder]:  # derivatives have a description too
        if (root / DESCRIPTION).is_file():
            return describe_data_set(root).get("Name") or root.name
    return None


def describe_data_set(root):
    """Read dataset_description.json; empty, with a warning, if it is damaged."""
    path = root / DESCRIPTION
    try:
        found = load_json(path.read_bytes())
    except ValueError as error:
        warn(f"{path}: {error} The data set is called {root.name!r}, without a licence.")
        found = {}
    found = found if isinstance(found, dict) else {}
    return {key: str(value or "").strip() for key, value in found.items()}


def plain_label(entity, label):
    """Remove the entity from a label, and leading zeros from a number."""
    label = str(label).strip().removeprefix(f"{SHORT.get(entity, entity)}-")
    return str(int(label)) if entity in _NUMBERS and label.isdecimal() else label


def without_entities(name, entities):
    """Remove entities from a BIDS file name."""
    drop = tuple(f"{SHORT.get(entity, entity)}-" for entity in entities)
    return "_".join(part for part in name.split("_") if not part.startswith(drop))
