"""Score decoders on sets."""

from __future__ import annotations

import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context

import mne
import numpy as np
from sklearn.base import clone

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor, cross_validate, from_epochs
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.estimators.base import ENCODER_PARAMETERS
from brainof_toolbox.estimators.precomputed import PrecomputedFeatures

from ..lib.sampling import cut_labels
from ..lib.sets import data_dir
from .conditions import AS_RECORDED, apply_condition
from .decoders import (
    EVOKED_TANGENT,
    NETWORKS,
    TRAINED,
    Unsupported,
    is_classical,
    make_decoder,
    names_for,
    weights_of,
)
from .people import read_splits
from .results import Item, Store
from .sets import SETS

#: Left out under conditions: all decoders would take too long.
ONLY_AS_RECORDED = ("re-centred", "untrained", EVOKED_TANGENT, *NETWORKS, *TRAINED)

FAILED = "ended with an error"


def list_items(sets, decoders=None, fractions=(1.0,), conditions=None, seeds=(0,), people=None):
    """List the items to score, set by set.

    Parameters
    ----------
    sets : sequence of str
        Names of sets.
    decoders, conditions : sequence of str | None
        Names; ``None``: all.
    fractions : sequence of float
        Shares of the training labels.
    seeds : sequence of int
        Of the decoders and of the choice of labels.
    people : str | None
        Part of ``splits.toml`` to score; ``None``: ``"development"``.

    Returns
    -------
    items : list of Item
        Fractions below 1 are for the recordings as they are.
    """
    items = []
    for name in sets:
        entry, part = SETS[name], people or "development"
        if part == "test" and "test" not in read_splits().get(entry.folder, {}):
            continue
        for condition in (AS_RECORDED, *entry.conditions):
            if conditions is not None and condition not in conditions:
                continue
            is_plain = condition == AS_RECORDED
            for fraction in fractions if is_plain else (1.0,):
                is_whole = is_plain and fraction == 1
                items += [
                    Item(name, condition, float(fraction), one, seed, part, weights_of(one))
                    for one in names_for(entry)
                    if (is_whole or one not in ONLY_AS_RECORDED)
                    and (one not in TRAINED if decoders is None else one in decoders)
                    for seed in seeds
                ]
    return items


def run(items, folder, jobs=1, again=False, show=print):
    """Score items that have no lines yet; sets are shared out over processes.

    Parameters
    ----------
    items : list of Item
        What to score.
    folder : Path
        Of the results.
    jobs : int
        Processes of one thread each.
    again : bool
        Whether items that could not run are tried again.
    show : callable
        Takes a line of progress.

    Returns
    -------
    failed : list of str
        Lines of what ended with an error; a decoder that cannot take the samples is none.
    """
    done = Store(folder).read()
    if again:
        done = {item: rows for item, rows in done.items() if "cannot_run" not in rows[0]}
    by_set = {}
    for item in items:
        if item not in done:
            by_set.setdefault(item.set, []).append(item)
    failed = []
    for line in _lines(by_set, folder, jobs):
        show(line)
        failed += [line] * (FAILED in line)
    return failed


def _lines(by_set, folder, jobs):
    """Score sets one after the other or in processes, the longest first; yield their lines."""
    if jobs == 1:
        for todo in by_set.values():
            yield from run_set(todo, folder)
        return
    ordered = sorted(by_set.values(), key=len, reverse=True)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_list_lines, todo, folder) for todo in ordered]
        for future in as_completed(futures):
            yield from future.result()


def _list_lines(items, folder):
    return list(run_set(items, folder))


def run_set(items, folder):
    """Score items of one set; yield a line of progress for each."""
    entry, store = SETS[items[0].set], Store(folder)
    root = None if entry.folder is None else data_dir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            recorded = entry.read(root, items[0].people)
        except Exception:  # one set that fails must not lose the others
            yield f"{items[0].set}: {FAILED}\n{traceback.format_exc()}"
            return
        for condition in dict.fromkeys(item.condition for item in items):
            task = apply_condition(condition, recorded)
            arrays, shared = _read_once(task), SharedFeatures(task)
            for item in items:
                if item.condition == condition:
                    own = arrays if is_classical(item.decoder) else task
                    yield f"{item}: {_attempt(item, entry, own, store, shared)}"


def _read_once(task):
    """Convert epochs to Signals; classical decoders would do this again in each fold."""
    is_epochs = isinstance(task.X, mne.BaseEpochs)
    return replace(task, X=from_epochs(task.X)) if is_epochs else task


def _attempt(item, entry, task, store, shared):
    """Score an item and store its lines; return a line of progress."""
    try:
        rows = score(item, entry, task, shared)
    except Unsupported as error:
        return f"skipped, {error}"
    except (ValueError, AssertionError) as error:  # what numpy, sklearn and pyRiemann raise
        reason = str(error).splitlines()[0][:200]
        store.add(item, [{"fold": None, "group": None, "cannot_run": reason}])
        return f"cannot run, {reason}"
    except Exception:  # one decoder that fails must not lose the others
        return f"{FAILED}\n{traceback.format_exc()}"
    store.add(item, rows)
    return f"{pool_lines(rows):.3f} in {rows[0]['seconds']:.1f} s"


def _clocks():
    return time.perf_counter(), time.process_time()


class SharedFeatures:
    """Blocks of features of a task, computed once for the estimators that use some of them."""

    def __init__(self, task):
        self.task, self.found = task, {}

    def take(self, estimator):
        """Return X for an estimator, and the seconds (wall, CPU) that its features took."""
        is_ours = isinstance(estimator, (BrainOFClassifier, BrainOFRegressor))
        if not is_ours or estimator.adaptation != "probe":
            return self.task.X, (0.0, 0.0)
        checkpoint = estimator.checkpoint
        if checkpoint not in self.found:
            start = _clocks()
            groups = None if isinstance(self.task.groups, str) else self.task.groups
            every = clone(estimator).set_params(features="auto").precompute(self.task.X, groups)
            took = [now - then for now, then in zip(_clocks(), start, strict=True)]
            self.found[checkpoint] = every, took
        every, took = self.found[checkpoint]
        options = {name: getattr(estimator, name) for name in ENCODER_PARAMETERS}
        encoder = Encoder(checkpoint, **options)
        encoder.note_modalities([every])
        if encoder.explicit.is_auto:
            encoder.explicit = every.explicit
        blocks = {
            name: rows
            for name, rows in every.blocks.items()
            if (encoder.explicit.features if name != "latents" else encoder.backbone)
        }
        X = PrecomputedFeatures(blocks, encoder.fingerprint, encoder.explicit, every.subject)
        return X, took


def score(item, entry, task, shared=None):
    """Return one line for each fold and group.

    A line holds ``right`` and ``total`` for each class: correct and all test samples. The
    pooled balanced accuracy is the mean over classes of the sums' ratio. Of a continuous target,
    ``total`` is the sum of the absolute errors of the training median, and ``right`` the
    reduction by the decoder, so that the same ratio is the skill.
    """
    splits = cut_splits(task, item.fraction, item.seed)
    estimator = make_decoder(item.decoder, entry, task, item.seed)
    X, before = (task.X, (0.0, 0.0)) if shared is None else shared.take(estimator)
    return score_estimator(estimator, X, entry, task, splits, before)


def cut_splits(task, fraction, seed):
    """Return the splits of a task with a share of the labels of each training side."""
    if fraction == 1:
        return task.splits
    return [
        (cut_labels(train, task.y, task.groups, fraction, [seed, fold]), test)
        for fold, (train, test) in enumerate(task.splits)
    ]


def score_estimator(estimator, X, entry, task, splits, before=(0.0, 0.0)):
    """Return the lines of :func:`score` for an estimator; seconds ``before`` are added."""
    start = _clocks()
    scores = cross_validate(estimator, X, task.y, groups=task.groups, cv=splits)
    spent = [now - then + own for now, then, own in zip(_clocks(), start, before, strict=True)]
    spent = {"seconds": round(spent[0], 2), "cpu_seconds": round(spent[1], 2)}
    table = scores.predictions
    if isinstance(task.groups, str):
        table = table.assign(group=[f"fold {fold}" for fold in table["fold"]])
    rows = []
    for (fold, group), own in table.groupby(["fold", "group"], sort=False):
        y, predicted = own["y"].to_numpy(), own["predicted"].to_numpy()
        if entry.is_regression:
            counts = count_errors(y, predicted, np.median(task.y[splits[fold][0]]))
        else:
            counts = count_right(y, predicted)
        right, total = counts["right"], counts["total"]
        shares = [right[k] / total[k] for k in total if total[k] > 0]
        rows.append(
            {
                "fold": int(fold),
                "group": str(group),
                "score": round(float(np.mean(shares)), 5) if shares else None,
                "n": len(own),
                **counts,
                **spent,
            }
        )
    return rows


def pool_lines(rows):
    """Return the pooled score of the lines of one item."""
    sums = {}
    for row in rows:
        for label, n in row["total"].items():
            old = sums.get(label, (0, 0))
            sums[label] = old[0] + row["right"][label], old[1] + n
    return float(np.mean([right / total for right, total in sums.values()]))


def count_right(y, predicted):
    """Count correct and all test samples of each class."""
    labels = [str(label) for label in np.unique(y)]
    return {
        "right": {k: int(((y == k) & (predicted == k)).sum()) for k in labels},
        "total": {k: int((y == k).sum()) for k in labels},
    }


def count_errors(y, predicted, guess):
    """Compare the absolute errors with those of the training median."""
    total = float(np.abs(y - guess).sum())
    return {
        "right": {"error": round(total - float(np.abs(y - predicted).sum()), 6)},
        "total": {"error": round(total, 6)},
        "y": [float(one) for one in y],
        "predicted": [round(float(one), 4) for one in predicted],
    }
