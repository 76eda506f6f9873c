"""The command line in two processes, and the script for SLURM, as a lab runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fakes import MICRO, TRAINING
from safetensors.torch import load_file

from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.pretraining import latest_checkpoint
from brainof_toolbox.pretraining.config_file import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
N_STEPS = 8
SCRIPT = Path(__file__).resolve().parents[2] / "doc" / "slurm_pretrain.sbatch"


def write_run(folder, corpus, total_steps=N_STEPS, **training):
    """Write the TOML file of a run; its output is in the folder ``run`` beside it."""
    folder.mkdir(exist_ok=True)
    training = {**TRAINING, "max_tokens_per_microbatch": 256, "ema_decay": 0.9, **training}
    lines = [f'corpus = "{corpus}"', 'output_dir = "run"', f"total_steps = {total_steps}"]
    lines += ['device = "cpu"', "save_every = 100"]
    for table, fields in (("model", MICRO), ("training", training)):
        lines += [f"[{table}]", *(f"{k} = {_as_toml(v)}" for k, v in fields.items())]
    path = folder / "run.toml"
    path.write_text("\n".join(lines))
    return path


def _as_toml(value):
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{k} = {_as_toml(v)}" for k, v in value.items()) + "}"


def torchrun(*arguments):
    """Run the command in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "brainof_toolbox.pretraining"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def straight(small_corpus, tmp_path_factory):
    """The last checkpoint of a single process."""
    path = write_run(tmp_path_factory.mktemp("straight"), small_corpus)
    main([str(path)])
    return latest_checkpoint(path.with_name("run"))


def _assert_equal(first, second):
    """Weights for estimators, and all that training keeps, agree."""
    for name in ("model.safetensors", "training.safetensors"):
        ours, theirs = load_file(first / name), load_file(second / name)
        assert set(ours) == set(theirs)
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-5, msg=key)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_are_one_run(parallel, straight, small_corpus, tmp_path):
    """The log, the checkpoints, and a single process that goes on from the middle."""
    path = write_run(tmp_path, small_corpus, strategy=parallel)
    done = torchrun(path, "--stop-after", 5)
    middle = latest_checkpoint(tmp_path / "run")
    assert done.stdout.split() == [str(middle)] and middle.name == "step-00000005"
    assert (middle / "shards").is_dir() == (parallel == "fsdp")
    assert len(list(middle.glob("shards/*.safetensors"))) == 2 * (parallel == "fsdp")
    checkpoint = load_checkpoint(middle)  # strict
    assert checkpoint.manifest["steps"] == 5
    assert checkpoint.manifest["training"]["strategy"] == parallel

    main([str(write_run(tmp_path, small_corpus)), "--resume"])
    _assert_equal(straight, latest_checkpoint(tmp_path / "run"))
    ours, theirs = (
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (straight.parents[1], tmp_path / "run")
    )
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for mine, other in zip(ours, theirs):
        assert mine["gradient_norm"] == pytest.approx(other["gradient_norm"], abs=1e-5)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_one_process_goes_on_as_two(parallel, straight, small_corpus, tmp_path):
    main([str(write_run(tmp_path, small_corpus)), "--stop-after", "3"])
    torchrun(write_run(tmp_path, small_corpus, strategy=parallel), "--resume")
    last = latest_checkpoint(tmp_path / "run")
    assert last.name == straight.name
    ours, theirs = load_checkpoint(straight).model, load_checkpoint(last).model
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values()):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5, msg=name)


#: Stand-ins for SLURM: srun runs on this machine, scancel finds it by its number.
COMMANDS = {
    "srun": 'echo $$ > "$STATE/pid"; shift; exec "$@"',
    "scancel": 'kill -TERM "$(cat "$STATE/pid")"',
    "scontrol": 'if [ "$1" = requeue ]; then echo "$2" >> "$STATE/queue"; else echo localhost; fi',
    "python": f'exec {sys.executable} "$@"',
}


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_slurm_job_saves_queues_itself_and_goes_on(small_corpus, tmp_path):
    """USR1 before the end of the time; the same script then resumes."""
    for name, body in COMMANDS.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = write_run(tmp_path / "job", small_corpus, total_steps=100_000)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "STATE": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "here",
        "SLURM_NNODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
    }
    found = []
    for restart in range(2):
        environment["SLURM_RESTART_COUNT"] = str(restart)
        with open(tmp_path / "output", "a") as output:
            job = subprocess.Popen(
                ["bash", str(SCRIPT), str(path)], env=environment, stdout=output, stderr=output
            )
        lines = len(_log(path))
        while len(_log(path)) < lines + 2:  # it trains
            assert job.poll() is None, (tmp_path / "output").read_text()[-3000:]
            time.sleep(0.2)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(timeout=200) == 0
        found.append(load_checkpoint(latest_checkpoint(path.with_name("run"))).manifest["steps"])
    assert 0 < found[0] < found[1] < 100_000
    assert (tmp_path / "queue").read_text().split() == [str(os.getpid())] * 2
    steps = [line["step"] for line in _log(path)]
    assert steps == sorted(set(steps))  # the second job went on with the log of the first


def _log(path):
    log = path.with_name("run") / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_terms_in_two_processes_are_one_run(parallel, small_corpus, tmp_path):
    """Statistics, moving means and parameters without a gradient are the same on both."""
    fields = {
        "max_tokens_per_microbatch": 4096,
        "terms": {"second_order": 1.0, "difference": 1.0, "course": 1.0},
        "term_places": 4,
        "term_regions": 6,
        "term_samples": 12,
        "save_average": True,
    }
    one = write_run(tmp_path / "one", small_corpus, **fields)
    main([str(one)])
    two = write_run(tmp_path / "two", small_corpus, strategy=parallel, **fields)
    torchrun(two, "--stop-after", 5)
    torchrun(two, "--resume")
    saved = [
        load_file(latest_checkpoint(p.with_name("run")) / "model.safetensors") for p in (one, two)
    ]
    assert set(saved[0]) == set(saved[1])
    for key in saved[0]:
        torch.testing.assert_close(saved[0][key], saved[1][key], rtol=0, atol=1e-5, msg=key)
