"""Replace files and directories atomically, flush them to the disk, and hash files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path

__all__ = [
    "previous",
    "remove",
    "replace_directory",
    "replace_file",
    "sha256_of",
    "sync",
    "sync_folder",
    "write_file",
]


def sha256_of(path):
    """Return the sha256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path, *contents):
    """Write a new file and flush it to the disk."""
    with open(path, "xb") as file:
        for content in contents:
            file.write(content)
        sync(file)


@contextlib.contextmanager
def replace_file(path, aside=None):
    """Yield a binary file that replaces ``path`` as a whole when the block succeeds."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.saving") if aside is None else aside
    try:
        with open(aside, "wb") as file:
            yield file
            sync(file)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replace_directory(directory, files):
    """Yield an empty folder to fill that replaces ``directory`` as a whole, or not at all."""
    # If the process is killed, the former directory is still in place, or, between two renames,
    # at :func:`previous`. One writer per directory.
    directory = Path(os.path.abspath(directory))
    aside = directory.with_name(f".{directory.name}.saving")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(directory, files)
        remove(aside)
        aside.mkdir()
        yield aside
        sync_folder(aside)
        _swap(aside, directory)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(
            error.errno or errno.EIO,
            f"The checkpoint could not be saved ({error.strerror or error}); the former one "
            f"is unchanged. Choose a writable directory with enough space",
            str(directory),
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def previous(directory):
    """Return the path of a directory's former state between two renames."""
    return directory.with_name(f".{directory.name}.previous")


def remove(path):
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(file):
    """Flush an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder):
    """Flush the entries of a folder to the disk, where the system supports it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refuse_foreign(directory, files):
    """Raise if replacing the directory would delete other files."""
    if directory.is_dir():
        foreign = sorted(set(os.listdir(directory)) - set(files))
        if foreign:
            raise ValueError(
                f"{directory} holds other files ({', '.join(foreign[:5])}), which a checkpoint "
                f"would replace. Save into a directory of its own."
            )
    elif os.path.lexists(directory):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a directory", str(directory))


def _swap(new, directory):
    """Replace ``directory`` by ``new``; at any time one of the two can be loaded."""
    before = previous(directory)
    if directory.exists():
        remove(before)  # left by a process killed after the second rename
        os.rename(directory, before)
    try:
        os.rename(new, directory)
    except OSError:
        if before.exists():
            os.rename(before, directory)
        raise
    sync_folder(directory.parent)
    shutil.rmtree(before, ignore_errors=True)
