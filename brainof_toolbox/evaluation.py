"""Honest decoding scores: whole subjects left out, chance beside the score, paired comparisons."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import stats
from sklearn.base import clone, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring
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
from sklearn.utils.validation import _num_samples, has_fit_parameter

from ._utils.logging import progress, warn
from ._utils.subjects import hash_subject

_N_BOOTSTRAP = 2000
_N_FLIPS = 10000
_FEW_GROUPS = 5  # up to here each group is a fold, and intervals come from folds


def cross_validate(
    estimator,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    random_state=0,
    n_jobs=None,
    verbose=None,
):
    """Score an estimator on subjects that it has not seen.

    Parameters
    ----------
    estimator : estimator
        Any classifier or regressor with scikit-learn's interface. ``groups`` are handed to its
        ``fit`` when that takes them, so that inner splits respect them too.
    X : object
        Samples that scikit-learn can index: :class:`mne.Epochs`, a list, an array,
        :class:`~brainof_toolbox.Signals`.
    y : array-like, shape (n_samples,)
        Labels or continuous targets.
    groups : array-like, shape (n_samples,) | "none" | None
        Whose sample each is: the subject; the run or session when there is one subject only.
        ``None`` takes the subjects that ``X`` itself names (``Signals.subject``, a ``subject``
        column of ``Epochs.metadata``). ``"none"`` says that no two samples belong together.
    cv : int | splitter | iterable of (train, test) | None
        ``None``: each group once when there are up to 5, else 5 folds of whole groups, classes
        balanced as far as groups allow.
    scoring : str | callable | None
        ``None``: balanced accuracy for classifiers; mean absolute error (lower is better), and
        the correlation ``r``, for regressors. Else any scorer of scikit-learn.
    random_state : int | None
        Seed of shuffled folds and of the bootstrap.
    n_jobs : int | None
        Folds computed in parallel.
    verbose : bool | None
        ``True`` shows a progress bar on a terminal.

    Returns
    -------
    folds : pandas.DataFrame
        One row per fold: ``fold``, ``score``, ``chance`` (what a constant guess made from the
        training part scores), ``r`` (regressors), ``n_train``, ``n_test``, ``test_groups``.
        ``folds.attrs`` holds ``metric``, ``mean``, ``interval`` (95 %), ``chance``, ``n_groups``
        and ``interval_by``: ``"groups"`` (bootstrap over groups) or ``"folds"`` (Student's t,
        with up to 5 groups, without groups, or with ``scoring``). Either takes the fitted models
        as they are, without what other training samples would have changed, and is somewhat
        narrow for that.

    Raises
    ------
    ValueError
        If groups are not known, are not enough, or are shared by the two sides of a split.

    Warns
    -----
    RuntimeWarning
        If a test group is among the subjects that a checkpoint was trained on.
    """
    task = _Task(estimator, X, y, groups, cv, random_state)
    return task.run(estimator, scoring, n_jobs, verbose)[0]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several estimators on the same splits.

    Parameters
    ----------
    folds : pandas.DataFrame
        What :func:`cross_validate` gives, one after the other, with a column ``estimator``.
    summary : pandas.DataFrame
        One row per estimator: ``estimator`` and the summary of :func:`cross_validate`.
    differences : pandas.DataFrame
        One row per pair: ``first``, ``second``, ``difference`` (mean of first minus second over
        the units), ``p_value`` (two-sided sign-flip permutation), ``n_units`` and ``unit``:
        ``"group"``, or ``"fold"`` when there are no groups.
    """

    folds: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame


def compare(
    estimators,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    random_state=0,
    n_jobs=None,
    verbose=None,
):
    """Compare estimators on the same splits, subject by subject.

    Parameters
    ----------
    estimators : dict of str -> estimator
        At least two.
    X : object
        Samples, as in :func:`cross_validate`.
    y : array-like, shape (n_samples,)
        Labels or continuous targets.
    groups : array-like, shape (n_samples,) | "none" | None
        Whose sample each is, as in :func:`cross_validate`.
    cv : int | splitter | iterable of (train, test) | None
        As in :func:`cross_validate`; made into splits once, for all estimators.
    scoring : str | callable | None
        As in :func:`cross_validate`.
    random_state : int | None
        Seed of shuffled folds, of the bootstrap and of drawn sign flips.
    n_jobs : int | None
        Folds computed in parallel.
    verbose : bool | None
        ``True`` shows progress bars on a terminal.

    Returns
    -------
    comparison : Comparison
        Folds of all, and paired differences with p-values (not corrected for the number of
        pairs; with n units the smallest possible one is ``2 / 2**n``).

    Raises
    ------
    ValueError
        If fewer than two estimators are given, or as in :func:`cross_validate`.
    """
    if not isinstance(estimators, dict) or len(estimators) < 2:
        raise ValueError("compare needs a dict of at least two estimators: {'name': estimator}.")
    if len({is_regressor(estimator) for estimator in estimators.values()}) > 1:
        raise ValueError("compare got classifiers and regressors: their scores do not compare.")
    first = next(iter(estimators.values()))
    task = _Task(first, X, y, groups, cv, random_state)
    tables, units = {}, {}
    for name, estimator in estimators.items():
        tables[name], units[name] = task.run(estimator, scoring, n_jobs, verbose)
    folds = pd.concat(
        [table.assign(estimator=name) for name, table in tables.items()], ignore_index=True
    )
    folds.attrs = {"metric": tables[name].attrs["metric"]}
    summary = pd.DataFrame([{"estimator": name, **table.attrs} for name, table in tables.items()])
    rows = []
    for one, two in itertools.combinations(estimators, 2):
        difference = units[one] - units[two]
        rows.append(
            {
                "first": one,
                "second": two,
                "difference": difference.mean(),
                "p_value": _sign_flip(difference, random_state),
                "n_units": len(difference),
                "unit": "fold" if task.groups is None or scoring is not None else "group",
            }
        )
    return Comparison(folds, summary, pd.DataFrame(rows))


class _Task:
    """Samples, targets, groups and splits: all that several estimators share."""

    def __init__(self, estimator, X, y, groups, cv, random_state):
        self.X, self.y = X, column_or_1d(y)
        n_samples = _num_samples(X)
        if len(self.y) != n_samples:
            raise ValueError(f"y has {len(self.y)} entries but X has {n_samples} samples.")
        self.random_state = random_state
        self.is_regression = is_regressor(estimator)
        self.groups = _check_groups(groups, X, n_samples)
        self.splits = self._make_splits(cv)

    def _make_splits(self, cv):
        n_samples, seed = len(self.y), self.random_state
        if cv is None or isinstance(cv, (int, np.integer)):
            cv = self._default_cv(cv, seed)
        cv = check_cv(cv, self.y, classifier=not self.is_regression)
        splits = list(cv.split(np.zeros(n_samples), self.y, self.groups))
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
                    "the score would be too good. Use a splitter of groups, e.g. GroupKFold, or "
                    "cv=None."
                )
        return splits

    def _default_cv(self, n_folds, seed):
        if self.groups is None:
            kind = KFold if self.is_regression else StratifiedKFold
            return kind(n_folds or 5, shuffle=True, random_state=seed)
        n_groups = len(set(self.groups))
        if n_folds is None and n_groups <= _FEW_GROUPS:
            return LeaveOneGroupOut()
        if self.is_regression:
            return GroupKFold(n_folds or 5, shuffle=True, random_state=seed)
        return StratifiedGroupKFold(n_folds or 5, shuffle=True, random_state=seed)

    def run(self, estimator, scoring, n_jobs, verbose):
        """Score one estimator; also its score by unit (group, or fold)."""
        jobs = progress(self.splits, description="Folds", enabled=bool(verbose))
        done = Parallel(n_jobs=n_jobs)(
            delayed(_run_fold)(clone(estimator), self, train, test, scoring)
            for train, test in jobs
        )
        _warn_of_seen(seen for _, _, seen in done)
        rows = []
        for fold, ((train, test), (row, _, _)) in enumerate(zip(self.splits, done)):
            names = () if self.groups is None else _in_order(self.groups[test])
            sizes = {"n_train": len(train), "n_test": len(test), "test_groups": names}
            rows.append({"fold": fold, **row, **sizes})
        folds = pd.DataFrame(rows)
        folds.attrs.update(self._summary(folds, [p for _, p, _ in done], scoring))
        if self.groups is None or scoring is not None:
            return folds, folds["score"].to_numpy()
        return folds, self._by_group([p for _, p, _ in done])

    def _pooled(self, predictions):
        """Targets, predictions and groups of all test samples."""
        test = np.concatenate([test for _, test in self.splits])
        return self.y[test], np.concatenate(predictions), self.groups[test]

    def _by_group(self, predictions):
        y, predicted, groups = self._pooled(predictions)
        scores = []
        for group in _in_order(groups):
            rows = groups == group
            if self.is_regression:
                scores.append(np.abs(y[rows] - predicted[rows]).mean())
            else:
                scores.append(_recall(y[rows], predicted[rows]))
        return np.array(scores)

    def _summary(self, folds, predictions, scoring):
        scores = folds["score"].to_numpy()
        n_groups = 0 if self.groups is None else len(set(self.groups))
        name = "mean_absolute_error" if self.is_regression else "balanced_accuracy"
        summary = {
            "metric": name if scoring is None else getattr(scoring, "__name__", str(scoring)),
            "mean": float(scores.mean()),
            "chance": float(folds["chance"].mean()),
            "n_groups": n_groups,
        }
        by, half = "folds", np.nan
        if scoring is None and n_groups > _FEW_GROUPS:
            by = "groups"
            half = _bootstrap(*self._pooled(predictions), self.is_regression, self.random_state)
        elif len(scores) > 1:
            half = stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores)
        interval = (float(scores.mean() - half), float(scores.mean() + half))
        if scoring is None and not self.is_regression:  # no accuracy lies outside
            interval = (max(interval[0], 0.0), min(interval[1], 1.0))
        return {**summary, "interval": interval, "interval_by": by}


def _check_groups(groups, X, n_samples):
    """An array of groups, or None when the user says that there are none."""
    if isinstance(groups, str):
        if groups != "none":
            raise ValueError(f"'groups' must be one entry per sample or 'none', got {groups!r}.")
        return None
    if groups is None:
        groups = _own_groups(X)
    if groups is None:
        raise ValueError(
            "'groups' is needed: one entry per sample that says whose it is. Samples of one "
            "subject resemble each other, so a score is honest only when whole subjects are left "
            "out. With one subject only, give its runs or sessions; groups='none' says that no "
            "two samples belong together."
        )
    groups = column_or_1d(groups)
    if len(groups) != n_samples:
        raise ValueError(f"groups has {len(groups)} entries but X has {n_samples} samples.")
    if pd.isna(groups).any():
        raise ValueError(f"groups is missing in {int(pd.isna(groups).sum())} samples.")
    if len(set(groups)) < 2:
        raise ValueError(
            f"All samples are of one group, {groups[0]!r}: nobody is left to test on. Give its "
            "runs or sessions as groups; groups='none' says that no two samples belong together."
        )
    return groups


def _own_groups(X):
    """Subjects that the samples themselves name."""
    metadata = getattr(X, "metadata", None)
    if metadata is not None and "subject" in metadata:
        return metadata["subject"].to_numpy()
    subject = getattr(X, "subject", None)
    if subject is None and hasattr(X, "parts"):
        subject = next(iter(X.parts.values())).subject
    is_known = isinstance(subject, tuple) and len(subject) and None not in subject
    return np.array(subject, dtype=object) if is_known else None


def _run_fold(estimator, task, train, test, scoring):
    """Fit on one side, score on the other; returns the row, predictions and subjects seen."""
    y_train, y_test = task.y[train], task.y[test]
    X_train, X_test = _safe_indexing(task.X, train), _safe_indexing(task.X, test)
    groups = None if task.groups is None else task.groups[train]
    estimator.fit(X_train, y_train, **_group_argument(estimator, groups))
    seen = () if task.groups is None else _seen(estimator, _in_order(task.groups[test]))
    dummy = DummyRegressor(strategy="median") if task.is_regression else DummyClassifier()
    dummy.fit(np.zeros((len(train), 1)), y_train)
    blank = np.zeros((len(test), 1))
    if scoring is not None:
        scorer = check_scoring(estimator, scoring)
        return (
            {"score": scorer(estimator, X_test, y_test), "chance": scorer(dummy, blank, y_test)},
            None,
            seen,
        )
    predicted, guess = np.asarray(estimator.predict(X_test)), dummy.predict(blank)
    if not task.is_regression:
        row = {"score": _recall(y_test, predicted), "chance": 1 / len(np.unique(y_test))}
        return row, predicted, seen
    row = {
        "score": np.abs(y_test - predicted).mean(),
        "chance": np.abs(y_test - guess).mean(),
        "r": _correlation(y_test, predicted),
    }
    return row, predicted, seen


def _group_argument(estimator, groups):
    """Keyword of ``fit`` for the groups, when it takes them; in a pipeline, its last step's."""
    if groups is None:
        return {}
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {f"{name}__groups": groups} if has_fit_parameter(last, "groups") else {}
    return {"groups": groups} if has_fit_parameter(estimator, "groups") else {}


def _seen(estimator, groups):
    """Test groups that a checkpoint's manifest lists among its subjects."""
    steps = [step for _, step in getattr(estimator, "steps", [])] or [estimator]
    known = set()
    for step in steps:
        manifest = getattr(step, "_manifest", None) or {}
        known.update(manifest.get("subjects") or ())
    return tuple(group for group in groups if hash_subject(group) in known)


def _warn_of_seen(rows):
    seen = sorted({str(group) for row in rows for group in row})
    if seen:
        warn(
            f"{len(seen)} test subject(s) may have been in the corpus of the checkpoint, by name: "
            f"{', '.join(seen[:10])}. Their scores are not those of unseen subjects."
        )


def _recall(y, predicted):
    """Balanced accuracy; scikit-learn's warns when a class that was guessed is not in ``y``."""
    return float(np.mean([(predicted[y == label] == label).mean() for label in np.unique(y)]))


def _correlation(y, predicted):
    is_constant = np.ptp(y) == 0 or np.ptp(predicted) == 0
    return np.nan if is_constant or len(y) < 2 else float(np.corrcoef(y, predicted)[0, 1])


def _in_order(groups):
    return tuple(dict.fromkeys(np.asarray(groups).tolist()))


def _bootstrap(y, predicted, groups, is_regression, random_state):
    """Half the 95 % interval of the pooled score, from groups drawn with replacement."""
    names, which = np.unique(groups.astype(str), return_inverse=True)
    if is_regression:
        right, total = np.abs(y - predicted)[:, None], np.ones((len(y), 1))
    else:
        total = (y[:, None] == np.unique(y)).astype(float)  # (n, n_classes)
        right = total * (y == predicted)[:, None]
    by_group = np.zeros((2, len(names), total.shape[1]))
    np.add.at(by_group[0], which, right)
    np.add.at(by_group[1], which, total)
    rng = np.random.default_rng(random_state)
    counts = rng.multinomial(len(names), [1 / len(names)] * len(names), size=_N_BOOTSTRAP)
    right, total = counts @ by_group[0], counts @ by_group[1]  # (n_bootstrap, n_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.nanmean(right / total, axis=1)
    # With few groups, drawing n of n is too narrow by sqrt(1 - 1/n), and tails are Student's.
    n = len(names)
    return float(stats.t.ppf(0.975, n - 1) * scores.std() * np.sqrt(n / (n - 1)))


def _sign_flip(difference, random_state):
    """Two-sided p-value of a mean difference when each unit's sign could be either."""
    n = len(difference)
    if n <= 12:
        signs = np.array(list(itertools.product([1, -1], repeat=n)))
    else:
        signs = np.random.default_rng(random_state).choice([1, -1], size=(_N_FLIPS, n))
        signs[0] = 1  # the observed one is one of the possible ones
    means = np.abs(signs @ difference) / n
    return float((means >= abs(difference.mean()) - 1e-12).mean())
