"""Explicit features of preprocessed signals, without a network: numpy and scipy only.

Each feature set (a block) is a function of one sample: no row depends on another, nothing is
fitted. Its columns are the same for every montage and every atlas, because sensors and regions are
first mapped to virtual channels at fixed positions in the head. The rows of a sample's windows are
averaged.
"""

from ._block import Block
from ._choice import available, get_blocks
from ._covariance import BAND_BANK, Covariance
from ._evoked import Evoked
from ._virtual import VirtualChannels

__all__ = [
    "BAND_BANK",
    "Block",
    "Covariance",
    "Evoked",
    "VirtualChannels",
    "available",
    "get_blocks",
]
