"""Sources of a corpus: BIDS datasets, folders, files, lists, objects, simulations."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.validation import check_number
from ..io.bids_names import describe_data_set, subject_of
from ..io.inputs import open_samples
from ..io.splits import describe_later_parts, find_later_parts
from ..signals import PairedSignals, as_parts

#: Endings of recordings that MNE reads, and of images, in a folder. Other files are passed over.
ENDINGS = (
    *(".fif", ".fif.gz", ".edf", ".bdf", ".gdf", ".vhdr", ".ahdr", ".set", ".cnt", ".mff"),
    *(".con", ".sqd", ".ds", ".cdt", ".lay", ".nxe", ".mefd"),
    *(".nii", ".nii.gz"),
)
#: Samples that are read at once of a recording that holds many.
_AT_ONCE = 64
_FOLDERS = (".ds", ".mff", ".mefd")
_SIMULATED = re.compile(r"simulated:(\d+)x(\d+(?:\.\d+)?)(?::(\d+))?")
ACCEPTED = (
    "a BIDS folder, a folder of recordings, a file that MNE or nilearn reads, a .txt list of "
    "paths, 'simulated:SUBJECTSxSECONDS', mne.io.Raw, mne.Epochs, an image, Signals, "
    "PairedSignals, a record ({'eeg': raw, 'subject': '01'}), read_bids(...), or a list of these"
)


@dataclass(frozen=True)
class Recording:
    """One thing that is read at once."""

    # What :func:`~brainof_toolbox.io.inputs.open_samples` takes in a list, or a :class:`Simulated`
    item: object
    name: str  # What to call it: its path below the source
    dataset: str  # Name of the dataset
    licence: str | None = None  # Licence of the dataset
    subject: str | None = None  # ``None``: that of the samples


@dataclass(frozen=True)
class Simulated:
    """One subject of simulated simultaneous EEG, MEG and fMRI."""

    number: int  # Which subject, from 0
    duration: float  # Length in s
    seed: int  # Of the study; each subject has random numbers of its own

    def make(self):
        """Simulate the recordings."""
        from ..datasets import make_paired_recordings

        rng = np.random.default_rng([self.seed, self.number])
        made = make_paired_recordings(
            1,
            duration=self.duration,
            label="state",
            block_duration=min(20.0, self.duration / 2),
            random_state=rng,
        )
        # Not the name of a person, who could be mistaken for a subject of this corpus.
        return {**made[0], "subject": f"simulated-{self.seed}-{self.number + 1}"}


def read_samples(item, reading):
    """Read a recording, a bounded number of samples at a time."""
    for source in open_samples([item], reading):
        for start in range(0, source.n_samples, _AT_ONCE):
            signals = source.read(slice(start, min(start + _AT_ONCE, source.n_samples)))
            for name, part in as_parts(signals).items():
                if isinstance(signals, PairedSignals) and signals.is_missing[name].any():
                    part = part[~signals.is_missing[name]]
                if len(part):
                    yield part


def find_recordings(sources, *, dataset=None, licence=None, bids=None):
    """List all recordings of the sources, in order, without opening them."""
    # Of FIF files in one folder it is read which of them continue others: these are left out.
    is_list = isinstance(sources, (list, tuple))
    if not is_list:
        sources = [sources]
    if not len(sources):
        raise ValueError(f"There are no sources to build a corpus from. Accepted are {ACCEPTED}.")
    names = {
        "dataset": _one_each("dataset", dataset, len(sources)),
        "licence": _one_each("licence", licence, len(sources)),
    }
    found = []
    for number, source in enumerate(sources):
        recordings = _expand(source, f"sources[{number}]" if is_list else "sources", bids or {})
        given = {key: values[number] for key, values in names.items() if values[number]}
        found += [replace(recording, **given) for recording in recordings]
    return _without_parts(found, is_said=True)


def _without_parts(recordings, *, is_said):
    """Leave out files that are read together with another one."""
    parts = find_later_parts([recording.item for recording in recordings])
    if parts and is_said:
        listed = describe_later_parts(parts, [recording.name for recording in recordings])
        warn(
            f"{len(parts)} of {len(recordings)} recordings are later parts of a split recording, "
            f"which is read from its first file, and are left out: {listed}."
        )
    return [recording for i, recording in enumerate(recordings) if i not in parts]


def _one_each(parameter, value, n_sources):
    if value is None or isinstance(value, str):
        return [value] * n_sources
    values = list(value)
    if len(values) == 1:
        values *= n_sources
    if len(values) != n_sources or not all(v is None or isinstance(v, str) for v in values):
        raise ValueError(
            f"The parameter {parameter!r} must be one name, or one for each of the {n_sources} "
            f"sources; got {value!r}."
        )
    return values


def _expand(source, where, bids):
    if isinstance(source, (str, os.PathLike)):
        return _expand_path(os.fspath(source), bids)
    if isinstance(source, (list, tuple)):
        inside = [_expand(item, f"{where}[{i}]", bids) for i, item in enumerate(source)]
        return [recording for group in inside for recording in group]
    from ..datasets import PairedRecordings

    if isinstance(source, Sequence):
        name = "simulated" if isinstance(source, PairedRecordings) else "recordings"
        inside = [_of_object(item, f"{where}[{i}]", name) for i, item in enumerate(source)]
        if not inside:
            raise ValueError(f"{where} is empty: no recordings.")
        return inside
    return [_of_object(source, where, "recordings")]


def _of_object(item, where, dataset):
    import mne

    from ..io.images import is_image
    from ..io.records import describe_record, is_record
    from ..signals import PairedSignals, Signals

    name = where
    if is_record(item):
        name = f"{where} ({describe_record(item)})" if describe_record(item) else where
    elif not (
        isinstance(item, (mne.io.BaseRaw, mne.BaseEpochs, Signals, PairedSignals))
        or is_image(item)
        or hasattr(item, "find_matching_sidecar")  # a BIDSPath
    ):
        raise TypeError(
            f"{where} is of type {type(item).__name__}, which is not accepted. Accepted are "
            f"{ACCEPTED}. An array becomes Signals by from_array(data, info)."
        )
    return Recording(item, name, dataset)


def _expand_path(text, bids):
    match = _SIMULATED.fullmatch(text)
    if match:
        return _simulated(*match.groups())
    if text.startswith("simulated:"):
        raise ValueError(
            f"A simulated source is 'simulated:SUBJECTSxSECONDS' or with a seed "
            f"'simulated:SUBJECTSxSECONDS:SEED', for example 'simulated:8x120'; got {text!r}."
        )
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise FileNotFoundError(f"No such file or folder to build a corpus from: {path}.")
    if path.is_dir() and path.suffix.lower() not in _FOLDERS:
        if (path / "dataset_description.json").is_file():
            return _bids(path, bids)
        return _folder(path, bids)
    if path.suffix.lower() == ".txt":
        return _list_file(path, bids)
    return [_file(path, path.parent)]


def _simulated(n_subjects, duration, seed):
    n_subjects, duration, seed = int(n_subjects), float(duration), int(seed or 0)
    check_number("simulated subjects", n_subjects, low=1, integer=True)
    check_number("simulated seconds", duration, low=20)
    return [
        Recording(
            Simulated(number, duration, seed),
            f"simulated subject {number + 1} of {duration:g} s, seed {seed}",
            "simulated",
            "CC0-1.0",
        )
        for number in range(n_subjects)
    ]


def _list_file(path, bids):
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file with one path per line.") from error
    names = [line.strip() for line in lines]
    names = [name for name in names if name and not name.startswith("#")]
    if not names:
        raise ValueError(f"The list {path} is empty: it needs one path per line.")
    found = []
    for name in names:
        is_simulated = name.startswith("simulated:")
        found += _expand_path(name if is_simulated else os.fspath(path.parent / name), bids)
    return found


def _bids(root, options):
    from ..io import read_bids

    about = describe_data_set(root)
    dataset, licence = about.get("Name") or root.name, about.get("License") or None
    return [
        Recording(record, _name_record(record, root), dataset, licence)
        for record in read_bids(root, **options)
    ]


def _name_record(record, root):
    paths = [paths_of(record[key]) for key in ("fmri", "eeg", "meg") if record.get(key)]
    names = [_relative(path, root) for group in paths for path in group]
    return " + ".join(names)


def _relative(path, root):
    return os.fspath(path.relative_to(root) if path.is_relative_to(root) else path)


def paths_of(value):
    """List the files that a source on disk is read from."""
    if hasattr(value, "find_matching_sidecar"):
        return [Path(value.fpath)]
    return [Path(value).absolute()] if isinstance(value, (str, os.PathLike)) else []


def _folder(folder, bids):
    """List the recordings below a folder: split ones by their first file, BIDS datasets whole."""
    found = []
    for path, is_root in _walk(folder):
        if is_root:
            found += _bids(path, bids)
        else:
            found.append(_file(path, folder))
    found = _without_parts(found, is_said=False)
    if not found:
        raise ValueError(
            f"No recordings in {folder}: looked for files that end in {', '.join(ENDINGS)}. "
            "Region series in tables come in as Signals, by from_roi_timeseries."
        )
    return found


def _walk(folder):
    from ..io.recordings import bti_siblings

    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in inside:
        lower = path.name.lower()
        if path.is_dir() and path.suffix.lower() not in _FOLDERS:
            if (path / "dataset_description.json").is_file():
                yield path, True
            else:
                yield from _walk(path)
        elif lower.endswith(ENDINGS):
            yield path, False
        elif (not path.suffix or "," in lower) and bti_siblings(path):
            if not {"hs", "config"} & set(lower.split("_")):
                yield path, False


def _file(path, folder):
    name = _relative(path, folder)
    subject = subject_of(name)
    stem = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".fif")
    return Recording(
        os.fspath(path),
        name,
        folder.name,
        subject=subject or stem.partition(".")[0],
    )
