"""Groups and weights reach the same fits with scikit-learn's metadata routing on and off."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest
from joblib import parallel_config
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    GroupKFold,
    cross_val_predict,
    cross_val_score,
    permutation_test_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    compare,
    cross_validate,
)
from brainof_toolbox.datasets import make_study

WHO = np.repeat(["a", "b", "c", "d"], 4)
LABELS = np.tile([0, 1], 8)
FEATURES = np.random.default_rng(0).normal(size=(16, 3)) + LABELS[:, None]
FOLDS = GroupKFold(2)
NETWORK = {"checkpoint": None, "features": "latents", "pooling": "mean"}
pytestmark = pytest.mark.filterwarnings("ignore:.*untrained:RuntimeWarning")


@pytest.fixture(scope="module")
def study():
    with mne.utils.use_log_level("error"):
        return make_study(n_subjects=4, n_epochs=4, n_channels=4)


@pytest.fixture(scope="module")
def embedded(study):
    """Samples whose features are computed, for a network under a probe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BrainOFClassifier(**NETWORK).precompute(study)


class Watcher(ClassifierMixin, BaseEstimator):
    """Keeps how many groups each fit was given."""

    seen: list = []  # noqa: RUF012 (clones share it on purpose)

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y, groups=None):
        assert groups is None or len(groups) == len(y)
        self.seen.append(0 if groups is None else len(np.unique(groups)))
        self.model_ = LogisticRegression(C=self.C).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


class ByGroup:
    """A splitter of somebody's own, which asks for nothing."""

    def split(self, X, y=None, groups=None):
        return FOLDS.split(X, y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        return FOLDS.get_n_splits(X, y, groups)


class LeaveOneOut(BaseCrossValidator):
    """The same, made of scikit-learn's parts."""

    def _iter_test_masks(self, X=None, y=None, groups=None):
        return (groups == one for one in np.unique(groups))

    def get_n_splits(self, X=None, y=None, groups=None):
        return len(np.unique(groups))


def grid(estimator, cv=FOLDS, name="C"):
    return GridSearchCV(estimator, {name: [0.1, 1.0]}, cv=cv, error_score="raise")


def both_ways(estimator, X, y):
    """Predictions with routing off and on."""
    found = []
    for routing in (False, True):
        with config_context(enable_metadata_routing=routing):
            scores = cross_validate(estimator, X, y, groups=WHO, cv=FOLDS)
        found.append(scores.predictions["predicted"].to_numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(BrainOFClassifier(**NETWORK)),
        GridSearchCV(BrainOFClassifier(**NETWORK), {"class_weight": ["balanced"]}, cv=FOLDS),
        CalibratedClassifierCV(BrainOFClassifier(**NETWORK), cv=FOLDS),
        make_pipeline(BrainOFRegressor(**NETWORK)),
        TransformedTargetRegressor(BrainOFRegressor(**NETWORK), transformer=StandardScaler()),
    ],
    ids="pipeline search calibrated regressor target".split(),
)
def test_network_with_routing_on_and_off(estimator, embedded):
    y = LABELS if is_classifier(estimator) else FEATURES[:, 0]
    both_ways(estimator, embedded, y)


@pytest.mark.parametrize(
    "last",
    [grid(LogisticRegression()), CalibratedClassifierCV(LogisticRegression(), cv=FOLDS)],
    ids=["search", "calibrated"],
)
def test_features_with_routing_on_and_off(last, study):
    both_ways(make_pipeline(BrainOFEmbedder(**NETWORK), last), study, LABELS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("estimator", "n_fits"),
    [
        (Watcher(), 1),
        (make_pipeline(StandardScaler(), Watcher()), 1),
        (make_pipeline(StandardScaler(), make_pipeline("passthrough", Watcher())), 1),
        (grid(Watcher()), 5),
        (grid(Watcher(), cv=ByGroup()), 5),
        (grid(make_pipeline(StandardScaler(), Watcher()), name="watcher__C"), 5),
        (make_pipeline(StandardScaler(), grid(make_pipeline(Watcher()), name="watcher__C")), 5),
        (CalibratedClassifierCV(Watcher(), cv=FOLDS), 2),
        (VotingClassifier([("a", Watcher()), ("b", LogisticRegression())]), 1),
    ],
    ids=(
        "itself pipeline nested search own-splitter search-of-pipeline pipeline-of-search "
        "calibrated vote"
    ).split(),
)
def test_every_fit_has_its_groups(estimator, n_fits):
    """Both folds train on two groups, and inner splits on one of these."""
    for routing in (False, True):
        Watcher.seen.clear()
        with config_context(enable_metadata_routing=routing):
            cross_validate(estimator, FEATURES, LABELS, groups=WHO, cv=FOLDS)
        assert len(Watcher.seen) == 2 * n_fits and set(Watcher.seen) <= {1, 2}


@pytest.mark.filterwarnings("ignore:GridSearchCV:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*LogisticRegressionCV:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*default value:FutureWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        grid(LogisticRegression()),
        grid(LogisticRegression(), cv=2),
        grid(LogisticRegression(), cv=[(np.arange(4), np.arange(4, 8))]),
        grid(LogisticRegression(), cv=ByGroup()),
        grid(LogisticRegression(), cv=LeaveOneOut()),
        LogisticRegressionCV(Cs=2, cv=FOLDS),
        make_pipeline(StandardScaler(), RFECV(LogisticRegression(), cv=FOLDS)),
        RFECV(LogisticRegression(), cv=3),
        AdaBoostClassifier(n_estimators=2, random_state=0),
        make_pipeline(
            StandardScaler(),
            grid(AdaBoostClassifier(n_estimators=2, random_state=0), name="learning_rate"),
        ),
        StackingClassifier([("a", Watcher()), ("b", LogisticRegression())], cv=2),
    ],
    ids=(
        "plain search number list own-splitter own-class regression elimination "
        "elimination-by-number boosting searched-boosting stack"
    ).split(),
)
def test_classical_decoders_with_routing_on_and_off(estimator):
    """What takes no groups is given none; splitters of groups have theirs."""
    both_ways(estimator, FEATURES, LABELS)


def test_comparison_with_routing_on_and_off(embedded):
    decoders = {
        "network": make_pipeline(BrainOFClassifier(**NETWORK)),
        "guess": make_pipeline("passthrough", DummyClassifier()),
    }
    tables = []
    for routing in (False, True):
        with config_context(enable_metadata_routing=routing):
            tables.append(compare(decoders, embedded, LABELS, groups=WHO, cv=FOLDS).summary)
    assert tables[0].equals(tables[1])


class Configured(Watcher):
    """Fits where the configuration of scikit-learn is that of the caller."""

    def fit(self, X, y, groups=None):
        assert get_config()["enable_metadata_routing"]
        return super().fit(X, y, groups)


def test_workers_have_the_configuration():
    with config_context(enable_metadata_routing=True), parallel_config("threading"):
        cross_validate(Configured(), FEATURES, LABELS, groups=WHO, n_jobs=2)


def test_refused_groups_are_not_handed_over():
    """A request that somebody set stays as it is."""
    Watcher.seen.clear()
    with config_context(enable_metadata_routing=True):
        refusing = make_pipeline(Watcher().set_fit_request(groups=False))
        cross_validate(refusing, FEATURES, LABELS, groups=WHO)
    assert Watcher.seen == [0] * 4


def test_functions_of_scikit_learn_with_routing(embedded):
    """Nothing has to be asked for; splitter and network both have the groups."""
    network = make_pipeline(BrainOFClassifier(**NETWORK))
    own = {"brainofclassifier__groups": WHO}
    plain = {"groups": WHO, "params": own, "cv": FOLDS}
    expected = cross_val_score(network, embedded, LABELS, **plain)
    predicted = cross_val_predict(network, embedded, LABELS, **plain)
    search = GridSearchCV(network, {"brainofclassifier__class_weight": ["balanced"]}, cv=FOLDS)
    best = search.fit(embedded, LABELS, groups=WHO, **own).best_score_
    with config_context(enable_metadata_routing=True):
        plain = {"params": {"groups": WHO}, "cv": FOLDS}
        scores = cross_val_score(network, embedded, LABELS, **plain)
        np.testing.assert_array_equal(scores, expected)
        routed = cross_val_predict(network, embedded, LABELS, **plain)
        np.testing.assert_array_equal(routed, predicted)
        assert search.fit(embedded, LABELS, groups=WHO).best_score_ == best
        score = permutation_test_score(network, embedded, LABELS, n_permutations=1, **plain)[0]
    assert score == expected.mean()


@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_weights_with_routing_on_and_off(kind, embedded):
    """Weights reach the network through a pipeline, and can be refused."""
    y, weight = LABELS.astype(float), np.arange(16) % 3.0
    own = kind(**NETWORK).fit(embedded, y, sample_weight=weight)
    step = {f"{kind.__name__.lower()}__sample_weight": weight}
    network = make_pipeline(kind(**NETWORK))
    expected = own.predict(embedded)
    np.testing.assert_array_equal(network.fit(embedded, y, **step).predict(embedded), expected)
    with config_context(enable_metadata_routing=True):
        network.fit(embedded, y, sample_weight=weight)
        np.testing.assert_array_equal(network.predict(embedded), expected)
        refusing = make_pipeline(kind(**NETWORK).set_fit_request(sample_weight=False))
        with pytest.raises(TypeError, match="sample_weight"):
            refusing.fit(embedded, y, sample_weight=weight)
