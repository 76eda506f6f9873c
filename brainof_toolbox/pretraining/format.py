"""The files of a corpus, as a drawing and in numbers: numpy and the standard library only.

::

    corpus/
      corpus.json           format, preprocessing, window lengths, datasets, what was left out
      index.jsonl           one row per recording and modality, see Entry
      recordings/SHA256.npy         flat int16 or float16: samples one after the other, each (C, T)
      recordings/SHA256_scale.npy   flat float32: scale, and log_scale where it is not 0, (C,) each
                                    and montages, 7 per channel: position (m), orientation, type

Each recording has two files, whatever its modalities, named by the sha256 of their values.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import re
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._utils.unique import load_json
from ..models.config import MODALITY_CODES

FORMAT_VERSION = 2
HEADER, INDEX, RECORDINGS = "corpus.json", "index.jsonl", "recordings"
DTYPES = ("int16", "float16")
#: Bytes before the values of a flat ``.npy`` file.
HEAD = 128
#: Values per channel of a montage.
MONTAGE_WIDTH = 7
_NAME = re.compile("[0-9a-f]{64}")  # of the files of a recording
_KEYS = {
    "format_version",
    "sha256",
    "preprocessing",
    "window",
    "dtype",
    "datasets",
    "skipped",
    "n_empty_windows",
    "index_sha256",
    "request",
    "versions",
}


class Entry(NamedTuple):
    """The samples of one recording and modality: they share montage, rate and length."""

    dataset: str
    modality: str
    subject: str | None
    recording: int
    sfreq: float
    n_samples: int
    n_channels: int
    n_times: int
    duration: float
    montage: str
    montage_offset: int
    file: str
    offset: int
    scale_offset: int
    has_log_scale: bool
    licence: str | None

    @property
    def size(self):
        """Number of values."""
        return self.n_samples * self.n_channels * self.n_times

    @property
    def scale_size(self):
        """Number of scales."""
        return self.n_samples * self.n_channels * (1 + self.has_log_scale)


def dump(value):
    """Write JSON the one way that hashes and files use."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(header):
    """Hash all that decides what training sees."""
    # The index names the files of a recording by their content.
    names = ("format_version", "preprocessing", "window", "dtype", "index_sha256")
    content = {name: header[name] for name in names}
    return hashlib.sha256(dump(content).encode()).hexdigest()


def file_names(name):
    """Return the names of the two files of a recording."""
    return f"{name}.npy", f"{name}_scale.npy"


def name_files(values, scales):
    """Return the name of a recording's files from the hash objects of their values."""
    return hashlib.sha256(f"{values.hexdigest()} {scales.hexdigest()}".encode()).hexdigest()


def header_bytes(size, dtype):
    """Return the header of a flat ``.npy`` file."""
    kind = np.dtype(dtype).newbyteorder("<").str
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': ({size},), }}"
    text = text.ljust(HEAD - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def read_header(directory):
    """Read and check ``corpus.json``."""
    if not directory.is_dir():
        raise FileNotFoundError(
            errno.ENOENT,
            "There is no corpus here; make one with 'brainof corpus build SOURCE -o DIRECTORY'",
            str(directory),
        )
    path = member(directory, HEADER)
    try:
        header = load_json(path.read_bytes())
    except ValueError as error:  # UnicodeDecodeError too
        raise ValueError(f"{path} is damaged: {error}. Fetch the corpus again.") from error
    if not isinstance(header, dict) or "format_version" not in header:
        raise ValueError(f"{path} is not the head of a corpus: it has no format_version.")
    version = header["format_version"]
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise ValueError(
            f"{path} has format version {version!r}, this version of brainof_toolbox reads "
            f"{FORMAT_VERSION}. Build the corpus again, or use the brainof_toolbox that wrote it."
        )
    if set(header) != _KEYS:
        raise ValueError(
            f"{path} is damaged: missing {sorted(_KEYS - set(header))}, unknown "
            f"{sorted(set(header) - _KEYS)}."
        )
    if header["dtype"] not in DTYPES:
        raise ValueError(f"{path}: dtype must be one of {DTYPES}, got {header['dtype']!r}.")
    if header["sha256"] != fingerprint(header):
        raise ValueError(f"{path} was changed: its sha256 does not fit. Fetch the corpus again.")
    return header


def read_index(directory, sha256):
    """Read ``index.jsonl``."""
    path = member(directory, INDEX)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is truncated or was changed: its sha256 does not fit {HEADER}. Fetch the "
            "corpus again."
        )
    try:
        entries = tuple(Entry(**load_json(line)) for line in content.splitlines())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} has a row that is no entry: {error}.") from error
    if not entries:
        raise ValueError(f"{path} is empty: a corpus has at least one sample.")
    return entries


def check_entries(entries, directory):
    """Refuse rows of the index that cannot be."""
    counts = ("n_samples", "n_channels", "n_times")
    places = ("montage_offset", "offset", "scale_offset", "recording")
    for number, entry in enumerate(entries, 1):
        row = [getattr(entry, name) for name in counts + places]
        is_whole = all(type(value) is int and -1 < value < 2**62 for value in row)
        if not (
            is_whole
            and min(row[:3]) > 0
            and type(entry.has_log_scale) is bool
            and type(entry.sfreq) is float
            and 0 < entry.sfreq < math.inf
            and entry.modality in MODALITY_CODES
            and isinstance(entry.file, str)
            and _NAME.fullmatch(entry.file)
        ):
            raise ValueError(f"{directory / INDEX}, row {number}, is no entry: {entry}.")


def check_files(directory, entries, dtype):
    """Compare the sizes of all files with what the index needs; return them by name."""
    # -> sizes: name of a recording's files -> numbers of values and of scales.
    sizes = {}
    for entry in entries:
        values, scales = sizes.get(entry.file, (0, 0))
        montage_end = entry.montage_offset + MONTAGE_WIDTH * entry.n_channels
        sizes[entry.file] = (
            max(values, entry.offset + entry.size),
            max(scales, entry.scale_offset + entry.scale_size, montage_end),
        )
    found = _list_files(directory)
    widths = (np.dtype(dtype).itemsize, 4)
    for file, pair in sizes.items():
        for name, size, width in zip(file_names(file), pair, widths, strict=True):
            path, wanted = directory / RECORDINGS / name, HEAD + size * width
            if name not in found:
                member(directory, f"{RECORDINGS}/{name}")  # raises
            elif found[name] != wanted:
                raise ValueError(
                    f"{path} has {found[name]} bytes, {INDEX} needs {wanted}: the file is "
                    "truncated or not of this corpus. Fetch the corpus again."
                )
    return sizes


def _list_files(directory):
    """Return the size of each file of the recordings: one listing, as there may be many."""
    folder = directory / RECORDINGS
    _refuse_outside(folder, directory)
    sizes = {}
    with os.scandir(folder) if folder.is_dir() else nullcontext(()) as listing:
        for item in listing:
            if item.is_symlink():
                _refuse_outside(folder / item.name, directory)
            if item.is_file():
                sizes[item.name] = item.stat().st_size
    return sizes


class FlatFile:
    """A flat ``.npy`` file, mapped into memory and read on demand.

    Left alone, the system reads far around each page that is touched, and counts all that was ever
    touched as this process's memory. With advice it reads no more than needed (a sample of a
    file that it has not cached: 0.1 instead of 2 ms, see ``benchmarks/corpus.py``), and memory
    does not grow.
    """

    def __init__(self, path, size, dtype):
        head = header_bytes(size, dtype)
        with open(path, "rb") as file:
            has_size = path.stat().st_size == len(head) + size * dtype.itemsize
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if has_size else b""
        self._has_advice = has_size and hasattr(mmap, "MADV_WILLNEED")
        if self._has_advice:
            self._map.madvise(mmap.MADV_RANDOM)
        if self._map[: len(head)] != head:
            raise ValueError(
                f"{path} is no flat array of {size} values of {dtype}: the file is damaged "
                "or not of this corpus. Fetch the corpus again."
            )
        self.values = np.frombuffer(self._map, dtype.newbyteorder("<"), size, len(head))

    @contextmanager
    def reading(self, start, stop):
        """Yield a view of some values."""
        # -> values (stop - start,).
        if not self._has_advice:
            yield self.values[start:stop]
            return
        width = self.values.itemsize
        first = HEAD + start * width
        first -= first % mmap.PAGESIZE
        span = first, HEAD + stop * width - first
        self._map.madvise(mmap.MADV_WILLNEED, *span)
        try:
            yield self.values[start:stop]
        finally:
            self._map.madvise(mmap.MADV_DONTNEED, *span)


def member(directory, name):
    """Return the path of a file, checked to lie in the corpus."""
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(
            errno.ENOENT, f"The corpus has no {name}; fetch or build it again", str(path)
        )
    _refuse_outside(path, directory)
    return path


def _refuse_outside(path, directory):
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
        raise ValueError(f"{path} is a link that leads out of the corpus, and is refused.")
