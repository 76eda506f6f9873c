"""Explain why a file cannot be read, by its contents and the error of the reader."""

from __future__ import annotations

from pathlib import Path

from .fif import scan_fif

#: First bytes of files by format. MNE determines the format by the extension alone.
_BEGINNINGS = {".edf": b"0       ", ".bdf": b"\xffBIOSEMI", ".gdf": b"GDF "}
_TAKEN = "and pass the result to the estimators instead of the path, or on the command line"
_MAXSHIELD = (
    "it was recorded with active shielding (MaxShield) and not processed with MaxFilter since. To "
    f"read it all the same: read_recording(path, allow_maxshield=True), {_TAKEN} "
    "--allow-maxshield"
)
_ENCODING = (
    "the text of its annotations has another encoding. Give it: "
    f"read_recording(path, encoding='latin1'), {_TAKEN} --encoding latin1"
)


class RecordingError(ValueError):
    """File that cannot be read, for a reason found by this package."""


def explain(path, error):
    """Describe why a recording cannot be read, by its contents and the reader's error."""
    reason = " ".join(str(error).split()).removesuffix(".")
    if isinstance(error, RecordingError):
        return reason
    reason = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    seen = _MAXSHIELD if "allow_maxshield" in reason else _look(Path(path))
    if seen is None and is_undecodable(error):
        seen = _ENCODING
    return f"{seen} ({reason})" if seen else reason


def is_undecodable(error):
    """Check if a reader failed at annotations with another encoding."""
    return isinstance(error.__cause__, UnicodeDecodeError)


def check_beginning(path):
    """Raise if an EDF, BDF or GDF file has the extension of another: values would be wrong."""
    ending = path.suffix.lower()
    if ending in _BEGINNINGS and path.is_file():
        start = _first_bytes(path)
        other = next(
            (name for name, mark in _BEGINNINGS.items() if start.startswith(mark)), ending
        )
        if other != ending:
            raise RecordingError(
                f"it is a {other[1:].upper()} file by its content but {ending[1:].upper()} by its "
                f"name, so that values would be wrong. Rename it to {path.stem}{other}"
            )


def check_signals(raw):
    """Raise if a recording has no channels, such as an EDF+ file of annotations."""
    if len(raw.ch_names) == 0:
        what = "annotations only, " if len(raw.annotations) else ""
        raise RecordingError(f"it holds {what}no signals")


def _look(path):
    """Describe an error in the first bytes of a file; None if there is none."""
    if path.is_dir():
        if (path / "dataset_description.json").is_file():
            return "it is a BIDS dataset: use read_bids(path)"
        return "it is a folder, but not a recording that MNE reads"
    if not path.is_file():
        return None
    if path.stat().st_size == 0:
        return "the file is empty (0 bytes)"
    ending, start = path.suffix.lower(), _first_bytes(path)
    if ".fif" in path.name.lower():
        content = scan_fif(path)
        if content is None:
            return f"it does not begin as a FIF file does, but with {start!r}"
        if content.is_cut_short:
            return "it is truncated: it ends before its last block does"
        return None if content.kind in ("raw data", None) else f"it holds {content.kind}"
    mark = _BEGINNINGS.get(ending, b"")
    if not start.startswith(mark):
        return f"it does not begin as {ending[1:].upper()} files do ({mark!r}), but with {start!r}"
    if ending in (".gz", ".zip", ".xz", ".bz2", ".7z", ".tar"):
        return "it is compressed; MNE reads compressed FIF files only (.fif.gz). Unpack it"
    return None


def _first_bytes(path):
    with open(path, "rb") as file:
        return file.read(8)
