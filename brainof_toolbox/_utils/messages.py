"""Parts of messages used in several modules."""

from __future__ import annotations

from contextlib import contextmanager

__all__ = ["and_more", "describe_errors", "format_table", "join_some", "name_place"]


def and_more(count, limit):
    """Return ``" and N more"`` when ``count`` items exceed the ``limit`` that are named."""
    return f" and {count - limit} more" if count > limit else ""


def join_some(names, limit):
    """Join the first ``limit`` names with commas and count the others."""
    names = list(names)
    return ", ".join(map(str, names[:limit])) + and_more(len(names), limit)


def name_place(error, where):
    """Return an error whose message begins with a place, unless it names the place already."""
    if where in str(error):
        return error
    kind = FileNotFoundError if isinstance(error, FileNotFoundError) else type(error)
    if kind not in (ValueError, TypeError, FileNotFoundError, OSError, RuntimeError):
        kind = ValueError
    return kind(f"{where}: {error}")


@contextmanager
def describe_errors(message, advice=""):
    """Raise the errors of a reader, which are of any type, as a ValueError with a message."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{message} ({type(error).__name__}: {error}).{advice}") from error


def format_table(rows, words):
    """Format rows of cells, the first of them titles; columns of ``words`` are aligned left."""
    columns = []
    for title, *cells in zip(*rows, strict=True):
        cells = [str(cell) for cell in (title, *cells)]
        width = max(map(len, cells))
        align = str.ljust if title in words else str.rjust
        columns.append([align(cell, width) for cell in cells])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
