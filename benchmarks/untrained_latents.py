"""Compare the default decoder with one that has latents of untrained weights.

``BRAINOF_DATA=... python -m benchmarks.untrained_latents --suite outputs/suite`` scores the
default decoder with all latents of random weights, at the prior factor of read-outs, on sets of
EEG under the conditions of the suite, and prints mean differences to the default decoder and to
the one without latents, with lines that ``benchmarks.suite`` wrote to the folder.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.estimators import training
from brainof_toolbox.evaluation.statistics import sign_flip
from brainof_toolbox.models import load_checkpoint

from .lib.sets import data_dir
from .suite.conditions import CONDITIONS, apply_condition
from .suite.decoders import DEFAULT, WITHOUT
from .suite.results import Store
from .suite.scoring import SharedFeatures, score_estimator
from .suite.sets import SETS
from .suite.summary import Summary, count, difference, pool
from .weights.scoring import make_untrained


def score(checkpoint, names):
    """Return counts by set and condition, with equal prior factors of all blocks."""
    found = {}
    for name in names:
        entry = SETS[name]
        recorded = entry.read(None if entry.folder is None else data_dir(), "development")
        for condition in CONDITIONS:
            task = apply_condition(condition, recorded)
            estimator = BrainOFClassifier(checkpoint, pooling="flatten")
            X, spent = SharedFeatures(task).take(estimator)
            with patch.object(training, "_are_trusted", lambda pooler: True):
                lines = score_estimator(estimator, X, entry, task, task.splits, spent)
            found[name, condition] = count([{**line, "seed": 0} for line in lines])
    return found


def compare(untrained, summary):
    """Return lines of text: mean differences by condition, and over conditions by person."""
    lines, shares = [], {DEFAULT: {}, WITHOUT: {}}
    for condition in dict.fromkeys(condition for _, condition in untrained):
        for other, sign in ((DEFAULT, -1), (WITHOUT, 1)):
            pairs = {}
            for name, own in ((n, u) for (n, c), u in untrained.items() if c == condition):
                theirs = summary.decoders(name, condition)[other]
                pairs[name] = difference(*((own, theirs) if sign > 0 else (theirs, own)))
                for group, share in zip(own.names, pairs[name]["shares"], strict=True):
                    shares[other].setdefault((name, group), []).append(share)
            pooled = pool(pairs)
            values = " ".join(f"{pooled[key]:+.3f}" for key in ("difference", "low", "high"))
            words = "untrained - without" if sign > 0 else "default - untrained"
            lines.append(f"{condition}: {words} {values}, p = {pooled['p_value']:.3f}")
    for other, by_group in shares.items():
        means = np.array([np.mean(values) for values in by_group.values()])
        words = "untrained - without" if other == WITHOUT else "default - untrained"
        lines.append(f"all: {words} {means.mean():+.3f}, p = {sign_flip(means, 0):.4f}")
    return lines


def main(arguments=None):
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, default=Path("outputs/suite"))
    parser.add_argument("--sets", nargs="+", default=["motor", "pictures", "arithmetic", "eyes"])
    parser.add_argument(
        "--checkpoint", default="brainof-tiny", help="configuration of the network"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = make_untrained(0, load_checkpoint(options.checkpoint), folder)
        untrained = score(str(path), options.sets)
    print("\n".join(compare(untrained, Summary(Store(options.suite).read()))))


if __name__ == "__main__":
    main()
