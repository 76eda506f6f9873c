"""Inference on short EEG (22 channels, 4 s) with one thread: forms of the tiny network and peers.

Run ``python -m benchmarks.short_eeg``; it writes ``speed_short.csv``, ``speed_shares.csv`` and
``speed_precision.csv`` beside the tables of ``doc/speed.rst``. Times are CPU times of the thread,
which other processes on the machine disturb less than the clock on the wall; models take turns in
each round. Peers come from braindecode with random weights, where it is installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.lib.tables import write_csv
from benchmarks.speed import CASES, DOC, make_peer
from benchmarks.suite.people import split_groups
from benchmarks.suite.sets import SETS, Task
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import EFFECTS, make_study
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
#: Real sets of ``benchmarks.suite`` on which precisions are compared.
REAL_SETS = ("eyes", "arithmetic", "motor")
PEERS = ("LUNA", "CBraMod")
#: Operations of torch by kind.
OPERATIONS = {
    "linear maps": ("aten::mm", "aten::addmm"),
    "products of attention": ("aten::bmm", "aten::_scaled_dot_product_flash_attention_for_cpu"),
    "gates": ("aten::silu", "aten::mul_"),
    "softmax": ("aten::_softmax",),
    "copies": ("aten::copy_", "aten::cat", "aten::index_copy_", "aten::index_select"),
}
BATCHES = (1, 16, 32)


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
                return network(make_tokens(data, *layout))

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


def share_time(forms, n_batch, n_rounds):
    """Return the percentage of the time of each form by kind of operation."""
    table = []
    for name, form in forms.items():
        call = form(n_batch)
        with torch.inference_mode():
            call()
            with torch.profiler.profile() as profile:
                for _ in range(n_rounds):
                    call()
        seconds = dict.fromkeys([*OPERATIONS, "the rest"], 0.0)
        for event in profile.key_averages():
            kinds = (kind for kind, names in OPERATIONS.items() if event.key in names)
            seconds[next(kinds, "the rest")] += event.self_cpu_time_total
        total = sum(seconds.values())
        shares = {f"{kind}, %": f"{100 * x / total:.0f}" for kind, x in seconds.items()}
        table.append({"network": name, **shares})
    return pd.DataFrame(table)


def decoding_tasks():
    """Yield simulated effects and, where ``BRAINOF_DATA`` is set, real ones, with their folds."""
    for effect in EFFECTS:
        epochs = make_study(6, effect=effect, n_epochs=30, random_state=1)
        people = epochs.metadata["subject"].to_numpy()
        yield (
            f"simulated {effect}",
            Task(epochs, epochs.events[:, 2], people, split_groups(people)),
        )
    if root := os.environ.get("BRAINOF_DATA"):
        for name in REAL_SETS:
            yield name, SETS[name].read(Path(root), "development")


def compare_precision(checkpoint, n_rounds):
    """Return what bf16 changes: time, rows of simulated epochs, and decoding of other people."""
    epochs = make_study(n_subjects=6, n_epochs=30, random_state=0)
    kinds = ("float32", "bf16")
    embedders = {kind: BrainOFEmbedder(checkpoint, precision=kind).fit(epochs) for kind in kinds}
    rows, times = {}, {kind: [] for kind in kinds}
    for number in range(n_rounds + 1):
        for kind, embedder in embedders.items():
            start = time.thread_time()
            rows[kind] = embedder.transform(epochs)
            if number:
                times[kind].append(1e3 * (time.thread_time() - start) / len(epochs))
    error = np.square(rows["float32"] - rows["bf16"]).mean() / rows["float32"].var(0).mean()
    found = {
        "transform, ms per epoch of 22 x 2 s": [_spread(times[kind]) for kind in kinds],
        "difference of rows / standard deviation": ["0", f"{error**0.5:.3f}"],
    }
    decoder = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    for name, task in decoding_tasks():
        scores = []
        for embedder in embedders.values():
            X, cv = embedder.transform(task.X), task.splits
            score = cross_val_score(decoder, X, task.y, cv=cv, scoring="balanced_accuracy")
            scores.append(f"{score.mean():.3f}")
        found[f"balanced accuracy, {name}"] = scores
    return pd.DataFrame(
        {"quantity": name, **dict(zip(kinds, pair, strict=True))} for name, pair in found.items()
    )


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
        "shares": share_time(forms, 32, options.rounds),
        "precision": compare_precision(options.checkpoint, options.rounds),
    }
    for name, table in tables.items():
        print(
            table.to_string(index=False), f"wrote {write_csv(table, options.out, name)}", sep="\n"
        )


if __name__ == "__main__":
    main()
