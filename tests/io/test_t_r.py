"""Repetition times: header, sidecar and argument, in that order of distrust."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from images import make_image, make_masker, save_image

from brainof_toolbox._utils.logging import warn
from brainof_toolbox.io import from_nifti
from brainof_toolbox.io.bids_names import parse
from brainof_toolbox.io.image_run import open_run
from brainof_toolbox.io.sidecars import read_sidecar, sidecar_files
from brainof_toolbox.io.t_r import resolve_t_r

NAME = "sub-01_ses-a_task-rest_run-1_bold"


def small_image(t_r, unit="sec"):
    return make_image(np.zeros((2, 2, 2, 12), dtype=np.float32), t_r=t_r, unit=unit)


def silent(function, *args, **kwargs):
    """Run with warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def resolve(image, path=None, **options):
    """Resolve the repetition time and emit the warnings about it."""
    files = [] if path is None else sidecar_files(path)
    t_r, notes = resolve_t_r(image, files=files, **options)
    for note in notes:
        warn(note)
    return t_r


def write_json(path, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def bids_file(root):
    """The path of a run in a dataset; no image is written."""
    write_json(root / "dataset_description.json", Name="simulated", BIDSVersion="1.9.0")
    folder = root / "sub-01" / "ses-a" / "func"
    folder.mkdir(parents=True)
    return folder / f"{NAME}.nii.gz"


# ------------------------------------------------------------------------------------------ header
@pytest.mark.parametrize(
    ("value", "unit"), [(2.0, "sec"), (2000.0, "msec"), (2e6, "usec"), (2.0, "unknown")]
)
def test_header_in_any_unit(value, unit):
    """2000 ms, 2e6 us, and 2 without a unit, are 2 s."""
    assert silent(resolve, small_image(value, unit)) == pytest.approx(2.0, rel=1e-6)


def test_header_of_single_precision_is_rounded():
    assert resolve(small_image(0.72)) == 0.72


def test_header_zero():
    """Nothing says the repetition time."""
    with pytest.raises(ValueError, match=r"TR.*0 in the header.*t_r="):
        resolve(small_image(0.0))
    assert silent(resolve, small_image(0.0), t_r=2.5) == 2.5


def test_time_axis_in_hertz_is_none():
    with pytest.raises(ValueError, match="t_r="):
        resolve(small_image(2.0, "hz"))


def test_default_of_nibabel():
    """Pixdim[4] = 1 with unknown units was set by nobody."""
    with pytest.warns(RuntimeWarning, match=r"TR.*nibabel.*t_r="):
        assert resolve(small_image(1.0, "unknown")) == 1.0
    assert silent(resolve, small_image(1.0, "unknown"), t_r=2.0) == 2.0
    assert silent(resolve, small_image(1.0, "sec")) == 1.0


@pytest.mark.parametrize(
    ("value", "unit", "guess"), [(2000.0, "sec", "milliseconds"), (2.0, "msec", "divided by 1000")]
)
def test_header_in_the_wrong_unit(value, unit, guess):
    with pytest.raises(ValueError, match=rf"TR.*{guess} .*t_r="):
        resolve(small_image(value, unit))


# ---------------------------------------------------------------------------------------- argument
@pytest.mark.parametrize("value", [0, -2.0, np.nan, np.inf])
def test_argument_not_positive(value):
    """0, negative, NaN."""
    for name in ("t_r", "masker_t_r"):
        with pytest.raises(ValueError, match="t_r must be a repetition time above 0"):
            resolve(small_image(2.0), **{name: value})


@pytest.mark.parametrize("name", ["t_r", "masker_t_r"])
def test_argument_in_milliseconds(name):
    """T_r=2000, in the adapter and in the masker."""
    with pytest.raises(ValueError, match=r"t_r=2000: seconds are expected.*milliseconds"):
        resolve(small_image(2.0), **{name: 2000})


def test_argument_of_another_type():
    with pytest.raises(TypeError, match="t_r must be a number of seconds"):
        resolve(small_image(2.0), t_r="2.0")


def test_argument_differs_from_header():
    """Both are named, the argument is used."""
    with pytest.warns(RuntimeWarning, match=r"is 3 s by t_r.*2 s \(the header\)"):
        assert resolve(small_image(2.0), t_r=3.0) == 3.0
    with pytest.warns(RuntimeWarning, match=r"is 3 s by t_r.*1\.5 s \(masker\.t_r\)"):
        assert resolve(small_image(3.0), t_r=3.0, masker_t_r=1.5) == 3.0
    assert silent(resolve, small_image(2.0), t_r=2.01) == 2.01  # within 1 %


# ----------------------------------------------------------------------------------------- sidecar
def test_sidecar_differs_from_header(tmp_path):
    """The sidecar is believed, both are named."""
    path = bids_file(tmp_path)
    write_json(path.with_name(f"{NAME}.json"), RepetitionTime=2.0)
    with pytest.warns(RuntimeWarning, match=r"is 2 s by RepetitionTime.*1 s \(the header\)"):
        assert resolve(small_image(1.0), path=path) == 2.0
    assert silent(resolve, small_image(0.0), path=path) == 2.0


def test_sidecar_without_repetition_time(tmp_path):
    """The sidecar is named, and what it lacks."""
    path = bids_file(tmp_path)
    sidecar = write_json(path.with_name(f"{NAME}.json"), TaskName="rest")
    with pytest.raises(ValueError, match=f"{sidecar.name} has no RepetitionTime"):
        resolve(small_image(0.0), path=path)
    assert silent(resolve, small_image(2.0), path=path) == 2.0


def test_sidecar_in_milliseconds(tmp_path):
    path = bids_file(tmp_path)
    write_json(path.with_name(f"{NAME}.json"), RepetitionTime=2000)
    with pytest.raises(ValueError, match=r"RepetitionTime in .*seconds are expected"):
        resolve(small_image(2.0), path=path)
    with pytest.warns(RuntimeWarning, match=r"RepetitionTime in .*ignored"):
        assert resolve(small_image(2.0), path=path, t_r=2.0) == 2.0


def test_damaged_sidecar_is_named(tmp_path):
    path = bids_file(tmp_path)
    path.with_name(f"{NAME}.json").write_text("{RepetitionTime")
    with pytest.raises(ValueError, match=rf"{NAME}\.json: damaged or not JSON"):
        read_sidecar(path)


def test_inheritance(tmp_path):
    """Nearer files win, more entities win, other runs and other suffixes say nothing."""
    path = bids_file(tmp_path)
    assert read_sidecar(path) == {}
    write_json(tmp_path / "bold.json", RepetitionTime=1.0, EchoTime=0.01, FlipAngle=70)
    write_json(tmp_path / "task-rest_bold.json", RepetitionTime=2.0, EchoTime=0.02)
    write_json(tmp_path / "task-rest_events.json", RepetitionTime=9.0)
    write_json(tmp_path / "task-nback_bold.json", RepetitionTime=8.0)
    write_json(tmp_path / "sub-01" / "sub-01_bold.json", RepetitionTime=3.0)
    write_json(path.with_name("sub-01_ses-a_task-rest_run-2_bold.json"), RepetitionTime=7.0)
    assert read_sidecar(path) == {"RepetitionTime": 3.0, "EchoTime": 0.02, "FlipAngle": 70}
    assert [file.name for file in sidecar_files(path)] == [
        "bold.json",
        "task-rest_bold.json",
        "sub-01_bold.json",
    ]


def test_inheritance_stops_at_the_root(tmp_path):
    write_json(tmp_path / "task-rest_bold.json", RepetitionTime=9.0)
    path = bids_file(tmp_path / "dataset")
    assert read_sidecar(path) == {}


def test_inheritance_without_a_root(tmp_path):
    path = bids_file(tmp_path)
    (tmp_path / "dataset_description.json").unlink()
    write_json(tmp_path / "task-rest_bold.json", RepetitionTime=2.0)
    assert read_sidecar(path) == {"RepetitionTime": 2.0}


def test_sidecar_of_a_file_that_is_not_bids(tmp_path):
    write_json(tmp_path / "scan.json", RepetitionTime=2.0)
    write_json(tmp_path / "bold.json", RepetitionTime=3.0)
    assert read_sidecar(tmp_path / "scan.nii.gz") == {"RepetitionTime": 2.0}
    assert read_sidecar(tmp_path / "other.nii") == {}


def test_names_are_parsed():
    assert parse("a/sub-01_task-rest_space-MNI152NLin2009cAsym_bold.nii.gz") == (
        {"subject": "01", "task": "rest", "space": "MNI152NLin2009cAsym"},
        "bold",
    )
    assert parse("my_scan.nii") == ({}, "scan")


def test_check_before_reading():
    """Found out by the header and the masker, without reading data, without warnings."""
    for given in (make_image(t_r=2.0), make_image(t_r=1.0, unit="unknown")):
        assert silent(open_run, given, masker_t_r=2.5).t_r == 2.5
    assert silent(open_run, make_image(t_r=0.0), t_r=2.0).t_r == 2.0
    with pytest.raises(ValueError, match=r"TR.*t_r="):
        open_run(make_image(t_r=0.0))
    with pytest.raises(ValueError, match="masker.t_r=2000: seconds are expected"):
        open_run(make_image(), masker_t_r=2000)


def test_from_nifti_takes_it_from_the_sidecar(tmp_path):
    """End to end: path, sidecar, sampling rate; the masker's own t_r goes before both."""
    path = save_image(bids_file(tmp_path), t_r=0.0)
    write_json(tmp_path / "task-rest_bold.json", RepetitionTime=2.5)
    assert silent(from_nifti, path, masker=make_masker()).sfreq == 1 / 2.5
    with pytest.warns(RuntimeWarning, match="masker.t_r"):
        assert from_nifti(path, masker=make_masker(t_r=2.0)).sfreq == 0.5
