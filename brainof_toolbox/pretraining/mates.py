"""Pairs of samples of one person."""

from __future__ import annotations

import numpy as np


class Mates:
    """Samples of a set, sorted by person."""

    def __init__(self, person, indices):
        # person: number of the person of every sample of the corpus; indices: the set
        order = np.argsort(person[indices], kind="stable")
        self._person = person
        self._indices = np.asarray(indices)[order]
        self._sorted = person[self._indices]

    def draw(self, chosen, rng):
        """Draw another sample of the same person for each; itself where there is no other."""
        chosen = np.asarray(chosen)
        first = np.searchsorted(self._sorted, self._person[chosen], "left")
        last = np.searchsorted(self._sorted, self._person[chosen], "right")
        place = first + rng.integers(np.maximum(last - first - 1, 1))
        found = self._indices[place]
        # The last of a person stands in for the chosen one, so that all others are equally likely.
        return np.where(found == chosen, self._indices[last - 1], found)
