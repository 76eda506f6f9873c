"""Samples spread over processes and machines by joblib; one broken recording stops no other.

What goes to a worker is what a list holds (paths, records, objects), never what was read from it.
The network goes once: as one array, which joblib maps into memory for processes of one machine
and dask scatters. A worker builds the network from it when its first task comes, and keeps it.
Threads are left alone: joblib and dask start workers with their share of the cores.
"""

from __future__ import annotations

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
from ..io.inputs import as_source, count_samples, name_item
from ..models import BrainOF
from ..models.isolate import isolate_torch
from ..signals import PairedSignals, Signals

#: One reader at a time in a process: MNE and the list of warning filters know no threads.
_READING = threading.RLock()


def _renew_lock():
    """Make the lock anew in a forked process: whoever held it may not be here."""
    global _READING
    _READING = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_lock)
#: The network that this process was sent, by the sha256 of its weights.
_BACKBONES = {}


@dataclass(frozen=True)
class Outcome:
    """What became of one item."""

    index: int  # Its place in the list
    rows: np.ndarray | None = None  # (n_samples, n_features) Its features, unless it was broken
    error: Exception | None = None  # Why it was


class _BrokenError(Exception):
    """A recording could not be read; the cause says why."""


def make_groups(sources, n_at_once):
    """Cut samples into tasks."""
    import mne

    groups, n_last = [], 0
    for index, source in enumerate(sources):
        is_small = isinstance(source.item, (mne.BaseEpochs, Signals, PairedSignals))
        if not groups or not is_small or not n_last or n_last + source.n_samples > n_at_once:
            groups.append([])
            n_last = 0
        groups[-1].append((index, source.item))
        n_last = n_last + source.n_samples if is_small else 0
    return groups


def leave_the_sequence(sources, estimator):
    """Choose how a list of samples is embedded."""
    if any(source.item is None for source in sources):
        return None
    if estimator.on_error == "raise" and effective_n_jobs(estimator.n_jobs) == 1:
        return None
    groups = make_groups(sources, estimator._n_at_once)
    return groups if len(groups) > 1 or estimator.on_error != "raise" else None


def embed_sources(estimator, sources, groups):
    """Embed samples in tasks."""
    # -> features (n_samples, n_features).
    starts = np.cumsum([0, *(source.n_samples for source in sources)])
    features = np.full((starts[-1], estimator.n_latent_features_), np.nan, dtype=np.float32)
    errors = {}
    for outcome in embed_groups(estimator, groups, on_error=estimator.on_error):
        source, start = sources[outcome.index], starts[outcome.index]
        if outcome.rows is None:
            errors[outcome.index] = outcome.error
        elif len(outcome.rows) != source.n_samples:
            raise ValueError(
                f"{source.where} had {source.n_samples} samples and now has {len(outcome.rows)}: "
                "it was changed while it was read."
            )
        else:
            features[start : start + source.n_samples] = outcome.rows
    if errors:
        _report(errors, sources)
    return features


def _report(errors, sources):
    """Warn once about broken items, by name; an error when nothing else is there."""
    first = errors[min(errors)]
    if len(errors) == len(sources):
        raise type(first)(f"None of the {len(sources)} items of X can be used. {first}")
    reasons = [str(errors[index]) for index in sorted(errors)[:3]]
    others = [sources[index].where for index in sorted(errors)[3:]]
    also = f" Also: {', '.join(others)}." if others else ""
    warn(
        f"{len(errors)} of {len(sources)} items of X cannot be used, their rows are NaN. "
        f"{' '.join(reasons)}{also}"
    )


def embed_groups(estimator, groups, *, on_error="raise"):
    """Embed items, in this process or wherever joblib sends them."""
    plain = _without_network(estimator)
    if len(groups) < 2 or effective_n_jobs(estimator.n_jobs) == 1:
        plain.backbone_ = estimator.backbone_
        results = ((_embed_group(plain, group, on_error), []) for group in groups)
    else:
        results = _spread(plain, estimator.backbone_, groups, on_error, estimator.n_jobs)
    bar = {"description": "Embedding", "enabled": bool(estimator.verbose), "total": len(groups)}
    for outcomes, said in progress(results, **bar):
        for message, category in said:
            warn(message, category)
        yield from outcomes


def _without_network(estimator):
    """What reads and pools as the estimator does: light enough to go with every task."""
    plain = type(estimator).__new__(type(estimator))
    for name in (*estimator.get_params(deep=False), "preprocessing_", "checkpoint_info_"):
        setattr(plain, name, getattr(estimator, name))
    plain.verbose = False  # bars of tasks would fight over the line
    return plain


def _spread(plain, backbone, groups, on_error, n_jobs):
    state = {name: tensor.detach().cpu() for name, tensor in backbone.state_dict().items()}
    weights = np.frombuffer(pack(state), dtype=np.uint8)
    key = hashlib.sha256(weights).hexdigest()

    def tasks(groups):
        for group in groups:
            group = [(index, _portable(item)) for index, item in group]
            yield delayed(_work)(plain, key, backbone.config, weights, group, on_error)

    _BACKBONES[key] = backbone  # for workers that are threads of this process
    try:
        if get_active_backend()[0].supports_return_generator:
            yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks(groups))
            return
        size = 8 * effective_n_jobs(n_jobs)  # in portions, to know early what is done
        for start in range(0, len(groups), size):
            yield from Parallel(n_jobs=n_jobs)(tasks(groups[start : start + size]))
    finally:
        _BACKBONES.pop(key, None)


def _portable(item):
    """Epochs on disk hold an open file, which cannot be sent; read them when their turn comes."""
    import mne

    if not isinstance(item, mne.BaseEpochs) or item.preload:
        return item
    with mne.use_log_level("error"):
        return item.copy().load_data()


# ------------------------------------------------------------------------------ in a worker


@isolate_torch()
def _work(plain, key, config, weights, group, on_error):
    """Embed a group where joblib has sent it; also returns what was warned about."""
    said = []
    plain.backbone_ = _backbone(key, config, weights)
    return _embed_group(plain, group, on_error, said), said


def _backbone(key, config, weights):
    """Build the network once per process."""
    with _READING:
        if key not in _BACKBONES:
            _BACKBONES.clear()
            backbone = BrainOF(config, random_state=None)
            backbone.load_state_dict(unpack(weights.tobytes()), assign=True)
            _BACKBONES[key] = backbone.eval()
        return _BACKBONES[key]


def _embed_group(plain, group, on_error, said=None):
    """Embed items together; if that fails, each alone, to find the broken one."""
    try:
        with _reading(said):
            sources = [as_source(item, index, plain._reading()) for index, item in group]
        rows = plain._embed_blocks(_blocks(plain, sources, said), count_samples(sources))
    except (_BrokenError, ValueError, TypeError) as error:
        if len(group) > 1:
            found = [_embed_group(plain, [entry], on_error, said) for entry in group]
            return [outcome for outcomes in found for outcome in outcomes]
        index, item = group[0]
        broken = _plain_error(error, name_item(item, index))
        if on_error == "raise":
            raise broken from error
        return [Outcome(index, error=broken)]
    ends = np.cumsum([source.n_samples for source in sources])
    parts = np.split(rows, ends[:-1])
    return [Outcome(index, part) for (index, _), part in zip(group, parts, strict=True)]


def _blocks(plain, sources, said):
    blocks = plain._blocks(sources)
    while True:
        with _reading(said):
            block = next(blocks, None)
        if block is None:
            return
        yield block


@contextmanager
def _reading(said):
    """Read alone in this process; keep warnings for whoever sent the task."""
    caught = nullcontext([]) if said is None else warnings.catch_warnings(record=True)
    with _READING, caught as entries:
        if said is not None:
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
            if said is not None:
                said += [entry for entry in found if issubclass(entry[1], kinds)]


def _plain_error(error, where):
    """The same words as an exception that any process can send to another."""
    error = error.__cause__ if isinstance(error, _BrokenError) else error
    kinds = (FileNotFoundError, OSError, TypeError, ValueError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)
    text = str(error) or type(error).__name__
    return kind(text if where in text else f"{where}: {text}")
