"""Cross-validated decoding scores: whole subjects left out, chance, paired comparisons."""

from .cross_validation import compare, cross_validate
from .results import Comparison, Scores

__all__ = ["Comparison", "Scores", "compare", "cross_validate"]
