"""Targets and weights: what users pass, and what heads and networks are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.validation import assert_all_finite

from .._utils.validation import check_number


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """Classes, which are fitted as indices."""

    classes: np.ndarray  # (n_classes,) Labels, sorted

    @property
    def n_outputs(self):
        """Number of outputs of a network."""
        return len(self.classes)

    def encode(self, y):
        """Return class indices (n_samples,) int64; refuse other labels."""
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[:5]}; the classes are {self.classes.tolist()}."
            )
        return np.searchsorted(self.classes, y).astype(np.int64)

    def to_dict(self):
        """Return JSON values that :meth:`from_dict` reads."""
        return {"classes": self.classes.tolist(), "dtype": self.classes.dtype.str}

    @classmethod
    def from_dict(cls, values):
        """Read what :meth:`to_dict` returned, strictly."""
        kind = np.dtype(values["dtype"])
        if kind.kind not in "biufUO":
            raise ValueError(f"classes of type {kind.str!r}")
        # Text is as wide as its longest word, whatever width the file names.
        classes = np.array(values["classes"], dtype=str if kind.kind == "U" else kind)
        if classes.ndim != 1 or len(classes) < 2 or len(set(classes.tolist())) < len(classes):
            raise ValueError("classes must be at least two, and each of them once")
        return cls(classes)


@dataclass(frozen=True)
class NumberTargets:
    """Numbers, which are fitted with zero mean and unit variance."""

    mean: float
    spread: float

    n_outputs = 1

    @classmethod
    def of(cls, y, weight):
        """Take mean and spread from targets and weights (n_samples,)."""
        mean = float(np.average(y, weights=weight))
        spread = np.sqrt(np.average(np.square(y - mean), weights=weight))
        return cls(mean, float(spread) or 1.0)

    def encode(self, y):
        """Standardise targets (n_samples,)."""
        return (as_numbers(y) - self.mean) / self.spread

    def decode(self, z):
        """Return standardised targets (n_samples,) to the unit of y."""
        return z * self.spread + self.mean

    def to_dict(self):
        """Return JSON values that :meth:`from_dict` reads."""
        return {"mean": self.mean, "spread": self.spread}

    @classmethod
    def from_dict(cls, values):
        """Read what :meth:`to_dict` returned, strictly."""
        mean = check_number("mean", values["mean"])
        return cls(mean, check_number("spread", values["spread"], low=0, low_open=True))


def as_numbers(y):
    """Return targets as float64."""
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must be numbers, got dtype {y.dtype}: {error}") from error


def check_targets(y, n_samples, name="This estimator"):
    """Return targets (n_samples,) as an array; refuse missing and infinite ones."""
    if y is None:
        raise ValueError(
            f"{name} requires y to be passed, but the target y is None; X has {n_samples} samples."
        )
    y = _as_column("y", y, n_samples)
    missing = pd.isna(y)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN in {missing.sum()} of {n_samples} entries, the first at index "
            f"{missing.argmax()}. Drop these samples."
        )
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    return y


def _as_column(name, values, n_samples):
    """Return one value per sample, as an array (n_samples,)."""
    values = column_or_1d(values, warn=name == "y")
    if len(values) != n_samples:
        raise ValueError(f"{name} has {len(values)} entries but X has {n_samples} samples.")
    return values


def check_groups(groups, n_samples):
    """Return groups of any kind as integers (n_samples,); refuse missing ones."""
    if groups is None:
        return None
    groups = _as_column("groups", groups, n_samples)
    codes = pd.factorize(groups)[0]
    missing = codes < 0
    if missing.any():
        raise ValueError(
            f"groups is missing (None or NaN) for {missing.sum()} of {n_samples} samples, the "
            f"first at index {missing.argmax()}. Name a group for each."
        )
    return codes


def check_weight(sample_weight, n_samples):
    """Return weights (n_samples,); ones where there are none."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight = _as_column("sample_weight", np.asarray(sample_weight, dtype=np.float64), n_samples)
    is_bad = ~np.isfinite(weight) | (weight < 0)
    if is_bad.any() or not weight.any():
        what = f"{weight[is_bad][0]} at index {is_bad.argmax()}" if is_bad.any() else "zeros"
        raise ValueError(f"sample_weight must be numbers of at least 0, not all 0; got {what}.")
    return weight
