"""The folder in which a corpus grows, until it is renamed as a whole.

::

    .NAME.building/
      lock                    held by the builder
      options                 hash of the options of the build
      parts/KEY.json          one per finished recording: its rows of the index
      corpus/                 becomes NAME at the end
        recordings/           files of finished recordings, named by their content
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager

from .._utils.files import replace_file, sync_folder
from .format import FORMAT_VERSION, HEADER, INDEX, RECORDINGS, dump, file_names, fingerprint


class CorpusWriteError(OSError):
    """An error of the disk, which concerns the whole build and not one recording."""


@contextmanager
def writing(path):
    """Raise errors of the system as errors of writing the corpus."""
    try:
        yield
    except CorpusWriteError:
        raise
    except OSError as error:
        raise CorpusWriteError(
            error.errno or errno.EIO,
            f"The corpus could not be written ({error.strerror or error}). What is finished is "
            "kept: make room, or give a writable directory, and build again",
            str(path),
        ) from error


class BuildFolder:
    """Paths and the last steps of a build."""

    def __init__(self, path):
        self.path, self.parts, self.corpus = path, path / "parts", path / "corpus"
        for folder in (self.parts, self.corpus / RECORDINGS):
            folder.mkdir(parents=True, exist_ok=True)
        for left in self.parts.glob("*-*"):  # unfinished files of a killed build
            left.unlink()

    def finish(self, items, sources, header, dtype):
        """Write index and header; ``items`` are parts, or dicts with the ``reason`` of a skip."""
        index, used = self._write_index(items, sources)
        skipped = [
            {"dataset": source.dataset, "name": source.name, "reason": item["reason"]}
            for item, source in zip(items, sources, strict=True)
            if "reason" in item
        ]
        header = {
            **header,
            "format_version": FORMAT_VERSION,
            "dtype": dtype,
            "skipped": skipped,
            "n_empty_windows": sum(item.get("n_empty_windows", 0) for item in items),
            "index_sha256": hashlib.sha256(index).hexdigest(),
        }
        header["sha256"] = fingerprint(header)
        for path in (self.corpus / RECORDINGS).iterdir():
            if path.name not in used:
                path.unlink()  # of a source that has changed since
        sync_folder(self.corpus / RECORDINGS)
        content = json.dumps(header, indent=1, sort_keys=True, allow_nan=False)
        with replace_file(self.corpus / HEADER) as file:
            file.write(content.encode())
        sync_folder(self.corpus)

    def _write_index(self, items, sources):
        """Write the index; return its content and the names of the files that it uses."""
        lines, used, n_recordings = [], set(), 0
        for item, source in zip(items, sources, strict=True):
            rows = item.get("rows", ())
            for row in rows:
                origin = {"dataset": source.dataset, "licence": source.licence}
                entry = {**row, **origin, "recording": n_recordings, "file": item["file"]}
                lines.append(dump(entry).encode() + b"\n")
            if rows:
                used.update(file_names(item["file"]))
                n_recordings += 1
        index = b"".join(lines)
        with replace_file(self.corpus / INDEX) as file:
            file.write(index)
        return index, used

    def publish(self, directory):
        """Give the finished corpus its name."""
        if directory.is_dir():
            directory.rmdir()
        os.rename(self.corpus, directory)
        sync_folder(directory.parent)
        shutil.rmtree(self.path, ignore_errors=True)
