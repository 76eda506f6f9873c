"""Parts of messages used in several modules."""

from __future__ import annotations

__all__ = ["and_more", "format_table", "join_some"]


def and_more(count, limit):
    """Return ``" and N more"`` when ``count`` items exceed the ``limit`` that are named."""
    return f" and {count - limit} more" if count > limit else ""


def join_some(names, limit):
    """Join the first ``limit`` names with commas and count the others."""
    names = list(names)
    return ", ".join(map(str, names[:limit])) + and_more(len(names), limit)


def format_table(rows, words):
    """Format rows of cells, the first of them titles; columns of ``words`` are aligned left."""
    columns = []
    for title, *cells in zip(*rows, strict=True):
        cells = [str(cell) for cell in (title, *cells)]
        width = max(map(len, cells))
        align = str.ljust if title in words else str.rjust
        columns.append([align(cell, width) for cell in cells])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
