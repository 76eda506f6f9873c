"""Count how often 95 % intervals of cross-validated scores contain the expected score.

Run ``python -m benchmarks.intervals``; it takes a few minutes and prints one table. Data are
simulated: 20 samples of each of 4, 6, 10 or 20 subjects, 5 features, subjects that differ from one
another, and linear discriminant analysis through ``brainof_toolbox.cross_validate``. Labels vary
within subjects ("trials") or are one per subject ("diagnosis"). Without an effect the expected
score is 0.5; with one it is the mean over all repeats.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from brainof_toolbox import cross_validate

N_EACH, N_FEATURES = 20, 5
SIZES, EFFECTS, KINDS = (4, 6, 10, 20), (0.0, 0.8), ("trials", "diagnosis")


def simulate(n_subjects, effect, kind, rng):
    """Draw features, labels and subjects."""
    groups = np.repeat(np.arange(n_subjects), N_EACH)
    y = np.arange(len(groups)) % 2 if kind == "trials" else groups % 2
    shift = 0.5 if kind == "trials" else 1.0
    X = rng.normal(size=(len(y), N_FEATURES))
    X += shift * rng.normal(size=(n_subjects, N_FEATURES))[groups]
    X[:, 0] += effect * y * (1 + 0.5 * rng.normal(size=n_subjects)[groups])
    return X, y, groups


def count_right(predictions):
    """Return right answers and samples by group and class, as four rows (n_groups,)."""
    right = predictions["y"] == predictions["predicted"]
    table = predictions.assign(right=right).groupby(["group", "y"])["right"]
    rows = [part.unstack(fill_value=0).to_numpy(float).T for part in (table.sum(), table.size())]
    return *rows[0], *rows[1]


def pooled(right_0, right_1, total_0, total_1, axis=-1):
    """Return balanced accuracy of all samples of the groups along ``axis``."""
    recall = [
        np.divide(right.sum(axis), total.sum(axis))
        for right, total in ((right_0, total_0), (right_1, total_1))
    ]
    return np.nanmean(recall, axis=0)


def intervals(scores, rng):
    """Return intervals by several methods around the mean over folds, or quantiles."""
    low, high = scores.interval
    n_train, n_test = scores.folds["n_train"].mean(), scores.folds["n_test"].sum()
    wide = max(high - scores.mean, scores.mean - low)  # the other end may be cut at 0 or 1
    inner = wide / np.sqrt(1 + n_test / n_train)
    by_group, by_fold = scores.by_group["score"], scores.folds["score"]
    found = {"toolbox": (low, high), "toolbox, not widened": around(scores.mean, inner)}
    for name, units in (("t over groups", by_group), ("t over folds", by_fold)):
        half = stats.t.ppf(0.975, len(units) - 1) * stats.sem(units)
        found[name] = around(scores.mean, half)
    data = count_right(scores.predictions)
    for method in ("percentile", "BCa"):
        interval = stats.bootstrap(
            data, pooled, paired=True, vectorized=True, n_resamples=999, method=method, rng=rng
        ).confidence_interval
        found[f"bootstrap, {method}"] = (interval.low, interval.high)
    return found


def around(mean, half):
    """Return an interval as a pair."""
    return mean - half, mean + half


def measure(n_subjects, effect, kind, n_repeats, seed):
    """Return coverage by method, for one kind of data."""
    rng = np.random.default_rng(seed)
    found, means = [], []
    for repeat in range(n_repeats):
        X, y, groups = simulate(n_subjects, effect, kind, rng)
        model = LinearDiscriminantAnalysis()
        scores = cross_validate(model, X, y, groups=groups, random_state=repeat)
        means.append(scores.mean)
        found.append(intervals(scores, rng))
    truth = np.mean(means) if effect else 0.5
    coverage = {
        name: np.mean([one[name][0] <= truth <= one[name][1] for one in found])
        for name in found[0]
    }
    return {"labels": kind, "effect": effect, "subjects": n_subjects, **coverage}


def main():
    """Print coverage of all methods on all kinds of data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate resamples
        rows = [
            measure(n_subjects, effect, kind, options.repeats, options.seed)
            for kind in KINDS
            for effect in EFFECTS
            for n_subjects in SIZES
        ]
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
