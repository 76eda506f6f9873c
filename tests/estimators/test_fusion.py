"""The fused probe: equals its naive twin, keeps its laws, refuses nonsense."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression, Ridge

from brainof_toolbox.estimators import fusion
from brainof_toolbox.estimators.alignment import center_by_group
from brainof_toolbox.estimators.fusion import (
    STRENGTHS,
    FusedProbe,
    fit_fused,
)
from brainof_toolbox.estimators.heads import inner_splits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_blocks(n_samples=48, n_classes=2, effect=0.6, seed=0, noise=False):
    """Two blocks that carry classes, one of them wide; perhaps a block of noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_samples) % n_classes
    blocks = {"few": rng.normal(size=(n_samples, 6)), "many": rng.normal(size=(n_samples, 120))}
    blocks["few"][:, :2] += effect * y[:, None]
    blocks["many"][:, :30] += effect * y[:, None]
    blocks["many"] = blocks["many"] * rng.uniform(0.1, 10, 120) + 3
    if noise:
        blocks["noise"] = rng.normal(size=(n_samples, 40))
    return blocks, y, rng.permutation(np.arange(n_samples) // 4)


def standardise(X):
    """Unit variance of columns, and a kernel with a mean diagonal of 1."""
    return (X - X.mean(axis=0)) / X.std(axis=0) / np.sqrt(X.shape[1])


def naive(blocks, y, groups, model, outputs, loss, strengths=STRENGTHS, optional=()):
    """Outputs for the training samples, with every step written down plainly."""
    members = [standardise(X) for X in blocks.values()]
    joint = [Z for name, Z in zip(blocks, members, strict=True) if name not in optional]
    members.append(np.concatenate(joint, axis=1) / np.sqrt(len(joint)))
    centre = np.array([*(float(name not in optional) for name in blocks), 1.0])
    centre /= centre.sum()
    is_classification = model is LogisticRegression
    splits = inner_splits(y, groups, is_classification=is_classification)
    out_of_fold, fitted, n_members = [], [], len(members)
    for Z in members:
        tries = []
        for strength in strengths:
            tries.append(np.zeros_like(outputs(make(model, strength).fit(Z, y), Z)))
            for train, test in splits:
                tries[-1][test] = outputs(make(model, strength).fit(Z[train], y[train]), Z[test])
        best = int(np.argmin([loss(part, y) for part in tries]))
        out_of_fold.append(tries[best])
        fitted.append(outputs(make(model, strengths[best]).fit(Z, y), Z))

    def objective(factors):
        away = factors - centre
        penalty = fusion._PRIOR * n_members * len(y) / len(np.unique(groups))
        return loss(np.tensordot(factors, out_of_fold, 1), y) + penalty * away @ away

    factors = minimize(objective, centre, bounds=[(0, None)] * n_members, tol=1e-12).x
    return np.tensordot(factors, fitted, 1)


def make(model, strength):
    """A model of scikit-learn, solved well."""
    if model is Ridge:
        return Ridge(alpha=1 / strength)
    return LogisticRegression(C=strength, max_iter=1000, tol=1e-6)


def logits(model, Z):
    """Logits of all classes, of two as well."""
    values = model.decision_function(Z)
    return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values


@pytest.mark.parametrize("n_classes, optional", [(2, ()), (3, ()), (2, ("noise",))])
def test_classifier_equals_naive_twin(n_classes, optional):
    effect = 0.3 if optional else 0.6  # small enough for penalties that converge fast
    blocks, y, groups = make_blocks(n_classes=n_classes, effect=effect, noise=bool(optional))
    probe = fit_fused(blocks, y, groups, optional=optional)

    def loss(outputs, y):
        return -log_softmax(outputs, axis=1)[np.arange(len(y)), y].sum()

    twin = naive(blocks, y, groups, LogisticRegression, logits, loss, optional=optional)
    np.testing.assert_allclose(probe.decision(blocks), twin, atol=0.02, rtol=0.03)
    assert (probe.decision(blocks).argmax(axis=1) == twin.argmax(axis=1)).all()


def test_regressor_equals_naive_twin():
    blocks, y, groups = make_blocks()
    target = 100 + 7 * (y + np.random.default_rng(3).normal(size=len(y)))
    probe = fit_fused(blocks, target, groups)
    scaled = (target - target.mean()) / target.std()

    def outputs(model, Z):
        return model.predict(Z)[:, None]

    def loss(outputs, y):
        return 0.5 * np.square(outputs[:, 0] - y).sum()

    twin = naive(blocks, scaled, groups, Ridge, outputs, loss)[:, 0]
    twin = target.mean() + target.std() * twin
    np.testing.assert_allclose(probe.decision(blocks)[:, 0], twin, atol=1e-2)


def test_block_of_noise():
    """It gets a small weight and costs little on new samples."""
    blocks, y, groups = make_blocks(80, effect=0.8, noise=True)
    new, truth, _ = make_blocks(400, effect=0.8, seed=50, noise=True)
    # New scales of columns are drawn: put back those of training.
    new["many"] = standardise(new["many"]) * blocks["many"].std(axis=0) * np.sqrt(120) + 3
    two = {k: blocks[k] for k in ("few", "many")}
    with_noise = fit_fused(blocks, y, groups)
    without = fit_fused(two, y, groups)
    for probe in (with_noise, without):
        weights = np.array(list(probe.weights_.values()))
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
    assert with_noise.weights_["noise"] < 0.25

    def loss(probe, names):
        p = softmax(probe.decision({k: new[k] for k in names}), axis=1)
        return -np.log(p[np.arange(len(truth)), truth]).mean()

    assert loss(with_noise, blocks) < loss(without, two) + 0.05


def test_invariances():
    """Units and order of columns, and the order of samples, change nothing."""
    blocks, y, groups = make_blocks()
    base = fit_fused(blocks, y, groups).decision(blocks)
    order = np.random.default_rng(1).permutation(120)
    changed = {"few": 1e-12 * blocks["few"] + 1e-9, "many": 1e9 * blocks["many"][:, order]}
    changed = fit_fused(changed, y, groups).decision(changed)
    np.testing.assert_allclose(changed, base, atol=5e-3)
    rows = np.random.default_rng(2).permutation(len(y))
    shuffled = {k: X[rows] for k, X in blocks.items()}
    shuffled = fit_fused(shuffled, y[rows], groups[rows]).decision(blocks)
    np.testing.assert_allclose(shuffled, base, atol=5e-3)


def test_block_that_is_there_twice():
    blocks, y, groups = make_blocks()
    one = {"a": blocks["many"]}
    two = {"a": blocks["many"], "b": blocks["many"]}
    once, twice = fit_fused(one, y, groups), fit_fused(two, y, groups)
    np.testing.assert_allclose(twice.decision(two), once.decision(one), atol=5e-3)
    assert once.weights_ == {"a": 1.0}
    assert twice.weights_["a"] == pytest.approx(0.5, abs=1e-6)


def test_sample_weights_count_like_copies(monkeypatch):
    monkeypatch.setattr(fusion, "inner_splits", lambda *args, **kwargs: [])
    blocks, y, _ = make_blocks()
    times = 1 + 2 * y
    copies = {k: np.repeat(X, times, axis=0) for k, X in blocks.items()}
    weighted = fit_fused(blocks, y, weight=times)
    repeated = fit_fused(copies, np.repeat(y, times))
    np.testing.assert_allclose(weighted.decision(blocks), repeated.decision(blocks), atol=5e-3)
    weighted = fit_fused(blocks, 1.0 * y, weight=times)
    repeated = fit_fused(copies, np.repeat(1.0 * y, times))
    np.testing.assert_allclose(weighted.decision(blocks), repeated.decision(blocks), atol=1e-6)
    assert set(weighted.strength_.values()) == {1.0}


def test_missing_blocks_count_as_the_mean():
    blocks, y, groups = make_blocks()
    blocks["few"][::5] = np.nan
    probe = fit_fused(blocks, y, groups)
    mean = np.nanmean(blocks["few"], axis=0)
    np.testing.assert_allclose(probe.parts["few"].mean, mean)
    filled = {**blocks, "few": np.where(np.isnan(blocks["few"]), mean, blocks["few"])}
    np.testing.assert_allclose(probe.decision(blocks), probe.decision(filled), atol=1e-9)
    never = {"few": np.full((len(y), 3), np.nan), "many": blocks["many"]}
    probe = fit_fused(never, y, groups)
    assert probe.weights_["few"] == 0
    assert np.isfinite(probe.decision(never)).all()


@pytest.mark.parametrize("case", ["pair", "one group", "constant", "separated", "absent", "two"])
def test_hard_cases(case):
    """Few samples, one group, constants, perfect separation, a class that folds lack."""
    blocks, y, groups = make_blocks()
    if case == "pair":
        y, groups = (np.arange(len(y)) < 2).astype(int), None
    elif case == "one group":
        groups = np.zeros(len(y))
    elif case == "constant":
        blocks["few"][:] = 3.0
    elif case == "separated":
        blocks["few"][:, 0] = 100 * y
    elif case == "absent":  # a class in one group only
        y = np.where(groups == 0, 2, y)
    else:
        blocks, y, groups = {k: X[:2] for k, X in blocks.items()}, y[:2], None
    probe = fit_fused(blocks, y, groups)
    assert np.isfinite(probe.decision(blocks)).all()
    assert sum(probe.weights_.values()) == pytest.approx(1)
    if case == "constant":
        assert probe.weights_ == {"few": 0.0, "many": 1.0}
    if case in ("separated", "two"):
        assert (probe.decision(blocks).argmax(axis=1) == y).all()
    if case in ("absent", "two"):  # nothing to choose from
        assert set(probe.strength_.values()) <= set(STRENGTHS)
    assert np.isfinite(fit_fused(blocks, 1.0 * y, groups).decision(blocks)).all()


def test_nothing_varies():
    blocks, y, groups = make_blocks()
    same = {k: np.ones_like(X) for k, X in blocks.items()}
    probe = fit_fused(same, y, groups)
    np.testing.assert_allclose(softmax(probe.decision(same), axis=1), 0.5, atol=1e-3)
    assert probe.weights_ == {"few": 0.5, "many": 0.5}
    constant = fit_fused(blocks, np.full(len(y), 4.0), groups)
    np.testing.assert_allclose(constant.decision(blocks), 4.0)


def test_many_samples_of_wide_blocks(monkeypatch):
    """The span of some samples is enough where it is that of all."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = rng.normal(size=(120, 10)) @ rng.normal(size=(10, 300)) + 0.3 * y[:, None]
    blocks = {"wide": X.astype(np.float32), "narrow": rng.normal(size=(120, 5))}
    exact = fit_fused(blocks, y).decision(blocks)
    monkeypatch.setattr(fusion, "_MOST_DIRECTIONS", 40)
    monkeypatch.setattr(fusion, "_CHUNK", 3000)
    np.testing.assert_allclose(fit_fused(blocks, y).decision(blocks), exact, atol=0.02, rtol=0.03)


@pytest.mark.parametrize("kind", [int, float])
def test_a_probe_is_plain_arrays(kind):
    blocks, y, groups = make_blocks()
    probe = fit_fused(blocks, y.astype(kind), groups)
    assert all(type(value) is np.ndarray for value in probe.arrays().values())
    again = FusedProbe.restore(probe.arrays(), json.loads(json.dumps(probe.choices())))
    np.testing.assert_array_equal(again.decision(blocks), probe.decision(blocks))
    assert again.weights_ == probe.weights_
    empty = {name: X[:0] for name, X in blocks.items()}
    assert probe.decision(empty).shape == (0, probe.intercept.size)


def test_groups_are_centred():
    """Means of large groups meet; a single sample goes half the way; offsets of groups vanish."""
    blocks, _, _ = make_blocks(420)
    groups = np.r_[np.zeros(200, int), np.ones(219, int), 2]
    blocks["few"][groups == 1] += 30
    blocks["few"][3] = np.nan
    centred, centre = center_by_group(blocks, groups)
    assert np.isnan(centred["few"][3]).all()
    for name, X in blocks.items():
        means = [np.nanmean(X[groups == group], axis=0) for group in range(3)]
        np.testing.assert_allclose(centre[name], np.mean(means, axis=0))
        np.testing.assert_allclose(centred[name][-1], (X[-1] + centre[name]) / 2)
        n_left = np.count_nonzero(~np.isnan(X[:200, 0]))
        left = np.nanmean(centred[name][:200], axis=0) - centre[name]
        np.testing.assert_allclose(left, (means[0] - centre[name]) / (n_left + 1), atol=1e-9)
    new, same = center_by_group({k: X[:5] + 7 for k, X in blocks.items()}, ["a"] * 5, centre)
    assert same == centre
    old, _ = center_by_group({k: X[:5] for k, X in blocks.items()}, ["b"] * 5, centre)
    np.testing.assert_allclose(new["many"] - old["many"], 7 / 6)  # a sixth of the offset stays
    never = {"few": np.full((5, 6), np.nan), "many": blocks["many"][:5]}
    _, partly = center_by_group(never, ["a"] * 5)  # no sample has the first block
    later, _ = center_by_group({k: X[10:15] for k, X in blocks.items()}, ["b"] * 5, partly)
    assert np.isnan(later["few"]).all() and np.isfinite(later["many"]).all()
    with pytest.raises(ValueError, match="was fitted to blocks"):
        center_by_group({"few": blocks["few"]}, groups, centre)


def test_centring_of_single_samples_changes_nothing():
    """One sample per group, as in diagnosis: standardisation undoes it."""
    blocks, y, _ = make_blocks()
    groups = np.arange(len(y))
    centred, _ = center_by_group(blocks, groups)
    a, b = fit_fused(blocks, y, groups), fit_fused(centred, y, groups)
    np.testing.assert_allclose(a.decision(blocks), b.decision(centred), atol=5e-3)


BAD = {
    "no blocks": (lambda b, y: ({}, y), "Blocks need names"),
    "a taken name": (lambda b, y: ({"all": b["few"]}, y), "Blocks need names"),
    "one class": (lambda b, y: (b, 0 * y), "every class index"),
    "a gap in classes": (lambda b, y: (b, 2 * y), "every class index"),
    "names as classes": (lambda b, y: (b, y.astype(str)), "class indices"),
    "short y": (lambda b, y: (b, y[1:]), "class indices"),
    "short block": (lambda b, y: ({**b, "few": b["few"][1:]}, y), "'many' has shape|'few'"),
    "one dimension": (lambda b, y: ({**b, "few": b["few"][:, 0]}, y), "'few' has shape"),
    "no columns": (lambda b, y: ({**b, "few": b["few"][:, :0]}, y), "'few' has shape"),
    "a gap": (lambda b, y: ({**b, "few": b["few"] * [1, 1, 1, 1, 1, np.nan]}, y), "not finite"),
    "infinite": (lambda b, y: ({**b, "few": b["few"] * np.inf}, y), "'few' is not finite"),
    "all missing": (lambda b, y: ({k: X * np.nan for k, X in b.items()}, y), "lacks every block"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_nonsense_is_refused(case):
    blocks, y, _ = make_blocks()
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        fit_fused(*change(blocks, y))


def test_nonsense_is_refused_later():
    blocks, y, _ = make_blocks()
    for weight in (-np.ones(len(y)), np.zeros(len(y)), np.ones(3)):
        with pytest.raises(ValueError, match="weight must hold"):
            fit_fused(blocks, y, weight=weight)
    with pytest.raises(ValueError, match="finite targets"):
        fit_fused(blocks, np.full(len(y), np.nan))
    probe = fit_fused(blocks, y)
    with pytest.raises(ValueError, match="was fitted to blocks"):
        probe.decision({"few": blocks["few"]})
    with pytest.raises(ValueError, match="120 columns"):
        probe.decision({**blocks, "many": blocks["many"][:, 1:]})


def test_optional_blocks_start_from_nothing():
    """Equal to leaving the block out where inner folds are impossible; used where it is needed."""
    blocks, y, groups = make_blocks()
    names = list(blocks)
    rng = np.random.default_rng(0)
    with_noise = {**blocks, "noise": rng.normal(size=(len(y), 300))}
    without = fit_fused(blocks, y, groups)
    probe = fit_fused(with_noise, y, groups, optional=("noise",))
    assert list(probe.weights_) == [*names, "noise"]
    plain = fit_fused(with_noise, y, groups)
    assert probe.weights_["noise"] <= plain.weights_["noise"]
    p, expected = (
        softmax(x, axis=1) for x in (probe.decision(with_noise), without.decision(blocks))
    )
    np.testing.assert_allclose(p, expected, atol=0.1)
    alone = {names[0]: blocks[names[0]]}
    np.testing.assert_array_equal(
        fit_fused(alone, y, groups, optional=tuple(alone)).decision(alone),
        fit_fused(alone, y, groups).decision(alone),
    )
