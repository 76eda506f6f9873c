"""The scikit-learn face: embed, classify and regress recordings."""

from ._classifier import BrainOFClassifier
from ._embedder import BrainOFEmbedder
from ._regressor import BrainOFRegressor

__all__ = ["BrainOFClassifier", "BrainOFEmbedder", "BrainOFRegressor"]
