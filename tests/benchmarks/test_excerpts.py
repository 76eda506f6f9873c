"""Excerpts of real recordings in the book are small, and of people outside all training data."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd

from benchmarks import excerpts
from benchmarks.suite.people import read_splits
from brainof_toolbox.evaluation.fitting import find_pretraining_subjects
from brainof_toolbox.models import load_checkpoint

DATA = Path(__file__).resolve().parents[2] / "doc" / "data"


def _people():
    """Return data set -> people in the excerpts."""
    pictures = mne.read_epochs(DATA / "pictures_epo.fif.gz", verbose="error").metadata["subject"]
    folder = "eeg-visual-object"
    return {
        folder: {f"sub-{name.removeprefix(f'{folder}-')}" for name in pictures},
        "fmri-connattractor-pain": set(_table("pain_events.tsv")["participant_id"]),
        "fmri-rpn-rest": set(_table("rest_participants.tsv")["participant_id"]),
    }


def _table(name):
    return pd.read_csv(DATA / name, sep="\t")


def test_people_are_unseen():
    """Neither trained on, by name or by hash, nor kept aside for tests."""
    manifest = load_checkpoint("brainof-tiny").manifest
    trained = SimpleNamespace(encoder_=SimpleNamespace(manifest=manifest))
    for folder, people in _people().items():
        splits = read_splits()[folder]
        refused = {name for key, names in splits.items() if key != "development" for name in names}
        assert len(people) >= 6 and not people & refused
        assert find_pretraining_subjects(trained, people, [folder]) == ()
        labels = [f"{folder}-{name.removeprefix('sub-')}" for name in people]
        assert find_pretraining_subjects(trained, labels) == ()


def test_the_readme_names_every_file():
    """The whole stays below 4 MB, and every file has its source and licence."""
    text = (DATA / "README.rst").read_text(encoding="utf-8")
    files = [path for path in DATA.iterdir() if path.name != "README.rst"]
    assert len(files) >= 10 and sum(path.stat().st_size for path in files) < 4e6
    for path in files:
        assert re.sub(r"-\d+_", "-{3,7,11}_", path.name) in text, path.name
    assert text.count("*Licence*") == text.count("*Source*") == 4


def test_series_survive_eight_bits(tmp_path):
    """The error is at most half a step, 1/254 of the largest deviation of a region."""
    values = np.random.default_rng(0).normal(5.0, 2.0, (122, 40)).astype(np.float32)
    one, zero = np.ones((122, 1), np.float32), np.zeros((122, 1), np.float32)
    np.savez(tmp_path / "site.npz", a=values, a_scale=one, a_mean=zero, b=values, b_scale=one)
    kept = excerpts._write_series([tmp_path / "site.npz"], "a".__eq__, tmp_path / "out.npz", 30)
    with np.load(tmp_path / "out.npz") as stored:
        found = stored["a"] * stored["a_scale"] + stored["a_mean"]
    wanted = np.delete(values, [parcel - 1 for parcel in excerpts._FLAT], axis=0)[:, :30]
    steps = np.abs(wanted - wanted.mean(axis=1, keepdims=True)).max(axis=1, keepdims=True) / 254
    assert kept == ["a"] and found.shape == (119, 30)
    assert np.all(np.abs(found - wanted) <= 1.01 * steps)
