"""Tables for the pages: CSV files in ``doc/tables``, and what includes them."""

from __future__ import annotations

from itertools import pairwise

from brainof_toolbox.models import load_checkpoint

MARKER = ".. What follows is written by benchmarks/{}."


def list_table(table, title):
    """Return a table as reStructuredText."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for cells in [list(table.columns), *table.astype(str).to_numpy().tolist()]:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def write_csv(table, page, name=None):
    """Write a table of a page into the folder ``tables`` beside it; return its relative path."""
    stem = f"{page.stem}_{name}" if name else page.stem
    path = page.parent / "tables" / f"{stem}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
    return f"tables/{path.name}"


def csv_table(table, title, page, name=None):
    """Write a table of a page; return the directive that includes it."""
    file = write_csv(table, page, name)
    return f".. csv-table:: {title}\n   :file: {file}\n   :header-rows: 1\n"


def csv_link(table, title, page, name):
    """Write a table of a page; return a line of a list that links to it."""
    return f"* :download:`{title} <{write_csv(table, page, name)}>`\n"


def slug(words):
    """Return words as a part of a file name."""
    kept = "".join(letter if letter.isalnum() else " " for letter in words.lower())
    return "-".join(kept.split())


def write_below(path, script, parts, out=None):
    """Replace what follows the marker of a script in a page that is otherwise written by hand."""
    marker = MARKER.format(script)
    head, found, _ = path.read_text(encoding="utf-8").partition(marker)
    if not found:
        raise ValueError(f"{path} has no line {marker!r}.")
    text = f"{head}{marker}\n"
    for before, part in pairwise(["", *parts]):
        is_list = before.startswith("* ") and part.startswith("* ")
        text += part if is_list else f"\n{part}"
    (out or path).write_text(text, encoding="utf-8")


def name_weights(checkpoint):
    """Return a line that names the weights of a page."""
    loaded = load_checkpoint(checkpoint)
    steps, short = loaded.manifest.get("steps"), loaded.sha256[:12]
    return f"Weights: ``{loaded.name}``, {steps} steps, sha256 {short}.\n"
