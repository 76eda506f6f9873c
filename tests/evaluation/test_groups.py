"""Groups that samples bring, and groups that reach the inner splits."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    StratifiedGroupKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import PairedSignals, Signals, cross_validate, from_epochs
from brainof_toolbox._utils.subjects import hash_subject

NAMES = [f"sub-{i}" for i in range(4)]
WHO = np.repeat(NAMES, 6)
LABELS = np.tile([0, 1], 12)


def signals(modality="eeg", subject=tuple(WHO), sfreq=100.0):
    values = np.random.default_rng(0).normal(size=(len(subject or WHO), 1, 8))
    return Signals(
        values,
        sfreq,
        modality,
        ["Cz"],
        [{"eeg": "eeg", "fmri": "bold"}[modality]],
        [[0, 0, 0.1]],
        subject=subject,
    )


class Sequence(list):
    """Items that name their own groups, as records and trials do."""

    groups = property(lambda self: WHO)


FORMS = {
    "X.groups": lambda: Sequence(range(24)),
    "Signals": signals,
    "PairedSignals": lambda: PairedSignals(
        {"fmri": signals("fmri", None, 1.0), "eeg": signals("eeg")}
    ),
    "dicts": lambda: [{"eeg": "path", "subject": who} for who in WHO],
    "list of Signals": lambda: [signals()[[i]] for i in range(24)],
}


@pytest.mark.parametrize("form", FORMS)
def test_samples_name_their_groups(form):
    """Nobody needs to type what the samples know."""
    scores = cross_validate(DummyClassifier(), FORMS[form](), LABELS)
    assert scores.folds["test_groups"].tolist() == [(name,) for name in NAMES]


def test_epochs_name_their_subjects(eeg_study):
    """A column of the metadata, of the whole and of single epochs."""
    y, single = eeg_study.events[:, 2], [eeg_study[i] for i in range(len(eeg_study))]
    for X in (eeg_study, single):
        scores = cross_validate(DummyClassifier(), X, y)
        assert [row[0] for row in scores.folds["test_groups"]] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_name_their_subjects(kind):
    """BIDS names say whose a file is; other names say nothing."""
    X = [
        kind(f"data/sub-{who[-1]}/eeg/sub-{who[-1]}_run-{i}_eeg.fif") for i, who in enumerate(WHO)
    ]
    scores = cross_validate(DummyClassifier(), X, LABELS)
    assert scores.folds["test_groups"].tolist() == [(name[-1],) for name in NAMES]
    given = cross_validate(DummyClassifier(), X, LABELS, groups=WHO)  # a Path has parts
    assert given.folds["test_groups"].tolist() == [(name,) for name in NAMES]
    with pytest.raises(ValueError, match="'groups' is needed"):
        cross_validate(
            DummyClassifier(), [kind(f"S{i}_subsub-eeg.fif") for i in range(24)], LABELS
        )


def test_groups_come_before_subjects():
    """Trials of one subject name their runs as groups; given groups come before both."""
    X = Sequence({"subject": "01"} for _ in range(24))
    assert cross_validate(DummyClassifier(), X, LABELS).n_groups == 4
    assert cross_validate(DummyClassifier(), X, LABELS, groups=np.arange(24) % 3).n_groups == 3


def test_records_and_trials():
    """What reads BIDS folders names its groups, and says when it cannot."""
    from brainof_toolbox.io.bids import Records
    from brainof_toolbox.io.trials import Trials

    items = [{"eeg": "path", "subject": who, "run": str(i % 3)} for i, who in enumerate(WHO)]
    records = Records(items)
    scores = cross_validate(grid(Watcher(), error_score="raise"), records, LABELS)
    assert scores.folds["test_groups"].tolist() == [(name,) for name in NAMES]
    with pytest.raises(ValueError, match="one group, 'sub-0'"):
        cross_validate(DummyClassifier(), records[:6], LABELS[:6])
    by_run = cross_validate(DummyClassifier(), records[:6], LABELS[:6], groups=records[:6].run)
    assert by_run.n_groups == 3
    with pytest.raises(ValueError, match="'groups' is needed.* 1 of 24 have no subject: 0"):
        cross_validate(DummyClassifier(), Records([{"eeg": "path"}, *items[1:]]), LABELS)
    table = pd.DataFrame(
        {"subject": "01", "session": None, "run": [str(i % 3) for i in range(24)]}
    )
    assert cross_validate(DummyClassifier(), Trials(items, table), LABELS).n_groups == 3


@pytest.mark.parametrize(
    "X, said",
    [
        ([{"subject": "01"}] * 24, "one group, '01'.*runs or sessions"),
        (
            [{"subject": w} for w in WHO[:-2]] + [{}, {}],
            "needed.* 2 of 24 have no subject: 22, 23",
        ),
        ([{"eeg": "path"}] * 24, "'groups' is needed.*independent.$"),
        (signals(subject=None), "'groups' is needed.*independent.$"),
        (pd.DataFrame({"groups": WHO, "subject": WHO}), "'groups' is needed"),
    ],
    ids=["one subject", "some unnamed", "dicts", "signals", "table of features"],
)
def test_unknown_groups_are_asked_for(X, said):
    """One subject is no group to leave out, and a column of features is no group."""
    with pytest.raises(ValueError, match=said):
        cross_validate(DummyClassifier(), X, LABELS)


class Watcher(ClassifierMixin, BaseEstimator):
    """Keeps the groups of every fit; they say whom it was trained on."""

    fits: list = []  # noqa: RUF012 (clones share it on purpose)

    def __init__(self, strength=1):
        self.strength = strength

    def fit(self, X, y, groups=None):
        self.fits.append(None if groups is None else np.array(groups))
        self.classes_, self.coded_ = np.unique(y), X
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class Coded(Watcher):
    """Reads the group off the samples, so that it knows it without being told."""

    def fit(self, X, y):
        return super().fit(X, y, np.asarray(X)[:, 0])


def grid(estimator, **kwargs):
    return GridSearchCV(estimator, {"strength": [1, 2]}, cv=GroupKFold(3), **kwargs)


def piped_grid(estimator):
    name = type(estimator).__name__.lower()
    pipeline = make_pipeline("passthrough", estimator)
    return GridSearchCV(pipeline, {f"{name}__strength": [1, 2]}, cv=GroupKFold(3))


SEARCHES = {
    "grid": grid,
    "random": lambda e: RandomizedSearchCV(
        e, {"strength": [1, 2]}, n_iter=2, cv=StratifiedGroupKFold(3)
    ),
    "last step": lambda e: make_pipeline("passthrough", grid(e)),
    "around a pipeline": piped_grid,
    "both": lambda e: make_pipeline("passthrough", piped_grid(e)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [Watcher, Coded])
@pytest.mark.parametrize("search", SEARCHES)
def test_inner_splits_hold_whole_groups(search, kind):
    """Inside: searches split by subject, and tell groups to an estimator that takes them."""
    Watcher.fits.clear()
    codes = np.repeat(np.arange(4), 6)
    estimator = SEARCHES[search](kind())
    cross_validate(estimator, codes[:, None].astype(float), LABELS, groups=codes)
    # 4 outer folds; in each, 2 candidates on 3 inner splits of 3 subjects, and the refit.
    assert len(Watcher.fits) == 4 * 7
    sizes = [sorted(np.unique(fit, return_counts=True)[1].tolist()) for fit in Watcher.fits]
    assert sizes == 4 * (6 * [[6, 6]] + [[6, 6, 6]])


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored by KFold")
@pytest.mark.parametrize("cv", [None, 4, KFold(2, shuffle=True, random_state=0)])
@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: make_pipeline(StandardScaler(), e)])
def test_inner_splits_that_share_groups_are_warned_of(cv, wrap):
    """Inside: a number of folds splits subjects, and the score is still given."""
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=cv)
    X = np.random.default_rng(0).normal(size=(24, 2))
    with pytest.warns(RuntimeWarning, match=r"GridSearchCV\(cv=.*cv=GroupKFold\(3\)") as said:
        cross_validate(wrap(search), X, LABELS, groups=WHO)
    assert sum("GroupKFold" in str(one.message) for one in said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.set_params(cv=4)
        cross_validate(search, X, LABELS, groups="none")
        cross_validate(search, X, LABELS, groups=np.arange(24))


def test_groups_reach_other_fits():
    """Feature elimination, too, takes groups for its inner splits."""
    X = np.random.default_rng(0).normal(size=(24, 3))
    selector = RFECV(LogisticRegression(), cv=GroupKFold(3))
    assert cross_validate(selector, X, LABELS, groups=WHO).n_groups == 4


@pytest.mark.parametrize("form", ["Signals", "epochs", "dicts"])
def test_search_on_every_form_of_samples(form, eeg_study):
    """Scikit-learn's searches index what the toolbox reads."""

    class Blind(Watcher):
        def fit(self, X, y, groups=None):
            assert len(X) == len(y) == len(groups)
            return super().fit(np.zeros((len(y), 1)), y, groups)

    X, y = eeg_study, eeg_study.events[:, 2]
    if form == "Signals":
        X = from_epochs(eeg_study).replace(subject=tuple(eeg_study.metadata["subject"]))
    elif form == "dicts":
        X = [{"subject": who} for who in eeg_study.metadata["subject"]]
    scores = cross_validate(grid(Blind(), error_score="raise"), X, y)
    assert scores.n_groups == 4 and np.allclose(scores.mean, 0.5)


class Pretrained(ClassifierMixin, BaseEstimator):
    """A classifier whose checkpoint says whom it was trained on."""

    def __init__(self, subjects=()):
        self.subjects = subjects

    def fit(self, X, y, groups=None):
        assert groups is None or len(groups) == len(y)
        self.classes_ = np.unique(y)
        manifest = {"subjects": [hash_subject(s) for s in self.subjects]}
        self.encoder_ = SimpleNamespace(manifest=manifest)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


WRAPS = {
    "alone": lambda e: e,
    "pipeline": lambda e: make_pipeline(StandardScaler(), e),
    "search": lambda e: GridSearchCV(e, {"subjects": [e.subjects]}, cv=GroupKFold(2)),
    "search around a pipeline": lambda e: GridSearchCV(
        make_pipeline(StandardScaler(), e), {}, cv=GroupKFold(2)
    ),
    "pipeline around a search": lambda e: make_pipeline(
        StandardScaler(), GridSearchCV(e, {}, cv=GroupKFold(2))
    ),
    "vote": lambda e: VotingClassifier([("one", e), ("two", DummyClassifier())]),
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_known_test_subjects_are_warned_of(wrap):
    """Subjects of the corpus, however deep the pretrained estimator sits."""
    X = np.random.default_rng(0).normal(size=(24, 2))
    with pytest.warns(RuntimeWarning, match=r"1 test subject.* sub-2\."):
        cross_validate(WRAPS[wrap](Pretrained(("2", "77"))), X, LABELS, groups=WHO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_validate(WRAPS[wrap](Pretrained(("77",))), X, LABELS, groups=WHO)


@pytest.mark.parametrize("groups", ["none", np.arange(24) % 3])
def test_known_subjects_behind_other_groups(groups):
    """With runs as groups, or none, it is still the samples' subjects that count."""
    with pytest.warns(RuntimeWarning, match=r"1 test subject.* sub-2\."):
        cross_validate(Pretrained(("2",)), signals(), LABELS, groups=groups)
