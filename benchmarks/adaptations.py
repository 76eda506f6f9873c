"""Compare ways of adapting on few trials: what the estimators' defaults were chosen by.

``BRAINOF_DATA=... python -m benchmarks.adaptations`` trains on samples of some
subjects and scores others, for every development task of ``benchmarks/lib/development_tasks.py``
(subjects of the corpus, and simulated ones; none that the suite scores). Lines go to
``pretraining/adaptations.jsonl``; what is there already is not run again. The tables of
``doc/adaptations.rst`` are written from them.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import GroupShuffleSplit

from benchmarks.lib.development_tasks import load_all
from benchmarks.lib.store import append_line, read_lines
from benchmarks.lib.tables import csv_link, slug, write_below
from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.estimators import Augmentation, FineTuning, LoRA, Probe

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "pretraining" / "adaptations.jsonl"
PAGE = HERE.parent / "doc" / "adaptations.rst"
MORE = {"augmentation": Augmentation(), "label_smoothing": 0.1}
PLAIN = {"augmentation": None, "label_smoothing": 0.0, "patience": 3}
#: Name -> adaptation, its parameters, and parameters of the classifier.
VARIANTS = {
    "probe": (Probe, {}, {}),
    "probe, mlp": (Probe, {"head": "mlp"}, {}),
    "probe, layer 3": (Probe, {}, {"layer": 3}),
    "probe, layer 0": (Probe, {}, {"layer": 0}),
    "lora, rate 1e-3": (LoRA, {"learning_rate": 1e-3}, {}),
    "full, rate 1e-3": (FineTuning, {"learning_rate": 1e-3}, {}),
    "full, rate 3e-4": (FineTuning, {"learning_rate": 3e-4}, {}),
    "lora, rate 3e-3": (LoRA, {"learning_rate": 3e-3}, {}),
    "last 2 layers, rate 1e-3": (
        FineTuning,
        {"n_trainable_layers": 2, "learning_rate": 1e-3},
        {},
    ),
    "full, rate 1e-3, augmented": (FineTuning, {"learning_rate": 1e-3, **MORE}, {}),
    "full, rate 3e-4, augmented": (FineTuning, {"learning_rate": 3e-4, **MORE}, {}),
    "full, rate 1e-4, augmented": (FineTuning, {"learning_rate": 1e-4, **MORE}, {}),
    "lora, rate 1e-3, augmented": (LoRA, {"learning_rate": 1e-3, **MORE}, {}),
    "full, rate 1e-3, no refit": (FineTuning, {"learning_rate": 1e-3, "refit": False}, {}),
}
SIZES = (40, 120)
N_TEST = 128


def draw(X, y, groups, n_train, seed):
    """Draw training samples of some subjects, and test samples of others."""
    rng = np.random.default_rng(seed)
    split = GroupShuffleSplit(1, test_size=0.34, random_state=seed)
    train, test = next(split.split(np.zeros(len(y)), y, groups))
    return [
        np.sort(rng.choice(part, min(n, len(part)), replace=False))
        for part, n in ((train, n_train), (test, N_TEST))
    ]


def score(task, parameters, n_train, seed, max_epochs):
    """Fit and score once."""
    X, y, groups, _ = task
    y, groups = np.asarray(y), np.asarray(groups)
    train, test = draw(X, y, groups, n_train, seed)
    start = time.perf_counter()
    kind, own, others = parameters
    if kind is not Probe:
        own = {**PLAIN, "max_epochs": max_epochs, **own}
    # The results were computed without class weights.
    decoder = BrainOFClassifier(
        adaptation=kind(**own),
        features="latents",
        class_weight=None,
        random_state=seed,
        **others,
    )
    decoder.fit(X[train], y[train], groups[train])
    minutes = (time.perf_counter() - start) / 60
    probability = decoder.predict_proba(X[test])
    predicted = decoder.classes_[probability.argmax(axis=1)]
    history = getattr(decoder, "history_", None)
    return {
        "n_train": len(train),
        "n_test": len(test),
        "balanced accuracy": round(float(balanced_accuracy_score(y[test], predicted)), 4),
        "log loss": round(float(log_loss(y[test], probability, labels=decoder.classes_)), 4),
        "best epoch": None if history is None else int(history["valid_loss"].fillna(9).idxmin()),
        "minutes": round(minutes, 2),
    }


def run(options):
    """Score what is missing in the results."""
    tasks = load_all(options.cache)
    names = ("variant", "task", "asked", "seed")
    done = {tuple(line[name] for name in names) for line in read_lines(RESULTS)}
    for seed in range(options.seeds):
        for variant in options.variants:
            for size in options.sizes:
                for task in tasks:
                    key = (variant, task, size, seed)
                    if key in done:
                        continue
                    found = score(tasks[task], VARIANTS[variant], size, seed, options.max_epochs)
                    line = {**dict(zip(names, key)), "epochs": options.max_epochs, **found}
                    append_line(RESULTS, line)
                    print(json.dumps(line), flush=True)


def render():
    """Write the tables of the page: one per measure, number of samples and draw of subjects."""
    frame, parts = pd.DataFrame(read_lines(RESULTS)), []
    for (size, seed), lines in frame.groupby(["asked", "seed"]):
        for column in ("log loss", "balanced accuracy"):
            table = lines.pivot_table(index="variant", columns="task", values=column).dropna()
            table = table.reindex([name for name in VARIANTS if name in table.index])
            body = table.map("{:.3f}".format)
            gain = table.sub(table.loc["probe"]) * (-1 if column == "log loss" else 1)
            counts = [f"{n} of {table.shape[1]}" for n in (gain > 0).sum(axis=1)]
            body.insert(0, "better than the probe", counts)
            body.insert(0, "mean", table.mean(axis=1).map("{:.3f}".format))
            title = f"{column.capitalize()}, at most {size} training samples, draw {seed + 1}"
            name = slug(f"{column} {size} draw {seed + 1}")
            parts.append(csv_link(body.reset_index(), title, PAGE, name))
    write_below(PAGE, "adaptations.py", parts)


def main():
    """Run, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("outputs/adaptations"))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--max-epochs", type=int, default=8)
    parser.add_argument("--render-only", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not options.render_only:
        run(options)
    render()


if __name__ == "__main__":
    main()
