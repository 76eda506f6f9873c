"""Heads on frozen features, their strength chosen inside the training data."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

_STRENGTHS = np.logspace(-2, 3, 6)
_WITHOUT_CHOICE = 2  # strength 1, where the samples allow no inner splits
_MOST_FOLDS = 5
N_HIDDEN = 32


class StandardizeAndProject(TransformerMixin, BaseEstimator):
    """Standardise features and project them onto the span of the training samples.

    A ridge penalty is invariant to rotations, so a penalised head gives the same predictions on
    at most ``n_samples`` projected features as on tens of thousands of original ones. Features
    are divided by the root of their number, so that one grid of strengths fits every pooling.
    NaN (a modality that a sample lacks) counts as the training mean. Features of one ``parts``
    entry, side by side, share a scale; ``None``: each has its own.
    """

    def __init__(self, parts=None):
        self.parts = parts

    def fit(self, X, y=None, weight=None):
        """Estimate means, scales and directions from features X (n_samples, n_features)."""
        X = np.asarray(X, dtype=np.float64)
        if np.isnan(X).any():
            masked = np.ma.masked_invalid(X)
            self.mean_ = np.ma.average(masked, axis=0, weights=weight).filled(0.0)
            X = np.where(np.isnan(X), self.mean_, X)
        else:
            self.mean_ = np.average(X, axis=0, weights=weight)
        scale = np.sqrt(np.average(np.square(X - self.mean_), axis=0, weights=weight))
        # A feature that varies by rounding alone would be blown up to noise of unit size.
        constant = scale <= 1e-6 * np.maximum(np.abs(self.mean_), 1e-3)
        scale, n_parts = share_scales(np.where(constant, 0.0, scale), self.parts)
        scale[constant] = np.inf
        self.scale_ = scale * np.sqrt(max(n_parts, 1))
        Z = (X - self.mean_) / self.scale_
        self.components_ = None
        if Z.shape[0] < Z.shape[1]:
            # Eigenvectors of the small Gram matrix give the directions; those without length go.
            power, vectors = np.linalg.eigh(Z @ Z.T)  # (n_samples,), (n_samples, n_samples)
            kept = power > 1e-10 * power[-1]
            kept[-1] = True  # one direction stays where all samples are equal
            length = np.sqrt(np.maximum(power[kept], np.finfo(float).tiny))
            self.components_ = (vectors[:, kept] / length).T @ Z
        return self

    def transform(self, X):
        """Return projected features (n_samples, min(n_samples, n_features))."""
        check_is_fitted(self)
        X = np.asarray(X, dtype=np.float64)
        Z = (np.where(np.isnan(X), self.mean_, X) - self.mean_) / self.scale_
        return Z if self.components_ is None else Z @ self.components_.T


def share_scales(scale, parts):
    """Give the columns of each part the root of their total power; count parts with any."""
    # scale (n_columns,) is 0 for constant columns; parts: number of columns of each, side by side.
    if parts is None:
        return scale, np.count_nonzero(scale)
    starts = np.cumsum([0, *parts[:-1]])
    joint = np.sqrt(np.add.reduceat(np.square(scale), starts))
    return np.repeat(joint, parts), np.count_nonzero(joint)


def fit_classification_head(
    features,
    y,
    groups=None,
    class_weight=None,
    *,
    kind="linear",
    weight=None,
    parts=None,
    random_state=0,
):
    """Logistic regression or a small network, its penalty chosen by inner cross-validation."""
    # features (n_samples, n_features), y (n_samples,), groups (n_samples,), weight (n_samples,).
    weight = np.ones(len(y)) if weight is None else weight
    if class_weight is not None:
        weight = weight * np.array([class_weight[i] for i in y])
    if kind == "linear":
        models = [LogisticRegression(C=strength, max_iter=500) for strength in _STRENGTHS]
    else:
        models = [_network(MLPClassifier, strength, random_state) for strength in _STRENGTHS]
    splits = inner_splits(y, groups, is_classification=True)
    return _fit_head(features, y, weight, models, _log_losses, splits, parts)


def fit_regression_head(
    features, y, groups=None, *, kind="linear", weight=None, parts=None, random_state=0
):
    """Ridge regression or a small network, its penalty chosen by inner cross-validation."""
    # features (n_samples, n_features), y (n_samples,), groups (n_samples,), weight (n_samples,).
    weight = np.ones(len(y)) if weight is None else weight
    if kind == "linear":
        models = [Ridge(alpha=1.0 / strength) for strength in _STRENGTHS]
    else:
        models = [_network(MLPRegressor, strength, random_state) for strength in _STRENGTHS]
    splits = inner_splits(y, groups, is_classification=False)
    return _fit_head(features, y, weight, models, _squared_errors, splits, parts)


def _network(kind, strength, random_state):
    """Make a multilayer perceptron with the penalty of the linear head."""
    return kind(
        hidden_layer_sizes=(N_HIDDEN,),
        solver="lbfgs",
        alpha=1.0 / strength,
        max_iter=300,
        random_state=random_state,
    )


def _fit_head(features, y, weight, models, losses, splits, parts=None):
    """Choose one of the models, fit it to all samples, and put the projection before it."""
    scaler = StandardizeAndProject(parts).fit(features, weight=weight)
    Z = scaler.transform(features)
    with warnings.catch_warnings():
        # A small network that is stopped early generalises as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _choose(models, losses, Z, y, weight, splits)
        return make_pipeline(scaler, model.fit(Z, y, sample_weight=weight))


def latent_layers(head):
    """Return means, scales and linear maps, with rectifiers between them, of a head on latents."""
    head = getattr(head, "pipeline", head)
    if hasattr(head, "parts"):  # a fused probe
        if set(head.parts) != {"latents"}:
            raise ValueError(
                f"The decoder uses the features {', '.join(head.parts)}, and this needs latents "
                "alone: pass features='latents'."
            )
        part = head.parts["latents"]
        scale = np.divide(1.0, part.rate, out=np.full_like(part.rate, np.inf), where=part.rate > 0)
        return part.mean, scale, [(part.coef, head.intercept)]
    return head[0].mean_, head[0].scale_, _pipeline_layers(*head)


def _pipeline_layers(scaler, model):
    if isinstance(model, (MLPClassifier, MLPRegressor)):
        layers = [(weight.T, bias) for weight, bias in zip(model.coefs_, model.intercepts_)]
    else:
        layers = [(np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_))]
    if scaler.components_ is not None:
        layers[0] = (layers[0][0] @ scaler.components_, layers[0][1])
    weight, bias = layers[-1]
    if is_classifier(model) and len(weight) == 1:
        layers[-1] = tuple(np.concatenate([-part, part]) / 2 for part in (weight, bias))
    return layers


def _choose(models, losses, Z, y, weight, splits):
    """Return the model with the smallest loss over the left-out samples; the first of equals."""
    if not splits:
        return models[_WITHOUT_CHOICE]
    totals = [0.0 for _ in models]
    for number, model in enumerate(models):
        for train, test in splits:
            model.fit(Z[train], y[train], sample_weight=weight[train])
            totals[number] += (losses(model, Z[test], y[test]) * weight[test]).sum()
    return models[int(np.argmin(totals))]


def _log_losses(model, Z, y):
    """Return the log loss of each sample; left-out samples may lack a class."""
    probability = model.predict_proba(Z)[np.arange(len(y)), y]
    return -np.log(np.maximum(probability, np.finfo(float).eps))


def _squared_errors(model, Z, y):
    return np.square(model.predict(Z) - y)


def inner_splits(y, groups, *, is_classification, n_folds=_MOST_FOLDS, random_state=0):
    """Split the training samples by group, with every class in each training part."""
    # y (n_samples,), groups (n_samples,).
    smallest = np.unique(y, return_counts=True)[1].min() if is_classification else len(y)
    n_groups = 0 if groups is None else len(np.unique(groups))
    if n_groups >= 2:
        kind = StratifiedGroupKFold if is_classification else GroupKFold
        limit = n_groups
    else:  # a single group is divided
        kind, groups = StratifiedKFold if is_classification else KFold, None
        limit = int(smallest)
    if min(n_folds, limit) < 2:
        return []
    splitter = kind(min(n_folds, limit), shuffle=True, random_state=random_state)
    try:
        with warnings.catch_warnings():
            # Folds that leave a class without training samples are dropped below.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            splits = list(splitter.split(np.zeros(len(y)), y, groups))
    except ValueError:  # fewer members than folds in every class
        return []
    return [
        (train, test)
        for train, test in splits
        if len(test) and (not is_classification or len(np.unique(y[train])) == len(np.unique(y)))
    ]
