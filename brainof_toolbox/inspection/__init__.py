"""Look inside fitted estimators: what they go by, and how the network works."""

from ._gradients import gradient_importance
from ._importance import Importance
from ._occlusion import occlusion_importance

__all__ = ["Importance", "gradient_importance", "occlusion_importance"]
