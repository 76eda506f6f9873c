"""Preprocessed samples -> a corpus, in one go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from brainof_toolbox.preprocessing import Preprocessing, Windows
from brainof_toolbox.pretraining.build_folder import BuildFolder, writing
from brainof_toolbox.pretraining.build_sources import Recording
from brainof_toolbox.pretraining.corpus import Corpus
from brainof_toolbox.pretraining.format import RECORDINGS
from brainof_toolbox.pretraining.recording_writer import RecordingWriter
from brainof_toolbox.signals import Signals


def write_corpus(directory, items, *, preprocessing=None, fmri_volumes=320, dtype="int16"):
    """Write a corpus from samples that are in network units already."""
    preprocessing = preprocessing or Preprocessing()
    directory = Path(os.path.abspath(directory))
    folder = directory.with_name(f".{directory.name}.building")
    with writing(directory):
        build = BuildFolder(folder)
        parts, sources = [], []
        for number, (dataset, licence, windows) in enumerate(items):
            if isinstance(windows, Signals):
                n_samples, n_channels, _ = windows.shape
                log_scale = np.zeros((n_samples, n_channels), np.float32)
                windows = Windows(windows, np.arange(n_samples), log_scale)
            key = f"{number:08d}"
            writer = RecordingWriter(build.parts / key, build.corpus / RECORDINGS, dtype)
            writer.append(windows, float("inf"))
            parts.append(writer.finish())
            sources.append(Recording(None, key, dataset, licence))
        build.finish(
            parts,
            sources,
            {
                "preprocessing": preprocessing.to_dict(),
                "window": {**preprocessing.window, "fmri": fmri_volumes},
                "datasets": {source.dataset: {} for source in sources},
                "request": None,
                "versions": {},
            },
            dtype,
        )
        build.publish(directory)
    return Corpus(directory)
