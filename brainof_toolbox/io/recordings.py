"""Read any recording file supported by MNE as an MNE object."""

from __future__ import annotations

import codecs
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

from .._utils.logging import warn
from .._utils.messages import join_some
from .averages import read_averages
from .datalad import check_present
from .edf import correct_highpass
from .edf_gaps import mark_gaps
from .fif import scan_fif
from .reasons import RecordingError, check_beginning, check_signals, explain, is_undecodable
from .splits import note_later_part

#: Endings of MNE's derived files, used only where the content cannot be read.
_OTHER_FIF = tuple("cov fwd inv trans src sol bem proj ica eve cor stc".split())


class RecordingPath(os.PathLike):
    """Path with options of :func:`read_recording`, for lists of paths."""

    def __init__(self, path, **options):
        self.path, self.options = os.fspath(path), options

    def __fspath__(self):
        return self.path


def read_recording(path, *, encoding=None, allow_maxshield=False):
    """Read a recording with the MNE reader that fits the file.

    Parameters
    ----------
    path : path-like
        A continuous recording (``.fif``, ``.edf``, ``.bdf``, ``.vhdr``, ``.set``, ``.sqd``,
        ``.ds``, a BTi/4D data file beside its config and head shape, and all other formats of
        :func:`mne.io.read_raw`), epochs (FIF, or ``.set`` with epochs) or averages (FIF, each
        average one epoch). FIF files are read by their content, regardless of their name. A
        recording split over FIF files is read from its first file.
    encoding : str | None
        Encoding of annotations, for example ``"latin1"``, in EDF, BDF, EEGLAB and Nihon Kohden
        files; ignored for others. ``None``: UTF-8, and Latin-1 with a warning for annotations of
        EDF and BDF that are not UTF-8.
    allow_maxshield : bool | str
        Read FIF files that were recorded with active shielding (MaxShield) and not processed with
        MaxFilter: ``True`` warns, ``"yes"`` does not. Ignored for other files.

    Returns
    -------
    recording : mne.io.BaseRaw | mne.BaseEpochs
        Raw data stay on disk where the format allows it. Gaps of discontinuous EDF+ and BDF+
        files are annotated as by :func:`mne.concatenate_raws` (``BAD boundary``), and annotations
        are aligned with their data: times do not include the gaps.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or its content was not downloaded.
    ValueError
        If the file is not a recording, has no signals, or cannot be read; the message has its
        name, its contents, and the reader's error. Also if averages in one file differ in
        channels, positions, rate or times, or if the records of a discontinuous file have no
        times or overlap.

    Warns
    -----
    RuntimeWarning
        If data sets of an averages file are left out because they are not averages (standard
        errors), averages differ in their baseline, the encoding was guessed, the file is a later
        part of a split recording, annotations in gaps, without data, are left out, a file that is
        continuous by its header has gaps, or MNE warns; the message names the file.
    """
    if isinstance(path, RecordingPath):
        options = {"encoding": encoding, "allow_maxshield": allow_maxshield, **path.options}
        return read_recording(path.path, **options)
    path = Path(path)
    try:
        codecs.lookup(encoding or "utf8")
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"The parameter 'encoding' must be the name of a text encoding, such as 'latin1', got "
            f"{encoding!r}."
        ) from error
    check_present(path)
    with reader_notes(path) as notes:
        recording = _read(path, encoding, allow_maxshield, notes)
    warn_notes(path, notes, ("naming convention", *_settle_records(recording, encoding, notes)))
    return recording


class _Notes(list):
    """Warnings of this package about a file, and those that its reader emitted."""

    caught = ()


@contextmanager
def reader_notes(path, also=""):
    """Collect the warnings about a file, and explain the errors of its reader."""
    notes = _Notes()
    try:
        with warnings.catch_warnings(record=True) as notes.caught:
            warnings.simplefilter("always")
            yield notes
    except MemoryError:
        raise
    except Exception as error:  # readers raise anything on a damaged file; the file must be named
        raise ValueError(f"Cannot read {path}{also}: {explain(path, error)}.") from error


def warn_notes(path, notes, settled):
    """Emit the warnings about a file, which MNE does not name, except those that are settled."""
    for entry in notes.caught:
        message = " ".join(str(entry.message).split())
        if entry.category is RuntimeWarning and not any(words in message for words in settled):
            notes.append(message)
    for note in notes:
        warn(f"{path}: {note}")


def _settle_records(recording, encoding, notes):
    """Apply the record times and filters of EDF and BDF files; return the warnings to drop."""
    if not hasattr(recording, "filenames"):  # epochs
        return ()
    correct_highpass(recording)
    lost = mark_gaps(recording, encoding=encoding)
    if lost:
        notes.append(
            f"{len(lost)} annotation(s) lie where the recording has no data, and are left out: "
            f"{join_some(lost, 5)}."
        )
    settled = ("different highpass filters. Highest", "annotation(s) that were")
    return settled[: 1 if lost is None else 2]


def _read(path, encoding, allow_maxshield, notes):
    import mne

    content = scan_fif(path, until_data=True)
    if content is not None:
        return _read_fif(content, allow_maxshield, notes)
    stem, is_fif, _ = path.name.lower().partition(".fif")
    kind = stem.replace("_", "-").split("-")[-1]
    if is_fif and kind in _OTHER_FIF:  # an unreadable file
        raise RecordingError(
            f"{path.name} is no recording: it ends in {kind!r}, one of MNE's derived files"
        )
    check_beginning(path)
    bti = bti_siblings(path)
    if bti is not None:
        return mne.io.read_raw_bti(path, *bti, verbose="warning")
    ending = path.suffix.lower()
    if ending == ".set":
        return _read_eeglab(path, encoding, notes)

    def read(encoding, **options):
        if encoding and ending in (".edf", ".bdf", ".eeg"):
            options["encoding"] = encoding
        if ending == ".edf":
            options["infer_types"] = True
        return mne.io.read_raw(path, **options, verbose="warning")

    is_edf = ending in (".edf", ".bdf")
    raw = with_encoding(read, encoding, notes) if is_edf else read(encoding)
    check_signals(raw)
    return raw


def _read_fif(content, allow_maxshield, notes):
    """Read a FIF file by its content."""
    import mne

    path = content.path
    if not path.suffix:  # MNE chooses the reader by the extension
        raise RecordingError(
            f"it is a FIF file by its content, without an ending. Rename it to {path.name}.fif"
        )
    if content.kind == "averages":
        return read_averages(path, allow_maxshield, notes)
    if content.kind == "epochs":
        recording = mne.read_epochs(path, preload=False, verbose="warning")
    elif content.kind in ("raw data", None) or content.is_cut_short:
        recording = mne.io.read_raw_fif(path, allow_maxshield=allow_maxshield, verbose="warning")
    else:
        raise RecordingError(f"{path.name} is no recording: it holds {content.kind}")
    note_later_part(content, notes)
    return recording


def with_encoding(read, encoding, notes):
    """Read annotations as UTF-8, else, unless an encoding was given, as Latin-1 with a note."""
    try:
        return read(encoding or "utf8")
    except Exception as error:  # MNE raises no narrower one here
        if encoding is not None or not is_undecodable(error):
            raise
    notes.append(
        "The text of its annotations is not UTF-8 and is read as Latin-1, which is a guess. The "
        "signals do not depend on it. If the text matters, give its encoding: "
        "read_recording(path, encoding='latin1'), or --encoding on the command line."
    )
    return read("latin1")


def _read_eeglab(path, encoding, notes):
    import mne

    options = {"uint16_codec": encoding, "verbose": "warning"}
    try:
        recording = mne.io.read_raw_eeglab(path, **options)
    except TypeError as error:
        if "read_epochs_eeglab" not in str(error):  # MNE's advice for a file of epochs
            raise
        recording = mne.read_epochs_eeglab(path, **options)
    names = getattr(recording, "event_id", None) or recording.annotations.description
    if any("\N{REPLACEMENT CHARACTER}" in name for name in names):
        notes.append(
            "Letters in the names of its events could not be decoded. If they matter, give their "
            "encoding: read_recording(path, encoding='latin1'), or --encoding on the command line."
        )
    return recording


def bti_siblings(path):
    """List the config and head shape files that identify a BTi/4D file."""
    has_extension = path.suffix and "," not in path.name  # "c,rfhp0.1Hz" has none
    if has_extension or not path.is_file() or "config" in path.name.lower():
        return None
    neighbours = {p.name.lower(): p for p in path.parent.iterdir() if p.is_file() and p != path}
    config = [p for name, p in neighbours.items() if "config" in name]
    head_shape = [p for name, p in neighbours.items() if name.startswith("hs_") or "_hs" in name]
    return (config[0], next(iter(head_shape), None)) if len(config) == 1 else None
