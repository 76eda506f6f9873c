"""Groups of parameters, learning rates, moving averages."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from brainof_toolbox.models import BrainOF
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.optim import (
    MovingAverage,
    encoder_share,
    learning_rate,
    make_optimizer,
    parameter_groups,
    set_learning_rate,
)

FREE = re.compile(
    r"(^|\.)(norm|place_norm|query_norm|content_norm|head_norm)\.weight$"
    r"|(^|\.)(scale|attention_scale|key_content)\.weight$"
    r"|attention\.lam$|^latents$|^content\.mask$|^place\.(sensor_type|modality)$"
)


@pytest.mark.parametrize(
    "changes",
    [{}, {"attention": "plain", "experts": "dense"}, {"position_encoding": "none",
     "latent_init": "random"}, {"spectrum": False, "top_k": 2}, {"predicts_spectrum": True}],
    ids=["default", "ablations", "no positions", "no spectrum", "answers"],
)  # fmt: skip
def test_every_parameter_is_in_one_group(micro_config, changes):
    """No decay on norms, scales, lambda and embeddings; there are no biases."""
    model = BrainOF(type(micro_config).from_dict({**micro_config.to_dict(), **changes}))
    groups = parameter_groups(model, 0.3)
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0, 0.3, 0.0]
    assert [group["is_decoder"] for group in groups] == [False, False, True, True]
    names = {id(p): name for name, p in model.named_parameters()}
    listed = [[names[id(p)] for p in group["params"]] for group in groups]
    assert sorted(name for group in listed for name in group) == sorted(names.values())
    assert {*listed[1], *listed[3]} == {n for n in names.values() if FREE.search(n)}
    answers = re.compile(r"^(decoder\.|patch\.|spectrum\.|usual_spectrum\.)")
    assert {*listed[2], *listed[3]} == {n for n in names.values() if answers.search(n)}
    assert not [name for name in names.values() if "bias" in name]


def test_groups_see_through_what_is_wrapped_around(micro_config):
    model = BrainOF(micro_config)
    outer = torch.nn.ModuleDict({"module": torch.nn.ModuleDict({"model": model})})
    for inside, outside in zip(parameter_groups(model, 0.1), parameter_groups(outer, 0.1)):
        assert [id(p) for p in inside["params"]] == [id(p) for p in outside["params"]]


def test_a_parameter_nobody_decided_on_is_named():
    class Newcomer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.strange = torch.nn.Parameter(torch.zeros(2))

    with pytest.raises(TypeError, match="strange of Newcomer is in no group"):
        parameter_groups(torch.nn.ModuleDict({"part": Newcomer()}), 0.1)


def test_first_step_equals_the_formula(micro_config):
    """With gradient g the first step is ``w - rate * (decay * w + g / (|g| + eps))``."""
    model, before = BrainOF(micro_config), BrainOF(micro_config)
    config = PretrainingConfig(weight_decay=0.2)
    optimizer = make_optimizer(model, config)
    set_learning_rate(optimizer, 0.01)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    for (name, new), old in zip(model.named_parameters(), before.parameters()):
        decay = 0.0 if FREE.search(name) else 0.2
        expected = old * (1 - 0.01 * decay) - 0.01 * new.grad / (new.grad.abs() + 1e-8)
        assert torch.allclose(new, expected, atol=1e-6), name


def _naive_rate(step, total, peak, floor, n_warmup):
    if step + 1 <= n_warmup:
        return peak * (step + 1) / n_warmup
    angle = math.pi * (step + 1 - n_warmup) / (total - n_warmup)
    return floor * peak + (peak - floor * peak) * (1 + math.cos(angle)) / 2


@pytest.mark.parametrize("n_warmup, total", [(10, 100), (0, 50), (99, 100), (100, 100), (0, 1)])
def test_learning_rate_rises_then_falls(n_warmup, total):
    config = PretrainingConfig(learning_rate=2.0, final_learning_rate=0.1, warmup_steps=n_warmup)
    rates = np.array([learning_rate(step, total, config) for step in range(total)])
    naive = [_naive_rate(step, total, 2.0, 0.1, n_warmup) for step in range(total)]
    assert np.allclose(rates, naive)
    assert (rates > 0).all() and (np.diff(rates[:n_warmup]) > 0).all()
    assert (np.diff(rates[max(n_warmup - 1, 0) :]) < 0).all()
    if n_warmup:
        assert rates[n_warmup - 1] == rates.max() == 2.0
    if total > n_warmup:
        assert rates[-1] == pytest.approx(0.2)


def test_warmup_longer_than_the_run_ends_with_it():
    config = PretrainingConfig(learning_rate=1.0, warmup_steps=1000)
    assert [learning_rate(step, 4, config) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_decoder_may_learn_first(micro_config):
    """Then the encoder rises within a warm-up of its own, to its share."""
    config = PretrainingConfig(encoder_frozen_steps=3, encoder_lr_ratio=0.5, warmup_steps=4)
    shares = [encoder_share(step, config) for step in range(9)]
    assert shares == [0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert encoder_share(0, PretrainingConfig(encoder_lr_ratio=0.5)) == 0.5
    model, before = BrainOF(micro_config), BrainOF(micro_config)
    optimizer = make_optimizer(model, config)
    set_learning_rate(optimizer, 0.01, shares[0])
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for (name, new), old in zip(model.named_parameters(), before.parameters()):
        assert torch.equal(new, old) != name.startswith(("decoder.", "patch.")), name


def test_moving_average_equals_the_sum_written_out():
    weight = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    average = MovingAverage({"w": weight}, 0.5)
    expected = 0.0
    for step in range(12):
        weight.data += torch.tensor([1.0, -2.0, 0.5]) * step
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach().clone()
    assert torch.allclose(average.values["w"], expected, rtol=1e-12)
    assert not average.values["w"].requires_grad
    assert torch.equal(weight.detach(), weight.data)


def test_moving_average_of_what_stands_still_stands_still():
    weight = torch.nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    average = MovingAverage({"w": weight}, 0.9)
    for step in range(5):
        average.update(step)
    assert torch.equal(average.values["w"], weight.detach())
