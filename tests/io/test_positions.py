"""Positions that cannot be metres: all of a montage, some of it, sensors and regions."""

from __future__ import annotations

import json
import warnings

import bids
import mne
import nibabel as nib
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder, PairedSignals, Signals, from_raw, from_roi_timeseries
from brainof_toolbox._utils.positions import check_positions
from brainof_toolbox.datasets import make_raw
from brainof_toolbox.estimators import BrainOFModule
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.channels import placeholder_positions
from brainof_toolbox.io.regions import head_to_mni, mni_to_head

FACTORS = [(1e2, "centimetres.*1e-2"), (1e3, "millimetres.*1e-3"), (1e-3, "kilometres.*1e3")]
REGIONS = np.random.default_rng(2).uniform(-0.06, 0.06, (12, 3))


@pytest.fixture(scope="module", params=["eeg", "meg"])
def raw(request):
    return make_raw(request.param, duration=2.0, n_channels=9)


def move(raw, factor, n_channels=None, shift=0.0):
    raw = raw.copy()
    for ch in raw.info["chs"][:n_channels]:
        ch["loc"][:3] = ch["loc"][:3] * factor + shift
    return raw


def refuse(*arguments, match, **options):
    with pytest.raises(ValueError, match=match):
        check_positions(*arguments, **options)


# ---------------------------------------------------------------------------------- sensors
@pytest.mark.parametrize("factor, words", [*FACTORS, (1e6, "micrometres.*1e-6"), (1e-2, r"1e2")])
def test_sensors_in_another_unit(raw, factor, words):
    """The distance, the unit that fits and the factor are named."""
    with pytest.raises(ValueError, match=rf"{raw.ch_names[0]}.* m from the origin.*{words}"):
        from_raw(move(raw, factor))


@pytest.mark.parametrize("factor, words", FACTORS)
def test_some_sensors_in_another_unit(raw, factor, words):
    """Those that are off are named, the others are not."""
    with pytest.raises(ValueError, match=words) as error:
        from_raw(move(raw, factor, n_channels=2))
    named = [name for name in raw.ch_names if repr(name) in str(error.value)]
    assert named == raw.ch_names[:2]


def test_helmet_in_kilometres_below_its_transform():
    """Moved to the head frame, the sensors of a helmet without extent are in the head."""
    raw = make_raw("meg", duration=2.0, n_channels=9)
    for ch in raw.info["chs"]:
        ch["coord_frame"] = mne.io.constants.FIFF.FIFFV_COORD_DEVICE
    trans = np.eye(4)
    trans[2, 3] = 0.04
    with raw.info._unlock():
        raw.info["dev_head_t"] = mne.transforms.Transform("meg", "head", trans)
    from_raw(raw)
    with pytest.raises(ValueError, match="device's frame.*kilometres"):
        from_raw(move(raw, 1e-3))


def test_unit_sphere():
    """Templates without a size get that of a head."""
    pos = placeholder_positions(20) / 0.095
    refuse(
        pos, [*map(str, range(20))], "eeg", match=r"sphere of radius 1: pass positions \* 0.095"
    )


@pytest.mark.filterwarnings("ignore:.*untrained weights")
def test_positions_of_hand_made_signals():
    """Alone, in a list, in a pair and in a record, of sensors and of regions."""
    data, names = np.random.default_rng(0).normal(size=(1, 12, 256)) * 1e-5, [*"abcdefghijkl"]
    eeg = Signals(data, 128.0, "eeg", names, ["eeg"] * 12, placeholder_positions(12) * 1e3)
    bold = Signals(data, 1.0, "fmri", names, ["bold"] * 12, mni_to_head(REGIONS * 1e-3))
    embedder = BrainOFEmbedder(pooling="mean", checkpoint=None)
    for X in (eeg, [eeg], PairedSignals({"eeg": eeg}), [{"eeg": eeg}]):
        with pytest.raises(ValueError, match="EEG electrodes.*'a'.*millimetres"):
            embedder.fit_transform(X)
    for X in (bold, [bold], PairedSignals({"fmri": bold}), [{"fmri": bold}]):
        with pytest.raises(ValueError, match="regions.*'a'.*within.*kilometres"):
            embedder.fit_transform(X)


def test_module_refuses_other_units():
    chs = move(make_raw(duration=2.0, n_channels=9), 1e3).info["chs"]
    with pytest.raises(ValueError, match="millimetres"):
        BrainOFModule(2, chs_info=chs, sfreq=128.0, checkpoint=None)


def test_wrong_unit_of_electrodes_in_bids(tmp_path):
    """Millimetres that coordsystem.json calls metres: file and unit are named."""
    path = bids.write_sensors(bids.describe(tmp_path), "01")
    folder = path.directory
    table = next(folder.glob("*_electrodes.tsv"))
    head, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    for row in rows:
        for column in (head.index(axis) for axis in "xyz"):
            row[column] = str(float(row[column]) * 1e3)
    table.write_text("\n".join("\t".join(row) for row in [head, *rows]) + "\n")
    system = next(folder.glob("*_coordsystem.json"))
    assert json.loads(system.read_text())["EEGCoordinateUnits"] == "m"
    with pytest.raises(ValueError, match=r"electrodes\.tsv.*EEGCoordinateUnits 'm'.*millimetres"):
        read_bids_recording(path)


# ---------------------------------------------------------------------------------- regions
@pytest.mark.parametrize("factor, words", FACTORS)
@pytest.mark.parametrize("n_regions", [2, 12])
def test_regions_in_another_unit(factor, words, n_regions):
    series = np.random.default_rng(0).normal(size=(40, n_regions))
    with pytest.raises(ValueError, match=f"roi_positions.*MNI.*{words}"):
        from_roi_timeseries(series, t_r=2.0, roi_positions=REGIONS[:n_regions] * factor)


def test_one_region_in_another_unit():
    pos = REGIONS.copy()
    pos[3] *= 1e3
    with pytest.raises(ValueError, match=r"1 of 12 regions.*\['row 3'\].*1e-3"):
        from_roi_timeseries(
            np.random.default_rng(0).normal(size=(40, 12)), t_r=2.0, roi_positions=pos
        )


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_affine_of_an_atlas_in_another_unit(factor):
    """Metres or micrometres in the affine, where NIfTI has millimetres."""
    labels = np.zeros((6, 6, 6), dtype=np.int16)
    labels[::2, ::2, ::2] = np.arange(1, 28).reshape(3, 3, 3)
    affine = np.diag([20.0, 20.0, 20.0, 1.0])
    affine[:3, 3] = -50
    affine[:3] *= factor
    with pytest.raises(ValueError, match=r"The atlas.*pass positions"):
        from_roi_timeseries(
            np.random.default_rng(0).normal(size=(40, 27)),
            t_r=2.0,
            labels_img=nib.Nifti1Image(labels, affine),
        )


# ------------------------------------------------------------------------------ no false alarm
@pytest.mark.parametrize(
    "modality, pos",
    {
        "template": ("eeg", placeholder_positions(64)),
        "infant": ("eeg", placeholder_positions(32) * 0.45),
        "large and off centre": ("eeg", placeholder_positions(32) * 1.2 + [0.0, 0.05, 0.06]),
        "one electrode": ("eeg", np.array([[0.0, 0.02, 0.05]])),
        "depth electrode": ("eeg", np.linspace([0.02, 0.0, 0.005], [0.06, 0.0, 0.02], 8)),
        "small grid": ("eeg", [0.05, 0.03, 0.06] + np.eye(4, 3) * 0.004),
        "missing": ("eeg", np.vstack([placeholder_positions(6), np.zeros(3), np.full(3, np.nan)])),
        "helmet": ("meg", placeholder_positions(100) * 1.5 + [0.0, 0.0, 0.04]),
        "one sensor": ("meg", np.array([[0.0, 0.0, 0.2]])),
    }.values(),
    ids=lambda value: "",
)
def test_plausible_sensors(modality, pos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_positions(pos, [str(i) for i in range(len(pos))], modality)


@pytest.mark.parametrize(
    "pos",
    [
        REGIONS,
        [[0.001, 0.002, 0.0]],
        [[-0.003, 0.004, 0.001], [0.003, 0.004, 0.001]],
        np.stack(np.meshgrid(*[np.arange(3) * 0.002 + 0.03] * 3), -1).reshape(-1, 3),
    ],
    ids=["atlas", "one near the origin", "two near the origin", "voxels of 2 mm"],
)
def test_plausible_regions(pos):
    """One place, in MNI space and moved to the head frame."""
    pos = np.array(pos)
    names = [str(i) for i in range(len(pos))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_positions(pos, names, "fmri", space="mni")
        check_positions(mni_to_head(pos), names, "fmri")
    assert np.allclose(head_to_mni(mni_to_head(pos)), pos)


def test_far_electrode_is_named():
    pos = placeholder_positions(8)
    pos[2] = [0.1, 0.1, -0.4]
    with pytest.warns(RuntimeWarning, match=r"\['2'\] are up to 0.42 m"):
        check_positions(pos, [*"01234567"], "eeg")
