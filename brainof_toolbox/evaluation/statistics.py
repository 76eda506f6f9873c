"""Scores of predictions, their uncertainty, and permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import r2_score

_N_FLIPS = 10000
_ROUNDING = 1e-12  # scores that differ by less are equal


def balanced_accuracy(y, predicted):
    """Return the mean recall of the classes in ``y``."""
    # scikit-learn's function warns when a predicted class is not in ``y``.
    # y, predicted (n_samples,).
    return float(np.mean([(predicted[y == label] == label).mean() for label in np.unique(y)]))


def mean_over_folds(y, predicted):
    """Return the mean over classes of their mean recall in the folds that test them."""
    recall = [
        {label: (guesses[labels == label] == label).mean() for label in np.unique(labels)}
        for labels, guesses in zip(y, predicted, strict=True)
    ]
    return float(pd.DataFrame(recall).mean().mean())


def correlation(y, predicted):
    """Return Pearson's r, NaN where one side does not vary."""
    # y, predicted (n_samples,).
    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(predicted) == 0:
        return np.nan
    return float(np.corrcoef(y, predicted)[0, 1])


def r2(y, predicted):
    """Return R2, the coefficient of determination; NaN where ``y`` is constant."""
    # y, predicted (n_samples,).
    if len(y) < 2 or np.ptp(y) == 0:
        return np.nan
    return float(r2_score(y, predicted))


def jackknife_error(score, groups):
    """Return the standard error of a score of all samples: one group left out at a time."""
    # score(is_kept) -> float, groups (n_samples,).
    which, names = pd.factorize(groups)
    values = np.array([score(which != i) for i in range(len(names))])
    return float(np.sqrt((len(names) - 1) * values.var()))


def bounds(scoring):
    """Return the lowest and highest value of a scorer of scikit-learn, as far as known."""
    if not isinstance(scoring, str) or scoring.startswith("positive_likelihood"):
        return -np.inf, np.inf
    if scoring.startswith("neg_"):
        return -np.inf, 0.0
    if scoring in ("r2", "explained_variance") or scoring.startswith("d2_"):
        return -np.inf, 1.0
    low = -1.0 if scoring.startswith(("adjusted", "matthews")) else 0.0
    return low, 1.0


def corrected_t_half_width(error, n_units, overlap):
    """Return half the width of a 95 % interval of a cross-validated score."""
    return float(stats.t.ppf(0.975, n_units - 1) * error * np.sqrt(1 + overlap))


def clopper_pearson(score, n_units):
    """Return the Clopper-Pearson 95 % interval of a share of units that all score alike."""
    hits = score * n_units
    low = stats.beta.ppf(0.025, hits, n_units - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n_units - hits) if hits < n_units else 1.0
    return float(low), float(high)


def permute(y, groups, rng, recording_labels=None):
    """Permute labels at the level at which they vary."""
    # y (n_samples,), groups (n_samples,), recording_labels (n_samples,) -> permuted (n_samples,).
    level = permutation_level(y, groups, recording_labels)
    if level == "samples":
        return rng.permutation(y)
    which, names = pd.factorize(groups)
    if level == "groups":
        _, first = np.unique(which, return_index=True)
        return rng.permutation(y[first])[which]
    units = _labelled_units(y, which, recording_labels)
    units = np.arange(len(y)) if units is None else units
    permuted = y.copy()
    for i in range(len(names)):
        here = which == i
        _, first, inside = np.unique(units[here], return_index=True, return_inverse=True)
        permuted[here] = rng.permutation(y[here][first])[inside]
    return permuted


def permutation_level(y, groups, recording_labels=None):
    """Return the level at which labels vary."""
    # y (n_samples,), groups (n_samples,), recording_labels (n_samples,).
    if groups is None:
        return "samples"
    which = pd.factorize(groups)[0]
    if _is_constant(y, which):
        return "groups"
    has_units = _labelled_units(y, which, recording_labels) is not None
    return "recordings within groups" if has_units else "within groups"


def _labelled_units(y, which, recording_labels):
    """Return the coarsest units inside groups that have one label each, or None."""
    # A label that holds for a session or a run moves with all of its samples: they resemble each
    # other for other reasons too, so they are not exchangeable one by one.
    names = tuple(recording_labels or ())
    for size in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, size):
            units = which
            for name in chosen:
                both = np.stack([units, pd.factorize(recording_labels[name])[0]])
                units = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
            if units.max() + 1 < len(y) and _is_constant(y, units):
                return units
    return None


def _is_constant(y, which):
    """Return True if each unit has one label."""
    labels = pd.factorize(y)[0]
    return len(np.unique(np.stack([which, labels]), axis=1).T) == len(np.unique(which))


def permutation_p_value(observed, permuted, *, is_error):
    """Return the share of permutations at least as good, counting the observed labels as one."""
    # permuted (n_permutations,).
    better = observed - permuted if is_error else permuted - observed
    return float((1 + (better >= -_ROUNDING).sum()) / (1 + len(permuted)))


def sign_flip(difference, random_state):
    """Return the two-sided p-value of a mean difference under random signs of its units."""
    # difference (n_units,).
    if len(difference) < 2 or not np.any(difference):  # both signs of one unit are as large
        return 1.0
    found = stats.permutation_test(
        (np.asarray(difference, dtype=float),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_N_FLIPS,
        rng=np.random.default_rng(random_state),
    )
    return float(found.pvalue)
