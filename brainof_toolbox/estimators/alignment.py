"""Re-centre features on the mean of each subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils.logging import warn
from .fusion import center_by_group
from .precomputed import PrecomputedFeatures


@dataclass(frozen=True, eq=False)
class Alignment:
    """Move each subject's mean to the centre of the training subjects."""

    centre: dict  # (n_columns,) by block

    @classmethod
    def fit(cls, blocks, subjects):
        """Return moved blocks of training samples, and the alignment."""
        moved, centre = center_by_group(blocks, subjects)
        return moved, cls(centre)

    def apply(self, blocks, samples):
        """Move blocks of new samples, which are those of one subject if they carry no names."""
        n_samples = len(next(iter(blocks.values())))
        subjects = subjects_of(samples)
        if subjects is None:
            warn(
                f"align='subject': these {n_samples} samples carry no subject and are taken as "
                "those of one."
            )
            subjects = np.zeros(n_samples, dtype=int)
        return center_by_group(blocks, subjects, self.centre)[0]


def subjects_of(samples):
    """Return the subject of each sample, or None."""
    if isinstance(samples, PrecomputedFeatures):
        return samples.subject
    found = [item.subjects for item in samples]
    if any(subjects is None for subjects in found):
        return None
    return np.concatenate(found)
