"""Tables and JSON that name one thing twice: an error that names it, never the last of both."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import bids
import nibabel
import numpy as np
import pandas as pd
import pytest
from images import AFFINE, N_REGIONS, atlas_data, make_atlas, make_image, make_masker

from brainof_toolbox import Records, from_roi_timeseries, read_bids, read_participants
from brainof_toolbox._utils.unique import load_json
from brainof_toolbox.io import epochs_from_bids, from_nifti
from brainof_toolbox.io.bids_events import Dropped, choose_events, find_events, read_events
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.confounds import read_confounds
from brainof_toolbox.io.sidecars import read_sidecar

RNG = np.random.default_rng(0)


# ------------------------------------------------------------------------------------ participants
def people(root, text, *who, column="score"):
    bids.describe(root)
    (root / "participants.tsv").write_text(text)
    records = [{"subject": s, "session": v, "task": "rest", "run": r} for s, v, r in who]
    return read_participants(root, column, Records(records)).tolist()


LONG = (
    "participant_id\tsession_id\tscore\nsub-01\tses-1\t10\nsub-01\tses-2\t20\nsub-02\tses-1\t3\n"
)


@pytest.mark.parametrize("name", ["session_id", "session", "ses"])
def test_participants_by_session(tmp_path, name):
    who = [("01", "2", None), ("02", "1", None), ("01", "1", None)]
    assert people(tmp_path, LONG.replace("session_id", name), *who) == [20.0, 3.0, 10.0]


def test_participants_by_run(tmp_path):
    text = "participant_id\trun\tscore\nsub-01\t1\t10\nsub-01\t2\t20\n"
    assert people(tmp_path, text, ("01", None, "02"), ("01", None, "01")) == [20.0, 10.0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (LONG.replace("session_id", "visit"), r"more than once: \['01 ses-1'\]"),
        (LONG + "sub-01\tses-1\t11\n", r"more than once: \['01 ses-1'\].*'10', '11'"),
        (LONG.replace("ses-1\t10", "ses-3\t10"), "sub-01 ses-1 of the records not in"),
        ("participant_id\tscore\n1\t10\nsub-01\t20\n", r"more than once: \['01 ses-1'\]"),
        ("participant_id\tscore\n01\t10\nsub-01\t20\n", r"more than once: \['01 ses-1'\]"),
        ("participant_id\tscore\n1\t10\n", "sub-01 ses-1 of the records not in"),
        ("participant_id\tscore\tscore\nsub-01\t10\t20\n", "column 'score' more than once"),
        ("participant_id\tscore\nsub-01\t10\t20\nsub-02\t10\t20\n", "more cells than"),
    ],
)
def test_ambiguous_participants_are_refused(tmp_path, text, match):
    with pytest.raises(ValueError, match=match):
        people(tmp_path, text, ("01", "1", None))


def test_one_row_per_participant_is_for_all_records(tmp_path):
    """Whatever other columns mean: how many sessions there were, or which task was done well."""
    text = (
        "participant_id\tsession\ttask\tscore\tscore.1\nsub-01\t3\tno\t10\t5\nsub-02\t1\t\t3\t5\n"
    )
    who = [("01", "1", "1"), ("01", "2", None), ("02", None, None)]
    assert people(tmp_path, text, *who) == [10.0, 10.0, 3.0]
    twice = "participant_id\tscore\nsub-01\t10\nsub-01\t10\n"
    assert people(tmp_path, twice, ("01", "1", None)) == [10.0]
    same = "participant_id\tscore\tnote\tnote\nsub-01\t10\ta\tb\n"
    assert people(tmp_path, same, ("01", None, None)) == [10.0]


def test_sessions_named_twice(tmp_path):
    table = tmp_path / "sub-01" / "sub-01_sessions.tsv"
    table.parent.mkdir()
    text = "participant_id\nsub-01\n"
    table.write_text("session_id\tscore\nses-1\t10\nses-2\t30\nses-1\t20\n")
    with pytest.raises(ValueError, match=r"sessions.tsv.*more than once: \['01 ses-1'\]"):
        people(tmp_path, text, ("01", "1", None))
    assert people(tmp_path, text, ("01", "2", None)) == [30.0]
    table.write_text("session_id\tscore\nses-1\t10\nses-1\t10\n")
    assert people(tmp_path, text, ("01", "1", None)) == [10.0]


# ------------------------------------------------------------------------------------------ events
def test_columns_of_events_named_twice(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("onset\tduration\ttrial_type\ttrial_type\n1\t1\ta\tb\n")
    with pytest.raises(ValueError, match="events.tsv has the column 'trial_type' more than once"):
        read_events(path, "trial_type", Dropped())
    path.write_text("onset\tduration\ttrial_type\tnote\tnote\t\t\n1\t1\ta\tb\tc\t\t\n")
    assert read_events(path, "trial_type", Dropped())["trial_type"].tolist() == ["a"]


def test_two_names_of_one_code():
    table = pd.DataFrame({"trial_type": ["left", "right"]})
    with pytest.raises(ValueError, match=r"event_id.*'left', 'right'.*share codes.*\[1\]"):
        choose_events([table], {"left": 1, "right": 1})
    assert choose_events([table], {"left": 1, "right": 2})[1] == {"left": 1, "right": 2}


def test_two_tables_of_events_for_one_image(tmp_path):
    """Inherited tables of which neither is more specific than the other."""
    image = bids.write_image(bids.describe(tmp_path), "sub-01_task-go_acq-a_bold")
    for name in ("task-go", "acq-a"):
        bids.write_table(tmp_path / f"{name}_events.tsv", {"onset": [1]})
    with pytest.raises(ValueError, match="Several events files.*acq-a_events.*task-go_events"):
        find_events(image, "func", tmp_path)
    (tmp_path / "acq-a_events.tsv").unlink()
    assert find_events(image, "func", tmp_path).name == "task-go_events.tsv"


def test_one_run_under_two_spellings(tmp_path):
    names = [f"sub-01/eeg/sub-01_task-go_run-{run}_eeg.vhdr" for run in ("1", "01", "2")]
    root = bids.touch(tmp_path / "set", *names)
    with pytest.raises(ValueError, match="Two files hold one recording.*run-01.*run-1"):
        read_bids(root)
    Path(root, names[0]).unlink()
    assert sorted(read_bids(root).run) == ["01", "2"]


# ---------------------------------------------------------------------------------------- channels
@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return bids.write_sensors(bids.describe(tmp_path_factory.mktemp("bids") / "set"), "01")


@pytest.mark.parametrize(
    ("ending", "change"),
    [
        ("channels.tsv", lambda cells: [cells[0], "MISC", *cells[2:]]),
        ("electrodes.tsv", lambda cells: [cells[0], "0.01", "0.02", "0.03", *cells[4:]]),
    ],
)
def test_channels_named_twice(recording, ending, change):
    file = next(Path(recording.root).rglob(f"*{ending}"))
    text = file.read_text(encoding="utf-8-sig")
    cells = text.splitlines()[1].split("\t")
    file.write_text(text + "\t".join(change(cells)) + "\n", encoding="utf-8")
    try:
        with pytest.raises(ValueError, match=rf"{ending} has channels more than.*'{cells[0]}'"):
            read_bids_recording(recording)
    finally:
        file.write_text(text, encoding="utf-8")
    assert cells[0] in read_bids_recording(recording).ch_names


@pytest.mark.parametrize(
    ("ending", "key"),
    [("_eeg.json", "SamplingFrequency"), ("coordsystem.json", "EEGCoordinateUnits")],
)
def test_keys_of_sidecars_named_twice(recording, ending, key):
    file = next(Path(recording.root).rglob(f"*{ending}"))
    text = file.read_text(encoding="utf-8-sig")
    file.write_text(text.rstrip().removesuffix("}") + f', "{key}": "x"' + "}", encoding="utf-8")
    try:
        with pytest.raises(ValueError, match=rf"{ending}.*more than once: \['{key}'\]"):
            read_bids_recording(recording)
    finally:
        file.write_text(text, encoding="utf-8")


# -------------------------------------------------------------------------------------------- JSON
def test_json_that_names_a_key_twice(tmp_path):
    (tmp_path / "run.json").write_text('{"RepetitionTime": 2.0, "RepetitionTime": 0.8}')
    with pytest.raises(ValueError, match=r"run\.json.*more than once: \['RepetitionTime'\]"):
        read_sidecar(tmp_path / "run.nii.gz")
    with pytest.raises(ValueError, match=r"\['b'\]"):
        load_json('{"a": [{"b": 1, "b": 1}]}')
    nested = {"a": {"b": 1}, "c": {"b": 2}, "d": [1, {"b": None}]}
    assert load_json(json.dumps(nested).encode()) == nested


# ------------------------------------------------------------------------------------------- fMRI
def save_atlas(folder, rows, *, is_maps=False):
    """An atlas image and the table of its names."""
    maps = atlas_data()[..., None] == np.arange(1, N_REGIONS + 1)
    image = nibabel.Nifti1Image(maps.astype(np.float32), AFFINE) if is_maps else make_atlas()
    nibabel.save(image, folder / "atlas.nii.gz")
    lines = ["index\tname", *(f"{index}\t{name}" for index, name in rows)]
    (folder / "atlas.tsv").write_text("\n".join(lines) + "\n")
    return folder / "atlas.nii.gz"


@pytest.mark.parametrize("is_maps", [False, True], ids=["labels", "maps"])
def test_names_of_regions(tmp_path, is_maps):
    """By their index, in any order; a row twice is harmless, two names are not."""
    rows = [(i, f"r{i}") for i in range(N_REGIONS, 0, -1)]
    names = tuple(f"r{i}" for i in range(1, N_REGIONS + 1))
    for given in (rows, rows[::-1], [*rows, rows[3]]):
        atlas = save_atlas(tmp_path, given, is_maps=is_maps)
        assert from_nifti(make_image(), masker=atlas).ch_names == names
    atlas = save_atlas(tmp_path, [*rows, (3, "other")], is_maps=is_maps)
    with pytest.raises(ValueError, match=r"atlas.tsv has different names.*more than once: \[3\]"):
        from_nifti(make_image(), masker=atlas)
    atlas = save_atlas(tmp_path, [("x", "r1"), *rows], is_maps=is_maps)
    with pytest.raises(ValueError, match="atlas.tsv.*'index' must hold numbers"):
        from_nifti(make_image(), masker=atlas)


def test_regions_of_one_name(tmp_path):
    """Two indices of one name are two regions, numbered."""
    rows = [(i, f"r{(i + 1) // 2}") for i in range(1, N_REGIONS + 1)]
    names = from_nifti(make_image(), masker=save_atlas(tmp_path, rows)).ch_names
    assert names[:4] == ("r1", "r1 (2)", "r2", "r2 (2)")


def test_look_up_table_of_a_masker():
    names = ["Background", *(f"r{i}" for i in range(1, N_REGIONS + 1))]
    lut = pd.DataFrame({"index": range(N_REGIONS + 1), "name": names})
    assert from_nifti(make_image(), masker=make_masker(lut=lut)).ch_names == tuple(names[1:])
    lut.loc[len(lut)] = [3, "other"]
    with pytest.raises(ValueError, match=r"look-up table of the masker.*more than once: \[3\]"):
        from_nifti(make_image(), masker=make_masker(lut=lut))


@pytest.mark.parametrize("head", ["a\tb\ta\n", "# a\tb\ta\n"])
def test_regions_of_a_table_named_twice(tmp_path, head):
    path = tmp_path / "run.tsv"
    body = "\n".join("\t".join(f"{x:.3f}" for x in row) for row in RNG.normal(size=(12, 3)))
    options = {"t_r": 2.0, "roi_positions": np.eye(3) * 0.05}
    path.write_text(head + body)
    with pytest.raises(ValueError, match=r"run.tsv has regions more than once: \['a'\]"):
        from_roi_timeseries(path, **options)
    path.write_text(head.replace("\ta\n", "\ta.1\n") + body)
    assert from_roi_timeseries(path, **options).ch_names == ("a", "b", "a.1")


def test_labels_of_an_atlas_named_twice():
    data = RNG.normal(size=(12, 2))
    options = {"t_r": 2.0, "labels_img": make_atlas()}
    with pytest.raises(ValueError, match=r"labels= has regions more than once: \[3\]"):
        from_roi_timeseries(data, labels=[3, 3], **options)
    assert from_roi_timeseries(data, labels=[3, 4], **options).shape == (1, 2, 12)


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".txt"])
def test_confounds_of_a_file_named_twice(tmp_path, ending):
    sep = {".tsv": "\t", ".csv": ",", ".txt": " "}[ending]
    path = tmp_path / f"confounds{ending}"
    body = "\n".join(sep.join(map(str, row)) for row in RNG.normal(size=(20, 3)).round(3))
    path.write_text(sep.join(["csf", "fd", "csf"]) + "\n" + body)
    with pytest.raises(ValueError, match=r"confounds.*columns \['csf'\] occur twice"):
        read_confounds(path, 20)
    path.write_text(sep.join(["csf", "fd", "csf.1"]) + "\n" + body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_confounds(path, 20)[0].shape == (20, 3)
        path.write_text("\n".join(sep.join(["1", "2", "1"]) for _ in range(20)))
        assert read_confounds(path, 20)[0].shape == (20, 3)


def test_classes_of_trials_stay_apart(tmp_path):
    root = bids.describe(tmp_path / "set")
    bids.write_sensors(root, "01")
    with pytest.raises(ValueError, match="share codes"):
        epochs_from_bids(root, event_id={"left": 1, "right": 1}, tmax=1.0)
