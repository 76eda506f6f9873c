"""Results as lines of JSON, one file per set."""

from __future__ import annotations

import json

KEY = ("set", "decoder", "fraction", "draw", "epochs", "weights")


class Store:
    """Results that were computed so far.

    Parameters
    ----------
    folder : Path
        Folder of the files; made if it is missing.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        paths = sorted(folder.glob("*.jsonl"))
        self.rows = {key_of(row): row for path in paths for row in read_lines(path)}

    def __contains__(self, key):
        return key in self.rows

    def add(self, item, row):
        """Append a row to the file of its set."""
        self.rows[item.key] = row
        append_line(self.folder / f"{row['set']}.jsonl", row)


def key_of(row):
    """Return the fields that identify a row."""
    return tuple(row[name] for name in KEY)


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
