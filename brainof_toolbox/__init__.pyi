# The table of contents: what a user can import, and where it lives.
from . import datasets, estimators, evaluation, io, models, preprocessing, signals
from .estimators import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from .evaluation import Comparison, Scores, compare, cross_validate
from .io import from_array, from_epochs, from_raw, read_recording
from .preprocessing import Preprocessing
from .signals import PairedSignals, Signals

__all__ = [
    "BrainOFClassifier",
    "BrainOFEmbedder",
    "BrainOFRegressor",
    "Comparison",
    "PairedSignals",
    "Preprocessing",
    "Scores",
    "Signals",
    "compare",
    "cross_validate",
    "datasets",
    "estimators",
    "evaluation",
    "from_array",
    "from_epochs",
    "from_raw",
    "io",
    "models",
    "preprocessing",
    "read_recording",
    "signals",
]
