"""Forward pass and training step of our networks beside peers, in one run, on the same inputs.

Run ``python -m benchmarks.speed``; it writes the tables of ``doc/speed.rst``. Peers come from
braindecode with random weights; where it is not installed they are left out. It pulls CUDA
libraries through torchaudio, so give it an environment of its own. Every model gets the same
seconds of the same number of channels, at the rate that it was made for.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lib.speed_pretraining import time_pretraining
from benchmarks.lib.tables import write_csv
from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens

DOC = Path(__file__).resolve().parent.parent / "doc"
#: Channels, seconds, modality, sensor type, rate in Hz.
CASES = {
    "22 x 4 s EEG": (22, 4, "eeg", "eeg", 256),
    "62 x 10 s EEG": (62, 10, "eeg", "eeg", 256),
    "306 x 2 s MEG": (306, 2, "meg", "mag", 256),
    "246 x 320 volumes fMRI": (246, 640, "fmri", "bold", 0.5),
}
#: Rate in Hz that a peer was made for, and what its number of time points must be a multiple of.
PEERS = {
    "LaBraM": ("Labram", 200, 200),
    "CBraMod": ("CBraMod", 200, 200),
    "BIOT": ("BIOT", 200, 100),
    "LUNA": ("LUNA", 256, 40),
    "EEGPT": ("EEGPT", 256, 64),
}
#: Preset, rate in Hz of EEG and MEG, and precision.
OURS = {
    "tiny, 128 Hz": ("tiny", 128, "float32"),
    "tiny, 128 Hz, bf16": ("tiny", 128, "bf16"),
    "tiny, 256 Hz": ("tiny", 256, "float32"),
    "base, 128 Hz": ("base", 128, "float32"),
}
PRETRAINED = ("tiny", "base")
LIMIT = 12 * 2**30  # bytes that a training step may take; the process ends, not the machine
SLOW = 8.0  # s of one pass, above which it is not repeated


class Ours(torch.nn.Module):
    """A network of ours with a linear head, from signals to two numbers, tokens included."""

    def __init__(self, name, case):
        super().__init__()
        n_channels, seconds, self.modality, kind, self.rate = CASES[case]
        preset, rate, self.precision = OURS[name]
        self.rate = min(self.rate, rate)
        self.network = BrainOF(BrainOFConfig.preset(preset))
        self.head = torch.nn.Linear(self.network.config.width, 2)
        rng = np.random.default_rng(0)
        place = rng.normal(size=(n_channels, 3))
        self.place = 0.095 * place / np.linalg.norm(place, axis=1, keepdims=True)
        self.kinds = [kind] * n_channels
        self.shape = (n_channels, round(seconds * self.rate))

    def forward(self, x):
        """Cut into tokens, embed, decide."""
        tokens = make_tokens(
            x, self.rate, self.place, np.zeros_like(self.place), self.kinds, self.modality
        )
        is_half = self.precision == "bf16" and not self.training
        with torch.autocast("cpu", torch.bfloat16, is_half):
            return self.head(self.network(tokens).mean(1))


def make_peer(name, case):
    """Build a peer with random weights for a case; None where its input is refused."""
    import braindecode.models

    n_channels, seconds, modality, *_ = CASES[case]
    if modality == "fmri":
        return None
    kind, rate, multiple = PEERS[name]
    n_times = -(-seconds * rate // multiple) * multiple
    names = [f"E{i}" for i in range(n_channels)]
    options = {"n_chans": n_channels, "n_times": n_times, "n_outputs": 2, "sfreq": rate}
    places = np.random.default_rng(0).normal(scale=0.05, size=(n_channels, 3))
    options["chs_info"] = [
        {"ch_name": channel, "loc": np.r_[place, np.zeros(9)], "kind": 2}
        for channel, place in zip(names, places, strict=True)
    ]
    model = getattr(braindecode.models, kind)(**options)
    model.shape = (n_channels, n_times)
    if name == "LaBraM":  # it has 128 places; more channels share them, which changes no time
        from braindecode.models.labram import LABRAM_CHANNEL_ORDER

        known = list(LABRAM_CHANNEL_ORDER)
        plain = model.forward
        named = [known[i % len(known)] for i in range(n_channels)]
        model.forward = lambda x: plain(x, ch_names=named)
    return model


def make_model(name, case):
    """Build one of ours or a peer."""
    return Ours(name, case) if name in OURS else make_peer(name, case)


class Runner:
    """A model, its input and its optimiser."""

    def __init__(self, name, case, n_batch):
        self.model = make_model(name, case)
        self.n_batch = n_batch
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(n_batch, *self.model.shape, generator=generator)
        self.y = torch.arange(n_batch) % 2
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)

    def forward(self):
        """Embed, as users do."""
        with torch.inference_mode():
            return self.model(self.x)

    def step(self):
        """Run forward, backward and update."""
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()

    def gflop(self):
        """Return the GFLOP of one window, forward, counted by torch."""
        self.model.eval()
        with FlopCounterMode(display=False) as counter:
            self.model(self.x)
        return counter.get_total_flops() / self.n_batch / 1e9


def timed(function):
    """Return seconds of processor of one call, which other programs disturb less."""
    start = time.process_time()
    function()
    return time.process_time() - start


class Peak:
    """The matrix product of this machine, measured between the models."""

    def __init__(self, size=1024):
        self.a, self.b = torch.randn(size, size), torch.randn(size, size)
        self.gflop = 2 * size**3 / 1e9
        self.seconds = []

    def measure(self):
        """Time a few products."""
        self.seconds += [timed(lambda: self.a @ self.b) for _ in range(5)]

    @property
    def rate(self):
        """Return the median in GFLOP/s."""
        return self.gflop / statistics.median(self.seconds)


def time_case(case, names, n_batch, n_rounds):
    """Interleave the models of a case; returns one row per model."""
    runners, memory, rows, refused = {}, {}, [], {}
    for name in names:
        try:
            if make_model(name, case) is not None:
                memory[name] = [peak_memory(name, case, n_batch, x) for x in ("forward", "step")]
                runners[name] = Runner(name, case, n_batch)
                runners[name].forward()
        except Exception as error:  # a peer's own reasons, whatever their type
            runners.pop(name, None)
            refused[name] = " ".join(str(error).split())[:100]
    seconds = {name: ([], []) for name in runners}
    peak = Peak()
    for _ in range(n_rounds):
        for name, runner in runners.items():
            for kind, function in enumerate((runner.forward, runner.step)):
                runner.model.train(kind == 1)
                if not seconds[name][kind] or seconds[name][kind][0] < SLOW:
                    seconds[name][kind].append(timed(function))
            gc.collect()
        peak.measure()
    for name, (forward, step) in seconds.items():
        gflop = runners[name].gflop()
        ms = [1e3 * s / n_batch for s in forward]
        middle, step_ms = statistics.median(ms), 1e3 * statistics.median(step) / n_batch
        rows.append(
            {
                "input": case,
                "model": name,
                "parameters, M": sum(p.numel() for p in runners[name].model.parameters()) / 1e6,
                "GFLOP": gflop,
                "forward, ms": middle,
                "range": (min(ms), max(ms)),
                "% of peak": 100 * gflop / middle * 1e3 / peak.rate,
                "step, ms": step_ms,
                "step / forward": step_ms / middle,
                "memory forward, MiB": memory[name][0],
                "memory, MiB": memory[name][1],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows, refused, peak.rate


def peak_memory(name, case, n_batch, what):
    """Return the memory in MiB that a forward pass or a step adds, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.speed", "--one", name, case, str(n_batch), what]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        is_full = "allocate memory" in last or "MemoryError" in last
        raise RuntimeError(f"a step needs more than {LIMIT / 2**30:g} GiB" if is_full else last)
    return float(done.stdout.split()[-1])


def measure_memory(name, case, n_batch, what):
    """Print what one forward pass or step adds to the largest memory of this process."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    runner = Runner(name, case, n_batch)
    runner.model.train(what == "step")
    before = highest_memory()
    getattr(runner, what)()
    print(highest_memory() - before)


def highest_memory():
    """Return the largest memory in MiB of this process so far (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def known_models():
    """List our models, and the peers that are installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import braindecode.models  # noqa: F401
    except ImportError as error:
        print(f"Without peers: {error}", file=sys.stderr)
        return list(OURS)
    return [*OURS, *PEERS]


def format_row(row, reference):
    """Round the numbers of a row and add their units."""
    low, high = row["range"]
    return {
        "input": row["input"],
        "model": row["model"],
        "parameters": f"{row['parameters, M']:.1f} M",
        "GFLOP": f"{row['GFLOP']:.2f}",
        "forward, ms": f"{row['forward, ms']:.1f} ({low:.1f} to {high:.1f})",
        "CBraMod / it": f"{reference / row['forward, ms']:.1f}" if reference else "",
        "% of peak": f"{row['% of peak']:.0f}",
        "step, ms": f"{row['step, ms']:.1f}",
        "step / forward": f"{row['step / forward']:.1f}",
        "memory forward": f"{row['memory forward, MiB']:.0f} MiB",
        "memory step": f"{row['memory, MiB']:.0f} MiB",
    }


def main():
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--pretraining", action="store_true", help="also time pretraining")
    parser.add_argument("--out", type=Path, default=DOC / "speed.rst", help="page of the tables")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        name, case, n_batch, what = options.one
        measure_memory(name, case, int(n_batch), what)
        return
    names = options.models or known_models()
    table, peaks = [], []
    for case in options.cases:
        rows, refused, peak = time_case(case, names, options.batch, options.rounds)
        times = {row["model"]: row["forward, ms"] for row in rows}
        table += [format_row(row, times.get("CBraMod")) for row in rows]
        for name, reason in refused.items():
            print(f"{name} refuses {case}: {reason}")
        peaks.append(f"{peak:.0f}")
    has_peers = any(name in PEERS for name in names)
    settings = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "braindecode": importlib.metadata.version("braindecode") if has_peers else "none",
        "windows in a batch": options.batch,
        "rounds": options.rounds,
        "peak, GFLOP/s, by input": ", ".join(peaks),
        **{f"rate of {name}, Hz": rate for name, (_, rate, _) in PEERS.items()},
    }
    cases = {case: CASES[case] for case in options.cases if options.pretraining}
    for name, rows in (
        ("settings", [{"setting": key, "value": value} for key, value in settings.items()]),
        ("windows", table),
        ("pretraining", time_pretraining(cases, PRETRAINED, options.rounds)),
    ):
        if rows:
            print(f"wrote {write_csv(pd.DataFrame(rows), options.out, name)}")


if __name__ == "__main__":
    main()
