"""Averages in FIF files, standard errors beside them, times and baselines that differ."""

from __future__ import annotations

import re
import warnings

import mne
import numpy as np
import pandas as pd
import pytest

from brainof_toolbox import BrainOFEmbedder, read_recording
from brainof_toolbox.cli import main
from brainof_toolbox.datasets import make_epochs
from brainof_toolbox.io import from_epochs
from brainof_toolbox.io.records import read_record
from brainof_toolbox.pretraining import build_corpus


@pytest.fixture(scope="module")
def halves():
    """Two conditions of 6 epochs with 8 channels, from -0.2 s to 1 s."""
    epochs = make_epochs(n_epochs=12, n_channels=8, duration=1.2, sfreq=100.0)
    epochs.shift_time(-0.2)
    return epochs[:6], epochs[6:]


@pytest.fixture
def with_errors(halves, tmp_path):
    """The path of two averages, each with its standard error, as MNE-C writes them."""
    path = tmp_path / "a-ave.fif"
    found = [part for half in halves for part in (half.average(), half.standard_error())]
    mne.write_evokeds(path, found, verbose="error")
    return path


def quiet(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_recording(path)


LEFT_OUT = r"a-ave\.fif: 2 of 4 data sets are no averages.*2 of kind 'standard_error'"


def test_standard_errors_are_left_out(halves, with_errors):
    with pytest.warns(RuntimeWarning, match=LEFT_OUT) as said:
        found = read_recording(with_errors)
    assert len(said) == 1
    expected = np.stack([half.average().data for half in halves])
    np.testing.assert_allclose(found.get_data(), expected, atol=1e-10)


def test_averages_alone_are_read_in_silence(halves, tmp_path):
    """Averages of different numbers of epochs are plain data."""
    path = tmp_path / "a-ave.fif"
    mne.write_evokeds(path, [halves[0].average(), halves[1][:2].average()], verbose="error")
    assert len(quiet(path)) == 2


def test_standard_errors_alone_are_an_error(halves, tmp_path):
    path = tmp_path / "a-ave.fif"
    mne.write_evokeds(path, [half.standard_error() for half in halves], verbose="error")
    words = rf"{re.escape(str(path))}: it holds no averages, but 2 of kind 'standard_error'"
    with pytest.raises(ValueError, match=words):
        read_recording(path)


@pytest.mark.parametrize(
    "kind", ["alternating_subaverage", "power_density_spectrum", "dipole_amplitude_cuvre"]
)
def test_other_kinds_are_left_out(halves, tmp_path, kind):
    """What is no signal is no sample."""
    average, other = halves[0].average(), halves[1].average()
    other.kind = kind
    mne.write_evokeds(tmp_path / "a-ave.fif", [average, other], verbose="error")
    with pytest.warns(RuntimeWarning, match=f"1 of 2 data sets .* 1 of kind '{kind}'"):
        found = read_recording(tmp_path / "a-ave.fif")
    np.testing.assert_allclose(found.get_data()[0], average.data, atol=1e-10)


@pytest.mark.parametrize("kind", ["single_epoch", "partial_average"])
def test_signals_of_other_kinds_stay(halves, tmp_path, kind):
    average, other = halves[0].average(), halves[1].average()
    other.kind = kind
    mne.write_evokeds(tmp_path / "a-ave.fif", [average, other], verbose="error")
    assert len(quiet(tmp_path / "a-ave.fif")) == 2


# --------------------------------------------------------------------------- wherever they come


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_standard_errors_are_no_samples_anywhere(halves, with_errors, tmp_path, micro_checkpoint):
    """Estimators, the command line, records and corpora count averages."""
    embedder = BrainOFEmbedder(checkpoint=micro_checkpoint, pooling="mean")
    assert len(embedder.fit_transform([with_errors])) == 2
    out = tmp_path / "out.csv"
    options = ["--checkpoint", str(micro_checkpoint), "--pooling", "mean", "-o", str(out)]
    assert main(["embed", str(with_errors), *options]) == 0
    assert list(pd.read_csv(out)["index"]) == [0, 1]
    assert len(build_corpus(with_errors, tmp_path / "corpus")) == 2
    one = tmp_path / "b-ave.fif"
    mne.write_evokeds(one, [halves[0].average(), halves[0].standard_error()], verbose="error")
    assert len(read_record({"eeg": one})) == 1


def test_standard_errors_are_named_once_per_file(with_errors, tmp_path, capsys, micro_checkpoint):
    options = ["--checkpoint", str(micro_checkpoint), "--pooling", "mean", "--groups", "(.)"]
    assert main(["decode", str(with_errors), *options]) == 1  # both have one label
    text = capsys.readouterr().err
    assert text.count("2 of kind 'standard_error'") == 1 and "nothing to decode" in text


# ------------------------------------------------------------------------ what describes them all


@pytest.mark.parametrize(
    "change",
    [
        lambda evoked: evoked.crop(0.0, None),
        lambda evoked: evoked.crop(None, 0.5),
        lambda evoked: evoked.shift_time(0.1),
    ],
    ids=["start", "end", "shift"],
)
def test_times_that_differ_are_an_error(halves, tmp_path, change):
    """The times of the first would be those of all."""
    found = [halves[0].average(), change(halves[1].average())]
    for evoked, name in zip(found, ("left", "right"), strict=True):
        evoked.comment = name
    mne.write_evokeds(tmp_path / "a-ave.fif", found, verbose="error")
    words = r"a-ave\.fif: its averages 'left' .* 'right' .*differ in their times.*of their own"
    with pytest.raises(ValueError, match=words):
        read_recording(tmp_path / "a-ave.fif")


def test_times_of_standard_errors_do_not_matter(halves, tmp_path):
    found = [halves[0].average(), halves[0].standard_error().crop(0.0, None)]
    mne.write_evokeds(tmp_path / "a-ave.fif", found, verbose="error")
    with pytest.warns(RuntimeWarning, match="standard_error"):
        assert read_recording(tmp_path / "a-ave.fif").tmin == pytest.approx(-0.2)


@pytest.mark.parametrize("second", [None, (-0.2, -0.1)])
def test_baselines_that_differ_are_said(halves, tmp_path, second):
    """They are treated alike, and values stay as they are."""
    found = [half.average().apply_baseline((-0.2, 0.0)) for half in halves[:1]]
    found.append(halves[1].average())
    found[1].apply_baseline(second) if second else None
    mne.write_evokeds(tmp_path / "a-ave.fif", found, verbose="error")
    with pytest.warns(RuntimeWarning, match=r"a-ave\.fif: The averages differ in their baseline"):
        epochs = read_recording(tmp_path / "a-ave.fif")
    assert not from_epochs(epochs).has_baseline
    expected = np.stack([evoked.data for evoked in found])
    np.testing.assert_allclose(epochs.get_data(), expected, atol=1e-10)


def test_one_baseline_is_kept(halves, tmp_path):
    found = [half.average().apply_baseline((-0.2, 0.0)) for half in halves]
    mne.write_evokeds(tmp_path / "a-ave.fif", found, verbose="error")
    assert from_epochs(quiet(tmp_path / "a-ave.fif")).has_baseline
