"""epochs_from_nifti: trials of runs without BIDS, as epochs_from_bids cuts them."""

from __future__ import annotations

import shutil
import warnings

import bids
import numpy as np
import pandas as pd
import pytest

from brainof_toolbox import Trials, epochs_from_bids, epochs_from_nifti

ONSETS = [10.0, 50.0, 90.0]


def make_events(kinds=("up", "down", "up"), **columns):
    table = {"onset": ONSETS, "duration": [18.0] * 3, "trial_type": list(kinds), **columns}
    return pd.DataFrame(table)


@pytest.fixture
def images():
    return [bids.make_image(seed=seed) for seed in range(2)]


def cut(imgs, events, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return epochs_from_nifti(imgs, events, **{"masker": bids.make_masker(), **options})


@pytest.fixture
def root(tmp_path, images):
    """The images as two runs of one subject in BIDS."""
    root = bids.describe(tmp_path / "set")
    for run, image in enumerate(images, 1):
        name = f"sub-01_task-a_run-{run}"
        path = bids.write_image(root, f"{name}_bold", image=image)
        make_events().to_csv(path.with_name(f"{name}_events.tsv"), sep="\t", index=False)
    return root


def files_of(folder):
    """Return images and tables of a folder, in the order of runs."""
    return sorted(folder.rglob("*_bold.nii.gz")), sorted(folder.rglob("*_events.tsv"))


def test_equals_the_trials_of_the_same_files_in_bids(root, tmp_path):
    """Blocks of nine volumes, and every rule of the cut."""
    options = {"masker": bids.make_masker(), "shift": 4.0}
    expected = epochs_from_bids(root, **options)
    imgs, tables = files_of(root)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (*imgs, *tables):
        shutil.copy(path, flat)
    for found in (cut(imgs, tables, **options), cut(*files_of(flat), **options)):
        assert isinstance(found, Trials)
        pd.testing.assert_frame_equal(found.metadata, expected.metadata)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.data, other.data)
            assert one.signature == other.signature and one.shape == (1, 3, 9)
            assert one.onset == other.onset and one.run == other.run


def test_forms_of_images_and_events(images, tmp_path):
    """In memory or on disk, a table or its path: the same trials."""
    expected = cut(images[0], make_events())
    table = tmp_path / "anything.tsv"
    make_events().to_csv(table, sep="\t", index=False)
    path = tmp_path / "a.nii.gz"
    images[0].to_filename(path)
    for imgs, events in ((path, make_events()), ([str(path)], [table]), (images[0], str(table))):
        found = cut(imgs, events)
        np.testing.assert_array_equal(found[1].data, expected[1].data)
        assert found.metadata["onset"].tolist() == ONSETS
    assert expected.groups.tolist() == [None] * 3 and "of" not in repr(expected)


def test_images_that_no_label_distinguishes_are_runs(images):
    trials = cut(images, [make_events()] * 2)
    assert trials.metadata["run"].tolist() == ["1"] * 3 + ["2"] * 3
    assert trials.groups.tolist() == ["1"] * 3 + ["2"] * 3
    named = cut(images, [make_events()] * 2, subject=["a", "b"], task="rest")
    assert named.groups.tolist() == ["a"] * 3 + ["b"] * 3
    assert set(named.metadata["run"]) == {None} and set(named.metadata["task"]) == {"rest"}


def test_confounds_of_each_image(images):
    """One table per image, regressed out as from_nifti does; nothing is left of the region."""
    series = [image.get_fdata()[1, 1, 1] for image in images]
    options = {"confounds": [s[:, None] for s in series], "shift": 4.0}
    trials = cut(images, [make_events()] * 2, **options)
    plain = cut(images, [make_events()] * 2, shift=4.0)
    for one, other, s in zip(trials[::3], plain[::3], series, strict=True):
        assert not np.allclose(one.data, other.data, atol=0.1)
        assert abs(np.corrcoef(one.data[0, 0], s[7:16])[0, 1]) < 0.9
    with pytest.raises(ValueError, match="confounds is one table but there are 2 images"):
        cut(images, [make_events()] * 2, confounds=series[0][:, None])


@pytest.mark.parametrize(
    ("events", "match"),
    [
        (make_events(), "events has 1 tables but there are 2 images"),
        ([make_events()] * 3, "events has 3 tables but there are 2 images"),
        ([make_events().drop(columns="onset")] * 2, r"events \(imgs\[0\]\) has no column 'onset'"),
        ([make_events(onset=["early"] * 3)] * 2, r"imgs\[0\].*onset 'early' is not a number"),
        ([make_events(duration=[np.nan] * 3)] * 2, r"tmax must be given: 3 events of imgs\[0\]"),
        ([make_events(onset=[1e3] * 3, trial_type=["a"] * 3)] * 2, "No trial is left"),
        ([make_events(onset=[10.0] * 3)] * 2, "several types have the same onset"),
    ],
    ids=["one table", "three tables", "no onset", "text", "no duration", "late", "together"],
)
def test_events_that_are_refused(images, events, match):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=match):
        warnings.simplefilter("ignore")
        epochs_from_nifti(images, events, masker=bids.make_masker())


def test_tables_of_other_runs_are_refused(root):
    imgs, tables = files_of(root)
    with pytest.raises(
        ValueError, match=r"run-2_events\.tsv is given for .*run-1_bold.*another run"
    ):
        cut(imgs, tables[::-1])


def test_other_nonsense(images, tmp_path):
    for events, error in ((tmp_path / "none.tsv", FileNotFoundError), (3, TypeError)):
        with pytest.raises(error, match=r"none\.tsv|DataFrame or the path"):
            cut(images[0], events)
    with pytest.raises(ValueError, match="'shift'"):
        cut(images[0], make_events(), shift=-1)
    with pytest.raises(ValueError, match="above tmin"):
        cut(images[0], make_events(), tmin=2, tmax=1)
    with pytest.raises(ValueError, match="no event"):
        cut(images[0], make_events(), event_id="sideways")
