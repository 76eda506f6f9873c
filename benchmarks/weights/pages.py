"""Write the tables and the figure of ``doc/weights.rst``."""

from __future__ import annotations

from ..suite.figure import label_set, place_of
from ..suite.sets import SETS
from ..suite.summary import interval
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
    from matplotlib.figure import Figure

    keys = (results.keys[0], untrained, BEST)
    names = [name for name in SETS if keys[0] in results.there(name)]
    names.sort(key=place_of)
    figure = Figure(figsize=(8.5, 0.42 * len(names) + 1.3), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        there = results.there(name)
        for key, style in zip(keys, _STYLES, strict=True):
            if key in there:
                _draw_score(axes, row, there[key], style)
        axes.plot([SETS[name].chance], [row], "|", color="black", markersize=14)
    for key, (marker, colour, _) in zip(keys, _STYLES, strict=True):
        axes.errorbar([], [], [], fmt=marker, color=colour, label=key)
    axes.plot([], [], "|", color="black", markersize=12, label="chance")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    axes.set_yticks(range(len(names)), [label_set(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("balanced accuracy (age: skill)")
    axes.set_xlim(-0.45 if any(SETS[name].is_regression for name in names) else 0.0, 1.0)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_score(axes, row, counts, style):
    """Draw one score with its interval."""
    (marker, colour, shift), (low, high) = style, interval(counts)
    ends = [[max(counts.score - low, 0)], [max(high - counts.score, 0)]]
    axes.errorbar([counts.score], [row + shift], xerr=ends, fmt=marker, color=colour, ms=5, lw=1)
