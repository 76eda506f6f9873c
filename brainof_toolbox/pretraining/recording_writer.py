"""One recording, preprocessed and encoded, into its files of the corpus.

C channels, T time points of a sample
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
from contextlib import suppress

import numpy as np

from .._utils.files import replace_file, sync
from .._utils.subjects import hash_subject
from ..models.config import SENSOR_TYPES
from .format import HEAD, dump, file_names, header_bytes, name_files

#: A window in which no channel varies by more than this holds nothing but zeros and what filters
#: smear into them. In network units: 100 nV of EEG or 2 fT, below the noise of any instrument.
EMPTY = 5e-3
VALUES, SCALES = 0, 1  # the two files of a recording


def encode(data, dtype):
    """Store samples in half the space, with one scale per sample and channel."""
    # data (n_samples, C, T) -> values (n_samples, C, T), scale (n_samples, C).
    data = np.asarray(data, np.float32)
    largest = 32767 if dtype == "int16" else 1
    scale = np.abs(data).max(axis=2) / np.float32(largest)  # (n, C)
    safe = np.where(scale > 0, scale, 1)[:, :, None]
    values = data / safe  # (n, C, T)
    if dtype == "int16":
        values = np.clip(np.rint(values), -largest, largest)
    return values.astype(np.dtype(dtype).newbyteorder("<")), scale


def montage_table(signals):
    """Return position, orientation and type of the channels, as a corpus stores them."""
    # -> table (C, 7).
    kinds = [[SENSOR_TYPES.index(kind)] for kind in signals.ch_types]
    return np.hstack([signals.ch_pos, signals.ch_ori, kinds]).astype("<f4")


class RecordingWriter:
    """Writes the samples of one recording into its two files.

    ``stem`` is the path of the part without its ending, ``folder`` where the files belong.
    """

    def __init__(self, stem, folder, dtype):
        self.stem, self.folder, self.dtype = stem, folder, np.dtype(dtype)
        self.n_empty_windows = 0
        self._rows, self._montages, self._current = [], {}, None
        self._sizes, self._digests = [0, 0], [hashlib.sha256(), hashlib.sha256()]
        # A name of its own: a worker may outlive a builder that was killed, for a moment.
        self._aside = f"{stem.name}-{secrets.token_hex(4)}"
        self._files = []
        try:
            for path in self._paths_aside():
                self._files.append(open(path, "xb"))
            for file in self._files:
                file.write(bytes(HEAD))
        except OSError:
            self.discard()
            raise

    def _paths_aside(self):
        return [self.stem.with_name(name) for name in file_names(self._aside)]

    @property
    def is_empty(self):
        """Return True if nothing was kept so far."""
        return self._sizes[VALUES] == 0

    def append(self, windows, seconds):
        """Add windows, in order."""
        signals = windows.signals
        span = signals.data.max(axis=2) - signals.data.min(axis=2)  # (n, C)
        is_empty = span.max(axis=1) < EMPTY
        self.n_empty_windows += int(is_empty.sum())
        kept = np.flatnonzero(~is_empty)
        length = signals.shape[2] / signals.sfreq
        for subject, group in itertools.groupby(kept, key=lambda i: signals.subject[i]):
            rows = np.array(list(group))
            counts = np.unique(windows.sample[rows], return_counts=True)[1]
            covered = float(np.minimum(counts * length, seconds).sum())
            self._extend(signals, rows, windows.log_scale[rows], subject, covered)

    def _extend(self, signals, rows, log_scale, subject, duration):
        table = montage_table(signals)
        key = hashlib.sha256(table.tobytes()).hexdigest()
        if key not in self._montages:
            self._montages[key] = self._write(SCALES, table)
        head = {
            "modality": signals.modality,
            "subject": None if subject is None else hash_subject(subject),
            "sfreq": float(signals.sfreq),
            "n_channels": signals.shape[1],
            "n_times": signals.shape[2],
            "montage": key,
            "montage_offset": self._montages[key],
        }
        values, scale = encode(signals.data[rows], self.dtype)
        offset = self._write(VALUES, values)
        if self._current is None or self._current["head"] != head:
            self._close_row()
            self._current = {"head": head, "offset": offset, "duration": 0.0}
            self._current.update(scales=[], log_scales=[])
        self._current["scales"].append(scale)
        self._current["log_scales"].append(np.asarray(log_scale, np.float32))
        self._current["duration"] += duration

    def _close_row(self):
        row, self._current = self._current, None
        if row is None:
            return
        scales, log_scales = np.concatenate(row["scales"]), np.concatenate(row["log_scales"])
        has_log_scale = bool(log_scales.any())
        offset = self._write(SCALES, scales.astype("<f4"))
        if has_log_scale:
            self._write(SCALES, log_scales.astype("<f4"))
        self._rows.append(
            {
                **row["head"],
                "n_samples": len(scales),
                "duration": row["duration"],
                "offset": row["offset"],
                "scale_offset": offset,
                "has_log_scale": has_log_scale,
            }
        )

    def _write(self, which, array):
        """Append values to one of the two files; return where they begin."""
        content, offset = np.ascontiguousarray(array), self._sizes[which]
        self._files[which].write(content.data)
        self._digests[which].update(content.data)
        self._sizes[which] += content.size
        return offset

    def finish(self):
        """Move the files in place and write the part: from now on the recording is done."""
        self._close_row()
        kinds = (self.dtype, np.dtype(np.float32))
        for file, size, kind in zip(self._files, self._sizes, kinds, strict=True):
            file.seek(0)
            file.write(header_bytes(size, kind))
            sync(file)
            file.close()
        name = name_files(*self._digests)
        for path, final in zip(self._paths_aside(), file_names(name), strict=True):
            os.replace(path, self.folder / final)
        part = {
            "file": name,
            "rows": self._rows,
            "sizes": self._sizes,
            "n_empty_windows": self.n_empty_windows,
        }
        with replace_file(_record(self.stem)) as file:
            file.write(dump(part).encode())
        return part

    def discard(self):
        """Remove what was written."""
        for file, path in zip(self._files, self._paths_aside(), strict=False):
            with suppress(OSError):  # what is still buffered may not fit either
                file.close()
            with suppress(OSError):
                path.unlink()


def read_part(stem, folder, dtype):
    """Return the part of a recording that an earlier build finished, or None."""
    try:
        part = json.loads(_record(stem).read_bytes())
        widths = (np.dtype(dtype).itemsize, 4)
        files = zip(file_names(part["file"]), part["sizes"], widths, strict=True)
        is_whole = all((folder / f).stat().st_size == HEAD + n * w for f, n, w in files)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part if is_whole else None


def _record(stem):
    return stem.with_name(f"{stem.name}.json")
