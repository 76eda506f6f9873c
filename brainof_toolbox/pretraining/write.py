"""Preprocessed samples -> a corpus, in one go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..preprocessing import Preprocessing, Windows
from ..signals import Signals
from .corpus import Corpus
from .parts import PartWriter
from .shards import SHARD_SIZE, Shards, publish, writing

WINDOW = {"eeg": 10.0, "meg": 2.0, "fmri": 320}


def write_corpus(directory, items, *, preprocessing=None, dtype="int16", shard_size=SHARD_SIZE):
    """Write a corpus from samples that are in network units already."""
    directory = Path(os.path.abspath(directory))
    folder = directory.with_name(f".{directory.name}.building")
    with writing(directory):
        shards = Shards(folder, dtype, shard_size)
        sources = []
        for number, (dataset, licence, windows) in enumerate(items):
            if isinstance(windows, Signals):
                n_samples, n_channels, _ = windows.shape
                log_scale = np.zeros((n_samples, n_channels), np.float32)
                windows = Windows(windows, np.arange(n_samples), log_scale)
            key = f"{number:08d}"
            part = PartWriter(shards.stem(key), dtype)
            part.append(windows, float("inf"))
            shards.add(key, part.finish())
            sources.append({"dataset": dataset, "licence": licence, "name": key})
        shards.finish(
            sources,
            {
                "preprocessing": (preprocessing or Preprocessing()).to_dict(),
                "window": WINDOW,
                "datasets": {source["dataset"]: {} for source in sources},
                "request": None,
                "versions": {},
            },
        )
        publish(folder, directory)
    return Corpus(directory)
