"""Results as lines of JSON, one file per set."""

from __future__ import annotations

import json


class Store:
    """What was computed so far.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rows = {}
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                self.rows[key_of(row)] = row

    def __contains__(self, key):
        return key in self.rows

    def add(self, item, row):
        """Append a row to the file of its set."""
        self.rows[item.key] = row
        with (self.folder / f"{row['set']}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def key_of(row):
    """What a row is found by."""
    return tuple(row[name] for name in ("set", "decoder", "fraction", "draw", "epochs", "weights"))
