"""Features that were computed once, for many fits on parts of the same samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class PrecomputedFeatures:
    """Blocks of features of samples, as a valid ``X`` for a probe.

    The probe must have an encoder with the same fingerprint; scikit-learn indexes it like an
    array.
    """

    blocks: dict  # (n_samples, n_columns) by name
    fingerprint: dict  # Of the encoder that computed them
    explicit: object  # ExplicitFeatures of that encoder: columns, and the blocks that apply
    subject: np.ndarray | None = None  # (n_samples,) Subject of each sample, where it is known

    @property
    def shape(self):
        """Number of samples and of columns (n_samples, n_columns)."""
        return len(self), sum(block.shape[1] for block in self.blocks.values())

    @property
    def modalities(self):
        """Modalities of the samples, in reading order."""
        return self.explicit.modalities

    def __len__(self):
        return len(next(iter(self.blocks.values())))

    def __getitem__(self, key):
        """Select samples."""
        key = key[0] if isinstance(key, tuple) else key
        rows = np.arange(len(self))[key].ravel()
        subject = None if self.subject is None else self.subject[rows]
        blocks = {name: block[rows] for name, block in self.blocks.items()}
        return PrecomputedFeatures(blocks, self.fingerprint, self.explicit, subject)

    def __repr__(self):
        n_samples, n_columns = self.shape
        return f"<PrecomputedFeatures | {n_samples} samples, {n_columns} columns>"

    def blocks_for(self, encoder):
        """Return the blocks, if this encoder would give the same."""
        if self.fingerprint != encoder.fingerprint:
            names = sorted({*self.fingerprint, *encoder.fingerprint})
            other = [
                f"{name}={self.fingerprint.get(name)!r} (here {encoder.fingerprint.get(name)!r})"
                for name in names
                if self.fingerprint.get(name) != encoder.fingerprint.get(name)
            ]
            raise ValueError(
                f"These features were computed with {', '.join(other)}: embed the samples again "
                "with precompute()."
            )
        encoder.explicit = self.explicit
        return self.blocks
