"""From the plan of the sampler to batches: read, pad, draw masks; ahead of time on request."""

from __future__ import annotations

import contextlib
import signal
from functools import cached_property

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .augment import Augmentation, Frame, crop, disturb, drop_patches, enrich
from .batch import GridBatch, stack_padded
from .corruption import draw_masks
from .sampler import DISTURBANCES, mask_generator, stream
from .terms import COURSE, DIFFERENCE, SECOND_ORDER, SPECTRUM, TermBatch, terms_of

_GRACE = 300  # s that a reading process outlives a request to end, for the last step and saving


class _Reader(Dataset):
    """Micro-batches by (step, number, indices): nothing else decides what they hold."""

    def __init__(self, corpus, config, patch_size, random_state):
        self.corpus, self.config = corpus, config
        self.patch_size, self.random_state = patch_size, random_state
        self._read_terms = None
        if config.terms:
            self._read_terms = TermReader(corpus, config, patch_size, random_state)

    def __getitem__(self, key):
        step, number, indices, asks_terms = key
        try:
            if asks_terms:
                return (self._read_terms(step, number, indices),)
            grid = GridBatch.collate([self.corpus[int(index)] for index in indices])
        except (ValueError, OSError) as error:
            return error  # raised where it can be read, without another process's traceback
        generator = mask_generator(self.random_state, step, number)
        return grid, draw_masks(grid, self.config, generator, self.patch_size)


@contextlib.contextmanager
def read_microbatches(corpus, sampler, config, steps, mine, *, patch_size=64, pin_memory=False):
    """Read the micro-batches of some steps, in their order."""
    reader = _Reader(corpus, config, patch_size, sampler.random_state)
    loader = DataLoader(
        reader,
        batch_size=None,
        sampler=_Plan(sampler, steps, mine),
        num_workers=config.n_workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        worker_init_fn=_let_the_main_process_decide,
        generator=torch.Generator("cpu"),  # else the global one draws a seed
    )
    batches = iter(loader)
    try:
        yield _explain_lost_reader(batches)
    finally:
        # Not left to the collector: an error that is kept would keep the processes too.
        getattr(batches, "_shutdown_workers", lambda: None)()


class TermReader:
    """Reader of micro-batches, which depend on seed, step, number and samples only."""

    def __init__(self, corpus, config, patch_size, random_state):
        self.corpus, self.config = corpus, config
        self.patch_size, self.random_state = patch_size, random_state
        self._how = Augmentation.from_dict(config.augmentation)
        self._reference = corpus.preprocessing.get("reference")

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
            is_dropped=stack_padded(dropped, bool),
            dataset=torch.tensor([self.corpus.datasets.index(s.dataset) for s in samples]),
            second_order=self._columns(samples, second),
            fine_spectrum=self._columns(samples, SPECTRUM if SPECTRUM in names else None),
            places=GridBatch.collate(map(self.targets.course, cut)) if COURSE in names else None,
            is_paired=DIFFERENCE in names,
        )

    @cached_property
    def targets(self):
        """Quantities, built where they are used: they need scipy."""
        from .targets import Targets

        return Targets(self.config)

    def _columns(self, samples, name):
        if name is None:
            return None
        return torch.from_numpy(np.stack([self.targets.columns(s, name) for s in samples]))


class _Plan:
    """Batches to read, in order: the main process plans, the others only read."""

    def __init__(self, sampler, steps, mine):
        self.sampler, self.steps, self.mine = sampler, steps, mine

    def __len__(self):
        return len(self.steps) * len(self.mine)

    def __iter__(self):
        for step in self.steps:
            plan, asks_terms = self.sampler.plan(step), self.sampler.asks_terms(step)
            for number in self.mine:
                yield step, number, plan[number], asks_terms


def _explain_lost_reader(batches):
    """Yield batches; raise an error that explains the loss of a reading process."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RuntimeError(
                f"A process that reads the corpus was ended by the system ({error}). Most often "
                f"memory is short: resume with a smaller n_workers."
            ) from error
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _as_it_is(batch):
    return batch


def _let_the_main_process_decide(number):
    """Keep reading when Ctrl-C or the queue system asks all processes to end at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
