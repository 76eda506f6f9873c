"""Two processes that train together: equal to one, resumed by one, never left hanging."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ranks_worker import CORPORA, HALF, N_STEPS, Run, starved
from safetensors.torch import load_file
from torch.nn.parallel import DistributedDataParallel

from brainof_toolbox.pretraining.distributed import DistributedRun
from brainof_toolbox.pretraining.process_group import end_group, make_group

HERE = Path(__file__).resolve().parent
WORKER = str(HERE / "ranks_worker.py")
ALONE = DistributedRun("cpu")


def launch(*arguments, n_ranks=2, timeout=120, **variables):
    """Run a script or a module in several processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(n_ranks), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        command, env=environment, cwd=HERE, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The runs of a single process: state and losses by name."""
    folder = tmp_path_factory.mktemp("alone")
    run = Run(ALONE).train(0, HALF)
    run.write(folder, "single-half")
    run.train(HALF, N_STEPS).write(folder, "mixed")
    Run(ALONE, "single").train(0, HALF).write(folder, "single")
    run = Run(ALONE)
    with starved(run.micro_batch):
        run.train(0, HALF).write(folder, "starved")
    return folder


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory):
    """The same runs of two processes."""
    folder = tmp_path_factory.mktemp("together")
    shutil.copy(alone / "single-half.safetensors", folder)
    done = launch(WORKER, folder, "agree", "compare")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def _assert_equal(first, second, tolerance=1e-5):
    """Weights, moments, counts and averages of two states agree."""
    first, second = (load_file(f"{path}.safetensors") for path in (first, second))
    assert set(first) == set(second) and len(first) > 100
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=tolerance, msg=name)


def _losses(path, start=0):
    rows = json.loads(Path(f"{path}.json").read_text())["losses"]
    return torch.tensor(rows)[start:]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("corpus", ["mixed", "single"])
@pytest.mark.slow
def test_two_processes_equal_one(parallel, corpus, alone, together):
    """Losses, norms of gradients, weights, moments; modalities alternate, or there is one."""
    sampler = Run(ALONE, corpus).sampler
    for steps in (range(HALF), range(HALF, N_STEPS)):
        modalities = {sampler.bucket(step).modality for step in steps}
        assert len(modalities) == len({row[0] for row in CORPORA[corpus]})
    ours, theirs = alone / corpus, together / f"{parallel}-{corpus}"
    torch.testing.assert_close(_losses(ours), _losses(theirs), rtol=0, atol=1e-5)
    _assert_equal(ours, theirs)
    start = load_file(alone / "single-half.safetensors")
    name = "weights.model.latents"
    assert (start[name] - load_file(f"{ours}.safetensors")[name]).abs().max() > 1e-4


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.slow
def test_an_expert_without_tokens_hangs_nobody(parallel, alone, together):
    """No token of the second process chooses the last expert, and the result is still equal."""
    loads = torch.tensor(json.loads((alone / "starved.json").read_text())["loads"])
    assert loads[1::2, -1].max() == 0 and loads[::2, -1].min() > 0
    _assert_equal(alone / "starved", together / f"{parallel}-starved")


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.slow
def test_one_process_resumed_by_two(parallel, alone, together):
    ours, theirs = alone / "mixed", together / f"{parallel}-resumed"
    torch.testing.assert_close(_losses(ours, HALF), _losses(theirs), rtol=0, atol=1e-5)
    _assert_equal(ours, theirs)


@pytest.mark.slow
def test_two_processes_resumed_by_one(alone, together, tmp_path):
    run = Run(ALONE)
    ALONE.restore(load_file(together / "ddp-half.safetensors"), *run.state)
    run.train(HALF, N_STEPS).write(tmp_path, "resumed")
    _assert_equal(alone / "mixed", tmp_path / "resumed")


@pytest.mark.slow
def test_shards_are_resumed_bitwise_by_as_many(together):
    _assert_equal(together / "fsdp-mixed", together / "shards-resumed", tolerance=0)


@pytest.mark.slow
def test_shards_are_resumed_by_one_whole_network(alone, together, tmp_path):
    run = Run(ALONE)
    ALONE.load_shards(together / "step", *run.state)
    run.write(tmp_path, "read")
    _assert_equal(together / "fsdp-half", tmp_path / "read", tolerance=0)
    run.train(HALF, N_STEPS).write(tmp_path, "resumed")
    _assert_equal(alone / "mixed", tmp_path / "resumed")


@pytest.mark.slow
def test_shards_hold_no_pickle_and_no_whole_network(together):
    files = sorted((together / "step" / "shards").iterdir())
    assert len(files) == 2 and {path.suffix for path in files} == {".safetensors"}
    whole = (together / "fsdp-half.safetensors").stat().st_size
    assert all(path.stat().st_size < 0.6 * whole for path in files)


@pytest.mark.parametrize("damage", ["missing", "short", "other network"])
@pytest.mark.slow
def test_damaged_shards_are_refused(damage, together, tmp_path):
    shutil.copytree(together / "step", tmp_path / "step")
    first, _ = sorted((tmp_path / "step" / "shards").iterdir())
    run = Run(ALONE)
    if damage == "missing":
        first.unlink()
    elif damage == "short":
        os.truncate(first, first.stat().st_size // 2)
    else:
        run.average.values["nobody"] = torch.zeros(3)
    with pytest.raises(ValueError, match="shards could not be read .* damaged, or belongs"):
        ALONE.load_shards(tmp_path / "step", *run.state)


def test_what_cannot_be_written_is_an_oserror(tmp_path):
    """Also when torch wraps what its writers raise; here a file stands in the way."""
    (tmp_path / "shards").write_text("in the way")
    with pytest.raises(OSError, match="Process 0 could not use its part.*shards"):
        ALONE.save_shards(tmp_path, *Run(ALONE).state)


def test_a_state_of_another_network_is_refused(alone):
    run = Run(ALONE)
    state = load_file(alone / "single-half.safetensors")
    name = "weights.model.latents"
    with pytest.raises(ValueError, match=r"latents has shape \(2, 2\), it must have \(8, 16\)"):
        ALONE.restore({**state, name: torch.zeros(2, 2)}, *run.state)
    del state[name]
    with pytest.raises(ValueError, match="lacks 1 of .* weights.model.latents"):
        ALONE.restore(state, *run.state)


@pytest.mark.slow
def test_agreements(together):
    for rank in range(2):
        found = json.loads((together / f"agree-{rank}.json").read_text())
        assert found == {
            "mean": [1.5, [0.0, 2.0]],
            "gather": [0.0, 10.0],
            "any": [True, False],
            "main": rank == 0,
            "share": [rank, rank + 2],
        }


def test_alone_there_is_nobody_to_ask():
    with DistributedRun.from_environment("cpu") as ranks:
        assert not torch.distributed.is_initialized()
        assert (ranks.rank, ranks.n_ranks, ranks.is_main) == (0, 1, True)
        assert ranks.any(True) and not ranks.any(False)
        assert ranks.mean({"a": torch.tensor(2.0)}) == {"a": 2.0} and ranks.mean({}) == {}
        assert list(ranks.local_microbatches(3)) == [0, 1, 2]
        module = torch.nn.Linear(2, 1)
        assert ranks.wrap(module) is module and not ranks.is_sharded(module)


def test_parts_in_a_single_process_equal_the_whole(alone, tmp_path):
    """FSDP without a launcher makes a group of one, and takes it away again."""
    with DistributedRun.from_environment("cpu") as ranks:
        run = Run(ranks, "mixed", "fsdp").train(0, N_STEPS)
        assert ranks.is_sharded(run.module)
        run.write(tmp_path, "parts")
    assert not torch.distributed.is_initialized()
    _assert_equal(alone / "mixed", tmp_path / "parts")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_the_threads_of_collectives_end_with_the_group():
    """A thread that were still at work while the interpreter ends would abort the process."""

    def count():
        names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
        return sum("gloo" in name for name in names)

    before = count()
    make_group(torch.device("cpu"), timeout=10, alone=True)
    network = DistributedDataParallel(torch.nn.Linear(2, 1))
    network(torch.ones(1, 2)).sum().backward()
    assert count() > before
    del network
    end_group()
    assert count() == before and not torch.distributed.is_initialized()


@pytest.mark.slow
def test_a_process_that_fails_stops_all():
    """A broken process ends the other one, which says so, and the launcher, within the limit."""
    done = launch(WORKER, "-", "fail", timeout=100)
    assert done.returncode != 0
    assert "ValueError: recording 7 is broken" in done.stderr
    assert "ConnectionError: Process 0 of 2 lost another one in a training step" in done.stderr


def test_processes_must_share_evenly():
    ranks = DistributedRun("cpu", 1, 3)
    assert list(ranks.local_microbatches(6)) == [1, 4]
    with pytest.raises(ValueError, match="must be a multiple .* 3, got 4. Choose 6"):
        ranks.local_microbatches(4)


def test_environment_is_checked(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="WORLD_SIZE but not RANK, LOCAL_RANK. .* torchrun"):
        DistributedRun.from_environment("cpu")
    monkeypatch.delenv("WORLD_SIZE")
    for device in ("gpu9", "meta", "cuda:99"):
        with pytest.raises(ValueError, match="device"):
            DistributedRun.from_environment(device)
    with pytest.raises(ValueError, match="timeout"):
        DistributedRun("cpu", timeout=0)
    with pytest.raises(ValueError, match="'strategy'"):
        ALONE.wrap(torch.nn.Linear(1, 1), "tensor")


@pytest.mark.slow
def test_a_partner_that_never_comes_is_named(monkeypatch):
    """The error says who waited, for how long, and that the run can be resumed."""
    names = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**names, "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    message = "Process 0 of 2 lost .* meeting .* within 1 s.*resumed"
    with (
        pytest.raises(ConnectionError, match=message),
        DistributedRun.from_environment("cpu", timeout=1),
    ):
        pass
    assert not torch.distributed.is_initialized()
