"""Draw a column per set, a point per group."""

from __future__ import annotations

import numpy as np

from .decoders import DEFAULT
from .sets import SETS


def draw_figure(summary):
    """Draw the default decoder and the best classical one of each set.

    Parameters
    ----------
    summary : Summary
        Results.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Points are groups, bars the pooled scores, dashes chance.
    """
    from matplotlib.figure import Figure

    names = [name for name in SETS if summary.decoders(name)]
    figure = Figure(figsize=(max(4.0, 0.75 * len(names)), 4.5), layout="constrained")
    axes = figure.add_subplot()
    for column, name in enumerate(names):
        there = summary.decoders(name)
        kinds = ((DEFAULT, -0.2, "C0"), (summary.best_classical(name), 0.2, "C1"))
        for decoder, shift, colour in kinds:
            if decoder not in there:
                continue
            counts = there[decoder]
            at = column + shift + np.linspace(-0.12, 0.12, len(counts.names))
            shown = np.clip(counts.by_group, -1, 1)
            axes.plot(at, shown, ".", color=colour, alpha=0.35, markersize=5)
            ends = column + shift - 0.16, column + shift + 0.16
            axes.plot(ends, [counts.score] * 2, color=colour, linewidth=2)
        axes.plot([column - 0.4, column + 0.4], [SETS[name].chance] * 2, "k:", linewidth=1)
    axes.plot([], [], ".-", color="C0", label="default")
    axes.plot([], [], ".-", color="C1", label="best classical")
    axes.legend(loc="lower right", frameon=False)
    marked = [name if SETS[name].is_claimed else f"{name} *" for name in names]
    axes.set_xticks(range(len(names)), marked, rotation=60, ha="right")
    axes.set_ylabel("balanced accuracy, or skill (age)")
    axes.set_ylim(-0.25 if any(SETS[name].is_regression for name in names) else -0.02, 1.02)
    return figure
