"""Classical decoders by modality, as scikit-learn pipelines that take every ``X``."""

from .pipelines import for_data

__all__ = ["for_data"]
