"""Rows of finished recordings of ``brainof embed``, kept beside its output.

A part holds the rows of one recording. Its name is a hash of everything that determines them, so
that parts of other options, weights or files are not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from .._utils.files import replace_file


class Parts:
    """Rows of finished recordings, one file each, in a folder beside the output."""

    def __init__(self, output, stamps):
        self.folder = output.with_name(f".{output.name}.parts")
        self._stamps = stamps
        try:
            self.folder.mkdir(exist_ok=True)
            self._found = {path.name for path in self.folder.glob("*.npy")}
            probe = self.folder / f"{os.getpid()}.probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OSError(
                f"Cannot write {output} ({error.strerror}). Choose a writable folder."
            ) from error

    def _path(self, index):
        return self.folder / f"{self._stamps[index]}.npy"

    def _load(self, index):
        import numpy as np

        try:
            return np.load(self._path(index), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # absent or incomplete
            return None

    def has(self, index):
        """Return True if a recording is done."""
        return self._load(index) is not None

    def save(self, index, rows):
        """Store the rows of a recording, all of them or none."""
        # rows (n_samples, n_features).
        import numpy as np

        path = self._path(index)
        # Two runs of one command may share the folder.
        with replace_file(path, aside=path.with_suffix(f".{os.getpid()}")) as file:
            np.save(file, rows)

    def load_all(self):
        """Load the rows of finished recordings."""
        # -> rows (n_samples, n_features).
        loaded = {index: self._load(index) for index in range(len(self._stamps))}
        return {index: rows for index, rows in loaded.items() if rows is not None}

    def report_found(self, n_done, n_items):
        """Print how much an interrupted run has done."""
        if n_done:
            print(
                f"brainof: {n_done} of {n_items} recordings were embedded by an interrupted run",
                file=sys.stderr,
            )
        elif self._found:
            print(
                f"brainof: {self.folder} is of an interrupted run with other recordings, options "
                "or weights and is not used",
                file=sys.stderr,
            )

    def keep(self):
        """Keep the parts for the next run and print their number; remove an empty folder."""
        n_done = sum(self._path(index).exists() for index in range(len(self._stamps)))
        if n_done:
            print(
                f"brainof: {n_done} of {len(self._stamps)} recordings are done and kept; the same "
                "command continues with the others",
                file=sys.stderr,
            )
        elif not any(self.folder.iterdir()):
            self.folder.rmdir()

    def remove(self):
        """Remove all parts: the table holds them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def make_stamps(items, encoder, atlas):
    """Make a string per recording that changes with everything that determines its rows."""
    from .. import __version__

    folders = {}
    run = [
        __version__,
        encoder.fingerprint,
        atlas and [str(atlas), _files_of(Path(atlas), folders, whole=False)],
    ]
    run = json.dumps(run, sort_keys=True, default=str)
    return [
        hashlib.sha256(f"{run}\n{_describe(item, folders)}".encode()).hexdigest()[:32]
        for item in items
    ]


def _describe(item, folders):
    if not isinstance(item, dict):
        path = Path(item).absolute()
        options = [item.options] if hasattr(item, "options") else []
        return json.dumps([str(path), _files_of(path, folders, whole=path.is_dir()), *options])
    files = []
    for key, value in sorted(item.items()):
        path = getattr(value, "fpath", value)
        files.append([key, str(path)])
        if isinstance(path, Path):  # sidecars lie in the same folder
            files[-1].append(_files_of(path, folders, whole=True))
    return json.dumps(files)


def _files_of(path, folders, *, whole):
    """Name, size and time of change of a file and its neighbours, or of a folder's files."""
    # Neighbours of a plain file have its name up to the first dot: header, data and markers.
    folder = path if path.is_dir() else path.parent
    if folder not in folders:
        folders[folder] = _list_files(folder, deep=path.is_dir())
    stem = "" if whole else path.name.split(".")[0]
    return [row for row in folders[folder] if row[0].startswith(stem)]


def _list_files(folder, deep):
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if path.is_file():
            about = path.stat()
            found.append([str(path.relative_to(folder)), about.st_size, about.st_mtime_ns])
    return found
