"""Simulated paired recordings: modalities together, and with parts of them missing."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from brainof_toolbox import (
    BrainOFClassifier,
    PairedSignals,
    cross_validate,
    read_bids,
    read_participants,
)
from brainof_toolbox._record_baselines import make_record_baselines
from brainof_toolbox.datasets import make_paired_recordings, make_paired_signals

ALL = ("fmri", "eeg", "meg")
COMBINATIONS = (
    ("fmri",),
    ("eeg",),
    ("meg",),
    ("eeg", "meg"),
    ("fmri", "eeg"),
    ("fmri", "meg"),
    ALL,
)
N_SAMPLES, N_SUBJECTS = 24, 10
MISSING = (0.0, 0.1, 0.25, 0.5, 0.75)


def _subset(pair, names):
    """Some modalities of paired samples."""
    if len(names) == 1:
        return pair.parts[names[0]]
    return PairedSignals({name: pair.parts[name] for name in names})


def _accuracy(estimator, X, y, groups):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cross_validate(estimator, X, y, groups=groups).mean


def score_combinations(seeds):
    """Balanced accuracy of each combination of modalities, one column per seed."""
    columns = {}
    for seed in seeds:
        pair, y, groups = make_paired_signals(N_SAMPLES, n_subjects=N_SUBJECTS, random_state=seed)
        column = {
            " + ".join(names): _accuracy(
                BrainOFClassifier(random_state=0), _subset(pair, names), y, groups
            )
            for names in COMBINATIONS
        }
        for name, decoder in make_record_baselines(ALL).items():
            column[name] = _accuracy(decoder, pair, y, groups)
        columns[seed] = column
        print({name: round(score, 3) for name, score in column.items()}, flush=True)
    return pd.DataFrame(columns)


def combination_table(scores):
    """Scores by seed, their mean, and how often all modalities beat the best single one."""
    table = scores.map("{:.3f}".format)
    table.columns = [f"seed {seed}" for seed in scores]
    table["mean"] = scores.mean(axis=1).map("{:.3f}".format)
    singles = scores.loc[list(ALL)].max()
    together = scores.loc[" + ".join(ALL)]
    won = f"{(together > singles).sum()} of {len(singles)}"
    return table.reset_index(names="decoder"), won, (together - singles)


def score_missing(seeds):
    """Balanced accuracy when each sample lacks each modality with some probability."""
    rows = []
    for missing in MISSING:
        scores, classical = [], []
        for seed in seeds:
            X, y, groups = make_paired_signals(
                N_SAMPLES, n_subjects=N_SUBJECTS, missing=missing, random_state=seed
            )
            scores.append(_accuracy(BrainOFClassifier(random_state=0), X, y, groups))
            decoder = make_record_baselines(ALL)["all classical"]
            classical.append(_accuracy(decoder, X, y, groups))
        there = [1 - mask.mean() for mask in getattr(X, "is_missing", {}).values()]
        rows.append(
            {
                "probability of lacking a modality": f"{missing:g}",
                "modalities there (last seed)": f"{np.mean(there):.2f}",
                "Brain-OF probe, untrained": _spread(scores),
                "all classical, means filled in": _spread(classical),
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _spread(scores):
    return f"{np.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})"


def score_bids(random_state, n_subjects=16, duration=60.0):
    """A BIDS dataset with three datatypes: written, read with one call, decoded with one call."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = Path(scratch) / "dataset"
        make_paired_recordings(
            n_subjects, duration=duration, random_state=random_state, write_bids=root
        )
        records = read_bids(root)
        y = read_participants(root, "sex", records)
        memory = str(Path(scratch) / "cache")
        decoders = {
            "Brain-OF probe, untrained": BrainOFClassifier(random_state=0, memory=memory),
            **make_record_baselines(ALL, memory=memory),
        }
        rows = []
        for name, decoder in decoders.items():
            scores = cross_validate(decoder, records, y)
            low, high = scores.interval
            rows.append(
                {
                    "decoder": name,
                    "balanced accuracy": f"{scores.mean:.3f}",
                    "95 % interval": f"{low:.2f} to {high:.2f}",
                }
            )
    return pd.DataFrame(rows)
