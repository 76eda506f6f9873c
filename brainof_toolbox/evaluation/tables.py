"""Numbers and tables of results as text and HTML."""

from __future__ import annotations

import numpy as np

from .._utils.messages import format_table

_WIDEST = 32  # letters for the groups left out
_DIGITS = 3  # significant, of the larger of score and chance
_SMALLEST, _LARGEST = 1e-4, 1e7  # beyond them, numbers have an exponent


def number_format(*values):
    """Return a function that prints numbers of this size with three significant digits."""
    sizes = np.abs([value for value in values if np.isfinite(value)])
    # 1 counts among the numbers below it, so that accuracies always have three decimals.
    size = sizes.max(initial=0.0) * 0.999
    if 0 < size < _SMALLEST or size >= _LARGEST:
        return f"{{:.{_DIGITS - 1}e}}".format
    size = size or 1.0
    decimals = max(0, _DIGITS - 1 - int(np.floor(np.log10(size))))
    return f"{{:.{decimals}f}}".format


def describe_weights(scores):
    """Return the mean weight of each feature set in words, or an empty string."""
    means = scores.feature_weights.mean()
    return ", ".join(f"{name} {weight:.2g}" for name, weight in means.items())


def left_out(row):
    """Return the groups that a fold leaves out, shortened."""
    text = ", ".join(str(group) for group in row.test_groups) or f"fold {row.fold}"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def readable(folds):
    table = folds.drop(columns=["fold", "test_groups"])
    show = number_format(*folds["score"], *folds["chance"])
    for name in table.columns.intersection(["score", "chance", "r", "r2"]):
        table[name] = table[name].map(show if name in ("score", "chance") else "{:.3g}".format)
    table.insert(0, "left out", [left_out(row) for row in folds.itertuples()])
    return table


def as_text(table):
    """Format a table as text."""
    words = ("left out", "estimator", "first", "second", "over")
    return format_table([list(table), *table.itertuples(index=False)], words)


def as_html(table, caption):
    return table.to_html(index=False) + "<p>{}</p>".format(caption.replace("\n", "<br>"))
