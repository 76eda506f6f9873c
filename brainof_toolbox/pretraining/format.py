"""The files of a corpus, as a drawing and in numbers: numpy and the standard library only.

::

    corpus/
      corpus.json           format, preprocessing, window lengths, datasets, what was left out
      index.jsonl           one row per recording and modality, see Entry
      montages.npy          flat float32, 7 per channel: position (m), orientation, sensor type
      shards/00000.npy      flat int16 or float16: samples one after the other, each (C, T)
      shards/00000_scale.npy    flat float32: scale, and log_scale where it is not 0, (C,) each
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import numpy as np

FORMAT_VERSION = 1
HEADER, INDEX, MONTAGES, SHARDS = "corpus.json", "index.jsonl", "montages.npy", "shards"
DTYPES = ("int16", "float16")
#: Bytes before the values of a flat ``.npy`` file.
HEAD = 128
#: Columns of ``montages.npy``.
MONTAGE_WIDTH = 7
#: In the order of the network's own lists, which a test compares.
MODALITIES = ("eeg", "meg", "fmri")
SENSOR_TYPES = ("eeg", "mag", "grad", "bold")


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
    montage_row: int
    shard: int
    offset: int
    scale_offset: int
    has_log_scale: bool
    licence: str | None
    sha256: str

    @property
    def size(self):
        """Number of values in the shard."""
        return self.n_samples * self.n_channels * self.n_times

    @property
    def scale_size(self):
        """Number of scales in the shard."""
        return self.n_samples * self.n_channels * (1 + self.has_log_scale)


def dump(value):
    """Write JSON the one way that hashes and files use."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(header):
    """Hash all that decides what training sees."""
    names = ("format_version", "preprocessing", "window", "dtype", "index_sha256")
    content = {name: header[name] for name in (*names, "montages_sha256")}
    return hashlib.sha256(dump(content).encode()).hexdigest()


def shard_names(number):
    """Names of a shard's two files."""
    return f"{number:05d}.npy", f"{number:05d}_scale.npy"


def header_bytes(size, dtype):
    """Head of a flat ``.npy`` file."""
    kind = np.dtype(dtype).newbyteorder("<").str
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': ({size},), }}"
    text = text.ljust(HEAD - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")
