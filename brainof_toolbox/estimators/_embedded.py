"""Features that were computed ahead of the fits that need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Embedded:
    """Samples whose features under a frozen network are known already.

    A valid ``X`` for an estimator with ``adaptation="probe"``, the same weights and the same
    pooling; scikit-learn indexes it like an array.
    """

    features: np.ndarray  # (n_samples, n_features) What the network gave
    key: tuple  # Weights and pooling that they come from
    subject: tuple | None = None  # Whose samples they are, where ``X`` said so

    @property
    def shape(self):
        """Shape of the features (n_samples, n_features)."""
        return self.features.shape

    def __len__(self):
        return len(self.features)

    def __getitem__(self, key):
        """Select samples."""
        key = key[0] if isinstance(key, tuple) else key
        rows = np.arange(len(self))[key].ravel()
        who = None if self.subject is None else tuple(self.subject[i] for i in rows)
        return Embedded(self.features[rows], self.key, who)

    def __repr__(self):
        return f"<Embedded | {len(self)} samples, {self.features.shape[1]} features>"
