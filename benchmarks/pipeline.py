"""Whole pipelines, from files to rows: time by stage, beside MNE and nilearn on the same input.

``python -m benchmarks.pipeline`` simulates recordings in a temporary folder, runs each pipeline on
one core, then with ``n_jobs=2``, and writes ``doc/tables/pipeline_*.csv``. Stages are cumulative
processor times of functions that do not call each other, from a profile of one more run.
Processor times suffer less from other programs; ``n_jobs=2`` needs a quiet machine.
``--share 0.01`` is a quick run. All recordings of a set are copies of a few, so reading is from
memory.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import mne
import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure
from nilearn.maskers import NiftiLabelsMasker
from scipy.signal import lfilter
from sklearn.cluster import KMeans

from benchmarks.lib.tables import write_csv
from brainof_toolbox import BrainOFEmbedder

DOC = Path(__file__).resolve().parent.parent / "doc"
SPREAD = 20e-6  # V, standard deviation of the simulated EEG
N_DISTINCT = 20  # files on disk; the others are links to them
#: Size of each set in full, and what a row is.
SIZES = {"EEG recordings": 1000, "fMRI runs": 500, "EEG epochs": 10_000}
#: Stages of ours: end of the path of a file, and function.
STAGES = {
    "read": (
        ("mne/io/base.py", "_read_segment"),
        ("mne/io/fiff/raw.py", "read_raw_fif"),
        ("io/image_run.py", "read_data"),
    ),
    "masker": (
        ("io/fitted_maskers.py", "fit_masker"),
        ("io/fitted_maskers.py", "regions"),
    ),
    "regions": (("nilearn/maskers/base_masker.py", "transform"),),
    "filter": (("mne/filter.py", "filter_data"),),
    "resample": (("brainof_toolbox/preprocessing.py", "_resample"),),
    "checks": (("io/amplitude.py", "add"),),
    "tokens": (("models/tokens.py", "make_tokens"),),
    "network": (("encoder/backbones.py", "embed"),),
    "covariance": (("features/_block.py", "compute"),),
}


def simulate_eeg(rng, n_channels, n_times):
    """Return noise with a spectrum that falls with frequency, in V."""
    noise = lfilter([1], [1, -0.95], rng.normal(size=(n_channels, n_times)))
    return SPREAD * noise / noise.std()


def write_recordings(folder, n_files):
    """Write recordings of 5 minutes, 32 electrodes at 256 Hz; return a path for each."""
    names = mne.channels.make_standard_montage("biosemi32").ch_names
    for number in range(min(n_files, N_DISTINCT)):
        data = simulate_eeg(np.random.default_rng(number), 32, 300 * 256)
        raw = mne.io.RawArray(data, mne.create_info(names, 256.0, "eeg"))
        raw.set_montage("biosemi32").save(folder / f"made{number:02d}_raw.fif")
    return link(folder, "_raw.fif", n_files)


def write_images(folder, n_files):
    """Write runs of 300 volumes and an atlas of 246 regions; return a path for each run."""
    shape, affine = (30, 36, 30), np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = -90, -126, -72
    grid = np.argwhere(np.ones(shape)) - np.array(shape) / 2
    inside = np.sum((grid / (np.array(shape) / 2)) ** 2, axis=1) < 0.8
    labels = np.zeros(len(grid), np.int16)
    found = KMeans(246, n_init=1, max_iter=20, random_state=0).fit_predict(grid[inside])
    labels[inside] = 1 + found
    nib.save(nib.Nifti1Image(labels.reshape(shape), affine), folder / "atlas.nii.gz")
    for number in range(min(n_files, N_DISTINCT)):
        rng = np.random.default_rng(number)
        course = lfilter([1], [1, -0.7], rng.normal(size=(247, 300)))
        data = 1000 + 20 * (course[labels] + rng.normal(size=(len(grid), 300)))
        image = nib.Nifti1Image(data.reshape(*shape, 300).astype(np.int16), affine)
        image.header.set_zooms((6.0, 6.0, 6.0, 2.0))
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, folder / f"made{number:02d}_bold.nii")
    return link(folder, "_bold.nii", n_files)


def link(folder, ending, n_files):
    """Return paths of as many recordings, links to those that were written."""
    paths = []
    for number in range(n_files):
        path = folder / f"sub-{number:04d}{ending}"
        os.link(folder / f"made{number % N_DISTINCT:02d}{ending}", path)
        paths.append(str(path))
    return paths


def make_epochs(n_epochs):
    """Return epochs of 2 s, 32 electrodes at 128 Hz, in memory."""
    names = mne.channels.make_standard_montage("biosemi32").ch_names
    data = simulate_eeg(np.random.default_rng(0), 32, n_epochs * 256)
    data = np.ascontiguousarray(data.reshape(32, n_epochs, 256).swapaxes(0, 1))
    return mne.EpochsArray(data, mne.create_info(names, 128.0, "eeg")).set_montage("biosemi32")


def tangent_of(data):
    """Return the logarithms of shrunk covariances of windows, (n, 32 * 33 / 2)."""
    covariances = np.einsum("nct,ndt->ncd", data, data) / data.shape[-1]
    power = np.trace(covariances, axis1=1, axis2=2)[:, None, None] / data.shape[1]
    covariances = 0.95 * covariances + 0.05 * power * np.eye(data.shape[1])
    values, vectors = np.linalg.eigh(covariances)
    logs = (vectors * np.log(values)[:, None]) @ vectors.swapaxes(1, 2)
    return logs[:, *np.triu_indices(data.shape[1])]


def mne_recordings(paths):
    """Read, filter, resample, cut into windows of 10 s, log-covariances: MNE and numpy."""
    rows = []
    for path in paths:
        raw = mne.io.read_raw_fif(path, preload=True).set_eeg_reference("average")
        raw.filter(0.5, 45.0).resample(128.0)
        epochs = mne.make_fixed_length_epochs(raw, 10.0, preload=True)
        rows.append(tangent_of(epochs.get_data(copy=False)).mean(0))
    return np.stack(rows)


def mne_epochs(epochs):
    """Log-covariances of epochs: numpy."""
    data = epochs.get_data(copy=False)
    return tangent_of(data - data.mean(1, keepdims=True))


def nilearn_runs(paths, atlas):
    """Region means and correlations: nilearn."""
    masker = NiftiLabelsMasker(atlas, standardize="zscore_sample").fit()
    measure = ConnectivityMeasure(kind="correlation", vectorize=True, discard_diagonal=True)
    return np.concatenate([measure.fit_transform([masker.transform(path)]) for path in paths])


def embed(checkpoint, X, *, n_jobs=None, **options):
    """Embed by latents and covariance, as the default decoder does."""
    options |= {"features": ("latents", "covariance"), "n_jobs": n_jobs}
    embedder = BrainOFEmbedder(checkpoint, **options)
    return embedder.fit(X[:1]).transform(X)


def stages_of(profile, total):
    """Return seconds by stage."""
    calls = pstats.Stats(profile).stats
    seconds = dict.fromkeys(STAGES, 0.0)
    for stage, places in STAGES.items():
        for end, name in places:  # the outermost of functions of one name
            seconds[stage] += max(
                (
                    cumulative
                    for (file, _, function), (*_, cumulative, _) in calls.items()
                    if file.endswith(end) and function == name
                ),
                default=0.0,
            )
    seconds["the rest"] = max(total - sum(seconds.values()), 0.0)
    return seconds


def measure(function, n_rounds):
    """Return the wall time and the processor time of each call in s."""
    times = []
    for _ in range(n_rounds):
        before, start = processor_time(), time.perf_counter()
        function()
        wall = time.perf_counter() - start
        times.append((wall, processor_time() - before))
    return times


def processor_time():
    """Return the seconds that this process and its living descendants have computed (Linux)."""
    group, ticks = {os.getpid()}, 0
    rows = []
    for file in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            rows.append((int(file.parent.name), file.read_text().rpartition(")")[2].split()))
        except FileNotFoundError:
            continue  # it ended meanwhile
    for number, fields in rows:
        if number in group or int(fields[1]) in group:
            group.add(number)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def run_set(name, n_rows, ours, peer, peer_name, n_rounds):
    """Measure one set; return a row of the table and its stages."""
    peers = [cpu for _, cpu in measure(peer, n_rounds)]
    alone = measure(lambda: ours(n_jobs=None), n_rounds)
    both = measure(lambda: ours(n_jobs=2), n_rounds)
    profile, start = cProfile.Profile(time.process_time), time.process_time()
    profile.runcall(ours, n_jobs=None)
    total = time.process_time() - start
    one, wall = [cpu for _, cpu in alone], [wall for wall, _ in both]
    median = statistics.median
    row = {
        "input": f"{n_rows:,} {name}",
        "peer": peer_name,
        "peer, CPU s": spell(peers),
        "ours, CPU s": spell(one),
        "ours / peer": f"{median(one) / median(peers):.1f}",
        "n_jobs=2, CPU s": spell([cpu for _, cpu in both]),
        "one core, s": spell([wall for wall, _ in alone]),
        "n_jobs=2, s": spell(wall),
        "cores used of 2, %": f"{100 * median(cpu / wall / 2 for wall, cpu in both):.0f}",
    }
    stages = {
        stage: f"{100 * seconds / total:.0f}"
        for stage, seconds in stages_of(profile, total).items()
    }
    return row, {"input": row["input"], "CPU s": f"{total:.1f}", **stages}


def spell(seconds):
    """Return the median and the range."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def sets(folder, share, checkpoint="brainof-tiny"):
    """Yield name, number of rows, ours, peer and its name."""
    sizes = {name: max(round(share * size), 4) for name, size in SIZES.items()}
    paths = write_recordings(folder, sizes["EEG recordings"])
    yield (
        "EEG recordings",
        len(paths),
        lambda n_jobs: embed(checkpoint, paths, n_jobs=n_jobs),
        lambda: mne_recordings(paths),
        "MNE + log-covariance",
    )
    runs = write_images(folder, sizes["fMRI runs"])
    atlas = folder / "atlas.nii.gz"
    yield (
        "fMRI runs",
        len(runs),
        lambda n_jobs: embed(checkpoint, runs, n_jobs=n_jobs, masker=NiftiLabelsMasker(atlas)),
        lambda: nilearn_runs(runs, atlas),
        "nilearn masker + correlation",
    )
    epochs = make_epochs(sizes["EEG epochs"])
    yield (
        "EEG epochs",
        len(epochs),
        lambda n_jobs: embed(checkpoint, epochs, n_jobs=n_jobs),
        lambda: mne_epochs(epochs),
        "log-covariance",
    )


def main():
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the full sizes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint", default="brainof-tiny")
    parser.add_argument(
        "--out", type=Path, default=DOC / "pipeline.rst", help="page of the tables"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    rows, stages = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, n_rows, ours, peer, peer_name in sets(
            Path(folder), options.share, options.checkpoint
        ):
            row, shares = run_set(name, n_rows, ours, peer, peer_name, options.rounds)
            print(row, shares, sep="\n", flush=True)
            rows.append(row)
            stages.append(shares)
    for name, table in (("times", rows), ("stages", stages)):
        print(f"wrote {write_csv(pd.DataFrame(table), options.out, name)}")


if __name__ == "__main__":
    main()
