"""Figures of predictions, for the report."""

from __future__ import annotations

import numpy as np

_COLOUR = "#0072B2"


def plot_calibration(scores):
    """Draw the share of correct predictions against their predicted probability."""
    import matplotlib.pyplot as plt
    from sklearn.calibration import calibration_curve

    table, probability = scores.predictions, scores.probabilities
    confidence = probability.max(axis=1).to_numpy()
    is_correct = (table["predicted"] == table["y"]).to_numpy(dtype=int)
    n_bins = int(np.clip(len(table) // 15, 2, 8))
    share, mean = calibration_curve(is_correct, confidence, n_bins=n_bins, strategy="quantile")
    figure, ax = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    low = 1 / probability.shape[1]
    ax.plot([low, 1], [low, 1], "--", color="0.6", label="well calibrated")
    ax.plot(mean, share, "o-", color=_COLOUR, label=f"{n_bins} bins of {len(table)} samples")
    ax.set(xlabel="predicted probability", ylabel="share of correct predictions")
    ax.set(xlim=(low - 0.02, 1.02), ylim=(0, 1.02))
    ax.legend(frameon=False, loc="lower right")
    return figure


def plot_predictions(scores):
    """Draw predictions against targets."""
    import matplotlib.pyplot as plt

    table = scores.predictions.astype({"y": float, "predicted": float})
    figure, ax = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    ends = [table["y"].min(), table["y"].max()]
    ax.plot(ends, ends, "--", color="0.6", label="prediction = target")
    ax.plot(table["y"], table["predicted"], "o", color=_COLOUR, ms=4, alpha=0.7)
    ax.set(xlabel="target (unit of y)", ylabel="prediction (unit of y)")
    ax.legend(frameon=False)
    return figure


def plot_weights(scores):
    """Draw the share of each block of features in the outputs, with a point for each fold."""
    import matplotlib.pyplot as plt

    table = scores.feature_weights
    size = max(4, table.shape[1] + 1), 3.2
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    places = np.arange(table.shape[1])
    ax.bar(places, table.mean(), 0.6, color="#56B4E9")
    for _, row in table.iterrows():
        ax.plot(places, row, "o", color=_COLOUR, ms=4, alpha=0.7)
    ax.set_xticks(places, [str(name).replace("_", "\n") for name in table.columns])
    ax.set(ylabel="share of the outputs", ylim=(0, None))
    return figure
