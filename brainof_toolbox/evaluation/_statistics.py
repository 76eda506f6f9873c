"""Scores of predictions, their uncertainty, and permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy import stats

N_BOOTSTRAP = 2000
_N_FLIPS = 10000
_ROUNDING = 1e-12  # two scores that differ by less are the same


def balanced_accuracy(y, predicted):
    """Mean recall of the classes in ``y``.

    scikit-learn's own warns when a class that was guessed is not in ``y``.

    Parameters
    ----------
    y, predicted : ndarray, shape (n_samples,)
        True and predicted labels.

    Returns
    -------
    score : float
        Between 0 and 1.
    """
    return float(np.mean([(predicted[y == label] == label).mean() for label in np.unique(y)]))


def mean_over_folds(y, predicted):
    """Balanced accuracy of a whole cross-validation.

    Parameters
    ----------
    y, predicted : list of ndarray
        True and predicted labels of each fold.

    Returns
    -------
    score : float
        Mean over classes of the mean recall in the folds that test the class. Where every fold
        tests every class, that is the mean of the folds' scores; where folds lack a class, as when
        each leaves out one subject with one label, that mean would reward guessing the larger one.
    """
    recall = {}
    for labels, guesses in zip(y, predicted, strict=True):
        for label in np.unique(labels):
            right = (guesses[labels == label] == label).mean()
            recall.setdefault(label, []).append(right)
    if all(len(found) == len(y) for found in recall.values()):
        return float(
            np.mean([balanced_accuracy(*fold) for fold in zip(y, predicted, strict=True)])
        )
    return float(np.mean([np.mean(found) for found in recall.values()]))


def mean_absolute_error(y, predicted):
    """Mean distance between target and prediction.

    Parameters
    ----------
    y, predicted : ndarray, shape (n_samples,)
        True and predicted targets.

    Returns
    -------
    error : float
        In the unit of the target.
    """
    return float(np.abs(y - predicted).mean())


def correlation(y, predicted):
    """Pearson's r, NaN where one side does not vary.

    Parameters
    ----------
    y, predicted : ndarray, shape (n_samples,)
        True and predicted targets.

    Returns
    -------
    r : float
        Between -1 and 1.
    """
    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(predicted) == 0:
        return np.nan
    return float(np.corrcoef(y, predicted)[0, 1])


def determination(y, predicted):
    """R2: one minus the squared errors over those of the mean of ``y``, NaN where y is constant.

    Parameters
    ----------
    y, predicted : ndarray, shape (n_samples,)
        True and predicted targets.

    Returns
    -------
    r2 : float
        At most 1; below 0 the prediction is worse than that mean.
    """
    if len(y) < 2 or np.ptp(y) == 0:
        return np.nan
    return float(1 - ((y - predicted) ** 2).sum() / ((y - np.mean(y)) ** 2).sum())


def bootstrap_error(y, predicted, groups, *, is_regression, random_state):
    """Standard error of the pooled score, from groups drawn with replacement.

    Parameters
    ----------
    y, predicted : ndarray, shape (n_samples,)
        Targets and predictions of all test samples.
    groups : ndarray, shape (n_samples,)
        Whose they are.
    is_regression : bool
        Mean absolute error instead of balanced accuracy.
    random_state : int | None
        Seed.

    Returns
    -------
    error : float
        Of the score with the fitted models as they are.
    """
    which, names = pd.factorize(groups)
    n = len(names)
    if is_regression:
        right, total = np.abs(y - predicted)[:, None], np.ones((len(y), 1))
    else:
        total = (y[:, None] == np.unique(y)).astype(float)  # (n, n_classes)
        right = total * (y == predicted)[:, None]
    by_group = np.zeros((2, n, total.shape[1]))
    np.add.at(by_group[0], which, right)
    np.add.at(by_group[1], which, total)
    rng = np.random.default_rng(random_state)
    counts = rng.multinomial(n, [1 / n] * n, size=N_BOOTSTRAP)
    right, total = counts @ by_group[0], counts @ by_group[1]  # (n_bootstrap, n_classes)
    is_drawn = total > 0
    recall = np.divide(right, total, out=np.zeros_like(right), where=is_drawn)
    scores = recall.sum(axis=1) / is_drawn.sum(axis=1)
    # Drawing n of n is too narrow by sqrt(1 - 1/n).
    return float(scores.std() * np.sqrt(n / (n - 1)))


def half_interval(error, n_units, overlap):
    """Half of a 95 % interval for a cross-validated score.

    Parameters
    ----------
    error : float
        Standard error with the fitted models as they are.
    n_units : int
        Groups or folds that it comes from.
    overlap : float
        Samples tested by samples trained on, over the whole cross-validation. Folds train on
        each other's test samples, so their scores are correlated; the variance grows by
        ``1 + overlap`` :footcite:p:`nadeau2003inference`.

    Returns
    -------
    half : float
        In the unit of the score.
    """
    return float(stats.t.ppf(0.975, n_units - 1) * error * np.sqrt(1 + overlap))


def widen_certain(score, n_units):
    """95 % interval where all units agree: so many answers without exception are no certainty.

    Parameters
    ----------
    score : float
        Of all units; other than 0 or 1 it stays a point, as for a decoder that always says the
        same.
    n_units : int
        Groups or folds.

    Returns
    -------
    low, high : float
        The exact limits of a proportion (Clopper and Pearson).
    """
    limit = 0.025 ** (1 / n_units)
    return limit if score == 1 else score, 1 - limit if score == 0 else score


def permute(y, groups, rng, occasions=None):
    """Permute labels at the level at which they vary.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Labels or targets.
    groups : ndarray, shape (n_samples,) | None
        Whose samples they are.
    rng : numpy.random.Generator
        Draws the order.
    occasions : dict of str -> ndarray, shape (n_samples,) | None
        Session, task and run of the samples, as far as they are known.

    Returns
    -------
    permuted : ndarray, shape (n_samples,)
        Over samples without groups; over whole groups when each has one label; else within each
        group, over its recordings when each has one label.
    """
    level = permutation_level(y, groups, occasions)
    if level == "samples":
        return rng.permutation(y)
    which, names = pd.factorize(groups)
    if level == "groups":
        _, first = np.unique(which, return_index=True)
        return rng.permutation(y[first])[which]
    units = _labelled_units(y, which, occasions)
    units = np.arange(len(y)) if units is None else units
    permuted = y.copy()
    for i in range(len(names)):
        here = which == i
        _, first, inside = np.unique(units[here], return_index=True, return_inverse=True)
        permuted[here] = rng.permutation(y[here][first])[inside]
    return permuted


def permutation_level(y, groups, occasions=None):
    """The level at which labels vary.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Labels or targets.
    groups : ndarray, shape (n_samples,) | None
        Whose samples they are.
    occasions : dict of str -> ndarray, shape (n_samples,) | None
        Session, task and run of the samples, as far as they are known.

    Returns
    -------
    level : str
        ``"samples"``, ``"groups"``, ``"recordings within groups"`` or ``"within groups"``.
    """
    if groups is None:
        return "samples"
    which = pd.factorize(groups)[0]
    if _is_constant(y, which):
        return "groups"
    has_units = _labelled_units(y, which, occasions) is not None
    return "recordings within groups" if has_units else "within groups"


def _labelled_units(y, which, occasions):
    """The coarsest units inside groups that have one label each, or None.

    A label that holds for a session or a run moves with all of its samples: they resemble each
    other for other reasons too, and one by one they would seem more exchangeable than they are.
    """
    names = tuple(occasions or ())
    for size in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, size):
            units = which
            for name in chosen:
                both = np.stack([units, pd.factorize(occasions[name])[0]])
                units = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
            if units.max() + 1 < len(y) and _is_constant(y, units):
                return units
    return None


def _is_constant(y, which):
    """Whether each unit has one label."""
    labels = pd.factorize(y)[0]
    return len(np.unique(np.stack([which, labels]), axis=1).T) == len(np.unique(which))


def permutation_p_value(observed, permuted, *, is_error):
    """Share of permutations at least as good, the data as they are being one of them.

    Parameters
    ----------
    observed : float
        Score with the labels as they are.
    permuted : ndarray, shape (n_permutations,)
        Scores with permuted labels.
    is_error : bool
        Whether less is better.

    Returns
    -------
    p_value : float
        At least ``1 / (1 + n_permutations)``.
    """
    better = observed - permuted if is_error else permuted - observed
    return float((1 + (better >= -_ROUNDING).sum()) / (1 + len(permuted)))


def sign_flip(difference, random_state):
    """Two-sided p-value of a mean difference when each unit's sign could be either.

    Parameters
    ----------
    difference : ndarray, shape (n_units,)
        Paired differences.
    random_state : int | None
        Seed of drawn signs; with up to 12 units all are tried.

    Returns
    -------
    p_value : float
        At least ``2 / 2**n_units``.
    """
    n = len(difference)
    if n <= 12:
        signs = np.array(list(itertools.product([1, -1], repeat=n)))
    else:
        signs = np.random.default_rng(random_state).choice([1, -1], size=(_N_FLIPS, n))
        signs[0] = 1  # the observed one is one of the possible ones
    means = np.abs(signs @ difference) / n
    return float((means >= abs(difference.mean()) - _ROUNDING).mean())
