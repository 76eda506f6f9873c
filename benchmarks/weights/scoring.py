"""Score the forms of a checkpoint's latents on sets, under conditions and with fewer labels."""

from __future__ import annotations

import time
from pathlib import Path

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.estimators.precomputed import PrecomputedFeatures
from brainof_toolbox.models import BrainOF, load_checkpoint, save_checkpoint

from ..lib.sets import data_dir
from ..lib.store import append_line, read_lines
from ..suite.conditions import AS_RECORDED, apply_condition
from ..suite.people import read_splits
from ..suite.scoring import cut_splits, pool_lines, score_estimator
from ..suite.sets import SETS
from .people import HALVES, describe_runs, identify_people, share_variance

FORMS = ("compact", "flatten", "mean")
UNTRAINED = "untrained:"
#: Title of the lines of region correlations and means, which need no weights.
CLASSICAL = "classical"
#: Sets of recorded people; the simulated ones are asked for by name.
DEFAULT_SETS = (*(name for name, entry in SETS.items() if entry.folder is not None), *HALVES)


def find_checkpoints(names, folder):
    """Return the path and the sha256 of each checkpoint, by title.

    Parameters
    ----------
    names : sequence of str
        Folders, names, or ``untrained:SEED``.
    folder : path-like
        Where untrained weights are written.

    Returns
    -------
    checkpoints : dict of str -> dict
        In the same order.

    Raises
    ------
    ValueError
        If two have one title, or all are untrained.
    """
    trained = [name for name in names if not name.startswith(UNTRAINED)]
    if not trained:
        raise ValueError("Name a checkpoint: an untrained network has its configuration.")
    like, found = load_checkpoint(trained[0]), {}
    for name in names:
        path, title = name, Path(name).name
        if name not in trained:
            path = make_untrained(int(name.removeprefix(UNTRAINED)), like, folder)
        if title in found:
            raise ValueError(f"Two checkpoints are called {title}: rename a folder.")
        found[title] = {"path": path, "sha256": load_checkpoint(path).sha256}
    return found


def make_untrained(seed, like, folder):
    """Save random weights with the configuration of another checkpoint; return their folder."""
    folder = Path(folder) / f"untrained-{seed}"
    return save_untrained(folder, like.config, like.preprocessing, seed)


def save_untrained(folder, config, preprocessing, seed):
    """Save random weights of a configuration; return their folder."""
    return save_checkpoint(
        folder,
        BrainOF(config, random_state=seed),
        preprocessing=preprocessing,
        manifest={"licence": "none", "datasets": [], "steps": 0},
    )


def embed_forms(checkpoint, X, is_trained, **options):
    """Return encoder and rows of each form that the weights have for these samples.

    Parameters
    ----------
    checkpoint : path-like | str
        Weights.
    X : object
        Samples in any accepted form.
    is_trained : bool
        Whether the read-outs, if there are any, predict something.
    **options
        Of the encoder: ``info``, ``missing_positions``.

    Returns
    -------
    found : dict of str -> (Encoder, ndarray)
        By form.
    """
    encoder = Encoder(checkpoint, pooling="flatten", **options)
    samples = encoder.samples(X)
    flat = encoder.embed(samples)
    config, modalities = encoder.backbone.config, encoder.explicit.modalities
    mean = Encoder(checkpoint, pooling="mean", **options)
    mean.note_modalities(samples)
    averaged = flat.reshape(len(flat), config.n_latents, config.width).mean(axis=1)
    found = {"flatten": (encoder, flat), "mean": (mean, averaged)}
    if is_trained and len(modalities) == 1 and encoder.network.read_out_sizes(modalities[0]):
        compact = Encoder(checkpoint, pooling="compact", **options)
        found["compact"] = compact, compact.embed(samples)
    return found


def embed_task(checkpoint, task, is_trained):
    """Return the features of a task for each form: dict of str -> PrecomputedFeatures."""
    options = {"info": task.info, "missing_positions": task.missing_positions}
    groups = None if isinstance(task.groups, str) else task.groups
    return {
        form: PrecomputedFeatures({"latents": rows}, own.fingerprint, own.explicit, groups)
        for form, (own, rows) in embed_forms(checkpoint, task.X, is_trained, **options).items()
    }


def score_form(checkpoint, form, rows, entry, task, fraction, seed=0):
    """Return the lines of the suite for one form of a checkpoint's latents."""
    kind = BrainOFRegressor if entry.is_regression else BrainOFClassifier
    estimator = kind(
        checkpoint,
        features="latents",
        pooling=form,
        info=task.info,
        missing_positions=task.missing_positions,
    )
    splits = cut_splits(task, fraction, 0)  # the draw of the suite
    lines = score_estimator(estimator, rows, entry, task, splits)
    return [{**line, "seed": seed} for line in lines]


def seed_of(title):
    """Return the seed of untrained weights, 0 for others."""
    return int(title.removeprefix(UNTRAINED)) if title.startswith(UNTRAINED) else 0


def run(checkpoints, sets, path, people, conditions=(AS_RECORDED,), fractions=(1.0,), show=print):
    """Score what has no line yet, set by set, so that recordings are read once.

    Parameters
    ----------
    checkpoints : dict of str -> dict
        Of :func:`find_checkpoints`.
    sets : sequence of str
        Names of the suite's sets and of ``HALVES``.
    path : Path
        Lines of results.
    people : str
        ``"development"`` or ``"test"``.
    conditions : sequence of str
        Those that a set does not have are left out.
    fractions : sequence of float
        Shares of the labels, for the recordings as they are.
    show : callable
        Takes a line of progress.
    """
    done = {key_of(row) for row in read_lines(path)}
    for name in (name for name in sets if name in HALVES):
        _run_halves(checkpoints, name, path, people, done, show)
    for name in (name for name in sets if name in SETS):
        entry, recorded = SETS[name], None
        if people == "test" and "test" not in read_splits().get(entry.folder, {}):
            continue
        for condition in (AS_RECORDED, *entry.conditions):
            shares, task = fractions if condition == AS_RECORDED else (1.0,), None
            for title, about in checkpoints.items():
                cell = {"set": name, "condition": condition, "checkpoint": title}
                cell |= {"sha256": about["sha256"], "people": people}
                todo = [one for one in shares if key_of({**cell, "fraction": one}) not in done]
                if condition not in conditions or not todo:
                    continue
                if recorded is None:
                    recorded = entry.read(entry.folder and data_dir(), people)
                task = task or apply_condition(condition, recorded)
                for row in score_set(about["path"], entry, task, cell, todo):
                    append_line(path, row)
                    show(describe(row))


def score_set(checkpoint, entry, task, cell, fractions):
    """Yield a line of results for each share of the labels.

    Parameters
    ----------
    checkpoint : path-like | str
        Weights.
    entry : Set
        The set.
    task : Task
        Its samples under the condition.
    cell : dict
        Fields of the line: ``set, condition, checkpoint, sha256, people``.
    fractions : sequence of float
        Shares.

    Yields
    ------
    row : dict
        ``cell`` with ``fraction, seconds``, ``forms`` (the suite's lines of each) and, for the
        recordings as they are, ``variance`` (of each form, see :func:`.people.share_variance`).
    """
    start, title = time.perf_counter(), cell["checkpoint"]
    features = embed_task(checkpoint, task, not title.startswith(UNTRAINED))
    for fraction in fractions:
        forms = {
            form: score_form(checkpoint, form, rows, entry, task, fraction, seed_of(title))
            for form, rows in features.items()
        }
        row = {**cell, "fraction": float(fraction), "forms": forms}
        if fraction == 1 and cell["condition"] == AS_RECORDED:
            shares = {
                form: share_variance(rows.blocks["latents"], entry, task)
                for form, rows in features.items()
            }
            row["variance"] = {form: found for form, found in shares.items() if found}
        yield {**row, "seconds": round(time.perf_counter() - start, 1)}
        start = time.perf_counter()


def _run_halves(checkpoints, name, path, people, done, show):
    """Score the identification of people; classical features are a line like the others."""
    halves = None
    for title, about in {CLASSICAL: {"sha256": ""}, **checkpoints}.items():
        cell = {"set": name, "condition": AS_RECORDED, "fraction": 1.0, "checkpoint": title}
        cell |= {"sha256": about["sha256"], "people": people}
        if key_of(cell) in done:
            continue
        halves = halves or HALVES[name](people)
        start, first, second = time.perf_counter(), *halves[:2]
        if title == CLASSICAL:
            pairs = describe_runs(name, first, second)
        else:
            rows = embed_forms(about["path"], first + second, not title.startswith(UNTRAINED))
            n = len(first)
            pairs = {form: (rows[:n], rows[n:]) for form, (_, rows) in rows.items()}
        forms = {
            form: identify_people(*pair, *halves[2:], seed_of(title))
            for form, pair in pairs.items()
        }
        seconds = round(time.perf_counter() - start, 1)
        append_line(path, {**cell, "forms": forms, "seconds": seconds})
        show(describe({**cell, "forms": forms, "seconds": seconds}))


def key_of(row):
    """Return the fields that identify a line of results."""
    names = ("set", "checkpoint", "sha256", "people")
    own = row.get("condition", AS_RECORDED), float(row.get("fraction", 1.0))
    return *(row[name] for name in names), *own


def describe(row):
    """Return a line of progress."""
    scores = ", ".join(f"{form} {pool_lines(own):.3f}" for form, own in row["forms"].items())
    share = "" if row["fraction"] == 1 else f", {row['fraction']:.0%} of labels"
    where = f"{row['set']}, {row['condition']}{share}, {row['checkpoint']}"
    return f"{where}: {scores} in {row['seconds']:.0f} s"
