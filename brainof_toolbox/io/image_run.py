"""Open an fMRI image once: header, sidecars and repetition time; data stay on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .bids_names import parse
from .image_checks import describe, image_path, open_image
from .sidecars import sidecar_files
from .t_r import resolve_t_r


@dataclass(frozen=True, eq=False)
class ImageRun:
    """Checked image with its repetition time, passed from the check to the reader."""

    image: object  # nibabel image; the data of a file are read when needed and not kept
    path: Path | None
    where: str  # Name in messages
    entities: dict  # Of the BIDS name
    t_r: float  # In seconds
    notes: list  # Warnings about the repetition time, emitted when the data are read
    stamps: dict  # Size and time of the files that were read, by path
    arguments: dict  # Of open_run

    def refreshed(self):
        """Return this run, or a newly opened one if the file or a sidecar changed since."""
        if self.stamps == {path: _stamp(path) for path in self.stamps}:
            return self
        return open_run(**self.arguments)


def open_run(item, where=None, *, t_r=None, masker_t_r=None):
    """Open and check an image by its header; no data are read."""
    arguments = {"item": item, "where": where, "t_r": t_r, "masker_t_r": masker_t_r}
    where = describe(item) if where is None else where
    path = image_path(item)
    image = open_image(item, where)
    files = [] if path is None else sidecar_files(path)
    t_r, notes = resolve_t_r(image, where=where, files=files, t_r=t_r, masker_t_r=masker_t_r)
    # An image that the user opened is never opened here, so that there is nothing to refresh.
    watched = [*files, *_files_of(image)] if isinstance(item, (str, os.PathLike)) else []
    stamps = {file: _stamp(file) for file in watched}
    entities = {} if path is None else parse(path)[0]
    return ImageRun(image, path, where, entities, t_r, notes, stamps, arguments)


def _files_of(image):
    """List the files of an image: header and data may be apart."""
    names = [holder.filename for holder in image.file_map.values()]
    return [Path(name) for name in names if name]


def _stamp(path):
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns
