"""``brainof pretrain``, ``brainof plot-run``, and the same without what training does not need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fakes import MICRO
from test_training_law import ABSENT, run_without

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.cli import main
from brainof_toolbox.encoder.backbones import find_checkpoint
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining import Corpus, PretrainingConfig, latest_checkpoint
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.config_file import read_run
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.log import read_log
from brainof_toolbox.pretraining.objective import time_loss
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator

NETWORK = {**MICRO, "patch_size": 64}


def _write(folder, corpus, *, network=NETWORK, training=None, **options):
    """A configuration file whose paths are relative to it."""
    training = {"max_tokens_per_microbatch": 256, "log_every": 2, **(training or {})}
    options = {
        "corpus": os.path.relpath(corpus, folder), "output_dir": "runs/one", "total_steps": 4,
        **options,
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    for name, table in (("model", network), ("training", training)):
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "run.toml"
    path.write_text("\n".join(lines))
    return path


def test_pretrain_resume_and_plot(small_corpus, tmp_path, capsys, monkeypatch, no_network):
    """Paths are relative to the file, not to where the command runs."""
    path = _write(tmp_path, small_corpus)
    monkeypatch.chdir(small_corpus)
    assert main(["pretrain", str(path), "--stop-after", "2", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip().endswith("runs/one/checkpoints/step-00000002")
    assert main(["pretrain", str(path), "--device", "cpu"]) == 1
    assert "--resume of brainof pretrain" in capsys.readouterr().err
    assert main(["pretrain", str(path), "--resume", "--device", "cpu"]) == 0
    done = latest_checkpoint(tmp_path / "runs" / "one")
    assert capsys.readouterr().out.strip() == str(done)
    assert load_checkpoint(done).manifest["steps"] == 4
    run = tmp_path / "runs" / "one"
    assert find_checkpoint(run) == find_checkpoint(str(run)) == done == find_checkpoint(done)
    assert find_checkpoint("brainof-tiny") == "brainof-tiny" and find_checkpoint(None) is None
    with pytest.raises(FileNotFoundError, match="found none"):
        (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
        find_checkpoint(tmp_path / "empty")
    assert main(["plot-run", str(tmp_path / "runs" / "one")]) == 0
    assert (tmp_path / "runs" / "one" / "curves.png").is_file()
    assert main(["plot-run", str(done.parents[1]), "-o", str(tmp_path / "c.svg")]) == 0
    assert "<svg" in (tmp_path / "c.svg").read_text()[:1000]
    capsys.readouterr()
    assert main(["info", str(done)]) == 0
    assert "steps" in capsys.readouterr().out


def test_jobs_that_are_queued_again_resume_or_begin(small_corpus, tmp_path, capsys):
    path = str(_write(tmp_path, small_corpus, device="cpu"))
    for stop in ("1", "3"):
        assert main(["pretrain", path, "--resume-or-begin", "--stop-after", stop]) == 0
        assert capsys.readouterr().out.strip().endswith(f"step-0000000{stop}")
    with pytest.raises(SystemExit):
        main(["pretrain", path, "--resume-or-begin", "--resume"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_is_told_how_to_go_on(number, small_corpus, tmp_path, capsys, monkeypatch):
    path = _write(tmp_path, small_corpus, device="cpu")
    read, sent = Corpus.__getitem__, []

    def stop(self, index):
        if not sent:
            sent.append(os.kill(os.getpid(), number))
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Corpus, "__getitem__", stop)
        if number == signal.SIGINT:
            assert main(["pretrain", str(path)]) == 130
        else:
            with pytest.raises(SystemExit, match="143"):
                main(["pretrain", str(path)])
    saved = latest_checkpoint(tmp_path / "runs" / "one")
    assert saved.name == "step-00000001"
    assert f"saved in {saved}; with --resume the same" in capsys.readouterr().err
    assert main(["pretrain", str(path), "--resume"]) == 0


@pytest.mark.slow
def test_module_needs_only_what_training_needs(small_corpus, tmp_path):
    """No reader of recordings, no scikit-learn, no matplotlib."""
    path = _write(tmp_path, small_corpus, device="cpu")
    code = f"""
        import runpy, sys
        sys.argv = ["pretraining", {str(path)!r}]
        runpy.run_module("brainof_toolbox.pretraining", run_name="__main__")
    """
    done = run_without(ABSENT, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(latest_checkpoint(tmp_path / "runs" / "one"))


def test_what_a_file_may_leave_out(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('corpus = "c"\noutput_dir = "/o"\ntotal_steps = 3\n')
    assert read_run(path) == {
        "corpus": str(tmp_path / "c"),
        "output_dir": "/o",
        "total_steps": 3,
        "config": "tiny",
    }


@pytest.mark.parametrize(
    "text, words",
    [
        ("corpus = 3", "missing keys 'output_dir', 'total_steps'"),
        ('corpus="a"\noutput_dir="b"\ntotal_steps=1\nsteps=3', "unknown keys 'steps'.*Known"),
        ('corpus="a"\noutput_dir="b"\ntotal_steps=1\nmodel="tiny"', "must be a table, .model"),
        ('corpus=["a"]\noutput_dir="b"\ntotal_steps=1', "'corpus' must be a path"),
        ("corpus = ", "not valid TOML"),
    ],
)
def test_files_that_say_nonsense(tmp_path, text, words, capsys):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"run.toml.*{words}"):
        read_run(path)
    assert main(["pretrain", str(path)]) == 1
    assert capsys.readouterr().err.startswith("brainof: error: ")


def test_unknown_fields_of_tables_are_named(small_corpus, tmp_path, capsys):
    for tables, word in (
        ({"network": {"presett": "tiny"}}, "presett"),
        ({"training": {"learning_rat": 1}}, "learning_rat"),
    ):
        assert main(["pretrain", str(_write(tmp_path, small_corpus, **tables))]) == 1
        error = capsys.readouterr().err
        assert repr(word) in error and "Known" in error
    assert main(["pretrain", str(tmp_path / "none.toml")]) == 1
    assert "no such configuration file" in capsys.readouterr().err


def _against_nothing(folder, corpus, training, start, stop):
    """Loss in time over that of a network that always says zero, by modality, over some steps."""
    corpus, config = Corpus(corpus), PretrainingConfig(**training)
    sampler, nothing = Sampler(corpus, config), {name: [] for name in MODALITY_CODES}
    for step in range(start, stop):
        grid = GridBatch.collate([corpus[index] for index in sampler.plan(step)[0]])
        masks = draw_masks(grid, config, mask_generator(0, step, 0), 64)
        nothing[MODALITY_CODES[grid.modality]].append(
            time_loss(-grid.data, masks, grid, 64).mean()
        )
    ratios = {}
    for name, losses in nothing.items():
        rows = [line for line in read_log(folder / "log.jsonl") if line["step"] > start]
        rows = [(row["time"][name], row["n_steps"][name]) for row in rows if name in row["time"]]
        said, weights = np.array(rows).T
        assert weights.sum() == len(losses)
        ratios[name] = np.average(said, weights=weights) / np.mean(losses)
    return ratios


@pytest.mark.slow
def test_from_recordings_to_rows_with_a_kill_between(tmp_path, eeg_epochs):
    """Build a corpus, pretrain, kill, resume; each modality is learned; embed."""
    assert main(["corpus", "build", "simulated:4x40", "-o", str(tmp_path / "corpus")]) == 0
    network = {"preset": "tiny", "width": 48, "n_layers": 2, "n_latents": 32}
    training = {
        "max_tokens_per_microbatch": 1024,
        "learning_rate": 5e-3,
        "warmup_steps": 20,
        "ema_decay": 0.99,
    }
    path = _write(
        tmp_path, tmp_path / "corpus", network=network, training=training, total_steps=300,
        save_every=10, device="cpu",
    )  # fmt: skip
    command = [sys.executable, "-m", "brainof_toolbox.cli", "pretrain", str(path)]
    process = subprocess.Popen(command)
    folder = tmp_path / "runs" / "one" / "checkpoints"
    while not list(folder.glob("step-*")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = latest_checkpoint(tmp_path / "runs" / "one")
    assert load_checkpoint(done).manifest["steps"] < 300
    assert main(["pretrain", str(path), "--resume"]) == 0
    done = latest_checkpoint(tmp_path / "runs" / "one")
    lines = read_log(tmp_path / "runs" / "one" / "log.jsonl")
    assert [line["step"] for line in lines] == list(range(2, 301, 2))
    # Not only less than at first, which a network reaches that learns to say nothing.
    ratios = _against_nothing(folder.parent, tmp_path / "corpus", training, 150, 300)
    assert max(ratios.values()) < 0.995, ratios
    rows = BrainOFEmbedder(done, pooling="mean").fit_transform(eeg_epochs)
    assert rows.shape == (len(eeg_epochs), 48) and np.isfinite(rows).all()
    assert load_checkpoint(done).manifest["datasets"] == ["simulated"]


def _launch(path, *options):
    """Two processes that train together, as a queue starts them."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "brainof_toolbox.pretraining", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _weights(folder, step):
    return load_checkpoint(folder / "checkpoints" / f"step-{step:08d}").model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_are_one_run(small_corpus, tmp_path, parallel):
    """The same weights, log and manifest; one goes on where two stopped, and two where one did."""
    training = {"n_microbatches": 2, "ema_decay": 0.9, "strategy": parallel}
    options = {"save_every": 2, "total_steps": 6, "device": "cpu"}
    one_alone = tmp_path / "alone"
    one_alone.mkdir()
    alone = _write(one_alone, small_corpus, training={**training, "strategy": "ddp"}, **options)
    assert main(["pretrain", str(alone)]) == 0
    together = tmp_path / "together"
    together.mkdir()
    path = _write(together, small_corpus, training=training, **options)
    for command in (("--stop-after", "2"), ("--resume", "--stop-after", "4"), ("--resume",)):
        if command[-1] == "4":  # one process, which holds the whole network
            text = path.read_text().replace('"fsdp"', '"ddp"')
            (together / "other.toml").write_text(text)
            assert main(["pretrain", str(together / "other.toml"), *command]) == 0
            continue
        process = _launch(path, *command)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-3000:]
    first, second = (folder / "runs" / "one" for folder in (one_alone, together))
    for step in (2, 4, 6):
        one, two = _weights(first, step), _weights(second, step)
        assert all(tensor.allclose(two[name], atol=1e-5) for name, tensor in one.items())
    lines = [read_log(folder / "log.jsonl") for folder in (first, second)]
    for one, two in zip(*lines, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["epoch"] == two["epoch"] and one["expert_load"].keys() == two["loss"].keys()


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves(small_corpus, tmp_path):
    path = _write(
        tmp_path, small_corpus, training={"n_microbatches": 2}, total_steps=100_000,
        save_every=100_000, device="cpu",
    )  # fmt: skip
    process = _launch(path)
    log = tmp_path / "runs" / "one" / "log.jsonl"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    done = latest_checkpoint(tmp_path / "runs" / "one")
    assert 2 <= load_checkpoint(done).manifest["steps"] < 100_000
