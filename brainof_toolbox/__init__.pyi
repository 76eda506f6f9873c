# The table of contents: what a user can import, and where it lives.
from . import (
    baselines,
    datasets,
    estimators,
    evaluation,
    features,
    inspection,
    io,
    models,
    preprocessing,
    pretraining,
    signals,
)
from .estimators import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from .evaluation import Comparison, Scores, compare, cross_validate
from .io import (
    Records,
    Trials,
    epochs_from_bids,
    from_array,
    from_epochs,
    from_nifti,
    from_raw,
    from_roi_timeseries,
    read_bids,
    read_participants,
    read_recording,
)
from .preprocessing import Preprocessing
from .pretraining import latest_checkpoint, pretrain
from .signals import PairedSignals, Signals

__all__ = [
    "BrainOFClassifier",
    "BrainOFEmbedder",
    "BrainOFRegressor",
    "Comparison",
    "PairedSignals",
    "Preprocessing",
    "Records",
    "Scores",
    "Signals",
    "Trials",
    "baselines",
    "compare",
    "cross_validate",
    "datasets",
    "epochs_from_bids",
    "estimators",
    "evaluation",
    "features",
    "from_array",
    "from_epochs",
    "from_nifti",
    "from_raw",
    "from_roi_timeseries",
    "inspection",
    "io",
    "latest_checkpoint",
    "models",
    "preprocessing",
    "pretrain",
    "pretraining",
    "read_bids",
    "read_participants",
    "read_recording",
    "signals",
]
