"""One image is opened once between the check and the reader, and its data are scanned twice."""

from __future__ import annotations

import json
import os
from collections import Counter

import nibabel
import numpy as np
import pytest
from images import make_data, make_image, make_masker, save_image

from brainof_toolbox import Preprocessing, read_bids, signals
from brainof_toolbox.datasets import make_raw
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.io import image_run, sidecars
from brainof_toolbox.io.image_run import open_run
from brainof_toolbox.io.images import read_run
from brainof_toolbox.io.inputs import ReadOptions, open_samples

FORMS = ("path", "image", "record", "BIDS record")


@pytest.fixture
def counts(monkeypatch):
    """Count opened images, resolved repetition times, listed sidecars and scans for NaN."""
    found = Counter()
    for module, name in (
        (nibabel, "load"),
        (image_run, "resolve_t_r"),
        (image_run, "sidecar_files"),
        (signals, "check_finite"),
    ):
        monkeypatch.setattr(module, name, _counted(found, name, getattr(module, name)))
    return found


def _counted(found, name, function):
    def counted(*args, **kwargs):
        found[name] += 1
        return function(*args, **kwargs)

    return counted


@pytest.fixture
def root(tmp_path):
    """A dataset of one run."""
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    folder = tmp_path / "sub-01" / "func"
    folder.mkdir(parents=True)
    save_image(folder / "sub-01_task-rest_bold.nii.gz")
    (tmp_path / "task-rest_bold.json").write_text(json.dumps({"RepetitionTime": 2.0}))
    return tmp_path


def make_items(form, root):
    path = root / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz"
    items = {"path": path, "image": nibabel.load(path), "record": {"fmri": path, "subject": "01"}}
    return read_bids(root) if form == "BIDS record" else [items[form]]


@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_opened_once(form, root, counts):
    X = make_items(form, root)
    for _ in range(2):  # each fit or transform opens X anew
        counts.clear()
        (source,) = open_samples(X, ReadOptions(masker=make_masker()))
        assert counts["check_finite"] == 0
        (batch,) = iter_windows([source], Preprocessing())
        assert batch.windows["fmri"].signals.subject == ("01",)
        assert counts == {
            "resolve_t_r": 1,
            "sidecar_files": 1,
            "check_finite": 2,
            **({} if form == "image" else {"load": 1}),
        }


@pytest.mark.parametrize("kind", ["eeg", "eeg+meg"])
def test_sensor_data_are_scanned_twice(kind, counts):
    """After reading and after scaling, once per modality."""
    raw = make_raw(kind, n_channels=6, duration=20.0)
    (batch,) = iter_windows(open_samples([raw]), Preprocessing())
    assert len(batch) > 0 and counts["check_finite"] == 2 * len(batch.windows)


def test_an_opened_image_holds_no_data(tmp_path):
    run = open_run(save_image(tmp_path / "a.nii.gz"))
    read_run(run, masker=make_masker())
    assert nibabel.is_proxy(run.image.dataobj) and not run.image.in_memory


def test_a_changed_file_is_opened_anew(tmp_path):
    """The size, the data, the repetition time and the checks are those of the new file."""
    path = save_image(tmp_path / "a.nii")
    run = open_run(path)
    assert run.refreshed() is run
    save_image(path, data=make_data(50, seed=3), t_r=1.5)
    read = read_run(run, masker=make_masker())
    assert read.shape[2] == 50 and read.sfreq == pytest.approx(1 / 1.5)
    np.testing.assert_array_equal(read.data, read_run(open_run(path), masker=make_masker()).data)
    save_image(path, data=make_data(5))
    with pytest.raises(ValueError, match=r"a\.nii.*5 volumes"):
        read_run(run, masker=make_masker())
    os.remove(path)
    with pytest.raises(FileNotFoundError, match=r"a\.nii"):
        read_run(run, masker=make_masker())


def test_a_changed_sidecar_is_read_anew(root):
    (path,) = make_items("path", root)
    run = open_run(path)
    (root / "task-rest_bold.json").write_text(json.dumps({"RepetitionTime": 2.0, "Changed": 1}))
    assert run.refreshed() is not run and run.refreshed().t_r == 2.0


def test_an_image_in_memory_stays(root):
    image = make_image()
    run = open_run(image)
    assert run.image is image and run.refreshed() is run and run.stamps == {}


@pytest.mark.parametrize("suffix", ["channels", "events"])
def test_each_sidecar_of_a_recording_is_found_once(suffix, tmp_path, monkeypatch):
    import bids

    from brainof_toolbox.io import bids_recordings

    bids.write_study(tmp_path, subjects=("01",), kinds=("eeg",))
    found = Counter()
    monkeypatch.setattr(
        bids_recordings,
        "nearest_sidecar",
        lambda path, name, extension=".tsv": (
            found.update([f"{name}{extension}"]) or sidecars.nearest_sidecar(path, name, extension)
        ),
    )
    bids_recordings.read_bids_recording(read_bids(tmp_path)[0]["eeg"])
    assert found[f"{suffix}.tsv"] == 1
