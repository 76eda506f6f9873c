"""The command line on simulated BIDS folders and on images."""

from __future__ import annotations

import argparse
import re

import numpy as np
import pandas as pd
import pytest

from brainof_toolbox.cli import decoding_data, main
from brainof_toolbox.cli.options import read_trials
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.io.trials import Trials

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
SMALL = {"montage": 8, "n_meg": 6, "voxel_size": 16, "sfreq": 100.0}


@pytest.fixture(scope="module")
def group_root(tmp_path_factory):
    """Six subjects, 20 s of all modalities."""
    root = tmp_path_factory.mktemp("bids") / "group"
    return make_paired_recordings(6, duration=20.0, write_bids=root, **SMALL).root


@pytest.fixture(scope="module")
def state_root(tmp_path_factory):
    """Four subjects, 80 s of EEG and fMRI, blocks of rest and task."""
    root = tmp_path_factory.mktemp("bids") / "state"
    options = {"duration": 80.0, "block_duration": 10.0, "modalities": ("fmri", "eeg")}
    return make_paired_recordings(4, label="state", write_bids=root, **options, **SMALL).root


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """Eight blocks of the brain as an image of labels."""
    import nibabel

    labels = np.zeros((5, 6, 5), dtype=np.int16)
    for number in range(8):
        x, y, z = (number >> 2) & 1, (number >> 1) & 1, number & 1
        labels[1 + x * 2 : 2 + x * 2, 1 + y * 2 : 3 + y * 2, 1 + z * 2 : 2 + z * 2] = number + 1
    affine = np.diag([30.0, 30.0, 30.0, 1.0])
    affine[:3, 3] = -60, -105, -45
    path = tmp_path_factory.mktemp("atlas") / "blocks.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def micro(micro_checkpoint):
    return ["--checkpoint", str(micro_checkpoint), "--pooling", "mean"]


def _warnings(text):
    return [line for line in text.splitlines() if line.startswith("warning:")]


def _mean(text, name):
    """Mean score of a decoder: its row of the comparison, or the last line of its scores."""
    pattern = rf"^{re.escape(name)}(?: +|\n(?:.*\n)+.*?: )([\d.]+)"
    return float(re.search(pattern, text, re.M)[1])


@pytest.mark.parametrize("ending", ["parquet", "csv", "npy"])
def test_embed_one_row_per_record(group_root, tmp_path, micro, ending, capsys, no_network):
    """Modalities of a subject are one row, and the table says whose it is."""
    out = tmp_path / f"out.{ending}"
    command = ["embed", str(group_root), "--datatypes", "eeg", "func", "-o", str(out)]
    assert main([*command, *micro]) == 0
    captured = capsys.readouterr()
    assert "6 rows of 32 features" in captured.out and "%|" not in captured.err
    if ending == "npy":
        features = np.load(out, allow_pickle=False)
    else:
        read = pd.read_csv if ending == "csv" else pd.read_parquet
        table = read(out, **({"dtype": {"subject": str}} if ending == "csv" else {}))
        assert list(table)[:5] == ["subject", "session", "task", "run", "modalities"]
        assert table["subject"].tolist() == [f"{i:02d}" for i in range(1, 7)]
        assert set(table["task"]) == {"rest"} and set(table["modalities"]) == {"fmri+eeg"}
        features = table.iloc[:, 5:].to_numpy(dtype=float)
    assert features.shape == (6, 32) and np.isfinite(features).all()
    assert len(np.unique(features.round(6), axis=0)) == 6


def test_embed_chosen_subjects_and_datatypes(group_root, tmp_path, micro):
    """Fewer modalities and subjects: other rows, and only theirs."""
    tables = {}
    for kind in ("eeg", "func"):
        out = tmp_path / f"{kind}.csv"
        chosen = ["--datatypes", kind, "--subjects", "02", "05", "-o", str(out)]
        assert main(["embed", str(group_root), *chosen, *micro]) == 0
        tables[kind] = pd.read_csv(out, dtype={"subject": str})
        assert tables[kind]["subject"].tolist() == ["02", "05"]
    assert set(tables["eeg"]["modalities"]) == {"eeg"}
    assert set(tables["func"]["modalities"]) == {"fmri"}
    assert not np.allclose(tables["eeg"].iloc[:, 5:], tables["func"].iloc[:, 5:])


def test_repeated_warnings_are_said_once(group_root, tmp_path, micro, capsys):
    """Six images that lack regions: one warning, and a count of the others."""
    out = str(tmp_path / "out.csv")
    assert main(["embed", str(group_root), "--datatypes", "func", "-o", out, *micro]) == 0
    found = [line for line in _warnings(capsys.readouterr().err) if "regions" in line]
    assert len(found) == 2 and "5 more warnings of this kind" in found[1]


def test_decode_a_column_of_classes(group_root, micro, capsys, no_network):
    assert main(["decode", str(group_root), "--target", "sex", *micro]) == 0
    text = capsys.readouterr().out
    assert "6 samples, classes F (3), M (3)" in text and "whole subjects: 6 in all" in text
    for name in ("Brain-OF", "fmri: correlations", "eeg: band power", "meg: band power"):
        assert 0 <= _mean(text, name) <= 1
    assert "all classical" in text and "whole subjects: 6 in all" in text


@pytest.mark.slow
def test_decode_a_column_of_numbers(group_root, micro, capsys):
    command = ["decode", str(group_root), "--datatypes", "eeg", "--target", "age"]
    assert main([*command, *micro]) == 0
    text = capsys.readouterr().out
    assert "mean absolute error" in text and "targets from" in text
    assert _mean(text, "band power") > 0 and "fmri" not in text and "meg" not in text


def test_decode_blocks_of_images(state_root, micro, atlas, capsys):
    """One sample per event of a run; baselines get above chance on the simulated effect."""
    command = ["decode", str(state_root), "--datatypes", "func", "--atlas", str(atlas)]
    assert main([*command, "--event-id", "rest", "task", *micro]) == 0
    captured = capsys.readouterr()
    assert "whole subjects: 4 in all" in captured.out
    assert re.search(r"classes rest \(\d+\), task \(\d+\)", captured.out)
    assert _mean(captured.out, "region means") > 0.6
    assert "duration alone" not in captured.err


def test_blocks_of_unequal_length_are_warned_about(state_root, micro, atlas, capsys):
    """Stimuli of half a second beside blocks of 10: their samples differ in length too."""
    command = ["decode", str(state_root), "--datatypes", "func", "--atlas", str(atlas)]
    assert main([*command, "--no-baselines", *micro]) == 0
    captured = capsys.readouterr()
    assert "stimulus" in captured.out and "duration alone" in captured.err


def test_window_and_delay_of_images(state_root, micro, atlas, capsys, monkeypatch):
    """--tmin, --tmax and --shift reach the cutting; samples of one length need no warning."""
    cut = []
    monkeypatch.setattr(
        decoding_data, "read_trials", lambda *a: cut.append(read_trials(*a)) or cut[-1]
    )
    command = ["decode", str(state_root), "--datatypes", "func", "--atlas", str(atlas)]
    command += ["--no-baselines", "--tmin", "2", "--tmax", "8", "--shift", "4"]
    assert main([*command, *micro]) == 0
    assert "duration alone" not in capsys.readouterr().err
    trials = cut[0]
    assert {trial.shape[2] for trial in trials} == {3}  # 6 s of 2 s each
    start = np.array([trial.onset[0] for trial in trials])
    assert (np.abs(start - trials.metadata["onset"] - 6) <= 1).all()


def test_runs_and_their_events_as_plain_files(state_root, micro, atlas, capsys):
    """The same samples and scores as of the folder; tables of other runs are refused."""
    select = ["--atlas", str(atlas), "--event-id", "rest", "task", "--no-baselines", *micro]
    assert main(["decode", str(state_root), "--datatypes", "func", *select]) == 0
    expected = capsys.readouterr().out
    images = sorted(map(str, state_root.rglob("*_bold.nii.gz")))
    tables = [image.replace("_bold.nii.gz", "_events.tsv") for image in images]
    assert main(["decode", *images, "--events", *tables, *select]) == 0
    assert capsys.readouterr().out == expected
    assert main(["decode", *images, "--events", *tables[::-1], *select]) != 0
    assert "states another subject" in capsys.readouterr().err
    assert main(["decode", *images, "--events", tables[0], *select]) != 0
    assert "1 tables but there are 4 images" in capsys.readouterr().err


def test_sessions_of_one_subject_are_left_out(monkeypatch):
    """One subject: folds leave out sessions, which need no runs."""
    rows = [("01", session, None, "ab"[i % 2]) for session in ("1", "2") for i in range(4)]
    table = pd.DataFrame(rows, columns=["subject", "session", "run", "trial_type"])
    trials = Trials([None] * 8, table.assign(onset=0.0, duration=1.0))
    monkeypatch.setattr(decoding_data, "read_trials", lambda *a: trials)
    options = argparse.Namespace(target=None, datatypes=["eeg"], tmax=None)
    data = decoding_data._read_bids("root", options)
    assert data.grouping == "sessions" and list(data.groups) == ["1"] * 4 + ["2"] * 4
    monkeypatch.setattr(decoding_data, "read_trials", lambda *a: trials[:4])
    assert decoding_data._read_bids("root", options).groups == "none"


@pytest.mark.slow
def test_decode_events_of_eeg(state_root, micro, capsys):
    command = ["decode", str(state_root), "--datatypes", "eeg", "--event-id", "rest", "task"]
    assert main([*command, "--tmax", "8", *micro]) == 0
    text = capsys.readouterr().out
    assert "classes rest (16), task (16)" in text and "whole subjects: 4 in all" in text
    assert _mean(text, "band power") > 0.7


def test_images_with_an_atlas(group_root, atlas, tmp_path, micro, capsys):
    """Files of images need no BIDS folder; labels come from a table by subject."""
    images = [str(path) for path in sorted(group_root.glob("sub-*/func/*_bold.nii.gz"))]
    out = tmp_path / "out.csv"
    assert main(["embed", *images, "--atlas", str(atlas), "-o", str(out), *micro]) == 0
    table = pd.read_csv(out)
    assert table["file"].tolist() == images and table["index"].tolist() == [0] * 6
    assert np.isfinite(table.iloc[:, 2:].to_numpy()).all()
    default = tmp_path / "default.csv"
    assert main(["embed", *images, "-o", str(default), *micro]) == 0
    assert not np.allclose(table.iloc[:, 2:], pd.read_csv(default).iloc[:, 2:])
    capsys.readouterr()
    labels = ["--labels", str(group_root / "participants.tsv"), "--target", "sex"]
    assert main(["decode", *images, *labels, "--atlas", str(atlas), *micro]) == 0
    text = capsys.readouterr().out
    assert "classes F (3), M (3)" in text and "correlations" in text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["embed", "STATE", "--datatypes", "meg", "-o", "x.csv"], "No meg recording"),
        (["embed", "GROUP", "--subjects", "99", "-o", "x.csv"], "'99'"),
        (["embed", "GROUP", "--atlas", "no_such.nii.gz", "-o", "x.csv"], "no_such.nii.gz"),
        (["embed", "GROUP", "STATE", "-o", "x.csv"], "one at a time"),
        (["embed", "EMPTY", "-o", "x.csv"], "not a BIDS dataset"),
        (["embed", "no_such_folder", "-o", "x.csv"], "no_such_folder"),
        (["decode", "GROUP", "--target", "height"], "No column 'height'"),
        (["decode", "GROUP", "--target", "participant_id"], "label of its own"),
        (["decode", "GROUP", "--datatypes", "eeg", "func"], "--target COLUMN"),
        (["decode", "GROUP"], "--target COLUMN"),
        (["decode", "GROUP", "--datatypes", "eeg"], "No events"),
        (["decode", "STATE", "--datatypes", "eeg", "--event-id", "sleep"], "'sleep'"),
        (["decode", "STATE", "--datatypes", "func", "--event-id", "task"], "nothing to decode"),
        (["decode", "EMPTY", "--target", "sex"], "not a BIDS dataset"),
        (["decode", "no_such_folder", "--target", "sex"], "no_such_folder"),
        (["decode", "IMAGE"], "--label-from-name"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_failure_is_one_line(arguments, words, group_root, state_root, tmp_path, capsys):
    """What is wrong and what is there, without a traceback."""
    image = next(group_root.glob("sub-01/func/*_bold.nii.gz"))
    places = {"GROUP": group_root, "STATE": state_root, "EMPTY": tmp_path, "IMAGE": image}
    assert main([str(places.get(word, word)) for word in arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if not line.startswith("warning:")]
    assert len(errors) == 1 and errors[0].startswith("brainof: error: ") and words in errors[0]


def test_an_unknown_datatype_is_wrong_usage(group_root, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["embed", str(group_root), "--datatypes", "nirs", "-o", "x.csv"])
    assert stop.value.code == 2 and "'func', 'eeg', 'meg'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["embed", "decode"])
def test_help_mentions_bids(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "BIDS" in text and "--datatypes" in text
