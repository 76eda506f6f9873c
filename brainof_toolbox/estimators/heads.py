"""Heads on frozen features, their strength chosen inside the training data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

STRENGTHS = np.logspace(-2, 3, 6)  # inverse penalties; kernels have a mean diagonal of 1
_WITHOUT_CHOICE = 2  # strength 1, where the samples allow no inner splits
_MOST_FOLDS = 5
N_HIDDEN = 32


class StandardizeAndProject(TransformerMixin, BaseEstimator):
    """Standardise features and project them onto the span of the training samples.

    A ridge penalty is invariant to rotations, so a penalised head gives the same predictions on
    at most ``n_samples`` projected features as on tens of thousands of original ones. Features
    are divided by the root of their number, so that one grid of strengths fits every pooling.
    NaN (a modality that a sample lacks) counts as the training mean.
    """

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
        scale[constant] = np.inf
        self.scale_ = scale * np.sqrt(max(np.count_nonzero(~constant), 1))
        Z = (X - self.mean_) / self.scale_
        self.components_ = None
        if Z.shape[0] < Z.shape[1]:
            # Eigenvectors of the small Gram matrix give the directions; those without length go.
            vectors, length = find_span(Z)
            self.components_ = (vectors / length).T @ Z
        return self

    def transform(self, X):
        """Return projected features (n_samples, min(n_samples, n_features))."""
        check_is_fitted(self)
        X = np.asarray(X, dtype=np.float64)
        Z = (np.where(np.isnan(X), self.mean_, X) - self.mean_) / self.scale_
        return Z if self.components_ is None else Z @ self.components_.T


def find_span(rows):
    """Return unit vectors (n, r) and lengths (r,) that span rows (n, d) of fewer samples."""
    power, vectors = eigh(rows @ rows.T, driver="evd")
    kept = power > 1e-10 * power[-1]
    kept[-1] = True  # one direction stays where all samples are equal
    return vectors[:, kept], np.sqrt(np.maximum(power[kept], np.finfo(float).tiny))


def fit_head(features, y, groups=None, *, kind="linear", weight=None, random_state=0):
    """Fit class indices or floating-point targets (n_samples,), the penalty chosen inside."""
    # features (n_samples, n_features), groups (n_samples,), weight (n_samples,).
    is_classification = y.dtype.kind != "f"
    models = [_model(kind, is_classification, 1.0 / s, random_state) for s in STRENGTHS]
    splits = inner_splits(y, groups, is_classification=is_classification)
    return _fit_head(features, y, np.ones(len(y)) if weight is None else weight, models, splits)


def _model(kind, is_classification, alpha, random_state):
    """Make a linear model or a small network with a penalty."""
    if kind == "linear" and is_classification:
        return LogisticRegression(C=1.0 / alpha, max_iter=500)
    if kind == "linear":
        return Ridge(alpha=alpha)
    network = MLPClassifier if is_classification else MLPRegressor
    return network(
        hidden_layer_sizes=(N_HIDDEN,),
        solver="lbfgs",
        alpha=alpha,
        max_iter=300,
        random_state=random_state,
    )


def _fit_head(features, y, weight, models, splits):
    """Choose one of the models, fit it to all samples, and put the projection before it."""
    scaler = StandardizeAndProject().fit(features, weight=weight)
    Z = scaler.transform(features)
    with warnings.catch_warnings():
        # A small network that is stopped early generalises as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _choose(models, Z, y, weight, splits)
        return make_pipeline(scaler, model.fit(Z, y, sample_weight=weight))


def _choose(models, Z, y, weight, splits):
    """Return the model with the smallest loss over the left-out samples; the first of equals."""
    if not splits:
        return models[_WITHOUT_CHOICE]
    totals = [0.0 for _ in models]
    for number, model in enumerate(models):
        for train, test in splits:
            model.fit(Z[train], y[train], sample_weight=weight[train])
            totals[number] += (_losses(model, Z[test], y[test]) * weight[test]).sum()
    return models[int(np.argmin(totals))]


def _losses(model, Z, y):
    """Return the log loss or the squared error of each sample; a class may be left out."""
    if not is_classifier(model):
        return np.square(model.predict(Z) - y)
    probability = model.predict_proba(Z)[np.arange(len(y)), y]
    return -np.log(np.maximum(probability, np.finfo(float).eps))


@dataclass(frozen=True, eq=False)
class LayeredHead:
    """Linear layers with rectifiers between them, on all blocks side by side."""

    columns: dict  # name of a block -> number of its columns
    mean: np.ndarray  # (d,)
    rate: np.ndarray  # (d,) factors on what is left without the mean
    layers: list  # pairs of a matrix (n_out, n_in) and an offset (n_out,)

    @classmethod
    def fit(cls, blocks, y, groups=None, weight=None, *, random_state=0):
        """Fit a small network to blocks, by name (n_samples, n_columns)."""
        scaler, model = fit_head(
            _join(blocks), y, groups, kind="mlp", weight=weight, random_state=random_state
        )
        layers = [(matrix.T, offset) for matrix, offset in zip(model.coefs_, model.intercepts_)]
        if scaler.components_ is not None:
            layers[0] = (layers[0][0] @ scaler.components_, layers[0][1])
        if is_classifier(model) and len(layers[-1][0]) == 1:  # the log odds of two classes
            layers[-1] = tuple(np.concatenate([-part, part]) / 2 for part in layers[-1])
        columns = {name: block.shape[1] for name, block in blocks.items()}
        return cls(columns, scaler.mean_, 1.0 / scaler.scale_, layers)

    def decision(self, blocks):
        """Compute logits (n_samples, n_classes), or the target (n_samples, 1)."""
        rows = (_join({name: blocks[name] for name in self.columns}) - self.mean) * self.rate
        rows[np.isnan(rows)] = 0.0  # missing blocks count as the training mean
        for number, (matrix, offset) in enumerate(self.layers):
            rows = (np.maximum(rows, 0.0) if number else rows) @ matrix.T + offset
        return rows

    @property
    def means(self):
        """Mean (n_columns,) of each block in training."""
        edges = np.cumsum(list(self.columns.values()))[:-1]
        return dict(zip(self.columns, np.split(self.mean, edges), strict=True))

    def arrays(self):
        """Collect the arrays that predictions need, by name."""
        arrays = {"mean": self.mean, "rate": self.rate}
        for number, (matrix, offset) in enumerate(self.layers):
            arrays |= {f"matrix.{number}": matrix, f"offset.{number}": offset}
        return arrays

    def choices(self):
        """Collect the widths of blocks, in types that JSON has."""
        return {"columns": self.columns}

    @staticmethod
    def shapes(widths, n_outputs):
        """List the shapes of :meth:`arrays` for the widths of blocks, by name."""
        n = sum(widths.values())
        shapes = {"mean": (n,), "rate": (n,), "matrix.0": (N_HIDDEN, n), "offset.0": (N_HIDDEN,)}
        return shapes | {"matrix.1": (n_outputs, N_HIDDEN), "offset.1": (n_outputs,)}

    @staticmethod
    def check_choices(choices, widths):
        """Refuse other :meth:`choices` than those of a head on these blocks."""
        if list(choices) != ["columns"] or choices["columns"] != widths:
            raise ValueError("its head is not one on these blocks")

    @classmethod
    def restore(cls, arrays, choices):
        """Build a head from its :meth:`arrays` and :meth:`choices`."""
        layers = [(arrays[f"matrix.{number}"], arrays[f"offset.{number}"]) for number in (0, 1)]
        return cls(choices["columns"], arrays["mean"], arrays["rate"], layers)

    def latent_layers(self):
        """Return means, factors and layers of a head on latents alone."""
        refuse_others(self.columns)
        return self.mean, self.rate, self.layers


def _join(blocks):
    """Put blocks side by side: rows (n_samples, d); no sample may lack all of them."""
    rows = np.hstack(list(blocks.values())).astype(np.float64)
    is_empty = np.isnan(rows).all(axis=1)
    if is_empty.any():
        raise ValueError(
            f"Sample {int(is_empty.argmax())} has none of the features {', '.join(blocks)}."
        )
    return rows


def refuse_others(blocks):
    """Refuse a head on other features than latents alone."""
    if set(blocks) != {"latents"}:
        raise ValueError(
            f"The decoder uses the features {', '.join(blocks)}, and this needs latents alone: "
            "pass features='latents'."
        )


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
