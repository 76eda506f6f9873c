"""Contributions of modalities, or of feature sets, to predictions."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score

from .._utils.validation import check_option
from ..evaluation.docs import fill_evaluation_doc
from ..models.isolate import isolate_torch
from .hiding import Hidden
from .maps import MODALITY_TITLES, make_axes
from .scoring import prepare

_SCORES = {
    True: {
        "log_loss": "gain in log loss (nats)",
        "balanced_accuracy": "gain in balanced accuracy",
    },
    False: {"squared_error": "gain in squared error (variance of the target)"},
}


@fill_evaluation_doc
@isolate_torch()
def modality_contributions(estimator, X, y=None, *, scoring=None):
    """Divide the score of an estimator among its modalities: Shapley values.

    A modality's contribution is its gain in score, averaged over all orders in which modalities
    can be added :footcite:p:`shapley1953value`, as in the paper :footcite:p:`guo2026brainof`.
    A modality that is left out is treated as not recorded: the network does not receive it, and
    its explicit features count as their mean in training. Without any modality all features do,
    and all samples have the same prediction.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        An estimator fitted to samples of several modalities.
    X : object
        :class:`~brainof_toolbox.PairedSignals` or records; use left-out samples to measure what
        generalises. Montages and lengths may differ.
    %(y_or_predicted)s
    scoring : str | None
        ``"log_loss"`` (``None``) or ``"balanced_accuracy"`` for a classifier,
        ``"squared_error"`` (``None``) for a regressor. Losses are negated: higher is better.

    Returns
    -------
    contributions : pandas.DataFrame
        One row per modality: ``modality``; ``contribution``, which add up to the score with all
        minus the score with none; ``share`` of this sum, NaN where it is not above 0; ``alone``,
        the gain of this modality alone; ``last``, its gain when it is added to all others.
        ``contributions.attrs`` holds
        ``scoring``, the ``label`` of its axis and the ``scores`` of all sets of modalities,
        joined by ``+``.

    Raises
    ------
    TypeError
        If the estimator is no classifier or regressor.
    ValueError
        If it is not fitted, there is one modality only, or ``y`` does not fit ``X``.

    See Also
    --------
    block_contributions : The same for the feature sets.
    plot_contributions : The table as bars.

    References
    ----------
    .. footbibliography::
    """
    case = prepare(estimator, X, y, is_one_montage=False)
    modalities = tuple(case.signals)
    if len(modalities) < 2:
        raise ValueError(
            f"The samples have one modality only, {modalities[0]}: there is nothing to divide."
        )

    def outputs(chosen):
        return case.outputs(Hidden(tuple(name for name in modalities if name not in chosen)))

    return _divide(case, "modality", modalities, outputs, scoring)


@fill_evaluation_doc
@isolate_torch()
def block_contributions(estimator, X, y=None, *, scoring=None):
    """Divide the score of an estimator among its feature sets (blocks): Shapley values.

    As :func:`modality_contributions` does for modalities :footcite:p:`shapley1953value`. A block
    that is left out counts as its mean in training. Of a decoder with a trained network,
    ``latents`` are the outputs of the network, and count as their mean over the samples.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        An estimator fitted with several feature sets, as by default.
    X : object
        Samples in any accepted form; use left-out samples to measure what generalises. Montages
        may differ.
    %(y_or_predicted)s
    scoring : str | None
        As for :func:`modality_contributions`.

    Returns
    -------
    contributions : pandas.DataFrame
        One row per block: ``block``, and the columns and ``attrs`` of
        :func:`modality_contributions`.

    Raises
    ------
    TypeError
        If the estimator is no classifier or regressor.
    ValueError
        If it is not fitted, there is one block only, or ``y`` does not fit ``X``.

    See Also
    --------
    plot_contributions : The table as bars.

    References
    ----------
    .. footbibliography::
    """
    case = prepare(estimator, X, y, is_one_montage=False)
    names = tuple(case.blocks)
    if len(names) < 2:
        raise ValueError(
            f"The decoder uses one block of features only, {names[0]}: there is nothing to divide."
        )
    aligned = case.decoder.align(case.blocks, case.samples)
    means = case.decoder.neutral(aligned)

    def outputs(chosen):
        blocks = {
            name: rows if name in chosen else np.broadcast_to(means[name], rows.shape)
            for name, rows in aligned.items()
        }
        return case.decoder.decision(blocks)

    return _divide(case, "block", names, outputs, scoring)


def _divide(case, kind, players, outputs, scoring):
    """Divide the score among players, given ``outputs(chosen)`` for each set of them."""
    kinds = _SCORES[case.is_classification]
    scoring = next(iter(kinds)) if scoring is None else check_option("scoring", scoring, kinds)
    sets = [frozenset(s) for n in range(len(players) + 1) for s in combinations(players, n)]
    value = {chosen: _score(case, outputs(chosen), scoring) for chosen in sets}
    everything, none = frozenset(players), frozenset()
    total = value[everything] - value[none]
    rows = []
    for name in players:
        contribution = shapley(value, players, name)
        rows.append(
            {
                kind: name,
                "contribution": contribution,
                "share": contribution / total if total > 0 else np.nan,
                "alone": value[frozenset({name})] - value[none],
                "last": value[everything] - value[everything - {name}],
            }
        )
    found = pd.DataFrame(rows)
    scores = {"+".join(n for n in players if n in s) or "none": v for s, v in value.items()}
    found.attrs.update(scoring=scoring, label=kinds[scoring], scores=scores)
    return found


def shapley(value, players, player):
    """Return the Shapley value of one player."""
    others = [name for name in players if name != player]
    total = 0.0
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size) / factorial(len(players))
        for before in map(frozenset, combinations(others, size)):
            total += weight * (value[before | {player}] - value[before])
    return total


def _score(case, outputs, scoring):
    """Score outputs (n_samples, n_outputs)."""
    if scoring == "balanced_accuracy":
        return float(balanced_accuracy_score(case.targets, outputs.argmax(axis=1)))
    return float(-case.losses(outputs).mean())


@fill_evaluation_doc
def plot_contributions(contributions, axes=None):
    """Draw the gain of each modality or block: on average, alone, and added to all others.

    Parameters
    ----------
    contributions : pandas.DataFrame
        From :func:`modality_contributions` or :func:`block_contributions`.
    %(axes)s
    """
    (ax,) = make_axes(axes, (1, 1), (max(5, len(contributions) + 1), 3.4))
    places = np.arange(len(contributions))
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.bar(places, contributions["contribution"], 0.6, color="#56B4E9", label="Shapley value")
    # Okabe and Ito's colours, markers for grey.
    marks = {"alone": ("o", "#0072B2", "alone"), "last": ("^", "#D55E00", "added last")}
    for name, (marker, colour, label) in marks.items():
        ax.plot(places, contributions[name], marker, color=colour, label=label, ms=8)
    ax.set_xticks(places, [_label(name) for name in contributions.iloc[:, 0]])
    ax.set(ylabel=contributions.attrs.get("label", "gain in score"))
    ax.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return ax.figure


def _label(name):
    """Write a modality, or the modality of a block above its feature."""
    return "\n".join(MODALITY_TITLES.get(word, word) for word in name.split("_", 1))
