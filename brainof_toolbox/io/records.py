"""Read a record, the modalities of one recording, as Signals or PairedSignals of one sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .._utils.logging import warn
from .._utils.positions import check_positions
from ..signals import MODALITIES, PER_SAMPLE, PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .image_run import ImageRun, open_run
from .images import is_image, read_run
from .recordings import read_recording
from .sensors import from_epochs, from_raw

#: Keys of a record: recordings by modality, options of the fMRI run, labels.
RECORD_KEYS = (*MODALITIES, "confounds", "t_r", *PER_SAMPLE)
_FORMS = {
    "fmri": "a 4-D image, the path of one, or Signals",
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
        if modality == "fmri":
            image = _open_image(record["fmri"], masker, record.get("t_r"))
            record = {**record, "fmri": image}
        elif isinstance(record[modality], (str, Path)) and not Path(record[modality]).exists():
            _raise_missing(record[modality])
    return record


def read_record(record, *, masker=None, missing_positions="raise", memory=None):
    """Read all modalities of a record, opened by :func:`open_record` or not."""
    record = open_record(record, masker=masker)
    labels = {name: (record[name],) for name in PER_SAMPLE if record.get(name) is not None}
    parts = {}
    for modality in _modalities(record):
        if modality == "fmri":
            part = _read_image(record, masker, memory)
        else:
            other = "eeg" if modality == "meg" else "meg"
            unused = other if record.get(other) is None else None
            part = _read_sensors(record[modality], modality, missing_positions, unused)
        if len(part) != 1:
            raise ValueError(
                f"record[{modality!r}] holds {len(part)} samples; a record is one sample. Make "
                "one record for each."
            )
        parts[modality] = part.replace(**labels)
    return next(iter(parts.values())) if len(parts) == 1 else PairedSignals(parts)


def _modalities(record):
    return [name for name in MODALITIES if record.get(name) is not None]


def _open_image(image, masker, t_r):
    if isinstance(image, (Signals, ImageRun)):
        return image
    if not is_image(image):
        raise TypeError(_unusable("fmri", image))
    return open_run(image, t_r=t_r, masker_t_r=getattr(masker, "t_r", None))


def _read_image(record, masker, memory):
    image = record["fmri"]
    if isinstance(image, Signals):
        return _part_of(image, "fmri")
    return read_run(image, masker=masker, confounds=record.get("confounds"), memory=memory)


def _read_sensors(item, modality, missing_positions, unused):
    """Read one modality of a recording; ``unused`` is the other one if the record lacks it."""
    import mne
    import mne_bids

    if isinstance(item, (Signals, PairedSignals)):
        part = _part_of(item, modality)
        check_amplitude(part, where=f"record[{modality!r}]")
        return part
    if isinstance(item, mne_bids.BIDSPath):
        from .bids_recordings import read_bids_recording

        item = read_bids_recording(item)
        if unused and unused in item:  # BIDS stores EEG recorded with MEG in the MEG file
            warn(
                f"Files under record[{modality!r}] hold {unused.upper()} too, which is not used: "
                f"give them as record[{unused!r}] as well, for example in "
                f"Records({{**r, {unused!r}: r.get({unused!r}) or r.get({modality!r})}} for r "
                "in records)."
            )
    elif isinstance(item, (str, os.PathLike)):
        item = read_recording(item)
    if isinstance(item, mne.io.BaseRaw):
        return _part_of(
            from_raw(_only(item, modality), missing_positions=missing_positions), modality
        )
    if isinstance(item, mne.BaseEpochs):
        return _part_of(from_epochs(item, missing_positions=missing_positions), modality)
    raise TypeError(_unusable(modality, item))


def _only(raw, modality):
    """Drop the channels of the other modality, so that they are neither read nor checked."""
    other = "eeg" if modality == "meg" else "meg"
    if modality not in raw or other not in raw:
        return raw
    names = [
        name
        for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True)
        if kind not in (("eeg",) if other == "eeg" else ("mag", "grad"))
    ]
    return raw.copy().pick(names, verbose="error")


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


def _raise_missing(path):
    if Path(path).is_symlink():
        raise FileNotFoundError(
            f"{path} is a link to content that is not on this machine. Get it with: datalad get "
            f"{path}"
        )
    raise FileNotFoundError(f"No such recording: {path}.")


def describe_record(record):
    """Return the name of a record in messages."""
    known = [f"{name} {record[name]}" for name in PER_SAMPLE if record.get(name) is not None]
    return ", ".join(known)


def is_record(item):
    """Check if an item of a list is meant as a record."""
    return isinstance(item, Mapping) and "ch_names" not in item
