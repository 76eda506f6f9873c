"""Whom the bundled weights were trained on: they are warned of, and nobody else is."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, cross_validate
from brainof_toolbox._utils.subjects import add_data_set, hash_subject
from brainof_toolbox.evaluation.fitting import find_pretraining_subjects
from brainof_toolbox.io.labels import infer_data_sets
from brainof_toolbox.models import load_checkpoint

#: What people call their subjects; headers of recordings may also leave the field empty.
USUAL_NAMES = ["", " ", "n/a", "X", "sample", "subject", "test", "anonymous", "None"]
USUAL_NAMES += [f"{kind}{i:0{n}d}" for kind in "sSpPH" for n in (1, 2, 3) for i in range(200)]
USUAL_NAMES += [f"{i:0{n}d}" for n in (1, 2, 3, 4) for i in range(1000)]


def names(*parts):
    """Data set and name of who is in parts of the split that the manifest states."""
    manifest = load_checkpoint("brainof-tiny").manifest
    found = {}
    for folder, rows in manifest["split"].items():
        if folder == "whole-sets":
            continue
        people = [who.removeprefix("sub-") for part in parts for who in rows.get(part, ())]
        found[folder] = [f"{data_set(folder, who, manifest)}-{who}" for who in people]
    return found


def data_set(folder, who, manifest):
    """Data set of a subject: the folder, or one site of it."""
    sites = {name.removeprefix(f"{folder}-"): name for name in manifest["datasets"]}
    return next((name for site, name in sites.items() if who.startswith(site)), folder)


@pytest.fixture(scope="module")
def trained(eeg_study):
    """An estimator with the bundled weights."""
    return BrainOFEmbedder().fit(eeg_study)


def test_subjects_of_the_corpus_are_known(trained):
    """By data set and name; folders of file formats have no subjects but files."""
    for dataset, there in names("pretraining").items():
        expected = () if dataset.endswith("formats") else tuple(there)
        assert find_pretraining_subjects(trained, there) == expected
        assert find_pretraining_subjects(trained, [f"sub-{who}" for who in there]) == tuple(
            f"sub-{who}" for who in expected
        )
    assert sum(map(len, names("pretraining").values())) > 10


def test_others_are_not(trained):
    """Neither who was kept for evaluation nor anybody's "sub-01"."""
    for there in names("evaluation", "development", "test").values():
        assert find_pretraining_subjects(trained, there) == ()
    assert find_pretraining_subjects(trained, USUAL_NAMES) == ()
    assert find_pretraining_subjects(trained, [f"sub-{name}" for name in USUAL_NAMES]) == ()
    assert find_pretraining_subjects(trained, np.arange(1000)) == ()


def test_scores_of_seen_subjects_are_warned_of(eeg_study):
    """A subject of the corpus among four; without it, not a word."""
    study = eeg_study[::4]
    y, who = study.events[:, 2], study.metadata["subject"]
    decoder = BrainOFClassifier(pooling="mean")
    seen = study.copy()
    name = next(there[0] for there in names("pretraining").values() if there)
    seen.metadata["subject"] = who.replace("04", name)
    with pytest.warns(RuntimeWarning, match=rf"1 test subject.*{name}\."):
        cross_validate(decoder, seen, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_validate(decoder, study, y)


class Trained:
    """A fitted estimator whose checkpoint was trained on subjects of own data sets."""

    def __init__(self, **subjects):
        hashes = [add_data_set(hash_subject(s), d) for d, names in subjects.items() for s in names]
        self.encoder_ = SimpleNamespace(manifest={"subjects": hashes, "datasets": [*subjects]})


def test_subjects_of_own_corpora_are_those_of_their_data_set(tmp_path):
    """ "01" of another data set is another person; records and paths name their data set."""
    own = Trained(arithmetic=["01", "02"])
    assert find_pretraining_subjects(own, ["01", "02", "sub-01", ""]) == ()
    assert find_pretraining_subjects(own, ["01", "03"], ["arithmetic"]) == ("01",)
    assert find_pretraining_subjects(own, ["01"], ["rest"]) == ()
    assert find_pretraining_subjects(own, ["sub-arithmetic-02"]) == ("sub-arithmetic-02",)
    labelled = Trained(arithmetic=["arithmetic-01"])
    assert find_pretraining_subjects(labelled, ["arithmetic-01"]) == ("arithmetic-01",)
    root = tmp_path / "folder"
    inside = root / "derivatives" / "clean" / "sub-01"
    inside.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "arithmetic"}')
    (inside.parent / "dataset_description.json").write_text('{"Name": "clean"}')
    paths = [str(inside / "sub-01_eeg.fif")]
    assert infer_data_sets(paths) == infer_data_sets([{"eeg": paths[0]}]) == ("arithmetic",)
    assert infer_data_sets([str(tmp_path / "a.fif")]) == infer_data_sets(np.zeros(3)) == ()
