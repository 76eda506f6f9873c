"""scikit-learn heads on frozen features, their strength chosen inside the training data."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

_STRENGTHS = np.logspace(-2, 3, 6)
_MOST_FOLDS = 5


class Rotate(TransformerMixin, BaseEstimator):
    """Standardise features and rotate them into the span of the training samples.

    A ridge penalty does not see rotations, so a penalised head gives the same predictions on at
    most ``n_samples`` rotated features as on tens of thousands of original ones. Features
    are divided by the root of their number, so that one grid of strengths fits every pooling.
    """

    def fit(self, X, y=None):
        """Learn means, scales and directions from features X (n_samples, n_features)."""
        X = np.asarray(X, dtype=np.float64)
        self.mean_ = X.mean(axis=0)
        scale = X.std(axis=0)
        # A feature that varies by rounding alone would be blown up to noise of unit size.
        constant = scale <= 1e-6 * np.maximum(np.abs(self.mean_), 1e-3)
        scale[constant] = np.inf
        self.scale_ = scale * np.sqrt(max(np.count_nonzero(~constant), 1))
        Z = (X - self.mean_) / self.scale_
        self.components_ = None
        if Z.shape[0] < Z.shape[1]:
            # Eigenvectors of the small Gram matrix give the directions; those of no length go.
            power, vectors = np.linalg.eigh(Z @ Z.T)  # (n_samples,), (n_samples, n_samples)
            kept = power > 1e-10 * power[-1]
            kept[-1] = True  # one direction stays where all samples are equal
            length = np.sqrt(np.maximum(power[kept], np.finfo(float).tiny))
            self.components_ = (vectors[:, kept] / length).T @ Z
        return self

    def transform(self, X):
        """Return rotated features (n_samples, min(n_samples, n_features))."""
        check_is_fitted(self)
        Z = (np.asarray(X, dtype=np.float64) - self.mean_) / self.scale_
        return Z if self.components_ is None else Z @ self.components_.T


def fit_classification_head(features, y, groups=None, class_weight=None):
    """Logistic regression, its penalty chosen by inner cross-validation on log loss.

    Parameters
    ----------
    features : ndarray, shape (n_samples, n_features)
        Features of the training samples.
    y : ndarray of int, shape (n_samples,)
        Class indices.
    groups : array-like, shape (n_samples,) | None
        Samples of one group stay on one side of every inner split.
    class_weight : dict | None
        Weight of each class index, in training and in the choice of the strength.

    Returns
    -------
    head : sklearn.pipeline.Pipeline
        Fitted; the chosen strength is ``head[-1].C``.
    """
    rotate = Rotate().fit(features)
    Z = rotate.transform(features)
    model = LogisticRegression(max_iter=500, class_weight=class_weight)
    splits = inner_splits(y, groups, is_classification=True)
    if splits:
        models = [clone(model).set_params(C=strength) for strength in _STRENGTHS]
        model = _choose(models, _log_losses, Z, y, splits)
    return make_pipeline(rotate, model.fit(Z, y))


def fit_regression_head(features, y, groups=None):
    """Ridge regression, its penalty chosen by inner cross-validation on squared error.

    Parameters
    ----------
    features : ndarray, shape (n_samples, n_features)
        Features of the training samples.
    y : ndarray of float, shape (n_samples,)
        Targets.
    groups : array-like, shape (n_samples,) | None
        Samples of one group stay on one side of every inner split.

    Returns
    -------
    head : sklearn.pipeline.Pipeline
        Fitted; the chosen strength is ``head[-1].alpha``.
    """
    rotate = Rotate().fit(features)
    Z = rotate.transform(features)
    model = Ridge()
    splits = inner_splits(y, groups, is_classification=False)
    if splits:
        models = [clone(model).set_params(alpha=1.0 / strength) for strength in _STRENGTHS]
        model = _choose(models, _squared_errors, Z, y, splits)
    return make_pipeline(rotate, model.fit(Z, y))


def linear_map(head):
    """A fitted head as one linear map of standardised features.

    Parameters
    ----------
    head : sklearn.pipeline.Pipeline
        From :func:`fit_classification_head` or :func:`fit_regression_head`.

    Returns
    -------
    weight : ndarray, shape (n_outputs, n_features)
        Acts on ``(features - mean) / scale``.
    bias : ndarray, shape (n_outputs,)
        Two classes have two outputs, whose difference is the log odds.
    """
    rotate, model = head[0], head[-1]
    weight, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if rotate.components_ is not None:
        weight = weight @ rotate.components_
    if isinstance(model, LogisticRegression) and len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _choose(models, losses, Z, y, splits):
    """The model with the smallest loss over all watched samples; the first of equals."""
    totals = [
        sum(
            losses(model.fit(Z[train], y[train]), Z[test], y[test]).sum() for train, test in splits
        )
        for model in models
    ]
    return models[int(np.argmin(totals))]


def _log_losses(model, Z, y):
    """Weighted as in training. A left-out subject may lack a class, which is no obstacle here."""
    probability = model.predict_proba(Z)[np.arange(len(y)), y]
    weight = 1.0 if model.class_weight is None else np.array([model.class_weight[i] for i in y])
    return -np.log(np.maximum(probability, np.finfo(float).eps)) * weight


def _squared_errors(model, Z, y):
    return np.square(model.predict(Z) - y)


def inner_splits(y, groups, *, is_classification, n_folds=_MOST_FOLDS, random_state=0):
    """Splits of the training samples that respect groups and keep every class in training.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Class indices or targets.
    groups : array-like, shape (n_samples,) | None
        Samples of one group stay on one side.
    is_classification : bool
        Stratify by class.
    n_folds : int
        At most this many.
    random_state : int
        Seed of the shuffling.

    Returns
    -------
    splits : list of (ndarray, ndarray)
        Training and validation indices; empty when the data allow none, for example when each
        class is one group. Groups are kept whole even then; only a single group is divided.
    """
    smallest = np.unique(y, return_counts=True)[1].min() if is_classification else len(y)
    n_groups = 0 if groups is None else len(np.unique(groups))
    if n_groups >= 2:
        kind = StratifiedGroupKFold if is_classification else GroupKFold
        limit = n_groups
    else:  # one group has nothing to keep apart
        kind, groups = StratifiedKFold if is_classification else KFold, None
        limit = int(smallest)
    if min(n_folds, limit) < 2:
        return []
    splitter = kind(min(n_folds, limit), shuffle=True, random_state=random_state)
    try:
        splits = list(splitter.split(np.zeros(len(y)), y, groups))
    except ValueError:  # fewer members than folds in every class
        return []
    return [
        (train, test)
        for train, test in splits
        if len(test) and (not is_classification or len(np.unique(y[train])) == len(np.unique(y)))
    ]
