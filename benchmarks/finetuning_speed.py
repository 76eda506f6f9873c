"""Time fine-tuning: fit and score folds of simulated epochs, with one thread.

``python -m benchmarks.finetuning_speed`` prints a line per adaptation: the median time of a fold
and the mean score. To compare two versions of the package, run it with each on ``PYTHONPATH``,
one after the other, and repeat.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_epochs
from brainof_toolbox.estimators import FineTuning, LoRA

PLAIN = {"augmentation": None}
VARIANTS = {
    "full": FineTuning(),
    "last 2 layers": FineTuning(2),
    "last 2 layers, no augmentation": FineTuning(2, **PLAIN),
    "lora, no augmentation": LoRA(**PLAIN),
}


def time_folds(adaptation, epochs, n_folds):
    """Return wall and processor seconds, and the score, of each fold."""
    y, rows = epochs.events[:, 2], []
    splits = StratifiedKFold(5, shuffle=True, random_state=0).split(y, y)
    for train, test in list(splits)[:n_folds]:
        decoder = BrainOFClassifier(adaptation=adaptation, pooling="flatten", verbose=False)
        start = time.perf_counter(), time.process_time()
        decoder.fit(epochs[train], y[train])
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        score = balanced_accuracy_score(y[test], decoder.predict(epochs[test]))
        rows.append((*seconds, score))
    return rows


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=160)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    epochs = make_epochs(n_epochs=options.trials, n_channels=10, random_state=0).crop(0, 1)
    for name in options.only:
        wall, cpu, score = zip(*time_folds(VARIANTS[name], epochs, options.folds))
        print(
            f"{name}: {statistics.median(wall):.1f} s, {statistics.median(cpu):.1f} s of a core "
            f"per fold; balanced accuracy {statistics.mean(score):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
