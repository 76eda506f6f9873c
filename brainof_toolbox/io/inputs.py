"""Every accepted form of ``X`` -> sources of samples that are read when their batch comes."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._utils.positions import check_positions
from ..signals import PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .bids_recordings import read_bids_recording
from .image_run import open_run
from .images import is_image, read_run
from .recordings import read_recording
from .records import describe_record, is_record, open_record, read_record
from .sensors import from_array, from_epochs, from_raw, make_levels, read_epochs
from .splits import describe_later_parts, find_later_parts

ACCEPTED = (
    "mne.Epochs, mne.io.Raw, a 4-D image, Signals, PairedSignals, a list of them, of file paths "
    "that MNE or nilearn reads or of records ({'eeg': raw, 'fmri': image, 'subject': '01'}, "
    "read_bids), or an array (n_samples, n_channels, n_times) or (n_samples, n_times) with info="
)


@dataclass(frozen=True)
class Reading:
    """How samples are read."""

    info: object = None  # Needed by arrays
    # What happens to channels without a position, ``"raise"`` or ``"placeholder"``
    missing_positions: str = "raise"
    masker: object = None  # Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`
    memory: object = None  # Cache of masked series
    # An item of a list that cannot be opened is a source of one sample, whose reading raises
    keep_broken: bool = False


@dataclass(frozen=True)
class Source:
    """Samples that share a montage and can be read by slices."""

    n_samples: int  # How many
    read: Callable  # From a slice of samples to Signals or PairedSignals
    where: str = "X"  # What to call it in messages
    # A whole recording is one sample and is read alone, so that memory holds one at a time
    is_recording: bool = False
    is_table: bool = False  # A 2-D array of one-channel series
    item: object = None  # What it was made from, where that was an item of a list


def as_sources(X, reading=None):
    """Take ``X`` apart without reading data."""
    reading = reading or Reading()
    if _is_column(X) or (isinstance(X, Sequence) and not isinstance(X, (str, bytes))):
        X = list(X)
    if isinstance(X, list):
        if len(X) == 0:
            raise ValueError("X is empty: no samples.")
        if _is_numeric(X):
            return [_array_source(_stack(X), reading)]
        check_parts(X)
        return [as_source(item, i, reading) for i, item in enumerate(X)]
    if isinstance(X, (str, os.PathLike)) or is_record(X):
        what = f"one path, {str(X)!r}; pass a list of paths"
        if isinstance(X, Mapping):
            what = f"one {type(X).__name__}; pass a list of records"
        raise TypeError(f"X is {what}. Accepted are {ACCEPTED}.")
    if _is_array(X) and not is_image(X):
        return [_array_source(X, reading)]
    return [_item_source(X, "X", reading)]


def check_parts(X):
    """Refuse files of a list that are read with another item: data would be samples twice."""
    is_list = isinstance(X, Sequence) and not isinstance(X, (str, bytes))
    items = list(X) if is_list or _is_column(X) else []
    parts = find_later_parts(items) if len(items) > 1 else {}
    if parts:
        names = [name_item(item, i) for i, item in enumerate(items)]
        raise ValueError(
            f"{describe_later_parts(parts, names)}: parts of one recording that was split over "
            "files. It is read as a whole from its first file: pass that alone, with one label."
        )


def as_source(item, index, reading):
    """Take one item of a list apart without reading data; an error says which item it was."""
    where = name_item(item, index)
    try:
        return replace(_item_source(item, where, reading), item=item)
    except (ValueError, TypeError, OSError) as error:
        broken = name_place(error, where)
        if not reading.keep_broken:
            raise broken from error

    def read(rows):
        raise broken

    return Source(1, read, where, is_recording=True, item=item)


def name_item(item, index):
    """Name an item of a list in messages."""
    if isinstance(item, (str, os.PathLike)):
        return f"X[{index}] ({os.fspath(item)})"
    if is_record(item) and describe_record(item):
        return f"X[{index}] ({describe_record(item)})"
    return f"X[{index}]"


def name_place(error, where):
    if where in str(error):
        return error
    kind = FileNotFoundError if isinstance(error, FileNotFoundError) else type(error)
    if kind not in (ValueError, TypeError, FileNotFoundError, OSError, RuntimeError):
        kind = ValueError
    return kind(f"{where}: {error}")


def _item_source(item, where, reading):
    import mne

    if is_record(item):
        record = open_record(item, masker=reading.masker)
        options = {"masker": reading.masker, "memory": reading.memory}
        options["missing_positions"] = reading.missing_positions
        return Source(1, lambda rows: read_record(record, **options), where, is_recording=True)
    if is_image(item):
        run = open_run(item, masker_t_r=getattr(reading.masker, "t_r", None))
        options = {"masker": reading.masker, "memory": reading.memory}
        return Source(1, lambda rows: read_run(run, **options), where)
    if hasattr(item, "find_matching_sidecar"):  # a BIDSPath: bad channels are in its sidecars
        item = read_bids_recording(item)
    elif isinstance(item, (str, os.PathLike)):
        item = read_recording(item)
    if isinstance(item, mne.io.BaseRaw):
        return Source(
            1,
            lambda rows: from_raw(item, missing_positions=reading.missing_positions),
            where,
            is_recording=True,
        )
    if isinstance(item, mne.BaseEpochs):
        if not getattr(item, "_bad_dropped", True):
            item = item.copy().drop_bad(verbose="error")
        if len(item) == 0:
            from_epochs(item)  # raises, with the reason
        levels = make_levels(item)

        def read(rows):
            return read_epochs(
                _slice_epochs(item, rows),
                missing_positions=reading.missing_positions,
                levels=levels,
                first=rows.start,
            )

        return Source(len(item), read, where)
    if isinstance(item, (Signals, PairedSignals)):
        for modality, part in as_parts(item).items():
            check_positions(part.ch_pos, part.ch_names, modality, where=where)
            is_there = ~find_missing(item)[modality]
            if is_there.any():
                check_amplitude(part[is_there], where=where)
        return Source(len(item), lambda rows: item[rows], where)
    raise TypeError(
        f"{where} is of type {type(item).__name__}, which is not accepted. Accepted are "
        f"{ACCEPTED}."
    )


def find_missing(signals):
    """Which samples lack which modality; a single modality is never missing."""
    if isinstance(signals, PairedSignals):
        return signals.is_missing
    return {signals.modality: np.zeros(len(signals), dtype=bool)}


def _slice_epochs(epochs, rows):
    return epochs if rows == slice(0, len(epochs)) else epochs[rows]


def _is_column(X):
    """Whether ``X`` is a one-dimensional array or Series of paths or objects."""
    if getattr(X, "ndim", 0) != 1 or getattr(getattr(X, "dtype", None), "kind", "") not in "OUST":
        return False
    return not any(isinstance(item, numbers.Number) for item in X)


def _stack(X):
    """A list of arrays, or of nested lists of numbers, as one array."""
    try:
        return np.asarray(X)
    except ValueError as error:
        shapes = [getattr(item, "shape", type(item).__name__) for item in X[:3]]
        raise ValueError(
            f"The list X does not hold arrays of one shape: {shapes}{', ...' * (len(X) > 3)}. "
            "Pass samples of different lengths as a list of Signals: from_array(x[None], info)."
        ) from error


def _is_numeric(X):
    """Whether a list is an array written as nested lists."""
    first = X[0] if len(X) else None
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
    return isinstance(first, (int, float, complex, np.number, np.ndarray, np.bool_))


def _is_array(X):
    return hasattr(X, "__array__") or hasattr(X, "toarray")


def _array_source(X, reading):
    signals = from_array(X, reading.info, missing_positions=reading.missing_positions)
    is_table = np.ndim(X) == 2
    return Source(len(signals), lambda rows: signals[rows], "X", is_table=is_table)


def count_samples(sources):
    """Number of samples in all sources."""
    if not isinstance(sources, list):
        return len(sources)
    return sum(source.n_samples for source in sources)
