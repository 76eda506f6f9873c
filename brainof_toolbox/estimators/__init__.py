"""The scikit-learn face: embed, classify and regress recordings."""

from ._augment import Augmentation
from ._classifier import BrainOFClassifier
from ._embedder import BrainOFEmbedder
from ._regressor import BrainOFRegressor

__all__ = ["Augmentation", "BrainOFClassifier", "BrainOFEmbedder", "BrainOFRegressor"]
