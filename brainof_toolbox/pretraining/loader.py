"""From the plan of the sampler to batches: read, pad, draw masks; ahead of time on request."""

from __future__ import annotations

import contextlib
import signal

import torch
from torch.utils.data import DataLoader, Dataset

from .batch import GridBatch
from .corruption import draw_masks
from .sampler import mask_generator
from .term_reader import TermReader

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
