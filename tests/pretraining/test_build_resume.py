"""Interrupted builds: a corpus or none, nothing done twice, and the same bytes in the end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from kill_builder import content

from brainof_toolbox.datasets import make_raw
from brainof_toolbox.io.inputs import ReadOptions
from brainof_toolbox.pretraining import Corpus, build, build_corpus, build_folder, build_part
from brainof_toolbox.pretraining.build_sources import Recording, Simulated

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

HELPER = Path(__file__).with_name("kill_builder.py")
#: Moments of a build of six recordings, and how many are read again; the broken one always is.
MOMENTS = {"encode:4": 4, "fsync:17": 2, "rename:1": 1, "rmtree:1": 0}
#: Three of each for a recording, one for the options, and those of index, header and folders.
MANY = (*(f"fsync:{n}" for n in range(1, 24)), *(f"replace:{n}" for n in range(1, 22)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Six short recordings with two montages, and one that is broken."""
    folder = tmp_path_factory.mktemp("sources") / "lab"
    folder.mkdir()
    for number in range(6):
        raw = make_raw(n_channels=4 + number % 2, sfreq=256.0, duration=5.0, random_state=number)
        raw.save(folder / f"sub-{number}_raw.fif", verbose="error")
    (folder / "sub-2b_raw.fif").write_bytes((folder / "sub-2_raw.fif").read_bytes()[:3000])
    return folder


def run_helper(source, work, *moments):
    done = subprocess.run(
        [sys.executable, HELPER, source, work, *moments],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_reports(reports):
    for report in reports:
        assert report["killed"], report
        late = report["moment"] == "rmtree:1"
        assert report["was_there"] == late, report  # a whole corpus, or none
        assert report["resumed"] and report["equal"] and not report["stray"], report


@pytest.mark.slow
def test_killed_at_any_moment(source, tmp_path):
    """Real SIGKILLs; the same call goes on, does not read again, and gives the same bytes."""
    reports = run_helper(source, tmp_path, *MOMENTS)
    assert len(reports) == len(MOMENTS)
    check_reports(reports)
    assert [report["read_again"] for report in reports] == list(MOMENTS.values())


@pytest.mark.slow
def test_killed_at_many_moments(source, tmp_path):
    reports = run_helper(source, tmp_path, *MANY)
    assert len(reports) == len(MANY)
    check_reports(reports)
    assert {report["read_again"] for report in reports} >= {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.slow
def test_full_disk(source, tmp_path):
    """The system refuses to write more; the error names the path, and what is done stays."""
    reports = run_helper(source, tmp_path, "limit:8000", "limit:11000")
    for report in reports:
        assert "could not be written (File too large)" in report["said"]
        assert f".{reports.index(report)}.building" in report["said"]
        assert not report["was_there"] and report["resumed"] and report["equal"]
    assert [report["read_again"] for report in reports] == [7, 6]


_TWO_PROCESSES = """
import sys, warnings
warnings.simplefilter("ignore")
from brainof_toolbox.pretraining import build_corpus
build_corpus("simulated:16x20", sys.argv[1], n_jobs=2)
"""


@pytest.mark.slow
def test_killed_with_two_processes(tmp_path):
    """Also when workers outlive, for a moment, the process that started them."""
    target = tmp_path / "c"
    parts = tmp_path / ".c.building" / "parts"
    process = subprocess.Popen([sys.executable, "-c", _TWO_PROCESSES, str(target)])
    deadline = time.monotonic() + 240
    while len(list(parts.glob("*.json"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    n_done = len(list(parts.glob("*.json")))
    assert n_done < 14
    resumed = build_corpus("simulated:16x20", target, n_jobs=2)
    whole = build_corpus("simulated:16x20", tmp_path / "whole")
    assert content(resumed.directory) == content(whole.directory)
    assert sorted(os.listdir(tmp_path)) == ["c", "whole"]


@pytest.mark.slow
def test_processes_change_nothing(source, tmp_path):
    """Neither their number nor who finishes first."""
    sources = [source, "simulated:2x20"]
    one = build_corpus(sources, tmp_path / "one")
    two = build_corpus(sources, tmp_path / "two", n_jobs=2)
    assert content(one.directory) == content(two.directory)
    assert len(os.listdir(one.directory / "recordings")) == 2 * (6 + 2)


# --------------------------------------------------------------------------- in one process


@pytest.fixture
def read(monkeypatch):
    """Names of the recordings that are read."""
    names, real = [], build_part._write_part

    def write_part(recording, *args):
        names.append(recording.name)
        return real(recording, *args)

    monkeypatch.setattr(build_part, "_write_part", write_part)
    return names


def interrupt(monkeypatch, source, target, call, **options):
    """Press Ctrl-C when recording number ``call`` comes."""
    real, calls = build_part.preprocess, []

    def press(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(build_part, "preprocess", press)
        with pytest.raises(KeyboardInterrupt):
            build_corpus(source, target, **options)
    assert not target.exists()


def test_a_changed_source_is_built_again(source, tmp_path, monkeypatch, read):
    """Those that did not change are not; nothing is left of what was there before."""
    import shutil

    folder, target = shutil.copytree(source, tmp_path / "lab"), tmp_path / "c"
    interrupt(monkeypatch, folder, target, 5)
    assert len(read) == 6  # one is broken, one was interrupted
    changed = make_raw(n_channels=5, sfreq=256.0, duration=5.0, random_state=77)
    changed.save(folder / "sub-1_raw.fif", overwrite=True, verbose="error")
    read.clear()
    made = build_corpus(folder, target)
    assert sorted(read) == [f"sub-{name}_raw.fif" for name in ("1", "2b", "4", "5")]
    whole = build_corpus(folder, tmp_path / "whole")
    assert content(made.directory) == content(whole.directory)


@pytest.mark.parametrize("damage", ["values", "scales", "absent", "record"])
def test_a_damaged_recording_is_built_again(source, tmp_path, monkeypatch, read, damage):
    target = tmp_path / "c"
    interrupt(monkeypatch, source, target, 5)
    folder = tmp_path / ".c.building"
    values = sorted((folder / "corpus" / "recordings").glob("*[!e].npy"))
    scales = sorted((folder / "corpus" / "recordings").glob("*_scale.npy"))
    records = sorted((folder / "parts").glob("*.json"))
    assert len(values) == len(scales) == len(records) == 4
    if damage == "absent":
        values[0].unlink()
    else:
        os.truncate({"values": values, "scales": scales, "record": records}[damage][0], 100)
    read.clear()
    made = build_corpus(source, target)
    assert len(read) == 4  # this one, the broken one, and two that were not there
    made.verify()
    whole = build_corpus(source, tmp_path / "whole")
    assert content(made.directory) == content(whole.directory)


def test_unfinished_with_other_options_is_refused(source, tmp_path, monkeypatch):
    """Hours of work are not thrown away for a slip."""
    target = tmp_path / "c"
    interrupt(monkeypatch, source, target, 5)
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"unfinished build with other options.*\.c\.build"):
        build_corpus(source, target, dtype="float16")
    assert content(tmp_path) == before
    assert len(build_corpus(source, target)) == 6


def test_one_builder_at_a_time(source, tmp_path, monkeypatch):
    real, said = build_part.preprocess, []

    def second(*args, **kwargs):
        if not said:
            said.append("")
            with pytest.raises(BlockingIOError, match="Another process is building") as caught:
                build_corpus(source, tmp_path / "c")
            said[0] = str(caught.value)
        return real(*args, **kwargs)

    monkeypatch.setattr(build_part, "preprocess", second)
    build_corpus(source, tmp_path / "c")
    assert ".c.building" in said[0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("step", ["fsync", "rename", "replace"])
def test_failed_write(source, tmp_path, monkeypatch, number, step):
    """The error of the disk is no bad recording; it names the path; the build goes on."""

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match=r"could not be written.*make room.*\.c\.building") as e:
            build_corpus(source, tmp_path / "c")
    assert e.value.errno == number
    assert not (tmp_path / "c").exists()
    assert len(build_corpus(source, tmp_path / "c")) == 6


def test_target_that_cannot_be_made(source, tmp_path, monkeypatch):
    """Before a recording is read."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(build, "build_part", None)
    with pytest.raises(OSError, match="could not be written.*file"):
        build_corpus(source, tmp_path / "file" / "c")

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="Read-only.*give a writable directory"):
        build_corpus(source, tmp_path / "c")


def test_workers_report_a_full_disk(source, tmp_path):
    """The error crosses from process to process as what it is."""
    import pickle

    with pytest.raises(build_folder.CorpusWriteError) as caught, build_folder.writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is build_folder.CorpusWriteError and str(again) == str(caught.value)
    assert again.errno == errno.ENOSPC and again.filename == str(tmp_path)


class Deadly(Simulated):
    """A recording that ends the process that reads it, as the system does for lack of memory."""

    def make(self):
        os._exit(1)


def test_killed_worker(tmp_path):
    """The message says what to do, not what the pool of processes is called inside."""
    recordings = [Recording(Deadly(0, 20.0, 0), "x", "x")] * 2
    options = build._check_options(None, None, 320, "int16", ReadOptions())
    with pytest.raises(RuntimeError, match="lack of memory.*fewer than n_jobs=2"):
        calls = [(r, tmp_path / n, tmp_path, options) for r, n in zip(recordings, "ab")]
        list(build._run(calls, 2))


@pytest.mark.slow
def test_stopping_processes_is_quiet(source, tmp_path):
    """The error of one recording ends the others' processes without a word of joblib's own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"^sub-2b_raw\.fif: "):
            build_corpus(source, tmp_path / "c", n_jobs=2, on_error="raise")
    assert not [w for w in caught if "joblib" in w.filename or "task" in str(w.message)]
    assert len(build_corpus(source, tmp_path / "c")) == 6
    assert os.listdir(tmp_path) == ["c"]


def test_skipped_ones_are_tried_again(source, tmp_path, monkeypatch):
    """A recording that failed for a moment does not stay out of an unfinished build."""
    real, calls = build_part.read_samples, []

    def flaky(item, reading):
        calls.append(item)
        if "sub-4" in str(item) and len(calls) < 9:
            raise OSError("the network is down")
        return real(item, reading)

    monkeypatch.setattr(build_part, "read_samples", flaky)
    interrupt(monkeypatch, source, tmp_path / "c", 5)
    made = build_corpus(source, tmp_path / "c")
    assert len(made) == 6 and [row["name"] for row in made.skipped] == ["sub-2b_raw.fif"]
    assert Corpus(tmp_path / "c").sha256 == made.sha256
