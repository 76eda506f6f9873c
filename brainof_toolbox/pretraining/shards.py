"""Parts, in order, -> the shards and the index of a corpus, written aside and renamed.

::

    .NAME.building/
      lock                    held while somebody builds
      parts/KEY.*             finished recordings that no finished shard holds yet
      journal/00000.json      what each finished shard holds, its new montages beside
      corpus/                 becomes NAME at the end
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress

import numpy as np

from .._utils.files import replace_file, sha256_of, sync, sync_folder
from .format import (
    FORMAT_VERSION,
    HEADER,
    INDEX,
    MONTAGE_WIDTH,
    MONTAGES,
    SHARDS,
    dump,
    fingerprint,
    header_bytes,
    shard_names,
)
from .parts import part_file, remove_part

#: Bytes of values after which a new shard begins.
SHARD_SIZE = 2**32


class CorpusWriteError(OSError):
    """The disk refused, which no other recording will mend."""


@contextmanager
def writing(path):
    """Say of an error inside that a corpus was being written."""
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


class Shards:
    """Puts finished recordings into shards, in the order of the sources.

    A shard is closed before the recording that would make it larger than ``shard_size``, so its
    borders depend on the recordings alone.
    """

    def __init__(self, folder, dtype, shard_size=SHARD_SIZE):
        self.folder, self.dtype, self.shard_size = folder, np.dtype(dtype), shard_size
        self.parts, self._journal = folder / "parts", folder / "journal"
        self.corpus = folder / "corpus"
        for path in (self.parts, self._journal, self.corpus / SHARDS):
            path.mkdir(parents=True, exist_ok=True)
        self.items = []  # of finished shards, then of the current one
        self.sizes = []  # values and scales of each shard
        self._n_closed = 0  # items in closed shards
        self._montages, self._n_rows = {}, 0
        self._files, self._digests, self._new = None, None, []

    # ---------------------------------------------------------------------------- resuming

    def resume(self, keys):
        """Take over the shards of an interrupted build that begin as this one does."""
        journals = sorted(self._journal.glob("*.json"))
        for number, path in enumerate(journals):
            journal = self._read_journal(number)
            at = len(self.items)
            if journal is None or path.name != f"{number:05d}.json":
                break
            done = [item["key"] for item in journal["items"]]
            if done != keys[at : at + len(done)] or journal["shard_size"] != self.shard_size:
                break
            self.items += journal["items"]
            self.sizes.append(journal["sizes"])
            for key, n_channels in journal["montages"]:
                self._add_montage(key, n_channels)
        self._new, self._n_closed = [], len(self.items)
        for path in (*journals[len(self.sizes) :], *self._montage_files()[len(self.sizes) :]):
            path.unlink()
        known = {name for number in range(len(self.sizes)) for name in shard_names(number)}
        for path in (*(self.corpus / SHARDS).iterdir(), *self.parts.glob("*-*")):
            if path.name not in known:
                path.unlink()
        return len(self.items)

    def _montage_files(self):
        return sorted(self._journal.glob("*.montages"))

    def _read_journal(self, number):
        try:
            journal = json.loads((self._journal / f"{number:05d}.json").read_bytes())
            kinds = (self.dtype, np.dtype(np.float32))
            for name, size, kind in zip(shard_names(number), journal["sizes"], kinds, strict=True):
                path = self.corpus / SHARDS / name
                if path.stat().st_size != len(header_bytes(size, kind)) + size * kind.itemsize:
                    return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return journal

    # ------------------------------------------------------------------------------ adding

    def stem(self, key):
        """Path of a part's files, without their endings."""
        return self.parts / key

    def skip(self, key, reason):
        """Note that a recording could not be used."""
        self.items.append({"key": key, "reason": reason})

    def add(self, key, part):
        """Copy a finished recording into the current shard."""
        size = part["sizes"]["values"]
        if self._files and (self.sizes[-1][0] + size) * self.dtype.itemsize > self.shard_size:
            self._close()
        if self._files is None:
            self._start()
        offset, scale_offset = self.sizes[-1]
        rows = [
            {
                **row,
                "shard": len(self.sizes) - 1,
                "offset": row["offset"] + offset,
                "scale_offset": row["scale_offset"] + scale_offset,
            }
            for row in part["rows"]
        ]
        stem = self.stem(key)
        for name, file in zip(("values", "scales"), self._files, strict=True):
            with part_file(stem, name) as source:
                shutil.copyfileobj(source, file, 2**20)
        with part_file(stem, "montages") as source:
            for montage, n_channels in part["montages"]:
                content = source.read(4 * MONTAGE_WIDTH * n_channels)
                if montage not in self._montages:
                    self._new.append((montage, n_channels, content))
                    self._add_montage(montage, n_channels)
        self.sizes[-1] = [offset + size, scale_offset + part["sizes"]["scales"]]
        self.items.append({"key": key, "rows": rows, "n_empty": part["n_empty_windows"]})

    def _add_montage(self, key, n_channels):
        self._montages[key] = self._n_rows
        self._n_rows += n_channels

    def _start(self):
        self.sizes.append([0, 0])
        self._files = [
            open(self.corpus / SHARDS / name, "wb") for name in shard_names(len(self.sizes) - 1)
        ]
        for file in self._files:
            file.write(header_bytes(0, self.dtype))

    def _close(self):
        """Finish the current shard; from now on it survives an interruption."""
        if self._files is None:
            return
        number = len(self.sizes) - 1
        for file, size, kind in zip(
            self._files, self.sizes[number], (self.dtype, np.dtype(np.float32)), strict=True
        ):
            file.seek(0)
            file.write(header_bytes(size, kind))
            sync(file)
            file.close()
        self._files = None
        sync_folder(self.corpus / SHARDS)
        content = b"".join(content for _, _, content in self._new)
        with replace_file(self._journal / f"{number:05d}.montages") as file:
            file.write(content)
        items = self.items[self._n_closed :]
        journal = {
            "items": items,
            "sizes": self.sizes[number],
            "shard_size": self.shard_size,
            "montages": [(key, n_channels) for key, n_channels, _ in self._new],
        }
        with replace_file(self._journal / f"{number:05d}.json") as file:
            file.write(dump(journal).encode())
        self._n_closed, self._new = len(self.items), []
        for item in items:
            remove_part(self.stem(item["key"]))

    def abandon(self):
        """Close the files of a shard that is not finished."""
        for file in self._files or ():
            with suppress(OSError):  # what is still buffered may not fit either
                file.close()

    # --------------------------------------------------------------------------- finishing

    def finish(self, sources, header):
        """Write index, montages and head; the folder ``corpus`` is then whole."""
        self._close()
        montages = self._write_montages()
        lines, used = [], 0
        for item, source in zip(self.items, sources, strict=True):
            for row in item.get("rows", ()):
                entry = {
                    **row,
                    "dataset": source["dataset"],
                    "licence": source["licence"],
                    "recording": used,
                    "montage_row": self._montages[row["montage"]],
                }
                lines.append(dump(entry).encode() + b"\n")
            used += bool(item.get("rows"))
        index = b"".join(lines)
        with replace_file(self.corpus / INDEX) as file:
            file.write(index)
        skipped = [
            {"dataset": source["dataset"], "name": source["name"], "reason": item["reason"]}
            for item, source in zip(self.items, sources, strict=True)
            if "reason" in item
        ]
        header = {
            **header,
            "format_version": FORMAT_VERSION,
            "dtype": self.dtype.name,
            "skipped": skipped,
            "n_empty_windows": sum(item.get("n_empty", 0) for item in self.items),
            "shards": self.sizes,
            "index_sha256": hashlib.sha256(index).hexdigest(),
            "montages_sha256": montages,
        }
        header["sha256"] = fingerprint(header)
        content = json.dumps(header, indent=1, sort_keys=True, allow_nan=False)
        with replace_file(self.corpus / HEADER) as file:
            file.write(content.encode())
        sync_folder(self.corpus)

    def _write_montages(self):
        """Join the montages of all shards; return the sha256 of the file."""
        path = self.corpus / MONTAGES
        with open(path, "wb") as file:
            file.write(header_bytes(self._n_rows * MONTAGE_WIDTH, np.dtype(np.float32)))
            for part in self._montage_files():
                file.write(part.read_bytes())
            sync(file)
        return sha256_of(path)


def publish(folder, directory):
    """Give a finished corpus its name."""
    if directory.is_dir():
        directory.rmdir()
    os.rename(folder / "corpus", directory)
    sync_folder(directory.parent)
    shutil.rmtree(folder, ignore_errors=True)
