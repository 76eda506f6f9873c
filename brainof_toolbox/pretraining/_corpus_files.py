"""How the files of a corpus are read and checked: numpy and the standard library only."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .._utils.unique import load_json
from .format import (
    DTYPES,
    FORMAT_VERSION,
    HEAD,
    HEADER,
    INDEX,
    MODALITIES,
    SHARDS,
    Entry,
    fingerprint,
    header_bytes,
    shard_names,
)

_KEYS = {
    "format_version",
    "sha256",
    "preprocessing",
    "window",
    "dtype",
    "datasets",
    "skipped",
    "n_empty_windows",
    "shards",
    "index_sha256",
    "montages_sha256",
    "request",
    "versions",
}


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


def check_entries(entries, sizes, n_rows, directory):
    """Refuse entries that lie outside of the files."""
    # sizes (n_shards, 2).
    counts = ("n_samples", "n_channels", "n_times")
    places = ("montage_row", "shard", "offset", "scale_offset", "recording")
    rows = [[getattr(entry, name) for name in counts + places] for entry in entries]
    for number, (entry, row) in enumerate(zip(entries, rows, strict=True), 1):
        is_whole = all(type(value) is int and -1 < value < 2**62 for value in row)
        if not (is_whole and type(entry.has_log_scale) is bool and type(entry.sfreq) is float):
            raise ValueError(f"{directory / INDEX}, row {number}, is no entry: {entry}.")
    table = np.array(rows, dtype=np.int64)
    kinds = np.array([entry.modality in MODALITIES for entry in entries])
    rates = np.array([entry.sfreq for entry in entries])
    spare = np.array([entry.has_log_scale for entry in entries])
    n_samples, n_channels, n_times, row, shard, offset, scale_offset, _ = table.T
    is_bad = ~kinds | ~(np.isfinite(rates) & (rates > 0)) | (table[:, :3] < 1).any(axis=1)
    # Products in floating point cannot overflow; sizes are exact far beyond any disk.
    values = n_samples.astype(float) * n_channels * n_times
    is_bad |= (shard >= len(sizes)) | (row.astype(float) + n_channels > n_rows)
    known = sizes[np.clip(shard, 0, len(sizes) - 1)]
    is_bad |= offset.astype(float) + values > known[:, 0]
    is_bad |= scale_offset + values / n_times * (1 + spare) > known[:, 1]
    if is_bad.any():
        first = int(np.flatnonzero(is_bad)[0])
        raise ValueError(
            f"{directory / INDEX}, row {first + 1}, does not fit the shards: {entries[first]}. "
            "Fetch the corpus again."
        )


def check_shards(directory, shards, dtype):
    """Compare the sizes of all shards with what ``corpus.json`` says."""
    # -> sizes (n_shards, 2).
    try:
        ok = all(type(size) is int and -1 < size < 2**62 for pair in shards for size in pair)
        sizes = np.array(shards if ok else (), dtype=np.int64)
    except (TypeError, ValueError):
        ok = False
    if not ok or sizes.ndim != 2 or sizes.shape[1] != 2:
        raise ValueError(f"{directory / HEADER} is damaged: 'shards' must be pairs of sizes.")
    for number, pair in enumerate(sizes.tolist()):
        kinds = (np.dtype(dtype), np.dtype(np.float32))
        for name, size, kind in zip(shard_names(number), pair, kinds, strict=True):
            path = member(directory, f"{SHARDS}/{name}")
            wanted = HEAD + size * kind.itemsize
            found = path.stat().st_size
            if found != wanted:
                raise ValueError(
                    f"{path} has {found} bytes, it must have {wanted}: the shard is truncated or "
                    "not of this corpus. Fetch the corpus again."
                )
    return sizes


class FlatFile:
    """A flat ``.npy`` file, mapped into memory and not read until it is asked for.

    Left alone, the system reads far around each page that is touched, and counts all that was ever
    touched as this process's memory. Told what comes and what is done with, it reads just that (a
    sample of a file that it has not cached: 0.1 instead of 2 ms, see ``benchmarks/corpus.py``),
    and memory does not grow.
    """

    def __init__(self, path, size, dtype, is_scattered=False):
        head = header_bytes(size, dtype)
        with open(path, "rb") as file:
            found = file.read(len(head))
            if found != head or path.stat().st_size != len(head) + size * dtype.itemsize:
                raise ValueError(
                    f"{path} is no flat array of {size} values of {dtype}: the file is damaged "
                    "or not of this corpus. Fetch the corpus again."
                )
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.values = np.frombuffer(self._map, dtype.newbyteorder("<"), size, len(head))
        self._is_scattered = is_scattered and hasattr(mmap, "MADV_WILLNEED")
        if self._is_scattered:
            self._map.madvise(mmap.MADV_RANDOM)

    @contextmanager
    def reading(self, start, stop):
        """View some values, for a moment."""
        # -> values (stop - start,).
        if not self._is_scattered:
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
    """Path of a file that truly lies in the corpus."""
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(
            errno.ENOENT, f"The corpus has no {name}; fetch or build it again", str(path)
        )
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
        raise ValueError(f"{path} is a link that leads out of the corpus, and is refused.")
    return path
