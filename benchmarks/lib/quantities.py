"""Samples with quantities that are known: put in, or measured on the very samples.

Real samples are those of subjects outside the corpus of brainof-tiny; no target is a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, hilbert, sosfiltfilt, welch

from benchmarks.lib.fmri import load_story, story_subjects
from benchmarks.lib.variations import arithmetic
from brainof_toolbox import from_epochs
from brainof_toolbox.baselines.channels import averaged_samples, band_power
from brainof_toolbox.datasets import make_paired_signals, source_table
from brainof_toolbox.datasets.forward import make_eeg_info, make_gain, make_meg_info
from brainof_toolbox.io.regions import head_to_mni

SEED, SFREQ, SECONDS = 601, 128.0, 2.0
N_SUBJECTS, N_SAMPLES = 20, 12  # simulated
BANDS = {"theta": (4, 8), "alpha": (8, 13), "beta": (13, 30)}
REGIONS = {
    "frontal": ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8"),
    "central": ("C3", "Cz", "C4"),
    "temporal": ("T7", "T8"),
    "posterior": ("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
}
LEFT, RIGHT = ("P7", "P3", "O1"), ("P8", "P4", "O2")


@dataclass(frozen=True)
class Known:
    """Samples, their subjects, and their known quantities.

    Parameters
    ----------
    name : str
        Kind of samples.
    X : Signals | list of Signals
        Samples.
    groups : ndarray
        Subjects.
    targets : dict of str -> ndarray, shape (n_samples,) or (n_samples, n_places)
        By quantity.
    """

    name: str
    X: object
    groups: np.ndarray
    targets: dict


def real_eeg():
    """Return rest and arithmetic, 4 s: powers, alpha's peak and side, correlations."""
    epochs, _, groups = arithmetic(4.0, 12)
    X = from_epochs(epochs)
    data, names = X.data.astype(float), list(X.ch_names)
    freqs, power = welch(data, X.sfreq, nperseg=int(2 * X.sfreq), axis=-1)
    at = {place: [names.index(n) for n in members] for place, members in REGIONS.items()}
    at |= {"left": [names.index(n) for n in LEFT], "right": [names.index(n) for n in RIGHT]}

    def level(band, place):
        keep = (freqs >= BANDS[band][0]) & (freqs < BANDS[band][1])
        return np.log(power[:, at[place]][..., keep].mean(axis=(1, 2)))

    targets = {
        f"log {band} power, {len(REGIONS)} regions": np.stack(
            [level(band, place) for place in REGIONS], axis=1
        )
        for band in BANDS
    }
    keep = (freqs >= 7) & (freqs <= 13)
    posterior = power[:, at["posterior"]].mean(axis=1)[:, keep] * freqs[keep]  # without the 1/f
    targets["alpha peak frequency"] = (posterior * freqs[keep]).sum(axis=1) / posterior.sum(axis=1)
    targets["alpha, right minus left"] = level("alpha", "right") - level("alpha", "left")
    alpha = sosfiltfilt(butter(4, BANDS["alpha"], "bandpass", fs=X.sfreq, output="sos"), data)
    sides = [np.abs(hilbert(alpha[:, at[side]])).mean(axis=1) for side in ("left", "right")]
    targets["alpha envelopes, left with right"] = correlate(*sides)
    pair = [data[:, names.index(name)] for name in ("F3", "P3")]
    targets["correlation of F3 and P3"] = correlate(*pair)
    return Known("EEG, real", X, groups, targets)


def correlate(first, second):
    """Return Fisher's z of the correlation of each row of two arrays."""
    first, second = (x - x.mean(axis=1, keepdims=True) for x in (first, second))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.arctanh(np.clip((first * second).sum(axis=1) / lengths, -0.999, 0.999))


def rhythm(rng, n, frequency, width=0.5):
    """Draw waves of unit variance around a frequency of each sample: (n, n_times)."""
    n_times = int(SECONDS * SFREQ)
    freqs = np.fft.rfftfreq(n_times, 1 / SFREQ)
    shape = np.exp(-((freqs - np.reshape(frequency, (-1, 1))) ** 2) / (4 * width**2))
    parts = rng.normal(size=(2, n, len(freqs)))
    waves = np.fft.irfft((parts[0] + 1j * parts[1]) * shape, n=n_times, axis=1)
    return waves / waves.std(axis=1, keepdims=True)


def draw_sources(n):
    """Draw moments in Am by source, and their known quantities."""
    rng = np.random.default_rng(SEED)
    times = np.arange(int(SECONDS * SFREQ)) / SFREQ
    frequency = rng.uniform(8, 12.5, n)
    size = {side: rng.uniform(np.log(10), np.log(100), n) for side in "LR"}  # log nAm
    moments = {
        f"FUS_{side}": np.exp(size[side])[:, None] * rhythm(rng, n, frequency) for side in "LR"
    }
    peak, latency = rng.uniform(20, 200, n), rng.uniform(0.4, 1.6, n)
    shape = np.exp(-((times - latency[:, None]) ** 2) / (2 * 0.06**2))
    moments |= {f"A1_{side}": peak[:, None] * shape for side in "LR"}
    coherence = rng.uniform(0, 1, n)
    first, second = rhythm(rng, n, 20.0, 1.5), rhythm(rng, n, 20.0, 1.5)
    share = np.sqrt(coherence)[:, None]
    moments["M1_L"] = 40 * first
    moments["M1_R"] = 40 * (share * first + np.sqrt(1 - share**2) * second)
    known = {
        "log amplitude of alpha, left and right": np.stack([size["L"], size["R"]], axis=1),
        "frequency of alpha": frequency,
        "alpha, right minus left": size["R"] - size["L"],
        "peak of a response": peak,
        "latency of a response": latency,
        "coherence of two sources": coherence,
    }
    return {name: 1e-9 * values for name, values in moments.items()}, known


def simulated(modality):
    """Simulate EEG or MEG at rest, 2 s, with known activity of some sources added."""
    X, _, groups = make_paired_signals(
        N_SAMPLES,
        n_subjects=N_SUBJECTS,
        modalities=(modality,),
        effect_size=0.0,
        views="shared",
        duration=SECONDS,
        sfreq=SFREQ,
        random_state=SEED,
    )
    X, table = X.by_modality[modality], source_table()
    info = make_eeg_info("10-20", SFREQ) if modality == "eeg" else make_meg_info(30, SFREQ)
    gain = make_gain(info, table)
    moments, known = draw_sources(len(X))
    data = X.data.astype(float)
    for name, values in moments.items():
        topography = gain[:, list(table["name"]).index(name)]
        data += topography[:, None] * values[:, None]
    return Known(f"{modality.upper()}, simulated", X.replace(data=data), groups, known)


def describe_regions(data, sfreq, pairs=()):
    """Compute quantities of region series (n_samples, n_regions, n_times)."""
    centred = data - data.mean(axis=2, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=2, keepdims=True), 1e-12)
    alike = unit @ unit.transpose(0, 2, 1)
    upper = np.triu_indices(data.shape[1], 1)
    freqs = np.fft.rfftfreq(data.shape[2], 1 / sfreq)
    slow = (freqs >= 0.01) & (freqs <= 0.1)
    size = np.abs(np.fft.rfft(centred, axis=2))[..., slow].mean(axis=2)
    known = {
        "mean connectivity": np.arctanh(alike[:, *upper].mean(axis=1)),
        "log amplitude at 0.01-0.1 Hz": np.log(size.mean(axis=1)),
        "mean level": data.mean(axis=(1, 2)),
    }
    for name, first, second in pairs:
        series = [data[:, places].mean(axis=1) for places in (first, second)]
        known[f"connectivity, {name}"] = correlate(*series)
    return known


def simulated_fmri():
    """Simulate fMRI, 60 s, half of it tasks, with a global signal of various sizes added."""
    X, _, groups = make_paired_signals(
        8,
        n_subjects=N_SUBJECTS,
        modalities=("fmri",),
        views="shared",
        fmri_duration=60.0,
        random_state=SEED,
    )
    X = X.by_modality["fmri"]
    rng, n_times = np.random.default_rng(SEED), X.shape[2]
    size = rng.uniform(0, 1, len(X))
    wave = rng.normal(size=(len(X), n_times)).cumsum(axis=1)
    wave -= wave.mean(axis=1, keepdims=True)
    data = X.data + (size[:, None] * wave / wave.std(axis=1, keepdims=True))[:, None]
    x, y, _ = 1000 * head_to_mni(X.ch_pos).T
    pairs = [
        ("left with right", x < -20, x > 20),
        ("front with back", y > 30, y < -70),
    ]
    known = {"size of a global signal": size, **describe_regions(data, X.sfreq, pairs)}
    return Known("fMRI, simulated", X.replace(data=data), groups, known)


def real_fmri():
    """Return segments of 60 s of a story, six regions, not standardised."""
    segments = load_story(30, story_subjects())
    flat = [segment for subject in segments for segment in subject]
    data = np.concatenate([segment.data for segment in flat]).astype(float)
    groups = np.repeat(np.arange(len(segments)), len(segments[0]))
    known = describe_regions(data, flat[0].sfreq)
    return Known("fMRI, real", flat, groups, known)


def classical(known):
    """Compute the usual features: powers and averaged samples, or levels and correlations."""
    parts = known.X if isinstance(known.X, list) else [known.X]
    data, sfreq = np.concatenate([part.data for part in parts]).astype(float), parts[0].sfreq
    if parts[0].modality == "fmri":
        upper = np.triu_indices(data.shape[1], 1)
        alike = [np.arctanh(np.clip(np.corrcoef(one)[upper], -0.999, 0.999)) for one in data]
        return [np.hstack([data.mean(axis=2), np.log(data.std(axis=2))]), np.stack(alike)]
    data /= data.std()
    step = max(0.1, data[0].size / sfreq / 600)  # at most 600 features
    rows = [band_power(data, sfreq), averaged_samples(data, sfreq, step)]
    return [row.reshape(len(data), -1) for row in rows]


def all_known():
    """Yield all kinds of samples."""
    yield real_eeg()
    yield simulated("eeg")
    yield simulated("meg")
    yield simulated_fmri()
    yield real_fmri()
