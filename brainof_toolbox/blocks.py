"""Samples -> preprocessed windows, a bounded number at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .io.inputs import find_missing, name_place
from .preprocessing import preprocess
from .signals import Signals, as_parts
from .windows import pair_windows


@dataclass(frozen=True)
class Block:
    """Preprocessed windows of samples that share a montage."""

    windows: dict  # By modality, in reading order, each cut to its own length
    rows: dict  # (n_windows,) Which window of each modality the network reads together
    is_missing: dict  # (n_windows,) Where a modality is not there to be read
    sample: np.ndarray  # (n_windows,) Index in ``X`` of the sample each window belongs to

    def __len__(self):
        return len(self.sample)


def iter_blocks(sources, preprocessing, *, window=None, n_at_once=64):
    """Read, preprocess and cut samples, a bounded number at a time."""
    # Neighbours with one montage, rate and length go together, which changes no value: nothing in
    # the preprocessing looks across samples.
    pending, first = [], 0
    for signals, source in _read_in_pieces(sources, n_at_once):
        n_pending = sum(len(item) for item, _ in pending)
        fits = (
            pending and not source.is_recording and pending[-1][0].signature == signals.signature
        )
        if pending and (not fits or n_pending + len(signals) > n_at_once):
            yield _make_block(pending, first, preprocessing, window)
            first, pending = first + n_pending, []
        pending.append((signals, source))
    yield _make_block(pending, first, preprocessing, window)


def _read_in_pieces(sources, n_at_once):
    for source in sources:
        for start in range(0, source.n_samples, n_at_once):
            rows = slice(start, min(start + n_at_once, source.n_samples))
            try:
                signals = source.read(rows)
            except (ValueError, TypeError, OSError) as error:
                raise name_place(error, source.where) from error
            yield signals, source


def _make_block(pending, first, preprocessing, window):
    where = pending[0][1].where
    is_table = pending[0][1].is_table
    items = [as_parts(signals) for signals, _ in pending]
    parts = {name: Signals.concatenate([item[name] for item in items]) for name in items[0]}
    missing = [find_missing(signals) for signals, _ in pending]
    is_missing = {name: np.concatenate([item[name] for item in missing]) for name in parts}
    lengths = window if isinstance(window, dict) else dict.fromkeys(parts, window)
    try:
        windows = {
            name: preprocess(part, preprocessing, window=lengths.get(name), is_table=is_table)
            for name, part in parts.items()
        }
    except ValueError as error:
        raise name_place(error, where) from error
    rows, sample = pair_windows({name: w.sample for name, w in windows.items()}, is_missing)
    absent = {name: mask[sample] for name, mask in is_missing.items()}
    return Block(windows, rows, absent, sample + first)
