"""Tasks that compare short pretraining runs: probes, noise, hidden signals.

Only subjects whom weights may be trained on are decoded, and simulated ones. Others take part in
the loss on hidden signals alone, without labels.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import joblib
import mne
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold

from benchmarks.lib.fmri import read_story, story_subjects
from benchmarks.lib.sets import data_dir
from benchmarks.suite.people import choose_scored, choose_trained
from benchmarks.suite.sets import SETS
from brainof_toolbox import BrainOFEmbedder, from_epochs
from brainof_toolbox.baselines.decoders import LogisticHead
from brainof_toolbox.datasets import make_paired_recordings, make_paired_signals
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining import Corpus, PretrainingConfig, build_corpus
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.objective import Objective, time_loss
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator

#: Kept with each line of results: lines of different versions have different tasks.
VERSION = 3
#: Names of tasks -> sets of the suite, and sets of the held-out signals.
REAL = {"eyes open or closed": "eyes", "low or high heat": "pain"}
HELD_OUT = ("arithmetic", "pictures")
N_SUBJECTS, N_SAMPLES, SEED = 24, 16, 77  # of the simulated tasks
POOLINGS = ("flat", "mean")
NOISY_TASKS, LEVELS = ("simulated eeg", "eyes open or closed"), (20, 10, 5, 0, -5)  # dB
N_BATCHES, BATCH_TOKENS = 6, 8192  # of held-out signals of each kind


def development_tasks():
    """Return samples, classes, subjects and splitter of each task."""
    tasks = {}
    for name, set_name in REAL.items():
        entry = SETS[set_name]
        task = entry.read(data_dir(), "development")
        keep = np.flatnonzero(np.isin(task.groups, choose_trained(entry.folder, task.groups)))
        X = task.X[keep]
        X = from_epochs(X) if isinstance(X, mne.BaseEpochs) else X
        tasks[name] = (X, task.y[keep], task.groups[keep], GroupKFold(5))
    for modality in MODALITY_CODES:
        X, y, groups = make_paired_signals(
            N_SAMPLES,
            n_subjects=N_SUBJECTS,
            modalities=(modality,),
            effect_size=0.7,
            random_state=SEED,
        )
        tasks[f"simulated {modality}"] = (X.by_modality[modality], y, groups, GroupKFold(4))
    return tasks


def _held_out_corpus(folder):
    """Write a corpus of unlabelled signals that no training has used."""
    real = [run for who in story_subjects() for run in read_story(who)]
    for name in HELD_OUT:
        entry = SETS[name]
        task = entry.read(data_dir(), "development")
        keep = np.isin(task.groups, choose_scored(entry.folder, task.groups)[0])
        names = [f"{entry.folder}-{who}" for who in task.groups[keep]]
        real.append(from_epochs(task.X[np.flatnonzero(keep)]).replace(subject=names))
    made = make_paired_recordings(
        4,
        duration=60.0,
        label="state",
        montage=32,
        n_meg=102,
        sfreq=200.0,
        t_r=1.0,
        random_state=SEED,
    )
    sources = [real, list(made)]
    return build_corpus(sources, folder, dataset=["real", "simulated"], verbose=False)


def load_all(cache):
    """Return the tasks and the held-out corpus, from the folder ``cache`` if they are there."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"tasks-{VERSION}.joblib"
    if not path.exists():
        # Processes that start at the same time do the same work, and the last one wins.
        own = path.with_suffix(f".{os.getpid()}")
        joblib.dump(development_tasks(), own)
        own.replace(path)
    folder = cache / f"held-out-{VERSION}"
    if not folder.exists():
        own = Path(f"{folder}-{os.getpid()}")
        _held_out_corpus(own)
        try:
            own.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(own)
    return joblib.load(path), Corpus(folder)


def decode(rows, y, groups, cv, others=()):
    """Return balanced accuracies over left-out samples, of rows and of variations of them."""
    y, tests = np.asarray(y), [rows, *others]
    predicted = [y.copy() for _ in tests]
    for train, test in cv.split(rows, y, groups):
        head = LogisticHead().fit(rows[train], y[train], groups[train])
        for answers, part in zip(predicted, tests, strict=True):
            answers[test] = head.predict(part[test])
    return [round(float(balanced_accuracy_score(y, answers)), 4) for answers in predicted]


def pooled(rows, pooling, width):
    """Pool rows of latents side by side otherwise, so that the network runs only once."""
    return rows if pooling == "flat" else rows.reshape(len(rows), -1, width).mean(axis=1)


def add_noise(signals, level, seed=SEED):
    """Add white noise: of each channel's own power less so many dB, drawn anew for each sample."""
    rng = np.random.default_rng([seed, level + 100])
    size = signals.data.std(axis=2, keepdims=True) * 10 ** (-level / 20)
    noise = size * rng.standard_normal(signals.data.shape, dtype=np.float32)
    return signals.replace(data=signals.data + noise)


def read_out(checkpoint, tasks, *, is_noisy=False):
    """Score the probe on each task."""
    embedder = BrainOFEmbedder(checkpoint, pooling="flatten").fit(tasks["simulated eeg"][0])
    width, scores, noisy = embedder.backbone_.config.width, {}, {}
    for name, (X, y, groups, cv) in tasks.items():
        levels = LEVELS if is_noisy and name in NOISY_TASKS else ()
        rows = [embedder.transform(X)]
        rows += [embedder.transform(add_noise(X, level)) for level in levels]
        for pooling in POOLINGS:
            variations = [pooled(part, pooling, width) for part in rows]
            found = decode(variations[0], y, groups, cv, variations[1:])
            scores[f"{name}, {pooling}"] = found[0]
            if levels:
                noisy[f"{name}, {pooling}"] = dict(zip(map(str, levels), found[1:], strict=True))
    return {"scores": scores, **({"noise": noisy} if noisy else {})}


@torch.inference_mode()
def reconstruct(checkpoint, corpus):
    """Return the loss on hidden patches over that of predicting zero, by kind of signal.

    Patches are hidden, and no components removed: a task that every variant was trained on.
    """
    model = load_checkpoint(checkpoint).model
    config = PretrainingConfig(
        max_tokens_per_microbatch=BATCH_TOKENS,
        frequency_mask_ratio=0.0,
        spectrum_weight=float(model.config.predicts_spectrum),
    )
    objective = Objective(model, config)
    patch_size, ratios = objective.model.config.patch_size, {}
    for dataset, modality in dict.fromkeys((e.dataset, e.modality) for e in corpus.entries):
        part = corpus.select(datasets=[dataset], modalities=[modality])
        sampler = Sampler(part, config, patch_size=patch_size, random_state=SEED)
        losses, zero_losses = [], []
        for step in range(N_BATCHES):
            grid = GridBatch.collate([part[i] for i in sampler.plan(step)[0]])
            masks = draw_masks(grid, config, mask_generator(SEED, step, 0), patch_size)
            losses.append(objective(grid, masks)["time"].item())
            zero_losses.append(time_loss(-grid.data, masks, grid, patch_size).mean().item())
        ratios[f"{dataset} {modality}"] = round(float(np.mean(losses) / np.mean(zero_losses)), 4)
    return ratios
