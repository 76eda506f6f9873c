"""Every accepted form of ``X`` -> samples that are read when their batch comes."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._utils.messages import name_place
from .._utils.positions import check_positions
from ..signals import CHANNEL_TYPES, MODALITIES, PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .averages import epochs_of
from .image_run import open_run
from .images import is_image, read_run
from .labels import subjects_in
from .records import describe_record, is_record, load_recording, open_record, read_record
from .sample_list import SampleList, without_bad
from .sensors import from_array, from_epochs, from_raw, make_levels, read_epochs
from .splits import describe_later_parts, find_later_parts
from .window_datasets import as_epochs

ACCEPTED = (
    "mne.Epochs, mne.Evoked, mne.io.Raw, a 4-D or 3-D image, Signals, PairedSignals, datasets of "
    "windows (braindecode), a list of them, of file paths that MNE or nilearn reads or of records "
    "({'eeg': raw, 'fmri': image, 'subject': '01'}, read_bids), or an array (n_samples, "
    "n_channels, n_times) or (n_samples, n_times) with info="
)


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading samples."""

    info: object = None  # Channels and sampling rate of arrays
    missing_positions: str = "raise"  # Or "placeholder", for channels without a position
    masker: object = None  # Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`
    memory: object = None  # Cache of masked series
    # True: an item of a list that cannot be opened is one sample, and the error comes on reading
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
    X = _as_list(X.items if isinstance(X, SampleList) else as_epochs(X))
    if isinstance(X, list):
        if X and isinstance(X[0], LazySamples):
            return X
        if len(X) == 0:
            raise ValueError("X is empty: no samples.")
        if _is_numeric(X):
            return [_open_array(_stack(X), options)]
        check_parts(X)
        return [open_item(x, i, options) for i, x in enumerate(X)]
    if isinstance(X, (str, os.PathLike)) or is_record(X):
        what = f"one path, {str(X)!r}; pass a list of paths"
        if isinstance(X, Mapping):
            what = f"one {type(X).__name__}; pass a list of records"
        raise TypeError(f"X is {what}. Accepted are {ACCEPTED}.")
    if (hasattr(X, "__array__") or hasattr(X, "toarray")) and not is_image(X):
        return [_open_array(X, options)]
    return [_open_item(X, "X", options)]


def check_parts(X):
    """Refuse files of a list that are read with another item: data would be samples twice."""
    X = _as_list(X)
    parts = find_later_parts(X) if isinstance(X, list) and len(X) > 1 else {}
    if parts:
        names = [name_item(item, i) for i, item in enumerate(X)]
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

    subjects = subjects_in(item, 1)
    return LazySamples(1, read, where, is_recording=True, item=item, subjects=subjects)


def name_item(item, index):
    """Name an item of a list in messages."""
    name = describe_record(item) if is_record(item) else ""
    if isinstance(item, (str, os.PathLike)):
        name = os.fspath(item)
    return f"X[{index}] ({name})" if name else f"X[{index}]"


def _open_item(item, where, options):
    """Check one item, and name its samples, their modalities and their subjects."""
    images = {"masker": options.masker, "memory": options.memory}
    if is_record(item):
        opened = open_record(item, masker=options.masker)
        rules = {"missing_positions": options.missing_positions, **images}
        found = tuple(name for name in MODALITIES if item.get(name) is not None)
        samples = LazySamples(1, _whole(read_record, opened, **rules), where, is_recording=True)
    elif is_image(item):
        run = open_run(item, masker_t_r=getattr(options.masker, "t_r", None))
        samples, found = LazySamples(1, _whole(read_run, run, **images), where), ("fmri",)
    elif isinstance(item, (Signals, PairedSignals)):
        for modality, part in as_parts(item).items():
            check_positions(part.ch_pos, part.ch_names, modality, where=where)
            is_present = ~find_missing(item)[modality]
            if is_present.any():
                check_amplitude(part[is_present], where=where)
        samples, found = LazySamples(len(item), item.__getitem__, where), tuple(as_parts(item))
    else:
        samples, found = _open_recording(load_recording(item), where, options)
    return replace(samples, modalities=found, subjects=subjects_in(item, samples.n_samples))


def _whole(read, item, **options):
    """Return a reader of an item that is one sample."""
    return lambda rows: read(item, **options)


def _open_recording(item, where, options):
    """Return the samples of an mne.io.Raw or mne.Epochs, and the modalities of good channels."""
    import mne

    places = options.missing_positions
    if isinstance(item, mne.io.BaseRaw):
        read = _whole(from_raw, item, missing_positions=places)
        samples = LazySamples(1, read, where, is_recording=True)
    elif isinstance(item, (mne.BaseEpochs, mne.Evoked)):
        epochs = epochs_of([item], []) if isinstance(item, mne.Evoked) else without_bad(item)
        n_epochs = len(epochs)
        if n_epochs == 0:
            from_epochs(epochs)  # raises, with the reason
        levels = make_levels(epochs)

        def read(rows):
            piece = epochs if rows == slice(0, n_epochs) else epochs[rows]
            return read_epochs(piece, missing_positions=places, levels=levels, first=rows.start)

        samples = LazySamples(n_epochs, read, where)
    else:
        raise TypeError(
            f"{where} is of type {type(item).__name__}, which is not accepted. Accepted are "
            f"{ACCEPTED}."
        )
    named = zip(item.ch_names, item.get_channel_types(), strict=True)
    types = {kind for name, kind in named if name not in item.info["bads"]}
    return samples, tuple(name for name, kinds in CHANNEL_TYPES.items() if types & set(kinds))


def find_missing(signals):
    """Return masks (n_samples,) of missing samples by modality; a single one is never missing."""
    if isinstance(signals, PairedSignals):
        return signals.is_missing
    return {signals.modality: np.zeros(len(signals), dtype=bool)}


def _as_list(X):
    """Return sequences, and one-dimensional arrays or Series of paths or objects, as a list."""
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    is_column = getattr(X, "ndim", 0) == 1 and kind in tuple("OUST")
    if is_column and not any(isinstance(item, numbers.Number) for item in X):
        return list(X)
    return list(X) if isinstance(X, Sequence) and not isinstance(X, (str, bytes)) else X


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
    """Check if a list is an array written as nested lists."""
    first = X[0]
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
    return isinstance(first, (int, float, complex, np.number, np.ndarray, np.bool_))


def _open_array(X, options):
    signals = from_array(X, options.info, missing_positions=options.missing_positions)
    form = {"is_table": np.ndim(X) == 2, "modalities": tuple(as_parts(signals))}
    return LazySamples(len(signals), signals.__getitem__, "X", **form)


def count_samples(samples):
    """Count the samples of :func:`open_samples`, or of anything that has a length."""
    if not isinstance(samples, list):
        return len(samples)
    return sum(item.n_samples for item in samples)
