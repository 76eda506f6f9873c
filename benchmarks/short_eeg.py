"""Inference on short EEG (22 channels, 4 s) with one thread: forms of the tiny network and peers.

Run ``python -m benchmarks.short_eeg``; it writes ``speed_short.csv`` and ``speed_bfloat16.csv``
beside the tables of ``doc/speed.rst``. Times are CPU times of the thread, which other processes
on the machine disturb less than the clock on the wall; models take turns in each round. Peers come
from braindecode with random weights, where it is installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.lib.tables import write_csv
from benchmarks.speed import CASES, DOC, make_peer
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_study
from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens

CASE = "22 x 4 s EEG"
#: Latents, rate in Hz, and whether products are in bfloat16.
FORMS = {
    "tiny, 128 Hz": (128, 128, False),
    "tiny, 128 Hz, bf16": (128, 128, True),
    "tiny, 256 Hz": (128, 256, False),
    "tiny, 256 Hz, bf16": (128, 256, True),
    "64 latents, 128 Hz": (64, 128, False),
    "64 latents, 128 Hz, bf16": (64, 128, True),
}
PEERS = ("LUNA", "CBraMod")
BATCHES = (1, 16, 32, 128)


def make_form(n_latents, rate, is_half):
    """Return a function from a number of windows to a function that embeds so many."""
    n_channels, seconds, modality, kind, _ = CASES[CASE]
    network = BrainOF(BrainOFConfig(n_latents=n_latents)).eval()
    place = np.random.default_rng(0).normal(size=(n_channels, 3))
    place *= 0.095 / np.linalg.norm(place, axis=1, keepdims=True)

    def of_size(n_batch):
        data = _noise(n_batch, n_channels, seconds * rate)
        layout = rate, place, np.zeros_like(place), [kind] * n_channels, modality

        def embed():  # tokens included
            with torch.autocast("cpu", torch.bfloat16, is_half):
                network(make_tokens(data, *layout))

        return embed

    return of_size


def _noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def make_peer_form(name):
    """Return the same for a peer."""
    network = make_peer(name, CASE).eval()

    def of_size(n_batch):
        data = _noise(n_batch, *network.shape)
        return lambda: network(data)

    return of_size


def time_forms(forms, batches, n_rounds):
    """Return a row per form: median, smallest and largest ms per window, by size of a batch."""
    calls = {(name, n): form(n) for name, form in forms.items() for n in batches}
    times = {key: [] for key in calls}
    with torch.inference_mode():
        for number in range(n_rounds + 1):
            for (name, n), call in calls.items():
                start = time.thread_time()
                call()
                if number:  # the first round warms up
                    times[name, n].append(1e3 * (time.thread_time() - start) / n)
    return pd.DataFrame(
        {"network": name, **{f"batch of {n}": _spread(times[name, n]) for n in batches}}
        for name in forms
    )


def _spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def compare_precision(checkpoint, n_subjects, n_epochs):
    """Return how much bfloat16 changes rows of simulated epochs, and decoding from them."""
    epochs = make_study(n_subjects=n_subjects, n_epochs=n_epochs, random_state=0)
    embedder = BrainOFEmbedder(checkpoint, pooling="mean")
    rows = [embedder.fit_transform(epochs)]
    embedder.encoder_.token_network.use_bfloat16()
    rows.append(embedder.transform(epochs))
    y, groups = epochs.events[:, 2], epochs.metadata["subject"]
    decoder = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    found = {
        "difference of rows / standard deviation over epochs": np.sqrt(
            np.square(rows[0] - rows[1]).mean() / rows[0].var(0).mean()
        )
    }
    for name, X in zip(("float32", "bfloat16"), rows):
        folds = {"groups": groups, "cv": LeaveOneGroupOut(), "scoring": "balanced_accuracy"}
        found[f"balanced accuracy, {name}"] = cross_val_score(decoder, X, y, **folds).mean()
    return pd.DataFrame({"quantity": list(found), "value": [f"{v:.4f}" for v in found.values()]})


def main():
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--checkpoint", default="brainof-tiny")
    parser.add_argument("--out", type=Path, default=DOC / "speed.rst", help="page of the tables")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    forms = {name: make_form(*form) for name, form in FORMS.items()}
    for name in PEERS:
        try:
            forms[name] = make_peer_form(name)
        except ImportError as error:
            print(f"Without {name}: {error}")
    tables = {
        "short": time_forms(forms, options.batches, options.rounds),
        "bfloat16": compare_precision(options.checkpoint, 6, 30),
    }
    for name, table in tables.items():
        print(
            table.to_string(index=False), f"wrote {write_csv(table, options.out, name)}", sep="\n"
        )


if __name__ == "__main__":
    main()
