"""Compute scores, intervals over groups and paired differences from lines of results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainof_toolbox.evaluation.statistics import sign_flip

from .conditions import AS_RECORDED, CONDITIONS
from .decoders import DEFAULT, is_classical
from .sets import SETS

N_BOOTSTRAP = 2000
#: A default decoder this far below the best classical one is named in the table.
MARGIN = 0.05


@dataclass(frozen=True)
class Counts:
    """Hold correct and all test samples, by group and class.

    Parameters
    ----------
    names : tuple of str
        Groups.
    right, total : ndarray, shape (n_groups, n_classes)
        Mean over seeds.
    """

    names: tuple
    right: np.ndarray
    total: np.ndarray

    @property
    def score(self):
        """Return the pooled score, a mean over classes."""
        return float(np.mean(self.right.sum(axis=0) / self.total.sum(axis=0)))

    @property
    def shares(self):
        """Return the part of each group in the pooled score; their mean is the score."""
        n_groups = len(self.names)
        return n_groups * (self.right / self.total.sum(axis=0)).mean(axis=1)

    @property
    def by_group(self):
        """Return the score of each group over its own classes."""
        return _mean_ratio(self.right, self.total)

    def draw(self, weights):
        """Return scores with groups counted ``weights`` times, shape (n_draws, n_groups)."""
        return _mean_ratio(weights @ self.right, weights @ self.total)


def _mean_ratio(right, total):
    """Average the ratio over the classes that are there; NaN where none is."""
    is_there = total > 0
    ratio = np.divide(right, total, out=np.zeros(total.shape), where=is_there)
    n_there = is_there.sum(axis=1)
    return np.divide(
        ratio.sum(axis=1), n_there, out=np.full(len(total), np.nan), where=n_there > 0
    )


def count(lines):
    """Add up the lines of one decoder; seeds and repetitions of a group are averaged.

    Parameters
    ----------
    lines : list of dict
        With ``group``, ``seed``, ``right`` and ``total``.

    Returns
    -------
    counts : Counts
        Of all groups.
    """
    names = tuple(dict.fromkeys(line["group"] for line in lines))
    classes = sorted({label for line in lines for label in line["total"]})
    n_seeds = len({line["seed"] for line in lines})
    right, total = np.zeros((2, len(names), len(classes)))
    for line in lines:
        for label, n in line["total"].items():
            at = names.index(line["group"]), classes.index(label)
            right[at] += line["right"][label] / n_seeds
            total[at] += n / n_seeds
    return Counts(names, right, total)


def draw_groups(n_groups, seed=0):
    """Draw how often each group counts: (N_BOOTSTRAP, n_groups)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_BOOTSTRAP)


def widen(draws, centre, n_groups):
    """Return a 95 % interval of bootstrapped values, corrected for drawing n of n groups."""
    factor = np.sqrt(n_groups / max(n_groups - 1, 1))
    low, high = np.percentile(draws, [2.5, 97.5])
    return centre - factor * (centre - low), centre + factor * (high - centre)


def interval(counts):
    """Return the 95 % interval of a score, over groups."""
    return widen(counts.draw(draw_groups(len(counts.names))), counts.score, len(counts.names))


def difference(first, second):
    """Compare two decoders on the same groups.

    Parameters
    ----------
    first, second : Counts
        Of the same set.

    Returns
    -------
    found : dict
        ``difference``, ``low`` and ``high`` (95 %, over groups), ``p_value`` (signs of the
        groups' shares exchanged), ``n_groups``, ``draws`` and ``shares``.
    """
    if first.names != second.names or not np.allclose(first.total, second.total):
        raise ValueError("The decoders were not scored on the same groups and samples.")
    weights = draw_groups(len(first.names))
    centre = first.score - second.score
    draws = first.draw(weights) - second.draw(weights)
    low, high = widen(draws, centre, len(first.names))
    shares = first.shares - second.shares
    return {
        "difference": centre,
        "low": low,
        "high": high,
        "p_value": sign_flip(shares, 0),
        "n_groups": len(first.names),
        "draws": draws,
        "shares": shares,
    }


class Summary:
    """Summarise all results of a folder.

    Parameters
    ----------
    found : dict of Item -> list of dict
        As :meth:`~benchmarks.suite.results.Store.read` returns it.
    people : str
        The part that was scored.
    """

    def __init__(self, found, people="development"):
        self.lines, self.failures, weights = {}, {}, {}
        for item, rows in found.items():
            if item.people != people:
                continue
            key = (item.set, item.condition, item.fraction, item.decoder)
            if weights.setdefault(key, item.weights) != item.weights:
                raise ValueError(
                    f"{item} was scored with the weights {weights[key]} and {item.weights}: take "
                    "one folder of results for each."
                )
            if "cannot_run" in rows[0]:
                self.failures[key] = rows[0]["cannot_run"]
            else:
                self.lines[key] = [*self.lines.get(key, []), *rows]
        self.counts = {key: count(rows) for key, rows in self.lines.items()}

    def decoders(self, name, condition=AS_RECORDED, fraction=1.0):
        """Return the counts of each decoder of a set under a condition."""
        wanted = (name, condition, fraction)
        return {key[3]: counts for key, counts in self.counts.items() if key[:3] == wanted}

    def best_classical(self, name, condition=AS_RECORDED, fraction=1.0):
        """Return the name of the best classical decoder, or None."""
        there = self.decoders(name, condition, fraction)
        classical = [decoder for decoder in there if is_classical(decoder)]
        return max(classical, key=lambda one: there[one].score, default=None)

    def cells(self):
        """Return sets, conditions and fractions with results, in the order of the registry."""
        keys = {key[:3] for key in (*self.counts, *self.failures)}
        sets, conditions = list(SETS), [AS_RECORDED, *CONDITIONS]
        return sorted(
            keys, key=lambda key: (sets.index(key[0]), -key[2], conditions.index(key[1]))
        )

    def pairs(self, second, condition=AS_RECORDED, fraction=1.0):
        """Compare the default decoder with another, by set.

        Parameters
        ----------
        second : str | None
            A decoder; ``None``: the best classical one of each set.
        condition : str
            Condition.
        fraction : float
            Share of the labels.

        Returns
        -------
        found : dict of str -> dict
            As of :func:`difference`, for the sets that have both.
        """
        found = {}
        for name in SETS:
            there = self.decoders(name, condition, fraction)
            other = second or self.best_classical(name, condition, fraction)
            if DEFAULT in there and other in there:
                found[name] = {**difference(there[DEFAULT], there[other]), "other": other}
        return found


def pool(pairs):
    """Pool paired differences over the sets from which something is claimed.

    Parameters
    ----------
    pairs : dict of str -> dict
        Of :meth:`Summary.pairs`.

    Returns
    -------
    pooled : dict | None
        ``difference`` (sets count the same), ``low`` and ``high`` (95 %, groups drawn within
        sets), ``over_groups`` and ``p_value`` (groups count the same; their signs exchanged),
        ``n_groups``, ``n_sets`` and ``below`` (sets more than ``MARGIN`` below). ``None``
        without sets.
    """
    pairs = {name: pair for name, pair in pairs.items() if SETS[name].is_claimed}
    if not pairs:
        return None
    centre = float(np.mean([pair["difference"] for pair in pairs.values()]))
    # Each set has draws of its own: those of another seed, in another order.
    shuffled = [
        np.random.default_rng(seed).permutation(pair["draws"])
        for seed, pair in enumerate(pairs.values())
    ]
    low, high = np.percentile(np.mean(shuffled, axis=0), [2.5, 97.5])
    shares = np.concatenate([pair["shares"] for pair in pairs.values()])
    return {
        "difference": centre,
        "low": float(low),
        "high": float(high),
        "over_groups": float(shares.mean()),
        "p_value": sign_flip(shares, 0),
        "n_groups": len(shares),
        "n_sets": len(pairs),
        "below": [name for name, pair in pairs.items() if pair["difference"] < -MARGIN],
    }
