"""Embed, classify and regress recordings with the interface of scikit-learn."""

from ._classifier import BrainOFClassifier
from ._embedder import BrainOFEmbedder
from ._regressor import BrainOFRegressor
from .adaptation import FineTuning, LoRA, Probe
from .augment import Augmentation
from .module import BrainOFModule

__all__ = [
    "Augmentation",
    "BrainOFClassifier",
    "BrainOFEmbedder",
    "BrainOFModule",
    "BrainOFRegressor",
    "FineTuning",
    "LoRA",
    "Probe",
]
