"""Identity of builds and recordings: hashes of options and of sources."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from .. import __version__
from .._utils.logging import warn
from ..signals import PER_SAMPLE
from .build_sources import Simulated, paths_of, read_samples
from .format import FORMAT_VERSION, dump

_SIDECARS = (".json", ".tsv")


def options_key(options):
    """Hash all that decides what becomes of a recording."""
    return hash_of(
        FORMAT_VERSION,
        __version__,
        options.preprocessing.to_dict(),
        options.fmri_volumes,
        options.dtype,
        options.reading.missing_positions,
        _masker_identity(options.reading.masker),
    )


def _masker_identity(masker):
    import joblib

    if masker is None:
        return "default"
    if isinstance(masker, (str, os.PathLike)):
        path = Path(masker)
        return [os.fspath(masker), _stamp(path) if path.exists() else None]
    if hasattr(masker, "dataobj"):  # an image, wherever it was loaded from
        return joblib.hash([np.asarray(masker.dataobj), np.asarray(masker.affine)])
    return joblib.hash(masker)


def recording_keys(recordings, options):
    """Hash what each recording is read from; files by their names, sizes and times."""
    shared, folders = options_key(options), {}
    found = {}
    for recording in recordings:
        identity = _identity(recording.item, options.reading, folders)
        key = hash_of(shared, recording.subject, identity)[:40]
        found.setdefault(key, recording)
    n_repeated = len(recordings) - len(found)
    if n_repeated:
        warn(f"{n_repeated} recordings are given more than once; each is taken once.")
    return list(found.values()), list(found)


def _identity(item, reading, folders):
    if isinstance(item, Simulated):
        return [item.number, item.duration, item.seed]
    if paths_of(item):
        return [neighbourhood(path, folders) for path in paths_of(item)]
    filenames = getattr(item, "filenames", None)
    if filenames and all(filenames) and getattr(item, "preload", True) is False:
        return [_raw_identity(item), [neighbourhood(Path(f), folders) for f in filenames]]
    if isinstance(item, dict):
        return {
            str(key): _identity(value, reading, folders)
            if key in ("eeg", "meg", "fmri", "confounds")
            else repr(value)
            for key, value in item.items()
            if value is not None
        }
    if hasattr(item, "to_csv"):  # a table of confounds
        return item.to_csv()
    if hasattr(item, "dataobj"):
        return _image_identity(item, folders)
    return _content(item, reading)


def _raw_identity(raw):
    """Return what else determines the samples of a recording on disk."""
    import joblib

    notes = raw.annotations
    parts = [raw.info, notes.onset, notes.duration, list(notes.description)]
    return joblib.hash([*parts, raw.first_samp, raw.last_samp])


def _image_identity(image, folders):
    """Identify an image on disk by its file, one in memory by its voxels and header."""
    import joblib
    import nibabel

    head = [np.asarray(image.affine), getattr(image.header, "binaryblock", None)]
    filename = image.get_filename() if hasattr(image, "get_filename") else None
    if filename and nibabel.is_proxy(image.dataobj):
        return [joblib.hash(head), neighbourhood(Path(filename).absolute(), folders)]
    return joblib.hash([*head, np.asarray(image.dataobj)])


def _content(item, reading):
    """Hash the samples themselves."""
    digest = hashlib.sha256()
    try:
        for part in read_samples(item, reading):
            who = [getattr(part, name) for name in PER_SAMPLE]
            digest.update(repr((part.signature, who)).encode())
            digest.update(np.ascontiguousarray(part.data))
    except Exception as error:  # it is named when its turn comes
        return f"unreadable: {error}"
    return digest.hexdigest()


def neighbourhood(path, folders):
    """Stamp a file and the files beside it that belong to it: headers, data, sidecars."""
    # They share the first word of its name; ``.json`` and ``.tsv`` above it, as far as a dataset
    # reaches, may apply to it too.
    stamps = list(_list(path.parent, folders).get(_first_word(path.name), ()))
    if path.is_dir():
        stamps += [_stamp(inside) for inside in sorted(path.rglob("*")) if inside.is_file()]
    sidecars = []
    for folder in list(path.parents)[:4]:
        rows = [row for group in _list(folder, folders).values() for row in group]
        sidecars += [row for row in rows if row[0].endswith(_SIDECARS)]
        if any(row[0] == "dataset_description.json" for row in rows):
            stamps += sidecars
            break
    return [os.fspath(path), stamps]


def _first_word(name):
    return name.partition(".")[0].partition("_")[0]


def _list(folder, folders):
    """Stamp the files of a folder, by the first word of their names."""
    if folder not in folders:
        folders[folder] = {}
        for path in sorted(folder.iterdir()):
            if path.is_file():
                folders[folder].setdefault(_first_word(path.name), []).append(_stamp(path))
    return folders[folder]


def _stamp(path):
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def hash_of(*parts):
    """Return the sha256 of values that JSON can hold."""
    return hashlib.sha256(dump(parts).encode()).hexdigest()
