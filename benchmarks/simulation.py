"""Simulated recordings beside real ones: spectra and correlations by distance.

Run ``BRAINOF_DATA=... python -m benchmarks.simulation``; it writes
``doc/simulated_recordings.png`` and ``doc/simulated_recordings.rst``.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
import mne
import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.signal import welch

from benchmarks.lib.sets import data_dir
from benchmarks.lib.tables import csv_link, write_below
from brainof_toolbox import from_nifti
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.io.channels import template_montage

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (after the backend)
from matplotlib.ticker import FormatStrFormatter, NullFormatter  # noqa: E402

DOC = Path(__file__).resolve().parent.parent / "doc"
TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
T_R, N_VOLUMES, N_REGIONS = 0.72, 416, 94
REAL, SIMULATED = "real", "simulated"
COLOURS = {REAL: "0.25", SIMULATED: "tab:orange"}


def real_eeg(root):
    """Yield rest of 12 subjects, 19 electrodes, 0.5-45 Hz, cleaned by its authors."""
    names = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    for path in sorted((root / "eeg-mental-arithmetic").glob("*task-rest_eeg.edf")):
        raw = mne.io.read_raw_edf(path, preload=True)
        raw.rename_channels({name: name.replace("EEG ", "") for name in raw.ch_names})
        raw.rename_channels({old: new for old, new in names.items() if old in raw.ch_names})
        template = mne.channels.make_standard_montage(template_montage())
        raw.pick([name for name in raw.ch_names if name in template.ch_names and name[0] != "A"])
        yield raw.set_montage(template)


def real_meg(root):
    """Yield one second of one subject, 305 Neuromag channels, after signal space separation."""
    path = root / "meg-formats" / "fif" / "sample_audvis_1s_meg_eeg_raw_sss.fif"
    yield mne.io.read_raw_fif(path, preload=True).pick("meg")


def real_fmri(root):
    """Yield rest of 10 subjects: 94 regions of AAL2, percent signal change."""
    for path in sorted((root / "fmri-hcp-rest").glob("*_bold.mat")):
        yield percent(loadmat(path)["tc"][:, :N_VOLUMES])


def percent(series):
    """Return percent around the mean over time."""
    return 100 * (series / series.mean(axis=1, keepdims=True) - 1)


def simulated_fmri(root):
    """Yield the same regions of simulated images."""
    atlas = root / "atlas-mni" / "AAL2_MNI_2mm.nii.gz"
    made = make_paired_recordings(
        10,
        modalities=["fmri"],
        duration=T_R * N_VOLUMES,
        t_r=T_R,
        voxel_size=5,
        effect_size=0.0,
    )
    for record in made.records:
        signals = from_nifti(record["fmri"], masker=str(atlas))
        yield percent(signals.data[0, :N_REGIONS].astype(float))


def simulated_raws(name):
    """Simulate rest of 12 subjects, without blinks or mains."""
    made = make_paired_recordings(
        12,
        modalities=[name],
        duration=62.0,
        n_meg="neuromag-306",
        effect_size=0.0,
        blinks=False,
        line_freq=None,
    )
    return [record[name] for record in made.records]


def spectrum(values, sfreq, seconds):
    """Return frequencies and the power density of each channel."""
    return welch(values, sfreq, nperseg=min(int(seconds * sfreq), values.shape[1]))


def by_distance(values, places, edges):
    """Return mean correlation of channel pairs in each bin of distance."""
    alike = np.corrcoef(values)
    pairs = np.triu_indices(len(places), 1)
    distance = np.linalg.norm(places[:, None] - places, axis=2)[pairs]
    which = np.digitize(distance, edges) - 1
    return np.array(
        [
            alike[pairs][which == i].mean() if (which == i).any() else np.nan
            for i in range(len(edges) - 1)
        ]
    )


def describe_raws(raws, picks, edges, seconds, reference=False):
    """Return spectrum and correlation by distance of each recording."""
    powers, alike = [], []
    for raw in raws:
        raw = raw.copy().pick(picks)
        if reference:
            raw.filter(0.5, 45.0).set_eeg_reference("average")
        values, places = raw.get_data(), np.array([ch["loc"][:3] for ch in raw.info["chs"]])
        freqs, power = spectrum(values, raw.info["sfreq"], seconds)
        powers.append(10 ** np.log10(power).mean(axis=0))
        slow = raw.copy().filter(2.0, 40.0).get_data() if raw.times[-1] > 5 else values
        alike.append(by_distance(slow, places, edges))
    return freqs, np.array(powers), np.array(alike)


def describe_regions(runs, places, edges):
    """Return spectrum and correlation by distance of each run of regions."""
    powers, alike = [], []
    for series in runs:
        freqs, power = spectrum(series, 1 / T_R, 128)
        powers.append(10 ** np.log10(power).mean(axis=0))
        alike.append(by_distance(series, places, edges))
    return freqs, np.array(powers), np.array(alike)


def measure(root):
    """Return {modality: ({source: (freqs, powers, correlations)}, edges)}."""
    eeg_edges, meg_edges = np.linspace(0.04, 0.2, 9), np.linspace(0.02, 0.24, 12)
    roi_edges = np.linspace(0, 160, 9)
    table = pd.read_csv(root / "atlas-mni" / "AAL2_centroids.csv").iloc[:N_REGIONS]
    places = table[["x", "y", "z"]].to_numpy()
    raws = simulated_raws("meg")
    return {
        "EEG": (
            {
                REAL: describe_raws(real_eeg(root), "eeg", eeg_edges, 2, reference=True),
                SIMULATED: describe_raws(simulated_raws("eeg"), "eeg", eeg_edges, 2, True),
            },
            eeg_edges,
        ),
        "MEG": (
            {
                REAL: describe_raws(real_meg(root), "grad", meg_edges, 1),
                SIMULATED: describe_raws(raws, "grad", meg_edges, 1),
            },
            meg_edges,
        ),
        "fMRI": (
            {
                REAL: describe_regions(real_fmri(root), places, roi_edges),
                SIMULATED: describe_regions(simulated_fmri(root), places, roi_edges),
            },
            roi_edges,
        ),
    }


UNITS = {
    "EEG": ("µV²/Hz", 1e12, (0.9, 45), "distance of electrodes (cm)", 100),
    "MEG": ("(fT/cm)²/Hz", 1e26, (1, 60), "distance of gradiometers (cm)", 100),
    "fMRI": ("%²/Hz", 1.0, (0.008, 0.69), "distance of regions (mm)", 1),
}


def draw(measured, path):
    """Draw spectra above correlations; lines are means, bands the range of subjects."""
    fig, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for (name, (found, edges)), (top, bottom) in zip(measured.items(), axes.T, strict=True):
        unit, factor, limits, words, per_m = UNITS[name]
        for source, (freqs, powers, alike) in found.items():
            keep = (freqs >= limits[0]) & (freqs <= limits[1])
            power = powers[:, keep] * factor
            style = {"color": COLOURS[source], "label": f"{source}, n = {len(power)}"}
            top.loglog(freqs[keep], np.exp(np.log(power).mean(axis=0)), **style)
            middle = (edges[:-1] + edges[1:]) / 2 * per_m
            bottom.plot(middle, np.nanmean(alike, axis=0), marker=".", **style)
            if len(power) > 1:
                band = {"color": COLOURS[source], "alpha": 0.2, "linewidth": 0}
                top.fill_between(freqs[keep], power.min(axis=0), power.max(axis=0), **band)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)  # bins without a pair
                    low, high = np.nanmin(alike, axis=0), np.nanmax(alike, axis=0)
                bottom.fill_between(middle, low, high, **band)
        top.set(title=name, xlabel="frequency (Hz)", ylabel=unit)
        top.xaxis.set_minor_formatter(NullFormatter())
        top.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        top.set_xticks([tick for tick in TICKS if limits[0] <= tick <= limits[1]])
        bottom.set(xlabel=words, ylabel="correlation")
        bottom.axhline(0, color="0.8", zorder=0)
        top.legend(frameon=False)
    fig.savefig(path, dpi=110, metadata={"Software": None})


AT = {"EEG": (2, 6, 10, 20, 40), "MEG": (4, 10, 20, 40), "fMRI": (0.01, 0.05, 0.1, 0.3, 0.6)}


def tabulate(measured):
    """Return rows of the table in the documentation."""
    rows = []
    for name, (found, edges) in measured.items():
        unit, factor, _, _, per_m = UNITS[name]
        for at in AT[name]:
            values = {}
            for source, (freqs, powers, _) in found.items():
                near = np.abs(freqs - at).argmin()
                values[source] = np.exp(np.log(powers[:, near] * factor).mean())
            rows.append((f"{name}, power at {at:g} Hz, {unit}", values))
        for i in (0, len(edges) // 3, 2 * len(edges) // 3):
            span = f"{edges[i] * per_m:.3g}-{edges[i + 1] * per_m:.3g}"
            unit_of_distance = "mm" if per_m == 1 else "cm"
            values = {source: np.nanmean(alike[:, i]) for source, (_, _, alike) in found.items()}
            rows.append((f"{name}, correlation at {span} {unit_of_distance}", values))
    return rows


def write(rows, path):
    """Replace what follows the marker in the documentation."""
    table = pd.DataFrame(
        [
            {
                "quantity": words,
                "real": f"{values[REAL]:.2g}",
                "simulated": f"{values[SIMULATED]:.2g}",
            }
            for words, values in rows
        ]
    )
    title = "The numbers: real and simulated, means over people"
    write_below(path, "simulation.py", [csv_link(table, title, path, "means")])


def main():
    """Measure, draw, write."""
    mne.set_log_level("error")
    measured = measure(data_dir())
    draw(measured, DOC / "simulated_recordings.png")
    rows = tabulate(measured)
    for words, values in rows:
        print(f"{words:45s} {values[REAL]:8.3g} {values[SIMULATED]:8.3g}")
    write(rows, DOC / "simulated_recordings.rst")


if __name__ == "__main__":
    main()
