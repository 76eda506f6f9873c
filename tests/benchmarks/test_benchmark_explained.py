"""Shares of the variance of the quantities of pretraining that a network predicts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import explained
from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.corpus import CorpusSample
from brainof_toolbox.pretraining.targets import Targets
from brainof_toolbox.signals import Signals

N_OUTPUTS = 3


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    place = rng.standard_normal((6, 3))
    place[:, 2] = np.abs(place[:, 2])
    return [
        CorpusSample(
            data=(1 + number) * rng.standard_normal((6, 512)).astype(np.float32),
            sfreq=128.0,
            position=(0.09 * place / np.linalg.norm(place, axis=1)[:, None]).astype(np.float32),
            orientation=np.zeros((6, 3), np.float32),
            sensor_type=np.zeros(6, np.int64),
            log_scale=np.zeros(6, np.float32),
            modality=0,
            dataset="rest",
            index=number,
        )
        for number in range(4)
    ]


@pytest.fixture
def targets():
    return Targets(PretrainingConfig(term_places=2))


@pytest.fixture
def model(targets, windows):
    rows = [("eeg", name, 18, N_OUTPUTS) for name in ("second_order", "difference")]
    groups = ("second_order", "difference", "course", "reconstruction")
    network = BrainOF(
        BrainOFConfig(n_layers=1, width=16, n_heads=2, latent_groups=groups, read_outs=tuple(rows))
    )
    columns = np.stack([targets.columns(window, "second_order") for window in windows])
    with torch.no_grad():
        for read_out in network.read_outs["eeg"].values():
            read_out.mean.copy_(torch.from_numpy(columns.mean(0)))
            read_out.scale.fill_(10.0)  # nothing is clipped
            read_out.components[:N_OUTPUTS] = torch.eye(N_OUTPUTS)
    return network.eval()


def test_constant_predictions_explain_nothing(model, windows, targets, monkeypatch):
    """Untrained read-outs predict the mean; a course of zero has all of the power as error."""
    zero = lambda latents, queries, group: torch.zeros_like(queries.values)  # noqa: E731
    monkeypatch.setattr(model, "decode", zero)
    shares = explained.explain(model, windows, targets)
    assert shares == pytest.approx(dict.fromkeys(shares, 0.0), abs=1e-5)
    assert list(shares)[:3] == ["second_order", "difference", "course, quarter 1"]


def test_perfect_predictions_explain_all(model, windows, targets, monkeypatch):
    columns = [torch.from_numpy(targets.columns(w, "second_order"))[None] for w in windows]
    for name, read_out in model.read_outs["eeg"].items():
        found = iter([read_out.project(one) + (name == "difference") for one in columns])
        monkeypatch.setattr(read_out, "forward", lambda change, found=found: next(found))
    monkeypatch.setattr(model, "decode", lambda latents, queries, group: queries.values)
    shares = explained.explain(model, windows, targets)
    assert shares == pytest.approx(dict.fromkeys(shares, 1.0), abs=1e-5)


def test_windows_are_those_of_the_people(windows):
    def part(value):
        rng = np.random.default_rng(1)
        data = (value + 0.1 * rng.standard_normal((2, 6, 1024))).astype(np.float32)
        names = [f"E{k}" for k in range(6)]
        kinds, places = ["eeg"] * 6, windows[0].position
        return Signals(
            data=data, sfreq=128.0, modality="eeg", ch_names=names, ch_types=kinds, ch_pos=places
        )

    found = explained.read_windows([("sub-1", part(1.0)), ("sub-2", part(2.0))])
    assert sorted(round(float(w.data.mean())) for w in found) == [1, 1, 2, 2]
