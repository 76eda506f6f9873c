"""Simulated recordings: seeded, of realistic size, with the effect they claim."""

from __future__ import annotations

import numpy as np
import pytest

from brainof_toolbox.datasets import make_epochs, make_info, make_raw, make_study
from brainof_toolbox.datasets.physics import dipole_gain


@pytest.mark.parametrize("make", [make_raw, make_epochs, make_study])
def test_same_seed_same_recording(make, global_rng_untouched):
    """The seed decides everything; the global random state nothing."""
    small = {"n_channels": 8, "duration": 1.0}
    one, same, other = (make(random_state=s, **small).get_data() for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert make(random_state=np.random.default_rng(3), **small).get_data().shape == one.shape


@pytest.mark.parametrize(
    "ch_type, low, high",
    [("eeg", 4e-6, 4e-5), ("mag", 1e-13, 2e-12), ("grad", 2e-12, 5e-11)],
    ids=["tens of microvolts", "hundreds of femtotesla", "tens of fT/cm"],
)
def test_amplitudes_are_realistic(ch_type, low, high):
    raw = make_raw("eeg+meg", duration=20.0)
    spread = raw.get_data(ch_type).std(axis=1)
    assert low < np.median(spread) < high
    assert low / 10 < spread.min() and spread.max() < high * 10


def test_channels_sit_where_they_should():
    raw = make_raw("eeg+meg", n_channels=19, duration=1.0)
    assert raw.get_channel_types(unique=True) == ["eeg", "mag", "grad"]
    assert len(raw.ch_names) == 19 + 102 and raw.ch_names[:2] == ["Fp1", "Fp2"]
    places = np.array([ch["loc"][:3] for ch in raw.info["chs"]])
    assert np.isfinite(places).all()
    assert places[raw.ch_names.index("Fp1"), 1] > 0.05 > 0 > places[raw.ch_names.index("O1"), 1]
    frames = np.array([ch["loc"][3:].reshape(3, 3) for ch in raw.info["chs"][19:]])
    assert np.allclose(frames @ frames.transpose(0, 2, 1), np.eye(3))
    grad = make_info("meg", n_channels=6)
    assert grad.get_channel_types() == ["mag", "grad", "grad"] * 2


def test_gain_of_both_kinds_equals_that_of_each():
    """EEG and MEG in one recording have the rows that each has alone, in its own order."""
    places = 0.05 * np.eye(3)
    gain = {
        kind: dipole_gain(make_info(kind, n_channels=6), places, np.eye(3))
        for kind in ("eeg", "meg")
    }
    both = make_info("eeg+meg", n_channels=6)
    meg = dipole_gain(make_info("meg"), places, np.eye(3))
    assert gain["eeg"].shape == (6, 4) and gain["meg"].shape == (6, 4)
    assert np.allclose(dipole_gain(both, places, np.eye(3)), np.vstack([gain["eeg"], meg]))


def _band_power(epochs, name, low=8.0, high=14.0):
    spectrum = epochs.compute_psd(fmin=low, fmax=high, verbose="error")
    return spectrum.get_data(picks=[name]).mean(axis=(1, 2))


@pytest.mark.parametrize("name, lower_in", [("C3", "right"), ("C4", "left")])
def test_mu_falls_opposite_to_the_hand(name, lower_in):
    epochs = make_epochs(n_epochs=80, random_state=1)
    power = {label: _band_power(epochs[label], name).mean() for label in ("left", "right")}
    higher = {"left": "right", "right": "left"}[lower_in]
    assert power[lower_in] < 0.7 * power[higher]
    none = make_epochs(n_epochs=80, effect_size=0.0, random_state=1)
    power = {label: _band_power(none[label], name).mean() for label in ("left", "right")}
    assert 0.7 < power["left"] / power["right"] < 1.4


def test_alpha_falls_with_open_eyes_at_the_back_only():
    epochs = make_epochs(effect="alpha", n_epochs=80, random_state=1)
    ratio = {
        name: _band_power(epochs["open"], name).mean() / _band_power(epochs["closed"], name).mean()
        for name in ("O1", "O2", "C3", "C4")
    }
    assert max(ratio["O1"], ratio["O2"]) < 0.5 < 0.7 < min(ratio["C3"], ratio["C4"]), ratio
    none = make_epochs(effect="alpha", effect_size=0.0, n_epochs=80, random_state=1)
    same = make_epochs(effect="mu", effect_size=0.0, n_epochs=80, random_state=1)
    assert np.array_equal(none.get_data(), same.get_data())


def test_evoked_deflection_is_larger_in_targets():
    epochs = make_epochs(effect="evoked", n_epochs=80, duration=1.0, random_state=0)
    peak = np.abs(epochs["target"].average().data - epochs["standard"].average().data)
    assert 0.25 < epochs.times[peak.max(axis=0).argmax()] < 0.35
    assert 3e-6 < peak.max() < 4e-5


def test_hands_cue_the_recording():
    raw = make_raw(task="hands", duration=41.0, random_state=2)
    words = list(raw.annotations.description)
    assert sorted(words) == ["left"] * 5 + ["right"] * 5
    assert np.allclose(raw.annotations.onset, 1 + 4 * np.arange(10))


def test_blinks_are_frontal():
    raw = make_raw(blinks=True, duration=30.0).filter(None, 5.0, verbose="error")
    reach = dict(zip(raw.ch_names, np.ptp(raw.get_data(), axis=1)))
    assert 1e-4 < reach["Fp1"] < 1e-3
    assert reach["Fp1"] > 3 * reach["O1"]


def test_line_noise_can_be_left_out():
    power = {}
    for line_freq in (None, 50.0):
        raw = make_raw("meg", n_channels=12, duration=10.0, line_freq=line_freq)
        power[line_freq] = (
            raw.compute_psd(fmin=49.5, fmax=50.5, verbose="error").get_data("mag").mean()
        )
    assert power[50.0] > 5 * power[None]


def test_study_has_subjects():
    study = make_study(3, n_epochs=6, n_channels=8, duration=1.0)
    assert study.metadata["subject"].tolist() == ["01"] * 6 + ["02"] * 6 + ["03"] * 6
    assert (study.metadata["label"] == "left").sum() == 9
    spread = [study[study.metadata["subject"] == s].get_data().std() for s in ("01", "02")]
    assert abs(np.log(spread[0] / spread[1])) > 0.02
    again = make_study(2, n_epochs=6, n_channels=8, duration=1.0)
    assert np.array_equal(
        study.get_data()[:12], again.get_data()
    )  # more subjects, same first ones


@pytest.mark.parametrize(
    "make, changes, words",
    [
        (make_raw, {"kind": "fnirs"}, "kind"),
        (make_raw, {"n_channels": 65}, "n_channels"),
        (make_raw, {"kind": "meg", "n_channels": 10}, "multiple of 3"),
        (make_raw, {"sfreq": 10.0}, "sfreq"),
        (make_raw, {"duration": 0.0}, "duration"),
        (make_raw, {"task": "feet"}, "task"),
        (make_raw, {"task": "hands", "duration": 5.0}, "at least 9 s"),
        (make_epochs, {"effect": "p600"}, "effect"),
        (make_epochs, {"effect_size": -1}, "effect_size"),
        (make_epochs, {"n_epochs": 1}, "n_epochs"),
        (make_study, {"n_subjects": 0}, "n_subjects"),
    ],
)
def test_nonsense_is_refused(make, changes, words):
    with pytest.raises(ValueError, match=words):
        make(**changes)
