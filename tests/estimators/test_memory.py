"""On-disk recordings stay on disk: peak memory does not grow with their number."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from simulated import SIZE

MEASURE = """
import resource, sys, warnings
import torch
torch.set_num_threads(1)
from brainof_toolbox import BrainOFEmbedder
checkpoint, *paths = sys.argv[1:]
warnings.simplefilter("ignore")
rows = BrainOFEmbedder(checkpoint).fit_transform(paths)
assert rows.shape == (len(paths), 512)
scale = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20)
"""


def make_files(folder, megabytes, n_files):
    """Recordings of 32 channels at 500 Hz in single precision; one file under many names."""
    import mne

    from brainof_toolbox.datasets import make_info

    n_times = int(megabytes * 2**20 / 32 / 4)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((32, n_times), dtype=np.float32) * SIZE["eeg"]
    recording = mne.io.RawArray(data, make_info("eeg", sfreq=500.0), verbose="error")
    first = folder / "rec-00_raw.fif"
    recording.save(first, fmt="single", verbose="error")
    assert first.stat().st_size > 0.95 * megabytes * 2**20
    paths = [first]
    for i in range(1, n_files):
        paths.append(folder / f"rec-{i:02d}_raw.fif")
        os.link(first, paths[-1])
    return paths


def measure(checkpoint, paths):
    """Peak resident memory in MiB of a fresh process that embeds these files."""
    command = [sys.executable, "-c", MEASURE, str(checkpoint), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def check(checkpoint, folder, megabytes):
    paths = make_files(folder, megabytes, 12)
    three, twelve = measure(checkpoint, paths[:3]), measure(checkpoint, paths)
    print(f"peak with 3 recordings: {three:.0f} MiB, with 12: {twelve:.0f} MiB")
    assert twelve < 1.6 * three
    # The ratio alone would hold even if small recordings were kept: nine kept ones would add nine
    # times their size.
    assert twelve - three < 3 * megabytes


@pytest.mark.skipif(sys.platform == "win32", reason="no peak memory from the system")
def test_peak_memory(small_checkpoint, tmp_path):
    """With recordings of 20 MB."""
    check(small_checkpoint, tmp_path, 20)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no peak memory from the system")
def test_peak_memory_of_large_recordings(small_checkpoint, tmp_path):
    """With recordings of 100 MB."""
    check(small_checkpoint, tmp_path, 100)


def test_recordings_are_read_one_at_a_time(monkeypatch):
    """At most two recordings are in memory: the one at work and the one just read."""
    import gc
    import weakref

    from simulated import raw

    from brainof_toolbox.encoder.windows import iter_windows
    from brainof_toolbox.io import inputs
    from brainof_toolbox.preprocessing import Preprocessing

    alive, most, from_raw = weakref.WeakSet(), [], inputs.from_raw

    def spy(*args, **kwargs):
        signals = from_raw(*args, **kwargs)
        alive.add(signals)
        return signals

    monkeypatch.setattr(inputs, "from_raw", spy)
    sources = inputs.open_samples([raw(seed) for seed in range(6)])
    assert len(alive) == 0  # nothing is read before its turn
    for _ in iter_windows(sources, Preprocessing()):
        gc.collect()
        most.append(len(alive))
    assert len(most) == 6 and max(most) <= 2
