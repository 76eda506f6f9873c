"""How long it takes until the bundled weights are there, in fresh processes on one thread.

Run ``python benchmarks/loading.py``. Each line is what that step adds to those above it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

STEPS = {
    "import torch": "import torch",
    "import brainof_toolbox": "import brainof_toolbox",
    "import the network": "from brainof_toolbox.models import load_checkpoint",
    "load brainof-tiny": "load_checkpoint('brainof-tiny')",
    "import MNE": "import mne",
    "import the estimators": "from brainof_toolbox import BrainOFEmbedder, Signals",
    "fit": "embedder = BrainOFEmbedder(); embedder.fit(X)",
    "transform 1 s of 8 channels": "embedder.transform(X)",
}
PREPARE = """
import numpy as np
rng = np.random.default_rng(0)
place = rng.normal(size=(8, 3))
place *= 0.09 / np.linalg.norm(place, axis=1, keepdims=True)
names = [str(i) for i in range(8)]
X = Signals(2e-5 * rng.normal(size=(1, 8, 256)), 256.0, "eeg", names, ["eeg"] * 8, place)
"""
MEASURE = """
import json, sys, time
steps, prepare = json.loads(sys.argv[1])
names, seconds = {}, {}
for name, code in steps.items():
    if name == "fit":
        exec(prepare, names)
    start = time.perf_counter()
    exec(code, names)
    seconds[name] = time.perf_counter() - start
print(json.dumps(seconds))
"""


def measure():
    """Seconds of each step in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, json.dumps([STEPS, PREPARE])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    measure()  # files into the system's cache
    rounds = [measure() for _ in range(options.rounds)]
    print(f"Milliseconds, medians of {options.rounds} (smallest to largest)")
    for name in STEPS:
        ms = [1e3 * found[name] for found in rounds]
        print(f"{name:28} {statistics.median(ms):7.0f} ({min(ms):.0f} to {max(ms):.0f})")


if __name__ == "__main__":
    main()
