"""Compare the time of reading a sample of a 200 GB and of a 200 MB corpus.

Run ``python -m benchmarks.corpus``; it takes about a minute, needs a file system with sparse files
(a few MB of them are used) and prints tables. Samples have 19 channels and 2560 points, like 10 s
of EEG. Corpora are read in turns, at random places, so that a busy machine slows all alike; what
counts is the ratio. Every place is read twice: first when the system has forgotten the files, then
when it has them in memory. For a hole the first means pages of zeros, for noise the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from brainof_toolbox.pretraining import Corpus, format

N_CHANNELS, N_TIMES = 19, 2560
SAMPLE = 2 * N_CHANNELS * N_TIMES


def make_corpus(folder, n_bytes, n_entries, *, rng=None):
    """Write a corpus of holes, or of noise, without going through recordings."""
    n_samples = max(1, n_bytes // SAMPLE // n_entries)
    (folder / "recordings").mkdir(parents=True)
    montage = np.random.default_rng(0).normal(size=N_CHANNELS * 7).astype("<f4")
    montage[6::7] = 0
    n_values, n_scales = n_samples * N_CHANNELS * N_TIMES, n_samples * N_CHANNELS
    for number in range(n_entries):
        values, scales = (
            folder / "recordings" / name for name in format.file_names(_name(number))
        )
        with open(values, "wb") as file:
            file.write(format.header_bytes(n_values, np.dtype("int16")))
            if rng is None:
                file.truncate(format.HEAD + 2 * n_values)
            else:
                file.write(rng.integers(-(2**15), 2**15, n_values, np.int16).tobytes())
        with open(scales, "wb") as file:
            file.write(format.header_bytes(montage.size + n_scales, np.dtype("f4")))
            file.write(montage.tobytes())
            file.write(np.full(n_scales, 0 if rng is None else 1e-4, np.float32).tobytes())
    write_index(folder, n_entries, n_samples, montage.size)
    return folder


def _name(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def write_index(folder, n_entries, n_samples, scale_offset):
    """Write index and head."""
    lines = []
    for number in range(n_entries):
        entry = {
            "dataset": f"dataset-{number % 37}",
            "modality": "eeg",
            "subject": _name(number),
            "recording": number,
            "sfreq": 256.0,
            "n_samples": n_samples,
            "n_channels": N_CHANNELS,
            "n_times": N_TIMES,
            "duration": n_samples * N_TIMES / 256,
            "montage": hashlib.sha256(b"montage").hexdigest(),
            "montage_offset": 0,
            "file": _name(number),
            "offset": 0,
            "scale_offset": scale_offset,
            "has_log_scale": False,
            "licence": "CC0-1.0",
        }
        lines.append(format.dump(entry))
    index = ("\n".join(lines) + "\n").encode()
    (folder / "index.jsonl").write_bytes(index)
    header = {
        "format_version": format.FORMAT_VERSION,
        "preprocessing": {},
        "window": {"eeg": 10.0, "meg": 2.0, "fmri": 320},
        "dtype": "int16",
        "datasets": {},
        "skipped": [],
        "n_empty_windows": 0,
        "index_sha256": hashlib.sha256(index).hexdigest(),
        "request": None,
        "versions": {},
    }
    header["sha256"] = format.fingerprint(header)
    (folder / "corpus.json").write_text(json.dumps(header))


class PlainMap:
    """The same samples through ``numpy.memmap``, without advice to the system."""

    def __init__(self, corpus):
        self.corpus, self.directory = corpus, corpus.directory

    def __len__(self):
        return len(self.corpus)

    def __getitem__(self, index):
        entry = self.corpus.entry_of(index)
        names = format.file_names(entry.file)
        paths = [self.directory / "recordings" / name for name in names]
        values, scales = (np.load(path, mmap_mode="r") for path in paths)
        place = index % entry.n_samples  # entries have the same number of samples
        start = entry.offset + place * N_CHANNELS * N_TIMES
        data = values[start : start + N_CHANNELS * N_TIMES].reshape(N_CHANNELS, N_TIMES)
        start = entry.scale_offset + place * N_CHANNELS
        return np.multiply(data, scales[start : start + N_CHANNELS, None], dtype=np.float32)


def forget(folder):
    """Let the system drop what it has of some files in memory."""
    for path in (folder / "recordings").iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def time_reading(corpora, n_rounds, n_reads, rng):
    """Return microseconds per sample of every round, first and second read, corpora in turns."""
    times = {name: ([], []) for name in corpora}
    for _ in range(n_rounds):
        for name, corpus in corpora.items():
            places = rng.integers(len(corpus), size=n_reads)
            forget(corpus.directory)
            for passes in times[name]:
                start = time.perf_counter()
                for place in places:
                    corpus[place]
                passes.append(1e6 * (time.perf_counter() - start) / n_reads)
    return times


def time_opening(folders, n_rounds):
    """Return the seconds that opening takes."""
    times = {name: [] for name in folders}
    for _ in range(n_rounds):
        for name, folder in folders.items():
            start = time.perf_counter()
            Corpus(folder)
            times[name].append(time.perf_counter() - start)
    return times


def time_workers(folder, n_workers, n_reads, rng):
    """Return the samples per second of torch's loader."""
    import torch

    corpus = Corpus(folder)
    loader = torch.utils.data.DataLoader(
        corpus,
        batch_size=16,
        sampler=rng.integers(len(corpus), size=n_reads).tolist(),
        num_workers=n_workers,
        collate_fn=len,
    )
    start = time.perf_counter()
    assert sum(loader) == n_reads
    return n_reads / (time.perf_counter() - start)


def main():
    """Print how long opening and reading take, by size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--reads", type=int, default=200, help="samples per round")
    parser.add_argument("--gigabytes", type=float, default=200.0, help="of the large corpus")
    parser.add_argument("--entries", type=int, default=30_000, help="of the large corpus")
    parser.add_argument("--folder", help="where the corpora go, for a moment")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="corpus-", dir=options.folder))
    rng = np.random.default_rng(0)
    try:
        small, large = "200 MB, holes", f"{options.gigabytes:g} GB, holes"
        folders = {
            "200 MB, noise": make_corpus(work / "noise", 2 * 10**8, 30, rng=rng),
            small: make_corpus(work / "small", 2 * 10**8, 30),
            large: make_corpus(work / "large", int(options.gigabytes * 1e9), options.entries),
        }
        used = sum(p.stat().st_blocks for p in (work / "large").rglob("*")) * 512
        if used > 10**9:
            sys.exit(f"{work} has no sparse files: choose another --folder")
        report(folders, options, rng, small)
    finally:
        shutil.rmtree(work)


def report(folders, options, rng, small):
    """Measure and print."""
    opening = time_opening(folders, 5)
    corpora = {name: Corpus(folder) for name, folder in folders.items()}
    time_reading(corpora, 1, options.reads, rng)
    process = psutil.Process()
    before = process.memory_info().rss
    reading = time_reading(corpora, options.rounds, options.reads, rng)
    grown = process.memory_info().rss - before
    plain = {"plain map": PlainMap(corpora[list(corpora)[-1]])}
    plain = time_reading(plain, 3, options.reads, rng)["plain map"][0]
    rows = []
    for name, corpus in corpora.items():
        row = {
            "corpus": name,
            "entries": len(corpus.entries),
            "samples": len(corpus),
            "opening, s": f"{np.median(opening[name]):.3f}",
        }
        for words, times, others in zip(("first", "again"), reading[name], reading[small]):
            low, middle, high = np.percentile(times, [25, 50, 75])
            row[f"{words}, us"] = f"{middle:.0f} ({low:.0f} to {high:.0f})"
            row[f"{words}, ratio"] = f"{np.median(np.array(times) / np.array(others)):.2f}"
        rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False))
    touched = 2 * options.rounds * options.reads * len(corpora) * SAMPLE
    print(f"\n{touched / 1e6:.0f} MB were read; resident memory grew by {grown / 1e6:.0f} MB")
    print(f"numpy.memmap, first read of the large corpus: {np.median(plain):.0f} us per sample")
    table = []
    for n_workers in (0, 1, os.cpu_count() or 1):
        speeds = {n: time_workers(f, n_workers, 4000, rng) for n, f in folders.items()}
        table.append({"workers": n_workers} | {n: f"{s:.0f}" for n, s in speeds.items()})
    print("\nsamples per second, through torch's loader")
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
