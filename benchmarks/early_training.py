"""Measure how soon the loss falls below that of a network that predicts zero.

``python -m benchmarks.early_training CORPUS`` trains networks that differ in one choice, side by
side on the same EEG and the same masks, and prints a table. With ``--run RUN`` it trains nothing,
but prints the same of a run: of its first and its last 100 steps, by modality. The ratio is 1 for
a network that always answers zero.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.lib.tables import list_table
from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.corpus import Corpus
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.objective import Objective, time_loss
from brainof_toolbox.pretraining.optim import make_optimizer, set_learning_rate
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator

PATCH, WARMUP, EVERY = 64, 30, 25
#: Name -> fields of the network, learning rate.
VARIANTS = {
    "latents, 1e-3": ({"decoder_input": "latents"}, 1e-3),
    "latents, 3e-3": ({"decoder_input": "latents"}, 3e-3),
    "residual, 1e-3": ({"decoder_input": "residual"}, 1e-3),
    "residual, 3e-3": ({"decoder_input": "residual"}, 3e-3),
}


class Trained:
    """A network in training, and what its losses were."""

    def __init__(self, fields, rate, config):
        self.objective = Objective(BrainOF(BrainOFConfig.preset("tiny", **fields)).train(), config)
        self.optimizer = make_optimizer(self.objective, config)
        self.rate, self.losses = rate, []

    def step(self, number, grid, masks):
        """Train on a batch."""
        set_learning_rate(self.optimizer, self.rate * min(1, (number + 1) / WARMUP))
        terms = self.objective(grid, masks)
        self.optimizer.zero_grad()
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(
            self.objective.parameters(), self.objective.config.max_grad_norm
        )
        self.optimizer.step()
        self.losses.append(terms["time"].item())


def batches(corpus, config, seed):
    """Yield batches of EEG as pretraining draws them, with their masks."""
    sampler = Sampler(corpus, config, patch_size=PATCH, random_state=seed)
    step = -1
    while True:
        step += 1
        if sampler.bucket(step).modality == 0:
            grid = GridBatch.collate([corpus[i] for i in sampler.plan(step)[0]])
            yield grid, draw_masks(grid, config, mask_generator(seed, step, 0), PATCH)


def of_run(folder, corpus, length=100):
    """Return the loss over that of predicting zero at both ends of a run, by modality."""
    run = json.loads((folder / "run.json").read_text())
    seed, config = run["random_state"], PretrainingConfig.from_dict(run["training"])
    sampler = Sampler(corpus, config, patch_size=PATCH, random_state=seed)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    rows = []
    for stop in (length, lines[-1]["step"]):
        start, nothing = stop - length, {}
        for step in range(start, stop):
            grid = GridBatch.collate([corpus[i] for i in sampler.plan(step)[0]])
            masks = draw_masks(grid, config, mask_generator(seed, step, 0), PATCH)
            loss = time_loss(-grid.data, masks, grid, PATCH).mean().item()
            nothing.setdefault(MODALITY_CODES[grid.modality], []).append(loss)
        row = {"steps": f"{start + 1} to {stop}"}
        for name, losses in nothing.items():
            part = [line for line in lines if start < line["step"] <= stop]
            part = [(x["time"][name], x["n_steps"][name]) for x in part if name in x["time"]]
            losses_of_run, weights = np.array(part).T
            row[name] = f"{np.average(losses_of_run, weights=weights) / np.mean(losses):.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def main():
    """Train side by side and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--run", type=Path, help="output folder of a run, with one micro-batch")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.run:
        table = of_run(options.run, Corpus(options.corpus))
        print(list_table(table, "Loss in time over that of predicting zero, by steps"))
        return
    config = PretrainingConfig(max_tokens_per_microbatch=options.tokens)
    trained = {name: Trained(*choice, config) for name, choice in VARIANTS.items()}
    nothing = []
    source = batches(Corpus(options.corpus), config, options.seed)
    for number, (grid, masks) in zip(range(options.steps), source, strict=False):
        nothing.append(time_loss(-grid.data, masks, grid, PATCH).mean().item())
        for one in trained.values():
            one.step(number, grid, masks)
    rows = []
    for name, one in trained.items():
        row = {"decoder reads, learning rate": name}
        for end in range(EVERY, options.steps + 1, EVERY):
            part = slice(end - EVERY, end)
            ratio = np.mean(one.losses[part]) / np.mean(nothing[part])
            row[f"{end - EVERY + 1} to {end}"] = f"{ratio:.3f}"
        rows.append(row)
    print(list_table(pd.DataFrame(rows), "Loss in time over that of predicting zero, by steps"))


if __name__ == "__main__":
    main()
