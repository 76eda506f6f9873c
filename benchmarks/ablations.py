"""Ablations: short pretraining runs that differ in one choice, scored on the development suite.

``BRAINOF_DATA=... python -m benchmarks.ablations run CORPUS`` trains each variant of a recipe with
each seed and scores its latents by a linear probe on left-out people; after an interruption, the
same command computes the rest. ``python -m benchmarks.ablations pages`` writes the tables of
``doc/ablations.rst``.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import time
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brainof_toolbox.models import BrainOFConfig
from brainof_toolbox.pretraining import Corpus, pretrain

from .lib.sets import data_dir
from .lib.store import append_line, read_lines
from .lib.tables import slug, write_csv
from .suite.conditions import AS_RECORDED, apply_condition
from .suite.scoring import pool_lines
from .suite.sets import SETS
from .weights.scoring import embed_task, save_untrained, score_form

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "doc" / "ablations.rst"
UNTRAINED = "untrained"
_PUBLISHED = {"terms": {}, "spectrum_weight": 0.0}
#: Name -> changed fields of the network, of the training, and the part of the corpus.
VARIANTS = {
    UNTRAINED: {},
    "default": {},
    "plain attention": {"model": {"attention": "plain"}},
    "dense experts": {"model": {"experts": "dense"}},
    "no second order": {"training": {"terms": {"fine_spectrum": 1.0, "course": 1.0}}},
    "published objective": {"model": {"predicts_spectrum": False}, "training": _PUBLISHED},
    "published, time only": {
        "model": {"predicts_spectrum": False},
        "training": {**_PUBLISHED, "frequency_weight": 0.0, "frequency_mask_ratio": 0.0},
    },
    "no enrichment": {"training": {"augmentation": {"enriched": 0.0}}},
    "EEG only": {"part": {"modalities": ["eeg"]}},
    "fMRI only": {"part": {"modalities": ["fmri"]}},
    "real only": {"part": {"datasets": "real"}},
    "simulated only": {"part": {"datasets": "simulated"}},
}
#: What makes the runs short.
SHORT = {
    "max_tokens_per_microbatch": 1216,
    "warmup_steps": 20,
    "term_samples": 200,
    "ema_decay": None,
    "save_average": False,
    "keep_latest_k": 1,
}
#: Set -> one of so many samples of each person and class is used: of those that are ever tested,
#: and of the others.
EEG = {"eyes": (1, 6), "arithmetic": (2, 2), "pictures": (2, 2), "openbci": (1, 1)}
FMRI = {"pain": (1, 10), "injury": (1, 1)}
NOISE, NOISY = "noise 0 dB", ("eyes", "arithmetic")
CELLS = tuple((name, AS_RECORDED) for name in (*EEG, *FMRI)) + tuple((s, NOISE) for s in NOISY)
#: Means over sets, by column of the tables.
MEANS = {
    "EEG": [(name, AS_RECORDED) for name in EEG],
    "EEG, noise": [(name, NOISE) for name in NOISY],
    "fMRI": [(name, AS_RECORDED) for name in FMRI],
}
FORMS = ("flatten", "mean")
#: Modalities of which a variant has seen nothing are not scored.
_ALONE = {"EEG only": EEG, "fMRI only": FMRI}


def take_part(corpus, part):
    """Select a part of a corpus; ``"real"`` is all but what was simulated."""
    part = dict(part)
    if part.get("datasets") in ("real", "simulated"):
        is_real = part["datasets"] == "real"
        part["datasets"] = [d for d in corpus.datasets if (d != "simulated") == is_real]
    return corpus.select(**part)


def train(name, seed, corpus, recipe, folder, steps):
    """Train a variant, or continue; return its checkpoint."""
    change = VARIANTS[name]
    fields = {**recipe["model"], **change.get("model", {})}
    config = BrainOFConfig.preset(fields.pop("preset"), **fields)
    if name == UNTRAINED:
        return save_untrained(folder, config, corpus.preprocessing, seed)
    return pretrain(
        take_part(corpus, change.get("part", {})),
        folder,
        config=config,
        total_steps=steps,
        save_every=60,
        resume=(folder / "run.json").exists(),
        random_state=seed,
        training={**recipe["training"], **SHORT, **change.get("training", {})},
        device="cpu",
        verbose=False,
    )


def thin(task, tested, others):
    """Keep every so-manieth sample of each group and class.

    Parameters
    ----------
    task : Task
        Its samples can be indexed by an array.
    tested, others : int
        Steps, for samples on the test side of a split, and for those that are only trained on.

    Returns
    -------
    thinned : Task
        With the same groups on each side of each split.
    """
    is_tested = np.zeros(len(task.y), bool)
    is_tested[np.concatenate([test for _, test in task.splits])] = True
    number = pd.Series(task.y).groupby([task.groups, task.y, is_tested]).cumcount()
    kept = np.flatnonzero(number % np.where(is_tested, tested, others) == 0)
    splits = [tuple(np.flatnonzero(np.isin(kept, side)) for side in pair) for pair in task.splits]
    groups = np.asarray(task.groups)[kept]
    return replace(task, X=task.X[kept], y=task.y[kept], groups=groups, splits=splits)


@functools.cache
def read_task(name, condition):
    """Read the samples of a set under a condition."""
    recorded = thin(SETS[name].read(data_dir(), "development"), *{**EEG, **FMRI}[name])
    return apply_condition(condition, recorded)


def score(checkpoint, name, condition):
    """Return the score of each form of the latents on a set."""
    entry, task = SETS[name], read_task(name, condition)
    features = embed_task(checkpoint, task, is_trained=False)  # without read-outs
    return {
        form: round(pool_lines(score_form(checkpoint, form, rows, entry, task, 1.0)), 5)
        for form, rows in features.items()
    }


def run(options):
    """Train and score what has no lines yet, seed by seed."""
    corpus, recipe = Corpus(options.corpus), tomllib.loads(options.recipe.read_text())
    for seed in options.seeds:
        for name in options.variants:
            cell = {"variant": name, "seed": seed, "steps": options.steps}
            done = read_lines(options.results)
            sets = _ALONE.get(name, {**EEG, **FMRI})
            todo = [
                here | cell
                for here in ({"set": one, "condition": condition} for one, condition in CELLS)
                if here["set"] in sets
                and not any((here | cell).items() <= row.items() for row in done)
            ]
            if not todo:
                continue
            start, folder = time.perf_counter(), options.runs / f"{slug(name)}-{seed}"
            path = train(name, seed, corpus, recipe, folder, options.steps)
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            for row in todo:
                row["scores"] = score(path, row["set"], row["condition"])
                append_line(options.results, row)
                print(row, flush=True)
            shutil.rmtree(folder)


def tabulate(rows, form="flatten"):
    """Return mean scores and standard errors over seeds of each variant.

    Parameters
    ----------
    rows : list of dict
        Lines of results: ``variant, seed, set, condition, scores``.
    form : str
        Form of the latents.

    Returns
    -------
    table : DataFrame
        A row per variant; a column per set, means over sets, and the number of seeds. A seed
        enters a column if it has all of its sets.
    """
    columns = {**MEANS, **{name: [(name, AS_RECORDED)] for name in (*EEG, *FMRI)}}
    found = {}
    for row in rows:
        by_seed = found.setdefault(row["variant"], {}).setdefault(row["seed"], {})
        by_seed[row["set"], row["condition"]] = row["scores"][form]
    table = []
    for name in (name for name in VARIANTS if name in found):
        own = pd.DataFrame(found[name]).reindex(CELLS).T  # seeds x cells
        means = {
            title: _mean(own[cells].mean(axis=1, skipna=False), 2 if len(cells) == 1 else 3)
            for title, cells in columns.items()
        }
        table.append({"variant": name, **means, "seeds": len(own)})
    return pd.DataFrame(table)


def _mean(values, n_digits):
    """Write a mean and, of several seeds, its standard error."""
    values = values.dropna()
    if not len(values):
        return "–"
    error = f" ± {values.sem():.{n_digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{n_digits}f}{error}"


def main(arguments=None):
    """Run or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    results = HERE / "pretraining" / "ablations.jsonl"
    parser.add_argument("--results", type=Path, default=results)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="train and score what has no lines yet")
    one.add_argument("corpus", type=Path)
    one.add_argument("--recipe", type=Path, default=HERE / "pretraining" / "tiny_second.toml")
    one.add_argument("--runs", type=Path, default=Path("outputs/ablations"))
    one.add_argument("--steps", type=int, default=120)
    one.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    one.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    pages = commands.add_parser("pages", help="write the tables of doc/ablations.rst")
    pages.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    warnings.simplefilter("ignore")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.command == "run":
        run(options)
        return
    lines = read_lines(options.results)
    tables = {form: tabulate(lines, form) for form in FORMS}
    for form, table in tables.items():
        write_csv(table, options.page, form)
        print(table.to_string(index=False))
    write_csv(tables["flatten"][["variant", *MEANS]], options.page)


if __name__ == "__main__":
    main()
