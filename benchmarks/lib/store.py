"""Results as lines of JSON."""

from __future__ import annotations

import json


def read_lines(path):
    """Return the rows of a file; a last line that was cut off by an interruption is removed."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def append_line(path, row):
    """Append a row to a file."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
