"""Experts: fast forms equal the loop over tokens, and nobody is dropped."""

from __future__ import annotations

import naive
import pytest
import torch

from brainof_toolbox.models import BrainOFConfig
from brainof_toolbox.models.layers import SwiGLU
from brainof_toolbox.models.moe import MixtureOfExperts, balance_loss
from brainof_toolbox.models.resampler import FeedForward


def _moe(n_experts=4, top_k=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    moe = MixtureOfExperts(8, 16, n_experts, top_k)
    for part in reversed(list(moe.modules())):
        if hasattr(part, "initialise"):
            part.initialise(generator)
    return moe.to(dtype)


def _tokens(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize(("n_experts", "top_k"), [(1, 1), (4, 1), (4, 2), (5, 5)])
def test_moe_equals_the_loop_over_tokens(n_experts, top_k):
    fast_moe, slow_moe = _moe(n_experts, top_k), _moe(n_experts, top_k)
    x = _tokens(2, 9, 8)
    fast = fast_moe(x)
    slow = naive.mixture(x.flatten(0, 1), slow_moe).view(x.shape)
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0)
    fast.square().sum().backward()
    slow.square().sum().backward()
    for (name, a), b in zip(fast_moe.named_parameters(), slow_moe.parameters()):
        assert b.grad is not None, name
        torch.testing.assert_close(a.grad, b.grad, atol=1e-10, rtol=0)


@pytest.mark.parametrize("counts", [[3, 4, 0, 5], [12, 0, 0, 0], [0, 0, 0, 12]])
def test_every_form_equals_the_loop(counts):
    moe = _moe(dtype=torch.float32)
    x, counts = _tokens(12, 8, dtype=torch.float32), torch.tensor(counts)
    results = []
    for form in (moe.experts.looped, moe.experts.grouped, moe.experts.masked):
        moe.zero_grad()
        out = form(x, counts)
        (out * x).sum().backward()
        results.append([out.detach(), *(p.grad.clone() for p in moe.experts.parameters())])
    for tensors in zip(*results):
        for other in tensors[1:]:
            torch.testing.assert_close(other, tensors[0], atol=1e-5, rtol=1e-5)


def test_every_expert_and_the_gate_get_a_gradient():
    moe = _moe()
    moe(_tokens(4, 50, 8)).square().sum().backward()
    for name, parameter in moe.named_parameters():
        assert (parameter.grad.flatten(1).abs().sum(1) > 0).all(), name


def test_no_token_is_dropped_when_all_choose_one_expert():
    moe = _moe()
    with torch.no_grad():
        moe.gate.weight.zero_()
        moe.gate.weight[2] = 5.0
    x = _tokens(1, 40, 8).abs()
    record = []
    out = moe(x, record)
    assert (record[0][1] == 2).all()
    shared_only = moe.shared(x)
    assert ((out - shared_only).abs().amax(-1) > 1e-6).all()
    torch.testing.assert_close(out[0], naive.mixture(x[0], moe), atol=1e-10, rtol=0)


def test_weight_is_the_probability_over_all_experts():
    """Not renormalised over the chosen ones: twice the routed part for twice the probability."""
    moe = _moe(top_k=1)
    x = _tokens(1, 5, 8)
    probability = moe.route(x[0])
    torch.testing.assert_close(probability.sum(-1), torch.ones(5).double())
    routed = (moe(x) - moe.shared(x))[0]
    for i, e in enumerate(probability.argmax(-1).tolist()):
        expert = naive.swiglu(x[0, i], moe.experts.gate_up[e], moe.experts.down[e])
        torch.testing.assert_close(routed[i], probability[i, e] * expert, atol=1e-10, rtol=0)
        assert probability[i, e] < 0.999


def test_batch_neighbours_change_nothing():
    moe = _moe(dtype=torch.float32)
    x = _tokens(8, 20, 8, dtype=torch.float32)
    alone = torch.cat([moe(row[None]) for row in x])
    torch.testing.assert_close(moe(x), alone, atol=1e-5, rtol=0)


def test_dense_ablation_is_one_swiglu():
    config = BrainOFConfig(width=8, n_heads=2, experts="dense", top_k=2, expert_ratio=2)
    dense = FeedForward(config).experts
    assert isinstance(dense, SwiGLU)
    assert dense.down.weight.shape == (8, 48)


def test_swiglu_equals_the_formula():
    shared = _moe().shared
    x = _tokens(3, 8)
    slow = naive.swiglu(x, shared.gate_up.weight.T, shared.down.weight.T)
    torch.testing.assert_close(shared(x), slow, atol=1e-10, rtol=0)


@pytest.mark.parametrize("top_k", [1, 2])
def test_balance_equals_the_loop(top_k):
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(5, 6, 4, generator=generator, dtype=torch.float64)
    probability = probability / probability.sum(-1, keepdim=True)
    chosen = probability.topk(top_k).indices
    group = torch.tensor([1, 2, 1, 7, 2])
    is_counted = torch.rand(5, 6, generator=generator) < 0.7
    fast = balance_loss(probability, chosen, group, is_counted)
    assert fast.item() == pytest.approx(naive.balance(probability, chosen, group, is_counted))


def test_balance_is_least_for_even_use_and_per_modality():
    even = torch.full((4, 4, 4), 0.25)
    chosen = torch.arange(4).expand(4, 4)[..., None]
    group = torch.tensor([1, 1, 2, 2])
    assert balance_loss(even, chosen, group).item() == pytest.approx(1)
    one = torch.zeros(4, 4, 4)
    one[..., 0] = 1
    assert balance_loss(one, torch.zeros_like(chosen), group).item() == pytest.approx(4)
    # Each modality with an expert of its own is not even use within a modality.
    own = torch.zeros(4, 4, 4)
    own[:2, :, 0], own[2:, :, 1] = 1, 1
    own_chosen = own.argmax(-1, keepdim=True)
    assert balance_loss(own, own_chosen, group).item() == pytest.approx(4)
    assert balance_loss(own, own_chosen, torch.ones_like(group)).item() == pytest.approx(2)


def test_balance_has_a_gradient_for_the_gate():
    moe, record = _moe(), []
    moe(_tokens(2, 30, 8), record)
    balance_loss(*record[0], torch.tensor([1, 2])).backward()
    assert moe.gate.weight.grad.abs().sum() > 0


def test_routing_is_full_precision_under_autocast():
    moe = _moe(dtype=torch.float32)
    x = _tokens(1, 6, 8, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probability = moe.route(x[0])
        out = moe(x)
    assert probability.dtype == torch.float32
    torch.testing.assert_close(probability, moe.route(x[0]))
    torch.testing.assert_close(out.float(), moe(x), atol=0.1, rtol=0.05)
