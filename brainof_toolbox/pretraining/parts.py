"""One recording, preprocessed and encoded, on its way into a shard.

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
from .format import SENSOR_TYPES, dump

#: A window in which no channel varies by more than this holds nothing but zeros and what filters
#: smear into them. In network units: 100 nV of EEG or 2 fT, below the noise of any instrument.
EMPTY = 5e-3
_FILES = ("values", "scales", "montages")


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
    """Where the channels are and what they measure, as a corpus keeps it."""
    # -> table (C, 7).
    kinds = [[SENSOR_TYPES.index(kind)] for kind in signals.ch_types]
    return np.hstack([signals.ch_pos, signals.ch_ori, kinds]).astype("<f4")


class PartWriter:
    """Writes the samples of one recording beside the corpus."""

    def __init__(self, stem, dtype):
        self.stem, self.dtype = stem, dtype
        self.n_empty_windows = 0
        self._rows, self._montages, self._current = [], {}, None
        self._sizes = dict.fromkeys(_FILES, 0)
        self._files = {}
        # A name of its own: a worker may outlive a builder that was killed, for a moment.
        self._aside = stem.with_name(f"{stem.name}-{secrets.token_hex(4)}")
        try:
            for name in _FILES:
                self._files[name] = open(_path(self._aside, name), "wb")
        except OSError:
            self.discard()
            raise

    @property
    def is_empty(self):
        """Whether nothing was kept so far."""
        return self._sizes["values"] == 0

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
            self._montages[key] = len(table)
            self._write("montages", table)
        head = {
            "modality": signals.modality,
            "subject": None if subject is None else hash_subject(subject),
            "sfreq": float(signals.sfreq),
            "n_channels": signals.shape[1],
            "n_times": signals.shape[2],
            "montage": key,
        }
        if self._current is None or self._current["head"] != head:
            self._close_row()
            self._current = {
                "head": head,
                "offset": self._sizes["values"],
                "duration": 0.0,
                "digest": hashlib.sha256(),
                "scales": [],
                "log_scales": [],
            }
        values, scale = encode(signals.data[rows], self.dtype)
        self._current["digest"].update(self._write("values", values))
        self._current["scales"].append(scale)
        self._current["log_scales"].append(np.asarray(log_scale, np.float32))
        self._current["duration"] += duration

    def _close_row(self):
        row, self._current = self._current, None
        if row is None:
            return
        scales = [np.concatenate(row["scales"])]
        n_samples = len(scales[0])
        log_scales = np.concatenate(row["log_scales"])
        has_log_scale = bool(log_scales.any())
        scales += [log_scales] if has_log_scale else []
        offset = self._sizes["scales"]
        for array in scales:
            row["digest"].update(self._write("scales", array.astype("<f4")))
        self._rows.append(
            {
                **row["head"],
                "n_samples": n_samples,
                "duration": row["duration"],
                "offset": row["offset"],
                "scale_offset": offset,
                "has_log_scale": has_log_scale,
                "sha256": row["digest"].hexdigest(),
            }
        )

    def _write(self, name, array):
        content = np.ascontiguousarray(array)
        self._files[name].write(content.data)
        self._sizes[name] += content.size
        return content.data

    def finish(self):
        """Make the part valid: from now on it counts as done."""
        self._close_row()
        for file in self._files.values():
            sync(file)
            file.close()
        for name in _FILES:
            os.replace(_path(self._aside, name), _path(self.stem, name))
        part = {
            "rows": self._rows,
            "montages": list(self._montages.items()),
            "sizes": self._sizes,
            "n_empty_windows": self.n_empty_windows,
        }
        with replace_file(_path(self.stem, "json")) as file:
            file.write(dump(part).encode())
        return part

    def discard(self):
        """Remove what was written."""
        for name, file in self._files.items():
            with suppress(OSError):  # what is still buffered may not fit either
                file.close()
            with suppress(OSError):
                _path(self._aside, name).unlink()


def read_part(stem, dtype):
    """Find what an earlier build finished."""
    try:
        part = json.loads(_path(stem, "json").read_bytes())
        widths = (np.dtype(dtype).itemsize, 4, 4)
        for name, width in zip(_FILES, widths, strict=True):
            if _path(stem, name).stat().st_size != part["sizes"][name] * width:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part


def remove_part(stem):
    """Remove a part, the file that makes it valid first."""
    for name in ("json", *_FILES):
        _path(stem, name).unlink(missing_ok=True)


def part_file(stem, name):
    """Open one file of a part."""
    return open(_path(stem, name), "rb")


def _path(stem, name):
    return stem.with_name(f"{stem.name}.{name}")
