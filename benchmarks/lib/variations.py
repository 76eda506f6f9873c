"""The same recordings at other rates, with other sensors, at other lengths.

Samples are resampled, picked, interpolated and cut; of simulated ones, which are drawn with the
same seed, other montages see the same activity (their noise is another one). Real ones are those
of subjects outside the corpus of brainof-tiny (``suite/splits.toml``).
"""

from __future__ import annotations

from dataclasses import dataclass

import mne
import numpy as np
from mne.filter import resample

from benchmarks.lib.sets import data_dir, read_arithmetic
from benchmarks.suite.people import choose_scored
from brainof_toolbox import from_epochs
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.datasets.forward import make_eeg_info

SEED = 501
N_SUBJECTS, N_SAMPLES = 8, 12  # simulated
N_EPOCHS, N_WINDOWS = 20, 5  # real: of a person, of a recording
RATES, REAL_RATES = (100, 128, 200, 250, 500, 1000), (100, 128, 200, 256, 500, 1000)
T_RS = (0.5, 1.0, 1.5, 2.0, 3.0)
COUNTS, SHARES = (64, 32, 19, 12, 8), (0, 10, 20, 30, 40, 50)
LENGTHS, FMRI_LENGTHS = (1, 2, 4, 8, 10), (20, 40, 80, 160)
MONTAGES = {
    "all": None,
    "10-20": "10-20",
    "biosemi32": "biosemi32",
    "easycap-M1": "easycap-M1",
    "HydroCel-64": "GSN-HydroCel-64_1.0",
}


@dataclass(frozen=True)
class Axis:
    """The same samples at each value of what varies.

    Parameters
    ----------
    name : str
        What varies.
    source : str
        ``"simulated"`` or ``"real"``.
    variations : dict of object -> Signals | list of Signals
        Samples by value.
    reference : object
        The value that the others are compared with, and that the probe is trained on.
    y, groups : ndarray
        Classes and subjects.
    """

    name: str
    source: str
    variations: dict
    reference: object
    y: np.ndarray
    groups: np.ndarray


def simulate(modality, **options):
    """Simulate rest and task; the activity is the same for all sensors."""
    X, y, groups = make_paired_signals(
        N_SAMPLES,
        n_subjects=N_SUBJECTS,
        modalities=(modality,),
        random_state=SEED,
        **options,
    )
    return X.by_modality[modality], y, groups


def _unseen(folder, pattern):
    """Return subject and path of the recordings that no weights were trained on."""
    found = [(path.name[:6], path) for path in sorted((data_dir() / folder).glob(pattern))]
    scored, _ = choose_scored(folder, [who for who, _ in found])
    return [(who, path) for who, path in found if who in scored]


def pictures():
    """Return epochs of 1 s at 61 electrodes, the picture and the subject of each."""
    epochs, groups = [], []
    for who, path in _unseen("eeg-visual-object", "*_epo.fif.gz"):
        read = mne.read_epochs(path, verbose="error")
        epochs.append(read[np.linspace(0, len(read) - 1, N_EPOCHS).astype(int)])
        groups += [who] * N_EPOCHS
    X = mne.concatenate_epochs(epochs, verbose="error")
    return X, (X.events[:, 2] != X.event_id["S1/obj"]).astype(int), np.array(groups)


def arithmetic(seconds, n_windows=N_WINDOWS):
    """Return windows of rest and mental arithmetic at 19 electrodes."""
    epochs, y, groups = [], [], []
    for who, path in _unseen("eeg-mental-arithmetic", "*_eeg.edf"):
        raw = read_arithmetic(path)
        cut = mne.make_fixed_length_epochs(raw, seconds, preload=True, verbose="error")
        epochs.append(cut[:n_windows])
        y += [int("arithmetic" in path.name)] * len(epochs[-1])
        groups += [who] * len(epochs[-1])
    return mne.concatenate_epochs(epochs, verbose="error"), np.array(y), np.array(groups)


def pick(signals, channels):
    """Pick channels."""
    return signals.replace(
        data=signals.data[:, channels],
        ch_names=[signals.ch_names[i] for i in channels],
        ch_types=[signals.ch_types[i] for i in channels],
        ch_pos=signals.ch_pos[channels],
        ch_ori=signals.ch_ori[channels],
    )


def spread(places, count):
    """Choose channels that cover the head: each is the farthest from those before."""
    chosen = [int(places[:, 2].argmax())]
    distance = np.full(len(places), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return sorted(chosen)


def crop(signals, seconds, start=0.0):
    """Crop samples to a length, from their beginning or a later time in s."""
    size, start = round(seconds * signals.sfreq), round(start * signals.sfreq)
    return signals.replace(data=signals.data[..., start : start + size], good_segments=None)


def without(signals, groups, share):
    """Drop a share of the channels, others in each subject."""
    n_channels, rng = signals.shape[1], np.random.default_rng([SEED, share])
    kept = round(n_channels * (1 - share / 100))
    parts = []
    for who in dict.fromkeys(groups):
        channels = np.sort(rng.permutation(n_channels)[:kept])
        parts.append(pick(signals[np.flatnonzero(groups == who)], channels))
    return parts


def rates():
    """Yield sampling rates."""
    # Longer than needed, as resampling bends the ends.
    X, y, groups = simulate("eeg", montage=32, sfreq=1000.0, duration=3.0)
    made = {}
    for rate in RATES:
        data = resample(X.data.astype(float), up=rate, down=1000.0, verbose="error")
        made[rate] = crop(X.replace(data=data, sfreq=float(rate), good_segments=None), 2.0, 0.5)
    yield Axis("sampling rate (Hz)", "simulated", made, 250, y, groups)
    X, y, groups = pictures()
    made = {
        rate: from_epochs(X if rate == 256 else X.copy().resample(rate, verbose="error"))
        for rate in REAL_RATES
    }
    yield Axis("sampling rate (Hz)", "real", made, 256, y, groups)


def channels():
    """Yield numbers of channels, shares of lost ones, and montages."""
    X, y, groups = simulate("eeg", montage=64, duration=2.0)
    epochs, real_y, real_groups = pictures()
    real = from_epochs(epochs)
    for source, data, *labels in (
        ("simulated", X, y, groups),
        ("real", real, real_y, real_groups),
    ):
        most = data.shape[1]
        made = {n: pick(data, spread(data.ch_pos, n)) if n < most else data for n in COUNTS}
        yield Axis("channels", source, made, COUNTS[0], *labels)
        made = {n: without(data, labels[1], n) if n else data for n in SHARES}
        yield Axis("channels lost (%)", source, made, 0, *labels)
    made = {
        name: X if code is None else simulate("eeg", montage=code, duration=2.0)[0]
        for name, code in MONTAGES.items()
    }
    yield Axis("montage", "simulated", made, "all", y, groups)
    made = {name: real if code is None else move(epochs, code) for name, code in MONTAGES.items()}
    yield Axis("montage", "real", made, "all", real_y, real_groups)


def move(epochs, montage):
    """Interpolate to other electrodes, by splines on the sphere."""
    wanted = make_eeg_info(montage, epochs.info["sfreq"]).get_montage()
    # The default of None is not resolved by mne 1.13.
    return from_epochs(epochs.copy().interpolate_to(wanted, method="spline"))


def lengths():
    """Yield lengths of EEG."""
    X, y, groups = simulate("eeg", duration=float(LENGTHS[-1]), fmri_duration=40.0)
    made = {seconds: crop(X, seconds) for seconds in LENGTHS}
    yield Axis("length of EEG (s)", "simulated", made, 4, y, groups)
    epochs, y, groups = arithmetic(float(LENGTHS[-1]))
    X = from_epochs(epochs)
    made = {seconds: crop(X, seconds) for seconds in LENGTHS}
    yield Axis("length of EEG (s)", "real", made, 4, y, groups)


def scans():
    """Yield repetition times and lengths of fMRI."""
    X, y, groups = simulate("fmri", t_r=T_RS[0], fmri_duration=60.0)
    made = {}
    for t_r in T_RS:
        step = round(t_r / T_RS[0])
        made[t_r] = X.replace(data=X.data[..., ::step], sfreq=1 / t_r, good_segments=None)
    yield Axis("repetition time (s)", "simulated", made, 2.0, y, groups)
    X, y, groups = simulate("fmri", fmri_duration=float(FMRI_LENGTHS[-1]))
    made = {seconds: crop(X, seconds) for seconds in FMRI_LENGTHS}
    yield Axis("length of fMRI (s)", "simulated", made, 80, y, groups)


def all_axes():
    """Yield all axes."""
    for make in (rates, channels, lengths, scans):
        yield from make()
