"""One record, several modalities of one subject, -> Signals or PairedSignals with one sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .._utils.logging import warn
from .._utils.positions import check_positions
from ..signals import MODALITIES, PER_SAMPLE, PairedSignals, Signals, as_parts
from .amplitude import check_amplitude
from .recordings import read_recording
from .sensors import from_epochs, from_raw

#: What a record may hold: recordings by modality, what belongs to the fMRI run, whose it is.
RECORD_KEYS = (*MODALITIES, "confounds", "t_r", *PER_SAMPLE)
_FORMS = {
    "fmri": "a 4-D image, the path of one, or Signals",
    "eeg": "an mne.io.Raw, Epochs with one epoch, the path of a recording, a BIDSPath or Signals",
}
_FORMS["meg"] = _FORMS["eeg"]


def check_record(record, *, masker=None):
    """Refuse a record that cannot be read, without reading data."""
    unknown = [key for key in record if key not in RECORD_KEYS]
    if unknown:
        raise ValueError(f"Unknown keys {unknown} in a record; known are {list(RECORD_KEYS)}.")
    there = _modalities(record)
    if not there:
        raise ValueError(
            f"The record is empty: it has none of {list(MODALITIES)} (subject "
            f"{record.get('subject')!r}). Drop it, or give it a recording."
        )
    for key in ("confounds", "t_r"):
        if record.get(key) is not None and "fmri" not in there:
            raise ValueError(f"The record has {key!r} but no 'fmri' that it belongs to.")
    for modality in there:
        if modality == "fmri":
            _check_image(record["fmri"], masker, record.get("t_r"))
        elif isinstance(record[modality], (str, Path)) and not Path(record[modality]).exists():
            _raise_missing(record[modality])


def read_record(record, *, masker=None, missing_positions="raise", memory=None):
    """Read all modalities of a record."""
    check_record(record, masker=masker)
    who = {name: (record.get(name),) for name in PER_SAMPLE}
    parts = {}
    for modality in _modalities(record):
        if modality == "fmri":
            part = _read_image(record, masker, memory)
        else:
            other = "eeg" if modality == "meg" else "meg"
            is_unasked = record.get(other) is None
            part = _read_sensors(
                record[modality], modality, missing_positions, is_unasked and other
            )
        if len(part) != 1:
            raise ValueError(
                f"record[{modality!r}] holds {len(part)} samples; a record is one sample. Make "
                "one record for each."
            )
        own = {name: value for name, value in who.items() if value != (None,)}
        parts[modality] = part.replace(**own)
    return next(iter(parts.values())) if len(parts) == 1 else PairedSignals(parts)


def _modalities(record):
    return [name for name in MODALITIES if record.get(name) is not None]


def _check_image(image, masker, t_r):
    from .images import check_image, check_t_r, is_image

    if isinstance(image, Signals):
        return
    if not is_image(image):
        raise TypeError(_unusable("fmri", image))
    check_image(image)
    check_t_r(image, masker=masker, t_r=t_r)


def _read_image(record, masker, memory):
    from .images import from_nifti

    image = record["fmri"]
    if isinstance(image, Signals):
        return _part_of(image, "fmri")
    return from_nifti(
        image,
        masker=masker,
        t_r=record.get("t_r"),
        confounds=record.get("confounds"),
        memory=memory,
    )


def _read_sensors(item, modality, missing_positions, unasked):
    """One modality of a recording; ``unasked`` is the other one, when the record lacks it."""
    import mne
    import mne_bids

    if isinstance(item, (Signals, PairedSignals)):
        part = _part_of(item, modality)
        check_amplitude(part, where=f"record[{modality!r}]")
        return part
    if isinstance(item, mne_bids.BIDSPath):
        from .bids_recordings import read_bids_recording

        item = read_bids_recording(item)
        if unasked and unasked in item:  # BIDS keeps EEG that was recorded with MEG in its file
            warn(
                f"Files under record[{modality!r}] hold {unasked.upper()} too, which is not used: "
                f"give them as record[{unasked!r}] as well, for example in "
                f"Records({{**r, {unasked!r}: r.get({unasked!r}) or r.get({modality!r})}} for r "
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
    """Hide the other modality's channels, so that they are neither read nor complained about."""
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
            f"{path} is a link to content that is not here. Get it with: datalad get {path}"
        )
    raise FileNotFoundError(f"No such recording: {path}.")


def describe_record(record):
    """Name a record in messages."""
    known = [f"{name} {record[name]}" for name in PER_SAMPLE if record.get(name) is not None]
    return ", ".join(known)


def is_record(item):
    """Whether an item of a list is meant as a record."""
    return isinstance(item, Mapping) and "ch_names" not in item
