"""Directories that change as a whole: written aside, synced, then moved in place."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

__all__ = ["previous", "remove", "replacing", "write_file"]


@contextlib.contextmanager
def replacing(directory, files):
    """Yield an empty folder to fill that replaces ``directory`` as a whole, or not at all."""
    # A process that is killed leaves what was there before in place, or, for the instant between
    # two renames, under :func:`previous`. One writer per directory.
    directory = Path(os.path.abspath(directory))
    aside = directory.with_name(f".{directory.name}.saving")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(directory, files)
        remove(aside)
        aside.mkdir()
        yield aside
        _sync(aside)
        _swap(aside, directory)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(
            error.errno or errno.EIO,
            f"The checkpoint could not be saved ({error.strerror or error}); what was there "
            f"before is unchanged. Choose a writable directory with enough space",
            str(directory),
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def write_file(path, *contents):
    """Write a new file and flush it to the disk."""
    with open(path, "xb") as file:
        for content in contents:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def previous(directory):
    """Return where the former state of a directory stands for an instant."""
    return directory.with_name(f".{directory.name}.previous")


def remove(path):
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _refuse_foreign(directory, files):
    """Say so when replacing the directory would delete somebody's files."""
    if directory.is_dir():
        foreign = sorted(set(os.listdir(directory)) - set(files))
        if foreign:
            raise ValueError(
                f"{directory} holds other files ({', '.join(foreign[:5])}), which a checkpoint "
                f"would replace. Save into a directory of its own."
            )
    elif os.path.lexists(directory):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a directory", str(directory))


def _sync(directory):
    """Flush a directory's names to the disk, where the system knows how to."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(new, directory):
    """Put ``new`` in place of ``directory``; at any instant one of the two can be loaded."""
    before = previous(directory)
    if directory.exists():
        remove(before)  # left by a kill after the new one was in place
        os.rename(directory, before)
    try:
        os.rename(new, directory)
    except OSError:
        if before.exists():
            os.rename(before, directory)
        raise
    _sync(directory.parent)
    shutil.rmtree(before, ignore_errors=True)
