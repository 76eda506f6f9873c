"""Map what decoders of two real EEG sets rely on, and reconstruct hidden EEG and fMRI.

``BRAINOF_DATA=... python -m benchmarks.importance_maps`` writes the figures of
``doc/importance.rst`` and prints the numbers in it, of subjects or runs left out of training. The
reconstruction is in ``lib/reconstruction.py``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mne
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from benchmarks.lib import reconstruction
from benchmarks.lib.sets import load_motor, load_visual
from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.inspection import gradient_importance, occlusion_importance

DOC = Path(__file__).resolve().parent.parent / "doc"
PARTS = ("pictures", "motor", "reconstruction")


def average_maps(task, n_steps, checkpoint):
    """Return maps of every split's left-out samples, averaged, and the balanced accuracy."""
    predicted = np.empty(len(task.y), dtype=task.y.dtype)
    found, tested = {"occlusion": [], "gradients": []}, []
    for train, test in task.splits():
        decoder = BrainOFClassifier(checkpoint, features="latents", random_state=0)
        decoder.fit(task.X[train], task.y[train], groups=task.groups[train])
        predicted[test] = decoder.predict(task.X[test])
        tested.append(test)
        X, y = task.X[test], task.y[test]
        found["occlusion"].append(occlusion_importance(decoder, X, y, radius=0.03))
        found["gradients"].append(gradient_importance(decoder, X, y, n_steps=n_steps))
    tested = np.unique(np.concatenate(tested))
    accuracy = balanced_accuracy_score(task.y[tested], predicted[tested])
    return found, accuracy


def mean_part(maps):
    """Return channels, patches and bands, averaged over splits."""
    parts = [one.part() for one in maps]
    channels = np.mean([part.channels for part in parts], axis=0)
    patches = np.mean([part.patches for part in parts], axis=0)
    bands = {name: np.mean([part.bands[name] for part in parts]) for name in parts[0].bands}
    return parts[0], channels, patches, bands


def draw(name, task, n_steps, checkpoint, out):
    """Draw one figure per set: a row per method; scalp, time and bands."""
    from brainof_toolbox.inspection.maps import CMAP, make_sensor_info

    figure, rows = plt.subplots(
        2, 3, figsize=(10, 5.8), layout="constrained", width_ratios=(1, 1.3, 1.3)
    )
    found, accuracy = average_maps(task, n_steps, checkpoint)
    print(f"{name}: balanced accuracy {accuracy:.3f}", flush=True)
    for axes, (method, maps) in zip(rows, found.items()):
        part, channels, patches, bands = mean_part(maps)
        scalp, time, frequency = axes
        info = make_sensor_info(part.ch_names, part.ch_types, part.ch_pos)
        image, _ = mne.viz.plot_topomap(
            channels, info, axes=scalp, show=False, cmap=CMAP, contours=4, extrapolate="head"
        )
        figure.colorbar(image, ax=scalp, shrink=0.7, label="nats")
        order = np.argsort(-channels)[:5]
        best = ", ".join(part.ch_names[i] for i in order)
        scalp.set_title(f"{method}\nmost at {best}", fontsize=8)
        time.axhline(0, color="0.6", lw=0.8)
        time.plot(part.times + float(task.X.times[0]), patches, "o-", color="#0072B2")
        time.set(xlabel="time from the event (s)", ylabel="nats")
        frequency.axhline(0, color="0.6", lw=0.8)
        frequency.bar(list(bands), list(bands.values()), color="#0072B2", width=0.6)
        frequency.set(ylabel="nats")
        residual = [one.residual for one in maps if one.residual is not None]
        print(
            f"  {method}: {best}; bands { ({k: round(float(v), 4) for k, v in bands.items()}) }; "
            f"patches {np.round(patches, 4).tolist()}"
            + (f"; residual {np.median(residual):.3f}" if residual else ""),
            flush=True,
        )
    figure.savefig(out / f"importance_{name}.png", dpi=90)
    plt.close(figure)


def main():
    """Draw the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="brainof-tiny", help="folder or name")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--steps", type=int, default=8, help="of integrated gradients")
    parser.add_argument("--out", type=Path, default=DOC, help="folder of the figures")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, load in (("pictures", load_visual), ("motor", load_motor)):
        if name in options.parts:
            draw(name, load(), options.steps, options.checkpoint, options.out)
    if "reconstruction" in options.parts:
        figure, lines = reconstruction.draw(options.checkpoint)
        figure.savefig(options.out / "reconstruction.png", dpi=90)
        print("\n".join(lines))


if __name__ == "__main__":
    main()
