"""Measure how much embeddings change when the same brain is recorded in another way.

``BRAINOF_DATA=... python -m benchmarks.invariance`` writes ``doc/invariance.rst`` and
``doc/invariance.png``: one core, some minutes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold

from benchmarks.lib.development_tasks import decode, pooled
from benchmarks.lib.invariance_figure import plot
from benchmarks.lib.tables import csv_link, csv_table, name_weights, slug, write_below
from benchmarks.lib.variations import all_axes
from brainof_toolbox import BrainOFEmbedder

DOC = Path(__file__).resolve().parent.parent / "doc"
CHANCE = 0.5
TEXT = {"value": str, "reference": str}
N_FOLDS = 4


class Embedding:
    """Rows of samples under a network; those of samples that several axes share are kept."""

    def __init__(self, checkpoint):
        self.embedder = BrainOFEmbedder(checkpoint, random_state=0, pooling="flatten")
        self.kept = {}

    def __call__(self, samples):
        # The samples are kept too: as long as they live, nothing else has their id.
        if id(samples) not in self.kept:
            self.kept[id(samples)] = samples, self.embedder.fit_transform(samples)
        return self.kept[id(samples)][1]


def cosine(first, second):
    """Return mean cosine of the rows of two arrays."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).mean())


def measure(axis, networks):
    """Return one row per value and network."""
    found = []
    for network, embed in networks.items():
        rows = {value: embed(samples) for value, samples in axis.variations.items()}
        width = embed.embedder.backbone_.config.width
        reference, cv = rows[axis.reference], GroupKFold(N_FOLDS)
        centre = reference.mean(axis=0)
        accuracy = {}
        for pooling in ("flat", "mean"):
            others = [pooled(part, pooling, width) for part in rows.values()]
            own = pooled(reference, pooling, width)
            accuracy[pooling] = decode(own, axis.y, axis.groups, cv, others)[1:]
        for number, (value, part) in enumerate(rows.items()):
            found.append(
                {
                    "axis": axis.name,
                    "source": axis.source,
                    "network": network,
                    "value": str(value),
                    "reference": str(axis.reference),
                    "cosine": cosine(reference, part),
                    "centred": cosine(reference - centre, part - centre),
                    "each centred": cosine(reference - centre, part - part.mean(axis=0)),
                    "accuracy": accuracy["flat"][number],
                    "accuracy, mean": accuracy["mean"][number],
                }
            )
    return found


def measure_all(checkpoint, keep):
    """Measure every axis; numbers that the file ``keep`` has are taken from there."""
    networks = {"brainof-tiny": Embedding(checkpoint), "untrained": Embedding(None)}
    table = pd.read_csv(keep, dtype=TEXT) if keep and keep.exists() else pd.DataFrame()
    start = time.perf_counter()
    for axis in all_axes():
        if len(table) and ((table["axis"] == axis.name) & (table["source"] == axis.source)).any():
            continue
        table = pd.concat([table, pd.DataFrame(measure(axis, networks))], ignore_index=True)
        if keep:
            table.to_csv(keep, index=False)
        print(f"{time.perf_counter() - start:4.0f} s: {axis.name}, {axis.source}", flush=True)
    return table


NUMBERS = ("cosine", "centred", "each centred", "accuracy", "accuracy, mean")


def axis_table(rows, names, page):
    """Write the table of one axis, both networks in each cell."""
    table = []
    for (source, value), both in rows.groupby(["source", "value"], sort=False):
        both = both.set_index("network")
        is_reference = value == both["reference"].iloc[0]
        row = {"source": source, "value": f"{value}{' (reference)' if is_reference else ''}"}
        for column in NUMBERS:
            row[column] = " / ".join(f"{both.loc[name, column]:.3f}" for name in names)
        table.append(row)
    name = rows["axis"].iloc[0]
    return csv_link(pd.DataFrame(table), name, page, slug(name))


def summarise(table, names, page):
    """Write the table of means over all values but the references."""
    others = table[table["value"] != table["reference"]]
    means = others.groupby(["axis", "network"], sort=False)[list(NUMBERS)].mean()
    at = table[table["value"] == table["reference"]]
    before = at.groupby(["axis", "network"], sort=False)["accuracy"].mean()
    rows = []
    for axis in dict.fromkeys(table["axis"]):
        row = {"what varies": axis}
        for column in ("centred", "accuracy"):
            row[column] = " / ".join(f"{means.loc[(axis, n), column]:.3f}" for n in names)
        row["accuracy in the reference"] = " / ".join(f"{before[axis, n]:.3f}" for n in names)
        rows.append(row)
    title = "Means over all values but the reference: brainof-tiny / untrained"
    return csv_table(pd.DataFrame(rows), title, page, "summary")


def main():
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="brainof-tiny")
    parser.add_argument("--keep", type=Path, help="CSV of numbers: what is in it is not redone")
    parser.add_argument("--out", type=Path, default=DOC)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    mne.set_log_level("error")
    warnings.simplefilter("ignore")
    table = measure_all(options.checkpoint, options.keep)
    names = list(dict.fromkeys(table["network"]))
    plot(table, CHANCE, options.out / "invariance.png")
    page = options.out / "invariance.rst"
    by_axis = [table[table["axis"] == name] for name in dict.fromkeys(table["axis"])]
    parts = [name_weights(options.checkpoint), summarise(table, names, page)]
    parts += [axis_table(rows, names, page) for rows in by_axis]
    write_below(DOC / "invariance.rst", "invariance.py", parts, page)


if __name__ == "__main__":
    main()
