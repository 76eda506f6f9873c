"""A linear probe on several blocks of features; strengths and weights chosen inside the data.

n samples, d columns of a block, r dimensions of their span, K outputs, M members
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils import gen_batches

from .._utils.validation import check_number
from .heads import STRENGTHS, find_span, inner_splits, refuse_others

_WITHOUT_CHOICE = 1.0  # strength where the samples allow no inner splits
_MOST_DIRECTIONS = 1000  # wider blocks are restricted to the span of as many samples
_PRIOR = 3.0  # how many groups pull the factors of the members towards equal ones
_ALL = "all"  # the member that has all blocks side by side
_CHUNK = 2**23  # numbers that are in double precision at once


@dataclass(frozen=True)
class Part:
    """Linear map of one block: ``coef @ ((x - mean) * rate)``; a constant column has rate 0."""

    mean: np.ndarray  # (d,)
    rate: np.ndarray  # (d,)
    coef: np.ndarray  # (K, d)

    def outputs(self, X):
        """Compute the share of the block in the outputs (n, K); a row of NaN has none."""
        X = np.asarray(X)
        chunks = [X[rows] for rows in _chunks(max(len(X), 1), len(self.mean))]
        return np.concatenate([_scale(x, self.mean, self.rate) @ self.coef.T for x in chunks])


@dataclass(frozen=True)
class FusedProbe:
    """Sum of an offset and one linear map per block."""

    parts: dict  # name of a block -> Part
    intercept: np.ndarray  # (K,)
    weights_: dict  # name of a block -> share in the spread of the outputs; they sum to 1
    strength_: dict  # name of a member (a block, or "all") -> inverse penalty
    factors_: dict  # name of a member -> factor on its outputs

    @classmethod
    def of_network(cls, n_outputs, factors=(1.0,), share=1.0, probe=None):
        """Add outputs of a network, as the block "latents", to a probe's, each times a factor."""
        probe = probe or cls({}, np.zeros(n_outputs), {}, {}, {})
        own = Part(np.zeros(n_outputs), np.ones(n_outputs), factors[0] * np.eye(n_outputs))
        parts = {k: replace(part, coef=factors[1] * part.coef) for k, part in probe.parts.items()}
        return cls(
            parts={"latents": own, **parts},
            intercept=factors[-1] * probe.intercept,
            weights_={"latents": share} | {k: (1 - share) * w for k, w in probe.weights_.items()},
            strength_=probe.strength_,
            factors_={"latents": factors[0]}
            | {k: factors[1] * factor for k, factor in probe.factors_.items()},
        )

    def decision(self, blocks):
        """Compute the outputs (n, K): logits of the classes, or the target."""
        check_blocks(blocks, {name: len(part.mean) for name, part in self.parts.items()})
        return self.intercept + sum(part.outputs(blocks[k]) for k, part in self.parts.items())

    @property
    def means(self):
        """Mean (d,) of each block in training."""
        return {name: part.mean for name, part in self.parts.items()}

    def latent_layers(self):
        """Return means, factors and the linear layer of a probe on latents alone."""
        refuse_others(self.parts)
        part = self.parts["latents"]
        return part.mean, part.rate, [(part.coef, self.intercept)]

    def arrays(self):
        """Collect the arrays that predictions need, by name."""
        arrays = {"intercept": self.intercept}
        for name, part in self.parts.items():
            arrays.update({f"{field}.{name}": value for field, value in vars(part).items()})
        return arrays

    def choices(self):
        """Collect what was chosen, in types that JSON has."""
        return {name: getattr(self, name) for name in ("weights_", "strength_", "factors_")}

    @staticmethod
    def shapes(widths, n_outputs):
        """List the shapes of :meth:`arrays` for the widths of blocks, by name."""
        shapes = {"intercept": (n_outputs,)}
        for name, n in widths.items():
            shapes |= {f"mean.{name}": (n,), f"rate.{name}": (n,), f"coef.{name}": (n_outputs, n)}
        return shapes

    @staticmethod
    def check_choices(choices, widths):
        """Refuse other :meth:`choices` than those of a probe of these blocks."""
        for values in choices.values():
            for name, value in values.items():
                check_number(name, value, low=0)
        kinds = {"weights_", "strength_", "factors_"}
        if set(choices) != kinds or set(choices["weights_"]) != set(widths):
            raise ValueError("its probe is not one of these blocks")

    @classmethod
    def restore(cls, arrays, choices):
        """Build a probe from its :meth:`arrays` and :meth:`choices`."""
        names = list(choices["weights_"])
        parts = {k: Part(*(arrays[f"{f}.{k}"] for f in ("mean", "rate", "coef"))) for k in names}
        return cls(parts, arrays["intercept"], **choices)


def fit_fused(blocks, y, groups=None, weight=None, *, optional=(), random_state=0):
    """Fit a probe of class indices or of floating-point targets (n,) to blocks, by name (n, d)."""
    # Members: a logistic (or ridge) regression on each block, and one on all blocks side by side
    # but the optional ones. Their outputs are added, each times a factor of at least 0. Strengths
    # and factors minimise the log loss (squared error) in inner folds that leave out whole groups,
    # and a penalty pulls the factors towards equal ones, those of optional blocks towards 0.
    # Without inner folds, strengths are 1 and factors those of the penalty.
    n_samples, y = check_blocks(blocks), np.asarray(y)
    weight = np.ones(n_samples) if weight is None else np.asarray(weight, dtype=np.float64)
    if weight.shape != (n_samples,) or not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise ValueError(f"weight must hold {n_samples} numbers of at least 0, not all 0.")
    if y.shape != (n_samples,) or y.dtype.kind not in "iuf" or not np.isfinite(y).all():
        raise ValueError(
            f"y must hold {n_samples} class indices or finite targets, got shape {y.shape}, "
            f"{y.dtype}."
        )
    is_classification, found = y.dtype.kind != "f", np.unique(y)
    if is_classification and (len(found) < 2 or not np.array_equal(found, np.arange(len(found)))):
        raise ValueError(f"y must hold every class index from 0 on, got {found[:10]}.")
    splits = inner_splits(y, groups, is_classification=is_classification)
    return _fit(make_family(y, weight), blocks, groups, splits, optional, random_state)


def check_blocks(blocks, columns=None):
    """Return the number of samples of valid blocks; raise ValueError for others."""
    if not blocks or _ALL in blocks:
        raise ValueError(f"Blocks need names other than {_ALL!r}, got {list(blocks)}.")
    if columns is not None and set(blocks) != set(columns):
        raise ValueError(f"The probe was fitted to blocks {list(columns)}, got {list(blocks)}.")
    n_samples, is_missing = len(next(iter(blocks.values()))), []
    for name, X in blocks.items():
        X = np.asarray(X)
        n_columns = X.shape[-1] if columns is None else columns[name]
        if X.shape != (n_samples, n_columns) or not n_columns:
            raise ValueError(
                f"Block {name!r} has shape {X.shape}; {n_samples} samples and "
                f"{n_columns or 'some'} columns are needed."
            )
        is_nan = np.isnan(X[:, 0])
        is_bad = ~np.isfinite(X).all(axis=1) & ~(is_nan & np.isnan(X).all(axis=1))
        if is_bad.any():
            raise ValueError(
                f"Block {name!r} is not finite in sample {int(is_bad.argmax())}. A missing block "
                "is a row of NaN only."
            )
        is_missing.append(is_nan)
    is_empty = np.all(is_missing, axis=0)
    if is_empty.any():
        raise ValueError(f"Sample {int(is_empty.argmax())} lacks every block.")
    return n_samples


def _fit(family, blocks, groups, splits, optional, random_state):
    """Fit every member, choose their factors, and add up what they do to each block."""
    rng = np.random.default_rng(random_state)
    reduced = {k: _reduce_block(np.asarray(X), family.weight, rng) for k, X in blocks.items()}
    members = {name: rows for name, (*_, rows) in reduced.items()}
    joint = [name for name in reduced if name not in optional]
    if len(joint) > 1:
        beside = np.concatenate([members[k] for k in joint], axis=1) / np.sqrt(len(joint))
        span, members[_ALL] = _reduce(beside.__getitem__, *beside.shape, rng)
    centre = np.array([float(name not in optional) for name in members])
    centre = centre / centre.sum() if joint else np.full(len(centre), 1 / len(centre))
    with warnings.catch_warnings():
        # A member that is stopped early generalises no worse for it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        chosen = [_choose(family, rows, splits) for rows in members.values()]
        factors = choose_factors(family, [outputs for _, outputs in chosen], groups, centre)
        coefs, intercept = {}, np.zeros(family.n_outputs)
        for (name, rows), (strength, _), factor in zip(members.items(), chosen, factors):
            coef, offset = next(family.solve(rows, slice(None), [strength]))
            coefs[name] = factor * coef
            intercept += factor * offset
    if len(joint) > 1:
        edges = np.cumsum([members[name].shape[1] for name in joint])[:-1]
        shared = np.split(_expand(span, coefs.pop(_ALL)) / np.sqrt(len(joint)), edges, axis=1)
        for name, more in zip(joint, shared, strict=True):
            coefs[name] = coefs[name] + more
    shares = _shares([(members[name], coefs[name]) for name in reduced], family.weight)
    return FusedProbe(
        parts={
            name: Part(mean, rate, _expand(span, family.unit * coefs[name]))
            for name, (mean, rate, span, _) in reduced.items()
        },
        intercept=family.origin + family.unit * intercept,
        weights_=dict(zip(reduced, shares, strict=True)),
        strength_={k: float(strength) for k, (strength, _) in zip(members, chosen)},
        factors_={k: float(factor) for k, factor in zip(members, factors)},
    )


def _shares(pairs, weight):
    """Root mean squares of what blocks add to the outputs, divided by their sum."""
    spread = [float(np.sqrt(weight @ np.square(rows @ c.T)).sum()) for rows, c in pairs]
    total = sum(spread)
    return [part / total if total else 1 / len(pairs) for part in spread]


def _reduce_block(X, weight, rng):
    """Standardise a block; returns means, rates, the span and rows in it, of the power 1."""
    mean, rate = _standardise(X, weight)
    span, rows = _reduce(lambda index: _scale(X[index], mean, rate), *X.shape, rng)
    return mean, rate, span, rows


def _standardise(X, weight):
    """Means, and rates that give live columns together the power 1, without rows of NaN."""
    there = ~np.isnan(X[:, 0]) & (weight > 0)
    mean, scale = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    if not there.any():
        return mean, scale
    weight = weight[there] / weight[there].sum()
    for columns in _chunks(X.shape[1], len(X)):
        some = X[there, columns].astype(np.float64)
        mean[columns] = weight @ some
        scale[columns] = np.sqrt(weight @ np.square(some - mean[columns]))
    # A column that varies by rounding alone would become noise of unit size.
    live = scale > np.maximum(1e-6 * np.abs(mean), 1e-9 * scale.max())
    return mean, np.where(live, 1.0, 0.0) / np.where(live, scale * np.sqrt(live.sum()), 1.0)


def _chunks(n, width):
    """Slice ``n`` rows so that ``_CHUNK`` numbers are in double precision at once."""
    return gen_batches(n, max(1, _CHUNK // width))


def _scale(X, mean, rate):
    Z = (X - mean) * rate  # in double precision, as the means are
    Z[np.isnan(X[:, 0])] = 0.0
    return Z


def _reduce(take, n, d, rng):
    """Give rows (n, d), made by ``take(index)``, in the span of all or of some of them."""
    # A ridge penalty does not see rotations, so that nothing changes where all rows span.
    if d <= min(n, _MOST_DIRECTIONS):
        return None, take(slice(None))
    is_small = n <= _MOST_DIRECTIONS
    some = take(slice(None) if is_small else np.sort(rng.choice(n, _MOST_DIRECTIONS, False)))
    vectors, length = find_span(some)
    span = some, vectors / length
    if is_small:
        return span, vectors * length
    return span, np.concatenate([(take(rows) @ some.T) @ span[1] for rows in _chunks(n, d)])


def _expand(span, coef):
    """Coefficients of the columns before :func:`_reduce`."""
    return coef if span is None else (coef @ span[1].T) @ span[0]


def _choose(family, rows, splits):
    """Strength with the smallest loss in the inner folds, and the outputs (n, K) there."""
    if not splits:
        return _WITHOUT_CHOICE, None
    paths = [family.solve(rows, train, STRENGTHS) for train, _ in splits]
    least, best, n_worse = np.inf, None, 0
    for strength, solutions in zip(STRENGTHS, zip(*paths, strict=True)):
        outputs = np.full((len(rows), family.n_outputs), np.nan)
        for (_, test), (coef, offset) in zip(splits, solutions, strict=True):
            outputs[test] = rows[test] @ coef.T + offset
        watched = np.flatnonzero(~np.isnan(outputs[:, 0]))
        loss = family.loss(outputs[watched], watched)[0]
        if loss < least:
            least, best, n_worse = loss, (strength, outputs), 0
        else:
            n_worse += 1
        if n_worse == 2:  # along the strengths the loss has one minimum, apart from noise
            break
    return best


def choose_factors(family, outputs, groups, centre):
    """Return non-negative factors (M,) with the smallest loss of the sum in the inner folds."""
    # A penalty, whose weight is that of _PRIOR groups, pulls the factors towards ``centre`` (M,).
    n_members = len(outputs)
    if outputs[0] is None:
        return centre
    watched = np.flatnonzero(~np.isnan(outputs[0][:, 0]))
    stacked = np.stack([rows[watched] for rows in outputs])  # (M, n, K)
    # Samples of a group err together: a group counts once.
    n_groups = 1 if groups is None else len(np.unique(groups))
    n_groups = n_groups if n_groups > 1 else len(family.weight)
    penalty = _PRIOR * n_members * family.weight.sum() / n_groups

    def objective(factors):
        loss, slope = family.loss(np.tensordot(factors, stacked, 1), watched)
        away = factors - centre
        return loss + penalty * away @ away, (stacked * slope).sum((1, 2)) + 2 * penalty * away

    bounds = [(0, None)] * n_members
    return minimize(objective, centre, jac=True, method="L-BFGS-B", bounds=bounds).x


def make_family(y, weight):
    """Return the models of class indices or of targets (n,), for weights (n,)."""
    return (SquaresFamily if y.dtype.kind == "f" else LogisticFamily)(y, weight)


class LogisticFamily:
    """Logistic regressions of class indices."""

    origin, unit = 0.0, 1.0

    def __init__(self, y, weight):
        self.y, self.weight, self.n_outputs = y, weight, int(y.max()) + 1

    def solve(self, rows, train, strengths):
        """Yield coefficients (K, r) and offsets (K,) under each strength, in rising order."""
        model = LogisticRegression(warm_start=True, max_iter=500)
        for strength in strengths:
            model.C = strength
            model.fit(rows[train], self.y[train], sample_weight=self.weight[train])
            coef, offset = model.coef_, model.intercept_
            if self.n_outputs == 2:
                coef, offset = np.concatenate([-coef, coef]) / 2, np.array([-1, 1]) * offset / 2
            yield coef.copy(), offset.copy()

    def loss(self, outputs, index):
        """Sum of the log losses of samples, and its slope along the outputs."""
        logs = log_softmax(outputs, axis=1)
        at = np.arange(len(index)), self.y[index]
        slope = np.exp(logs)
        slope[at] -= 1.0
        weight = self.weight[index]
        return -(weight @ logs[at]), weight[:, None] * slope


class SquaresFamily:
    """Ridge regressions of a standardised target."""

    n_outputs = 1

    def __init__(self, y, weight):
        self.weight = weight
        self.origin = np.average(y, weights=weight)
        self.unit = np.sqrt(np.average(np.square(y - self.origin), weights=weight)) or 1.0
        self.y = (y - self.origin) / self.unit

    def solve(self, rows, train, strengths):
        """Yield coefficients (1, r) and offsets (1,) under each strength."""
        Z, y, weight = rows[train], self.y[train], self.weight[train]
        mean, offset = np.average(Z, axis=0, weights=weight), np.average(y, weights=weight)
        Z = Z - mean
        power, vectors = eigh((Z.T * weight) @ Z, driver="evd")
        along = vectors.T @ (Z.T @ (weight * (y - offset)))
        for strength in strengths:
            coef = vectors @ (along / (power + 1.0 / strength))
            yield coef[None], np.array([offset - mean @ coef])

    def loss(self, outputs, index):
        """Half the sum of the squared errors of samples, and its slope along the outputs."""
        error = outputs - self.y[index, None]
        weight = self.weight[index, None]
        return 0.5 * (weight * error**2).sum(), weight * error
