"""Use of the routed experts, by layer and modality."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from ..encoder.tokens import window_tokens
from ..evaluation.docs import fill_evaluation_doc
from ..models.isolate import isolate_torch
from ..models.moe import RoutingRecord
from .maps import CMAP, MODALITY_TITLES, make_axes


@fill_evaluation_doc
@isolate_torch()
def expert_usage(estimator, X):
    """Count how tokens are distributed among the routed experts.

    Each modality of a sample is read by itself, so that modalities can be compared. In the
    encoder and in the layers of the backbone the routed tokens are the latents.

    Parameters
    ----------
    %(fitted)s
    X : object
        Samples in any accepted form.

    Returns
    -------
    usage : pandas.DataFrame
        One row per modality, gate and expert: ``modality``, ``part`` (``encoder`` or
        ``backbone``), ``layer`` (from 1), ``expert`` (from 1), ``share`` of the tokens that chose
        it, ``probability``: mean output of the gate. Shares of a gate add up to 1.

    Raises
    ------
    ValueError
        If the estimator is not fitted, or its network has no routed experts.

    See Also
    --------
    plot_expert_usage : The table as heat maps.
    """
    encoder, backbone = encoder_of(estimator)
    if backbone.config.experts != "moe":
        raise ValueError("This network has dense experts (experts='dense'): nothing is routed.")
    device = encoder.device
    n_encoder = backbone.config.n_encoder_blocks
    totals = {}
    for tokens, modality in by_modality(encoder.windows(X), encoder.batch_size):
        routing = RoutingRecord()
        with torch.inference_mode():
            backbone([tokens.to(device)], routing=routing, layer=encoder.layer)
        for number, (probability, chosen, _, is_counted) in enumerate(routing):
            counted = torch.ones_like(probability[..., 0]) if is_counted is None else is_counted
            counted = counted.double()[..., None]  # (B, T, 1)
            sent = torch.nn.functional.one_hot(chosen, probability.shape[-1]).double().mean(-2)
            sums = [(part * counted).sum((0, 1)).cpu().numpy() for part in (sent, probability)]
            found = totals.setdefault((modality, number), np.zeros((3, probability.shape[-1])))
            found += np.stack([*sums, np.full(len(sums[0]), float(counted.sum()))])
    rows = []
    for (modality, number), (sent, probability, count) in totals.items():
        is_encoder = number < n_encoder
        where = ("encoder", number + 1) if is_encoder else ("backbone", number - n_encoder + 1)
        rows += [
            (modality, *where, expert + 1, sent[expert] / count[0], probability[expert] / count[0])
            for expert in range(len(sent))
        ]
    names = ["modality", "part", "layer", "expert", "share", "probability"]
    return pd.DataFrame(rows, columns=names)


def encoder_of(estimator):
    """Return the encoder of a fitted estimator, and its network if that takes tokens."""
    check_is_fitted(estimator)
    return estimator.encoder_, estimator.encoder_.token_network


def by_modality(batches, batch_size):
    """Yield tokens of one modality at a time."""
    for batch in batches:
        for modality in batch.windows:
            present = np.flatnonzero(~batch.is_missing[modality])
            for start in range(0, len(present), batch_size):
                rows = present[start : start + batch_size]
                yield window_tokens(batch, modality, rows), modality


def plot_expert_usage(usage, axes=None):
    """Draw how tokens are distributed: gates by experts, one panel per modality.

    Parameters
    ----------
    usage : pandas.DataFrame
        From :func:`expert_usage`.
    axes : sequence of matplotlib.axes.Axes | None
        One per modality; ``None`` makes a figure.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.
    """
    modalities = list(dict.fromkeys(usage["modality"]))
    top = usage["share"].max()  # one scale for all panels
    axes = make_axes(axes, (1, len(modalities)), (2.9, 4.0))
    for ax, modality in zip(axes, modalities):
        own = usage[usage["modality"] == modality]
        table = own.pivot_table(index=["part", "layer"], columns="expert", values="share")
        table = table.sort_index(level=["part", "layer"], ascending=[False, True])
        image = ax.imshow(table, vmin=0, vmax=top, cmap=CMAP, aspect="auto")
        for (row, column), share in np.ndenumerate(table.to_numpy()):
            colour = "black" if share > 0.6 * top else "white"
            ax.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, size=7)
        ax.set_xticks(range(table.shape[1]), table.columns)
        labels = [f"{part} {layer}" for part, layer in table.index]
        ax.set_yticks(range(len(table)), labels if ax is axes[0] else [""] * len(table))
        ax.set(xlabel="routed expert", title=MODALITY_TITLES[modality])
    axes[0].set_ylabel("gate")
    axes[-1].figure.colorbar(image, ax=axes, label="share of the tokens", shrink=0.8)
    return axes[0].figure
