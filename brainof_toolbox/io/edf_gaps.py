"""Discontinuous EDF+ and BDF+ files: mark gaps and place annotations."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .edf import read_header

#: The first annotation of a record has no text; its onset is that of the record.
_RECORD_TIME = re.compile(rb"(?:^|\x00)([+-]\d+(?:\.\d*)?)\x14\x14")
_ANNOTATION = re.compile(
    rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?((?:\x14[^\x14\x00]*)*)\x14\x00"
)


def _annotation_bytes(path, header):
    """Read the bytes of the annotation channels (n_records, n_bytes), without the signals."""
    sizes = header.width * np.array(header.n_values)
    ends = np.cumsum(sizes)
    shape = (header.n_records, int(ends[-1]))
    values = np.memmap(path, np.uint8, "r", header.n_bytes, shape)
    spans = [slice(ends[i] - sizes[i], ends[i]) for i in np.flatnonzero(header.is_annotation)]
    return np.concatenate([np.array(values[:, span]) for span in spans], axis=1)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Times of the records of a file."""

    onset: np.ndarray  # (n_records,) Start of each record in seconds from that of the first
    duration: float  # Of a record, in seconds
    tolerance: float  # Shorter differences are neither gaps nor shifts, in seconds
    flag: str  # Of the header, ``"EDF+D"`` or ``"EDF+C"``

    @property
    def steps(self):
        """Time between the end of a record and the start of the next (s)."""
        return np.diff(self.onset) - self.duration

    @property
    def gaps(self):
        """Times of interruptions, in seconds of data."""
        return (np.flatnonzero(self.steps > self.tolerance) + 1) * self.duration

    @property
    def is_shifted(self):
        """``True`` if any record does not start at the end of the record before."""
        even = np.arange(len(self.onset)) * self.duration
        return bool((np.abs(self.onset - even) > self.tolerance).any())

    def place(self, times):
        """Convert times of the recording to seconds of data."""
        times = np.asarray(times, dtype=float)
        record = np.searchsorted(self.onset, times + self.tolerance, side="right") - 1
        record = np.maximum(record, 0)
        within = times - self.onset[record]
        is_followed = np.append(self.steps <= self.tolerance, False)
        late = np.where(is_followed[record], np.inf, self.duration - self.tolerance)
        is_lost = (within < -self.tolerance) | (within > late)
        return record * self.duration + np.clip(within, 0.0, self.duration), is_lost


def read_timeline(path):
    """Read the start of each record of an EDF+ or BDF+ file."""
    if path is None or not Path(path).is_file():
        return None, None
    found = os.stat(path)
    return _read_timeline(os.fspath(path), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_timeline(path, size, changed):
    """Read the timeline of a file once, unless the file changes."""
    header = read_header(path)
    if header is None or header.n_records < 2:
        return None, None
    is_gapped = header.flag in ("EDF+D", "BDF+D")
    missing = None
    if header.is_annotation.any():
        found = [_RECORD_TIME.search(row.tobytes()) for row in _annotation_bytes(path, header)]
        if None in found:
            missing = f"record {found.index(None) + 1} has none"
    else:
        missing = "there is no annotation channel"
    if missing and is_gapped:
        raise ValueError(
            f"{path} is discontinuous ({header.flag}), but its records have no start times: "
            f"{missing}. Events and gaps cannot be placed; convert the file again."
        )
    if missing:  # not needed in a continuous file
        return None, None
    texts = [match[1] for match in found]
    onset = np.array(texts, dtype=float)
    tolerance = _tolerance(texts, header)
    timeline = Timeline(onset - onset[0], header.duration, tolerance, header.flag or "EDF")
    early = np.flatnonzero(timeline.steps < -timeline.tolerance)
    if len(early):
        at = early[0] + 1
        words = (
            f"record {at + 1} begins at {onset[at]:g} s, before the end of the record before it "
            f"({onset[at - 1] + header.duration:g} s)"
        )
        if is_gapped:
            raise ValueError(
                f"{path}: the records of this discontinuous file ({header.flag}) overlap or are "
                f"out of order: {words}. Repair the file."
            )
        return None, (
            f"{path}: {words}, although the file is continuous by its header. Times of records "
            "are not used, and it is read as continuous; check the times of its events."
        )
    if not timeline.is_shifted:
        return None, None
    if is_gapped or not len(timeline.gaps):  # clock drift
        return timeline, None
    return timeline, (
        f"{path}: the file is continuous by its header ({timeline.flag}), but the times of its "
        f"records have {len(timeline.gaps)} gap(s), the first after {timeline.gaps[0]:g} s. It "
        "is read as discontinuous, by the times of the records."
    )


def _tolerance(texts, header):
    """Return half a time point, or the rounding error of the times in the file if larger."""
    digits = max(len(text.partition(b".")[2]) for text in texts)
    in_digits = header.duration * 10.0**digits
    is_exact = abs(in_digits - round(in_digits)) < 1e-6
    half = 0.5 / header.sfreq if header.sfreq else 0.0
    return max(half, 1e-9 if is_exact else 1.01 * 10.0**-digits)


def place_times(raw, times):
    """Convert times from the start of a recording to seconds of its data."""
    timeline, _ = read_timeline(raw.filenames[0])
    if timeline is None:
        return times, np.zeros(len(times), dtype=bool)
    return timeline.place(times)


def mark_gaps(raw, read=None, *, encoding=None):
    """Mark the gaps of a discontinuous EDF+ or BDF+ file, and align annotations with the data."""
    # MNE reads the records as if they were contiguous.
    path = raw.filenames[0]
    timeline, message = read_timeline(path)
    if message:
        warn(message)
    if timeline is None:
        return None
    annotations = _read_annotations(path, raw.ch_names, encoding) if read is None else read()
    onset, is_lost = timeline.place(annotations.onset)
    end, _ = timeline.place(annotations.onset + annotations.duration)
    words = [str(word).lower() for word in annotations.description]
    is_bad = np.array([word.startswith(("bad", "edge")) for word in words], dtype=bool)
    is_in = ~is_lost | (is_bad & (end > onset))  # a bad span may begin in a gap
    placed = annotations[np.flatnonzero(is_in)]
    placed.onset[:] = onset[is_in]
    placed.duration[:] = (end - onset)[is_in]
    for gap in timeline.gaps:
        placed.append(gap, 0.0, "BAD boundary")
        placed.append(gap, 0.0, "EDGE boundary")
    raw.set_annotations(placed, emit_warning=False)
    return [
        f"{annotations.description[i]!r} at {annotations.onset[i]:g} s"
        for i in np.flatnonzero(is_lost & ~is_bad)
    ]


def _read_annotations(path, ch_names, encoding):
    """Read annotations of an EDF+ or BDF+ file, in seconds from the start of its first record."""
    import mne

    rows = _annotation_bytes(path, read_header(path))
    first = float(_RECORD_TIME.search(rows[0].tobytes())[1])
    found = []
    for onset, duration, texts in _ANNOTATION.findall(rows.tobytes()):
        for text in filter(None, texts.split(b"\x14")):
            try:
                word = text.decode(encoding or "utf-8")
            except UnicodeDecodeError:
                if encoding is not None:
                    raise
                word = text.decode("latin1")
            word, _, channel = word.partition("@@")
            if channel and channel not in ch_names:  # not a channel, but part of the text
                word, channel = f"{word}@@{channel}", ""
            found.append((float(onset) - first, float(duration or 0), word, channel))
    events, channels = [], {}
    for *event, channel in found:  # one annotation of several channels is written several times
        if channel:
            channels.setdefault(tuple(event), []).append(channel)
        else:
            events.append((*event, ()))
    events += [(*event, tuple(names)) for event, names in channels.items()]
    events.sort(key=lambda event: event[0])
    onset, duration, word, names = zip(*events, strict=True) if events else ((), (), (), ())
    return mne.Annotations(onset, duration, word, ch_names=names)


def check_gaps(raw):
    """Raise if a recording of a discontinuous file has gaps without annotations."""
    sfreq, marks = raw.info["sfreq"], raw.annotations
    words = [str(word).lower() for word in marks.description]
    is_mark = np.array([word.startswith(("bad", "edge")) for word in words], dtype=bool)
    begin = marks.onset[is_mark] - raw.first_time
    end_of_mark = begin + marks.duration[is_mark]
    at, near = 0.0, 1.5 / sfreq
    for path, first, last in zip(raw.filenames, raw._first_samps, raw._last_samps, strict=True):
        timeline, _ = read_timeline(path)
        gaps = [] if timeline is None else at + timeline.gaps - first / sfreq
        end = at + (last - first + 1) / sfreq
        inside = [gap for gap in gaps if at + near < gap < end - near]
        unmarked = [
            gap
            for gap in inside
            if not ((begin - near <= gap) & (gap <= end_of_mark + near)).any()
        ]
        if unmarked:
            raise ValueError(
                f"{path} is discontinuous ({timeline.flag}), but {len(unmarked)} of the gaps in "
                "this recording are not marked by annotations: filters and epochs would cross "
                "them, and annotations after a gap are misplaced. Read the file with "
                "brainof_toolbox.io.read_recording, and filter and cut what it returns."
            )
        at = end
