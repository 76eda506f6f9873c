"""What makes frozen features good: short pretraining runs, read out on the development split.

``BRAINOF_DATA=... python benchmarks/explore_pretraining.py CORPUS --rest FOLDER`` trains one
network per line of ``VARIANTS`` and appends a line each to ``pretraining/explored.jsonl``. Only
people whose recordings are in the corpus are read out; labels of the evaluation split are not
looked at here.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import torch
from _fmri import identify, load_story
from _sets import load_arithmetic, load_visual, read_split
from _tiny_sources import HERE, read_rest
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, cross_validate
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint
from brainof_toolbox.preprocessing import Preprocessing
from brainof_toolbox.pretraining import pretrain

#: Name -> fields of the network, of the training.
VARIANTS = {
    "default": ({}, {}),
    "alpha 0.2": ({}, {"alpha": 0.2}),
    "alpha 0.8": ({}, {"alpha": 0.8}),
    "hide 75 %": ({}, {"masked_patches": 0.75}),
    "remove 10 %": ({}, {"masked_components": 0.1}),
    "remove 50 %": ({}, {"masked_components": 0.5}),
    "linear patches": ({"spectrum": False}, {}),
    "no positions": ({"position_encoding": "none", "latent_init": "random"}, {}),
    "random latents": ({"latent_init": "random"}, {}),
    "embed hidden": ({}, {"masked_tokens": "embed"}),
    "plain attention": ({"attention": "plain"}, {}),
    "dense experts": ({"experts": "dense"}, {}),
    "wide and shallow": ({"n_layers": 3, "width": 176}, {}),
    "learning rate 3e-3": ({}, {"learning_rate": 3e-3}),
    "learning rate 3e-4": ({}, {"learning_rate": 3e-4}),
}


def development_tasks(rest):
    """X, y, groups and splitter of each labelled task on people of the corpus."""
    parts = read_split()
    tasks = {}
    for load in (load_arithmetic, load_visual):
        task = load()
        allowed = {f"sub-{name}" for name in parts[task.name]["pretraining"]}
        keep = np.flatnonzero([group in allowed for group in task.groups])
        tasks[task.name] = (task.X[keep], task.y[keep], task.groups[keep], LeaveOneGroupOut())
    if rest:
        epochs, y, groups = [], [], []
        for path, raw, who in read_rest(rest):
            cut = mne.make_fixed_length_epochs(raw, 4.0, preload=True, verbose="error")
            cut.drop_bad(flat={"eeg": 1e-7}, verbose="error")  # zeros after the end
            epochs.append(cut[np.linspace(0, len(cut) - 1, 8).astype(int)])
            y += [int(path.stem.endswith("EO"))] * 8
            groups += [who] * 8
        X = mne.concatenate_epochs(epochs, verbose="error")
        tasks["eyes open or closed"] = (X, np.array(y), np.array(groups), GroupKFold(5))
    for modality in ("eeg", "meg", "fmri"):
        X, y, groups = make_paired_signals(
            16, n_subjects=8, modalities=(modality,), effect_size=0.7, random_state=77
        )
        tasks[f"simulated {modality}"] = (X, y, groups, GroupKFold(4))
    return tasks


def read_out(checkpoint, tasks, poolings=("flat", "mean", "mean+std")):
    """Balanced accuracy of each task and pooling, and segments of the story that are found."""
    scores = {}
    for pooling in poolings:
        for name, (X, y, groups, cv) in tasks.items():
            probe = BrainOFClassifier(checkpoint, pooling=pooling, class_weight="balanced")
            found = cross_validate(probe, X, y, groups=groups, cv=cv)
            scores[f"{name}, {pooling}"] = round(float(found.mean), 4)
    allowed = read_split()["fmri-story-listening"]["pretraining"]
    segments = load_story(30, allowed)
    flat = [segment for subject in segments for segment in subject]
    rows = BrainOFEmbedder(checkpoint).fit_transform(flat)
    rows = rows.reshape(len(segments), len(segments[0]), -1)
    total = rows.sum(axis=0)
    found = [identify((total - one) / (len(rows) - 1), one.copy()) for one in rows]
    scores["story segments, flat"] = round(float(np.mean(found)), 4)
    return scores


def run(name, fields, training, options, tasks):
    """Train one variant, read it out, and return what there is to say of it."""
    config = BrainOFConfig.preset("tiny", **fields)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        if options.steps:
            path = pretrain(
                options.corpus,
                scratch,
                config=config,
                total_steps=options.steps,
                save_every=options.steps,
                random_state=options.seed,
                training={"micro_tokens": options.tokens, "log_every": 50, **training},
                verbose=False,
            )
            lines = (Path(scratch) / "log.jsonl").read_text().splitlines()
            losses = json.loads(lines[-1])
        else:
            path, losses = Path(scratch) / "untrained", {}
            model = BrainOF(config, options.seed)
            save_checkpoint(
                path, model, preprocessing=Preprocessing().to_dict(), manifest={"datasets": []}
            )
        minutes = (time.perf_counter() - start) / 60
        scores = read_out(path, tasks)
    return {
        "variant": name,
        "network": fields,
        "training": training,
        "steps": options.steps,
        "tokens": options.tokens,
        "seed": options.seed,
        "minutes": round(minutes, 1),
        "parameters": BrainOF(config, None).n_parameters(),
        "last log": losses,
        "scores": scores,
    }


def write(found, path):
    """Append a line, and show it."""
    with path.open("a") as file:
        file.write(json.dumps(found) + "\n")
    print(json.dumps(found), flush=True)


def main():
    """Run the variants that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rest", type=Path, help="recordings at rest (Mumtaz 2016)")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--checkpoint", type=Path, help="read out this one, and train nothing")
    parser.add_argument("--steps", type=int, default=400, help="0: untrained")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "explored.jsonl")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    tasks = development_tasks(options.rest)
    if options.checkpoint:
        found = {
            "checkpoint": options.checkpoint.name,
            "scores": read_out(options.checkpoint, tasks),
        }
        write(found, options.out)
        return
    for name in options.variants:
        found = run(name, *VARIANTS[name], options, tasks)
        write(found, options.out)


if __name__ == "__main__":
    main()
