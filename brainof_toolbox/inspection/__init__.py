"""Look inside fitted estimators: what they go by, and how the network works."""

from ._attention import LatentAttention, latent_attention, plot_latent_attention
from ._experts import expert_usage, plot_expert_usage
from ._reconstruct import Reconstruction, reconstruct
from .contributions import modality_contributions, plot_modality_contributions
from .gradients import gradient_importance
from .importance import Importance, PartImportance
from .occlusion import occlusion_importance
from .reports import report

__all__ = [
    "Importance",
    "LatentAttention",
    "PartImportance",
    "Reconstruction",
    "expert_usage",
    "gradient_importance",
    "latent_attention",
    "modality_contributions",
    "occlusion_importance",
    "plot_expert_usage",
    "plot_latent_attention",
    "plot_modality_contributions",
    "reconstruct",
    "report",
]
