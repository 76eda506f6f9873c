"""Draw a line per set: the default decoder, its interval, and every classical decoder."""

from __future__ import annotations

import numpy as np

from .decoders import DEFAULT, is_classical
from .sets import SETS
from .summary import interval

_MODALITIES = {"eeg": "EEG", "meg": "MEG", "fmri": "fMRI", None: "simulated"}
_BLUE, _GREY = "#0072B2", "#444444"


def draw_figure(summary):
    """Draw the default decoder beside all classical ones on each set.

    Parameters
    ----------
    summary : Summary
        Results.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Diamonds are pooled scores of the default decoder with 95 % intervals over groups, dots
        those of classical decoders, dashes chance.
    """
    figure, axes, names = frame_sets([n for n in SETS if summary.decoders(n)], 0.3)
    for row, name in enumerate(names):
        _draw_set(axes, row, name, summary.decoders(name))
    axes.errorbar(
        [], [], [], fmt="D", color=_BLUE, label="BrainOFClassifier(), with 95 % interval"
    )
    axes.plot([], [], "o", color=_GREY, markerfacecolor="none", markersize=7, label="classical")
    axes.plot([], [], "|", color="black", markersize=12, label="chance")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    return figure


def frame_sets(names, height):
    """Return figure and axes with a line, of a height in inches, for each set; and their order."""
    from matplotlib.figure import Figure

    names = sorted(names, key=_place)
    figure = Figure(figsize=(8.5, height * len(names) + 1.3), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("balanced accuracy (age: skill)")
    axes.set_xlim(-0.45 if any(SETS[name].is_regression for name in names) else 0.0, 1.0)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes, names


def draw_score(axes, row, counts, **style):
    """Draw a score with its interval."""
    low, high = interval(counts)
    ends = [[max(counts.score - low, 0)], [max(high - counts.score, 0)]]
    axes.errorbar([counts.score], [row], xerr=ends, **style)


def _draw_set(axes, row, name, there):
    """Draw one line."""
    if row % 2:
        axes.axhspan(row - 0.5, row + 0.5, color="#F5F5F5", zorder=-2)
    classical = [counts.score for other, counts in there.items() if is_classical(other)]
    at = np.full(len(classical), row)
    axes.plot(classical, at, "o", color=_GREY, markerfacecolor="none", markersize=7, zorder=4)
    axes.plot([SETS[name].chance], [row], "|", color="black", markersize=12)
    if DEFAULT in there:
        draw_score(axes, row, there[DEFAULT], fmt="D", color=_BLUE, markersize=6, zorder=3)


def _place(name):
    """Return where the modality of a set stands in figures."""
    return list(_MODALITIES).index(_modality(name))


def _modality(name):
    """Return the first word of the folder."""
    folder = SETS[name].folder
    return folder and folder.split("-")[0]


def _label(name):
    """Return modality and contrast of a set."""
    contrast = SETS[name].title.partition(";")[0].removeprefix("simulated, ").partition(",")[0]
    mark = "" if SETS[name].is_claimed else " *"
    return f"{_MODALITIES[_modality(name)]}: {contrast} ({name}){mark}"
