"""A recording of a BIDS dataset with its sidecars: bad channels, positions, annotations."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import bids
import mne
import numpy as np
import pytest

from brainof_toolbox import from_raw, read_bids
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.regions import head_to_mni


@pytest.fixture
def eeg(tmp_path):
    """One EEG recording with positions and one bad channel; its BIDSPath, and what was written."""
    raw = bids.make_raw("eeg")
    raw.info["bads"] = ["C3"]
    return bids.write_sensors(bids.describe(tmp_path / "set"), "01", raw=raw), raw


def positions(raw):
    return np.array([ch["loc"][:3] for ch in raw.info["chs"]])


def sidecar(path, ending):
    return next(Path(path.root).rglob(f"*{ending}"))


def change_json(path, ending, **changes):
    file = sidecar(path, ending)
    says = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in says.items() if v is not None}))


def quiet(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_bids_recording(path)


@pytest.mark.parametrize("kind", ["eeg", "meg"])
def test_recording_comes_back(tmp_path, kind):
    written = bids.make_raw(kind)
    written.info["bads"] = [written.ch_names[2]]
    path = bids.write_sensors(bids.describe(tmp_path / "set"), "01", kind=kind, raw=written)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning, module="mne")
        raw = read_bids_recording(path)
    assert raw.preload is False and raw.info["bads"] == written.info["bads"]
    assert raw.ch_names == written.ch_names
    assert raw.get_channel_types() == written.get_channel_types()
    np.testing.assert_allclose(positions(raw), positions(written), atol=1e-3)
    assert list(raw.annotations.description) == list(written.annotations.description)
    np.testing.assert_allclose(raw.annotations.onset, written.annotations.onset, atol=0.011)
    np.testing.assert_allclose(raw.get_data(), written.get_data(), rtol=1e-3, atol=1e-8)
    assert from_raw(raw).subject == ("01",)


def test_nothing_is_said_about_a_complete_recording(eeg):
    quiet(eeg[0])


def test_missing_json_sidecar_is_said(eeg):
    """BIDS: eeg.json sidecar missing."""
    sidecar(eeg[0], "_eeg.json").unlink()
    with pytest.warns(RuntimeWarning, match=r"_eeg\.vhdr has no eeg\.json"):
        raw = read_bids_recording(eeg[0])
    assert raw.info["sfreq"] == 100.0 and raw.info["bads"] == ["C3"]


def test_missing_channels_table_is_said(eeg):
    """BIDS: channels.tsv missing: works with a warning."""
    sidecar(eeg[0], "_channels.tsv").unlink()
    with pytest.warns(RuntimeWarning, match=r"_eeg\.vhdr has no channels\.tsv") as caught:
        raw = read_bids_recording(eeg[0])
    assert len(caught) == 1 and raw.info["bads"] == []
    assert np.isfinite(from_raw(raw).data).all()


def test_recording_without_events_or_participants_is_quiet(eeg):
    sidecar(eeg[0], "_events.tsv").unlink()
    sidecar(eeg[0], "participants.tsv").unlink()
    quiet(eeg[0])


@pytest.mark.parametrize("part", ["_eeg.vhdr", "_channels.tsv", "_coordsystem.json"])
def test_damage_names_the_file(eeg, part):
    file = sidecar(eeg[0], part)
    text = "nonsense" if part != "_channels.tsv" else file.read_text().replace("Cz", "Xy")
    file.write_text(text)
    with pytest.raises(ValueError, match=r"Cannot read .*sub-01_task-hands_eeg\.vhdr"):
        read_bids_recording(eeg[0])


def test_order_of_channels_table_is_free(eeg):
    path, written = eeg
    file = sidecar(path, "_channels.tsv")
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *rows[::-1]]) + "\n")
    raw = quiet(path)
    assert raw.ch_names == written.ch_names[::-1] and raw.info["bads"] == ["C3"]
    np.testing.assert_allclose(raw.get_data(["Cz"]), written.get_data(["Cz"]), atol=1e-7)


# --------------------------------------------------------------------------------------- positions
def turned(kind, pos):
    """Positions of the head frame in another coordinate system, in metres."""
    if kind in ("EEGLAB", "CTF"):  # x front, y left
        return np.column_stack([pos[:, 1], -pos[:, 0], pos[:, 2]])
    if kind in ("MNI152NLin2009bAsym", "fsaverage"):
        return head_to_mni(pos)
    if kind == "Other":  # turned about an oblique axis, and moved
        turn = mne.transforms.rotation(0.3, -0.2, 1.0)[:3, :3]
        return pos @ turn.T + [0.01, 0.02, -0.03]
    return pos


def rewrite(path, raw, system, unit, landmarks):
    """Rewrite electrodes.tsv and coordsystem.json in another coordinate system."""
    scale = {"m": 1.0, "cm": 1e2, "mm": 1e3}[unit]
    pos = turned(system, positions(raw)) * scale
    columns = {"name": raw.ch_names, "x": pos[:, 0], "y": pos[:, 1], "z": pos[:, 2]}
    bids.write_table(sidecar(path, "_electrodes.tsv"), columns)
    fiducials = raw.get_montage().get_positions()
    points = np.array([fiducials[name] for name in ("nasion", "lpa", "rpa")])
    points = (turned(system, points) * scale).tolist()
    change_json(
        path,
        "_coordsystem.json",
        EEGCoordinateSystem=system,
        EEGCoordinateUnits=unit,
        AnatomicalLandmarkCoordinates=(
            dict(zip(("NAS", "LPA", "RPA"), points, strict=True)) if landmarks else None
        ),
        AnatomicalLandmarkCoordinateSystem=system if landmarks else None,
        AnatomicalLandmarkCoordinateUnits=unit if landmarks else None,
    )


@pytest.mark.parametrize(
    "system, unit, landmarks",
    [
        ("CapTrak", "m", True),
        ("CapTrak", "mm", False),
        ("EEGLAB", "mm", True),
        ("EEGLAB", "mm", False),
        ("CTF", "cm", True),
        ("CTF", "cm", False),
        ("MNI152NLin2009bAsym", "mm", False),
        ("fsaverage", "m", True),
        ("Other", "m", True),
    ],
)
def test_positions_are_in_the_head_frame(eeg, system, unit, landmarks):
    """Whatever system electrodes.tsv is in, within 1 mm, and nothing is said about it."""
    path, written = eeg
    rewrite(path, written, system, unit, landmarks)
    raw = quiet(path)
    np.testing.assert_allclose(positions(raw), positions(written), atol=1e-3)
    np.testing.assert_allclose(from_raw(raw).ch_pos[0], positions(written)[0], atol=1e-3)


def test_positions_in_an_unknown_frame_are_not_used(eeg):
    path, written = eeg
    rewrite(path, written, "Other", "m", landmarks=False)
    with pytest.warns(RuntimeWarning, match="'Other'.*NAS, LPA and RPA"):
        raw = read_bids_recording(path)
    assert np.isnan(positions(raw)).all()
    with pytest.warns(RuntimeWarning, match="standard 10-05"):
        assert np.isfinite(from_raw(raw).ch_pos).all()


def test_channels_without_position_stay_without(eeg):
    path, written = eeg
    file = sidecar(path, "_electrodes.tsv")
    lines = file.read_text().splitlines()
    name = lines[2].split("\t")[0]
    lines[2] = "\t".join([name, "n/a", "n/a", "n/a", *lines[2].split("\t")[4:]])
    file.write_text("\n".join(lines) + "\n")
    with pytest.warns(RuntimeWarning, match=name):
        raw = read_bids_recording(path)
    is_there = np.isfinite(positions(raw)).all(axis=1)
    assert [raw.ch_names[i] for i in np.flatnonzero(~is_there)] == [name]


def test_records_are_read_with_their_sidecars(eeg):
    """The BIDSPath of a record leads to the same recording."""
    records = read_bids(eeg[0].root)
    raw = read_bids_recording(records[0]["eeg"])
    assert raw.info["bads"] == ["C3"]


def test_split_recording_is_read_from_its_first_file(tmp_path):
    root = bids.describe(tmp_path / "set")
    path = bids.write_sensors(root, "01", kind="meg")
    raw = read_bids_recording(path)
    for number in (1, 2):
        piece = path.directory / f"sub-01_task-hands_split-0{number}_meg.fif"
        raw.copy().crop(6.0 * (number - 1), 6.0 * number - 0.01).save(piece, verbose="error")
    path.fpath.unlink()
    (record,) = read_bids(root)
    # Both files are whole recordings, and the first does not lead to the second.
    with pytest.warns(RuntimeWarning, match=r"does not refer to sub-01_task-hands_split-02_meg"):
        first = read_bids_recording(record["meg"])
    assert record["meg"].split == "01" and first.times[-1] == pytest.approx(5.99)
    assert first.info["bads"] == raw.info["bads"] and len(first.annotations) > 0
