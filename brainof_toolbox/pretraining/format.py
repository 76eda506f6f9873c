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

import hashlib
import json
from typing import NamedTuple

import numpy as np

FORMAT_VERSION = 2
HEADER, INDEX, RECORDINGS = "corpus.json", "index.jsonl", "recordings"
DTYPES = ("int16", "float16")
#: Bytes before the values of a flat ``.npy`` file.
HEAD = 128
#: Values per channel of a montage.
MONTAGE_WIDTH = 7


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
