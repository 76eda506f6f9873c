"""The network: tokens in, latents out. It never sees a file of recordings."""

from .brainof import BrainOF
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import BrainOFConfig
from .tokens import TokenBatch, make_tokens

__all__ = [
    "BrainOF",
    "BrainOFConfig",
    "Checkpoint",
    "TokenBatch",
    "load_checkpoint",
    "make_tokens",
    "save_checkpoint",
]
