"""Read headers of EDF, BDF and GDF files, and the filters of each channel."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .channels import pick_channels

_MAGIC = (b"0       ", b"\xffBIOSEMI")
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
#: "HP:0.1Hz", "HP: 5.3 s" (a time constant), "HP 0,5 Hz".
_HIGHPASS = re.compile(r"HP[\s:=]*(\d+(?:[.,]\d*)?|[.,]\d+)\s*([a-z]*)", re.IGNORECASE)
_IN_HZ = {"": 1.0, "hz": 1.0, "mhz": 1e-3}
_IN_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3}


@dataclass(frozen=True)
class Header:
    """Header of an EDF or BDF file, as far as it is used."""

    flag: str  # ``"EDF+C"``, ``"EDF+D"`` and alike; ``""`` for files without
    labels: tuple  # By channel, as they are written
    prefilter: tuple  # By channel, as they are written
    n_values: tuple  # Values in a record, by channel
    duration: float  # Of a record, in seconds
    n_records: int  # Complete records in the file
    n_bytes: int  # Length of the header
    width: int  # Bytes of one value

    @property
    def is_annotation(self):
        """Indices of annotation channels."""
        return np.array([label in _ANNOTATIONS for label in self.labels], dtype=bool)

    @property
    def sfreq(self):
        """Highest sampling rate of the signals, in Hz."""
        return max(np.array(self.n_values)[~self.is_annotation], default=0) / self.duration


def read_header(path):
    """Read the header of an EDF or BDF file."""
    if path is None or not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        fixed = file.read(256)
        if fixed[:8] not in _MAGIC:
            return None
        try:
            duration, n_channels = float(fixed[244:252]), int(fixed[252:256])
            fields = [
                [file.read(n).decode("latin-1").split("\0")[0].strip() for _ in range(n_channels)]
                for n in (16, 80, 8, 8, 8, 8, 8, 80, 8)
            ]
            n_values = tuple(int(text) for text in fields[8])
        except ValueError:  # a damaged header: left to the error of MNE's reader
            return None
    if duration <= 0 or sum(n_values) <= 0:
        return None
    width, n_bytes = (3 if fixed[0] == 0xFF else 2), 256 * (n_channels + 1)
    n_records = (os.path.getsize(path) - n_bytes) // (width * sum(n_values))
    flag = fixed[192:236].decode("latin-1").strip().upper()[:5]
    texts = tuple(fields[0]), tuple(fields[7])
    return Header(flag, *texts, n_values, duration, n_records, n_bytes, width)


def correct_highpass(raw):
    """Set ``info["highpass"]`` by the data channels; MNE uses the highest of all channels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # given where the channels are used
            picks = np.concatenate(list(pick_channels(raw.info).values()))
    except ValueError:  # no data channels: an error where they are used
        return
    with raw.info._unlock():
        names = [raw.ch_names[i] for i in picks]
        raw.info["highpass"] = stated_highpass(raw.info, names, raw)


def stated_highpass(info, names, raw=None):
    """Return the lowest high-pass cut-off of some channels, in Hz."""
    value = float(info["highpass"] or 0.0)
    for i, path in enumerate(getattr(raw, "filenames", ())):
        stated = _stated_filters(raw, i, path)
        # A value that is not in the header is from a filter applied in MNE to all data channels.
        numbers = [0.0, *(_cutoff(text)[0] for text in stated.values())]
        if stated and np.isclose(value, numbers, rtol=1e-5).any():
            value = min((_as_hertz(stated.get(name, "")) for name in names), default=0.0)
    return value


def _stated_filters(raw, i, path):
    """Return the cut-offs in a header by channel; empty for files without them."""
    extras = raw._raw_extras[i] if i < len(raw._raw_extras) else None
    if isinstance(extras, dict) and extras.get("subtype") == "GDF":
        return dict(zip(extras["ch_names"], _gdf_filters(path, extras), strict=False))
    header = read_header(path)
    if header is None:
        return {}
    stated = {}
    for label, text in zip(header.labels, header.prefilter, strict=True):
        # MNE removes a type from the label ("EEG Fp1"); of equal names the weakest filter counts.
        for name in {label, label.partition(" ")[2]} - {""}:
            stated[name] = min(stated.get(name, text), text, key=_as_hertz)
    return stated


def _gdf_filters(path, extras):
    """Return the cut-offs in a GDF header: Hz from version 2 on, before that text as in EDF."""
    if extras["number"] >= 1.9:
        return [f"HP:{value}Hz" for value in extras["highpass"]]
    n_channels = extras["nchan"]
    with open(path, "rb") as file:
        file.seek(256 + n_channels * (16 + 80 + 5 * 8))
        return [file.read(80).decode("latin-1") for _ in range(n_channels)]


def _as_hertz(text):
    """Return the cut-off in "HP:0.1Hz" or "HP: 5.3 s", in Hz; 0 for other text."""
    number, unit = _cutoff(text)
    if unit in _IN_HZ:
        return number * _IN_HZ[unit]
    return 1 / (2 * np.pi * number * _IN_SECONDS[unit]) if unit in _IN_SECONDS and number else 0.0


def _cutoff(text):
    """Return the number of a cut-off, as MNE may have read it, and its unit."""
    found = _HIGHPASS.search(text)
    return (float(found[1].replace(",", ".")), found[2].lower()) if found else (0.0, "")
