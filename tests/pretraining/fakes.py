"""A corpus in memory, for what needs no files."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np

from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.preprocessing import Preprocessing
from brainof_toolbox.pretraining.log import read_log

TYPES = {"eeg": "eeg", "meg": "mag", "fmri": "bold"}
SFREQ = {"eeg": 256.0, "meg": 256.0, "fmri": 0.5}


class FakeCorpus:
    """Samples of given shapes: a rhythm that neighbouring channels share, and some noise.

    Parameters
    ----------
    shapes : sequence of (str, int, int, int)
        Modality, number of channels, number of times, number of samples.
    seed : int
        Of the data; it changes the fingerprint.
    """

    def __init__(self, shapes, seed=0):
        rows = [row[:3] for row in shapes for _ in range(row[3])]
        self.modality = np.array([MODALITY_CODES.index(row[0]) for row in rows], dtype=np.int64)
        self.n_channels = np.array([row[1] for row in rows], dtype=np.int64)
        self.n_times = np.array([row[2] for row in rows], dtype=np.int64)
        self.seed = seed
        self.sha256 = f"{seed:064d}"
        self.datasets = tuple(sorted({f"fake-{row[0]}" for row in rows}))
        self.subjects = ("a" * 64, "b" * 64)
        self.licences = ("CC0-1.0", "PDDL")
        self.entries = tuple(SimpleNamespace(licence=name) for name in self.licences)
        self.preprocessing = Preprocessing().to_dict()
        self.n_read = Counter()

    def __len__(self):
        return len(self.modality)

    def entry_of(self, index):
        return SimpleNamespace(dataset=f"fake-{MODALITY_CODES[self.modality[index]]}")

    def __getitem__(self, index):
        self.n_read[int(index)] += 1
        rng = np.random.default_rng([self.seed, int(index)])
        name = MODALITY_CODES[self.modality[index]]
        n_channels, n_times = self.n_channels[index], self.n_times[index]
        position = np.random.default_rng(n_channels).normal(size=(n_channels, 3))
        position *= 0.09 / np.linalg.norm(position, axis=1, keepdims=True)
        cycles = rng.uniform(1, 4)
        angle = 2 * np.pi * (cycles * np.arange(n_times) / 64 + rng.uniform())
        data = np.cos(angle + 20 * position[:, :1]) + 0.2 * rng.normal(size=(n_channels, n_times))
        return SimpleNamespace(
            data=data.astype(np.float32),
            sfreq=SFREQ[name],
            position=position.astype(np.float32),
            orientation=np.zeros((n_channels, 3), dtype=np.float32),
            sensor_type=np.full(n_channels, SENSOR_TYPES.index(TYPES[name]), dtype=np.int64),
            log_scale=np.zeros(n_channels, dtype=np.float32),
            modality=int(self.modality[index]),
            dataset=f"fake-{name}",
            index=int(index),
        )


SMALL = (("eeg", 4, 128, 12), ("eeg", 3, 128, 4), ("meg", 6, 128, 8), ("fmri", 5, 96, 6))

#: The smallest network that has all parts.
MICRO = {
    "width": 16,
    "n_layers": 1,
    "n_heads": 2,
    "n_latents": 8,
    "patch_size": 32,
    "n_encoder_blocks": 1,
    "n_decoder_blocks": 1,
    "n_experts": 2,
}
#: Small steps that share micro-batches, and a log whose intervals end elsewhere than checkpoints.
TRAINING = {
    "max_tokens_per_microbatch": 48,
    "n_microbatches": 2,
    "warmup_steps": 3,
    "log_every": 4,
}
CLOCK = ("samples_per_second", "tokens_per_second", "waiting")


def pretrain_micro(output_dir, total_steps=12, *, corpus=None, training=None, **options):
    """Pretrain the micro network on the small fake corpus."""
    from brainof_toolbox.pretraining import pretrain

    return pretrain(
        FakeCorpus(SMALL) if corpus is None else corpus,
        output_dir,
        **{"config": MICRO, "device": "cpu", "total_steps": total_steps, **options},
        training={**TRAINING, **(training or {})},
    )


def what_is_saved(path):
    """All that a checkpoint holds but the clock: tensors as bytes, record, log."""
    record = json.loads((path / "training.json").read_text())
    for name in ("seconds", "waited"):
        del record["log"]["sums"][name]
    log = path.parents[1] / "log.jsonl"
    lines = read_log(log) if log.exists() else []
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in lines]
    tensors = {name: (path / name).read_bytes() for name in TENSORS}
    return tensors, record["log"], record["step"], lines


TENSORS = ("model.safetensors", "training.safetensors")
