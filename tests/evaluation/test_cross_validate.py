"""Scores that can be believed: groups, chance, intervals, paired comparisons."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import compare, cross_validate
from brainof_toolbox._utils.logging import warn
from brainof_toolbox.datasets import make_epochs
from brainof_toolbox.evaluation.statistics import (
    balanced_accuracy,
    correlation,
    jackknife_error,
    r2,
)


def _data(n_groups=12, n_each=20, effect=0.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.tile([0, 1], n_groups * n_each // 2)
    X = rng.normal(size=(len(y), 5))
    X[:, 0] += effect * y
    return X, y, np.repeat([f"sub-{i:02d}" for i in range(n_groups)], n_each)


def test_noise_is_at_chance():
    """On noise the interval holds chance, over many data sets most of the time."""
    covered = 0
    for seed in range(20):
        X, y, groups = _data(seed=seed)
        scores = cross_validate(LogisticRegression(), X, y, groups=groups)
        low, high = scores.interval
        covered += low <= 0.5 <= high
        assert 0.35 < scores.mean < 0.65 and scores.chance == 0.5
    assert covered >= 17  # of intervals that are somewhat too wide, 20 times


def test_table_of_folds():
    X, y, groups = _data(effect=2.0)
    scores = cross_validate(LogisticRegression(), X, y, groups=groups)
    assert len(scores.folds) == 4 and scores.folds["n_test"].sum() == len(y)
    assert (scores.folds["n_train"] + scores.folds["n_test"] == len(y)).all()
    assert sorted(g for row in scores.folds["test_groups"] for g in row) == sorted(set(groups))
    low, high = scores.interval
    assert low < scores.mean < high and low > 0.6
    assert scores.interval_by == "groups" and scores.metric == "balanced_accuracy"
    few = cross_validate(LogisticRegression(), X[:60], y[:60], groups=groups[:60])
    assert few.folds["test_groups"].tolist() == [("sub-00",), ("sub-01",), ("sub-02",)]
    assert few.interval_by == "folds"


@pytest.mark.parametrize("n_rare, n_folds", [(2, 2), (3, 3), (6, 4)])
def test_folds_hold_a_group_of_each_class(n_rare, n_folds):
    """One label per subject: no more folds than the rarer class has subjects."""
    rng = np.random.default_rng(0)
    y = np.arange(12) < n_rare
    scores = cross_validate(DummyClassifier(), rng.normal(size=(12, 2)), y, groups=np.arange(12))
    assert len(scores.folds) == n_folds
    for groups in scores.folds["test_groups"]:
        assert set(y[list(groups)]) == {False, True}


def test_a_class_of_one_group_is_named():
    """Nobody of that class is left to learn from when its group is the test side."""
    X, y, groups = np.zeros((8, 1)), np.array(list("mmffmmmm")), np.arange(8) // 2
    with pytest.raises(ValueError, match=r"fold \d .*class 'm'.*two groups.*'f': 1, 'm': 3"):
        cross_validate(DummyClassifier(), X, y, groups=groups)


@pytest.mark.parametrize("groups", ["none", np.arange(12)])
def test_labels_that_never_repeat_are_refused(groups):
    """Ages as words, or as numbers given to a classifier, are no classes."""
    y = np.linspace(20.5, 70.5, 12).astype(str)
    with pytest.raises(ValueError, match="12 samples has a label of its own.*regressor"):
        cross_validate(DummyClassifier(), np.zeros((12, 2)), y, groups=groups)


class Wary(DummyClassifier):
    """Warns in every fit."""

    def fit(self, X, y):
        """Silence another warning, as libraries do, and warn."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
        warn("The weights are untrained.")
        return super().fit(X, y)


def test_folds_repeat_no_warning():
    """One warning per call, not one per fold."""
    X, y, groups = _data(n_groups=4)
    with pytest.warns(RuntimeWarning, match="untrained") as caught:
        cross_validate(Wary(), X, y, groups=groups)
        assert len(caught) == 1
        compare({"a": Wary(), "b": Wary()}, X, y, groups=groups)
    assert len(caught) == 2


def test_groups_are_demanded():
    """Groups forgotten, a subject's fingerprint decodes perfectly; so they are asked for."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 20)
    y = groups % 2
    X = rng.normal(size=(12, 5))[groups] + 0.1 * rng.normal(size=(240, 5))
    with pytest.raises(ValueError, match="'groups' is needed.*whole subjects"):
        cross_validate(KNeighborsClassifier(), X, y)
    blind = cross_validate(KNeighborsClassifier(), X, y, groups="none")
    honest = cross_validate(KNeighborsClassifier(), X, y, groups=groups)
    assert blind.mean == 1.0 and honest.mean < 0.8
    with pytest.raises(ValueError, match="one group"):
        cross_validate(KNeighborsClassifier(), X, y, groups=np.zeros(240))
    with pytest.raises(ValueError, match="240 samples"):
        cross_validate(KNeighborsClassifier(), X, y, groups=groups[:-1])
    with pytest.raises(ValueError, match="no 'subject': 'groups' must be"):
        cross_validate(KNeighborsClassifier(), X, y, groups="subject")


@pytest.mark.filterwarnings("ignore:The groups parameter")
@pytest.mark.parametrize("cv", [KFold(4, shuffle=True, random_state=0), [([0, 1, 2], [2, 3])]])
def test_shared_groups_are_refused(cv):
    """No group, and no sample, on both sides of a split."""
    X, y, groups = _data()
    with pytest.raises(ValueError, match="Fold 0 .* on both sides"):
        cross_validate(LogisticRegression(), X, y, groups=groups, cv=cv)
    with pytest.raises(ValueError, match="Fold 0 has 1 samples on both sides"):
        cross_validate(LogisticRegression(), X, y, groups="none", cv=[([0, 1, 2], [2, 3])])


def test_imbalance_is_not_rewarded():
    """Nine to one, always the frequent class: 0.5; accuracy comes with its true chance."""
    y = (np.arange(200) % 10 == 0).astype(int)
    X, groups = np.zeros((200, 1)), np.repeat(np.arange(10), 20)
    scores = cross_validate(DummyClassifier(), X, y, groups=groups)
    assert (scores.folds["score"] == 0.5).all() and (scores.folds["chance"] == 0.5).all()
    scores = cross_validate(DummyClassifier(), X, y, groups=groups, scoring="accuracy")
    assert np.allclose(scores.folds["score"], 0.9) and np.allclose(scores.folds["chance"], 0.9)
    assert scores.metric == "accuracy"


def test_regression():
    X, _, groups = _data()
    y = 3 * X[:, 1] + 40
    scores = cross_validate(Ridge(), X, y, groups=groups)
    assert scores.metric == "mean_absolute_error"
    assert (scores.folds["r"] > 0.99).all() and (
        scores.folds["score"] < 0.1 * scores.folds["chance"]
    ).all()
    noise = np.random.default_rng(1).normal(size=len(y))
    scores = cross_validate(Ridge(), X, noise, groups=groups)
    low, high = scores.interval
    assert low < scores.chance < high and abs(scores.folds["r"].mean()) < 0.3


def test_chance_where_each_group_has_one_label():
    """A fold of one class is no easier to guess than the others."""
    X, _, groups = _data(n_groups=4)
    y = np.repeat([0, 1, 1, 0], 20)
    cv = LeaveOneGroupOut()
    scores = cross_validate(DummyClassifier(strategy="uniform"), X, y, groups=groups, cv=cv)
    assert len(scores.folds) == 4 and (scores.folds["chance"] == 0.5).all()


@pytest.mark.parametrize("cv", [LeaveOneGroupOut(), GroupKFold(5), 5], ids=str)
def test_guessing_the_larger_class_is_chance_where_folds_lack_classes(cv):
    """Eight subjects against two, one label each; always the larger class is 0.5."""
    groups = np.repeat(np.arange(10), 6)
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.where(groups < 2, "F", "M")
    pair = {"larger": DummyClassifier(), "right": LogisticRegression()}
    X[:, 0] = 10 * (groups < 2)
    found = compare(pair, X, y, groups=groups, cv=cv, n_permutations=3)
    larger, right = found.scores.values()
    assert larger.folds["score"].mean() > 0.75  # what the mean of such folds would say
    assert larger.mean == pytest.approx(0.5) and larger.chance == 0.5
    assert np.allclose(larger.permuted, 0.5) and larger.p_value == 1
    assert right.mean == pytest.approx(1) and "over classes" in str(larger)
    assert found.differences["difference"].tolist() == pytest.approx([-0.5])


def test_missing_targets_are_refused():
    X, y, groups = _data(n_groups=4)
    with pytest.raises(ValueError, match="y is missing .* in 2 of 80 samples"):
        cross_validate(Ridge(), X, np.where(np.arange(80) < 2, np.nan, y), groups=groups)
    with pytest.raises(ValueError, match="y has 79 entries but X has 80"):
        cross_validate(Ridge(), X, y[1:], groups=groups)


def test_one_scorer_at_a_time():
    X, y, groups = _data(n_groups=4)
    with pytest.raises(TypeError, match="'scoring' is one scorer.*'accuracy'"):
        cross_validate(LogisticRegression(), X, y, groups=groups, scoring=["accuracy", "f1"])


@pytest.mark.parametrize("cv", [GroupKFold(4), ShuffleSplit(8, test_size=0.2, random_state=0)])
def test_intervals_are_widened_for_shared_training_samples(cv):
    """Over folds: the corrected variance of Nadeau and Bengio, by hand."""
    X, y, groups = _data(n_groups=20, n_each=10, effect=0.5)
    is_grouped = isinstance(cv, GroupKFold)
    scores = cross_validate(
        LogisticRegression(),
        X,
        y,
        groups=groups if is_grouped else "none",
        cv=cv,
        scoring=lambda estimator, X, y: balanced_accuracy(y, estimator.predict(X)),
    )
    each = scores.folds["score"].to_numpy()
    share = 1 / 3 if is_grouped else 1 / 4  # test samples by training samples
    error = np.sqrt((1 / len(each) + share) * each.var(ddof=1))
    half = stats.t.ppf(0.975, len(each) - 1) * error
    assert scores.interval_by == "folds"
    assert np.allclose(scores.interval, (scores.mean - half, scores.mean + half))


def test_intervals_over_groups_are_widened_too():
    X, y, groups = _data(n_groups=8, n_each=10, effect=0.5)
    scores = cross_validate(LogisticRegression(), X, y, groups=groups, cv=GroupKFold(4))
    columns = (scores.predictions[name].to_numpy() for name in ("y", "predicted", "group"))
    true, predicted, group = columns
    error = jackknife_error(lambda k: balanced_accuracy(true[k], predicted[k]), group)
    half = stats.t.ppf(0.975, 7) * error * np.sqrt(1 + 80 / 60)
    assert scores.interval_by == "groups"
    assert np.allclose(scores.interval, (scores.mean - half, scores.mean + half))


@pytest.mark.parametrize(
    "n_groups, by", [(8, "groups"), (4, "folds")], ids=["8 groups", "2 folds"]
)
def test_no_score_is_certain(n_groups, by):
    """All right, or all wrong: the interval is that of so many throws of a coin, not a point."""
    groups = np.arange(n_groups).repeat(6)
    X, y = np.zeros((len(groups), 1)), groups % 2
    X[:, 0] = 10 * y
    right = cross_validate(LogisticRegression(), X, y, groups=groups)
    wrong = cross_validate(Contrary(), X, y, groups=groups)
    n_units = n_groups if by == "groups" else len(right.folds)
    limit = stats.binomtest(n_units, n_units).proportion_ci(method="exact").low
    assert right.interval_by == wrong.interval_by == by
    assert right.interval == pytest.approx((limit, 1)) and 0.1 < limit < 0.7
    assert wrong.interval == pytest.approx((0, 1 - limit))
    half = cross_validate(DummyClassifier(), X, y, groups=groups)  # 0.5 in each fold
    exact = stats.binomtest(n_units // 2, n_units).proportion_ci(method="exact")
    assert half.interval == pytest.approx((exact.low, exact.high))


class Contrary(LogisticRegression):
    """Always wrong."""

    def predict(self, X):
        return 1 - super().predict(X)


@pytest.mark.parametrize("is_regression", [False, True])
def test_jackknife_error_is_about_that_of_a_bootstrap(is_regression):
    """One group left out at a time, against groups drawn again and again."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), rng.integers(3, 9, size=8))
    y = rng.integers(0, 3, size=len(groups))
    predicted = np.where(rng.random(len(y)) < 0.6, y, rng.integers(0, 3, size=len(y)))
    if is_regression:
        error = jackknife_error(lambda k: np.abs(y[k] - predicted[k]).mean(), groups)
    else:
        error = jackknife_error(lambda k: balanced_accuracy(y[k], predicted[k]), groups)
    rng, measured = np.random.default_rng(1), []
    for _ in range(2000):
        drawn = rng.choice(8, size=8)
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        if is_regression:
            measured.append(np.abs(y[rows] - predicted[rows]).mean())
        else:
            measured.append(balanced_accuracy(y[rows], predicted[rows]))
    assert error == pytest.approx(np.std(measured) * np.sqrt(8 / 7), rel=0.12)


def test_r2_and_r():
    """Against scikit-learn and numpy; NaN, not a warning, where nothing varies."""
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=(2, 30))
    assert r2(y, predicted) == pytest.approx(r2_score(y, predicted))
    assert correlation(y, predicted) == pytest.approx(np.corrcoef(y, predicted)[0, 1])
    for flat in (np.ones(30), y[:1]):
        assert np.isnan(r2(flat, predicted[: len(flat)]))
        assert np.isnan(correlation(flat, predicted[: len(flat)]))
    assert np.isnan(correlation(y, np.ones(30))) and r2(y, np.ones(30)) < 0


def test_scores_are_those_of_scikit_learn():
    X, y, groups = _data(effect=1.0)
    cv = GroupKFold(4)
    scores = cross_validate(LogisticRegression(), X, y, groups=groups, cv=cv, n_jobs=2)
    expected = []
    for train, test in cv.split(X, y, groups):
        model = LogisticRegression().fit(X[train], y[train])
        expected.append(balanced_accuracy_score(y[test], model.predict(X[test])))
    assert np.allclose(scores.folds["score"], expected)
    words = np.array(["no", "yes"])[y]
    named = cross_validate(LogisticRegression(), list(X), words, groups=list(groups), cv=cv)
    assert np.allclose(named.folds["score"], expected)


def test_compare_finds_what_is_there(global_rng_untouched):
    X, y, groups = _data(n_groups=10, effect=1.5)
    found = compare(
        {"good": LogisticRegression(), "blind": DummyClassifier()}, X, y, groups=groups
    )
    row = found.differences.iloc[0]
    assert row["first"] == "good" and row["n_units"] == 10 and row["unit"] == "group"
    assert row["difference"] > 0.15 and row["p_value"] == pytest.approx(2 / 2**10)
    splits = found.folds.groupby("estimator", sort=False)["test_groups"].apply(list)
    assert splits["good"] == splits["blind"]
    same = compare({"a": DummyClassifier(), "b": DummyClassifier()}, X, y, groups=groups)
    assert same.differences["p_value"].item() == 1.0


@pytest.mark.slow
def test_compare_is_calibrated():
    """Two equally blind classifiers differ at 5 % about one time in twenty."""
    small = 0
    for seed in range(40):
        X, y, groups = _data(n_groups=14, n_each=10, seed=seed)
        pair = {
            "one": KNeighborsClassifier(1),
            "two": make_pipeline(StandardScaler(), LogisticRegression()),
        }
        small += compare(pair, X, y, groups=groups).differences["p_value"].item() < 0.05
    assert small <= 7


@pytest.mark.parametrize("estimators", [{}, {"one": Ridge()}, [Ridge(), Ridge()]])
def test_compare_needs_two(estimators):
    with pytest.raises(ValueError, match="at least two"):
        compare(estimators, np.zeros((4, 1)), [0, 1, 0, 1], groups="none")


def test_compare_refuses_a_mix():
    with pytest.raises(ValueError, match="classifiers and regressors"):
        compare({"a": Ridge(), "b": DummyClassifier()}, np.zeros((4, 1)), [0, 1, 0, 1])


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_threads_take_turns_with_epochs():
    """Folds in threads leave the samples of the epochs as they are."""
    epochs = make_epochs(n_epochs=24, n_channels=3, random_state=0)
    before, y = epochs.get_data(), epochs.events[:, 2]
    flatten = FunctionTransformer(lambda part: [one.get_data().ravel() for one in part])
    decoder = make_pipeline(flatten, DummyClassifier())
    with joblib.parallel_config("threading", n_jobs=4):
        splits = ShuffleSplit(40, random_state=0)
        scores = cross_validate(decoder, epochs, y, groups=np.arange(24), cv=splits)
    assert len(scores.folds) == 40
    np.testing.assert_array_equal(epochs.get_data(), before)
