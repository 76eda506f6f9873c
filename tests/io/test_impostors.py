"""Triggers and other signals that are typed EEG or MEG: by name left out, by contents refused."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder, from_array, from_epochs, from_raw
from brainof_toolbox.io.impostors import without_impostors

OTHERS = (
    "DC01 DC16 DTRIG Stimulus StimTrak MKR+ Mark1 TTL TTL1 Digital DIG1 Photosensor Photodiode "
    "BUTTON Button1 RESPONSE Trigger TRIG1 Sync Audio Mic AccX ACC_Y accel_channel_0 GYRO GyroX "
    "Temp Battery Counter Timestamp Sample GSR Belt Plet HR stim1 AUX1 KeyPress SaO2 Airflow"
).split() + ["DIG DTRIG", "Accel X", "Ext Trigger", "DC 01", "Sample Index", "Heart Rate"]
ELECTRODES = (
    "DC DC1 DC2 DC10 ACC1 RACC3 HR1 TEMP1 LAH1 MCC1 Sp1 SO1 Cz-Ref ch0 ch12 E256 A1 B32 mic1 "
    "T1 PG1 1 001 Grid1 SMA2 TIM1"
).split() + ["EEG 001", "EEG F3-CLE", "POL LA1", "POL $A1"]


# ----------------------------------------------------------------------------------- names
@pytest.mark.parametrize("prefix", ["", "EEG ", "POL "])
@pytest.mark.parametrize("change", [str, str.upper, str.lower], ids=["as is", "upper", "lower"])
def test_names_of_other_signals(prefix, change):
    for name in OTHERS:
        name = prefix + change(name)
        with pytest.warns(RuntimeWarning, match="Left out"):
            assert without_impostors(["Cz", name], "eeg") == ["Cz"], name


def test_names_of_electrodes_stay():
    assert without_impostors(ELECTRODES, "eeg") == ELECTRODES


def test_names_of_triggers_typed_meg():
    sensors = ["MEG 0111", "MLC11-1609", "A1", "L101_bz", "Magnetometer 1", "s72"]
    with pytest.warns(RuntimeWarning, match=r"\['STI 014', 'Trigger'\]: typed MEG"):
        assert without_impostors([*sensors, "STI 014", "Trigger"], "meg") == sensors


@pytest.mark.filterwarnings("ignore:.*placed by")
def test_trigger_by_name_does_not_enter():
    """Whether positions are measured or not."""
    info = mne.create_info(["Cz", "C3", "DC01"], 128.0, "eeg")
    data = np.random.default_rng(0).normal(size=(3, 3, 128)) * 1e-5
    with pytest.warns(RuntimeWarning, match=r"Left out \['DC01'\]"):
        assert from_array(data, info, missing_positions="placeholder").ch_names == ("Cz", "C3")
    for i, ch in enumerate(info["chs"]):
        ch["loc"][:3] = [0.02 * i, 0.03, 0.08]
    with pytest.warns(RuntimeWarning, match=r"Left out \['DC01'\]"):
        assert from_array(data, info).ch_names == ("Cz", "C3")


# -------------------------------------------------------------------------------- contents
def pulses(rng, n_times, height):
    x = np.zeros(n_times)
    for start in range(20, n_times - 10, 50):
        x[start : start + 5] = height * rng.integers(1, 4)
    return x


def recording(extra, *, ch_type="eeg", scale=1e-5, n_times=2000, seed=0):
    """Seven channels of noise beside what ``extra(rng, n_times)`` gives."""
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(8, n_times)) * scale
    data = (data + np.roll(data, 1, axis=1) + np.roll(data, 2, axis=1)) / 2
    data[7] = extra(rng, n_times)
    info = mne.create_info([f"ch{i + 1}" for i in range(8)], 200.0, ch_type)
    for i, ch in enumerate(info["chs"]):
        ch["loc"][:3] = [0.01 * i, 0.05, 0.08]
        ch["loc"][3:12] = np.eye(3).ravel()
        ch["coord_frame"] = mne.io.constants.FIFF.FIFFV_COORD_HEAD
    return mne.io.RawArray(data, info, verbose="error")


TRIGGERS = {
    "pulses": lambda rng, n: pulses(rng, n, 1.0),
    "small pulses": lambda rng, n: pulses(rng, n, 1e-5),
    "single points": lambda rng, n: (np.arange(n) % 40 == 7) * rng.integers(1, 9, n) * 1e-6,
    "levels": lambda rng, n: np.repeat(rng.integers(0, 2, n // 100), 100) * 5e-5,
    "inverted": lambda rng, n: 255e-6 - pulses(rng, n, 1e-6),
    "counter": lambda rng, n: np.arange(n) * 1e-6,
    "counter that wraps": lambda rng, n: (np.arange(n) % 256) * 1e-6,
    "pulses on noise": lambda rng, n: pulses(rng, n, 1e-4) + rng.normal(size=n) * 1e-7,
}


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_trigger_by_contents_is_refused(trigger):
    """Whatever its name, in recordings, epochs, arrays and Signals; alone or in few epochs."""
    raw = recording(trigger)
    with pytest.raises(ValueError, match=r"'ch8'.*'stim'.*set_channel_types.*info\['bads'\]"):
        from_raw(raw)
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="error")
    with pytest.raises(ValueError, match="'ch8'"):
        from_epochs(epochs)
    raw.info["bads"] = ["ch8"]
    assert len(from_raw(raw).ch_names) == 7


@pytest.mark.parametrize("ch_type, scale", [("mag", 1e-13), ("grad", 1e-12)])
def test_trigger_typed_meg(ch_type, scale):
    raw = recording(lambda rng, n: pulses(rng, n, scale), ch_type=ch_type, scale=scale)
    with pytest.raises(ValueError, match=f"typed {ch_type}.*'ch8'"):
        from_raw(raw)


def test_code_held_through_each_epoch():
    data = recording(lambda rng, n: np.zeros(n)).get_data().reshape(8, 20, 100).swapaxes(0, 1)
    data[:, 7] = (np.arange(20) % 2)[:, None] * 1e-5
    with pytest.raises(ValueError, match="'ch8' has 2 levels"):
        from_array(data, recording(lambda rng, n: 0).info)


@pytest.mark.filterwarnings("ignore:.*untrained weights")
def test_trigger_in_a_list_of_single_epochs():
    raw = recording(TRIGGERS["pulses"])
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="error")
    embedder = BrainOFEmbedder(pooling="mean", checkpoint=None)
    with pytest.raises(ValueError, match=r"X\[0\].*'ch8'"):
        embedder.fit_transform([epochs[i] for i in range(3)])


# ------------------------------------------------------------------------------ no false alarm
def eeg(rng, n):
    return rng.normal(size=n) * 1e-5


PLAIN = {
    "few bits": lambda rng, n: np.round(eeg(rng, n) / 5e-6) * 5e-6,
    "few bits, slow": lambda rng, n: np.round(np.cumsum(eeg(rng, n)) / 4e-5) * 4e-6,
    "clipped": lambda rng, n: np.clip(np.cumsum(eeg(rng, n)), -3e-5, 3e-5),
    "clipped hard": lambda rng, n: np.clip(eeg(rng, n) * 50, -1e-5, 1e-5),
    "mostly flat": lambda rng, n: np.where(np.arange(n) < 0.95 * n, 0, eeg(rng, n)),
    "pops": lambda rng, n: eeg(rng, n) + 1e-3 * (np.arange(n) // 300 % 2),
    "quiet": lambda rng, n: eeg(rng, n) * 0.03,
    "spikes": lambda rng, n: eeg(rng, n) + pulses(rng, n, 3e-4),
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN)
def test_poor_electrodes_are_no_triggers(plain):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(from_raw(recording(plain)).ch_names) == 8


def test_low_resolution_of_all_channels():
    raw = recording(eeg, n_times=4000)
    raw._data = np.round(np.cumsum(raw._data, axis=1) / 2e-4) * 2e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_raw(raw)


def test_flat_channel_is_no_trigger():
    with pytest.warns(RuntimeWarning, match=r"\['ch8'\] is constant"):
        from_raw(recording(lambda rng, n: np.full(n, 1e-5)))
