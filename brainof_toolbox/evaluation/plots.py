"""Figures of scores: one point per group."""

from __future__ import annotations

import textwrap

import numpy as np

from .results import points, unit_of

# Okabe and Ito's colours, distinct for colour-blind readers; markers are distinct in grey.
_STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
)
_LABELS = {
    "balanced_accuracy": "balanced accuracy",
    "mean_absolute_error": "mean absolute error (lower is better)",
}
_LETTERS = 15  # of an estimator's name on one line
_ASIDE = 0.3  # the mean stands right of the points


def plot_scores(scores, axes=None):
    """Draw one column of points per estimator."""
    axes = axes or _make_axes(2.2 + 1.4 * len(scores), 4.2)
    first = next(iter(scores.values()))
    unit = unit_of(scores.values())
    heights = np.array([points(one, unit).to_numpy() for one in scores.values()])  # (k, n_units)
    places = jitter(heights)
    if len(scores) > 1:
        axes.plot(places, heights, color="0.75", linewidth=0.8, zorder=1)
    for k, one in enumerate(scores.values()):
        _draw_column(axes, k, places[k], heights[k], one)
    _draw_chance(axes, scores)
    names = [textwrap.fill(name, _LETTERS, break_on_hyphens=False) for name in scores]
    axes.set_xticks(range(len(scores)), names if len(scores) > 1 else [""])
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.5, len(scores) - 0.45), ylabel=_LABELS.get(first.metric, first.metric))
    axes.set_xlabel(f"small: {heights.shape[1]} {unit}s\nlarge: mean, 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    return axes.figure


def plot_confusion(y, predicted, axes=None):
    """Draw the confusion matrix."""
    from sklearn.metrics import ConfusionMatrixDisplay

    n_classes = len({*y, *predicted})
    size = 2.8 + 0.45 * n_classes
    axes = axes or _make_axes(size, size * 0.85)
    ConfusionMatrixDisplay.from_predictions(
        y,
        predicted,
        normalize="true",
        cmap="cividis",
        values_format=".0%",
        ax=axes,
        im_kw={"vmin": 0, "vmax": 1},
        xticks_rotation=45 if n_classes > 3 else "horizontal",
    )
    axes.set(xlabel="predicted", ylabel="true")
    return axes.figure


def plot_calibration(table, low, axes=None):
    """Draw the share of correct predictions against their probability, at least ``low``."""
    axes = axes or _make_axes(4.2, 3.8)
    axes.plot([low, 1], [low, 1], "--", color="0.6", label="well calibrated")
    label = f"{len(table)} bins of samples"
    axes.plot(table["probability"], table["correct"], "o-", color=_STYLES[0][0], label=label)
    axes.set(xlabel="predicted probability", ylabel="share of correct predictions")
    axes.set(xlim=(low - 0.02, 1.02), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower right")
    return axes.figure


def plot_predictions(table, axes=None):
    """Draw predictions against targets."""
    axes = axes or _make_axes(4.2, 3.8)
    table = table.astype({"y": float, "predicted": float})
    ends = [table["y"].min(), table["y"].max()]
    axes.plot(ends, ends, "--", color="0.6", label="prediction = target")
    axes.plot(table["y"], table["predicted"], "o", color=_STYLES[0][0], ms=4, alpha=0.7)
    axes.set(xlabel="target (unit of y)", ylabel="prediction (unit of y)")
    axes.legend(frameon=False)
    return axes.figure


def plot_weights(table, axes=None):
    """Draw the mean weight of each block, with a point for each fold."""
    axes = axes or _make_axes(max(4, table.shape[1] + 1), 3.2)
    places = np.arange(table.shape[1])
    axes.bar(places, table.mean(), 0.6, color=_STYLES[-1][0])
    axes.plot(places, table.to_numpy().T, "o", color=_STYLES[0][0], ms=4, alpha=0.7)
    axes.set_xticks(places, [str(name).replace("_", "\n") for name in table.columns])
    axes.set(ylabel="share of the outputs", ylim=(0, None))
    return axes.figure


def _make_axes(width, height):
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _draw_column(axes, k, places, heights, scores):
    colour, marker = _STYLES[k % len(_STYLES)]
    axes.plot(places, heights, marker, color=colour, alpha=0.65, ms=6, mec="white", mew=0.5)
    low, high = scores.interval
    reach = None
    if np.isfinite(low):
        # Where the mean is cut at the border, so is the bar.
        reach = [[max(scores.mean - low, 0)], [max(high - scores.mean, 0)]]
    axes.errorbar(
        k + _ASIDE,
        scores.mean,
        reach,
        fmt=marker,
        color=colour,
        mec="black",
        ecolor="black",
        ms=9,
        capsize=4,
        zorder=4,
    )


def _draw_chance(axes, scores):
    """Draw one dashed line, or one per estimator where a scorer's chance differs."""
    chances = [one.chance for one in scores.values()]
    if np.ptp(chances) < 1e-9:
        axes.axhline(chances[0], color="black", linestyle="--", linewidth=1, zorder=0)
    else:
        for k, chance in enumerate(chances):
            axes.hlines(chance, k - 0.4, k + 0.4, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        "chance",
        (1.0, chances[-1]),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),  # outside, where no point is
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def jitter(heights, width=0.2, n_bins=30):
    """Return places across each column, so that equal scores do not overlap."""
    # heights (n_columns, n_units) -> places (n_columns, n_units).
    low, high = heights.min(), heights.max()
    bins = np.round((heights - low) / max(high - low, 1e-12) * n_bins).astype(int)
    places = np.repeat(np.arange(len(heights), dtype=float)[:, None], heights.shape[1], axis=1)
    for k, row in enumerate(bins):
        for value in np.unique(row):
            same = np.flatnonzero(row == value)
            step = min(0.05, 2 * width / max(len(same) - 1, 1))
            places[k, same] += step * (np.arange(len(same)) - (len(same) - 1) / 2)
    return places
