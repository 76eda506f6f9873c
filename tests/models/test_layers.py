"""The bricks whose backward pass is written out: equal to what autograd makes of the formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from brainof_toolbox.models.layers import RMSNorm, gated

SHAPES = [(3, 8), (2, 5, 8), (8,)]


def draw(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def naive_norm(x, weight, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def naive_gated(x):
    gate, up = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return gate * torch.sigmoid(gate) * up


@pytest.mark.parametrize("shape", SHAPES)
def test_norm_is_the_naive_one(shape):
    x, weight = draw(*shape).requires_grad_(), draw(shape[-1], seed=1).requires_grad_()
    norm = RMSNorm(shape[-1], 1e-3)
    norm.weight = torch.nn.Parameter(weight.detach().clone())
    grad = draw(*shape, seed=2)
    torch.testing.assert_close(norm(x), naive_norm(x, weight, 1e-3))
    got = torch.autograd.grad(norm(x), (x, norm.weight), grad)
    wanted = torch.autograd.grad(naive_norm(x, weight, 1e-3), (x, weight), grad)
    torch.testing.assert_close(got, wanted)


def test_norm_of_zeros_is_zero():
    x = torch.zeros(2, 8, requires_grad=True)
    norm = RMSNorm(8)
    norm.initialise(None)
    norm(x).sum().backward()
    assert (norm(x) == 0).all() and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norm_keeps_the_type_and_is_exact_within_it(dtype):
    x, norm = draw(4, 64, dtype=torch.float32).to(dtype), RMSNorm(64)
    norm.initialise(None)
    out = norm(x)
    assert out.dtype == dtype
    assert torch.equal(out, naive_norm(x.float(), 1.0, 1e-6).to(dtype))


@pytest.mark.parametrize("shape", SHAPES)
def test_gated_is_the_naive_one(shape):
    x = draw(*shape).requires_grad_()
    torch.testing.assert_close(gated(x), naive_gated(x))
    assert torch.autograd.gradcheck(gated, (x,))


def test_gated_takes_any_strides():
    """What comes out of a matrix product may be a view."""
    x = draw(8, 6).requires_grad_()
    got = torch.autograd.grad(gated(x.T).sum(), x)
    wanted = torch.autograd.grad(naive_gated(x.T).sum(), x)
    torch.testing.assert_close(got, wanted)


def test_gated_changes_nothing_it_was_given():
    x = draw(3, 8, dtype=torch.float32)
    before = x.clone()
    F.silu(gated(x.requires_grad_())).sum().backward()
    assert torch.equal(x.detach(), before)
