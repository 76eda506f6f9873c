"""Results as tables, text and pictures."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, get_scorer, make_scorer, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from brainof_toolbox import Comparison, Scores, compare, cross_validate
from brainof_toolbox.evaluation.statistics import bounds, jackknife_error

N_GROUPS, N_EACH = 8, 10


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], N_GROUPS * N_EACH // 2)
    X = rng.normal(size=(len(y), 3))
    X[:, 0] += 1.5 * y
    return X, y, np.repeat([f"sub-{i:02d}" for i in range(N_GROUPS)], N_EACH)


@pytest.fixture(scope="module")
def scores(data):
    X, y, groups = data
    return cross_validate(LogisticRegression(), X, y, groups=groups, cv=GroupKFold(4))


@pytest.fixture(scope="module")
def comparison(data):
    X, y, groups = data
    pair = {"good": LogisticRegression(), "blind": DummyClassifier()}
    return compare(pair, X, y, groups=groups, cv=GroupKFold(4))


def test_tables_agree(scores, data):
    """Folds and groups can be had again from the predictions."""
    X, y, groups = data
    table = scores.predictions
    assert isinstance(scores, Scores) and sorted(table["sample"]) == list(range(len(y)))
    assert (y[table["sample"]] == table["y"]).all()
    assert (groups[table["sample"]] == table["group"]).all()
    right = table["y"] == table["predicted"]
    recall = right.groupby([table["fold"], table["y"]]).mean().groupby(level=0).mean()
    assert np.allclose(recall, scores.folds["score"]) and recall.mean() == pytest.approx(
        scores.mean
    )
    recall = right.groupby([table["group"], table["y"]]).mean().groupby(level=0).mean()
    by_group = scores.by_group.set_index("group")
    assert np.allclose(recall, by_group["score"][recall.index]) and (by_group["n"] == N_EACH).all()
    assert scores.n_groups == N_GROUPS and scores.interval_by == "groups"


def test_errors_by_group(data):
    X, _, groups = data
    y = X[:, 1] + 0.1 * X[:, 2] ** 2
    scores = cross_validate(Ridge(), X, y, groups=groups)
    table = scores.predictions
    error = (table["y"] - table["predicted"]).abs().groupby(table["group"]).mean()
    assert np.allclose(error, scores.by_group.set_index("group")["score"][error.index])
    assert list(scores.by_group) == ["group", "score", "n"]
    text = str(scores)
    assert "mean absolute error, lower is better" in text and "; r " in text and "; r2 " in text


def test_correlations_are_those_of_all_test_samples(data):
    """One age per subject: two subjects in a fold correlate with 1 or -1, whatever they are."""
    rng = np.random.default_rng(0)
    X, age, who = rng.normal(size=(12, 2)), rng.normal(40, 10, size=12), np.arange(12)
    scores = cross_validate(Ridge(), X, age, groups=who, cv=GroupKFold(6))
    assert np.allclose(scores.folds["r"].abs(), 1)
    table = scores.predictions
    r = np.corrcoef(table["y"], table["predicted"])[0, 1]
    assert scores.correlations()["r"] == pytest.approx(r) and abs(r) < 0.9
    assert scores.correlations()["r2"] == pytest.approx(r2_score(table["y"], table["predicted"]))
    assert f"; r {r:.3f}; r2 " in str(scores) and "all test samples" in str(scores)
    one_each = cross_validate(Ridge(), X, age, groups=who, cv=GroupKFold(12))
    assert one_each.folds["r"].isna().all() and np.isfinite(one_each.correlations()["r"])
    X, y, groups = data
    assert cross_validate(DummyClassifier(), X, y, groups=groups).correlations() == {}


def test_scores_read_as_a_table(scores):
    """Folds, then one line that says it all."""
    lines = str(scores).splitlines()
    assert repr(scores) == str(scores) and len(lines) == 1 + 4 + 1 + 1
    assert lines[0].split() == ["left", "out", "score", "chance", "n_train", "n_test"]
    assert len({len(line) for line in lines[:5]}) == 1
    low, high = scores.interval
    assert lines[-1] == (
        f"balanced accuracy: {scores.mean:.3f}, 95 % [{low:.3f}, {high:.3f}] over 8 groups; "
        "chance 0.500"
    )
    assert "<table" in scores._repr_html_() and "95 %" in scores._repr_html_()


def test_long_lists_of_groups_are_cut(data):
    X, y, groups = data
    named = np.array([f"sub-with-a-long-name-{group}" for group in groups])
    text = str(cross_validate(DummyClassifier(), X, y, groups=named, cv=2))
    assert all(len(line) < 80 for line in text.splitlines()[:3]) and "..." in text


def test_one_fold_has_no_interval(data):
    X, y, groups = data
    cv = [(np.arange(40), np.arange(40, 50))]
    scores = cross_validate(LogisticRegression(), X, y, groups=groups, cv=cv)
    assert np.isnan(scores.interval).all() and "95 %" not in str(scores)
    assert isinstance(scores.plot(), Figure)


def test_tables_are_copies_and_pickle(scores, comparison):
    for result in (scores, comparison):
        table = result.to_dataframe()
        table["score"] = 0.0
        assert (result.folds["score"] > 0).all()
        again = pickle.loads(pickle.dumps(result))
        pd.testing.assert_frame_equal(again.folds, result.folds)
        with pytest.raises(AttributeError):
            result.folds = table


def test_comparison_reads_as_a_table(comparison):
    """Estimators with their intervals, then pairs."""
    assert isinstance(comparison, Comparison)
    lines = str(comparison).splitlines()
    assert lines[0] == "balanced accuracy, chance 0.500"
    assert [line.split()[0] for line in lines[2:4]] == ["good", "blind"]
    assert lines[5] == "differences, paired by group" and lines[7].startswith("good   blind")
    assert repr(comparison) == str(comparison) and "<table" in comparison._repr_html_()
    assert len(comparison.to_dataframe()) == 8 and list(comparison.scores) == ["good", "blind"]
    good = comparison.scores["good"]
    row = comparison.summary.iloc[0]
    assert row["mean"] == good.mean and row["interval"] == good.interval


class Blocks(LogisticRegression):
    """Estimator that weighs two blocks of features."""

    def fit(self, X, y):
        super().fit(X, y)
        share = len(y) / 160
        self.feature_weights_ = {"covariance": share, "latents": 1 - share}
        return self


def test_weights_of_feature_blocks(data, scores):
    """One row per fold, also behind a pipeline; means in print, only where there are weights."""
    X, y, groups = data
    blocks = make_pipeline(StandardScaler(), Blocks())
    pair = {"blocks": blocks, "plain": LogisticRegression()}
    found = compare(pair, X, y, groups=groups, cv=GroupKFold(4))
    weights = found.scores["blocks"].feature_weights
    assert list(weights) == ["covariance", "latents"] and len(weights) == 4
    assert np.allclose(weights["covariance"], 60 / 160)
    words = "covariance 0.38, latents 0.62"
    assert f"\nfeatures of blocks: {words}\n" in str(found) and words in found._repr_html_()
    assert str(found.scores["blocks"]).endswith(f"\nfeatures: {words}")
    assert "features" not in str(scores) and scores.feature_weights.empty


@pytest.mark.parametrize("size, shown", [(1e-4, r"\d\.\d\de-05"), (1e4, r"\d{4,5}")])
def test_errors_have_significant_digits(data, size, shown):
    """Errors of any size in the units of the target."""
    X, _, groups = data
    scores = cross_validate(Ridge(), X, size * (X[:, 1] + X[:, 2] ** 2), groups=groups)
    pattern = rf"lower is better: {shown}, .*chance {shown}; r "
    assert re.search(pattern, str(scores)) is not None


def test_differences_of_many_estimators_are_those_from_the_first(data):
    X, y, groups = data
    many = {"first": LogisticRegression(), **{name: DummyClassifier() for name in "abc"}}
    found = compare(many, X, y, groups=groups, cv=2)
    assert len(found.differences) == 6
    table = str(found).split("differences")[1].splitlines()[2:]
    assert [line.split()[:2] for line in table] == [["first", name] for name in "abc"]


def marks(axes):
    """Heights of all point markers, by line."""
    return [line.get_ydata() for line in axes.lines if line.get_marker() not in ("None", "_", 1)]


def test_plot_of_scores(scores):
    """Every group is a point; mean, interval and chance stand beside them; no bars."""
    (axes,) = scores.plot().axes
    drawn = marks(axes)
    assert np.allclose(drawn[0], scores.by_group["score"]) and scores.mean in drawn[1]
    reach = axes.collections[0].get_segments()[0][:, 1]
    assert np.allclose(reach, scores.interval)
    assert any(np.allclose(line.get_ydata(), 0.5) for line in axes.lines)
    assert not axes.patches and axes.get_ylabel() == "balanced accuracy"
    assert axes.texts[0].get_text() == "chance" and "8 groups" in axes.get_xlabel()
    own = Figure().subplots()
    assert scores.plot(own) is own.figure


def test_plot_of_a_comparison(comparison):
    """The same group is joined between estimators, and points do not hide one another."""
    (axes,) = comparison.plot().axes
    joined = [line for line in axes.lines if line.get_color() == "0.75"]
    assert len(joined) == N_GROUPS
    good, blind = (one.by_group["score"] for one in comparison.scores.values())
    for line, first, second in zip(joined, good, blind, strict=True):
        assert np.allclose(line.get_ydata(), [first, second])
    places = np.array([line.get_xdata() for line in joined])
    assert len(np.unique(places[:, 1].round(6))) == N_GROUPS  # all at 0.5, side by side
    assert [label.get_text() for label in axes.get_xticklabels()] == ["good", "blind"]
    axes.figure.canvas.draw()
    labels = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not labels[0].overlaps(labels[1])


def test_plot_of_folds_and_of_chances_that_differ(data):
    """Without scores by group the points are folds; a scorer's chance may differ by task."""
    X, y, groups = data
    pair = {"a": LogisticRegression(), "b": DummyClassifier(strategy="uniform", random_state=0)}
    found = compare(pair, X, y, groups="none", scoring="accuracy")
    assert "5 folds" in found.plot().axes[0].get_xlabel()
    assert "paired by fold" in str(found) and found.differences["n_units"].item() == 5


def test_probabilities_are_those_of_the_folds(scores, data):
    """One row per prediction, in the same order; the largest is the predicted class."""
    X, y, groups = data
    probability = scores.probabilities
    assert list(probability.columns) == [0, 1] and len(probability) == len(scores.predictions)
    assert (probability.idxmax(axis=1) == scores.predictions["predicted"]).all()
    train, test = next(GroupKFold(4).split(X, y, groups))
    expected = LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])
    assert np.allclose(probability[scores.predictions["fold"] == 0], expected)
    assert scores.estimators == ()


def test_a_class_that_the_training_side_lacks_has_probability_zero():
    X, y = np.arange(12.0)[:, None], np.repeat(["a", "b", "c"], 4)
    splits = [(np.arange(8), np.arange(8, 12)), (np.arange(4, 12), np.arange(4))]
    found = cross_validate(LogisticRegression(), X, y, groups="none", cv=splits)
    assert list(found.probabilities.columns) == ["a", "b", "c"]
    assert (found.probabilities["c"][:4] == 0).all() and (found.probabilities["a"][4:] == 0).all()
    assert np.allclose(found.probabilities.sum(axis=1), 1)


def test_fitted_estimators_are_returned_on_request(data):
    X, y, groups = data
    options = {"groups": groups, "cv": GroupKFold(4), "return_estimator": True}
    found = cross_validate(LogisticRegression(), X, y, **options)
    assert len(found.estimators) == 4
    table = found.predictions
    for fold, estimator in enumerate(found.estimators):
        rows = table[table["fold"] == fold]
        assert (estimator.predict(X[rows["sample"]]) == rows["predicted"]).all()


def test_without_probabilities_the_table_is_empty(data):
    X, y, groups = data
    for estimator in (Ridge(), LinearSVC()):
        assert cross_validate(estimator, X, y, groups=groups).probabilities.empty


def test_plot_of_the_confusion_matrix(scores, data):
    X, y, groups = data
    axes = scores.plot_confusion().axes[0]
    table = scores.predictions
    shares = pd.crosstab(table["y"], table["predicted"], normalize="index").to_numpy()
    assert np.allclose(axes.images[0].get_array(), shares)
    regression = cross_validate(Ridge(), X, y, groups=groups)
    with pytest.raises(ValueError, match="mean_absolute_error"):
        regression.plot_confusion()


def test_measures_by_class(scores):
    """Recall, precision and area agree with scikit-learn's, of all test samples together."""
    table, found = scores.predictions, scores.by_class().set_index("class")
    for label in (0, 1):
        is_label, is_predicted = table["y"] == label, table["predicted"] == label
        assert found["recall"][label] == pytest.approx(is_predicted[is_label].mean())
        assert found["precision"][label] == pytest.approx(is_label[is_predicted].mean())
        assert found["n"][label] == is_label.sum()
    assert scores.roc_auc() == pytest.approx(roc_auc_score(table["y"], scores.probabilities[1]))
    bins = scores.calibration(n_bins=4)
    assert len(bins) == 4 and bins["probability"].is_monotonic_increasing
    assert bins["probability"].between(0.5, 1).all() and bins["correct"].between(0, 1).all()


def test_area_of_more_classes_is_the_mean_of_each_against_the_others():
    X = np.random.default_rng(1).normal(size=(90, 2))
    y = np.array(["a", "b", "c"])[np.arange(90) % 3]
    found = cross_validate(LogisticRegression(), X, y, groups="none")
    wanted = roc_auc_score(
        found.predictions["y"], found.probabilities, multi_class="ovr", labels=["a", "b", "c"]
    )
    assert found.roc_auc() == pytest.approx(wanted)


def test_measures_refuse_what_does_not_apply(data):
    X, y, groups = data
    regression = cross_validate(Ridge(), X, X[:, 1], groups=groups)
    for method in ("by_class", "roc_auc", "calibration", "plot_calibration", "plot_weights"):
        with pytest.raises(ValueError, match="classifier|feature_weights_"):
            getattr(regression, method)()
    margins = cross_validate(LinearSVC(), X, y, groups=groups)
    with pytest.raises(ValueError, match="predict_proba"):
        margins.roc_auc()
    with pytest.raises(ValueError, match="plot_confusion"):
        margins.plot_predictions()


SCORERS = ["accuracy", "roc_auc", "neg_log_loss", make_scorer(accuracy_score)]


@pytest.mark.parametrize("scoring", SCORERS, ids=str)
def test_any_scorer_has_scores_and_an_interval_by_group(data, scoring):
    """They are what the scorer gives for a fitted estimator and the samples of one group."""
    X, y, groups = data
    found = cross_validate(LogisticRegression(), X, y, groups=groups, scoring=scoring)
    assert found.interval_by == "groups" and len(found.by_group) == N_GROUPS
    fold = found.folds.iloc[0]
    is_test = np.isin(groups, fold["test_groups"])
    estimator = LogisticRegression().fit(X[~is_test], y[~is_test])
    name = scoring if isinstance(scoring, str) else "accuracy"
    own = groups == fold["test_groups"][0]
    by_group = found.by_group.set_index("group")["score"]
    assert by_group[fold["test_groups"][0]] == pytest.approx(
        get_scorer(name)(estimator, X[own], y[own])
    )
    assert len(found.predictions) == len(y) and found.by_class()["n"].sum() == len(y)
    low, high = found.interval
    assert low < found.mean < high


def test_intervals_of_bounded_scores_stay_within_their_bounds(data):
    """No area above 1, no negative log loss above 0; errors are not below 0."""
    X, y, groups = data
    easy = X + 2.0 * (2 * y - 1)[:, None]
    for scoring, low, high in (("roc_auc", 0, 1), ("accuracy", 0, 1), ("neg_log_loss", -99, 0)):
        found = cross_validate(LogisticRegression(), easy, y, groups=groups, scoring=scoring)
        assert low <= found.interval[0] <= found.interval[1] <= high
    perfect = cross_validate(LogisticRegression(), 9 * easy, y, groups=groups, scoring="accuracy")
    assert perfect.mean == 1 and perfect.interval[0] < 1 == perfect.interval[1]
    assert bounds("matthews_corrcoef") == (-1, 1) and bounds("r2") == (-np.inf, 1)
    assert bounds(make_scorer(accuracy_score)) == (-np.inf, np.inf)


def test_a_scorer_without_a_value_in_each_group_has_an_interval_by_group():
    """One label per subject: the area is that of all subjects, one left out at a time."""
    rng = np.random.default_rng(0)
    y, groups = np.repeat(np.arange(12) % 2, 5), np.repeat(np.arange(12), 5)
    X = rng.normal(size=(60, 3)) + 0.7 * y[:, None]
    found = cross_validate(LogisticRegression(), X, y, groups=groups, scoring="roc_auc")
    assert found.by_group.empty and found.interval_by == "groups"
    assert 0 <= found.interval[0] < found.mean < found.interval[1] <= 1


def test_a_callable_that_uses_the_samples_has_an_interval_by_fold(data):
    X, y, groups = data
    scoring = lambda estimator, X, y: float((estimator.predict(X) == y).mean())  # noqa: E731
    found = cross_validate(LogisticRegression(), X, y, groups=groups, scoring=scoring)
    assert found.interval_by == "folds" and found.by_group.empty


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=12)
    error = jackknife_error(lambda rows: values[rows].mean(), np.arange(12))
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(12))


@pytest.mark.parametrize(
    "n_groups, sizes", [(4, 1), (6, 1), (7, 1), (8, 2), (9, 3), (10, 2), (12, 3), (20, 4)]
)
@pytest.mark.parametrize("estimator", [DummyClassifier(), Ridge()], ids=["classes", "numbers"])
def test_folds_have_equally_many_groups(n_groups, sizes, estimator):
    groups = np.repeat(np.arange(n_groups), 4)
    X, y = np.zeros((len(groups), 1)), np.tile([0, 1], 2 * n_groups)
    found = cross_validate(estimator, X, y, groups=groups)
    assert {len(names) for names in found.folds["test_groups"]} == {sizes}


@pytest.mark.parametrize("n_groups, n_folds", [(4, 2), (6, 3), (7, 3), (8, 4), (10, 5)])
def test_folds_of_subjects_with_one_label_hold_each_class(n_groups, n_folds):
    """Left out alone, a subject would be of the class that is rarer in training."""
    groups = np.repeat(np.arange(n_groups), 4)
    found = cross_validate(
        DummyClassifier(), np.zeros((len(groups), 1)), groups % 2, groups=groups
    )
    assert len(found.folds) == n_folds
    assert all({who % 2 for who in names} == {0, 1} for names in found.folds["test_groups"])
