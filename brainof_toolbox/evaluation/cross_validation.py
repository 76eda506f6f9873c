"""Scores of one estimator, or of several on the same splits."""

from __future__ import annotations

import itertools

import pandas as pd
from sklearn.base import is_regressor

from .._utils.logging import group_warnings
from .docs import fill_evaluation_doc
from .results import Comparison, points, unit_of
from .statistics import sign_flip
from .task import CrossValidation

_SUMMARY = ("metric", "mean", "interval", "interval_by", "chance", "n_groups", "p_value")


@fill_evaluation_doc
def cross_validate(
    estimator,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    n_permutations=0,
    random_state=0,
    n_jobs=None,
    verbose=None,
    return_estimator=False,
):
    """Score an estimator on subjects that are left out of training.

    Parameters
    ----------
    estimator : estimator
        Any classifier or regressor with scikit-learn's interface. ``groups`` are passed to its
        ``fit`` if that takes them, so that inner splits respect them too; also through a
        pipeline, through a search of hyper-parameters, ``GridSearchCV(..., cv=GroupKFold(3))``,
        and through other meta-estimators, with scikit-learn's metadata routing on or off.
    %(samples)s
    %(groups)s
    %(cv)s
    %(scoring)s
    %(running)s
    return_estimator : bool
        Keep the fitted estimator of each fold in ``scores.estimators``. A frozen network is then
        applied again in every fold.

    Returns
    -------
    scores : Scores
        Folds, scores by group, predictions, probabilities, mean, interval, chance and p-value.

    Raises
    ------
    ValueError
        If groups cannot be inferred, are too few, or are shared by the two sides of a split.

    Warns
    -----
    RuntimeWarning
        If a test subject is, by name, among those that a checkpoint was trained on
        (``"brainof-tiny"`` lists them as ``DATASET-SUBJECT``, so that ``sub-01`` of another
        data set does not match; its model card names the data sets); if the inner splits of a
        search share groups.

    Notes
    -----
    The 95 % interval is a jackknife over groups, with more than 5 of them (not for a ``scoring``
    that is a plain function); else it comes from the folds. It stays within the bounds of the
    measure. Both use Student's t and are widened because folds train on each other's test samples
    :footcite:p:`nadeau2003inference`. Where all groups (or folds) score alike, an accuracy has the
    Clopper-Pearson limits for as many of them. In simulations (``python -m benchmarks.intervals
    --repeats 200``) intervals hold the expected score in 93 to 99 % of data sets when labels vary
    within 4 to 20 subjects. With one label per subject it is 92 to 96 % with 6 to 20 subjects and
    84 to 91 % with 4.

    The p-value is ``(1 + n_as_good) / (1 + n_permutations)``
    :footcite:p:`phipson2010permutation`; few groups with one label each have few permutations.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Any estimator of scikit-learn; subjects are inferred from ``metadata``.

    >>> from sklearn.dummy import DummyClassifier
    >>> from brainof_toolbox import cross_validate
    >>> from brainof_toolbox.datasets import make_study
    >>> epochs = make_study(n_subjects=4, n_epochs=4, n_channels=4)
    >>> scores = cross_validate(DummyClassifier(), epochs, epochs.events[:, 2])
    >>> scores.mean, scores.chance, scores.n_groups
    (0.5, 0.5, 4)
    """
    task = CrossValidation(estimator, X, y, groups, cv, random_state)
    with group_warnings():  # folds repeat each other
        return task.run(
            estimator,
            scoring,
            n_permutations,
            n_jobs,
            verbose,
            return_estimator=return_estimator,
        )


@fill_evaluation_doc
def compare(
    estimators,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    n_permutations=0,
    random_state=0,
    n_jobs=None,
    verbose=None,
    baselines=False,
):
    """Compare estimators on the same splits, subject by subject.

    Parameters
    ----------
    estimators : dict of str -> estimator
        At least two; with ``baselines=True`` at least one.
    %(samples)s
    %(groups)s
    %(cv)s
    %(scoring)s
    %(running)s
    baselines : bool
        Add the classical decoders of :func:`brainof_toolbox.baselines.for_data`, with ``info``,
        ``masker`` and ``memory`` of the first estimator.

    Returns
    -------
    comparison : Comparison
        Folds of all, and paired differences with p-values (not corrected for the number of
        pairs; with n units the smallest possible one is ``2 / 2**n``). Where each group has one
        label, groups are weighted so that classes count equally.

    Raises
    ------
    ValueError
        If there are fewer than two estimators, or as in :func:`cross_validate`.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from brainof_toolbox import compare
    >>> X, y = [[0.0], [1.0]] * 8, ["a", "b"] * 8
    >>> decoders = {"guess": DummyClassifier(), "regression": LogisticRegression()}
    >>> found = compare(decoders, X, y, groups=[1] * 4 + [2] * 4 + [3] * 4 + [4] * 4)
    >>> found.differences[["first", "second", "difference"]]
       first      second  difference
    0  guess  regression        -0.5
    """
    if not isinstance(estimators, dict) or len(estimators) < 2 - bool(baselines):
        raise ValueError(
            "compare needs a dict of at least two estimators, {'name': estimator}, or of one and "
            "baselines=True."
        )
    if len({is_regressor(estimator) for estimator in estimators.values()}) > 1:
        raise ValueError("compare got classifiers and regressors: their scores do not compare.")
    first = next(iter(estimators.values()))
    task = CrossValidation(first, X, y, groups, cv, random_state)
    with group_warnings():
        if baselines:
            from ..baselines import for_data

            reading = {name: getattr(first, name, None) for name in ("info", "masker", "memory")}
            classical = for_data(X, is_regression=is_regressor(first), **reading)
            estimators = {**estimators, **classical, **estimators}
        scores = {
            name: task.run(estimator, scoring, n_permutations, n_jobs, verbose)
            for name, estimator in estimators.items()
        }
    folds = pd.concat(
        [one.folds.assign(estimator=name) for name, one in scores.items()], ignore_index=True
    )
    summary = pd.DataFrame(
        [
            {"estimator": name, **{key: getattr(one, key) for key in _SUMMARY}}
            for name, one in scores.items()
        ]
    )
    return Comparison(folds, summary, _paired_differences(scores, random_state), scores)


def fold_weights(scores):
    """Return weights of the units, 1 on average; equal for classes with one label per group."""
    if scores.metric != "balanced_accuracy" or scores.by_group.empty:
        return 1.0
    labels = scores.predictions.groupby("group", sort=False)["y"]
    if (labels.nunique() > 1).any():
        return 1.0
    label = labels.first()
    count = label.map(label.value_counts())
    return (len(label) / (label.nunique() * count)).to_numpy()


def _paired_differences(scores, random_state):
    """Make one row per pair of estimators, paired by group where there are scores by group."""
    rows, unit = [], unit_of(scores.values())
    for one, two in itertools.combinations(scores, 2):
        difference = (points(scores[one], unit) - points(scores[two], unit)).to_numpy()
        difference = difference * fold_weights(scores[one])
        rows.append(
            {
                "first": one,
                "second": two,
                "difference": difference.mean(),
                "p_value": sign_flip(difference, random_state),
                "n_units": len(difference),
                "unit": unit,
            }
        )
    return pd.DataFrame(rows)
