"""``brainof embed``: nothing is done twice, nothing is half written, one bad file stops nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from brainof_toolbox.cli import main
from brainof_toolbox.datasets import make_epochs, make_raw
from brainof_toolbox.io import inputs

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
N_FILES = 6


@pytest.fixture
def files(tmp_path):
    """Five recordings and, fourth, epochs."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    paths = [folder / f"sub-{i}_raw.fif" for i in range(N_FILES)]
    paths[3] = folder / "sub-3-epo.fif"
    for i, path in enumerate(paths):
        options = {"n_channels": 6, "sfreq": 100.0, "random_state": i}
        recording = (
            make_epochs(n_epochs=3, duration=1.0, **options)
            if i == 3
            else make_raw(duration=3.0, **options)
        )
        recording.save(path, verbose="error")
    return [str(path) for path in paths]


@pytest.fixture
def embed(micro_checkpoint, tmp_path):
    """Run the command; returns its code and the table, if it is there."""
    out = tmp_path / "out.parquet"

    def run(files, *options):
        code = main(["embed", *files, "-o", str(out), *network(micro_checkpoint), *options])
        return code, pd.read_parquet(out) if out.exists() else None

    run.out, run.parts = out, tmp_path / ".out.parquet.parts"
    return run


@pytest.fixture
def read(monkeypatch):
    """Names of the recordings whose data were read."""
    found, from_raw, from_epochs = [], inputs.from_raw, inputs.read_epochs

    def spy(function):
        def call(recording, **options):
            path = getattr(recording, "filename", None) or recording.filenames[0]
            found.append(os.path.basename(path))
            return function(recording, **options)

        return call

    monkeypatch.setattr(inputs, "from_raw", spy(from_raw))
    monkeypatch.setattr(inputs, "read_epochs", spy(from_epochs))
    return found


def network(checkpoint):
    return ["--checkpoint", str(checkpoint), "--pooling", "mean"]


def names(files):
    return [os.path.basename(file) for file in files]


def cut(path):
    """Damage a file; returns what it was."""
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[:300])
    return content


def restore(path, content):
    with open(path, "wb") as file:
        file.write(content)


# --------------------------------------------------------------------------- interruption

KILLED = """
import sys, time
from brainof_toolbox.io import inputs
from brainof_toolbox.cli import main
from_raw = inputs.from_raw
def slow(recording, **options):
    if "sub-4" in str(recording.filenames[0]):
        print("waiting", flush=True)
        time.sleep(120)
    return from_raw(recording, **options)
inputs.from_raw = slow
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(files, embed, read, micro_checkpoint, capfd):
    """SIGKILL after four of six recordings: the next run reads the other two only."""
    code, whole = embed(files)
    assert code == 0 and len(whole) == 8 and len(read) == N_FILES
    embed.out.unlink()
    command = ["embed", *files, "-o", str(embed.out), *network(micro_checkpoint)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *command], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"waiting\n"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert not embed.out.exists() and len(list(embed.parts.iterdir())) == 4
    read.clear()
    capfd.readouterr()
    code, table = embed(files)
    assert code == 0 and read == names(files)[4:]
    assert "4 of 6 recordings were embedded by an interrupted run" in capfd.readouterr().err
    pd.testing.assert_frame_equal(table, whole)
    assert not embed.parts.exists()
    assert embed(files)[0] == 0 and read[2:] == names(files)  # a finished run is not gone on with


def test_ctrl_c_keeps_what_is_done(files, embed, read, monkeypatch, capsys):
    """For tables: interrupted, and said how to go on."""
    from_raw = inputs.from_raw

    def interrupt(recording, **options):
        if "sub-2" in str(recording.filenames[0]):
            raise KeyboardInterrupt
        return from_raw(recording, **options)

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "from_raw", interrupt)
        assert embed(files) == (130, None)
    text = capsys.readouterr().err
    assert "2 of 6 recordings are done and kept" in text and "interrupted" in text
    read.clear()
    assert embed(files)[0] == 0 and read == names(files)[2:]


def _other_layer(files, checkpoint):
    return ["--layer", "0"]


def _other_pooling(files, checkpoint):
    return ["--pooling", "mean+std"]


def _other_window(files, checkpoint):
    return ["--window", "1.5"]


def _other_weights(files, checkpoint):
    return ["--checkpoint", str(checkpoint)]


def _changed_files(files, checkpoint):
    for path in files:
        os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    return []


@pytest.mark.parametrize(
    "change", [_other_pooling, _other_layer, _other_window, _other_weights, _changed_files]
)
def test_parts_of_another_run_are_not_used(
    change, files, embed, read, tmp_path, micro_config, capsys
):
    """Other options, weights or files: everything is embedded, and the table is the new one."""
    from brainof_toolbox import Preprocessing
    from brainof_toolbox.models import BrainOF, save_checkpoint

    other = save_checkpoint(
        tmp_path / "other",
        BrainOF(micro_config, random_state=1),
        preprocessing=Preprocessing().to_dict(),
        manifest={},
    )
    content = cut(files[5])
    assert embed(files) == (1, None) and embed.parts.is_dir()
    restore(files[5], content)
    options = change(files, other)
    read.clear()
    capsys.readouterr()
    code, table = embed(files, *options)
    assert code == 0 and read == names(files) and not embed.parts.exists()
    assert "is not used" in capsys.readouterr().err
    pd.testing.assert_frame_equal(embed(files, *options)[1], table)


def test_a_damaged_part_is_made_again(files, embed, read):
    """What a dying machine left half written is not taken for rows."""
    content = cut(files[5])
    assert embed(files) == (1, None)
    restore(files[5], content)
    parts = sorted(embed.parts.iterdir())
    assert len(parts) == 5
    parts[0].write_bytes(parts[0].read_bytes()[:200])
    parts[1].write_bytes(b"")
    read.clear()
    code, table = embed(files)
    assert code == 0 and len(read) == 3 and len(table) == 8
    assert np.isfinite(table.iloc[:, 2:]).to_numpy().all()


# ------------------------------------------------------------------------ broken recordings


def test_a_broken_recording_is_an_error(files, embed, capsys):
    """Named; what was done before it is kept, and no table is written."""
    cut(files[2])
    assert embed(files) == (1, None)
    text = capsys.readouterr().err
    assert "brainof: error: X[2]" in text and "sub-2_raw.fif" in text
    assert "2 of 6 recordings are done and kept" in text


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="one"),
        pytest.param(["--jobs", "2"], id="two", marks=pytest.mark.slow),
    ],
)
def test_broken_recordings_are_skipped_on_request(options, files, embed, capsys):
    """Named on stderr, counted at the end, left out of the table; the others are as without."""
    whole = embed(files)[1]
    cut(files[1])
    os.unlink(files[4])
    code, table = embed(files, "--on-error", "skip", *options)
    captured = capsys.readouterr()
    assert code == 0 and "6 rows of 32 features (2 of 6 recordings skipped)" in captured.out
    lines = [row for row in captured.err.splitlines() if row.startswith("brainof: skipped ")]
    assert len(lines) == 2 and {row.split(": ")[1].split()[1] for row in lines} == {
        files[1],
        files[4],
    }
    is_kept = ~whole["file"].isin([files[1], files[4]])
    pd.testing.assert_frame_equal(table, whole[is_kept].reset_index(drop=True), atol=1e-5)


def test_all_broken_is_an_error(files, embed, capsys):
    for path in files[:2]:
        cut(path)
    assert embed(files[:2], "--on-error", "skip") == (1, None)
    assert "None of the 2 recordings" in capsys.readouterr().err
    assert not embed.parts.exists()


def test_a_broken_record_is_skipped(tmp_path, micro_checkpoint, capsys):
    """Of a BIDS folder the table keeps who is left; a repaired subject is all that is read."""
    from brainof_toolbox.datasets import make_paired_recordings

    options = {"montage": 8, "sfreq": 100.0, "modalities": ("eeg",), "duration": 20.0}
    root = make_paired_recordings(3, write_bids=tmp_path / "bids", **options).root
    out = tmp_path / "out.csv"
    command = ["embed", str(root), "-o", str(out), *network(micro_checkpoint)]
    (header,) = (root / "sub-02" / "eeg").glob("*.vhdr")
    content = cut(header)
    assert main([*command, "--on-error", "skip"]) == 0
    captured = capsys.readouterr()
    assert "brainof: skipped subject 02" in captured.err and "1 of 3" in captured.out
    assert pd.read_csv(out, dtype=str)["subject"].tolist() == ["01", "03"]
    assert main(command) == 1
    restore(header, content)
    assert main(command) == 0
    assert pd.read_csv(out, dtype=str)["subject"].tolist() == ["01", "02", "03"]


# ------------------------------------------------------------------------------ the output


def test_unwritable_output_is_noticed_first(files, embed, read, monkeypatch, capsys):
    """Before anything is read."""
    from pathlib import Path

    embed.out.mkdir()
    assert main(["embed", *files, "-o", str(embed.out)]) == 1
    embed.out.rmdir()

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert embed(files) == (1, None)
    text = capsys.readouterr().err
    assert "is a folder" in text and "Cannot write" in text and "out.parquet" in text
    assert read == []


def test_a_failed_write_leaves_the_old_table(files, embed, read, monkeypatch, capsys):
    """Disk full at the very end: the old table is whole, and nothing is embedded again."""
    old = embed(files[:2])[1]

    def full(self, file, **options):
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        code, table = embed(files)
    assert code == 1 and "No space left" in capsys.readouterr().err
    pd.testing.assert_frame_equal(table, old)
    assert not list(embed.out.parent.glob("*.saving")) + list(embed.out.parent.glob(".*.saving"))
    read.clear()
    code, table = embed(files)
    assert code == 0 and read == [] and len(table) == 8


# --------------------------------------------------------------------------------- workers


@pytest.mark.slow
def test_a_cluster_gives_the_same_table(files, embed, dask_cluster, capsys):
    """A broken recording is skipped there too, and the run can be gone on with elsewhere."""
    one = embed(files)[1]
    code, two = embed(files, "--dask", dask_cluster.scheduler_address)
    assert code == 0
    pd.testing.assert_frame_equal(one, two, atol=1e-5)
    content = cut(files[2])
    options = ["--on-error", "skip", "--dask", dask_cluster.scheduler_address]
    code, rest = embed(files, *options)
    assert code == 0 and f"skipped {files[2]}" in capsys.readouterr().err
    pd.testing.assert_frame_equal(rest, one.drop(index=2).reset_index(drop=True), atol=1e-5)
    restore(files[2], content)


@pytest.mark.parametrize(
    "options, words",
    [(["--jobs", "0"], "n_jobs"), (["--dask", "127.0.0.1:nowhere"], "--dask")],
)
def test_workers_that_cannot_be(options, words, files, embed, capsys):
    """A number or address without sense is one line, not a traceback."""
    pytest.importorskip("distributed")
    assert embed(files, *options) == (1, None)
    assert words in capsys.readouterr().err and not embed.parts.exists()


def test_jobs_and_cluster_exclude_each_other(files, embed):
    with pytest.raises(SystemExit) as stop:
        embed(files, "--jobs", "2", "--dask", "127.0.0.1:8786")
    assert stop.value.code == 2
