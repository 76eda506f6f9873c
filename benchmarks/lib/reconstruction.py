"""Reconstruct hidden stretches of real EEG and fMRI: courses, and correlations by band."""

from __future__ import annotations

import mne
import numpy as np
from matplotlib.figure import Figure
from scipy.signal import butter, sosfiltfilt
from scipy.stats import sem, t

from benchmarks.lib.fmri import read_scored_sites
from benchmarks.lib.sets import data_dir
from benchmarks.suite.people import choose_scored, spread
from brainof_toolbox import BrainOFEmbedder, Signals, from_epochs
from brainof_toolbox.inspection import reconstruct

#: In Hz.
BANDS = {
    "eeg": {
        "delta": (1, 4),
        "theta": (4, 8),
        "alpha": (8, 13),
        "beta": (13, 30),
        "gamma": (30, 45),
    },
    "fmri": {"slow-5": (0.01, 0.027), "slow-4": (0.027, 0.073)},
}
#: Sites that are sampled evenly, and volumes of each run.
SITES, N_VOLUMES = ("bochum", "essen"), 160
_PANELS = [
    ["time", "time", "spectrum", "bands"],
    ["time", "time", "original", "made"],
    ["series", "series", "power", "slow"],
]


def load_closed(n_windows=4):
    """Load windows of 4 s with eyes closed of people who are scored; return them and people."""
    folder = data_dir() / "eeg-depression-rest"
    paths = {path.name[:7]: path for path in sorted(folder.glob("*_task-eyesclosed_*raw.fif.gz"))}
    scored, _ = choose_scored(folder.name, paths)
    epochs = []
    for who in scored:
        raw = mne.io.read_raw_fif(paths[who], preload=True, verbose="error")
        cut = mne.make_fixed_length_epochs(raw, 4.0, preload=True, verbose="error")
        epochs.append(cut[spread(len(cut), n_windows)])
    X = from_epochs(mne.concatenate_epochs(epochs, verbose="error"))
    return X, np.repeat(scored, [len(one) for one in epochs])


def load_rest():
    """Load a stretch of the run of each person who is scored; return them and people."""
    runs, _, sites = read_scored_sites("development")
    runs = [
        run.replace(data=run.data[:, :, :N_VOLUMES], good_segments=None)
        for run, site in zip(runs, sites, strict=True)
        if site in SITES
    ]
    return Signals.concatenate(runs), np.array([str(run.subject[0]) for run in runs])


def correlate_bands(found, people):
    """Correlate hidden values with their reconstruction, and with zeros in their place.

    Parameters
    ----------
    found : Reconstruction
        Windows.
    people : ndarray, shape (n_windows,)
        Of each window.

    Returns
    -------
    correlations : dict of str -> dict of str -> ndarray, shape (n_people,)
        By ``"reconstructed"`` or ``"zeros"``, and band. All are filtered after the values were
        hidden; the second is what the filter alone takes from the values beside.
    """
    made = {
        "reconstructed": found.reconstructed,
        "zeros": np.where(found.is_hidden, 0.0, found.original),
    }
    scores = {name: {} for name in made}
    for band, edges in BANDS[found.modality].items():
        sos = butter(2, edges, "bandpass", fs=found.sfreq, output="sos")
        original = sosfiltfilt(sos, found.original, axis=2)
        for name, data in made.items():
            filtered = sosfiltfilt(sos, data, axis=2)
            scores[name][band] = np.array(
                [
                    _correlate(original[own], filtered[own], found.is_hidden[own])
                    for own in (people == who for who in np.unique(people))
                ]
            )
    return scores


def _correlate(first, second, is_hidden):
    """Correlate hidden values; 0 where one does not vary."""
    first, second = (data[is_hidden] - data[is_hidden].mean() for data in (first, second))
    size = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float(first @ second / size) if size > 0 else 0.0


def draw_bands(axes, scores):
    """Draw means over people, with 95 % intervals."""
    styles = {"reconstructed": ("#0072B2", -0.2), "zeros": ("#BBBBBB", 0.2)}
    for name, (colour, shift) in styles.items():
        values = np.array(list(scores[name].values()))
        half = t.ppf(0.975, values.shape[1] - 1) * sem(values, axis=1)
        at = np.arange(len(values)) + shift
        axes.bar(at, values.mean(axis=1), 0.4, yerr=half, color=colour, label=name)
    axes.set_xticks(range(len(scores[name])), list(scores[name]), fontsize=8)
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set(ylabel="correlation", ylim=(-0.2, 1))
    axes.legend(frameon=False, fontsize=7, loc="upper right")


def draw(checkpoint, sets=None):
    """Hide half of the patches of each set, and draw them beside their reconstruction.

    Parameters
    ----------
    checkpoint : path-like | str
        Weights.
    sets : sequence of (Signals, ndarray) | None
        Samples and people of EEG and of fMRI; ``None``: eyes closed, and rest at two sites.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Courses, spectra and correlations; for EEG, topographies.
    lines : list of str
        The numbers.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplot_mosaic(_PANELS, width_ratios=(1.4, 1.4, 1, 1))
    places = (("time", "spectrum", "original", "made", "bands"), ("series", "power", "slow"))
    lines = []
    for (X, people), names in zip(sets or (load_closed(), load_rest()), places, strict=True):
        embedder = BrainOFEmbedder(checkpoint).fit(X)
        found = reconstruct(embedder, X, frequency_mask_ratio=0.0)
        # Long runs are cut: windows of a sample stand one after the other.
        people = np.repeat(people, len(found.original) // len(people))
        scores = correlate_bands(found, people)
        power = np.square(found.original).mean(axis=(1, 2))
        usual = int(np.argsort(power)[len(power) // 2])
        found.plot(usual, axes=[panels[name] for name in names[:-1]])
        draw_bands(panels[names[-1]], scores)
        lines.append(f"{found.modality}: error relative to zero {found.relative_loss:.3f}")
        lines += [
            f"  {name}: " + ", ".join(f"{band} {own.mean():.3f}" for band, own in bands.items())
            for name, bands in scores.items()
        ]
    return figure, lines
