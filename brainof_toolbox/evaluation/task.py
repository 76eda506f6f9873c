"""Samples, targets, groups and splits that the estimators of a comparison share."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring, mean_absolute_error
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, column_or_1d
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples

from .._utils.logging import progress
from .._utils.validation import check_number
from ..io.inputs import check_parts
from ..io.labels import infer_recording_labels, infer_subjects
from . import statistics as st
from .fitting import (
    embed_once,
    find_pretraining_subjects,
    fit_with_groups,
    warn_of_inner_splits,
    warn_of_pretraining_subjects,
)
from .groups import check_groups, in_order
from .results import Scores

_FEW_GROUPS = 5  # up to here each group is a fold, and intervals come from folds
#: MNE's epochs lose their data where two threads take some of them at once.
_INDEXING = threading.Lock()


class CrossValidation:
    """Checked samples, targets, groups and splits; made once for all estimators."""

    def __init__(self, estimator, X, y, groups, cv, random_state):
        self.X, self.y = X, column_or_1d(y)
        n_samples = _num_samples(X)
        if len(self.y) != n_samples:
            raise ValueError(f"y has {len(self.y)} entries but X has {n_samples} samples.")
        if pd.isna(self.y).any():
            raise ValueError(
                f"y is missing (NaN or None) in {int(pd.isna(self.y).sum())} of {n_samples} "
                "samples; leave these samples out."
            )
        check_parts(X)  # folds would have parts of one recording on both sides
        self.random_state = random_state
        self.is_regression = is_regressor(estimator)
        self.groups = check_groups(groups, X, n_samples)
        self.subjects, self.recording_labels = infer_subjects(X), infer_recording_labels(X)
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
        if n_folds is None and n_groups <= _FEW_GROUPS:
            return LeaveOneGroupOut()
        if self.is_regression:
            return GroupKFold(n_folds or 5, shuffle=True, random_state=seed)
        if n_folds is None:  # every fold should hold a group of each class
            holders = [len(set(self.groups[self.y == label])) for label in np.unique(self.y)]
            n_folds = int(np.clip(min(holders), 2, 5))
        return StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)

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
        jobs = progress(self.splits, description="Folds", enabled=bool(verbose))
        keep = ("probability", "estimator") if return_estimator else ("probability",)
        done = Parallel(n_jobs=n_jobs)(
            delayed(_run_fold)(estimator, self, X, self.y, train, test, scoring, keep)
            for train, test in jobs
        )
        warn_of_pretraining_subjects([*(fold.seen for fold in done), self._seen_by(frozen)])
        folds = self._fold_table([fold.row for fold in done])
        predictions = self._prediction_table([fold.predicted for fold in done])
        by_group = self._group_table(predictions)
        permuted = self._permuted(estimator, X, scoring, n_permutations, n_jobs, verbose)
        mean = _mean_score(done, self.y, self.splits, self.is_regression)
        summary = self._summary(mean, folds, predictions, scoring)
        p_value = None
        if n_permutations:
            p_value = st.permutation_p_value(
                summary["mean"], permuted, is_error=self._is_error(scoring)
            )
        return Scores(
            folds=folds,
            by_group=by_group,
            predictions=predictions,
            probabilities=self._probability_table(done),
            estimators=tuple(fold.estimator for fold in done if fold.estimator is not None),
            p_value=p_value,
            permuted=permuted,
            permuted_by=self._permuted_by() if n_permutations else None,
            feature_weights=pd.DataFrame([f.feature_weights for f in done if f.feature_weights]),
            **summary,
        )

    def _permuted_by(self):
        return st.permutation_level(self.y, self.groups, self.recording_labels)

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
        """Make one row per test sample; none with ``scoring``."""
        parts = [
            pd.DataFrame(
                {
                    "sample": test,
                    "fold": fold,
                    "group": None if self.groups is None else self.groups[test],
                    "y": self.y[test],
                    "predicted": predicted,
                }
            )
            for fold, ((_, test), predicted) in enumerate(
                zip(self.splits, predictions, strict=True)
            )
            if predicted is not None
        ]
        columns = ["sample", "fold", "group", "y", "predicted"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def _probability_table(self, done):
        """Make one row per test sample and one column per class; empty without probabilities."""
        if self.is_regression or any(fold.probability is None for fold in done):
            return pd.DataFrame()
        return pd.DataFrame(
            np.concatenate([fold.probability for fold in done]), columns=list(self.classes)
        )

    def _group_table(self, predictions):
        """Score each group over all folds that test it."""
        rows = []
        if self.groups is not None:
            for group, part in predictions.groupby("group", sort=False):
                score = self._score(part["y"].to_numpy(), part["predicted"].to_numpy())
                rows.append({"group": group, "score": score, "n": len(part)})
        return pd.DataFrame(rows, columns=["group", "score", "n"])

    def _score(self, y, predicted):
        return (mean_absolute_error if self.is_regression else st.balanced_accuracy)(y, predicted)

    def _summary(self, mean, folds, predictions, scoring):
        scores = folds["score"].to_numpy()
        n_groups = 0 if self.groups is None else len(set(self.groups))
        half, by, n_units = np.nan, "folds", len(scores)
        n_tested = len(set(np.concatenate([test for _, test in self.splits])))
        if scoring is None and n_groups > _FEW_GROUPS and len(set(predictions["group"])) > 1:
            by = "groups"
            error = st.bootstrap_error(
                *(predictions[name].to_numpy() for name in ("y", "predicted", "group")),
                is_regression=self.is_regression,
                random_state=self.random_state,
            )
            n_units = len(set(predictions["group"]))
            half = st.corrected_t_half_width(error, n_units, n_tested / folds["n_train"].mean())
        elif len(scores) > 1:
            overlap = folds["n_test"].sum() / folds["n_train"].mean()
            half = st.corrected_t_half_width(stats.sem(scores), len(scores), overlap)
        low, high = mean - half, mean + half
        if half == 0 and scoring is None and not self.is_regression:
            low, high = st.clopper_pearson(mean, n_units)
        if scoring is None:  # no accuracy lies outside 0 and 1, no error below 0
            low, high = max(low, 0.0), high if self.is_regression else min(high, 1.0)
        name = "mean_absolute_error" if self.is_regression else "balanced_accuracy"
        return {
            "metric": name if scoring is None else getattr(scoring, "__name__", str(scoring)),
            "mean": mean,
            "interval": (float(low), float(high)),
            "interval_by": by,
            "chance": float(folds["chance"].mean()),
            "n_groups": n_groups,
        }

    def _seen_by(self, frozen):
        """Return test subjects that the frozen part of the estimator was trained on."""
        who = self.groups if self.subjects is None else self.subjects
        tested = sorted({i for _, test in self.splits for i in test})
        return (
            ()
            if frozen is None or who is None
            else find_pretraining_subjects(frozen, in_order(who[tested]))
        )

    def _permuted(self, estimator, X, scoring, n_permutations, n_jobs, verbose):
        """Return mean scores of whole cross-validations with permuted labels."""
        if not n_permutations:
            return np.empty(0)
        seeds = np.random.SeedSequence(self.random_state).spawn(n_permutations)
        jobs = progress(seeds, description="Permutations", enabled=bool(verbose))
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
    return _mean_score(done, y, splits, task.is_regression)


def _mean_score(done, y, splits, is_regression):
    """Return the mean over folds; of balanced accuracies by class, as folds may lack some."""
    predicted = [fold.predicted for fold in done]
    if is_regression or predicted[0] is None:
        return float(np.mean([fold.row["score"] for fold in done]))
    return st.mean_over_folds([y[test] for _, test in splits], predicted)


@dataclass(frozen=True, eq=False)
class _Fold:
    """Result of one fold."""

    row: dict
    predicted: np.ndarray | None = None  # (n_test,), None with a scorer
    probability: np.ndarray | None = (
        None  # (n_test, n_classes), in the order of CrossValidation.classes
    )
    seen: tuple = ()  # test subjects in the training data of the checkpoint
    estimator: object = None
    feature_weights: dict | None = None


def _run_fold(estimator, task, X, y, train, test, scoring, keep=()):
    """Fit on one side of a split and score on the other; ``keep`` names optional results."""
    y_train, y_test = y[train], y[test]
    with _INDEXING:
        X_train, X_test = _safe_indexing(X, train), _safe_indexing(X, test)
    groups = None if task.groups is None else task.groups[train]
    estimator = fit_with_groups(clone(estimator), X_train, y_train, groups)
    who = task.groups if task.subjects is None else task.subjects
    seen = () if who is None else find_pretraining_subjects(estimator, in_order(who[test]))
    kept = {"seen": seen, "estimator": estimator if "estimator" in keep else None}
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    kept["feature_weights"] = getattr(last, "feature_weights_", None)
    dummy = DummyRegressor(strategy="median") if task.is_regression else DummyClassifier()
    dummy.fit(np.zeros((len(train), 1)), y_train)
    blank = np.zeros((len(test), 1))
    if scoring is not None:
        scorer = check_scoring(estimator, scoring)
        row = {"score": scorer(estimator, X_test, y_test), "chance": scorer(dummy, blank, y_test)}
        return _Fold(row, **kept)
    probability = None
    if "probability" in keep and not task.is_regression:
        probability = _probabilities(estimator, X_test, task.classes)
    if probability is not None and getattr(estimator, "_predicts_most_probable", False):
        predicted = task.classes[probability.argmax(axis=1)]  # one pass through the network
    else:
        predicted = np.asarray(estimator.predict(X_test))
    if task.is_regression:
        row = {
            "score": float(mean_absolute_error(y_test, predicted)),
            "chance": float(mean_absolute_error(y_test, dummy.predict(blank))),
            "r": st.correlation(y_test, predicted),
            "r2": st.r2(y_test, predicted),
        }
        return _Fold(row, predicted, **kept)
    row = {"score": st.balanced_accuracy(y_test, predicted), "chance": 1 / len(task.classes)}
    return _Fold(row, predicted, probability, **kept)


def _probabilities(estimator, X, classes):
    """Predict class probabilities; zero for classes that the training side lacks."""
    # -> probability (n_test, n_classes), or None.
    if not hasattr(estimator, "predict_proba"):
        return None
    probability = np.zeros((_num_samples(X), len(classes)))
    probability[:, np.searchsorted(classes, estimator.classes_)] = estimator.predict_proba(X)
    return probability
