"""A run goes on as if nothing had happened; what it left is whole, or passed over."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import indent

import pytest
from fakes import MICRO, SMALL, FakeCorpus, pretrain_micro, what_is_saved

from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.pretraining import latest_checkpoint, run_dir

EMA = {"ema_decay": 0.9}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What 12 steps without interruption leave, with a moving average."""
    path = pretrain_micro(tmp_path_factory.mktemp("straight") / "run", training=EMA)
    return what_is_saved(path)


# ------------------------------------------------------------------------------ exact resume


@pytest.mark.parametrize(
    "save_every, stops", [(100, [6]), (3, [5, 7]), (1, [1, 2]), (5, [11])]
)  # fmt: skip
def test_k_and_k_steps_are_2k_steps(tmp_path, straight, save_every, stops):
    """Weights, optimizer, average, log and order of the data, bit by bit."""
    options = {"training": EMA, "save_every": save_every}
    for number, stop in enumerate(stops):
        path = pretrain_micro(tmp_path, stop_after=stop, resume=number > 0, **options)
        assert path.name == f"step-{stop:08d}"
    assert what_is_saved(pretrain_micro(tmp_path, resume=True, **options)) == straight


def test_with_the_average_as_the_weights_shown(tmp_path, straight):
    """Which of the two the estimators get changes neither of them."""
    training = {**EMA, "save_average": True}
    pretrain_micro(tmp_path, stop_after=5, training=training)
    shown = pretrain_micro(tmp_path, stop_after=12, training=training, resume=True)
    average = load_checkpoint(shown).model
    path = pretrain_micro(tmp_path / "other", training=EMA)
    saved = run_dir.find_latest(tmp_path / "other")
    assert what_is_saved(path) == straight and saved.path == path
    import safetensors.torch

    state = safetensors.torch.load_file(path / "training.safetensors")
    assert set(average.state_dict()) == {
        name.removeprefix("ema.model.") for name in state if name.startswith("ema.")
    }
    for name, tensor in average.state_dict().items():
        assert tensor.equal(state[f"ema.model.{name}"])
    weights = safetensors.torch.load_file(shown / "training.safetensors")
    for name, tensor in load_checkpoint(path).model.state_dict().items():
        assert tensor.equal(weights[f"weights.model.{name}"])


def test_same_seed_same_run_whoever_reads(tmp_path, straight, global_rng_untouched):
    """Processes that read ahead change nothing; another seed does."""
    path = pretrain_micro(tmp_path / "one", training={**EMA, "n_workers": 2})
    assert what_is_saved(path) == straight
    other = pretrain_micro(tmp_path / "other", training=EMA, random_state=1)
    assert what_is_saved(other)[0] != straight[0]


def test_finished_run_is_left_alone(tmp_path):
    path = pretrain_micro(tmp_path, 3)
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    assert pretrain_micro(tmp_path, 3, resume=True) == path
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == before


# ------------------------------------------------------------------ what a resumed run must share


@pytest.mark.parametrize(
    "n_differences, changes, words",
    [
        (1, {"corpus": FakeCorpus(SMALL, seed=5)}, ["corpus.sha256: 0000", "->", "00005"]),
        (1, {"config": {**MICRO, "n_experts": 3}}, ["config.n_experts: 2 -> 3"]),
        (1, {"training": {"max_grad_norm": 2.0}}, ["training.max_grad_norm: 1.0 -> 2.0"]),
        (1, {"training": {"ema_decay": 0.5}}, ["training.ema_decay: null -> 0.5"]),
        (1, {"random_state": 7}, ["random_state: 0 -> 7"]),
        (1, {"total_steps": 9}, ["total_steps: 4 -> 9"]),
        (
            2,
            {"random_state": 7, "training": {"frequency_weight": 0.1}},
            ["random_state", "training.frequency_weight"],
        ),
    ],
)
def test_another_run_is_refused(two_steps, tmp_path, n_differences, changes, words):
    """Each difference is named, old -> new."""
    shutil.copytree(two_steps, tmp_path / "run")
    with pytest.raises(ValueError, match="cannot be resumed") as caught:
        pretrain_micro(tmp_path / "run", **{"total_steps": 4, **changes}, resume=True)
    assert all(word in str(caught.value) for word in words)
    assert str(caught.value).count(" -> ") == 1 + n_differences


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A run of four steps that was stopped after two."""
    folder = tmp_path_factory.mktemp("two") / "run"
    pretrain_micro(folder, 4, stop_after=2)
    return folder


def test_what_changes_no_result_may_change(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    free = {
        "log_every": 1,
        "keep_latest_k": 1,
        "max_loss_ratio": 99.0,
        "checkpoint_activations": True,
    }
    path = pretrain_micro(tmp_path / "run", 4, resume=True, training=free, save_every=1)
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["training"]["keep_latest_k"] == 1
    )
    straight = pretrain_micro(tmp_path / "straight", 4)
    assert what_is_saved(path)[0] == what_is_saved(straight)[0]


def test_nothing_to_resume_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="found none.*without resume=True"):
        pretrain_micro(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(two_steps):
    before = sorted(two_steps.rglob("*"))
    with pytest.raises(FileExistsError, match="resume=True.*or choose another.*run"):
        pretrain_micro(two_steps, 4)
    assert sorted(two_steps.rglob("*")) == before


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "log.jsonl").write_text("mine")
    with pytest.raises(FileExistsError, match="another origin"):
        pretrain_micro(tmp_path, 1)
    assert (tmp_path / "log.jsonl").read_text() == "mine"


def test_a_run_that_never_saved_starts_again(tmp_path):
    pretrain_micro(tmp_path, 3)
    shutil.rmtree(tmp_path / "checkpoints")
    path = pretrain_micro(tmp_path, 4, random_state=3)
    assert load_checkpoint(path).manifest["seed"] == 3
    assert [line["step"] for line in what_is_saved(path)[3]] == [4]


# ------------------------------------------------------------------------------ interruption


class Interrupting(FakeCorpus):
    """Sends this process a signal while a sample is read."""

    def __init__(self, number, after, times=1):
        super().__init__(SMALL)
        self.number, self.after, self.times = number, after, times

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if sum(self.n_read.values()) == self.after:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
        return sample


@pytest.mark.parametrize(
    "number, kind, code",
    [(signal.SIGINT, KeyboardInterrupt, ()), (signal.SIGTERM, SystemExit, (143,))],
)
def test_a_signal_finishes_the_step_and_saves(tmp_path, straight, number, kind, code):
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(kind) as caught:
        pretrain_micro(tmp_path, corpus=Interrupting(number, after=9), training=EMA)
    assert caught.value.args == code
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    saved = latest_checkpoint(tmp_path)
    assert load_checkpoint(saved).manifest["steps"] in range(1, 6)
    assert what_is_saved(pretrain_micro(tmp_path, resume=True, training=EMA)) == straight


def test_ctrl_c_twice_does_not_wait(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        pretrain_micro(tmp_path, corpus=Interrupting(signal.SIGINT, after=9, times=2))
    assert not list((tmp_path / "checkpoints").iterdir())


def test_other_threads_install_no_handlers(tmp_path):
    done = []
    thread = threading.Thread(target=lambda: done.append(pretrain_micro(tmp_path, 2)))
    thread.start()
    thread.join()
    assert done[0].name == "step-00000002"


_RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from fakes import pretrain_micro
from pathlib import Path
import brainof_toolbox.pretraining.loop
print("ready", flush=True)
resume = (Path(sys.argv[1]) / "checkpoints").exists() and any(
    (Path(sys.argv[1]) / "checkpoints").glob("step-*")
)
pretrain_micro(sys.argv[1], resume=resume, save_every=1,
               training={"ema_decay": 0.9, "n_workers": 1})
"""


def _start(folder):
    """A run in a process of its own, of one thread: sums are then the same in all of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_times(tmp_path):
    """The latest checkpoint loads each time; in the end the run is what it would have been."""
    rng, n_kills = random.Random(0), 0
    for _ in range(5):
        process = _start(tmp_path)
        time.sleep(rng.uniform(0.2, 1.2))
        process.send_signal(signal.SIGKILL)
        n_kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        if list((tmp_path / "checkpoints").glob("step-*")):
            load_checkpoint(latest_checkpoint(tmp_path))
    assert n_kills
    for folder in (tmp_path, tmp_path / "straight"):
        process = _start(folder)
        assert process.wait() == 0
        process.stdout.close()
    saved = [what_is_saved(latest_checkpoint(f)) for f in (tmp_path, tmp_path / "straight")]
    is_equal = saved[0] == saved[1]  # apart, as pytest would compare megabytes letter by letter
    assert is_equal
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.slow
def test_processes_that_read_are_not_hurt_by_ctrl_c(tmp_path):
    """SIGINT and SIGTERM to the whole group, as a terminal and a queue send them."""
    # The code after Ctrl-C is chosen here: once a part of torch is imported, Python leaves an
    # uncaught KeyboardInterrupt by code 1 rather than by the signal.
    script = f"try:{indent(_RUN, '    ')}except KeyboardInterrupt:\n    sys.exit(130)\n"
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                script,
                str(tmp_path / number.name),
                str(Path(__file__).parent),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        folder = tmp_path / number.name / "checkpoints"
        while not list(folder.glob("step-*")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (code, 0), errors  # 0: all steps were done by then
        assert "DataLoader" not in errors
        load_checkpoint(latest_checkpoint(tmp_path / number.name))


# -------------------------------------------------------------------------- writing and damage


class _KilledError(BaseException):
    """Stands for the end of the process: no handler of the package runs after it."""


def test_a_crash_at_any_file_operation(two_steps, tmp_path, monkeypatch):
    """The checkpoint of before or the new one is the latest, and it is whole."""
    old = what_is_saved(latest_checkpoint(two_steps))[0]
    new = what_is_saved(pretrain_micro(tmp_path / "straight", 4))[0]
    found, last = [], 0
    while True:
        folder = tmp_path / f"run{last}"
        shutil.copytree(two_steps, folder)
        with monkeypatch.context() as patch:
            was_killed = not _resume_until(patch, last, folder)
        latest = what_is_saved(latest_checkpoint(folder))[0]
        assert latest in (old, new)
        found.append(latest == new)
        if not was_killed:
            break
        last += 1
    assert last >= 8 and found == sorted(found) and not found[0] and found[-1]


def _resume_until(patch, last, folder):
    """Do the last two steps, but stop at one file operation; return whether it came to its end."""
    done = []

    def watch(real):
        def operation(*args, **kwargs):
            if folder.name not in str(args) and real is not fsync:
                return real(*args, **kwargs)
            done.append(real)
            if len(done) > last + 1:
                return None  # the dead write nothing more
            if len(done) == last + 1:
                raise _KilledError
            return real(*args, **kwargs)

        return operation

    fsync = os.fsync
    for owner, name in (
        (Path, "mkdir"), (os, "rename"), (os, "replace"), (os, "fsync"), (shutil, "rmtree")
    ):  # fmt: skip
        patch.setattr(owner, name, watch(getattr(owner, name)))
    try:
        pretrain_micro(folder, 4, resume=True, training={"keep_latest_k": 1})
    except _KilledError:
        return False
    return True


def test_disk_full(two_steps, tmp_path, monkeypatch):
    shutil.copytree(two_steps, tmp_path / "run")
    before = what_is_saved(latest_checkpoint(two_steps))

    real, calls = os.fsync, []

    def fail(handle):
        calls.append(handle)
        if len(calls) > 2:  # run.json, and the first file of the checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left.*unchanged.*step-00000004") as caught:
            pretrain_micro(tmp_path / "run", 4, resume=True)
    assert caught.value.errno == errno.ENOSPC and str(tmp_path / "run") in str(caught.value)
    assert what_is_saved(latest_checkpoint(tmp_path / "run"))[:3] == before[:3]
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]


_LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from fakes import pretrain_micro
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    pretrain_micro(sys.argv[1], 4, resume=True)
except OSError as error:
    sys.exit(0 if sys.argv[1] in str(error) and "writable directory" in str(error) else 3)
sys.exit(4)
"""


@pytest.mark.slow
def test_the_system_refuses_to_write_more(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    command = [sys.executable, "-c", _LIMITED, str(tmp_path / "run"), str(Path(__file__).parent)]
    assert subprocess.run(command).returncode == 0
    latest = latest_checkpoint(tmp_path / "run")
    assert what_is_saved(latest)[0] == what_is_saved(latest_checkpoint(two_steps))[0]
    assert os.listdir(latest.parent) == ["step-00000002"]


def test_directory_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="writable output_dir.*file/run"):
        pretrain_micro(tmp_path / "file" / "run", 1)

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="Read-only.*writable output_dir.*new"):
        pretrain_micro(tmp_path / "new", 1)


@pytest.fixture
def three_saved(tmp_path):
    """A run of six steps with checkpoints at 2, 4 and 6."""
    pretrain_micro(tmp_path / "run", 6, save_every=2)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "name",
    ["config.json", "model.safetensors", "manifest.json", "training.safetensors", "training.json"],
)
def test_damaged_checkpoints_are_passed_over(three_saved, name):
    """One byte changed, cut off, or missing: the one of before is the latest."""
    newest, before = (three_saved / "checkpoints" / f"step-0000000{n}" for n in (6, 4))
    whole = (newest / name).read_bytes()
    place = whole.index(b"step") + 8 if name == "training.json" else len(whole) // 2
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for content in (flipped, whole[:place]):
        (newest / name).write_bytes(content)
        with pytest.warns(RuntimeWarning, match="step-00000006 is damaged and passed over"):
            assert latest_checkpoint(three_saved) == before
    (newest / name).unlink()
    with pytest.warns(RuntimeWarning, match=f"step-00000006 is damaged.*{name}"):
        assert latest_checkpoint(three_saved) == before
    (newest / name).write_bytes(whole)
    assert latest_checkpoint(three_saved) == newest


def test_resume_from_before_a_damaged_checkpoint(three_saved):
    """The damaged one goes, or it would count as one of those to keep."""
    newest = three_saved / "checkpoints" / "step-00000006"
    whole = what_is_saved(newest)
    (newest / "model.safetensors").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="damaged"):
        path = pretrain_micro(
            three_saved, 6, resume=True, stop_after=5, training={"keep_latest_k": 1}
        )
    assert os.listdir(path.parent) == ["step-00000005"]
    assert what_is_saved(pretrain_micro(three_saved, 6, resume=True)) == whole


def test_no_valid_checkpoint_is_an_error(three_saved, tmp_path):
    for path in (three_saved / "checkpoints").iterdir():
        (path / "training.json").write_text("[]")
    with (
        pytest.warns(RuntimeWarning, match="damaged"),
        pytest.raises(FileNotFoundError, match="only damaged ones.*step-00000006"),
    ):
        latest_checkpoint(three_saved)
    with pytest.raises(FileNotFoundError, match="found none"):
        latest_checkpoint(tmp_path / "nowhere")


def test_only_the_latest_are_kept(tmp_path):
    pretrain_micro(tmp_path, 7, save_every=1, training={"keep_latest_k": 2})
    names = sorted(os.listdir(tmp_path / "checkpoints"))
    assert names == ["step-00000006", "step-00000007"]


def test_a_finished_run_goes_on_with_more_steps(tmp_path):
    """From the weights it ended with, along the longer schedule; not from its middle."""
    first = pretrain_micro(tmp_path / "run", 2)
    with pytest.raises(ValueError, match="total_steps: 2 -> 1"):
        pretrain_micro(tmp_path / "run", 1, resume=True)
    longer = pretrain_micro(tmp_path / "run", 4, resume=True, stop_after=3, save_every=1)
    assert longer.name == "step-00000003"
    assert (longer / "model.safetensors").read_bytes() != (
        first / "model.safetensors"
    ).read_bytes()
    with pytest.raises(ValueError, match="total_steps: 4 -> 6"):  # it has not ended
        pretrain_micro(tmp_path / "run", 6, resume=True)
    assert pretrain_micro(tmp_path / "run", 4, resume=True).name == "step-00000004"
