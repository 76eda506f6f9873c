"""Read the structure of FIF files: their contents, and references to other parts."""

from __future__ import annotations

import gzip
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

#: Contents of a file by its blocks; the first block found decides.
_CONTENTS = (
    (("RAW_DATA", "CONTINUOUS_DATA", "IAS_RAW_DATA"), "raw data"),
    (("MNE_EPOCHS",), "epochs"),
    (("EVOKED",), "averages"),
    (("MNE_ICA",), "an ICA decomposition"),
    (("MNE_INVERSE_SOLUTION",), "an inverse operator"),
    (("MNE_FORWARD_SOLUTION",), "a forward solution"),
    (("MNE_COV",), "a covariance matrix"),
    (("MNE_MORPH_MAP",), "a morph map"),
    (("MNE_SOURCE_SPACE",), "source spaces"),
    (("BEM", "BEM_SURF"), "head surfaces (BEM)"),
    (("MRI", "MRI_SET"), "an MRI"),
    (("MNE_EVENTS",), "events"),
    (("MEAS_INFO",), "channel information without data"),
    (("PROJ",), "projections"),
    (("MNE_ANNOTATIONS",), "annotations"),
    (("ISOTRAK",), "digitised points"),
)
RECORDINGS = ("raw data", "epochs", "averages")


@dataclass
class FifContent:
    """Structure of a FIF file."""

    path: Path
    blocks: set = field(default_factory=set)
    has_transform: bool = False
    is_cut_short: bool = False
    references: list = field(default_factory=list)  # {"role", "name", "number"}

    @property
    def kind(self):
        """Description of the contents; None if unknown."""
        from mne.io.constants import FIFF

        for names, words in _CONTENTS:
            if any(FIFF[f"FIFFB_{name}"] in self.blocks for name in names):
                return words
        return "a coordinate transformation" if self.has_transform else None

    @property
    def next_file(self):
        """Path of the next part; as in MNE, also of a reference without a role."""
        return self._referred("NEXT_FILE", None)

    @property
    def previous_file(self):
        """Path of the part before this one."""
        return self._referred("PREV_FILE")

    def _referred(self, *roles):
        from mne.io.constants import FIFF

        roles = [role and FIFF[f"FIFFV_ROLE_{role}"] for role in roles]
        for reference in self.references:
            if reference.get("role") not in roles:
                continue
            name, number = reference.get("name"), reference.get("number")
            if name is None and number is not None:  # named by its number
                stem, dot, ending = self.path.name.partition(".")
                stem = re.sub(r"-\d+$", "", stem)
                name = f"{stem}-{number}{dot}{ending}" if number else f"{stem}{dot}{ending}"
            if name is not None:
                return self.path.parent / name
        return None


def scan_fif(path, *, until_data=False):
    """Read the structure of a FIF file, without its data; None for other files."""
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            return _scan(file, FifContent(path), until_data)
    except (OSError, EOFError, ValueError, struct.error):  # not a gzip file, or unreadable
        return None


def _scan(file, content, until_data):
    from mne.io.constants import FIFF

    first = _read_header(file)
    if first is None or first[:3] != (FIFF.FIFF_FILE_ID, FIFF.FIFFT_ID_STRUCT, 20):
        return None
    depth, is_whole, header = 0, False, first
    while header is not None:
        kind, _, size, following = header
        start = file.tell()
        is_data = kind in (FIFF.FIFF_DATA_BUFFER, FIFF.FIFF_EPOCH)
        if until_data and is_data and content.kind in RECORDINGS:
            return content
        if kind == FIFF.FIFF_BLOCK_START:
            (block,) = struct.unpack(">i", file.read(4))
            content.blocks.add(block)
            depth += 1
            if block == FIFF.FIFFB_REF:
                content.references.append({})
        elif kind == FIFF.FIFF_BLOCK_END:
            depth -= 1
        elif kind == FIFF.FIFF_COORD_TRANS:
            content.has_transform = True
        elif content.references:
            _read_reference(file, kind, size, content.references[-1])
        is_whole = following == FIFF.FIFFV_NEXT_NONE
        following = following or start + size
        if is_whole or following < start:  # backwards: damaged
            break
        file.seek(following)
        header = _read_header(file)
    content.is_cut_short = depth > 0 or not is_whole
    return content


def _read_header(file):
    header = file.read(16)
    return struct.unpack(">4i", header) if len(header) == 16 else None


def _read_reference(file, kind, size, reference):
    from mne.io.constants import FIFF

    if kind == FIFF.FIFF_REF_FILE_NAME:
        reference.setdefault("name", os.path.basename(file.read(size).decode("latin-1")))
    elif kind in (FIFF.FIFF_REF_ROLE, FIFF.FIFF_REF_FILE_NUM):
        (value,) = struct.unpack(">i", file.read(4))
        reference.setdefault("role" if kind == FIFF.FIFF_REF_ROLE else "number", value)
