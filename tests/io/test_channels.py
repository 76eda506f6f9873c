"""Which channels are brain signal, and where they sit: positions against MNE's own geometry."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest
from mne.io.constants import FIFF

from brainof_toolbox.io.channels import (
    pick_channels,
    placeholder_positions,
    sensor_geometry,
    standardize_ch_name,
    template_montage,
)

TEN_TWENTY = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
OLD_SPELLING = (
    "FP1 fp2 F7 f3 FZ F4. F8.. T3 c3 CZ EEG_C4 T4 T5 P3-REF Pz-LE EEG-P4 T6 O1:M2".split()
)


def make_info(ch_names, ch_types="eeg", montage=None):
    info = mne.create_info(list(ch_names), 200.0, ch_types, verbose="error")
    if montage is not None:
        info.set_montage(montage)
    return info


def make_meg_info(locs, ch_types, coil_types, trans=None, coord_frame=FIFF.FIFFV_COORD_DEVICE):
    info = make_info([f"MEG {i:03d}" for i in range(len(locs))], ch_types)
    for ch, loc, coil_type in zip(info["chs"], locs, coil_types, strict=True):
        ch["loc"] = np.array(loc, dtype=float)
        ch.update(coil_type=coil_type, coord_frame=coord_frame)
    with info._unlock():
        info["dev_head_t"] = None if trans is None else mne.transforms.Transform(1, 4, trans)
    return info


def random_locs(n_channels, seed=0):
    """Places on a helmet with an orthonormal coil frame each, as in ``ch["loc"]``."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((n_channels, 3))
    places *= 0.12 / np.linalg.norm(places, axis=1, keepdims=True)
    frames = np.linalg.qr(rng.standard_normal((n_channels, 3, 3)))[0]
    return np.hstack([places, frames.reshape(n_channels, 9)])


def some_transform():
    trans = np.eye(4)
    turn = np.deg2rad(20.0)
    trans[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    trans[:3, 3] = [0.004, -0.01, 0.045]
    return trans


def everything(info, modality="eeg", missing_positions="raise"):
    return sensor_geometry(info, np.arange(len(info["ch_names"])), modality, missing_positions)


def montage_positions(ch_names):
    """What ``set_montage`` gives: the literal reference for template positions."""
    info = make_info(ch_names, montage=mne.channels.make_standard_montage(template_montage()))
    return np.array([ch["loc"][:3] for ch in info["chs"]])


# ------------------------------------------------------------------------------------ names
@pytest.mark.parametrize(
    "name, expected",
    {
        "EEG Fp1-REF": "Fp1",
        "EEG FP1-LE": "Fp1",
        "Fc5.": "FC5",
        "Iz..": "Iz",
        "FP1": "Fp1",
        "fz": "Fz",
        "AFZ": "AFz",
        "T3": "T7",
        "t4": "T8",
        "T5": "P7",
        "EEG T6-A2": "P8",
        "EEG_Fp1": "Fp1",
        "EEG-Fp1": "Fp1",
        "EEG:Cz": "Cz",
        "POL C3": "C3",
        "C3-M2": "C3",
        "C3:M2": "C3",
        "C3/A2": "C3",
        "O1-A1A2": "O1",
        "Fp1 - Ref": "Fp1",
        "C3 REF": "C3",
        "Fp1-Ref.": "Fp1",
        "Cz-AVG": "Cz",
        "Fp1-0": "Fp1",
        "A1": "A1",
        "M1": "M1",
    }.items(),
)
def test_odd_spellings_are_understood(name, expected):
    """EDF prefixes, references, dots, capitals and the names of 1958."""
    assert standardize_ch_name(name) == expected


@pytest.mark.parametrize(
    "name", ["C3-P3", "Pz-Oz", "C3-CPz", "CH_A", "001", "B5", "E128", "ECoG1", "EEG001", "F"]
)
def test_names_that_are_no_site_stay_as_they_are(name):
    """A bipolar derivation or a number is never taken for the site it begins with."""
    assert standardize_ch_name(name) == name


def test_canonical_names_are_fixed_points():
    names = mne.channels.make_standard_montage(template_montage()).ch_names
    names = [name for name in names if name not in ("T3", "T4", "T5", "T6")]
    assert [standardize_ch_name(name) for name in names] == names
    assert [standardize_ch_name(name.upper()) for name in names] == names


# ---------------------------------------------------------------------------------- picking
IMPOSTORS = (
    "EOG EOG1 VEOG HEOG VEOGL LEOG IEOG EOGX EOGv EOG-L HEOG. ECG EKG1-EKG2 EMG1 EMG-chin Resp "
    "resp1 Status TRIGGER Trig STIM STI014 EXG1 Photic SpO2 Pulse Event Events Annotations A2-A1 "
    "REF GND"
).split() + [
    "STI 014",
    "ECG ECG",
    "EEG ECG",
    "Left EOG",
    "Chin EMG",
    "EEG A2-A1",
    "EDF Annotations",
]


@pytest.mark.parametrize("name", IMPOSTORS)
def test_impostors_are_left_out(name):
    """What is typed EEG (as EDF types everything) but named otherwise, with a warning."""
    info = make_info(["Fp1", name, "Cz"])
    with pytest.warns(RuntimeWarning, match="Left out") as record:
        picks = pick_channels(info)
    assert repr(name) in str(record[0].message)
    assert picks["eeg"].tolist() == [0, 2]


INNOCENT = [
    *(f"E{i}" for i in range(1, 129)),
    *(f"{letter}{i}" for letter in "ABCDEFGH" for i in range(1, 33)),
    *("ECoG1", "ECOG2", "Refz", "M1", "M2", "TP9-REF", "EEG Fp1-Ref", "C3-A2", "C3-M2", "Iz.."),
    *("EEG 001", "EEG REM", "PO3", "POz", "EPz", "Cb1", "PG1", "T1", "X1"),
]


@pytest.mark.parametrize("names", [INNOCENT, OLD_SPELLING], ids=["odd", "old"])
def test_electrodes_are_never_impostors(names):
    """EGI and BioSemi numbers, sites with a reference in their name, ECoG: all stay."""
    info = make_info(dict.fromkeys(names))
    assert len(pick_channels(info)["eeg"]) == len(info["ch_names"])


def test_template_names_are_never_impostors():
    names = mne.channels.make_standard_montage(template_montage()).ch_names
    assert len(pick_channels(make_info(names))["eeg"]) == len(names)


def test_other_types_never_enter():
    """EOG, ECG, EMG, STIM, MISC, RESP and reference channels are not data."""
    kinds = ["eeg", "eog", "ecg", "emg", "stim", "misc", "resp", "ref_meg", "mag", "grad", "seeg"]
    picks = pick_channels(make_info([f"{kind}-x" for kind in kinds], kinds))
    assert {name: idx.tolist() for name, idx in picks.items()} == {"eeg": [0], "meg": [8, 9]}


def test_bad_channels_never_enter():
    """The picks are those of the good channels, in their order."""
    info = make_info(TEN_TWENTY)
    info["bads"] = ["F3", "O2"]
    kept = [info["ch_names"][i] for i in pick_channels(info)["eeg"]]
    assert kept == [name for name in TEN_TWENTY if name not in ("F3", "O2")]


@pytest.mark.parametrize("kind, word", [("eeg", "all 19 EEG channels"), ("mag", "all 19 MEG")])
def test_all_bad(kind, word):
    """Every channel marked bad."""
    info = make_info(TEN_TWENTY, kind)
    info["bads"] = list(TEN_TWENTY)
    with pytest.raises(ValueError, match=rf"{word}.* marked bad \(info\['bads'\]\)"):
        pick_channels(info)


def test_no_supported_channel():
    """What was found, what is accepted."""
    info = make_info(["a", "b", "c"], ["misc", "stim", "eog"])
    with pytest.raises(ValueError, match=r"'eog', 'misc', 'stim'.*'eeg', 'mag' and 'grad'"):
        pick_channels(info)


# --------------------------------------------------------------------------- electrode places
def test_measured_positions_are_taken_as_they_are():
    info = make_info(TEN_TWENTY, montage=mne.channels.make_standard_montage(template_montage()))
    rng = np.random.default_rng(0)
    for ch in info["chs"]:
        ch["loc"][:3] += rng.normal(0, 0.003, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pos, ori = everything(info)
    assert np.array_equal(pos, [ch["loc"][:3] for ch in info["chs"]])
    assert not ori.any()


@pytest.mark.parametrize("names", [TEN_TWENTY, OLD_SPELLING], ids=["canonical", "old"])
def test_template_equals_set_montage(names):
    """Without a montage a name gives the position that ``set_montage`` gives."""
    with pytest.warns(RuntimeWarning, match=r"placed by name.*set_montage") as record:
        pos, _ = everything(make_info(names))
    expected = montage_positions([standardize_ch_name(name) for name in names])
    np.testing.assert_allclose(pos, expected, atol=1e-12)
    assert repr(names[0]) in str(record[0].message)


def test_unknown_names():
    """The error names the channels and the ways out."""
    info = make_info(["Fp1", "CH_A", "CH_B"])
    with (
        pytest.warns(RuntimeWarning, match="Fp1"),
        pytest.raises(ValueError, match="'CH_A', 'CH_B'") as error,
    ):
        everything(info)
    assert "Fp1" not in str(error.value)
    for word in (
        "2 channels",
        "set_montage()",
        "missing_positions='placeholder'",
        "set_channel_types()",
    ):
        assert word in str(error.value)


def test_two_positions_missing():
    """Exactly these two are named; the other 17 keep theirs."""
    info = make_info(TEN_TWENTY, montage=mne.channels.make_standard_montage(template_montage()))
    for ch in info["chs"]:
        ch["loc"][:3] += 0.002
    for i in (3, 11):
        info["chs"][i]["loc"][:3] = np.nan
    with pytest.warns(RuntimeWarning, match="placed by name") as record:
        pos, _ = everything(info)
    named = [name for name in TEN_TWENTY if repr(name) in str(record[0].message)]
    assert named == [TEN_TWENTY[3], TEN_TWENTY[11]]
    expected = montage_positions(TEN_TWENTY) + 0.002
    expected[[3, 11]] -= 0.002
    np.testing.assert_allclose(pos, expected, atol=1e-12)


def test_one_position():
    """Both channels are named, and only they."""
    info = make_info(TEN_TWENTY, montage=mne.channels.make_standard_montage(template_montage()))
    info["chs"][4]["loc"][:3] = info["chs"][7]["loc"][:3]
    with pytest.warns(RuntimeWarning, match=r"share one position: \[\['Fz', 'T7'\]\]"):
        everything(info)


@pytest.mark.parametrize("names", [TEN_TWENTY, ["CH_A", "CH_B"]], ids=["sites", "unknown"])
def test_all_positions_zero(names):
    """Zeros were written by somebody, so nothing is guessed."""
    info = make_info(names)
    for ch in info["chs"]:
        ch["loc"][:] = 0.0
    with pytest.raises(ValueError, match=r"without a position.*set_montage"):
        everything(info)


@pytest.mark.parametrize(
    "names",
    [
        [f"{letter}{i}" for letter in "AB" for i in range(1, 33)],
        [f"A{i}" for i in range(1, 17)],
        [f"{letter}{i}" for letter in "ABCDEFGH" for i in range(1, 33)],
        [f"E{i}" for i in range(1, 129)],
    ],
    ids=["BioSemi 64", "BioSemi 16", "BioSemi 256", "EGI 128"],
)
def test_sockets_are_no_sites(names):
    """BioSemi's "A1" is no earlobe, its "F3" not frontal: an error, or places by order."""
    info = make_info(names)
    with pytest.raises(
        ValueError, match=rf"{len(names)} channels without a position.*'{names[0]}'"
    ):
        everything(info)
    with pytest.warns(RuntimeWarning, match="placed by order"):
        pos, _ = everything(info, missing_positions="placeholder")
    assert np.array_equal(pos, placeholder_positions(len(names)))


def test_earlobes_beside_sites_are_earlobes():
    names = [*TEN_TWENTY, "A1", "A2"]
    with pytest.warns(RuntimeWarning, match="placed by name"):
        pos, _ = everything(make_info(names))
    np.testing.assert_allclose(pos, montage_positions(names), atol=1e-12)


@pytest.mark.parametrize("n_channels", [1, 2, 19, 320])
def test_placeholders_are_distinct_and_on_the_head(n_channels):
    """Any number of channels; always the same places; none inside another."""
    pos = placeholder_positions(n_channels)
    assert np.array_equal(pos, placeholder_positions(n_channels))
    np.testing.assert_allclose(np.linalg.norm(pos, axis=1), 0.095, rtol=1e-6)
    gaps = np.linalg.norm(pos[:, None] - pos[None], axis=2)[np.triu_indices(n_channels, 1)]
    assert n_channels == 1 or gaps.min() > 0.1 / n_channels**0.5


def test_index_fills_only_what_is_missing():
    info = make_info(["Fp1", "CH_A", "Cz"])
    with pytest.warns(RuntimeWarning) as record:
        pos, _ = everything(info, missing_positions="placeholder")
    assert "'CH_A'" in str(record[-1].message) and "'Cz'" not in str(record[-1].message)
    assert np.array_equal(pos[1], placeholder_positions(3)[1])
    np.testing.assert_allclose(pos[[0, 2]], montage_positions(["Fp1", "Cz"]), atol=1e-12)


def test_on_missing_is_checked():
    info = make_info(TEN_TWENTY, montage=mne.channels.make_standard_montage(template_montage()))
    with pytest.raises(
        ValueError, match="'missing_positions'.*'raise' or 'placeholder', got 'ignore'"
    ):
        everything(info, missing_positions="ignore")


# --------------------------------------------------------------------------------- MEG sensors
def test_device_to_head_by_hand():
    """Positions turn and move, orientations only turn: x' = R x + t, written out."""
    locs, trans = random_locs(6), some_transform()
    info = make_meg_info(locs, "mag", [FIFF.FIFFV_COIL_VV_MAG_T3] * 6, trans)
    pos, ori = everything(info, "meg")
    for i in range(6):
        for axis in range(3):
            row = trans[axis, :3]
            assert pos[i, axis] == pytest.approx(row @ locs[i, :3] + trans[axis, 3], abs=1e-12)
            assert ori[i, axis] == pytest.approx(row @ locs[i, 9:12], abs=1e-12)


def test_head_frame_is_not_transformed_twice():
    """FieldTrip imports are in the head frame already, with a device transform beside."""
    locs = random_locs(6)
    coils = [FIFF.FIFFV_COIL_VV_MAG_T3] * 6
    info = make_meg_info(locs, "mag", coils, some_transform(), FIFF.FIFFV_COORD_HEAD)
    pos, ori = everything(info, "meg")
    assert np.array_equal(pos, locs[:, :3]) and np.array_equal(ori, locs[:, 9:12])
    info["chs"][2]["coord_frame"] = FIFF.FIFFV_COORD_DEVICE
    mixed, _ = everything(info, "meg")
    np.testing.assert_array_equal(np.any(mixed != pos, axis=1), np.arange(6) == 2)


@pytest.mark.parametrize("trans", [None, np.eye(4)], ids=["none", "identity"])
def test_missing_device_transform_is_said(trans):
    """MNE's KIT reader puts the identity when there are no marker coils."""
    locs = random_locs(4)
    info = make_meg_info(locs, "mag", [FIFF.FIFFV_COIL_KIT_GRAD] * 4, trans)
    with pytest.warns(RuntimeWarning, match=r"info\['dev_head_t'\] is missing"):
        pos, _ = everything(info, "meg")
    assert np.array_equal(pos, locs[:, :3])


@pytest.mark.parametrize("trans", [None, some_transform()], ids=["no transform", "transform"])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_meg_without_positions(value, trans):
    """The transform must not turn "nowhere" into a place in the helmet."""
    locs = random_locs(4)
    locs[1:3] = value
    info = make_meg_info(locs, "mag", [FIFF.FIFFV_COIL_VV_MAG_T3] * 4, trans)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "MEG sensors are in device")
        with pytest.raises(
            ValueError, match=r"2 channels without a position.*'MEG 001', 'MEG 002'"
        ):
            everything(info, "meg")
        with pytest.warns(RuntimeWarning, match="'MEG 001', 'MEG 002'"):
            pos, ori = everything(info, "meg", "placeholder")
    assert np.array_equal(pos[1:3], placeholder_positions(4)[1:3])
    assert np.isfinite(ori).all() and not ori[1:3].any()


def test_triplet_sensors_differ():
    """Neuromag-306: three sensors at one place; d/dx, d/dy and the normal tell them apart."""
    loc = np.repeat(random_locs(1), 3, axis=0)
    x, y, z = loc[0, 3:6].copy(), loc[0, 6:9].copy(), loc[0, 9:12].copy()
    loc[1, 3:9] = [*y, *-x]  # the second gradiometer is the first, turned by 90 degrees
    coils = [FIFF.FIFFV_COIL_VV_PLANAR_T1, FIFF.FIFFV_COIL_VV_PLANAR_T1, FIFF.FIFFV_COIL_VV_MAG_T3]
    info = make_meg_info(loc, ["grad", "grad", "mag"], coils, np.eye(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # sharing a place is no mistake here
        pos, ori = everything(info, "meg")
    assert np.ptp(pos, axis=0).max() == 0
    np.testing.assert_allclose(ori, [x, y, z])
    np.testing.assert_allclose(ori @ ori.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "ch_type, coil_type, axis",
    [
        ("grad", FIFF.FIFFV_COIL_NM_122, slice(3, 6)),
        ("grad", FIFF.FIFFV_COIL_VV_PLANAR_T3, slice(3, 6)),
        ("grad", 3012, slice(3, 6)),
        ("mag", FIFF.FIFFV_COIL_CTF_GRAD, slice(9, 12)),
        ("mag", FIFF.FIFFV_COIL_KIT_GRAD, slice(9, 12)),
        ("mag", FIFF.FIFFV_COIL_MAGNES_GRAD, slice(9, 12)),
        ("grad", FIFF.FIFFV_COIL_AXIAL_GRAD_5CM, slice(9, 12)),
        ("mag", FIFF.FIFFV_COIL_POINT_MAGNETOMETER, slice(9, 12)),
        ("mag", 3024, slice(9, 12)),
    ],
    ids=lambda value: str(value) if isinstance(value, str | int) else "axis",
)
def test_orientation_by_coil(ch_type, coil_type, axis):
    """Planar coils point along their derivative, all others (axial gradiometers too) outwards."""
    locs = random_locs(3)
    info = make_meg_info(locs, ch_type, [coil_type] * 3, some_transform())
    _, ori = everything(info, "meg")
    np.testing.assert_allclose(ori, locs[:, axis] @ some_transform()[:3, :3].T, atol=1e-12)


def test_geometry_does_not_change_info():
    """Any input: not changed by fit/transform (data, info, annotations)."""
    info = make_meg_info(random_locs(4), "mag", [FIFF.FIFFV_COIL_VV_MAG_T3] * 4, some_transform())
    before = [ch["loc"].copy() for ch in info["chs"]]
    everything(info, "meg")
    bare = make_info(TEN_TWENTY)
    with pytest.warns(RuntimeWarning):
        everything(bare)
    assert all(np.array_equal(ch["loc"], loc) for ch, loc in zip(info["chs"], before, strict=True))
    assert all(np.isnan(ch["loc"]).all() for ch in bare["chs"])


def test_channel_order_only_reorders():
    """Any order of channels gives the same places by name."""
    info = make_info(TEN_TWENTY, montage=mne.channels.make_standard_montage(template_montage()))
    order = np.random.default_rng(1).permutation(len(TEN_TWENTY))
    pos, _ = sensor_geometry(info, np.arange(len(order)), "eeg")
    shuffled, _ = sensor_geometry(info, order, "eeg")
    assert np.array_equal(shuffled, pos[order])
