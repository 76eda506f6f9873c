"""Read EEG recordings with caps of 15 to 64 electrodes."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd

from brainof_toolbox.io.channels import template_montage

from ..lib.sets import motor_epochs
from .people import split_groups, split_people, spread
from .sets import Set, Task

#: Conditions of sets that have the 19 electrodes of the 10-20 system.
CAPS = ("other cap", "8 channels", "4 channels", "noise 0 dB")
_MODERN = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def _windows(raw, n_windows, duration=4.0):
    """Cut windows and keep some, evenly spaced over the recording."""
    epochs = mne.make_fixed_length_epochs(raw, duration, preload=True, verbose="error")
    return epochs[spread(len(epochs), n_windows)]


def _rest(folder, states, n_windows):
    """Cut windows of the recordings of rest; return them, their people and states."""
    epochs, people, found = [], [], []
    for path in sorted(folder.glob("*_raw.fif.gz")):
        state = path.name.split("_task-")[1].split("_")[0]
        if state not in states:
            continue
        raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
        epochs.append(_windows(raw, n_windows))
        people += [path.name[:7]] * len(epochs[-1])
        found += [state] * len(epochs[-1])
    return (
        mne.concatenate_epochs(epochs, verbose="error"),
        np.array(people),
        np.array(found),
    )


def read_eyes(root, part):
    """Read eyes closed against open; people are left out."""
    folder = root / "eeg-depression-rest"
    X, people, states = _rest(folder, ("eyesclosed", "eyesopen"), 6)
    y = np.where(states == "eyesopen", "open", "closed")
    return Task(X, y, people, split_people(folder.name, y, people, 4, part))


def read_depression(root, part):
    """Read depression against control; people are left out."""
    folder = root / "eeg-depression-rest"
    X, people, _ = _rest(folder, ("eyesclosed",), 6)
    table = pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id")
    y = table["group"][people].to_numpy(str)
    return Task(X, y, people, split_people(folder.name, y, people, 4, part))


def read_arithmetic(root, part):
    """Read rest against mental arithmetic; people are left out."""
    folder = root / "eeg-mental-arithmetic"
    epochs, people, y = [], [], []
    for path in sorted(folder.glob("*_eeg.edf")):
        raw = mne.io.read_raw_edf(path, infer_types=True, preload=True, verbose="error")
        raw.drop_channels(["A2-A1", "ECG"])
        raw.rename_channels(_MODERN)
        raw.set_montage(template_montage())
        epochs.append(_windows(raw, 15))
        people += [path.name[:6]] * len(epochs[-1])
        y += ["arithmetic" if "arithmetic" in path.name else "rest"] * len(epochs[-1])
    y, people = np.array(y), np.array(people)
    X = mne.concatenate_epochs(epochs, verbose="error")
    return Task(X, y, people, split_people(folder.name, y, people, 4, part))


def _names(epochs):
    """Return the name of the condition of each epoch."""
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names[code] for code in epochs.events[:, 2]])


def read_motor(root, part):
    """Read left against right fist; a run is left out."""
    X, runs = motor_epochs(root / "eeg-motor-imagery")
    return Task(X, _names(X), runs, split_groups(runs))


def read_pictures(root, part):
    """Read the first against the second picture; people are left out."""
    folder = root / "eeg-visual-object"
    paths = sorted(folder.glob("*_epo.fif.gz"))
    epochs = [mne.read_epochs(path, verbose="error").drop_channels(["nd"]) for path in paths]
    people = np.repeat([path.name[:6] for path in paths], [len(one) for one in epochs])
    X = mne.concatenate_epochs(epochs, verbose="error").pick("eeg")
    y = np.where(_names(X) == "S1/obj", "first", "second")
    return Task(X, y, people, split_people(folder.name, y, people, 6, part))


def read_openbci(root, part):
    """Read imagery of the right hand against rest; people are left out."""
    folder = root / "eeg-mi-openbci"
    epochs, people = [], []
    for path in sorted(folder.glob("*_raw.fif.gz")):
        raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
        events, ids = mne.events_from_annotations(raw, verbose="error")
        wanted = {name[4:]: code for name, code in ids.items() if name.startswith("cue/")}
        epochs.append(
            mne.Epochs(raw, events, wanted, 0, 4, baseline=None, preload=True, verbose="error")
        )
        people += [path.name[:6]] * len(epochs[-1])
    X, people = mne.concatenate_epochs(epochs, verbose="error"), np.array(people)
    y = _names(X)
    return Task(X, y, people, split_people(folder.name, y, people, 5, part))


SETS = {
    "motor": Set(
        read_motor,
        "eeg-motor-imagery",
        "left against right fist; a run left out",
        "sensors",
        2,
        "run",
        "one person: nothing follows for other people",
        conditions=CAPS,
        is_small=True,
    ),
    "openbci": Set(
        read_openbci,
        "eeg-mi-openbci",
        "imagery of the right hand against rest; people left out",
        "sensors",
        2,
        "person",
        "ten trials a person; all channels of sub-04 carry common noise",
        is_small=True,
    ),
    "pictures": Set(
        read_pictures,
        "eeg-visual-object",
        "first against second picture; people left out",
        "sensors",
        2,
        "person",
        "order of the pictures and match status change together",
        conditions=CAPS,
        is_small=True,
    ),
    "arithmetic": Set(
        read_arithmetic,
        "eeg-mental-arithmetic",
        "rest against mental arithmetic; people left out",
        "sensors",
        2,
        "person",
        "conditions are two recordings: offsets between recordings can be decoded",
        conditions=CAPS,
        is_small=True,
    ),
    "eyes": Set(
        read_eyes,
        "eeg-depression-rest",
        "eyes closed against open; people left out",
        "sensors",
        2,
        "person",
        "states are two recordings",
        "six windows of 4 s a recording",
        conditions=CAPS,
    ),
    "depression": Set(
        read_depression,
        "eeg-depression-rest",
        "depression against control, eyes closed; people left out",
        "sensors",
        2,
        "person",
        "group and recording period are not independent: nothing is claimed",
        "six windows of 4 s a person",
        is_claimed=False,
    ),
}
