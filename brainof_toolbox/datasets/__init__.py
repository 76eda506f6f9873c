"""Simulated recordings (``make_*``) and explicit downloads (``fetch_*``).

Simulated data are seeded, in SI units, and have an effect that a decoder should detect.
"""

from ._atlases import fetch_atlas
from ._paired import PairedRecordings, make_paired_recordings
from ._paired_signals import make_paired_signals
from ._recordings import EFFECTS, KINDS, make_epochs, make_info, make_raw, make_study
from .sources import source_table

__all__ = [
    "EFFECTS",
    "KINDS",
    "PairedRecordings",
    "fetch_atlas",
    "make_epochs",
    "make_info",
    "make_paired_recordings",
    "make_paired_signals",
    "make_raw",
    "make_study",
    "source_table",
]
