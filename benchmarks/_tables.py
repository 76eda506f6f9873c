"""Tables for the pages."""

from __future__ import annotations


def list_table(table, title):
    """A table as reStructuredText."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for cells in [list(table.columns), *table.astype(str).to_numpy().tolist()]:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"
