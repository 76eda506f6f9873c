"""Every accepted form of ``X`` -> samples that are read when their batch comes."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from .._utils.positions import check_positions
from ..signals import CHANNEL_TYPES, MODALITIES, PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .averages import epochs_of
from .bids_recordings import read_bids_recording
from .image_run import open_run
from .images import is_image, read_run
from .labels import subjects_in
from .recordings import read_recording
from .records import describe_record, is_record, open_record, read_record
from .sample_list import SampleList
from .sensors import from_array, from_epochs, from_raw, make_levels, read_epochs
from .splits import describe_later_parts, find_later_parts

ACCEPTED = (
    "mne.Epochs, mne.Evoked, mne.io.Raw, a 4-D image, Signals, PairedSignals, a list of them, of "
    "file paths that MNE or nilearn reads or of records ({'eeg': raw, 'fmri': image, 'subject': "
    "'01'}, read_bids), or an array (n_samples, n_channels, n_times) or (n_samples, n_times) with "
    "info="
)


@dataclass(frozen=True)
class ReadOptions:
    """Options for options samples."""

    info: object = None  # Channels and sampling rate of arrays
    missing_positions: str = "raise"  # Or "placeholder", for channels without a position
    masker: object = None  # Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`
    memory: object = None  # Cache of masked series
    # True: an item of a list that cannot be opened is one sample, and the error comes on options
    keep_broken: bool = False


@dataclass(frozen=True)
class LazySamples:
    """Samples of one montage that are read by slices when they are needed."""

    n_samples: int
    read: Callable  # From a slice of samples to Signals or PairedSignals
    where: str = "X"  # Their name in messages
    # True: a whole recording is one sample, and is read alone so that memory holds one at a time
    is_recording: bool = False
    is_table: bool = False  # True: a 2-D array of one-channel series
    item: object = None  # The item of a list that they come from
    modalities: tuple = ()  # In reading order; empty for an item that cannot be opened
    subjects: object = None  # (n_samples,) Subject of each sample, unless one has no name


def open_samples(X, options=None):
    """Split ``X`` into lazily read samples."""
    options = options or ReadOptions()
    if isinstance(X, SampleList):
        X = X.items
    if _is_column(X) or (isinstance(X, Sequence) and not isinstance(X, (str, bytes))):
        X = list(X)
    if isinstance(X, list):
        if X and isinstance(X[0], LazySamples):
            return X
        if len(X) == 0:
            raise ValueError("X is empty: no samples.")
        if _is_numeric(X):
            return [_open_array(_stack(X), options)]
        check_parts(X)
        return [_name_subjects(open_item(x, i, options), x) for i, x in enumerate(X)]
    if isinstance(X, (str, os.PathLike)) or is_record(X):
        what = f"one path, {str(X)!r}; pass a list of paths"
        if isinstance(X, Mapping):
            what = f"one {type(X).__name__}; pass a list of records"
        raise TypeError(f"X is {what}. Accepted are {ACCEPTED}.")
    if _is_array(X) and not is_image(X):
        return [_open_array(X, options)]
    return [_name_subjects(_open_item(X, "X", options), X)]


def _name_subjects(samples, item):
    return replace(samples, subjects=subjects_in(item, samples.n_samples))


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


def open_item(item, index, options):
    """Open one item of a list without reading its data; errors name the item."""
    where = name_item(item, index)
    try:
        return replace(_open_item(item, where, options), item=item)
    except (ValueError, TypeError, OSError) as error:
        broken = name_place(error, where)
        if not options.keep_broken:
            raise broken from error

    def read(rows):
        raise broken

    return LazySamples(1, read, where, is_recording=True, item=item)


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


def _open_item(item, where, options):
    import mne

    if is_record(item):
        return _open_record(item, where, options)
    if is_image(item):
        return _open_image(item, where, options)
    if isinstance(item, (Signals, PairedSignals)):
        return _open_signals(item, where)
    if hasattr(item, "find_matching_sidecar"):  # a BIDSPath: bad channels are in its sidecars
        item = read_bids_recording(item)
    elif isinstance(item, (str, os.PathLike)):
        item = read_recording(item)
    if isinstance(item, mne.io.BaseRaw):
        read = partial(_read_raw, item, options)
        return LazySamples(1, read, where, is_recording=True, modalities=_modalities(item.info))
    if isinstance(item, mne.Evoked):
        item = epochs_of([item], [])
    if isinstance(item, mne.BaseEpochs):
        return _open_epochs(item, where, options)
    raise TypeError(
        f"{where} is of type {type(item).__name__}, which is not accepted. Accepted are "
        f"{ACCEPTED}."
    )


def _open_record(record, where, options):
    opened = open_record(record, masker=options.masker)

    def read(rows):
        return read_record(
            opened,
            masker=options.masker,
            memory=options.memory,
            missing_positions=options.missing_positions,
        )

    modalities = tuple(name for name in MODALITIES if record.get(name) is not None)
    return LazySamples(1, read, where, is_recording=True, modalities=modalities)


def _open_image(image, where, options):
    run = open_run(image, masker_t_r=getattr(options.masker, "t_r", None))

    def read(rows):
        return read_run(run, masker=options.masker, memory=options.memory)

    return LazySamples(1, read, where, modalities=("fmri",))


def _open_signals(signals, where):
    for modality, part in as_parts(signals).items():
        check_positions(part.ch_pos, part.ch_names, modality, where=where)
        is_present = ~find_missing(signals)[modality]
        if is_present.any():
            check_amplitude(part[is_present], where=where)
    modalities = tuple(as_parts(signals))
    return LazySamples(len(signals), signals.__getitem__, where, modalities=modalities)


def _open_epochs(epochs, where, options):
    if not getattr(epochs, "_bad_dropped", True):
        epochs = epochs.copy().drop_bad(verbose="error")
    if len(epochs) == 0:
        from_epochs(epochs)  # raises, with the reason
    levels = make_levels(epochs)

    def read(rows):
        return read_epochs(
            epochs if rows == slice(0, len(epochs)) else epochs[rows],
            missing_positions=options.missing_positions,
            levels=levels,
            first=rows.start,
        )

    return LazySamples(len(epochs), read, where, modalities=_modalities(epochs.info))


def _read_raw(raw, options, rows):
    return from_raw(raw, missing_positions=options.missing_positions)


def _modalities(info):
    """List the modalities of the good channels, in reading order."""
    named = zip(info["ch_names"], info.get_channel_types(), strict=True)
    types = {kind for name, kind in named if name not in info["bads"]}
    return tuple(name for name, kinds in CHANNEL_TYPES.items() if types & set(kinds))


def find_missing(signals):
    """Return masks (n_samples,) of missing samples by modality; a single one is never missing."""
    if isinstance(signals, PairedSignals):
        return signals.is_missing
    return {signals.modality: np.zeros(len(signals), dtype=bool)}


def _is_column(X):
    """Whether ``X`` is a one-dimensional array or Series of paths or objects."""
    if getattr(X, "ndim", 0) != 1 or getattr(getattr(X, "dtype", None), "kind", "") not in "OUST":
        return False
    return not any(isinstance(item, numbers.Number) for item in X)


def _stack(X):
    """Stack arrays, or nested lists of numbers, into one array."""
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


def _open_array(X, options):
    signals = from_array(X, options.info, missing_positions=options.missing_positions)
    return LazySamples(
        len(signals),
        signals.__getitem__,
        "X",
        is_table=np.ndim(X) == 2,
        modalities=tuple(as_parts(signals)),
    )


def count_samples(samples):
    """Count the samples of :func:`open_samples`, or of anything that has a length."""
    if not isinstance(samples, list):
        return len(samples)
    return sum(item.n_samples for item in samples)
