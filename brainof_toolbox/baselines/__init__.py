"""Classical decoders as scikit-learn pipelines, for arrays, epochs and records."""

from .arrays import make_baselines
from .records import make_record_baselines

__all__ = ["make_baselines", "make_record_baselines"]
