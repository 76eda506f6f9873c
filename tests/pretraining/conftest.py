"""A small corpus that many tests read."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """The folder of a corpus with all three modalities, two datasets and three montages.

    EEG (19 and 8 channels), MEG (12) and fMRI (10 regions) of three simulated subjects; read-only
    by agreement.
    """
    from recordings import make_windows

    from benchmarks.lib.write_corpus import write_corpus

    directory = tmp_path_factory.mktemp("corpora") / "small"
    write_corpus(directory, make_windows())
    return directory


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    """Recordings of several kinds, two levels deep, two of them broken, and a text."""
    from recordings import raw_of

    from brainof_toolbox.datasets import make_epochs

    folder = tmp_path_factory.mktemp("sources") / "lab"
    (folder / "sub-02").mkdir(parents=True)
    raw_of(0).save(folder / "sub-01_raw.fif", verbose="error")
    raw_of(1, n_channels=12).save(folder / "sub-02" / "rest_raw.fif", verbose="error")
    make_epochs(n_channels=8, n_epochs=5, duration=1.0).save(
        folder / "third-epo.fif", verbose="error"
    )
    (folder / "broken_raw.fif").write_bytes((folder / "sub-01_raw.fif").read_bytes()[:3000])
    (folder / "text.nii.gz").write_text("no image")
    (folder / "README.md").write_text("passed over")
    return folder


@pytest.fixture(scope="session")
def bids_pairs(tmp_path_factory):
    """Two subjects with EEG, MEG and fMRI at once; a licence in the description."""
    from brainof_toolbox.datasets import make_paired_recordings

    root = tmp_path_factory.mktemp("bids") / "ds1"
    make_paired_recordings(2, duration=40.0, sfreq=64.0, n_meg=6, write_bids=root)
    path = root / "dataset_description.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"Name": "Pairs", "License": "PDDL"})
    )
    return root
