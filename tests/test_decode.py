"""Samples, groups and classes that the command line reads from files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import mne
import numpy as np
import pytest

from brainof_toolbox.cli import decoding_data
from brainof_toolbox.cli.decoding_data import groups_of, read_decoding_data
from brainof_toolbox.datasets import make_info

OPTIONS = {
    **dict.fromkeys(
        ("labels", "target", "label_from_name", "groups", "event_id", "events", "tmin", "tmax")
    ),
    "missing_positions": "placeholder",
    "encoding": None,
    "allow_maxshield": False,
}


def make_epochs(event_id):
    info = make_info("eeg", n_channels=3, sfreq=100.0)
    data = np.random.default_rng(0).normal(size=(8, 3, 100)) * 1e-5
    events = np.column_stack([np.arange(8) * 100, np.zeros(8, int), np.resize([1, 2], 8)])
    return mne.EpochsArray(data, info, events, event_id=event_id, verbose="error")


def test_epochs_with_two_names_of_one_code(monkeypatch):
    """MNE makes such epochs, but writes none: other programs may."""
    epochs = make_epochs({"left": 1, "right": 2, "both": 2})
    monkeypatch.setattr(decoding_data, "cut_epochs", lambda file, options: epochs)
    with pytest.raises(ValueError, match=r"some-epo.fif: names of events share codes.*\[2\]"):
        decoding_data._read_epochs([Path("some-epo.fif")], Namespace(**OPTIONS))
    epochs = make_epochs({"left": 1, "right": 2})
    data = decoding_data._read_epochs([Path("some-epo.fif")], Namespace(**OPTIONS))
    assert data.y.tolist() == ["left", "right"] * 4


def test_files_of_one_name_are_groups_of_their_own():
    one, two, other = Path("s1/rec.fif"), Path("s2/rec.fif"), Path("s2/more.fif")
    groups, what = groups_of([one, one, two, two], None)
    assert what == "files" and groups.tolist() == [str(one), str(one), str(two), str(two)]
    groups, _ = groups_of([one, one, other], None)
    assert groups.tolist() == ["rec.fif", "rec.fif", "more.fif"]


def test_labels_are_those_of_the_session(tmp_path):
    """One row per subject and session in the table of labels."""
    table = tmp_path / "labels.csv"
    rows = [f"0{who},{when},{'ab'[(who + when) % 2]}" for who in (1, 2) for when in (1, 2)]
    table.write_text("\n".join(["participant_id,session_id,state", *rows]) + "\n")
    files = [tmp_path / f"sub-0{w}_ses-{s}_raw.fif" for w in (1, 2) for s in (1, 2)]
    info = mne.create_info(["Fz", "Cz"], 100.0, "eeg")
    for file in files:
        raw = mne.io.RawArray(np.zeros((2, 200)), info, verbose="error")
        raw.save(file, verbose="error")
    options = OPTIONS | {"labels": table, "target": "state"}
    data = read_decoding_data(files, Namespace(**options))
    assert data.y.tolist() == ["a", "b", "b", "a"]
    assert data.groups.tolist() == ["sub-01", "sub-01", "sub-02", "sub-02"]
