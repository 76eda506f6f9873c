"""Results of an evaluation: tables that print, convert and plot."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from .docs import fill_evaluation_doc
from .statistics import correlation, r2
from .tables import as_html, as_text, describe_weights, number_format, readable

_MANY = 3  # estimators: above it, printed differences are those from the first one

#: Names of the measures that are not a scorer's name.
MEASURES = {
    "balanced_accuracy": "balanced accuracy",
    "mean_absolute_error": "mean absolute error, lower is better",
}
_LEVELS = {
    "samples": "labels permuted over samples",
    "groups": "labels permuted over groups",
    "recordings within groups": "labels permuted over recordings within groups",
    "within groups": "labels permuted within groups",
}


@fill_evaluation_doc
class _Result:
    """Table and figure of one estimator or several."""

    def to_dataframe(self):
        """Return the folds, of all estimators, as a table.

        Returns
        -------
        folds : pandas.DataFrame
            A copy of ``folds``.
        """
        return self.folds.copy()

    def plot(self, axes=None):
        """Draw each group's score, means with intervals, and chance; groups are joined by lines.

        Parameters
        ----------
        %(axes)s
        """
        from .plots import plot_scores

        return plot_scores(self.scores if isinstance(self, Comparison) else {"": self}, axes)


@fill_evaluation_doc
@dataclass(frozen=True, eq=False, repr=False)
class Scores(_Result):
    """Cross-validated scores of one estimator, from :func:`cross_validate`; prints as a table.

    Parameters
    ----------
    folds : pandas.DataFrame
        One row per fold: ``fold``, ``score``, ``chance`` (one over the number of classes; the
        error of the training median; with ``scoring``, the score of the most frequent training
        class or the median), ``r`` and ``r2`` (regressors; NaN where a fold's targets do not
        vary), ``n_train``, ``n_test``, ``test_groups``.
    by_group : pandas.DataFrame
        One row per group: ``group``, ``score``, ``n`` (samples tested). Empty without groups, and
        with a ``scoring`` that a single group has no value of.
    predictions : pandas.DataFrame
        One row per test sample: ``sample`` (its index in ``X``), ``fold``, ``group``, ``y``,
        ``predicted``.
    metric : str
        ``"balanced_accuracy"``, ``"mean_absolute_error"`` or the name of the scorer.
    mean : float
        Mean score of the folds. Where folds lack a class, as when each leaves out one subject with
        one label, the mean over classes of the mean recall in the folds that test the class.
    interval : tuple of float
        95 % interval of the mean.
    interval_by : str
        Units of the interval: ``"groups"`` or ``"folds"``.
    chance : float
        Mean chance of the folds.
    n_groups : int
        Number of groups; 0 without.
    p_value : float | None
        p-value of the mean under permuted labels; ``None`` without permutations.
    permuted : ndarray, shape (n_permutations,)
        Means with permuted labels.
    probabilities : pandas.DataFrame
        One row per row of ``predictions`` and one column per class. Empty for regressors and
        where the estimator has no ``predict_proba``.
    estimators : tuple of estimator
        The fitted estimator of each fold, with ``return_estimator=True``; else empty.
    permuted_by : str | None
        The level at which labels vary: ``"samples"``, ``"groups"``, ``"recordings within
        groups"`` or ``"within groups"``.
    feature_weights : pandas.DataFrame
        One row per fold and one column per feature set, for estimators that weigh feature sets
        (``feature_weights_``); else empty.
    classes : ndarray | None
        Labels of a classifier, in the order of the columns of ``probabilities``.
    """

    folds: pd.DataFrame
    by_group: pd.DataFrame
    predictions: pd.DataFrame
    metric: str
    mean: float
    interval: tuple
    interval_by: str
    chance: float
    n_groups: int
    p_value: float | None = None
    permuted: np.ndarray = field(default_factory=lambda: np.empty(0))
    probabilities: pd.DataFrame = field(default_factory=pd.DataFrame)
    estimators: tuple = ()
    permuted_by: str | None = None
    feature_weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    classes: np.ndarray | None = None

    def correlations(self):
        """Correlate the predictions of a regressor with the targets, all test samples together.

        In folds of few samples ``r`` and ``r2`` are unreliable: two subjects always give 1 or -1.

        Returns
        -------
        correlations : dict of str -> float
            ``"r"`` and ``"r2"``, NaN where nothing varies; empty for classifiers.
        """
        if self.classes is not None:
            return {}
        columns = [self.predictions[name].to_numpy(dtype=float) for name in ("y", "predicted")]
        return {"r": correlation(*columns), "r2": r2(*columns)}

    def by_class(self):
        """Return recall and precision of each class, all test samples together.

        Returns
        -------
        table : pandas.DataFrame
            One row per class: ``class``, ``recall`` (share of its samples that are predicted as
            such), ``precision`` (share of the predictions of this class that are right; NaN
            without any), ``n`` (test samples).

        Raises
        ------
        ValueError
            If the estimator is a regressor.
        """
        y, predicted = self._classified()
        precision, recall, _, n = precision_recall_fscore_support(
            y, predicted, labels=self.classes, zero_division=np.nan
        )
        return pd.DataFrame(
            {"class": self.classes, "recall": recall, "precision": precision, "n": n}
        )

    def roc_auc(self):
        """Return the area under the ROC curve of the probabilities, all test samples together.

        Returns
        -------
        area : float
            0.5 is chance. Of more than two classes, the mean over the classes, each against the
            others.

        Raises
        ------
        ValueError
            If there are no probabilities.
        """
        y = self._classified()[0]
        probability = self._probability()
        if len(self.classes) == 2:
            return float(roc_auc_score(y == self.classes[1], probability[:, 1]))
        areas = [roc_auc_score(y == label, p) for label, p in zip(self.classes, probability.T)]
        return float(np.mean(areas))

    def calibration(self, n_bins=None):
        """Compare the probability of predicted classes with the share of them that is right.

        Parameters
        ----------
        n_bins : int | None
            Number of bins with equally many test samples; ``None``: one per 15 samples, from 2 to
            8.

        Returns
        -------
        table : pandas.DataFrame
            One row per bin: ``probability`` (mean of the predicted classes') and ``correct``
            (share of correct predictions). They are equal where probabilities are calibrated.

        Raises
        ------
        ValueError
            If there are no probabilities.
        """
        y, predicted = self._classified()
        highest = self._probability().max(axis=1)
        n_bins = int(np.clip(len(y) // 15, 2, 8)) if n_bins is None else n_bins
        correct, probability = calibration_curve(
            y == predicted, highest, n_bins=n_bins, strategy="quantile"
        )
        return pd.DataFrame({"probability": probability, "correct": correct})

    def _classified(self):
        """Return labels and predicted classes of all test samples."""
        if self.classes is None:
            raise ValueError(
                "This needs predicted classes, of a classifier. These scores are of the measure "
                f"{self.metric!r} of a regressor."
            )
        return self.predictions["y"].to_numpy(), self.predictions["predicted"].to_numpy()

    def _probability(self):
        """Return probabilities (n_samples, n_classes)."""
        if self.probabilities.empty:
            raise ValueError("The estimator has no probabilities (predict_proba).")
        return self.probabilities.to_numpy()

    def plot_confusion(self, axes=None):
        """Draw the confusion matrix of all test samples, as shares of each true class.

        Parameters
        ----------
        %(axes)s

        Raises
        ------
        ValueError
            If the estimator is a regressor.
        """
        from .plots import plot_confusion

        return plot_confusion(*self._classified(), axes)

    def plot_calibration(self, axes=None):
        """Draw the share of correct predictions against their probability.

        Parameters
        ----------
        %(axes)s

        Raises
        ------
        ValueError
            If there are no probabilities.
        """
        from .plots import plot_calibration

        return plot_calibration(self.calibration(), 1 / len(self.classes), axes)

    def plot_predictions(self, axes=None):
        """Draw the predictions of a regressor against the targets.

        Parameters
        ----------
        %(axes)s

        Raises
        ------
        ValueError
            If the estimator is a classifier.
        """
        from .plots import plot_predictions

        if self.classes is not None:
            raise ValueError("These predictions are classes: use plot_confusion().")
        return plot_predictions(self.predictions, axes)

    def plot_weights(self, axes=None):
        """Draw the share of each feature set in the outputs, with a point for each fold.

        Parameters
        ----------
        %(axes)s

        Raises
        ------
        ValueError
            If the estimator does not weigh feature sets.
        """
        from .plots import plot_weights

        if self.feature_weights.empty:
            raise ValueError("The estimator has no feature_weights_: there is nothing to draw.")
        return plot_weights(self.feature_weights, axes)

    def __str__(self):
        return f"{as_text(readable(self.folds))}\n\n{self._summary()}"

    __repr__ = __str__

    def _repr_html_(self):
        return as_html(readable(self.folds), self._summary())

    def _summary(self):
        """Return the lines below the table."""
        low, high = self.interval
        show = number_format(self.mean, self.chance)
        text = f"{MEASURES.get(self.metric, self.metric)}: {show(self.mean)}"
        if np.isfinite(low):
            count = self.n_groups if self.interval_by == "groups" else len(self.folds)
            text += f", 95 % [{show(low)}, {show(high)}] over {count} {self.interval_by}"
        if not np.isclose(self.mean, self.folds["score"].mean()):
            text += " (mean over classes: folds lack some)"
        text += f"; chance {show(self.chance)}"
        found = {name: v for name, v in self.correlations().items() if np.isfinite(v)}
        pooled = [f"; {name} {number_format(value)(value)}" for name, value in found.items()]
        text += "".join(pooled) + " (all test samples together)" * bool(pooled)
        if self.p_value is not None:
            level = _LEVELS[self.permuted_by]
            text += f"; p = {self.p_value:.3g} ({len(self.permuted)} permutations, {level})"
        weights = describe_weights(self)
        return f"{text}\nfeatures: {weights}" if weights else text


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(_Result):
    """Several estimators on the same splits, from :func:`compare`; prints as a table.

    With more than three estimators, only differences from the first one are printed.

    Parameters
    ----------
    folds : pandas.DataFrame
        Those of :class:`Scores`, one after the other, with a column ``estimator``.
    summary : pandas.DataFrame
        One row per estimator: ``estimator``, ``metric``, ``mean``, ``interval``,
        ``interval_by``, ``chance``, ``n_groups``, ``p_value``.
    differences : pandas.DataFrame
        One row per pair: ``first``, ``second``, ``difference`` (mean of first minus second over
        the units), ``p_value`` (two-sided sign-flip permutation), ``n_units`` and ``unit``:
        ``"group"``, or ``"fold"`` when there are no scores by group.
    scores : dict of str -> Scores
        Scores of each estimator, as from :func:`cross_validate`.
    """

    folds: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    scores: dict = field(default_factory=dict)

    def __str__(self):
        return "\n".join(
            [
                self._title(),
                as_text(self._summary_table()),
                *self._weight_lines(),
                "",
                "differences, paired by " + self.differences["unit"].iloc[0],
                as_text(self._difference_table()),
            ]
        )

    __repr__ = __str__

    def _repr_html_(self):
        tables = self._summary_table(), self._difference_table()
        notes = "\n".join([self._title(), *self._weight_lines()])
        return as_html(tables[0], notes) + tables[1].to_html(index=False)

    @property
    def metric(self):
        """Name of the measure, the same for all estimators."""
        return self.summary["metric"].iloc[0]

    def _title(self):
        chance, show = self.summary["chance"], self._formatter()
        low, high = show(chance.min()), show(chance.max())
        chance = low if low == high else f"{low} to {high}"
        return f"{MEASURES.get(self.metric, self.metric)}, chance {chance}"

    def _formatter(self):
        return number_format(*self.summary["mean"], *self.summary["chance"])

    def _weight_lines(self):
        found = {name: describe_weights(one) for name, one in self.scores.items()}
        return [f"features of {name}: {weights}" for name, weights in found.items() if weights]

    def _summary_table(self):
        show = self._formatter()
        table = pd.DataFrame(
            {
                "estimator": self.summary["estimator"],
                "mean": self.summary["mean"].map(show),
                "95 % interval": [f"[{show(a)}, {show(b)}]" for a, b in self.summary["interval"]],
                "over": self.summary["interval_by"],
            }
        )
        r = [self.scores[name].correlations().get("r", np.nan) for name in table["estimator"]]
        if np.isfinite(r).any():
            table["r"] = list(map(number_format(1.0), r))  # of all test samples together
        if self.summary["p_value"].notna().any():
            table["p (permutation)"] = self.summary["p_value"].map("{:.3g}".format)
        return table

    def _difference_table(self):
        table = self.differences.drop(columns="unit").rename(columns={"n_units": "n"})
        if len(self.summary) > _MANY:
            table = table[table["first"] == self.summary["estimator"].iloc[0]].copy()
        show = self._formatter()
        table["difference"] = [("+" if x >= 0 else "") + show(x) for x in table["difference"]]
        table["p_value"] = table["p_value"].map("{:.3g}".format)
        return table


def unit_of(scores):
    """Return the unit that all of some scores have: a group, or a fold."""
    return "group" if all(len(one.by_group) for one in scores) else "fold"


def points(scores, unit=None):
    """Return the score of each group, or of each fold where there are no scores by group."""
    unit = unit_of([scores]) if unit is None else unit
    return (scores.by_group if unit == "group" else scores.folds).set_index(unit)["score"]
