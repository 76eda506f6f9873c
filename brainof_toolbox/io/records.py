"""Read a record, the modalities of one recording, as Signals or PairedSignals of one sample."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .._utils.logging import warn
from .._utils.positions import check_positions
from ..signals import CHANNEL_TYPES, MODALITIES, PER_SAMPLE, PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .bids_recordings import read_bids_recording
from .datalad import check_present
from .image_run import ImageRun, open_run
from .images import is_image, read_run
from .recordings import read_recording
from .sensors import from_epochs, from_raw

#: Keys of a record: recordings by modality, options of the fMRI run, labels.
RECORD_KEYS = (*MODALITIES, "confounds", "t_r", *PER_SAMPLE)
_FORMS = {
    "fmri": "a 4-D or 3-D image, the path of one, or Signals",
    "eeg": "an mne.io.Raw, Epochs with one epoch, the path of a recording, a BIDSPath or Signals",
}
_FORMS["meg"] = _FORMS["eeg"]


def open_record(record, *, masker=None):
    """Check a record and open its image, without reading data; return it with an ImageRun."""
    unknown = [key for key in record if key not in RECORD_KEYS]
    if unknown:
        raise ValueError(f"Unknown keys {unknown} in a record; accepted are {list(RECORD_KEYS)}.")
    there = _modalities(record)
    if not there:
        raise ValueError(
            f"The record is empty: it has none of {list(MODALITIES)} (subject "
            f"{record.get('subject')!r}). Drop it, or give it a recording."
        )
    for key in ("confounds", "t_r"):
        if record.get(key) is not None and "fmri" not in there:
            raise ValueError(f"The record has {key!r} but no 'fmri'.")
    for modality in there:
        item = record[modality]
        if modality == "fmri" and not isinstance(item, (Signals, ImageRun)):
            if not is_image(item):
                raise TypeError(_unusable("fmri", item))
            t_r = {"t_r": record.get("t_r"), "masker_t_r": getattr(masker, "t_r", None)}
            record = {**record, "fmri": open_run(item, **t_r)}
        elif modality != "fmri" and is_path(item):
            check_present(item)
    return record


def read_record(record, *, masker=None, missing_positions="raise", memory=None):
    """Read all modalities of a record, opened by :func:`open_record` or not."""
    record = open_record(record, masker=masker)
    labels = {name: (record[name],) for name in PER_SAMPLE if record.get(name) is not None}
    parts = {}
    for modality in _modalities(record):
        item = record[modality]
        if isinstance(item, ImageRun):
            confounds = record.get("confounds")
            part = read_run(item, masker=masker, confounds=confounds, memory=memory)
        elif isinstance(item, (Signals, PairedSignals)):
            part = _part_of(item, modality)
            check_amplitude(part, where=f"record[{modality!r}]")
        else:
            part = _read_sensors(record, modality, missing_positions)
        if len(part) != 1:
            raise ValueError(
                f"record[{modality!r}] holds {len(part)} samples; a record is one sample. Make "
                "one record for each."
            )
        parts[modality] = part.replace(**labels)
    return next(iter(parts.values())) if len(parts) == 1 else PairedSignals(parts)


def _modalities(record):
    return [name for name in MODALITIES if record.get(name) is not None]


def is_path(item):
    """Check if an item is the path of a file, but no BIDSPath."""
    return isinstance(item, (str, os.PathLike)) and not hasattr(item, "find_matching_sidecar")


def load_recording(item):
    """Read a path, or a BIDSPath with its sidecars, as an MNE object; return other items."""
    if is_path(item):
        return read_recording(item)
    return read_bids_recording(item) if hasattr(item, "find_matching_sidecar") else item


def _read_sensors(record, modality, missing_positions):
    """Read one modality of a recording."""
    import mne

    item, other = load_recording(record[modality]), "eeg" if modality == "meg" else "meg"
    if isinstance(item, mne.BaseEpochs):
        return _part_of(from_epochs(item, missing_positions=missing_positions), modality)
    if not isinstance(item, mne.io.BaseRaw):
        raise TypeError(_unusable(modality, item))
    is_bids = hasattr(record[modality], "find_matching_sidecar")
    # BIDS stores EEG recorded with MEG in the MEG file.
    if is_bids and record.get(other) is None and other in item:
        warn(
            f"Files under record[{modality!r}] hold {other.upper()} too, which is not used: "
            f"give them as record[{other!r}] as well, for example in "
            f"Records({{**r, {other!r}: r.get({other!r}) or r.get({modality!r})}} for r "
            "in records)."
        )
    if modality in item and other in item:  # those of the other are neither read nor checked
        named = zip(item.ch_names, item.get_channel_types(), strict=True)
        kept = [name for name, kind in named if kind not in CHANNEL_TYPES[other]]
        item = item.copy().pick(kept, verbose="error")
    return _part_of(from_raw(item, missing_positions=missing_positions), modality)


def _part_of(signals, modality):
    parts = as_parts(signals)
    if modality not in parts:
        raise ValueError(
            f"record[{modality!r}] holds {' and '.join(parts)}, but no {modality.upper()}."
        )
    part = parts[modality]
    check_positions(part.ch_pos, part.ch_names, modality, where=f"record[{modality!r}]")
    return part


def _unusable(modality, item):
    return (
        f"record[{modality!r}] is of type {type(item).__name__}, which is not accepted: give "
        f"{_FORMS[modality]}."
    )


def describe_record(record):
    """Return the name of a record in messages."""
    known = [f"{name} {record[name]}" for name in PER_SAMPLE if record.get(name) is not None]
    return ", ".join(known)


def is_record(item):
    """Check if an item of a list is meant as a record."""
    return isinstance(item, Mapping) and "ch_names" not in item
