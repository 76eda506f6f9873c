"""Tables for the pages, and where they go."""

from __future__ import annotations

from brainof_toolbox.models import load_checkpoint

MARKER = ".. What follows is written by benchmarks/{}."


def list_table(table, title):
    """A table as reStructuredText."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for cells in [list(table.columns), *table.astype(str).to_numpy().tolist()]:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def write_below(path, script, parts, out=None):
    """Replace what follows the marker of a script in a page that is otherwise written by hand."""
    marker = MARKER.format(script)
    head, *_ = path.read_text(encoding="utf-8").split(marker)
    (out or path).write_text(head + "\n".join([marker, "", *parts]), encoding="utf-8")


def name_weights(checkpoint):
    """Say which weights a page is about."""
    loaded = load_checkpoint(checkpoint)
    steps, short = loaded.manifest.get("steps"), loaded.sha256[:12]
    return f"Weights: ``{loaded.name}``, {steps} steps, sha256 {short}.\n"
