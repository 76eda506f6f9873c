"""Training data of brainof-tiny: real recordings with open licences, and simulated ones.

The subjects of training and of tests are listed in ``benchmarks/pretraining/split.toml``. Labels
are not read. Subjects are named after their set, so that they differ from any other "sub-01".
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mne
import numpy as np

from benchmarks.lib.fmri import read_story
from benchmarks.lib.sets import data_dir, read_arithmetic
from brainof_toolbox import from_epochs, from_raw
from brainof_toolbox.datasets import make_paired_recordings, make_paired_signals
from brainof_toolbox.io.channels import template_montage

PRETRAINING = Path(__file__).resolve().parent.parent / "pretraining"
#: Lengths in s of the epochs that the later parts of EEG recordings are cut into, as users embed
#: epochs too, and where these parts begin and end.
PIECES = (4.0, 2.0, 1.0)
SHARES = (0.5, 0.8, 0.9, 1.0)
#: Simulated studies: electrodes, MEG channels, rate in Hz, repetition time in s, what varies.
#: Half of them have no MEG, which would otherwise take half of the training.
STUDIES = (
    ("10-20", 30, 128.0, 2.0, "state"),
    (32, 102, 200.0, 0.8, "group"),
    (64, None, 256.0, 1.5, "state"),
    ("biosemi32", "neuromag-306", 250.0, 2.5, "group"),
    (24, None, 160.0, 1.0, "state"),
    ("easycap-M1", None, 500.0, 3.0, "group"),
)
#: Simulated short pieces of fMRI, as trials are: length and repetition time in s.
TRIALS = ((40.0, 2.0), (24.0, 1.0), (120.0, 2.5), (200.0, 0.8))
SEED = 20260  # of the simulated studies; tests have other ones


def named(signals, subject):
    """Give all samples one subject."""
    return signals.replace(subject=(subject,) * len(signals))


def pieces(raw, subject):
    """Yield EEG: the first half as windows of the default length, the rest as epochs."""
    end = raw.times[-1]
    yield named(from_raw(raw.copy().crop(0, end * SHARES[0], include_tmax=False)), subject)
    for (start, stop), seconds in zip(pairwise(SHARES), PIECES, strict=True):
        part = raw.copy().crop(end * start, end * stop, include_tmax=False)
        epochs = mne.make_fixed_length_epochs(part, seconds, preload=True, verbose="error")
        epochs.drop_bad(flat={"eeg": 1e-7}, verbose="error")  # zeros after the end
        if len(epochs):
            yield named(from_epochs(epochs), subject)


def arithmetic(subjects):
    """Yield rest and mental arithmetic."""
    folder = data_dir() / "eeg-mental-arithmetic"
    for subject in subjects:
        for path in sorted(folder.glob(f"sub-{subject}_*_eeg.edf")):
            yield from pieces(read_arithmetic(path), f"eeg-mental-arithmetic-{subject}")


def visual(subjects):
    """Yield epochs of pictures."""
    for subject in subjects:
        path = data_dir() / "eeg-visual-object" / f"sub-{subject}_epo.fif.gz"
        epochs = mne.read_epochs(path, verbose="error")
        yield named(from_epochs(epochs), f"eeg-visual-object-{subject}")


def story(subjects):
    """Yield runs of a story, six regions."""
    for subject in subjects:
        for run in read_story(subject):
            yield named(run, f"fmri-story-listening-{subject}")


def formats(folder, names):
    """Yield samples of file formats."""
    for name in names:
        yield {"eeg" if folder.startswith("eeg") else "meg": str(data_dir() / folder / name)}


def read_rest(folder):
    """Yield path, recording and subject of rest (Mumtaz 2016)."""
    for path in sorted(Path(folder).glob("*.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        names = {name: name.removeprefix("EEG ").removesuffix("-LE") for name in raw.ch_names}
        old = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
        raw.rename_channels({name: old.get(new, new) for name, new in names.items()})
        raw.drop_channels([name for name in raw.ch_names if name[0] in "A2"])  # ears, others
        raw.set_montage(template_montage())
        who = path.stem.removesuffix("EC").removesuffix("EO")
        yield path, raw, f"eeg-depression-rest-{who}"


def simulated(n_subjects, duration):
    """Yield studies with different sensors, rates and repetition times."""
    for number, (montage, n_meg, sfreq, t_r, label) in enumerate(STUDIES):
        rng = np.random.default_rng([SEED, number])
        made = make_paired_recordings(
            n_subjects,
            modalities=("fmri", "eeg") if n_meg is None else ("fmri", "eeg", "meg"),
            duration=duration,
            label=label,
            montage=montage,
            n_meg=n_meg or 30,
            sfreq=sfreq,
            t_r=t_r,
            effect_size=float(rng.uniform(0.3, 1.2)),
            random_state=rng,
        )
        for record in made:
            yield {**record, "subject": f"simulated-{SEED}-{number}-{record['subject']}"}
    for number, (seconds, t_r) in enumerate(TRIALS, len(STUDIES)):
        rng = np.random.default_rng([SEED, number])
        signals, _, subjects = make_paired_signals(
            16,
            n_subjects=n_subjects,
            modalities=("fmri",),
            fmri_duration=seconds,
            t_r=t_r,
            random_state=rng,
        )
        names = tuple(f"simulated-{SEED}-{number}-{subject}" for subject in subjects)
        yield signals.by_modality["fmri"].replace(subject=names)
