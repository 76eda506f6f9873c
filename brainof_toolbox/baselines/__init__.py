"""Classical decoders as scikit-learn pipelines, for arrays, epochs and records."""

from .arrays import (
    AveragedSamples,
    BandPass,
    BandPower,
    LogisticHead,
    SpatialPatterns,
    ToArray,
    make_baselines,
)
from .records import DescribeRecords, SharedChannels, make_record_baselines

__all__ = [
    "AveragedSamples",
    "BandPass",
    "BandPower",
    "DescribeRecords",
    "LogisticHead",
    "SharedChannels",
    "SpatialPatterns",
    "ToArray",
    "make_baselines",
    "make_record_baselines",
]
