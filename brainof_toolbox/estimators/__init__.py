"""The scikit-learn face: embed, classify and regress recordings."""

from ._augment import Augmentation
from ._classifier import BrainOFClassifier
from ._embedder import BrainOFEmbedder
from ._module import BrainOFModule
from ._regressor import BrainOFRegressor

__all__ = [
    "Augmentation",
    "BrainOFClassifier",
    "BrainOFEmbedder",
    "BrainOFModule",
    "BrainOFRegressor",
]
