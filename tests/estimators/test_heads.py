"""The heads of the probe: rotation changes nothing, strengths and splits are honest."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from brainof_toolbox.estimators.heads import (
    StandardizeAndProject,
    fit_head,
    inner_splits,
)


def make_features(n_samples=40, n_features=300, effect=1.5, n_classes=2, seed=0):
    """Features of unequal size and offset, and the classes that a few of them tell apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_samples) % n_classes
    X = rng.normal(size=(n_samples, n_features))
    X[:, :5] += effect * y[:, None]
    return (X * rng.uniform(0.1, 10, n_features) + rng.normal(size=n_features)), y


def standardise(X, like):
    """What StandardizeAndProject does before rotating, written down plainly."""
    return (X - like.mean(axis=0)) / like.std(axis=0) / np.sqrt(X.shape[1])


@pytest.mark.parametrize("n_features", [10, 300])
def test_rotation_keeps_distances(n_features):
    """Inner products of training samples, and with unseen ones, are those before rotation."""
    X, _ = make_features(n_features=n_features)
    new, _ = make_features(seed=1, n_features=n_features)
    rotate = StandardizeAndProject().fit(X)
    Z, Z_new = rotate.transform(X), rotate.transform(new)
    assert Z.shape == (40, min(n_features, 39))  # the mean takes one dimension
    np.testing.assert_allclose(Z @ Z.T, standardise(X, X) @ standardise(X, X).T, atol=1e-10)
    naive = standardise(new, X) @ standardise(X, X).T
    np.testing.assert_allclose(Z_new @ Z.T, naive, atol=1e-10)


def test_ridge_is_the_same_rotated():
    """Ridge on rotated features equals ridge on the original ones, seen and unseen."""
    X, y = make_features()
    new, _ = make_features(seed=1)
    rotate = StandardizeAndProject().fit(X)
    for alpha in (1e-3, 1.0, 100.0):
        plain = Ridge(alpha, solver="svd").fit(standardise(X, X), y)
        rotated = Ridge(alpha, solver="svd").fit(rotate.transform(X), y)
        np.testing.assert_allclose(
            rotated.predict(rotate.transform(new)), plain.predict(standardise(new, X)), atol=1e-8
        )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_regression_is_the_same_rotated(n_classes):
    """Logistic regression too, to the tolerance of its solver."""
    X, y = make_features(n_samples=42, n_classes=n_classes)
    new, _ = make_features(seed=1)
    rotate = StandardizeAndProject().fit(X)
    kwargs = {"tol": 1e-10, "max_iter": 10_000}
    for C in (0.1, 10.0):
        plain = LogisticRegression(C=C, **kwargs).fit(standardise(X, X), y)
        rotated = LogisticRegression(C=C, **kwargs).fit(rotate.transform(X), y)
        np.testing.assert_allclose(
            rotated.predict_proba(rotate.transform(new)),
            plain.predict_proba(standardise(new, X)),
            atol=1e-5,
        )


def test_constant_features():
    """Features that do not vary, or by rounding only, are ignored, seen and unseen."""
    X, y = make_features(n_features=20)
    with_constants = np.c_[X, np.full(40, 3.0), 1.0 + 1e-9 * np.arange(40)]
    new, _ = make_features(seed=1, n_features=20)
    a = StandardizeAndProject().fit(X).transform(new)
    b = (
        StandardizeAndProject()
        .fit(with_constants)
        .transform(np.c_[new, np.full(40, 9.0), np.full(40, -5.0)])
    )
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-12)
    same = np.repeat(X[:1], 6, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = fit_head(same, y[:6])
        assert np.isfinite(head.predict_proba(new)).all()
        assert np.isfinite(fit_head(same, y[:6] * 1.0).predict(new)).all()


@pytest.mark.parametrize("kind", [int, float])
def test_strength_follows_the_data(kind):
    """Clear effects get a weak penalty, noise a strong one."""

    def strength(effect):
        X, y = make_features(n_samples=60, effect=effect)
        model = fit_head(X, y.astype(kind))[-1]
        return model.C if kind is int else 1.0 / model.alpha

    assert strength(4.0) > 10 * strength(0.0)


def test_classes_that_groups_lack():
    """Each subject has one label: every inner fold lacks a class, and is scored all the same."""
    X, _ = make_features(n_samples=80, effect=0.0)
    groups = np.repeat(np.arange(8), 10)
    y = groups % 2
    X[:, :20] += 30.0 * y[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = fit_head(X, y, groups)
    # The naive search over the same splits, with scikit-learn's own loss.
    Z, losses = head[0].transform(X), {}
    for C in np.logspace(-2, 3, 6):
        losses[C] = np.mean(
            [
                log_loss(
                    y[test],
                    LogisticRegression(C=C, max_iter=500)
                    .fit(Z[train], y[train])
                    .predict_proba(Z[test]),
                    labels=[0, 1],
                )
                for train, test in inner_splits(y, groups, is_classification=True)
            ]
        )
    assert losses[head[-1].C] == pytest.approx(min(losses.values()), rel=1e-6)


def test_class_weight_reaches_the_head():
    X, _ = make_features(n_samples=60, effect=0.0)
    y = (np.arange(60) % 6 == 0).astype(int)
    plain = fit_head(X, y)
    weighted = fit_head(X, y, weight=np.where(y, 5.0, 1.0))
    new, _ = make_features(n_samples=60, effect=0.0, seed=1)
    assert plain.predict_proba(new)[:, 1].mean() < 0.25
    assert 0.4 < weighted.predict_proba(new)[:, 1].mean() < 0.6
    # There is only noise: a choice by unweighted loss would take a weak penalty, against weights.
    assert weighted[-1].C <= plain[-1].C


# ------------------------------------------------------------------------- inner splits


def groups_of(groups, index):
    return set(np.asarray(groups)[index])


@pytest.mark.parametrize("is_classification", [True, False])
@pytest.mark.parametrize("n_groups", [None, 2, 3, 12])
@pytest.mark.parametrize("n_folds", [2, 5])
def test_laws_of_inner_splits(is_classification, n_groups, n_folds, global_rng_untouched):
    """Each sample is watched at most once, groups stay whole, every class is trained on."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60) if is_classification else rng.normal(size=60)
    groups = None if n_groups is None else np.arange(60) % n_groups
    kwargs = {"is_classification": is_classification, "n_folds": n_folds}
    splits = inner_splits(y, groups, **kwargs)
    assert len(splits) == min(n_folds, n_groups or n_folds)
    watched = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.sort(watched), np.arange(60))
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(60))
        if groups is not None:
            assert not groups_of(groups, train) & groups_of(groups, test)
        if is_classification:
            assert set(y[train]) == set(y)
    again = inner_splits(y, groups, **kwargs)
    other = inner_splits(y, groups, **kwargs, random_state=1)
    assert all((a[1] == b[1]).all() for a, b in zip(splits, again, strict=True))
    if n_groups is None:
        assert any(set(a[1]) != set(b[1]) for a, b in zip(splits, other, strict=True))


def test_groups_are_never_divided():
    """Where classes are groups no split is possible; a single group is divided."""
    y = np.repeat([0, 1], 10)
    assert inner_splits(y, y, is_classification=True) == []
    unbalanced = np.repeat([0, 0, 1], 10)  # only the group of class 1 cannot be left out
    splits = inner_splits(unbalanced, np.repeat([0, 1, 2], 10), is_classification=True)
    assert sorted(set(unbalanced[test]).pop() for _, test in splits) == [0, 0]
    assert len(inner_splits(y, np.zeros(20), is_classification=True)) == 5


def test_few_samples():
    """Too few samples of a class, or one sample in all, give no splits and a fitted head."""
    assert inner_splits(np.array([0, 0, 0, 1]), None, is_classification=True) == []
    assert len(inner_splits(np.array([0, 0, 1, 1]), None, is_classification=True)) == 2
    assert inner_splits(np.array([1.0]), None, is_classification=False) == []
    X, _ = make_features(4)
    assert fit_head(X, np.array([0, 0, 0, 1])).predict(X).shape == (4,)
    assert np.isfinite(fit_head(X[:1], np.array([2.0])).predict(X)).all()
