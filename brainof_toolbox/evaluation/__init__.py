"""Honest decoding scores: whole subjects left out, chance beside the score, paired comparisons."""

from ._cross_validate import compare, cross_validate
from ._results import Comparison, Scores

__all__ = ["Comparison", "Scores", "compare", "cross_validate"]
