"""A pretraining step, part by part: reading, forward, backward, update."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from benchmarks.lib.write_corpus import write_corpus
from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.loader import read_microbatches
from brainof_toolbox.pretraining.objective import Objective
from brainof_toolbox.pretraining.optim import make_optimizer
from brainof_toolbox.pretraining.sampler import Sampler
from brainof_toolbox.signals import Signals


def make_corpus(folder, case, shape, n_samples=64):
    """Write a corpus of noise of one shape."""
    n_channels, seconds, modality, kind, rate = shape
    rng = np.random.default_rng(0)
    place = rng.normal(size=(n_channels, 3))
    size = (n_samples, n_channels, round(seconds * rate))
    signals = Signals(
        data=rng.standard_normal(size, dtype=np.float32),
        sfreq=rate,
        modality=modality,
        ch_names=[f"c{i}" for i in range(n_channels)],
        ch_types=[kind] * n_channels,
        ch_pos=0.095 * place / np.linalg.norm(place, axis=1, keepdims=True),
    )
    return write_corpus(Path(folder) / case, [("noise", None, signals)])


class Step:
    """A network, its corpus, and the steps of its pretraining."""

    def __init__(self, preset, corpus, n_steps):
        self.config = PretrainingConfig()
        model = BrainOF(BrainOFConfig.preset(preset)).train()
        self.objective = Objective(model, self.config)
        self.optimizer = make_optimizer(self.objective, self.config)
        self.sampler = Sampler(corpus, self.config, patch_size=64, random_state=0)
        self.corpus, self.steps = corpus, range(n_steps)

    def run(self):
        """Time reading, a forward pass without gradients, and a whole step, in seconds."""
        rows = []
        with read_microbatches(
            self.corpus, self.sampler, self.config, self.steps, range(1)
        ) as batches:
            for _ in self.steps:
                marks = [time.perf_counter()]
                grid, masks = next(batches)
                marks.append(time.perf_counter())
                with torch.no_grad():
                    self.objective(grid, masks)
                marks.append(time.perf_counter())
                self.optimizer.zero_grad(set_to_none=True)
                self.objective(grid, masks)["loss"].backward()
                torch.nn.utils.clip_grad_norm_(self.objective.parameters(), 1.0)
                self.optimizer.step()
                marks.append(time.perf_counter())
                rows.append(np.diff(marks))
        return np.array(rows[1:]), self.sampler.size(0)  # the first warms up


def time_pretraining(cases, presets, n_steps):
    """Return one row per case and preset."""
    table = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, shape in cases.items():
            corpus = make_corpus(folder, case, shape)
            for preset in presets:
                rows, (n_samples, n_tokens) = Step(preset, corpus, n_steps + 1).run()
                read, forward, step = 1e3 * np.median(rows, axis=0) / n_samples
                ratio = statistics.median(rows[:, 2] / rows[:, 1])
                share = statistics.median(rows[:, 0] / (rows[:, 0] + rows[:, 2]))
                table.append(
                    {
                        "input": case,
                        "preset": preset,
                        "micro-batch": f"{n_samples} samples, {n_tokens:.0f} tokens",
                        "forward, ms": f"{forward:.1f}",
                        "step, ms": f"{step:.1f}",
                        "step / forward": f"{ratio:.2f}",
                        "tokens / s": f"{n_tokens / n_samples / step * 1e3:.0f}",
                        "reading, ms": f"{read:.2f}",
                        "reading, % of step": f"{100 * share:.1f}",
                    }
                )
                print(json.dumps(table[-1]), flush=True)
    return table
