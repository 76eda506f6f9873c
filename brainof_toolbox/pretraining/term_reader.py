"""Micro-batches of the steps that are trained on terms: crop, compute targets, disturb."""

from __future__ import annotations

import numpy as np
import torch

from .augment import Augmentation, Frame, crop, disturb, drop_patches, enrich
from .batch import GridBatch
from .sampler import DISTURBANCES, stream
from .terms import COURSE, DIFFERENCE, SECOND_ORDER, SPECTRUM, TermBatch, terms_of


class TermReader:
    """Reader of micro-batches, which depend on seed, step, number and samples only."""

    def __init__(self, corpus, config, patch_size, random_state):
        self.corpus, self.config = corpus, config
        self.patch_size, self.random_state = patch_size, random_state
        self._how = Augmentation.from_dict(config.augmentation)
        self._reference = corpus.preprocessing.get("reference")
        self._targets = None

    def __call__(self, step, number, indices):
        """Read one micro-batch."""
        samples = [self.corpus[int(index)] for index in indices]
        names = terms_of(self.config, samples[0].modality)
        frame = Frame.draw(stream(self.random_state, DISTURBANCES, step, number), self._how)
        places = range(len(samples))
        rngs = [stream(self.random_state, DISTURBANCES, step, number, place) for place in places]
        samples = [enrich(s, samples, rng, self._how) for s, rng in zip(samples, rngs)]
        cut, seen, dropped = [], [], []
        for sample, rng in zip(samples, rngs):
            cut.append(crop(sample, frame, rng, self._how))
            seen.append(disturb(cut[-1], frame, rng, self._how, self._reference))
            n_patches = -(-seen[-1].data.shape[1] // self.patch_size)
            dropped.append(drop_patches(len(seen[-1].data), n_patches, rng, self._how))
        second = SECOND_ORDER if SECOND_ORDER in names or DIFFERENCE in names else None
        return TermBatch(
            grid=GridBatch.collate(seen),
            is_dropped=_join(dropped),
            dataset=torch.tensor([self.corpus.datasets.index(s.dataset) for s in samples]),
            second_order=self._columns(samples, second),
            fine_spectrum=self._columns(samples, SPECTRUM if SPECTRUM in names else None),
            places=self._course(cut) if COURSE in names else None,
            is_paired=DIFFERENCE in names,
        )

    @property
    def targets(self):
        """Quantities, built where they are used: they need scipy."""
        if self._targets is None:
            from .targets import Targets

            self._targets = Targets(self.config)
        return self._targets

    def _columns(self, samples, name):
        if name is None:
            return None
        return torch.from_numpy(np.stack([self.targets.columns(s, name) for s in samples]))

    def _course(self, samples):
        return GridBatch.collate([self.targets.course(sample) for sample in samples])


def _join(parts):
    """Pad masks (C, N) with False, and stack them."""
    shape = tuple(max(part.shape[axis] for part in parts) for axis in (0, 1))
    joined = np.zeros((len(parts), *shape), bool)
    for row, part in zip(joined, parts):
        row[: part.shape[0], : part.shape[1]] = part
    return torch.from_numpy(joined)
