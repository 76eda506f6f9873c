"""A linear probe on several blocks of features; strengths and weights chosen inside the data.

n samples, d columns of a block, r dimensions of their span, K outputs, M members
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from .heads import inner_splits, share_scales

STRENGTHS = np.logspace(-2, 3, 6)  # inverse penalties; kernels have a mean diagonal of 1
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
        step = max(1, _CHUNK // len(self.mean))
        chunks = [X[i : i + step] for i in range(0, max(len(X), 1), step)]
        return np.concatenate(
            [_scale(chunk, self.mean, self.rate) @ self.coef.T for chunk in chunks]
        )


@dataclass(frozen=True)
class FusedProbe:
    """Sum of an offset and one linear map per block."""

    parts: dict  # name of a block -> Part
    intercept: np.ndarray  # (K,)
    weights_: dict  # name of a block -> share in the spread of the outputs; they sum to 1
    strength_: dict  # name of a member (a block, or "all") -> inverse penalty
    factors_: dict  # name of a member -> factor on its outputs

    def decision(self, blocks):
        """Compute the outputs (n, K): logits of the classes, or the target."""
        check_blocks(blocks, {name: len(part.mean) for name, part in self.parts.items()})
        return self.intercept + sum(part.outputs(blocks[k]) for k, part in self.parts.items())

    def means(self, blocks=None):
        """Collect the mean (d,) of each block in training."""
        return {name: part.mean for name, part in self.parts.items()}

    def arrays(self):
        """Collect the arrays that predictions need, by name."""
        arrays = {"intercept": self.intercept}
        for name, part in self.parts.items():
            arrays.update({f"{field}.{name}": value for field, value in vars(part).items()})
        return arrays

    def choices(self):
        """Collect what was chosen, in types that JSON has."""
        return {name: getattr(self, name) for name in ("weights_", "strength_", "factors_")}

    @classmethod
    def restore(cls, arrays, choices):
        """Build a probe from its :meth:`arrays` and :meth:`choices`."""
        names = list(choices["weights_"])
        parts = {k: Part(*(arrays[f"{f}.{k}"] for f in ("mean", "rate", "coef"))) for k in names}
        return cls(parts, arrays["intercept"], **choices)


class FusedClassifier(FusedProbe):
    """Fused probe of class indices."""

    def predict_proba(self, blocks):
        """Compute probabilities (n, K)."""
        return softmax(self.decision(blocks), axis=1)

    def predict(self, blocks):
        """Predict class indices (n,)."""
        return self.decision(blocks).argmax(axis=1)


class FusedRegressor(FusedProbe):
    """Fused probe of one target."""

    def predict(self, blocks):
        """Predict targets (n,)."""
        return self.decision(blocks)[:, 0]


def fit_fused_classifier(
    blocks, y, groups=None, weight=None, *, optional=(), parts=None, random_state=0
):
    """Fit a probe of class indices ``y`` (n,) to blocks, a dict of arrays (n, d)."""
    # Members: a logistic regression on each block, and one on all blocks side by side but the
    # optional ones. Their logits are added, each times a factor of at least 0. Strengths and
    # factors minimise the log loss in inner folds that leave out whole groups, and a penalty pulls
    # the factors towards equal ones, those of optional blocks towards 0. Without inner folds,
    # strengths are 1 and factors those of the penalty. Columns are standardised, those of one
    # entry of ``parts[name]`` (numbers of columns) together.
    n_samples = check_blocks(blocks)
    y, weight = np.asarray(y), _check_weight(weight, n_samples)
    if y.shape != (n_samples,) or y.dtype.kind not in "iu":
        raise ValueError(f"y must hold {n_samples} class indices, got shape {y.shape}, {y.dtype}.")
    if len(np.unique(y)) < 2 or not np.array_equal(np.unique(y), np.arange(y.max() + 1)):
        raise ValueError(f"y must hold every class index from 0 on, got {np.unique(y)[:10]}.")
    splits = inner_splits(y, groups, is_classification=True)
    family = LogisticFamily(y, weight)
    return _fit(FusedClassifier, family, blocks, groups, splits, optional, parts, random_state)


def fit_fused_regressor(
    blocks, y, groups=None, weight=None, *, optional=(), parts=None, random_state=0
):
    """Fit a probe of targets ``y`` (n,): the same with ridge regressions and squared errors."""
    n_samples = check_blocks(blocks)
    y, weight = np.asarray(y, dtype=np.float64), _check_weight(weight, n_samples)
    if y.shape != (n_samples,) or not np.isfinite(y).all():
        raise ValueError(f"y must hold {n_samples} finite targets, got shape {y.shape}.")
    splits = inner_splits(y, groups, is_classification=False)
    family = SquaresFamily(y, weight)
    return _fit(FusedRegressor, family, blocks, groups, splits, optional, parts, random_state)


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


def _check_weight(weight, n_samples):
    weight = np.ones(n_samples) if weight is None else np.asarray(weight, dtype=np.float64)
    if weight.shape != (n_samples,) or not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise ValueError(f"weight must hold {n_samples} numbers of at least 0, not all 0.")
    return weight


def _fit(kind, family, blocks, groups, splits, optional, parts, random_state):
    """Fit every member, choose their factors, and add up what they do to each block."""
    rng, parts = np.random.default_rng(random_state), parts or {}
    reduced = {
        name: _Block(np.asarray(X), family.weight, parts.get(name), rng)
        for name, X in blocks.items()
    }
    members = {name: block.rows for name, block in reduced.items()}
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
        edges = np.cumsum([reduced[name].rows.shape[1] for name in joint])[:-1]
        shared = np.split(_expand(span, coefs.pop(_ALL)) / np.sqrt(len(joint)), edges, axis=1)
        for name, more in zip(joint, shared, strict=True):
            coefs[name] = coefs[name] + more
    pairs = [(block, coefs[name]) for name, block in reduced.items()]
    shares = _shares(pairs, family.weight)
    return kind(
        parts={k: block.part(family.unit * c) for k, (block, c) in zip(reduced, pairs)},
        intercept=family.origin + family.unit * intercept,
        weights_=dict(zip(reduced, shares, strict=True)),
        strength_={k: float(strength) for k, (strength, _) in zip(members, chosen)},
        factors_={k: float(factor) for k, factor in zip(members, factors)},
    )


def _shares(pairs, weight):
    """Root mean squares of what blocks add to the outputs, divided by their sum."""
    spread = [float(np.sqrt(weight @ np.square(block.rows @ c.T)).sum()) for block, c in pairs]
    total = sum(spread)
    return [part / total if total else 1 / len(pairs) for part in spread]


class _Block:
    """A standardised block in at most as many directions as there are samples."""

    def __init__(self, X, weight, parts, rng):
        self.mean, self.rate = _standardise(X, weight, parts)
        self.live = np.flatnonzero(self.rate)
        if not len(self.live):
            self.live = np.arange(1)  # a column of zeros
        mean, n_live = self.mean[self.live], len(self.live)
        rate = self.rate[self.live]

        def take(index):
            return _scale(X[index][:, self.live], mean, rate)

        self.span, self.rows = _reduce(take, len(X), n_live, rng)

    def part(self, coef):
        """Return the map of original columns from that of directions (K, r)."""
        full = np.zeros((len(coef), len(self.mean)))
        full[:, self.live] = _expand(self.span, coef)
        return Part(self.mean, self.rate, full)


def _standardise(X, weight, parts):
    """Means, and rates that give live columns together the power 1, without rows of NaN."""
    there = ~np.isnan(X[:, 0]) & (weight > 0)
    mean, scale = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    if not there.any():
        return mean, scale
    weight = weight[there] / weight[there].sum()
    step = max(1, _CHUNK // len(X))
    for i in range(0, X.shape[1], step):
        some = X[there, i : i + step].astype(np.float64)
        mean[i : i + step] = weight @ some
        scale[i : i + step] = np.sqrt(weight @ np.square(some - mean[i : i + step]))
    # A column that varies by rounding alone would become noise of unit size.
    live = scale > np.maximum(1e-6 * np.abs(mean), 1e-9 * scale.max())
    scale, n_parts = share_scales(np.where(live, scale, 0.0), parts)
    return mean, np.where(live, 1.0, 0.0) / np.where(live, scale * np.sqrt(n_parts), 1.0)


def _scale(X, mean, rate):
    Z = (X - mean) * rate  # in double precision, as the means are
    Z[np.isnan(X[:, 0])] = 0.0
    return Z


def _reduce(take, n, d, rng):
    """Give rows (n, d), made by ``take(index)``, in the span of all or of some of them."""
    # A ridge penalty does not see rotations, so that nothing changes where all rows span.
    if d <= min(n, _MOST_DIRECTIONS):
        return None, take(np.arange(n))
    is_small = n <= _MOST_DIRECTIONS
    some = take(np.arange(n) if is_small else np.sort(rng.choice(n, _MOST_DIRECTIONS, False)))
    power, vectors = eigh(some @ some.T, driver="evd")
    kept = power > 1e-10 * power[-1]
    kept[-1] = True  # one direction stays where all samples are equal
    length = np.sqrt(np.maximum(power[kept], np.finfo(float).tiny))
    span = some, vectors[:, kept] / length
    if is_small:
        return span, vectors[:, kept] * length
    step = max(1, _CHUNK // d)
    parts = [np.arange(i, min(i + step, n)) for i in range(0, n, step)]
    return span, np.concatenate([(take(i) @ some.T) @ span[1] for i in parts])


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


def center_by_group(blocks, groups, centre=None):
    """Move the mean of each group towards a common centre; return the blocks and the centre."""
    # A group of n samples goes n / (n + 1) of the way: the mean of few is uncertain, and a single
    # sample must not become the centre. The centre, a dict of arrays (d,), is the mean of the
    # means of the groups; for new groups it is given. Rows of NaN stay; a block that no sample has
    # has no centre, and stays missing in new groups.
    check_blocks(blocks, None if centre is None else {k: len(c) for k, c in centre.items()})
    codes = np.unique(groups, return_inverse=True)[1]
    members = [np.flatnonzero(codes == code) for code in range(codes.max(initial=-1) + 1)]
    moved, common = {}, {}
    for name, X in blocks.items():
        X = np.array(X)
        there = [rows[~np.isnan(X[rows, 0])] for rows in members]
        there = [rows for rows in there if len(rows)]
        means = [X[rows].mean(axis=0, dtype=np.float64) for rows in there]
        if centre is None:
            common[name] = np.mean(means, axis=0) if means else np.full(X.shape[1], np.nan)
        else:
            common[name] = centre[name]
        for rows, mean in zip(there, means, strict=True):
            X[rows] -= (len(rows) / (len(rows) + 1) * (mean - common[name])).astype(X.dtype)
        moved[name] = X
    return moved, common
