"""Which sidecars of a BIDS dataset apply to a recording, and what is taken from them."""

from __future__ import annotations

import json

import mne
import numpy as np
import pandas as pd
import pytest
from bids import describe, make_image, make_masker, make_raw, touch, write_image, write_sensors

from brainof_toolbox import epochs_from_bids, from_nifti, read_bids
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.sidecars import nearest_sidecar, paired_by_space, sidecar_files

RECORDING = "sub-01/ses-1/eeg/sub-01_ses-1_task-a_run-2_eeg.vhdr"


@pytest.mark.parametrize(
    ("sidecar", "applies"),
    [
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_run-2_events.tsv", True),
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_events.tsv", True),
        ("sub-01/ses-1/sub-01_ses-1_task-a_events.tsv", True),
        ("sub-01/sub-01_task-a_events.tsv", True),
        ("task-a_events.tsv", True),
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_run-02_events.tsv", True),  # a number
        ("sub-01/ses-1/eeg/sub-01_ses-01_task-a_run-2_events.tsv", False),  # a label
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_acq-x_run-2_events.tsv", False),
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_run-1_events.tsv", False),
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-b_run-2_events.tsv", False),
        ("sub-01/ses-1/eeg/sub-01_ses-1_task-a_space-x_events.tsv", False),
        ("sub-01/ses-2/eeg/sub-01_ses-2_task-a_run-2_events.tsv", False),
        ("sub-02/ses-1/eeg/sub-02_ses-1_task-a_run-2_events.tsv", False),
        ("sub-01/ses-1/meg/sub-01_ses-1_task-a_run-2_events.tsv", False),
    ],
)
def test_a_sidecar_applies_if_the_recording_has_all_its_entities(tmp_path, sidecar, applies):
    touch(tmp_path, RECORDING, sidecar)
    found = nearest_sidecar(tmp_path / RECORDING, "events")
    assert (found == tmp_path / sidecar) if applies else found is None
    assert (tmp_path / sidecar in sidecar_files(tmp_path / RECORDING, "events", ".tsv")) == applies


def test_the_nearest_sidecar_wins_then_the_most_specific(tmp_path):
    top, near = "task-a_run-2_channels.tsv", "sub-01/ses-1/eeg/sub-01_ses-1_channels.tsv"
    closer = "sub-01/ses-1/eeg/sub-01_ses-1_task-a_channels.tsv"
    touch(tmp_path, RECORDING, top)
    for name in (near, closer):
        (tmp_path / name).touch()
        assert nearest_sidecar(tmp_path / RECORDING, "channels") == tmp_path / name
    files = sidecar_files(tmp_path / RECORDING, "channels", ".tsv")
    assert files == [tmp_path / name for name in (top, near, closer)]


def test_two_sidecars_that_fit_equally_well_are_an_error(tmp_path):
    folder = "sub-01/ses-1/eeg/sub-01_ses-1"
    touch(tmp_path, RECORDING, f"{folder}_task-a_events.tsv", f"{folder}_run-2_events.tsv")
    with pytest.raises(ValueError, match=r"_run-2_events\.tsv and .*_task-a_events\.tsv"):
        nearest_sidecar(tmp_path / RECORDING, "events")


def test_a_split_recording_has_the_sidecars_of_the_whole(tmp_path):
    part = "sub-01/meg/sub-01_task-a_split-01_meg.fif"
    touch(tmp_path, part, "sub-01/meg/sub-01_task-a_channels.tsv")
    assert nearest_sidecar(tmp_path / part, "channels").name == "sub-01_task-a_channels.tsv"


def test_electrodes_and_coordinate_systems_are_paired_by_space(tmp_path):
    stem = "sub-01/ses-1/eeg/sub-01_ses-1"
    names = [
        f"{stem}_space-{s}_{kind}"
        for s in ("CTF", "CapTrak")
        for kind in ("electrodes.tsv", "coordsystem.json")
    ]
    touch(tmp_path, RECORDING, *names, f"{stem}_acq-x_space-CapTrak_electrodes.tsv")
    pairs = paired_by_space(tmp_path / RECORDING)
    assert [tuple(file.name for file in pair) for pair in pairs] == [
        tuple(name.rpartition("/")[2] for name in names[i : i + 2]) for i in (0, 2)
    ]
    (tmp_path / names[1]).unlink()
    assert dict(paired_by_space(tmp_path / RECORDING))[tmp_path / names[0]] is None


# ------------------------------------------------------------------------- recordings on disk


def measured(shift=0.0, n_bads=0):
    """A recording with positions of its own."""
    raw = make_raw()
    positions = raw.get_montage().get_positions()["ch_pos"]
    own = {name: p * [0.9, 1.0, 1.1] + [0, shift, 0] for name, p in positions.items()}
    fiducials = {"nasion": [0, 0.098, 0], "lpa": [-0.078, 0, 0], "rpa": [0.078, 0, 0]}
    raw.set_montage(mne.channels.make_dig_montage(own, coord_frame="head", **fiducials))
    raw.info["bads"] = raw.ch_names[:n_bads]
    return raw


def positions_of(raw):
    return np.array([ch["loc"][:3] for ch in raw.info["chs"]])


@pytest.mark.parametrize("entity", [{"acquisition": "x"}, {"run": "1"}, {"processing": "p"}])
def test_sidecars_of_another_recording_are_not_taken(tmp_path, entity):
    """Neither its events, nor its bad channels, nor its positions."""
    root = describe(tmp_path)
    other = write_sensors(root, "01", raw=measured(0.03, n_bads=3), **entity)
    own = write_sensors(root, "01", raw=measured())
    mine = "sub-01_task-hands_{}"
    (own.directory / mine.format("events.tsv")).unlink()
    (own.directory / mine.format("channels.tsv")).unlink()
    for path in own.directory.glob("sub-01_space-*"):
        path.unlink()
    foreign = sorted(other.directory.glob("*_space-*"))
    for path in foreign:  # those of the other recording carry all of its entities
        key, value = next(iter(entity.items()))
        short = {"acquisition": "acq", "processing": "proc"}.get(key, key)
        path.rename(
            path.with_name(f"sub-01_{short}-{value}_space-CapTrak_{path.name.split('_')[-1]}")
        )
    with pytest.warns(RuntimeWarning, match=r"has no channels\.tsv"):
        raw = read_bids_recording(own)
    assert raw.info["bads"] == [] and not np.isfinite(positions_of(raw)).any()
    with (
        pytest.warns(RuntimeWarning, match="standard 10-05 position"),
        pytest.warns(RuntimeWarning, match=r"has no channels\.tsv"),
    ):
        signals = from_bids(
            root,
            lambda record: (
                record["eeg"].processing is None
                and record["run"] is None
                and record["eeg"].acquisition is None
            ),
        )
    assert len(signals.ch_names) == 10
    with pytest.raises(FileNotFoundError, match=r"expected .*sub-01_task-hands_events\.tsv"):
        epochs_from_bids(root, tmin=0, tmax=0.5)


def from_bids(root, is_wanted):
    """Read the one record that is wanted."""
    from brainof_toolbox.io.records import read_record

    (record,) = [record for record in read_bids(root) if is_wanted(record)]
    return read_record(record)


def test_of_two_spaces_the_one_with_landmarks_is_used(tmp_path):
    raw = measured()
    path = write_sensors(describe(tmp_path), "01", raw=raw)
    for file in list(path.directory.glob("*space-CapTrak*")):
        other = file.with_name(file.name.replace("CapTrak", "CTF"))
        if file.suffix == ".tsv":
            table = pd.read_csv(file, sep="\t")
            table.assign(x=table.y, y=-table.x).to_csv(other, sep="\t", index=False)
        else:
            values = json.loads(file.read_text())
            values["EEGCoordinateSystem"] = "CTF"
            values.pop("AnatomicalLandmarkCoordinates", None)
            other.write_text(json.dumps(values))
    found = positions_of(read_bids_recording(path))
    np.testing.assert_allclose(found, positions_of(raw), atol=1e-6)


def test_spaces_that_fit_equally_well_are_an_error(tmp_path):
    path = write_sensors(describe(tmp_path), "01", raw=measured())
    for file in list(path.directory.glob("*space-CapTrak*")):
        file.with_name(file.name.replace("CapTrak", "other")).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="space-CapTrak_electrodes.tsv and .*space-other"):
        read_bids_recording(path)


def test_each_acquisition_has_its_own_positions(tmp_path):
    root = describe(tmp_path)
    raws = {"a": measured(0.01), "b": measured(0.02)}
    paths = {
        name: write_sensors(root, "01", raw=raw, acquisition=name) for name, raw in raws.items()
    }
    plain = write_sensors(root, "01", raw=measured(), run="1")
    for name, path in paths.items():
        found = positions_of(read_bids_recording(path))
        np.testing.assert_allclose(found, positions_of(raws[name]), atol=1e-6)
    np.testing.assert_allclose(
        positions_of(read_bids_recording(plain)), positions_of(measured()), atol=1e-6
    )


# ----------------------------------------------------------------------- onsets of volumes


def run_with(root, **values):
    """An image of 12 volumes and 2 s whose sidecar stands at the root of the dataset."""
    describe(root)
    (root / "task-a_bold.json").write_text(json.dumps(values))
    return write_image(root, "sub-01_task-a_bold", image=make_image(n_volumes=12))


def read(path, **options):
    return from_nifti(path, masker=make_masker(), **options)


def test_even_onsets_of_volumes_are_the_repetition_time(tmp_path):
    path = run_with(tmp_path, VolumeTiming=[2.0 * i for i in range(12)])
    assert read(path).sfreq == 0.5
    (tmp_path / "task-a_bold.json").write_text(
        json.dumps({"VolumeTiming": [2.5 * i for i in range(12)]})
    )
    with pytest.warns(RuntimeWarning, match=r"2\.5 s by VolumeTiming .* 2 s \(the header\)"):
        assert read(path).sfreq == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("onsets", "message"),
    [
        ([0, 2, 4, 15, 17, 19, 30, 32, 34, 45, 47, 49], "2 to 11 s apart"),
        ([2000.0 * i for i in range(12)], "milliseconds"),
        ([2.0 * i for i in range(11)], "11 onsets but the image has 12 volumes"),
        ([0, 2, 4, 4, 8, 10, 12, 14, 16, 18, 20, 22], "does not increase"),
        (["0", "2"], "must be a list"),
        (2.0, "must be a list"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"t_r": 2.0}])
def test_other_onsets_are_refused(tmp_path, onsets, message, options):
    """Also where a repetition time is given: the volumes are where they are."""
    path = run_with(tmp_path, VolumeTiming=onsets)
    with pytest.raises(ValueError, match=f"VolumeTiming in .*task-a_bold.json.*{message}"):
        read(path, **options)


def test_onsets_that_contradict_the_repetition_time_are_refused(tmp_path):
    onsets = [2.0 * i for i in range(12)]
    path = run_with(tmp_path, VolumeTiming=onsets, RepetitionTime=3.0)
    with pytest.raises(ValueError, match="RepetitionTime is 3 s .* 2 s apart"):
        read(path)
    path = run_with(tmp_path, VolumeTiming=onsets, RepetitionTime=2.0)
    assert read(path).sfreq == 0.5
