"""p-values: labels change places where they can, and everything else is done again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    Signals,
    compare,
    cross_validate,
)
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.evaluation.fitting import embed_once
from brainof_toolbox.evaluation.statistics import permutation_level, permutation_p_value, permute
from brainof_toolbox.io.inputs import count_samples


def trials(effect=0.0, n_groups=6, n_each=10, seed=0):
    """Labels that vary within groups."""
    rng = np.random.default_rng(seed)
    y, groups = np.tile([0, 1], n_groups * n_each // 2), np.repeat(np.arange(n_groups), n_each)
    X = rng.normal(size=(len(y), 3))
    X[:, 0] += effect * y
    return X, y, groups


def diagnoses(effect=0.0, n_groups=12, n_each=5, seed=0):
    """One label per group; samples of a group resemble each other."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_each)
    y = groups % 2
    X = rng.normal(size=(n_groups, 3))[groups] + 0.2 * rng.normal(size=(len(y), 3))
    X[:, 0] += effect * y
    return X, y, groups


def test_labels_move_over_whole_groups():
    """One label per group stays one label per group, and every order comes up."""
    groups = np.array(["b", "b", "a", "c", "c", "c"])
    y = np.array([1, 1, 0, 2, 2, 2])
    assert permutation_level(y, groups) == "groups"
    rng, orders = np.random.default_rng(0), set()
    for _ in range(200):
        permuted = permute(y, groups, rng)
        by_group = {name: np.unique(permuted[groups == name]) for name in "abc"}
        assert all(len(labels) == 1 for labels in by_group.values())
        orders.add(tuple(int(by_group[name][0]) for name in "abc"))
    assert len(orders) == 6 and all(sorted(order) == [0, 1, 2] for order in orders)


def test_labels_move_within_groups():
    """Each group keeps how many it has of each label; no label crosses to another group."""
    groups = np.array([0, 1] * 10)
    y = np.where(groups == 0, np.arange(20) % 4 == 0, np.arange(20) % 4 == 1).astype(int)
    y[groups == 1] += 10
    assert permutation_level(y, groups) == "within groups"
    rng, seen = np.random.default_rng(0), np.zeros((2, 20))
    for _ in range(200):
        permuted = permute(y, groups, rng)
        for group in (0, 1):
            assert np.array_equal(np.sort(permuted[groups == group]), np.sort(y[groups == group]))
        seen += [permuted % 10 == 0, permuted % 10 == 1]
    assert (seen > 0).all()


def test_labels_move_over_recordings():
    """A label that holds for a session moves with it, runs and all; groups keep their labels."""
    groups, session = np.repeat([0, 1], 12), np.tile(np.repeat([1, 2, 3], 4), 2)
    recording_labels = {"session": session, "run": np.tile([1, 1, 2, 2], 6)}
    y = np.array(["a", "b", "b", "c", "c", "d"])[3 * groups + session - 1]
    assert permutation_level(y, groups, recording_labels) == "recordings within groups"
    rng, seen = np.random.default_rng(0), set()
    for _ in range(100):
        permuted = permute(y, groups, rng, recording_labels)
        by_session = permuted.reshape(6, 4)
        assert (by_session == by_session[:, :1]).all()
        seen.add("".join(by_session[:, 0]))
    assert seen == {a + b for a in ("abb", "bab", "bba") for b in ("ccd", "cdc", "dcc")}
    # One label per run of a session; a label that varies inside; units of one sample each.
    runs = np.where(recording_labels["run"] == 1, "a", "b")
    assert permutation_level(runs, groups, recording_labels) == "recordings within groups"
    assert permutation_level(np.arange(24) % 2, groups, recording_labels) == "within groups"
    assert permutation_level(y, groups, {"run": np.arange(24)}) == "within groups"


def conditions(seed):
    """Two recordings of each subject, one per condition; windows of a recording are alike."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(16, 1, 3, 1)) + 0.2 * rng.normal(size=(16, 10, 3, 1))
    subject, task = np.repeat(np.arange(8), 20), np.tile(np.repeat(["rest", "sums"], 10), 8)
    signals = Signals(
        data=place.reshape(160, 3, 1),
        sfreq=1.0,
        modality="eeg",
        ch_names=["a", "b", "c"],
        ch_types=["eeg"] * 3,
        ch_pos=np.eye(3) / 10,
        subject=tuple(map(str, subject)),
        task=tuple(task),
    )
    return signals, task


@pytest.mark.slow
def test_p_value_is_calibrated_where_labels_hold_for_recordings():
    """No effect, yet windows of one recording are alike: rarely as small as it can be.

    With labels permuted window by window, 8 of the 24 data sets give the smallest p-value.
    """
    model = make_pipeline(FunctionTransformer(means), LinearDiscriminantAnalysis())
    small = []
    for seed in range(24):
        X, y = conditions(seed)
        scores = cross_validate(model, X, y, cv=3, n_permutations=9)
        assert scores.permuted_by == "recordings within groups"
        small.append(scores.p_value <= 0.1)
    assert sum(small) <= 7  # binomial, 24 times 0.1: more with a chance below 0.3 %


def means(signals):
    return signals.data.mean(axis=2)


def test_labels_move_over_samples():
    y = np.arange(8)
    assert permutation_level(y, None) == "samples"
    permuted = permute(y, None, np.random.default_rng(0))
    assert sorted(permuted) == sorted(y) and (permuted != y).any()


@pytest.mark.parametrize(
    "is_error, expected", [(False, (1 + 3) / 6), (True, (1 + 4) / 6)], ids=["score", "error"]
)
def test_p_value_by_hand(is_error, expected):
    """Ties count against the score, and the data themselves are one of the permutations."""
    permuted = np.array([0.1, 0.5, 0.5 + 1e-15, 0.7, 0.2])
    assert permutation_p_value(0.5, permuted, is_error=is_error) == pytest.approx(expected)
    assert permutation_p_value(9.0, permuted, is_error=False) == pytest.approx(1 / 6)


@pytest.mark.parametrize("make", [trials, diagnoses])
def test_permutations_equal_naive_ones(make):
    """The whole cross-validation is done again, its stratified splits included."""
    X, y, groups = make(effect=1.0)
    model, n = LinearDiscriminantAnalysis(), 5
    cv = StratifiedGroupKFold(5, shuffle=True, random_state=3)
    scores = cross_validate(model, X, y, groups=groups, cv=cv, n_permutations=n, random_state=3)
    naive = []
    for seed in np.random.SeedSequence(3).spawn(n):
        permuted = permute(y, groups, np.random.default_rng(seed))
        folds = []
        for train, test in cv.split(X, permuted, groups):
            predicted = clone(model).fit(X[train], permuted[train]).predict(X[test])
            folds.append(balanced_accuracy_score(permuted[test], predicted))
        naive.append(np.mean(folds))
    assert np.allclose(scores.permuted, naive) and len(set(naive)) > 1
    as_good = sum(score >= scores.mean - 1e-12 for score in naive)
    assert scores.p_value == pytest.approx((1 + as_good) / (1 + n))


@pytest.mark.parametrize("make", [trials, diagnoses])
def test_p_value_finds_an_effect(make, global_rng_untouched):
    """Small with an effect, no less than one over all."""
    X, y, groups = make(effect=4.0)
    scores = cross_validate(LogisticRegression(), X, y, groups=groups, n_permutations=19)
    assert scores.p_value == pytest.approx(1 / 20)
    assert "p = 0.05 (19 permutations" in str(scores) and scores.permuted_by in str(scores)


def test_permutations_in_two_processes():
    """The same ones."""
    X, y, groups = trials()
    one, two = (
        cross_validate(
            LogisticRegression(), X, y, groups=groups, cv=2, n_permutations=4, n_jobs=n_jobs
        )
        for n_jobs in (1, 2)
    )
    assert np.array_equal(one.permuted, two.permuted) and one.p_value == two.p_value


@pytest.mark.slow
@pytest.mark.parametrize("make", [trials, diagnoses])
def test_p_value_is_calibrated(make):
    """On noise, fingerprints or not, it is below 0.2 about one time in five."""
    small = 0
    for seed in range(30):
        X, y, groups = make(seed=seed)
        scores = cross_validate(
            LinearDiscriminantAnalysis(), X, y, groups=groups, cv=3, n_permutations=9
        )
        small += scores.p_value <= 0.2
    assert 1 <= small <= 12  # binomial, 30 times 0.2: outside with a chance below 0.5 %


def test_p_value_of_an_error():
    """Less is better where the score is an error; ages are one per subject."""
    X, _, groups = diagnoses()
    y = np.array([50 + 10 * X[groups == group, 0].mean() for group in groups])
    scores = cross_validate(Ridge(), X, y, groups=groups, n_permutations=19)
    assert scores.permuted_by == "groups" and scores.p_value == pytest.approx(1 / 20)
    assert (scores.permuted > scores.mean).all()


def test_p_value_with_a_scorer_and_without_groups():
    X, y, _ = trials(effect=4.0)
    scores = cross_validate(
        LogisticRegression(), X, y, groups="none", scoring="roc_auc", n_permutations=19
    )
    assert scores.p_value == pytest.approx(1 / 20) and scores.permuted_by == "samples"


def test_no_p_value_unless_asked():
    X, y, groups = trials()
    scores = cross_validate(LogisticRegression(), X, y, groups=groups)
    assert scores.p_value is None and len(scores.permuted) == 0 and "p =" not in str(scores)
    with pytest.raises((ValueError, TypeError), match="n_permutations"):
        cross_validate(LogisticRegression(), X, y, groups=groups, n_permutations=-1)


def test_compare_gives_p_values_against_chance():
    X, y, groups = trials(effect=4.0)
    pair = {"lr": LogisticRegression(), "lda": LinearDiscriminantAnalysis()}
    found = compare(pair, X, y, groups=groups, n_permutations=19)
    assert np.allclose(found.summary["p_value"].astype(float), 1 / 20)
    assert "p (permutation)" in str(found) and "p (permutation)" not in str(
        compare(pair, X, y, groups=groups)
    )


class Picky(ClassifierMixin, BaseEstimator):
    """Needs two classes, as most classifiers do."""

    def fit(self, X, y):
        if len(np.unique(y)) < 2:
            raise ValueError("one class only.")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_permutations_that_cannot_be_fitted_say_so():
    X, y, groups = np.zeros((4, 1)), np.array([0, 1, 1, 0]), np.arange(4)
    with pytest.raises(ValueError, match="With permuted labels: one class only.*fewer folds"):
        cross_validate(Picky(), X, y, groups=groups, cv=[([0, 1], [2, 3])], n_permutations=40)


def test_frozen_features_are_computed_once(eeg_study, micro_checkpoint, monkeypatch):
    """An embedder in front of a pipeline is taken out, and nothing else changes."""
    study = eeg_study[::4]
    y, groups = study.events[:, 2], study.metadata["subject"].to_numpy()
    pipeline = make_pipeline(
        BrainOFEmbedder(micro_checkpoint, pooling="mean"), StandardScaler(), LogisticRegression()
    )
    embedded, fit = [], BrainOFEmbedder.fit
    monkeypatch.setattr(
        BrainOFEmbedder, "fit", lambda self, X, y=None: embedded.append(len(X)) or fit(self, X, y)
    )

    def run():
        embedded.clear()
        return cross_validate(
            pipeline, study, y, groups=groups, cv=GroupKFold(2), n_permutations=2
        )

    fast = run()
    assert embedded == [16]  # all samples, once
    # Naive: every fold of every permutation embeds its own training and test sides.
    monkeypatch.setattr(
        "brainof_toolbox.evaluation.task.embed_once",
        lambda estimator, X, groups: (estimator, X, None),
    )
    naive = run()
    assert embedded == [8] * 6
    assert fast.predictions.equals(naive.predictions)
    assert np.allclose(fast.permuted, naive.permuted) and fast.p_value == naive.p_value


@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_a_probe_is_embedded_once(eeg_study, micro_checkpoint, monkeypatch, kind):
    """The network under a probe runs once for all folds; predictions are those of naive folds."""
    study = eeg_study[::4]
    y = study.events[:, 2].astype(float if kind is BrainOFRegressor else int)
    estimator, runs = kind(micro_checkpoint, random_state=0), []
    embed = Encoder.embed_blocks
    monkeypatch.setattr(
        Encoder, "embed_blocks", lambda self, X: runs.append(count_samples(X)) or embed(self, X)
    )
    fast = cross_validate(estimator, study, y, cv=GroupKFold(2))
    assert runs == [16]
    monkeypatch.setattr(
        "brainof_toolbox.evaluation.task.embed_once",
        lambda estimator, X, groups: (estimator, X, None),
    )
    naive = cross_validate(estimator, study, y, cv=GroupKFold(2))
    assert runs == [16] + [8] * 4
    np.testing.assert_allclose(
        fast.predictions["predicted"], naive.predictions["predicted"], rtol=1e-3
    )
    assert fast.folds["test_groups"].equals(naive.folds["test_groups"])


def test_other_steps_stay_in_the_pipeline():
    """Only what is known to treat each sample by itself is taken out."""
    X = np.zeros((4, 2))
    for estimator in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        assert embed_once(estimator, X) == (estimator, X, None)
