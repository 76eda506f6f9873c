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
    """The samples of one recording and modality: they share montage, rate and length.

    Parameters
    ----------
    dataset : str
        Name of the dataset.
    modality : str
        ``"eeg"``, ``"meg"`` or ``"fmri"``.
    subject : str | None
        Hash of the subject's name; ``None`` where nobody is named.
    recording : int
        Number of the recording in the corpus; simultaneous modalities share it.
    sfreq : float
        Sampling rate in Hz; for fMRI 1 / TR.
    n_samples, n_channels, n_times : int
        Samples, channels or regions, and time points of a sample.
    duration : float
        Recorded seconds that the samples cover; samples may overlap.
    montage : str
        Hash of positions, orientations and sensor types.
    montage_row : int
        First row of it in ``montages.npy``.
    shard : int
        Number of the shard.
    offset : int
        Where in the shard the values begin, in values.
    scale_offset : int
        Where in the shard's scales those of these samples begin, in values.
    has_log_scale : bool
        Whether a scale that was taken out of the signal follows the scales.
    licence : str | None
        Licence of the recording.
    sha256 : str
        Of the values and scales.
    """

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
    """Write JSON the one way that hashes and files use.

    Parameters
    ----------
    value : object
        Plain values.

    Returns
    -------
    text : str
        Sorted, without spaces.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(header):
    """Hash all that decides what training sees.

    Parameters
    ----------
    header : dict
        Content of ``corpus.json``; ``sha256`` itself is not read.

    Returns
    -------
    sha256 : str
        In hexadecimal digits.
    """
    names = ("format_version", "preprocessing", "window", "dtype", "index_sha256")
    content = {name: header[name] for name in (*names, "montages_sha256")}
    return hashlib.sha256(dump(content).encode()).hexdigest()


def shard_names(number):
    """Names of a shard's two files.

    Parameters
    ----------
    number : int
        Number of the shard.

    Returns
    -------
    names : tuple of str
        Of values and of scales.
    """
    return f"{number:05d}.npy", f"{number:05d}_scale.npy"


def header_bytes(size, dtype):
    """Head of a flat ``.npy`` file.

    Parameters
    ----------
    size : int
        Number of values.
    dtype : numpy.dtype
        Of the values.

    Returns
    -------
    head : bytes
        What comes before the values, :data:`HEAD` bytes.
    """
    kind = np.dtype(dtype).newbyteorder("<").str
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': ({size},), }}"
    text = text.ljust(HEAD - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")
