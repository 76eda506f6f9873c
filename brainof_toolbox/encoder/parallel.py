"""Samples spread over processes and machines by joblib; one broken recording stops no other.

What goes to a worker is what a list holds (paths, records, objects), never what was read from it.
The network goes once: as one array, which joblib maps into memory for processes of one machine
and dask scatters. A worker builds the network from it for its first task, and keeps it. Threads
are left alone: joblib and dask start workers with their share of the cores.
"""

from __future__ import annotations

import copy
import hashlib
import os
import threading
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from safetensors.torch import load as unpack
from safetensors.torch import save as pack

from .._utils.logging import progress, warn
from ..io.inputs import count_samples, name_item, open_item
from ..models import BrainOF
from ..models.isolate import isolate_torch
from ..signals import PairedSignals, Signals
from .blocks import ColumnsDifferError

__all__ = ["Outcome", "embed_items", "embed_tasks", "make_tasks", "plan_parallel_tasks"]

#: One reader at a time in a process: MNE and the list of warning filters are not thread-safe.
_READER_LOCK = threading.RLock()


def _renew_lock():
    """Make the lock anew in a forked process: the thread that held it may not be here."""
    global _READER_LOCK
    _READER_LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_lock)
#: The network that this process was sent, by the sha256 of its weights.
_NETWORKS = {}


@dataclass(frozen=True)
class Outcome:
    """Result of embedding one item of a list."""

    index: int  # Position in the list
    blocks: dict | None = None  # (n_samples, n_columns) by name, unless the item was broken
    error: Exception | None = None  # Why it was broken
    explicit: object = None  # ExplicitFeatures of the task: columns, and blocks that apply

    @property
    def rows(self):
        """Blocks side by side (n_samples, n_columns), or None."""
        return None if self.blocks is None else np.hstack(list(self.blocks.values()))


class _BrokenError(Exception):
    """A recording could not be read; the cause is the reason."""


def make_tasks(samples, n_at_once):
    """Group the items of a list into tasks."""
    import mne

    tasks, n_last = [], 0
    for index, source in enumerate(samples):
        is_small = isinstance(source.item, (mne.BaseEpochs, Signals, PairedSignals))
        if not tasks or not is_small or not n_last or n_last + source.n_samples > n_at_once:
            tasks.append([])
            n_last = 0
        tasks[-1].append((index, source.item))
        n_last = n_last + source.n_samples if is_small else 0
    return tasks


def plan_parallel_tasks(encoder, samples, n_jobs, on_error):
    """Group samples into parallel tasks; None if they are embedded one after the other."""
    is_portable = encoder.backbone is None or encoder.backbone.is_portable
    if not is_portable or any(source.item is None for source in samples):
        return None
    if on_error == "raise" and effective_n_jobs(n_jobs) == 1:
        return None
    tasks = make_tasks(samples, encoder.n_at_once)
    return tasks if len(tasks) > 1 or on_error != "raise" else None


def embed_tasks(encoder, samples, tasks, n_jobs, on_error):
    """Embed samples in tasks."""
    # -> blocks, by name (n_samples, n_columns).
    starts = np.cumsum([0, *(source.n_samples for source in samples)])
    blocks, errors = {}, {}
    for outcome in embed_items(encoder, tasks, n_jobs=n_jobs, on_error=on_error):
        source, start = samples[outcome.index], starts[outcome.index]
        if outcome.blocks is None:
            errors[outcome.index] = outcome.error
            continue
        for name, rows in outcome.blocks.items():
            if len(rows) != source.n_samples:
                raise ValueError(
                    f"{source.where} had {source.n_samples} samples and now has {len(rows)}: "
                    "it was changed while it was read."
                )
            if name not in blocks:
                blocks[name] = np.full((starts[-1], rows.shape[1]), np.nan, dtype=np.float32)
            blocks[name][start : start + source.n_samples] = rows
    if errors:
        _report(errors, samples)
    return blocks


def _report(errors, samples):
    """Warn once about broken items, by name; raise if there is nothing else."""
    first = errors[min(errors)]
    if len(errors) == len(samples):
        raise type(first)(f"None of the {len(samples)} items of X can be used. {first}")
    reasons = [str(errors[index]) for index in sorted(errors)[:3]]
    others = [samples[index].where for index in sorted(errors)[3:]]
    also = f" Also: {', '.join(others)}." if others else ""
    warn(
        f"{len(errors)} of {len(samples)} items of X cannot be used, their rows are NaN. "
        f"{' '.join(reasons)}{also}"
    )


def embed_items(encoder, tasks, *, n_jobs=None, on_error="raise"):
    """Embed items, in this process or in joblib's workers; yields outcomes as they come."""
    quiet = copy.copy(encoder)
    quiet.verbose = False  # progress bars of tasks would overwrite each other
    if len(tasks) < 2 or effective_n_jobs(n_jobs) == 1:
        results = ((_embed_task(quiet, task, on_error), []) for task in tasks)
    else:
        results = _spread(quiet, tasks, on_error, n_jobs)
    bar = {"description": "Embedding", "enabled": encoder.verbose, "total": len(tasks)}
    for outcomes, messages in progress(results, **bar):
        for message, category in messages:
            warn(message, category)
        for outcome in outcomes:
            if outcome.explicit is not None:
                _note(encoder, outcome, results)
            yield outcome


def _note(encoder, outcome, results):
    """Note what a worker found; stop the others if samples differ."""
    try:
        encoder.explicit.note(outcome.explicit)
    except ColumnsDifferError:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*have been cancelled", UserWarning)
            results.close()
        raise


def _spread(encoder, tasks, on_error, n_jobs):
    encoder, key, weights = _unload(encoder)

    def calls(tasks):
        for task in tasks:
            task = [(index, _portable(item)) for index, item in task]
            yield delayed(_work)(encoder, key, weights, task, on_error)

    try:
        if get_active_backend()[0].supports_return_generator:
            yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls(tasks))
            return
        size = 8 * effective_n_jobs(n_jobs)  # in portions, to yield early what is done
        for start in range(0, len(tasks), size):
            yield from Parallel(n_jobs=n_jobs)(calls(tasks[start : start + size]))
    finally:
        _NETWORKS.pop(key, None)


def _unload(encoder):
    """Separate an encoder, light enough to go with every task, from its weights."""
    if encoder.backbone is None:
        return encoder, None, None
    network = encoder.backbone.network
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    weights = np.frombuffer(pack(state), dtype=np.uint8)
    key = hashlib.sha256(weights).hexdigest()
    _NETWORKS[key] = network  # for workers that are threads of this process
    return encoder.without_network(), key, weights


def _portable(item):
    """Load epochs on disk: they hold an open file, which cannot be sent."""
    import mne

    if not isinstance(item, mne.BaseEpochs) or item.preload:
        return item
    with mne.use_log_level("error"):
        return item.copy().load_data()


# ------------------------------------------------------------------------------ in a worker


@isolate_torch()
def _work(encoder, key, weights, task, on_error):
    """Embed a task in a worker; also returns the warnings."""
    messages = []
    encoder = copy.copy(encoder)
    encoder.explicit = encoder.explicit.copy()  # threads share what they were sent
    if key is not None:
        network = _receive(key, encoder.backbone.config, weights)
        encoder.backbone = encoder.backbone.receive(network)
    return _embed_task(encoder, task, on_error, messages), messages


def _receive(key, config, weights):
    """Build the network once per process."""
    with _READER_LOCK:
        if key not in _NETWORKS:
            _NETWORKS.clear()
            network = BrainOF(config, random_state=None)
            network.load_state_dict(unpack(weights.tobytes()), assign=True)
            _NETWORKS[key] = network.eval()
        return _NETWORKS[key]


def _embed_task(encoder, task, on_error, messages=None):
    """Embed items together; if that fails, each alone, to find the broken one."""
    try:
        with _reading(messages):
            options = encoder.read_options
            samples = [open_item(item, index, options) for index, item in task]
        encoder.note_modalities(samples)
        windows = _read_alone(encoder.windows(samples), messages)
        blocks = encoder.average_windows(windows, count_samples(samples))
    except ColumnsDifferError:
        raise
    except (_BrokenError, ValueError, TypeError) as error:
        if len(task) > 1:
            found = [_embed_task(encoder, [entry], on_error, messages) for entry in task]
            return [outcome for outcomes in found for outcome in outcomes]
        index, item = task[0]
        broken = _plain_error(error, name_item(item, index))
        if on_error == "raise":
            raise broken from error
        return [Outcome(index, error=broken)]
    ends = np.cumsum([source.n_samples for source in samples])[:-1]
    parts = {name: np.split(rows, ends) for name, rows in blocks.items()}
    return [
        Outcome(
            index,
            {name: part[i] for name, part in parts.items()},
            explicit=encoder.explicit,
        )
        for i, (index, _) in enumerate(task)
    ]


def _read_alone(windows, messages):
    while True:
        with _reading(messages):
            batch = next(windows, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _reading(messages):
    """Hold the reader's lock; collect warnings for the process that sent the task."""
    caught = nullcontext([]) if messages is None else warnings.catch_warnings(record=True)
    with _READER_LOCK, caught as entries:
        if messages is not None:
            warnings.simplefilter("always")
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # readers raise anything on a damaged file
            raise _BrokenError from error
        finally:
            kinds = (RuntimeWarning, UserWarning)
            found = [(str(entry.message), entry.category) for entry in entries]
            if messages is not None:
                messages += [entry for entry in found if issubclass(entry[1], kinds)]


def _plain_error(error, where):
    """Return an exception with the same text that can be sent between processes."""
    error = error.__cause__ if isinstance(error, _BrokenError) else error
    kinds = (FileNotFoundError, OSError, TypeError, ValueError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)
    text = str(error) or type(error).__name__
    return kind(text if where in text else f"{where}: {text}")
