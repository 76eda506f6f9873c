"""The one object between samples and rows of numbers."""

from .encoder import Encoder
from .windows import WindowBatch

__all__ = ["Encoder", "WindowBatch"]
