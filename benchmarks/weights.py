"""Compare the embeddings of checkpoints on the sets and folds of the development suite.

``BRAINOF_DATA=... python -m benchmarks.weights CHECKPOINT [CHECKPOINT ...]`` from the root of the
repository scores the forms of the latents (``compact`` read-outs, ``flatten``, ``mean``) of each
checkpoint by a linear probe on latents alone, and prints scores and paired differences. A
checkpoint is a folder, a name, or ``untrained:SEED``: random weights with the configuration and
preprocessing of the first folder or name. Its read-outs were never trained and predict nothing, so
that an untrained network has ``flatten`` and ``mean`` only. The scores of a set with a checkpoint
are one line of JSON in ``--results``: after an interruption, the same command computes the rest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
import torch

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.estimators.precomputed import PrecomputedFeatures
from brainof_toolbox.models import BrainOF, load_checkpoint, save_checkpoint

from .lib.sets import data_dir
from .lib.store import append_line, read_lines
from .suite.people import read_splits
from .suite.scoring import pool_lines, score_estimator
from .suite.sets import SETS
from .suite.summary import count, difference, interval, pool

FORMS = ("compact", "flatten", "mean")
PARTS = ("difference", "low", "high")
UNTRAINED = "untrained:"
#: Sets of recorded people from which the pooled numbers come; the others are asked for by name.
DEFAULT_SETS = tuple(name for name, entry in SETS.items() if entry.folder is not None)


def make_untrained(name, like, folder):
    """Save random weights with the configuration of another checkpoint; return their folder."""
    seed = int(name.removeprefix(UNTRAINED))
    return save_checkpoint(
        Path(folder) / f"untrained-{seed}",
        BrainOF(like.config, random_state=seed),
        preprocessing=like.preprocessing,
        manifest={"licence": "none", "datasets": [], "steps": 0},
    )


def embed_forms(checkpoint, task, is_trained):
    """Return the features of a task for each form, from one pass over the samples.

    Parameters
    ----------
    checkpoint : path-like | str
        Weights.
    task : Task
        Samples.
    is_trained : bool
        Whether the read-outs, if there are any, predict something.

    Returns
    -------
    found : dict of str -> PrecomputedFeatures
        Rows of each form that the weights have for these samples.
    """
    options = {"info": task.info, "missing_positions": task.missing_positions}
    encoder = Encoder(checkpoint, pooling="flatten", **options)
    samples = encoder.samples(task.X)
    flat = encoder.embed(samples)
    config, network = encoder.backbone.config, encoder.network
    latents = flat.reshape(len(flat), config.n_latents, config.width)
    rows = {"flatten": flat, "mean": latents.mean(axis=1)}
    modalities = encoder.explicit.modalities
    if is_trained and len(modalities) == 1 and network.read_out_sizes(modalities[0]):
        rows["compact"] = Encoder(checkpoint, pooling="compact", **options).embed(samples)
    features = {}
    for form, values in rows.items():
        own = Encoder(checkpoint, pooling=form, **options)
        own.note_modalities(samples)
        groups = None if isinstance(task.groups, str) else task.groups
        blocks = {"latents": values}
        features[form] = PrecomputedFeatures(blocks, own.fingerprint, own.explicit, groups)
    return features


def score_set(checkpoint, entry, task, is_trained):
    """Return the lines of the suite for each form of a checkpoint's latents."""
    kind, found = BrainOFRegressor if entry.is_regression else BrainOFClassifier, {}
    for form, rows in embed_forms(checkpoint, task, is_trained).items():
        estimator = kind(
            checkpoint,
            features="latents",
            pooling=form,
            info=task.info,
            missing_positions=task.missing_positions,
        )
        lines = score_estimator(estimator, rows, entry, task, task.splits)
        found[form] = [{**line, "seed": 0} for line in lines]
    return found


def run(checkpoints, sets, path, people, show=print):
    """Score what has no line yet, set by set, so that recordings are read once."""
    done = {(row["set"], row["sha256"], row["people"]) for row in read_lines(path)}
    for name in sets:
        todo = {k: c for k, c in checkpoints.items() if (name, c["sha256"], people) not in done}
        entry = SETS[name]
        has_people = people == "development" or "test" in read_splits().get(entry.folder, {})
        if not todo or not has_people:
            continue
        task = entry.read(None if entry.folder is None else data_dir(), people)
        for title, about in todo.items():
            start = time.perf_counter()
            found = score_set(about["path"], entry, task, not title.startswith(UNTRAINED))
            row = {"set": name, "checkpoint": title, "sha256": about["sha256"], "people": people}
            seconds = round(time.perf_counter() - start, 1)
            append_line(path, {**row, "seconds": seconds, "forms": found})
            scores = ", ".join(f"{k} {pool_lines(rows):.3f}" for k, rows in found.items())
            show(f"{name}, {title}: {scores} in {seconds:.0f} s")


def count_all(rows):
    """Return the counts of each embedding of each set: dict of set -> dict of embedding."""
    found = {}
    for row in rows:
        for form, lines in row["forms"].items():
            found.setdefault(row["set"], {})[f"{row['checkpoint']} {form}"] = count(lines)
    return found


def tabulate(rows, titles):
    """Return tables of scores, of differences from the first embedding, and of their means.

    Parameters
    ----------
    rows : list of dict
        Lines of the results.
    titles : sequence of str
        Checkpoints in order; the first embedding is the read-outs of the first one, or, in sets
        without, the next one.

    Returns
    -------
    scores, differences, means : DataFrame
        A row per set, a column per embedding; means are over claimed sets that have both.
        Intervals are of 95 %, over groups (mostly people).
    """
    counts = count_all(rows)
    keys = [f"{title} {form}" for form in FORMS for title in titles]
    scores, differences, pairs = [], [], {}
    for name in (name for name in SETS if name in counts):
        there = {key: counts[name][key] for key in keys if key in counts[name]}
        first = next(iter(there))
        own = {key: _text(one.score, *interval(one)) for key, one in there.items()}
        groups = len(there[first].names)
        scores.append({"set": name, **own, "chance": f"{SETS[name].chance:.2f}", "groups": groups})
        own = {}
        for key in list(there)[1:]:
            pair = difference(there[first], there[key])
            own[key] = _text(*(pair[part] for part in PARTS), "+")
            if first == keys[0]:
                pairs.setdefault(key, {})[name] = pair
        differences.append({"set": name, "first": first, **own})
    means = []
    for key, own in pairs.items():
        found = pool(own)
        if found is not None:
            text = _text(*(found[part] for part in PARTS), "+")
            means.append({"first": keys[0], "against": key, "mean difference": text})
            means[-1]["sets"] = found["n_sets"]
    return tuple(pd.DataFrame(table) for table in (scores, differences, means))


def _text(value, low, high, sign=""):
    return f"{value:{sign}.3f} [{low:{sign}.2f} {high:{sign}.2f}]"


def main(arguments=None):
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", help="folder, name or untrained:SEED")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(DEFAULT_SETS))
    parser.add_argument("--people", choices=("development", "test"), default="development")
    parser.add_argument("--results", type=Path, default=Path("outputs/weights.jsonl"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    warnings.simplefilter("ignore")
    trained = [name for name in options.checkpoints if not name.startswith(UNTRAINED)]
    if not trained:
        parser.error("name a checkpoint: an untrained network has its configuration")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        like, checkpoints = load_checkpoint(trained[0]), {}
        for name in options.checkpoints:
            path = name if name in trained else make_untrained(name, like, folder)
            title = Path(name).name
            if title in checkpoints:
                parser.error(f"two checkpoints are called {title}: rename a folder")
            checkpoints[title] = {"path": path, "sha256": load_checkpoint(path).sha256}
        run(checkpoints, options.sets, options.results, options.people)
    wanted = {(title, about["sha256"]) for title, about in checkpoints.items()}
    rows = [
        row
        for row in read_lines(options.results)
        if (row["checkpoint"], row["sha256"]) in wanted
        and row["people"] == options.people
        and row["set"] in options.sets
    ]
    for table in tabulate(rows, list(checkpoints)):
        print(f"\n{table.to_string(index=False, na_rep='-')}")


if __name__ == "__main__":
    main()
