"""Keep lines of results: one for each fold and group of a decoder on a set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Item:
    """Name one decoder on one set under one condition."""

    set: str
    condition: str
    fraction: float
    decoder: str
    seed: int
    people: str
    weights: str = ""

    def __str__(self):
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of labels"
        return f"{self.set}, {self.condition}{share}: {self.decoder}"


def item_of(line):
    """Return the item that a line belongs to."""
    return Item(**{name: line[name] for name in Item.__dataclass_fields__})


class Store:
    """Keep lines of JSON, one file per set; complete items are not computed again.

    Parameters
    ----------
    folder : Path
        Created where it is missing. Results of different states of the code belong into
        different folders: only weights are compared.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def read(self):
        """Return the lines of each complete item; an item that was interrupted is left out."""
        found = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the run was ended while it wrote this line
                    continue
                found.setdefault(item_of(row), []).append(row)
        # Lines of an item that was interrupted and then repeated stand twice: the last ones count.
        return {
            item: rows[-rows[-1]["n_lines"] :]
            for item, rows in found.items()
            if len(rows) >= rows[-1]["n_lines"]
        }

    def add(self, item, rows):
        """Append the lines of an item."""
        text = "".join(
            json.dumps({**asdict(item), **row, "n_lines": len(rows)}) + "\n" for row in rows
        )
        path = self.folder / f"{item.set}.jsonl"
        starts_new = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * starts_new + text)
