"""Write the tables and the figure of ``doc/weights.rst``."""

from __future__ import annotations

from ..suite.figure import draw_score, frame_sets
from ..suite.sets import SETS
from .tables import BEST, tabulate

_STYLES = (("D", "#0072B2", 0.0), ("s", "#999999", -0.24), ("o", "#444444", 0.24))


def write_pages(results, book):
    """Write the tables and the figure.

    Parameters
    ----------
    results : Results
        Results.
    book : Path
        The book's folder, with ``tables``.
    """
    for name, table in tabulate(results).items():
        path = book / "tables" / f"weights_{name}.csv"
        table.to_csv(path, index=False, float_format="%.3f", lineterminator="\n")
    draw_scores(results).savefig(book / "weights.png", dpi=120)


def draw_scores(results, untrained="untrained flatten"):
    """Draw the first embedding, the untrained one and the best classical decoder on each set.

    Parameters
    ----------
    results : Results
        Results.
    untrained : str
        The key of the embedding of untrained weights.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Pooled scores with 95 % intervals over groups; dashes are chance.
    """
    keys = (results.keys[0], untrained, BEST)
    figure, axes, names = frame_sets([n for n in SETS if keys[0] in results.there(n)], 0.42)
    for row, name in enumerate(names):
        there = results.there(name)
        for key, (marker, colour, shift) in zip(keys, _STYLES, strict=True):
            if key in there:
                draw_score(axes, row + shift, there[key], fmt=marker, color=colour, ms=5, lw=1)
        axes.plot([SETS[name].chance], [row], "|", color="black", markersize=14)
    for key, (marker, colour, _) in zip(keys, _STYLES, strict=True):
        axes.errorbar([], [], [], fmt=marker, color=colour, label=key)
    axes.plot([], [], "|", color="black", markersize=12, label="chance")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
