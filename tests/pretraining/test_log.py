"""The lines of the log, alarm, TensorBoard, and the curves."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest
import torch
from fakes import pretrain_micro

from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.curves import plot_run, smooth_curve
from brainof_toolbox.pretraining.log import MIN_STEPS, SMOOTHING, Log, read_log

EPOCHS = {"eeg": 1.5, "meg": 0.0}


def _step(rng, modality):
    terms = {name: float(rng.uniform()) for name in ("loss", "time", "entropy")}
    load = torch.from_numpy(rng.uniform(size=3))
    return {
        "modality": modality,
        "terms": {**terms, "load": load},
        "norm": float(rng.uniform()),
        "size": (int(rng.integers(1, 9)), float(rng.integers(50, 90))),
        "seconds": float(rng.uniform(1, 2)),
        "waited": float(rng.uniform()),
    }


def _add(log, step):
    log.add(step["modality"], step["terms"], **{k: step[k] for k in
            ("norm", "size", "seconds", "waited")})  # fmt: skip


@pytest.fixture
def steps():
    rng = np.random.default_rng(0)
    return [_step(rng, "eeg" if number % 3 else "meg") for number in range(7)]


def test_line_holds_the_means_of_its_interval(tmp_path, steps):
    log = Log(tmp_path / "log.jsonl", PretrainingConfig())
    _add(log, steps[0])
    log.write(1, rate=0.5, epochs=EPOCHS)  # begins an interval
    for step in steps[1:]:
        _add(log, step)
    returned = log.write(7, rate=0.25, epochs=EPOCHS)
    first, line = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert line == returned and first["n_steps"] == {"meg": 1}
    assert line["step"] == 7 and line["learning_rate"] == 0.25 and line["epoch"] == EPOCHS
    for modality in ("eeg", "meg"):
        mine = [step for step in steps[1:] if step["modality"] == modality]
        assert line["n_steps"][modality] == len(mine)
        for name, term in (("loss", "loss"), ("time", "time"), ("routing_entropy", "entropy")):
            mean = np.mean([step["terms"][term] for step in mine])
            assert line[name][modality] == pytest.approx(mean, rel=1e-5)
        load = np.mean([step["terms"]["load"].numpy() for step in mine], axis=0)
        assert np.allclose(line["expert_load"][modality], load, rtol=1e-5)
    seconds = sum(step["seconds"] for step in steps[1:])
    for name, total in (
        ("samples_per_second", sum(step["size"][0] for step in steps[1:])),
        ("tokens_per_second", sum(step["size"][1] for step in steps[1:])),
        ("waiting", sum(step["waited"] for step in steps[1:])),
    ):
        assert line[name] == pytest.approx(total / seconds, rel=1e-5)
    norm = np.mean([step["norm"] for step in steps[1:]])
    assert line["gradient_norm"] == pytest.approx(norm, rel=1e-5)


def test_interrupted_log_goes_on_as_if_it_had_not_been(tmp_path, steps):
    """The state of the middle of an interval survives JSON; later lines are removed."""
    whole, first = (Log(tmp_path / name, PretrainingConfig()) for name in ("whole", "parts"))
    for log in (whole, first):
        _add(log, steps[0])
        log.write(1, rate=0.5, epochs=EPOCHS)
        for step in steps[1:4]:
            _add(log, step)
    state = json.loads(json.dumps(first.state()))
    _add(first, steps[4])
    first.write(5, rate=0.1, epochs=EPOCHS)
    with open(tmp_path / "parts", "a") as file:
        file.write('{"step": 6, "loss": {"ee')  # killed while writing
    second = Log(tmp_path / "parts", PretrainingConfig())
    second.restore(state, 4)
    for log in (whole, second):
        for step in steps[4:]:
            _add(log, step)
        log.write(7, rate=0.2, epochs=EPOCHS)
    assert (tmp_path / "parts").read_text() == (tmp_path / "whole").read_text()
    assert second.state() == whole.state()


def test_lines_that_are_none_are_left_out(tmp_path):
    (tmp_path / "log").write_text('{"step": 1}\n[2]\n{"step": "3"}\nnoise\n{"step": 4}\n{"ste')
    assert read_log(tmp_path / "log") == [{"step": 1}, {"step": 4}]


def test_problem_is_what_is_not_finite_or_leaves_the_running_mean():
    log = Log(None, PretrainingConfig(max_loss_ratio=3.0))
    rng = np.random.default_rng(0)
    mean = 0.0
    for count in range(3 * MIN_STEPS):
        limit = None if count < MIN_STEPS else 3.0 * mean
        assert log.find_problem("eeg", 1e9, 1.0) is None or limit is not None
        if limit is not None:
            assert "3 times its running mean" in log.find_problem("eeg", 1.01 * limit, 1.0)
            assert log.find_problem("eeg", 0.99 * limit, 1.0) is None
            assert log.find_problem("meg", 1.01 * limit, 1.0) is None
        loss = float(rng.uniform(1, 2))
        _add(log, {**_step(rng, "eeg"), "terms": {"loss": loss}})
        keep = min(SMOOTHING, count / (count + 1))
        mean = keep * mean + (1 - keep) * loss
    for bad in (np.nan, np.inf):
        assert "loss is" in log.find_problem("eeg", bad, 1.0)
        assert "gradient is not finite" in log.find_problem("eeg", 1.0, bad)


def test_log_on_a_full_disk_names_itself(tmp_path):
    log = Log(tmp_path / "gone" / "log.jsonl", PretrainingConfig())
    with pytest.raises(OSError, match="log could not be written.*resumed.*log.jsonl"):
        log.write(1, rate=0.1, epochs={})


def test_tensorboard_gets_every_number(tmp_path, monkeypatch):
    """A stand-in for the optional package."""
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    board = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    path = pretrain_micro(tmp_path, 4, training={"tensorboard": True, "log_every": 2})
    line = read_log(path.parents[1] / "log.jsonl")[-1]
    assert written[0] == (str(tmp_path / "tensorboard"), 2) and written[-1] == "closed"
    assert ("gradient_norm", line["gradient_norm"], 4) in written
    for modality, loss in line["loss"].items():
        assert (f"loss/{modality}", loss, 4) in written
        assert (f"expert_load/{modality}/1", line["expert_load"][modality][1], 4) in written


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"tensorboard=True needs.*brainof_toolbox\[tensorboard"):
        pretrain_micro(tmp_path, 1, training={"tensorboard": True})


# ------------------------------------------------------------------------------------ curves


def test_smoothing_is_a_centred_mean_that_keeps_constants():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 2))
    naive = []
    for here in range(100):
        width = min(5, here, 99 - here)
        naive.append(values[here - width : here + width + 1].mean(axis=0))
    assert np.allclose(smooth_curve(values), naive)
    assert np.allclose(smooth_curve(np.full(50, 3.0)), 3.0)
    assert np.array_equal(smooth_curve(values[:3]), values[:3])


@pytest.mark.parametrize("log_every, network", [(1, {}), (6, {"experts": "dense"})])
def test_curves_of_any_run(tmp_path, log_every, network):
    """Many lines, one line, no experts; drawn without a window, and not blank."""
    from fakes import MICRO
    from matplotlib.image import imread

    training = {"log_every": log_every}
    pretrain_micro(tmp_path, 6, training=training, config={**MICRO, **network})
    path = plot_run(tmp_path)
    assert path == tmp_path / "curves.png"
    image = imread(path)
    assert image.shape[0] > 500 and 0.01 < (image[..., :3].mean(-1) < 0.9).mean() < 0.5
    assert plot_run(tmp_path, tmp_path / "new" / "other.pdf").stat().st_size > 1000


def test_no_curves_without_a_log(tmp_path):
    with pytest.raises(FileNotFoundError, match="no log of a pretraining run"):
        plot_run(tmp_path)
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(ValueError, match="no line yet"):
        plot_run(tmp_path)
