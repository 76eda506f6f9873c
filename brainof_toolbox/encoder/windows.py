"""Samples -> preprocessed windows, a bounded number at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils.messages import name_place
from ..io.inputs import find_missing
from ..preprocessing import preprocess
from ..signals import Signals, as_parts
from ..windows import pair_windows

__all__ = ["SampleMeans", "WindowBatch", "iter_windows"]


@dataclass(frozen=True)
class WindowBatch:
    """Preprocessed windows of samples that share a montage."""

    windows: dict  # Windows by modality, in reading order, each cut to its own length
    rows: dict  # (n_windows,) Index in ``windows[modality]`` of what is read together
    is_missing: dict  # (n_windows,) True where the modality was not recorded
    sample: np.ndarray  # (n_windows,) Index in ``X`` of the sample of each window
    is_recording: bool = False  # True for a whole recording, which is not locked to an event

    def __len__(self):
        return len(self.sample)

    def split(self, size):
        """Yield indices of windows, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield np.arange(start, min(start + size, len(self)))

    def present(self, modality):
        """Return the windows of a modality that were recorded, each once, and their samples."""
        kept = ~self.is_missing[modality]
        index, first = np.unique(self.rows[modality][kept], return_index=True)
        return index, self.sample[kept][first]


class SampleMeans:
    """Running means over the windows of each sample."""

    def __init__(self, n_samples):
        self.n_samples, self.total = n_samples, None
        self.count = np.zeros((n_samples, 1))

    def add(self, sample, values):
        """Add rows ``values`` (n_windows, F) of the samples ``sample`` (n_windows,)."""
        if self.total is None:
            self.total = np.zeros((self.n_samples, values.shape[1]))
        np.add.at(self.total, sample, values)
        np.add.at(self.count, sample, 1.0)

    def rows(self):
        """Return the means (n_samples, F), NaN for samples without a window."""
        out = np.full_like(self.total, np.nan)
        return np.divide(self.total, self.count, out=out, where=self.count > 0)


def iter_windows(samples, preprocessing, *, window=None, n_at_once=64):
    """Read, preprocess and cut samples, a bounded number at a time."""
    # Neighbours with one montage, rate and length go together, which changes no value: nothing in
    # the preprocessing looks across samples.
    pending, first = [], 0
    for signals, source in _read_in_pieces(samples, n_at_once):
        n_pending = sum(len(item) for item, _ in pending)
        fits = (
            pending and not source.is_recording and pending[-1][0].signature == signals.signature
        )
        if pending and (not fits or n_pending + len(signals) > n_at_once):
            yield _make_batch(pending, first, preprocessing, window)
            first, pending = first + n_pending, []
        pending.append((signals, source))
    yield _make_batch(pending, first, preprocessing, window)


def _read_in_pieces(samples, n_at_once):
    for source in samples:
        for start in range(0, source.n_samples, n_at_once):
            rows = slice(start, min(start + n_at_once, source.n_samples))
            try:
                signals = source.read(rows)
            except (ValueError, TypeError, OSError) as error:
                raise name_place(error, source.where) from error
            yield signals, source


def _make_batch(pending, first, preprocessing, window):
    source = pending[0][1]
    items = [as_parts(signals) for signals, _ in pending]
    parts = {name: Signals.concatenate([item[name] for item in items]) for name in items[0]}
    missing = [find_missing(signals) for signals, _ in pending]
    is_missing = {name: np.concatenate([item[name] for item in missing]) for name in parts}
    lengths = window if isinstance(window, dict) else dict.fromkeys(parts, window)
    try:
        windows = {
            name: preprocess(
                part, preprocessing, window=lengths.get(name), is_table=source.is_table
            )
            for name, part in parts.items()
        }
    except ValueError as error:
        raise name_place(error, source.where) from error
    rows, sample = pair_windows({name: w.sample for name, w in windows.items()}, is_missing)
    absent = {name: mask[sample] for name, mask in is_missing.items()}
    return WindowBatch(windows, rows, absent, sample + first, source.is_recording)
