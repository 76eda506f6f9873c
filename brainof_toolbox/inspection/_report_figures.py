"""Figures of predictions, for the report."""

from __future__ import annotations

import numpy as np

from .maps import CMAP

_COLOUR = "#0072B2"


def plot_confusion(found):
    """Draw the confusion matrix of the samples left out."""
    import matplotlib.pyplot as plt
    from sklearn.metrics import ConfusionMatrixDisplay

    tested = tested_rows(found)
    size = 2.8 + 0.45 * len(found.task.classes)
    figure, ax = plt.subplots(figsize=(size, size * 0.85), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        found.task.y[tested],
        found.predicted[tested],
        normalize="true",
        cmap=CMAP,
        values_format=".0%",
        ax=ax,
        im_kw={"vmin": 0, "vmax": 1},
        xticks_rotation=45 if len(found.task.classes) > 3 else "horizontal",
    )
    ax.set(xlabel="predicted", ylabel="true")
    return figure


def plot_calibration(found):
    """Draw how often answers are right against how sure they are."""
    import matplotlib.pyplot as plt
    from sklearn.calibration import calibration_curve

    tested = tested_rows(found)
    sure = found.probability[tested].max(axis=1)
    is_right = (found.predicted[tested] == found.task.y[tested]).astype(int)
    n_bins = int(np.clip(len(tested) // 15, 2, 8))
    right, said = calibration_curve(is_right, sure, n_bins=n_bins, strategy="quantile")
    figure, ax = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    low = 1 / len(found.task.classes)
    ax.plot([low, 1], [low, 1], "--", color="0.6", label="well calibrated")
    ax.plot(said, right, "o-", color=_COLOUR, label=f"{n_bins} parts of {len(tested)} samples")
    ax.set(xlabel="confidence of the answer", ylabel="share of right answers")
    ax.set(xlim=(low - 0.02, 1.02), ylim=(0, 1.02))
    ax.legend(frameon=False, loc="lower right")
    return figure


def plot_predictions(found):
    """Draw predictions against targets."""
    import matplotlib.pyplot as plt

    tested = tested_rows(found)
    figure, ax = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    target = found.task.y[tested].astype(float)
    ends = [target.min(), target.max()]
    ax.plot(ends, ends, "--", color="0.6", label="right")
    ax.plot(target, found.predicted[tested], "o", color=_COLOUR, ms=4, alpha=0.7)
    ax.set(xlabel="target (unit of y)", ylabel="prediction (unit of y)")
    ax.legend(frameon=False)
    return figure


def tested_rows(found):
    """Samples that some fold left out."""
    return np.unique(np.concatenate([test for _, test in found.task.splits]))
