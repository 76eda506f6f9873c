"""DINT: it equals the three maps, forward and backward."""

from __future__ import annotations

import naive
import pytest
import torch

from brainof_toolbox.models import attention
from brainof_toolbox.models.attention import DintAttention, PlainAttention, dint


@pytest.fixture(autouse=True, params=["at once", "row by row"])
def maps_at_once(request, monkeypatch):
    """Maps of all samples, or of one sample at a time."""
    if request.param == "row by row":
        monkeypatch.setattr(attention, "MAPS_AT_ONCE", 1)


def _inputs(n_batch=2, n_heads=3, n_tokens=7, half=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (n_batch, 2 * n_heads, n_tokens, half),
        (n_batch, 2 * n_heads, n_tokens, half),
        (n_batch, n_heads, n_tokens, 2 * half),
        (),
    ]
    return [
        torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes
    ]


def _literal(query, key, value, lam):
    n_heads = value.shape[1]
    samples = []
    for b in range(len(value)):
        heads = [
            naive.dint(
                *(query[b, h], key[b, h], query[b, h + n_heads], key[b, h + n_heads]),
                *(value[b, h], lam),
            )
            for h in range(n_heads)
        ]
        samples.append([torch.stack(part) for part in zip(*heads)])
    return [torch.stack(part) for part in zip(*samples)]


def test_dint_equals_three_maps():
    fast_inputs, slow_inputs = _inputs(), _inputs()
    fast = dint(*fast_inputs)
    slow, _ = _literal(*slow_inputs)
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0)
    weight = torch.randn(fast.shape, generator=torch.Generator().manual_seed(1)).double()
    (fast * weight).sum().backward()
    (slow * weight).sum().backward()
    for a, b in zip(fast_inputs, slow_inputs):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-10, rtol=0)


def test_rows_sum_to_one():
    query, key, value, lam = _inputs()
    heads = dint(query, key, torch.ones_like(value), lam)
    torch.testing.assert_close(heads, torch.ones_like(heads), atol=1e-10, rtol=0)
    _, whole_map = _literal(query, key, value, lam)
    torch.testing.assert_close(whole_map.sum(-1), torch.ones_like(whole_map[..., 0]))


def test_module_is_the_published_formula():
    """The whole module in float64, with lambda, the norm of a head and the last factor."""
    generator = torch.Generator().manual_seed(0)
    module = DintAttention(16, 2, layer=3)
    for part in reversed(list(module.modules())):
        if hasattr(part, "initialise"):
            part.initialise(generator)
    module = module.double()
    lam_init = 0.8 - 0.6 * torch.exp(torch.tensor(-0.6, dtype=torch.float64))
    lq1, lk1, lq2, lk2 = module.lam
    lam = torch.exp(lq1 @ lk1) - torch.exp(lq2 @ lk2) + lam_init
    torch.testing.assert_close(module.compute_lambda(), lam)
    assert (lam - lam_init).abs() > 1e-6

    x = torch.randn(1, 7, 16, generator=generator, dtype=torch.float64)
    query, key, value = (x[0] @ module.qkv.weight.T).chunk(3, dim=-1)
    heads = []
    for h in range(2):
        first, second = slice(4 * h, 4 * h + 4), slice(8 + 4 * h, 12 + 4 * h)
        head, _ = naive.dint(
            *(query[:, first], key[:, first], query[:, second], key[:, second]),
            *(value[:, 8 * h : 8 * h + 8], lam),
        )
        head = head / (head.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        heads.append(head * (1 - lam_init))
    slow = torch.cat(heads, -1) @ module.out.weight.T
    torch.testing.assert_close(module(x)[0], slow, atol=1e-10, rtol=0)


def test_plain_attention_equals_the_loop():
    generator = torch.Generator().manual_seed(0)
    module = PlainAttention(8, 2).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x = torch.randn(1, 5, 8, generator=generator, dtype=torch.float64)
    query, key, value = (x[0] @ module.qkv.weight.T).chunk(3, dim=-1)
    nothing = torch.zeros(5, dtype=torch.bool)
    heads = [
        naive.cross_attention(query[:, s], key[:, s], value[:, s], nothing)
        for s in (slice(0, 4), slice(4, 8))
    ]
    slow = torch.cat(heads, -1) @ module.out.weight.T
    torch.testing.assert_close(module(x)[0], slow, atol=1e-10, rtol=0)
