"""Read an EEG or MEG recording of a BIDS dataset with its sidecars."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

from .._utils.logging import warn
from .._utils.positions import check_positions
from .datalad import check_present
from .edf import correct_highpass
from .edf_gaps import mark_gaps
from .fif import scan_fif
from .reasons import check_beginning, check_signals
from .recordings import reader_notes, warn_notes, with_encoding
from .regions import mni_to_head
from .sidecars import nearest_sidecar, paired_by_space, read_json_sidecar, read_sidecar
from .splits import note_later_part, note_unread_splits
from .tables import check_names

_PATCHING = threading.RLock()  # the search of mne-bids is replaced by one thread at a time

#: Warnings of mne-bids that do not matter here, or that are given here with more detail.
_QUIET = (
    "Unable to map the following column",
    "participants.tsv file not found",
    "is not listed in participants",
    "Did not find any events.tsv",
    "Did not find any channels.tsv",
    "Did not find any eeg.json",
    "Did not find any meg.json",
    "No fiducial points found for ctf_head",
    "is not an MNE-Python coordinate frame",
    "is not a BIDS-acceptable coordinate frame",
    "naming convention",
    "annotation(s) that were",
    "Leaving raw.info['meas_date'] unchanged",
    "different highpass filters. Highest",
)
#: CTF's axes (x front, y left) in those of the head frame (x right, y front).
_CTF_TO_HEAD = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_TO_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


def read_bids_recording(bids_path):
    """Read an EEG or MEG recording with its BIDS sidecars; the data stay on disk."""
    # Bad channels and types come from ``channels.tsv``, electrode positions from
    # ``electrodes.tsv`` and ``coordsystem.json``, annotations from ``events.tsv``.
    path = Path(bids_path.fpath)
    check_present(path)
    try:
        electrodes, coordsystem = _choose_electrodes(path)
    except ValueError as error:
        raise ValueError(f"Cannot read {path} with its sidecars: {error}") from error
    chosen = {"electrodes": electrodes, "coordsystem": coordsystem}

    @cache
    def find(suffix, extension):
        """Find each sidecar of the recording once; None if there is none."""
        return chosen[suffix] if suffix in chosen else nearest_sidecar(path, suffix, extension)

    raw = _read(bids_path, path, find)
    events = find("events", ".tsv")
    mark_gaps(raw, None if events is None else lambda: _annotations(events))
    correct_highpass(raw)
    # mne-bids writes "sub-01" here, or nothing when participants.tsv does not list the subject.
    raw.info["subject_info"] = {**(raw.info["subject_info"] or {}), "his_id": bids_path.subject}
    for suffix, extension in (("channels", ".tsv"), (bids_path.datatype, ".json")):
        if find(suffix, extension) is None:
            lost = "bad channels and types are" if extension == ".tsv" else "line frequency is"
            warn(f"{path} has no {suffix}{extension}: {lost} taken from the recording.")
    if bids_path.datatype == "eeg":
        _place_electrodes(raw, electrodes, coordsystem)
    return raw


@contextmanager
def _inheritance(find):
    """Make mne-bids read the sidecars found by ``find``."""
    # mne-bids reads sidecars of other recordings too: its search scores names by similarity. It
    # has no public parameter for the paths of sidecars, so that its search must be replaced.

    def search(bids_path, suffix=None, extension=None, on_error="raise"):
        return find(suffix, extension)

    with _PATCHING, mock.patch("mne_bids.read._find_matching_sidecar", search):
        yield


def _read(bids_path, path, find):
    from mne_bids import read_raw_bids

    def read(encoding):
        extra = {"encoding": encoding} if path.suffix.lower() in (".edf", ".bdf") else None
        # Channels are matched by name; their order in channels.tsv does not matter.
        options = {"on_ch_mismatch": "reorder", "extra_params": extra, "verbose": "warning"}
        return read_raw_bids(bids_path, **options)

    with reader_notes(path, " or a sidecar of it") as notes:
        # Of repeated names and keys, mne-bids would use the last.
        for table in (find("channels", ".tsv"), find("electrodes", ".tsv")):
            if table is not None:
                check_names(table)
        read_sidecar(path)
        with _inheritance(find):
            check_beginning(path)
            raw = with_encoding(read, None, notes)
        check_signals(raw)
    first = Path(raw.filenames[0])
    content = scan_fif(first, until_data=True)
    if content is not None:
        note_later_part(content, notes)
        note_unread_splits(first, raw.filenames, notes)
    warn_notes(path, notes, _QUIET)
    return raw


def _annotations(events):
    """Read annotations from events.tsv; mne-bids drops those after the end of the joined data."""
    import mne
    from mne_bids import events_file_to_annotation_kwargs

    found = events_file_to_annotation_kwargs(events, verbose="error")
    return mne.Annotations(found["onset"], found["duration"], found["description"])


def _choose_electrodes(path):
    """Return the electrodes.tsv of a recording and its coordsystem.json, or (None, None)."""
    # Of several spaces, in this order: a system with landmarks, the head frame, the rotated head
    # frame of CTF, a template.
    pairs = paired_by_space(path)
    ranks = [_rank(coordsystem) for _, coordsystem in pairs]
    best = [pair for pair, rank in zip(pairs, ranks, strict=True) if rank == min(ranks)]
    if len(best) > 1:
        named = " and ".join(str(electrodes) for electrodes, _ in best)
        raise ValueError(
            f"Several electrodes.tsv fit {path.name} equally well: {named}. Keep "
            "one, or add AnatomicalLandmarkCoordinates to the coordsystem.json of the one to use."
        )
    return best[0] if best else (None, None)


def _rank(coordsystem):
    """Rank a coordinate system by its relation to the head frame; 0 is best."""
    if coordsystem is None:
        return 5
    values = read_json_sidecar(coordsystem)
    if _landmarks(values) is not None:
        return 0
    return {"head": 1, "ctf_head": 2, "mni_tal": 3}.get(_frame_of(values), 4)


def _frame_of(values):
    from mne_bids.config import BIDS_TO_MNE_FRAMES

    return BIDS_TO_MNE_FRAMES.get(values.get("EEGCoordinateSystem"))


def _place_electrodes(raw, electrodes, coordsystem):
    """Transform positions from the coordinate system of coordsystem.json to the head frame."""
    import mne

    picks = mne.pick_types(raw.info, eeg=True, exclude=[])
    pos = np.array([raw.info["chs"][i]["loc"][:3] for i in picks])
    if electrodes is None or coordsystem is None or not np.isfinite(pos).any():
        return
    values = read_json_sidecar(coordsystem)
    unit = values.get("EEGCoordinateUnits")
    where = f"{electrodes} (EEGCoordinateUnits {unit!r} in {coordsystem.name})"
    names = [raw.ch_names[i] for i in picks]
    check_positions(pos, names, "eeg", where=where)
    frame, landmarks = _frame_of(values), _landmarks(values)
    if landmarks is not None:
        if frame == "ctf_head":
            landmarks = landmarks @ _CTF_TO_HEAD.T
        pos = mne.transforms.apply_trans(mne.transforms.get_ras_to_neuromag_trans(*landmarks), pos)
    elif frame == "mni_tal":
        pos = mni_to_head(pos)
    elif frame in ("head", "ctf_head"):
        return
    else:
        warn(
            f"{electrodes}: positions are in the coordinate system "
            f"{values.get('EEGCoordinateSystem')!r} and {coordsystem.name} has no "
            "AnatomicalLandmarkCoordinates to relate it to the head; positions are not used. Add "
            "the landmarks NAS, LPA and RPA."
        )
        pos = np.full_like(pos, np.nan)
    known = {name: p for name, p in zip(names, pos, strict=True) if np.isfinite(p).all()}
    montage = mne.channels.make_dig_montage(known, coord_frame="head") if known else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # fiducials not found: the frame is set
        raw.set_montage(montage, on_missing="ignore", verbose="error")


def _landmarks(values):
    """Return nasion, left and right preauricular points in metres (3, 3), or None."""
    points = values.get("AnatomicalLandmarkCoordinates")
    if not isinstance(points, dict):
        return None
    system = values.get("EEGCoordinateSystem")
    if values.get("AnatomicalLandmarkCoordinateSystem", system) != system:
        return None
    nasion = next((points[name] for name in ("NAS", "nasion", "Nz") if name in points), None)
    try:
        found = np.array([nasion, points.get("LPA"), points.get("RPA")], dtype=float)
    except (TypeError, ValueError):
        return None
    if found.shape != (3, 3) or not np.isfinite(found).all():
        return None
    unit = values.get("AnatomicalLandmarkCoordinateUnits", values.get("EEGCoordinateUnits"))
    found = found * _TO_METRES.get(unit, np.nan)
    across, front = found[2] - found[1], found[0] - found[1]
    is_wide = 0.05 < np.linalg.norm(across) < 0.3
    return found if is_wide and np.linalg.norm(np.cross(across, front)) > 1e-3 else None
