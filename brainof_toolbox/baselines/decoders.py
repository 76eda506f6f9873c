"""Steps of classical decoders that are fitted to training samples: projections and heads."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_option
from ..estimators.heads import fit_head

_FLOOR = 1e-7  # of the largest eigenvalue


def unpack(rows, n_bands=1):
    """Make symmetric matrices (n_bands, n_samples, n, n) of their triangles, band after band."""
    rows = rows.reshape(len(rows), n_bands, -1).swapaxes(0, 1)
    n = int(np.sqrt(2 * rows.shape[-1]))
    i, j = np.triu_indices(n)
    matrices = np.empty((*rows.shape[:2], n, n))
    matrices[..., i, j] = matrices[..., j, i] = rows
    return matrices


def apply_to_eigenvalues(matrices, function):
    """Apply a function to the eigenvalues of positive matrices (..., n, n)."""
    values, vectors = np.linalg.eigh(matrices)
    values = np.maximum(values, _FLOOR * values[..., -1:].clip(min=np.finfo(float).tiny))
    return (vectors * function(values)[..., None, :]) @ vectors.swapaxes(-1, -2)


class TangentSpace(TransformerMixin, BaseEstimator):
    """Project covariances onto the tangent space at their mean, band by band.

    ``log(M^-1/2 C M^-1/2)`` on and above the diagonal, off-diagonal entries times the square root
    of 2. The mean ``M`` is pyRiemann's with ``metric="riemann"``, the exponential of the mean
    logarithm with ``"logeuclid"``. More than ``n_components`` channels are first reduced to the
    leading principal components of the mean covariance.
    """

    def __init__(self, metric="logeuclid", n_bands=1, n_components=64):
        self.metric = metric
        self.n_bands = n_bands
        self.n_components = n_components

    def fit(self, X, y=None):
        """Compute the mean of each band from triangles X (n_samples, n_bands * n_pairs)."""
        check_option("metric", self.metric, ("logeuclid", "riemann"))
        self.filters_ = [self._whiten(band) for band in unpack(X, self.n_bands)]
        return self

    def transform(self, X):
        """Return tangent vectors (n_samples, n_bands * n_pairs)."""
        check_is_fitted(self)
        rows = []
        for white, covariances in zip(self.filters_, unpack(X, self.n_bands), strict=True):
            logs = apply_to_eigenvalues(white @ covariances @ white.T, np.log)
            i, j = np.triu_indices(len(white))
            rows.append(logs[:, i, j] * np.where(i == j, 1.0, np.sqrt(2)))
        return np.concatenate(rows, axis=1)

    def _whiten(self, covariances):
        """Return the matrix (n_components, n_channels) that makes the mean the identity."""
        reduce = np.eye(covariances.shape[-1])
        if len(reduce) > self.n_components:
            _, vectors = np.linalg.eigh(covariances.mean(axis=0))
            reduce = vectors[:, -self.n_components :]
        # Also lifts eigenvalues that rounding or filled values made negative.
        reduced = apply_to_eigenvalues(reduce.T @ covariances @ reduce, lambda values: values)
        if self.metric == "riemann":
            from pyriemann.tangentspace import TangentSpace as Riemann

            mean = Riemann().fit(reduced).reference_
        else:
            logs = apply_to_eigenvalues(reduced, np.log).mean(axis=0)
            values, vectors = np.linalg.eigh(logs)
            mean = (vectors * np.exp(values)) @ vectors.T
        return apply_to_eigenvalues(mean, lambda values: values**-0.5) @ reduce.T


class SpatialPatterns(TransformerMixin, BaseEstimator):
    """Log power of common spatial patterns, each class against the rest, ``n_pairs`` per class.

    ``mne.decoding.CSP`` takes time series, and diagonalises several classes jointly. Here
    covariances that were computed once serve all folds, and each class has its own filters.
    """

    def __init__(self, n_pairs=2):
        self.n_pairs = n_pairs

    def fit(self, X, y):
        """Find filters whose power differs most between classes, from triangles X."""
        # C_a w = lambda (C_a + C_rest) w
        covariances, classes = unpack(X)[0], np.unique(y)
        means = np.stack([covariances[y == label].mean(axis=0) for label in classes])
        means = means / np.trace(means, axis1=1, axis2=2)[:, None, None]
        filters = []
        for i in range(len(classes) if len(classes) > 2 else 1):
            total = means[i] + np.delete(means, i, axis=0).mean(axis=0)
            total += _FLOOR * np.trace(total) * np.eye(len(total))
            _, w = eigh(means[i], total)
            n = min(self.n_pairs, max(1, w.shape[1] // 2))
            ends = np.r_[np.arange(n), np.arange(w.shape[1] - n, w.shape[1])]
            filters.append(w[:, np.unique(ends)].T)
        self.filters_ = np.concatenate(filters)
        return self

    def transform(self, X):
        """Return the log power of each component (n_samples, n_components)."""
        check_is_fitted(self)
        power = np.einsum("ki,nij,kj->nk", self.filters_, unpack(X)[0], self.filters_)
        return np.log(power.clip(min=0) + 1e-12)


class _ClassifierHead(ClassifierMixin, BaseEstimator):
    """Predictions of a classifier ``head_`` of class indices."""

    def predict_proba(self, X):
        """Return class probabilities (n_samples, n_classes)."""
        check_is_fitted(self)
        return self.head_.predict_proba(X)

    def predict(self, X):
        """Return the most probable class of each sample."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class LogisticHead(_ClassifierHead):
    """Logistic regression with balanced classes, its strength chosen on inner folds."""

    def fit(self, X, y, groups=None):
        """Fit; samples of one group stay on one side of every inner split."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = compute_sample_weight("balanced", labels)
        self.head_ = fit_head(X, labels, groups, weight=weight)
        return self


class BalancedLDA(_ClassifierHead):
    """Linear discriminant analysis whose classes have equal prior probabilities."""

    def __init__(self, solver="lsqr", shrinkage="auto"):
        self.solver = solver
        self.shrinkage = shrinkage

    def fit(self, X, y):
        """Fit."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        priors = np.full(len(self.classes_), 1 / len(self.classes_))
        self.head_ = LinearDiscriminantAnalysis(self.solver, self.shrinkage, priors)
        self.head_.fit(X, labels)
        return self


class RidgeHead(RegressorMixin, BaseEstimator):
    """Ridge regression, its strength chosen on inner folds."""

    def fit(self, X, y, groups=None):
        """Fit; samples of one group stay on one side of every inner split."""
        self.head_ = fit_head(X, np.asarray(y, dtype=float), groups)
        return self

    def predict(self, X):
        """Return predicted targets (n_samples,)."""
        check_is_fitted(self)
        return self.head_.predict(X)
