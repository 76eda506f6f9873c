"""Rows of the results -> one score and interval for each decoder, and paired differences."""

from __future__ import annotations

import numpy as np

from brainof_toolbox.evaluation.statistics import sign_flip


class Summary:
    """Scores of one set at one share of the labels.

    Parameters
    ----------
    rows : list of dict
        Results of all decoders.
    is_independent : bool
        True if draws are data sets of their own, False if they are repetitions on one.
    """

    def __init__(self, rows, is_independent):
        self.is_independent = is_independent
        self.rows = {}
        for row in sorted(rows, key=lambda row: row["draw"]):
            self.rows.setdefault(row["decoder"], []).append(row)

    def __contains__(self, decoder):
        return decoder in self.rows

    def score(self, decoder):
        """Return the mean over draws."""
        return float(np.mean([row["score"] for row in self.rows[decoder]]))

    def interval(self, decoder):
        """Return the 95 % interval: mean over repetitions; narrower over independent data sets."""
        rows = self.rows[decoder]
        low, high = np.mean([row["interval"] for row in rows], axis=0)
        if not self.is_independent:
            return low, high
        mean = self.score(decoder)
        halves = [(row["interval"][1] - row["interval"][0]) / 2 for row in rows]
        half = np.sqrt(np.mean(np.square(halves)) / len(rows))
        return max(mean - half, 0.0), min(mean + half, 1.0)

    def folds(self, decoder):
        """Return the scores of folds: means over repetitions, or those of all data sets."""
        folds = [row["folds"] for row in self.rows[decoder]]
        return np.concatenate(folds) if self.is_independent else np.mean(folds, axis=0)

    def chance(self):
        """Return the chance level."""
        return next(iter(self.rows.values()))[0]["chance"]

    def about(self):
        """Return the task, the numbers of samples and of tested ones, and the unit."""
        row = next(iter(self.rows.values()))[0]
        return row["task"], *row["n"], row["unit"]

    def best(self, decoders):
        """Return the decoder with the highest mean, among those with results."""
        there = [name for name in decoders if name in self]
        return max(there, key=self.score) if there else None

    def difference(self, first, second, random_state=0):
        """Return the mean difference over units, its p-value, and the number of units."""
        draws = self._shared_draws(first, second)
        one, weight = self._units(first, draws)
        two, _ = self._units(second, draws)
        names = [name for name in one if name in two]
        values = np.array([(one[name] - two[name]) * weight[name] for name in names])
        return float(values.mean()), sign_flip(values, random_state), len(values)

    def _shared_draws(self, first, second):
        """Return the draws of both decoders if they share data or labels, else every draw."""
        one, two = ({row["draw"] for row in self.rows[name]} for name in (first, second))
        is_cut = self.rows[first][0]["fraction"] < 1
        return one & two if is_cut or self.is_independent else one | two

    def _units(self, decoder, draws):
        """Return scores and weights by unit, averaged over repetitions."""
        scores, weights = {}, {}
        for row in self.rows[decoder]:
            if row["draw"] not in draws:
                continue
            weight = row["unit_weights"] or [1.0] * len(row["units"])
            for (name, score), own in zip(row["units"].items(), weight):
                name = f"{row['draw']}: {name}" if self.is_independent else name
                scores.setdefault(name, []).append(score)
                weights[name] = own
        return {name: float(np.mean(values)) for name, values in scores.items()}, weights
