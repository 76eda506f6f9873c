"""Samples, targets, groups and splits that the estimators of a comparison share."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring, mean_absolute_error
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples

from .._utils.logging import progress
from .._utils.validation import check_number
from ..io.inputs import check_parts
from ..io.labels import infer_data_sets, infer_recording_labels, infer_subjects
from ..io.sample_list import SampleList, as_samples
from . import statistics as st
from .fitting import (
    embed_once,
    find_pretraining_subjects,
    fit_with_groups,
    warn_of_inner_splits,
    warn_of_pretraining_subjects,
)
from .groups import check_groups, check_target, in_order
from .results import Scores

_FEW_GROUPS = 5  # up to here intervals come from folds
_LEFT_OUT_ALONE = 7  # up to here each group is a fold, if it holds all classes
#: MNE's epochs lose their data where two threads take some of them at once.
_INDEXING = threading.Lock()


class CrossValidation:
    """Checked samples, targets, groups and splits; made once for all estimators."""

    def __init__(self, estimator, X, y, groups, cv, random_state):
        check_parts(X)  # folds would have parts of one recording on both sides
        self.X = X = as_samples(X)
        self.y = check_target(y, X)
        n_samples = _num_samples(X)
        if len(self.y) != n_samples:
            raise ValueError(f"y has {len(self.y)} entries but X has {n_samples} samples.")
        if pd.isna(self.y).any():
            raise ValueError(
                f"y is missing (NaN or None) in {int(pd.isna(self.y).sum())} of {n_samples} "
                "samples; leave these samples out."
            )
        self.random_state = random_state
        self.is_regression = is_regressor(estimator)
        self.groups = check_groups(groups, X, n_samples)
        self.datasets = infer_data_sets(X)
        self.subjects, self.recording_labels = infer_subjects(X), infer_recording_labels(X)
        if isinstance(X, SampleList):
            self.recording_labels["item"] = X.item_numbers
        self.classes = None if self.is_regression else np.unique(self.y)
        if not self.is_regression and len(self.classes) == n_samples:
            raise ValueError(
                f"Each of the {n_samples} samples has a label of its own, so no training sample "
                "has the label of a test sample. Use a regressor for a continuous target."
            )
        if cv is None or isinstance(cv, (int, np.integer)):
            cv = self._default_cv(cv, random_state)
        self.cv = check_cv(cv, self.y, classifier=not self.is_regression)
        self.splits = self.make_splits(self.y)
        self._check_classes()

    def _default_cv(self, n_folds, seed):
        if self.groups is None:
            kind = KFold if self.is_regression else StratifiedKFold
            return kind(n_folds or 5, shuffle=True, random_state=seed)
        n_groups = len(set(self.groups))
        if n_folds is None:
            fewest, has_one_label = n_groups, False
            if not self.is_regression:  # every fold should hold a group of each class
                holders = [len(set(self.groups[self.y == label])) for label in self.classes]
                # Left out alone, such a group would be of the class that is rarer in training.
                fewest, has_one_label = min(holders), sum(holders) == n_groups
            is_few = n_groups <= _FEW_GROUPS and not has_one_label
            if is_few or fewest == n_groups <= _LEFT_OUT_ALONE:
                return LeaveOneGroupOut()
            most = int(np.clip(fewest, 2, 5))
            even = [n for n in range(most, 2, -1) if n_groups % n == 0]
            n_folds = even[0] if even else most
        kind = GroupKFold if self.is_regression else StratifiedGroupKFold
        return kind(n_folds, shuffle=True, random_state=seed)

    def make_splits(self, y):
        """Return the splits for the targets ``y``; stratified ones depend on them."""
        splits = list(self.cv.split(np.zeros(len(y)), y, self.groups))
        for fold, (train, test) in enumerate(splits):
            if len(train) == 0 or len(test) == 0:
                raise ValueError(f"Fold {fold} is empty on one side; give fewer folds in cv=.")
            shared = set(train) & set(test)
            if self.groups is not None:
                shared = set(self.groups[train]) & set(self.groups[test])
            if shared:
                named = ", ".join(str(g) for g in sorted(shared, key=str)[:5])
                raise ValueError(
                    f"Fold {fold} has {len(shared)} "
                    f"{'samples' if self.groups is None else 'groups'} on both sides ({named}): "
                    "the score would be too high. Use a splitter of groups, e.g. GroupKFold, or "
                    "cv=None."
                )
        return splits

    def _check_classes(self):
        """Refuse a training side of one class; the error names the classes that are too rare."""
        y = self.y
        alone = [i for i, (train, _) in enumerate(self.splits) if len(set(y[train])) == 1]
        if self.is_regression or not alone or len(set(y)) == 1:
            return
        fold, train = alone[0], self.splits[alone[0]][0]
        groups = np.arange(len(y)) if self.groups is None else self.groups
        unit = "sample" if self.groups is None else "group"
        counts = {str(label): len(set(groups[y == label])) for label in np.unique(y)}
        raise ValueError(
            f"The training samples of fold {fold} are all of class {str(y[train][0])!r}. Each "
            f"class needs at least two {unit}s, better more; there are {counts}."
        )

    def run(self, estimator, scoring, n_permutations, n_jobs, verbose, *, return_estimator=False):
        """Score one estimator on all splits."""
        check_number("n_permutations", n_permutations, low=0, integer=True)
        if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
            raise TypeError(
                f"'scoring' is one scorer, its name or a callable, got {scoring!r}. For several "
                "measures, use Scores.predictions, or call once for each."
            )
        if self.groups is not None:
            train = self.splits[0][0]
            warn_of_inner_splits(
                estimator, self.y[train], self.groups[train], not self.is_regression
            )
        X, frozen = self.X, None
        # A callable may use the samples themselves, and returned estimators must accept them.
        if not callable(scoring) and not return_estimator:
            estimator, X, frozen = embed_once(estimator, X, self.groups)
        keep = ("outputs", "estimator") if return_estimator else ("outputs",)
        jobs = progress(self.splits, description="Folds", enabled=verbose)
        done = Parallel(n_jobs=n_jobs)(
            delayed(_run_fold)(estimator, self, X, self.y, train, test, scoring, keep)
            for train, test in jobs
        )
        tested = np.unique(np.concatenate([test for _, test in self.splits]))
        seen = [fold.seen for fold in done]
        warn_of_pretraining_subjects([*seen, self.seen_by(frozen, tested)])
        found = {
            "folds": self._fold_table([fold.row for fold in done]),
            "predictions": self._prediction_table([fold.predicted for fold in done]),
            "probabilities": self._probability_table(done),
        }
        scorer = self._pooled_scorer(estimator, scoring, done, found["predictions"])
        found["by_group"] = self._group_table(found["predictions"], scorer)
        mean = _mean_score(done, self.y, self.splits, scoring, self.is_regression)
        permuted = self._permuted(estimator, X, scoring, n_permutations, n_jobs, verbose)
        p_value = level = None
        if n_permutations:
            level = st.permutation_level(self.y, self.groups, self.recording_labels)
            p_value = st.permutation_p_value(mean, permuted, is_error=self._is_error(scoring))
        return Scores(
            **found,
            **self._summary(mean, found["folds"], found["predictions"], scoring, scorer),
            classes=self.classes,
            estimators=tuple(fold.estimator for fold in done if fold.estimator is not None),
            p_value=p_value,
            permuted=permuted,
            permuted_by=level,
            feature_weights=pd.DataFrame([f.feature_weights for f in done if f.feature_weights]),
        )

    def _pooled_scorer(self, estimator, scoring, done, table):
        """Return a function from a mask of rows of predictions to their score; None if unknown."""
        y, predicted = table["y"].to_numpy(), table["predicted"].to_numpy()
        if scoring is None:
            score = mean_absolute_error if self.is_regression else st.balanced_accuracy
            return lambda rows: score(y[rows], predicted[rows])
        scorer = check_scoring(estimator, scoring)
        if not isinstance(scorer, _BaseScorer):  # may use the samples themselves
            return None
        recorded = Recorded(done, self.classes)

        def score_rows(rows):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # measures that are not defined in all groups
                try:
                    return float(scorer(recorded, np.flatnonzero(rows), y[rows]))
                except ValueError:
                    return np.nan

        return score_rows

    def _is_error(self, scoring):
        return self.is_regression and scoring is None

    def _fold_table(self, rows):
        table = []
        for fold, ((train, test), row) in enumerate(zip(self.splits, rows, strict=True)):
            names = () if self.groups is None else in_order(self.groups[test])
            sizes = {"n_train": len(train), "n_test": len(test), "test_groups": names}
            table.append({"fold": fold, **row, **sizes})
        return pd.DataFrame(table)

    def _prediction_table(self, predictions):
        """Make one row per test sample."""
        test = np.concatenate([test for _, test in self.splits])
        return pd.DataFrame(
            {
                "sample": test,
                "fold": np.repeat(np.arange(len(self.splits)), list(map(len, predictions))),
                "group": None if self.groups is None else self.groups[test],
                "y": self.y[test],
                "predicted": np.concatenate(predictions),
            }
        )

    def _probability_table(self, done):
        """Make one row per test sample and one column per class; empty without probabilities."""
        if self.is_regression or any(fold.probability is None for fold in done):
            return pd.DataFrame()
        return pd.DataFrame(
            np.concatenate([fold.probability for fold in done]), columns=list(self.classes)
        )

    def _group_table(self, predictions, scorer):
        """Score each group over all folds that test it; empty where a group has no score."""
        rows = []
        if self.groups is not None and scorer is not None:
            for group in in_order(predictions["group"]):
                is_own = (predictions["group"] == group).to_numpy()
                rows.append({"group": group, "score": scorer(is_own), "n": is_own.sum()})
        table = pd.DataFrame(rows, columns=["group", "score", "n"])
        return table[:0] if table["score"].isna().any() else table

    def _summary(self, mean, folds, predictions, scoring, scorer):
        scores = folds["score"].to_numpy()
        n_groups = 0 if self.groups is None else len(set(self.groups))
        by, n_units, error = "folds", len(scores), np.nan
        overlap = folds["n_test"].sum() / folds["n_train"].mean()
        if n_groups > _FEW_GROUPS and len(set(predictions["group"])) > 1 and scorer is not None:
            error = st.jackknife_error(scorer, predictions["group"])
        if np.isfinite(error):
            by, n_units = "groups", len(set(predictions["group"]))
            overlap = len(set(predictions["sample"])) / folds["n_train"].mean()
        elif len(scores) > 1:
            error = stats.sem(scores)
        half = st.corrected_t_half_width(error, n_units, overlap) if n_units > 1 else np.nan
        limits = (0.0, np.inf)  # of errors
        if not self._is_error(scoring):
            limits = st.bounds(scoring or "balanced_accuracy")
        low, high = mean - half, mean + half
        if half < 1e-12 and limits == (0, 1):  # all units score alike
            low, high = st.clopper_pearson(mean, n_units)
        low, high = np.clip([low, high], *limits)
        name = "mean_absolute_error" if self.is_regression else "balanced_accuracy"
        return {
            "metric": name if scoring is None else getattr(scoring, "__name__", str(scoring)),
            "mean": mean,
            "interval": (float(low), float(high)),
            "interval_by": by,
            "chance": float(folds["chance"].mean()),
            "n_groups": n_groups,
        }

    def seen_by(self, estimator, rows):
        """Return subjects of the rows that the network of an estimator was trained on."""
        who = self.groups if self.subjects is None else self.subjects
        names = () if estimator is None or who is None else in_order(who[rows])
        return find_pretraining_subjects(estimator, names, self.datasets)

    def _permuted(self, estimator, X, scoring, n_permutations, n_jobs, verbose):
        """Return mean scores of whole cross-validations with permuted labels."""
        if not n_permutations:
            return np.empty(0)
        seeds = np.random.SeedSequence(self.random_state).spawn(n_permutations)
        jobs = progress(seeds, description="Permutations", enabled=verbose)
        return np.array(
            Parallel(n_jobs=n_jobs)(
                delayed(_run_permutation)(estimator, self, X, seed, scoring) for seed in jobs
            )
        )


def _run_permutation(estimator, task, X, seed, scoring):
    y = st.permute(task.y, task.groups, np.random.default_rng(seed), task.recording_labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each was shown with the true labels
        try:
            splits = task.make_splits(y)
            done = [
                _run_fold(estimator, task, X, y, train, test, scoring) for train, test in splits
            ]
        except ValueError as error:
            raise ValueError(
                f"With permuted labels: {error} Where the splits are too small for every "
                "permutation, give fewer folds, or cv=None, which balances classes."
            ) from error
    return _mean_score(done, y, splits, scoring, task.is_regression)


def _mean_score(done, y, splits, scoring, is_regression):
    """Return the mean over folds; of balanced accuracies by class, as folds may lack some."""
    if is_regression or scoring is not None:
        return float(np.mean([fold.row["score"] for fold in done]))
    return st.mean_over_folds([y[test] for _, test in splits], [fold.predicted for fold in done])


@dataclass(frozen=True, eq=False)
class _Fold:
    """Result of one fold."""

    row: dict
    predicted: np.ndarray | None = None  # (n_test,)
    # (n_test, n_classes), in the order of CrossValidation.classes
    probability: np.ndarray | None = None
    decision: np.ndarray | None = None  # (n_test,) or (n_test, n_classes), without probabilities
    seen: tuple = ()  # test subjects in the training data of the checkpoint
    estimator: object = None
    feature_weights: dict | None = None


class Recorded(BaseEstimator):
    """Outputs of all folds as an estimator, for scorers; its samples are row numbers."""

    def __init__(self, done, classes):
        self.classes_, self.outputs = classes, {}
        for name in ("predicted", "probability", "decision"):
            parts = [getattr(fold, name) for fold in done]
            if all(part is not None for part in parts):
                self.outputs[name] = np.concatenate(parts)

    def predict(self, rows):
        return self.outputs["predicted"][rows]

    @available_if(lambda self: "probability" in self.outputs)
    def predict_proba(self, rows):
        return self.outputs["probability"][rows]

    @available_if(lambda self: "decision" in self.outputs)
    def decision_function(self, rows):
        return self.outputs["decision"][rows]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor" if self.classes_ is None else "classifier"
        return tags


def _run_fold(estimator, task, X, y, train, test, scoring, keep=()):
    """Fit on one side of a split and score on the other; ``keep`` names optional results."""
    y_train, y_test = y[train], y[test]
    with _INDEXING:
        X_train, X_test = _safe_indexing(X, train), _safe_indexing(X, test)
    groups = None if task.groups is None else task.groups[train]
    estimator = fit_with_groups(clone(estimator), X_train, y_train, groups)
    kept = {}
    if scoring is None or keep:
        kept = _predict(estimator, task.classes, X_test, bool(keep), scoring is not None)
    if keep:
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        kept["seen"] = task.seen_by(estimator, test)
        kept["feature_weights"] = getattr(last, "feature_weights_", None)
        kept["estimator"] = estimator if "estimator" in keep else None
    dummy = DummyRegressor(strategy="median") if task.is_regression else DummyClassifier()
    dummy.fit(np.zeros((len(train), 1)), y_train)
    blank = np.zeros((len(test), 1))
    if scoring is not None:
        scorer = check_scoring(estimator, scoring)
        row = {"score": scorer(estimator, X_test, y_test), "chance": scorer(dummy, blank, y_test)}
    elif task.is_regression:
        row = {
            "score": float(mean_absolute_error(y_test, kept["predicted"])),
            "chance": float(mean_absolute_error(y_test, dummy.predict(blank))),
            "r": st.correlation(y_test, kept["predicted"]),
            "r2": st.r2(y_test, kept["predicted"]),
        }
    else:
        score = st.balanced_accuracy(y_test, kept["predicted"])
        row = {"score": score, "chance": 1 / len(task.classes)}
    return _Fold(row, **kept)


def _predict(estimator, classes, X, wants_probability, wants_decision):
    """Return predictions and, of classifiers, probabilities, or decisions in their place."""
    found, is_classifier = {}, classes is not None
    if is_classifier and wants_probability and hasattr(estimator, "predict_proba"):
        found["probability"] = np.zeros((_num_samples(X), len(classes)))
        columns = np.searchsorted(classes, estimator.classes_)  # zero for absent classes
        found["probability"][:, columns] = estimator.predict_proba(X)
        if getattr(estimator, "_predicts_most_probable", False):  # one pass through the network
            return {**found, "predicted": classes[found["probability"].argmax(axis=1)]}
    elif is_classifier and wants_decision and hasattr(estimator, "decision_function"):
        found["decision"] = estimator.decision_function(X)
    return {**found, "predicted": np.asarray(estimator.predict(X))}
