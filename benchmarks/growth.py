"""Growth of time and memory: embedding and fitting against the size of their input.

Run ``python -m benchmarks.growth``; it writes ``speed_growth.csv`` and the figure of
``doc/speed.rst``. Each point is measured in a forked process of one thread: processor time, and
the memory that the process gains at most. Slopes are those of the logarithms, over the larger
half of the sizes; 1 is linear.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import matplotlib
import mne
import numpy as np
import pandas as pd
import torch

from benchmarks.lib.tables import write_csv
from benchmarks.pipeline import write_recordings
from benchmarks.speed import DOC, highest_memory
from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, Signals
from brainof_toolbox.datasets import make_study

#: Sizes along each axis.
AXES = {
    "electrodes (8 windows of 10 s)": (8, 16, 32, 64, 128, 256),
    "seconds (a recording, 32 electrodes)": (20, 40, 80, 160, 320, 640),
    "seconds in a window (4 windows, 32 electrodes)": (5, 10, 20, 40, 80),
    "recordings (5 min from disk, 32 electrodes)": (2, 4, 8, 16),
    "regions (4 fMRI runs of 160 volumes)": (25, 50, 100, 200, 400),
    "subjects in fit (20 epochs of 2 s each)": (4, 8, 16, 32, 64),
}
FEATURES = ("latents", "covariance")


def make_signals(n_samples, n_channels, n_times, sfreq, kind):
    """Return noise of electrodes or regions at places on a sphere."""
    rng = np.random.default_rng(0)
    place = rng.normal(size=(n_channels, 3))
    place *= 0.095 / np.linalg.norm(place, axis=1, keepdims=True)
    data = rng.normal(size=(n_samples, n_channels, n_times)).cumsum(-1)
    data -= data.mean(-1, keepdims=True)
    scale, modality = (1e-5, "eeg") if kind == "eeg" else (10, "fmri")
    names = [f"{kind}{i}" for i in range(n_channels)]
    data *= scale / data.std()
    return Signals(data, sfreq, modality, names, [kind] * n_channels, place)


def prepare(axis, size, checkpoint, folder):
    """Return a function without arguments that embeds or fits."""
    options = {"features": FEATURES, "verbose": False}
    name = axis.partition(" (")[0]
    if name == "subjects in fit":
        epochs = make_study(size, n_epochs=20)
        decoder = BrainOFClassifier(checkpoint, **options)
        groups = epochs.metadata["subject"]
        return partial(decoder.fit, epochs, epochs.events[:, 2], groups=groups)
    if name == "electrodes":
        X = make_signals(8, size, 1280, 128.0, "eeg")
    elif name == "seconds":
        X = make_signals(1, 32, 128 * size, 128.0, "eeg")
    elif name == "seconds in a window":
        X = make_signals(4, 32, 128 * size, 128.0, "eeg")
        options["window"] = float(size)
    elif name == "regions":
        X = make_signals(4, size, 160, 0.5, "bold")
    else:
        X = write_recordings(folder, size)
    return partial(BrainOFEmbedder(checkpoint, **options).fit(X).transform, X)


def measure(axis, size, checkpoint):
    """Return seconds and MiB of one call, after a small one that warms up."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    mne.set_log_level("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        prepare(axis, AXES[axis][0], checkpoint, Path(folder))()
    with tempfile.TemporaryDirectory() as folder:
        call = prepare(axis, size, checkpoint, Path(folder))
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # return what the warming up has left
        Path("/proc/self/clear_refs").write_text("5")  # forget the largest memory so far (Linux)
        before, start = highest_memory(), time.process_time()
        call()
        return time.process_time() - start, highest_memory() - before


def measure_all(checkpoint, n_rounds):
    """Return a row per axis and size: medians and ranges."""
    points = [(axis, size, checkpoint) for axis, sizes in AXES.items() for size in sizes]
    found = {point: [] for point in points}
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for _ in range(n_rounds):
            for point in points:
                found[point].append(pool.apply(measure, point))
                print(*point[:2], *found[point][-1], flush=True)
    rows = []
    for (axis, size, _), pairs in found.items():
        seconds, memory = zip(*pairs, strict=True)
        row = {"axis": axis, "size": size, "seconds": statistics.median(seconds)}
        row |= {"least": min(seconds), "most": max(seconds), "MiB": statistics.median(memory)}
        rows.append(row)
    return pd.DataFrame(rows).round(3)


def slope(table, column):
    """Return the exponent of growth over the larger half of the sizes."""
    upper = table.iloc[len(table) // 2 - 1 :].dropna(subset=[column])
    x, y = np.log(upper["size"]), np.log(upper[column].clip(lower=0.1))
    return np.polyfit(x, y, 1)[0]


def draw(table, path):
    """Draw time and memory against the size, with slopes."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, len(AXES), figsize=(14, 5), layout="constrained")
    for (axis, rows), pair in zip(table.groupby("axis", sort=False), panels.T, strict=True):
        for panel, column in zip(pair, ("seconds", "MiB"), strict=True):
            panel.loglog(rows["size"], rows[column].clip(lower=0.1), "o-", ms=3)
            if column == "seconds":
                panel.fill_between(rows["size"], rows["least"], rows["most"], alpha=0.3)
            linear = rows[column].iloc[-1] * rows["size"] / rows["size"].iloc[-1]
            panel.loglog(rows["size"], linear, ":", color="grey", lw=1)
            panel.set_title(f"slope {slope(rows, column):.2f}", fontsize=9)
            panel.set_xticks(rows["size"], rows["size"], fontsize=7)
            panel.minorticks_off()
        pair[1].set_xlabel(axis.replace(" (", "\n("), fontsize=8)
    panels[0, 0].set_ylabel("processor time, s")
    panels[1, 0].set_ylabel("additional memory, MiB")
    figure.savefig(path, dpi=100)


def main():
    """Measure, print, write the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint", default="brainof-tiny")
    parser.add_argument("--out", type=Path, default=DOC / "speed.rst", help="page of the table")
    options = parser.parse_args()
    table = measure_all(options.checkpoint, options.rounds)
    print(f"wrote {write_csv(table, options.out, 'growth')}")
    draw(table, options.out.parent / "speed_growth.png")


if __name__ == "__main__":
    main()
