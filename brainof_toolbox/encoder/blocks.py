"""Explicit features: blocks of columns that need no network, and their names."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass

import numpy as np

from .._utils.validation import check_option
from ..features import Covariance, Evoked
from ..signals import MODALITIES

__all__ = ["LATENTS", "ExplicitFeatures", "parse_features"]

LATENTS = "latents"
#: Features that need no network.
EXPLICIT = {"covariance": Covariance, "evoked": Evoked}


def parse_features(features):
    """Return what was asked for in order: ``"latents"`` and objects with ``compute``."""
    given = [features] if isinstance(features, str) or hasattr(features, "compute") else features
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    known = (LATENTS, *EXPLICIT)
    parsed = [f if hasattr(f, "compute") else check_option("features", f, known) for f in given]
    parsed = [f if hasattr(f, "compute") or f == LATENTS else EXPLICIT[f]() for f in parsed]
    names = [getattr(feature, "name", feature) for feature in parsed]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"The parameter 'features' must name at least one block, and each once, got {given}."
        )
    return tuple(parsed)


class ExplicitFeatures:
    """Features of preprocessed windows; of several modalities, one block of each.

    The first samples that are seen fix the modalities, which are part of the names of blocks, and
    the columns.
    """

    def __init__(self, features):
        self.features = tuple(feature for feature in features if feature != LATENTS)
        self.modalities = ()
        self.columns = {}  # Names of columns by block

    def note_modalities(self, samples):
        """Fix the modalities of lazily read samples, unless they are fixed."""
        if not self.modalities:
            found = {name for item in samples for name in item.modalities}
            self.modalities = tuple(name for name in MODALITIES if name in found)

    def note_columns(self, columns):
        """Fix the columns of blocks; refuse others than before."""
        for block, names in columns.items():
            known = self.columns.setdefault(block, names)
            if len(known) != len(names):
                raise ValueError(
                    f"The block {block!r} has {len(names)} columns for these samples and "
                    f"{len(known)} for earlier ones: their durations differ. Cut samples to one "
                    "length, or leave the block out of features."
                )

    def compute(self, batch):
        """Yield block, samples (n,) and rows (n, n_columns) of a WindowBatch."""
        for feature in self.features:
            for modality, windows in batch.windows.items():
                index, sample = batch.present(modality)
                if len(index) and self._suits(feature, modality, batch):
                    block, signals = self._name(feature, modality), windows.signals[index]
                    self.note_columns({block: tuple(feature.columns(signals))})
                    yield block, sample, feature.compute(signals).astype(np.float64)

    def blocks_of(self, feature):
        """List the blocks of a feature that have been seen, by modality in reading order."""
        names = [self._name(feature, modality) for modality in self.modalities]
        return [name for name in names if name in self.columns]

    def fingerprint(self):
        """Describe what determines the blocks, as JSON values."""
        found = []
        for feature in self.features:
            values = asdict(feature) if is_dataclass(feature) else vars(feature)
            found.append({"name": feature.name, "version": feature.version, **values})
        return found

    def _name(self, feature, modality):
        if modality not in self.modalities:
            raise ValueError(
                f"X has {modality}, but the samples that were seen first have "
                f"{' and '.join(self.modalities)} only. Fit to samples of all modalities."
            )
        return feature.name if len(self.modalities) == 1 else f"{modality}_{feature.name}"

    @staticmethod
    def _suits(feature, modality, batch):
        """Whether a block has a meaning: a recording of sensors is not locked to an event."""
        return feature.name != Evoked.name or modality == "fmri" or not batch.is_recording
