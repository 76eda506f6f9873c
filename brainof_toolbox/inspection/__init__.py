"""Look inside fitted estimators: what they rely on, and how the network works."""

from ._attention import LatentAttention, latent_attention, plot_latent_attention
from ._experts import expert_usage, plot_expert_usage
from ._reconstruct import Reconstruction, reconstruct
from .contributions import block_contributions, modality_contributions, plot_contributions
from .gradients import gradient_importance
from .importance import Importance, PartImportance
from .occlusion import occlusion_importance
from .patterns import BlockPattern, Patterns, patterns
from .reports import report

__all__ = [
    "BlockPattern",
    "Importance",
    "LatentAttention",
    "PartImportance",
    "Patterns",
    "Reconstruction",
    "block_contributions",
    "expert_usage",
    "gradient_importance",
    "latent_attention",
    "modality_contributions",
    "occlusion_importance",
    "patterns",
    "plot_contributions",
    "plot_expert_usage",
    "plot_latent_attention",
    "reconstruct",
    "report",
]
