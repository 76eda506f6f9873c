"""The network: tokens in, latents out. It never sees a file of recordings."""

from .brainof import BrainOF
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import BrainOFConfig
from .release import ReleasedBrainOF, load_release
from .tokens import TokenBatch, make_tokens

__all__ = [
    "BrainOF",
    "BrainOFConfig",
    "Checkpoint",
    "ReleasedBrainOF",
    "TokenBatch",
    "load_checkpoint",
    "load_release",
    "make_tokens",
    "save_checkpoint",
]
