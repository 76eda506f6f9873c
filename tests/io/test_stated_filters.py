"""Which high-pass filter the EEG of a recording has had, whatever its other channels had."""

from __future__ import annotations

import warnings

import edf
import mne
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.io import from_epochs, from_raw, read_recording
from brainof_toolbox.io.channels import template_montage
from brainof_toolbox.preprocessing import Preprocessing, preprocess

NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
SFREQ = 100.0
READERS = {"edf": mne.io.read_raw_edf, "bdf": mne.io.read_raw_bdf, "gdf": mne.io.read_raw_gdf}


@pytest.fixture(scope="module")
def signals():
    """20 s of six EEG channels and one of muscles in microvolts, with slow drifts."""
    rng = np.random.default_rng(3)
    data = 20 * rng.standard_normal((7, 2000))
    data[:6] += 150 * np.sin(2 * np.pi * 0.05 * np.arange(2000) / SFREQ + np.arange(6)[:, None])
    return data


@pytest.fixture
def write(tmp_path, signals):
    """Write the recording with the filters of its EEG and of its muscle channel."""

    def write(eeg, emg, ending="edf", name="EMG chin"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.{ending}"
        writer = edf.write_gdf if ending == "gdf" else edf.write_edf
        eeg = [eeg] * 6 if isinstance(eeg, str) else eeg
        return writer(path, signals, [*NAMES, name], SFREQ, prefilter=[*eeg, emg])

    return write


def read(path):
    """Without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_recording(path)


def eeg_of(recording, adapt=from_raw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the muscle channel is left out by its name
        return adapt(recording)


@pytest.mark.parametrize("ending", ["edf", "bdf", "gdf"])
def test_another_channels_filter_is_not_the_eegs(write, ending):
    for emg in ("HP:0.1Hz LP:70Hz", "HP:10Hz LP:70Hz", "LP:70Hz"):
        path = write("HP:0.1Hz LP:70Hz", emg, ending)
        raw = read(path)
        assert raw.info["highpass"] == pytest.approx(0.1, rel=1e-6)
        assert eeg_of(raw).highpass == pytest.approx(0.1, rel=1e-6)
        own = READERS[ending](path, verbose="error")  # whoever reads it
        assert eeg_of(own).highpass == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("HP:0.5Hz", 0.5),
        ("HP:0,5 Hz LP:30Hz", 0.5),
        ("HP: 5.3 s", 0.03003),
        ("HP:0.1s LP:70Hz", 1.59155),
        ("HP:500mHz", 0.5),
        ("HP:1", 1.0),
        ("HP:DC", 0.0),
        ("HP:on", 0.0),
        ("HP:3 Oct", 0.0),
        ("TC:0.3s", 0.0),
        ("", 0.0),
    ],
)
def test_units_of_the_stated_filter(write, text, expected):
    """Numbers are hertz, seconds are a time constant, and what is neither is no filter."""
    assert read(write(text, text)).info["highpass"] == pytest.approx(expected, rel=1e-4)


def test_the_weakest_of_the_data_channels_counts(write):
    stated = ["HP:1Hz"] * 5 + ["HP:0.2Hz"]
    assert read(write(stated, "HP:10Hz")).info["highpass"] == 0.2
    assert read(write(["HP:1Hz"] * 5 + [""], "HP:10Hz")).info["highpass"] == 0.0
    raw = mne.io.read_raw_edf(write(stated, "HP:10Hz"), infer_types=True, verbose="error")
    assert eeg_of(raw.drop_channels("O2")).highpass == 1.0


def test_a_filter_in_memory_is_that_of_all_channels(write):
    """A cut-off that the header states nowhere comes from MNE; one that it states may not."""
    raw = read(write("HP:0.1Hz", "HP:10Hz")).load_data()
    assert eeg_of(raw.copy().filter(1.0, None, verbose="error")).highpass == 1.0
    own = mne.io.read_raw_edf(write("HP:0.1Hz", "HP:10Hz"), infer_types=True, verbose="error")
    own.load_data().filter(1.0, None, verbose="error")
    assert own.info["highpass"] == 10.0 and eeg_of(own).highpass == 0.1


@pytest.mark.filterwarnings("ignore:.*untrained weights")
def test_rows_do_not_depend_on_another_channels_filter(write):
    """Of recordings, and of short epochs without a baseline."""
    rows, short = [], []
    for emg in ("HP:0.1Hz", "HP:10Hz"):
        raw = read(write("HP:0.1Hz", emg))
        embedder = BrainOFEmbedder(None, pooling="mean")
        rows.append(embedder.fit_transform([eeg_of(raw)]))
        epochs = mne.make_fixed_length_epochs(raw, 2.0, preload=True, verbose="error")
        short.append(embedder.fit_transform(eeg_of(epochs, from_epochs)))
    np.testing.assert_array_equal(*rows)
    np.testing.assert_array_equal(*short)


@pytest.mark.parametrize("filtered_first", [True, False])
def test_joined_recordings_are_filtered_throughout(signals, filtered_first):
    """MNE keeps the filter of the first; drifts of the others go all the same."""
    info = mne.create_info(NAMES, SFREQ, "eeg")
    raw = mne.io.RawArray(
        signals[:6] * 1e-6, info.set_montage(template_montage()), verbose="error"
    )
    filtered = raw.copy().filter(1.0, None, verbose="error")
    parts = [filtered, raw.copy()] if filtered_first else [raw.copy(), filtered]
    joined = mne.concatenate_raws(parts, verbose="error")
    windows = preprocess(eeg_of(joined), Preprocessing(clip=1e6), window=20.0)
    assert np.abs(windows.signals.data[:, :, 256:-256].mean(axis=2)).max() < 0.05
    assert windows.signals.data.std(axis=2).max() < 1.3  # 150 uV of drift would be 5


def test_filtered_files_without_filters_by_channel(tmp_path, signals):
    """The filter of a FIF file is that of all its channels."""
    info = mne.create_info(NAMES, SFREQ, "eeg")
    raw = mne.io.RawArray(
        signals[:6] * 1e-6, info.set_montage(template_montage()), verbose="error"
    )
    raw.filter(1.0, None, verbose="error").save(tmp_path / "a_raw.fif", verbose="error")
    assert eeg_of(read_recording(tmp_path / "a_raw.fif")).highpass == 1.0
