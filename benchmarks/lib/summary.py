"""Rows of the results -> one score and interval for each decoder, and paired differences."""

from __future__ import annotations

import numpy as np

from brainof_toolbox.evaluation.statistics import sign_flip


class Summary:
    """What the rows of one set and one share of the labels say.

    Parameters
    ----------
    rows : list of dict
        Of all decoders.
    is_independent : bool
        Whether draws are data sets of their own, and not repetitions on one.
    """

    def __init__(self, rows, is_independent):
        self.is_independent = is_independent
        self.rows = {}
        for row in sorted(rows, key=lambda row: row["draw"]):
            self.rows.setdefault(row["decoder"], []).append(row)

    def __contains__(self, decoder):
        return decoder in self.rows

    def score(self, decoder):
        """Mean over draws."""
        return float(np.mean([row["score"] for row in self.rows[decoder]]))

    def interval(self, decoder):
        """95 % interval: mean of those of repetitions; narrower over independent data sets."""
        rows = self.rows[decoder]
        low, high = np.mean([row["interval"] for row in rows], axis=0)
        if not self.is_independent:
            return low, high
        mean = self.score(decoder)
        halves = [(row["interval"][1] - row["interval"][0]) / 2 for row in rows]
        half = np.sqrt(np.mean(np.square(halves)) / len(rows))
        return max(mean - half, 0.0), min(mean + half, 1.0)

    def folds(self, decoder):
        """Scores of the folds, mean over repetitions; of data sets one after the other."""
        folds = [row["folds"] for row in self.rows[decoder]]
        return np.concatenate(folds) if self.is_independent else np.mean(folds, axis=0)

    def chance(self):
        """Of guessing."""
        return next(iter(self.rows.values()))[0]["chance"]

    def about(self):
        """What is decoded, the samples, those tested, and what a unit is."""
        row = next(iter(self.rows.values()))[0]
        return row["task"], *row["n"], row["unit"]

    def best(self, decoders):
        """The decoder with the highest mean, of those that are there."""
        there = [name for name in decoders if name in self]
        return max(there, key=self.score) if there else None

    def difference(self, first, second, random_state=0):
        """Mean difference over units, its p-value, and how many units there are."""
        draws = self._shared_draws(first, second)
        one, weight = self._units(first, draws)
        two, _ = self._units(second, draws)
        names = [name for name in one if name in two]
        values = np.array([(one[name] - two[name]) * weight[name] for name in names])
        return float(values.mean()), sign_flip(values, random_state), len(values)

    def _shared_draws(self, first, second):
        """Draws of both, where a draw is the same labels or data for all; else every draw."""
        one, two = ({row["draw"] for row in self.rows[name]} for name in (first, second))
        is_cut = self.rows[first][0]["fraction"] < 1
        return one & two if is_cut or self.is_independent else one | two

    def _units(self, decoder, draws):
        """Scores and weights by unit; the same unit of several repetitions is averaged."""
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
