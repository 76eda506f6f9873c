"""Recordings split over several FIF files: find paths and objects that are later parts.

Parts are found by the references in the files; names are only compared with these.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .._utils.logging import warn
from .fif import scan_fif

#: Names of later parts of compressed files in MNE; reading their references is slow.
_NUMBERED = re.compile(r"-\d+(\.fif)?\.gz$|_split-\d+_")


def find_later_parts(items):
    """Find items of a list that continue another item: index of the part -> index of the first."""
    holders = {}  # file -> indices of its items
    for index, item in enumerate(items):
        for path in _paths_of(item):
            holders.setdefault(_place(path), []).append(index)
    folders = Counter(file.parent for file in holders)
    numbered = {file.parent for file in holders if _NUMBERED.search(file.name)}
    following, found = cache(_next_file), {}
    for file in holders:
        is_slow = file.suffix.lower() == ".gz" and file.parent not in numbered
        if folders[file.parent] < 2 or is_slow:
            continue
        for later in _chain(file, following):
            for part in holders.get(later, ()):
                first = next((i for i in holders[file] if _overlap(items[i], items[part])), part)
                if first != part:
                    found.setdefault(part, first)
    for part in found:
        while found[part] in found:
            found[part] = found[found[part]]
    return found


def _paths_of(item):
    """List the files of an item, the first of each recording."""
    import mne

    if isinstance(item, (str, os.PathLike)):
        return [Path(item)]
    if hasattr(item, "find_matching_sidecar"):  # a BIDSPath
        return [Path(item.fpath)]
    if isinstance(item, Mapping):  # a record
        return [path for key in ("eeg", "meg") for path in _paths_of(item.get(key))]
    name = None
    if isinstance(item, mne.io.BaseRaw):
        name = next(iter(item.filenames), None)
    elif isinstance(item, mne.BaseEpochs):
        name = item.filename
    return [Path(name)] if name else []


def _place(path):
    """Return the path of a reference to a file in the same folder."""
    return Path(os.path.abspath(path))


def _chain(file, following):
    """List the later parts of a file, in order."""
    seen = []
    while file is not None and file not in seen:
        seen.append(file)
        file = following(file)
    return seen[1:]


def _next_file(file):
    content = scan_fif(file)
    return content.next_file if content else None


def _overlap(first, part):
    """Check if two objects share data; recordings cropped to different times do not."""
    import mne

    if isinstance(first, mne.io.BaseRaw) and isinstance(part, mne.io.BaseRaw):
        return min(first.last_samp, part.last_samp) > max(first.first_samp, part.first_samp)
    if isinstance(first, mne.BaseEpochs) and isinstance(part, mne.BaseEpochs):
        return not set(first.events[:, 0]).isdisjoint(part.events[:, 0])
    return True


def describe_later_parts(found, names):
    """Describe which items are later parts of which."""
    described = []
    for first in dict.fromkeys(found[part] for part in sorted(found)):
        parts = [names[part] for part in sorted(found) if found[part] == first]
        verb = f"continue{'s' * (len(parts) == 1)}"
        described.append(f"{', '.join(parts)} {verb} {names[first]}")
    more = f"; and {len(described) - 3} more recordings" if len(described) > 3 else ""
    return "; ".join(described[:3]) + more


def drop_later_parts(paths):
    """Drop paths that are read together with another path, with a warning."""
    found = find_later_parts(paths)
    if found:
        names = [os.path.basename(path) for path in paths]
        warn(
            f"{len(found)} of {len(paths)} files are later parts of a split recording, which is "
            f"read from its first file, and are left out: {describe_later_parts(found, names)}."
        )
    return [path for index, path in enumerate(paths) if index not in found]


def note_later_part(content, notes):
    """Note that a file continues another one that is not read."""
    before = content.previous_file
    first = before if before and _leads_to(before, content.path) else _by_number(content.path)
    if first is None and before is None:
        return
    what = f"continues {(first or before).name}"
    if first is None:
        what = f"refers to {before.name} as the part before, which does not refer to it"
    notes.append(
        f"It is a later part of a split recording: it {what}. Parts before it are not read. Pass "
        "only the first file; the others are read with it."
    )


def _leads_to(first, path):
    following = _next_file(first)
    return following is not None and _place(following) == _place(path)


def _by_number(path):
    """Return the part before this one, found by MNE's naming of parts."""
    found = re.search(r"(?<=_split-)\d+(?=_)|-\d+(?=(\.fif)?(\.gz)?$)", path.name, re.IGNORECASE)
    if not found:
        return None
    digits = found[0].lstrip("-")
    number = int(digits) - 1
    names = [f"{'-' * found[0].startswith('-')}{number:0{len(digits)}d}"]
    names += [""] * (number == 0 and found[0].startswith("-"))
    for name in names:
        first = path.with_name(path.name[: found.start()] + name + path.name[found.end() :])
        if _leads_to(first, path):
            return first
    return None


def note_unread_splits(path, files, notes):
    """Note split files of a BIDS recording that are not referenced from its first file."""
    found = re.search(r"_split-(\d+)_", path.name)
    if not found:
        return
    start, end = path.name[: found.start()], path.name[found.end() :]
    read, rest = {Path(file).name for file in files}, []
    for other in sorted(path.parent.glob(f"{start}_split-*_{end}")):
        number = re.search(r"_split-(\d+)_", other.name)
        if number and int(number[1]) > int(found[1]) and other.name not in read:
            rest.append(other.name)
    if rest:
        notes.append(
            f"It does not refer to {', '.join(rest)}, by name parts of the same recording, which "
            "are not read. Join the parts together with mne.concatenate_raws and save them "
            "again."
        )
