"""Self-attention of the backbone: DINT, and plain attention as its ablation.

B batch, T tokens, D width, H heads, W width of a head (D / H), Q width of half a head (W / 2)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .layers import BiasFreeLinear, RMSNorm

# Floats in the maps that one pass holds on a CPU, where they then stay in its cache.
MAPS_AT_ONCE = 2**19


def dint(query, key, value, lam):
    """Return ``A1 V - lam A2 V + lam A3 V``, where each row of A3 is the mean row of A1."""
    # query, key (B, 2 H, T, Q), value (B, H, T, W), lam () -> heads (B, H, T, W)
    n_batch, n_maps, n_tokens, half = query.shape
    n_rows = n_batch if query.is_cuda else max(1, MAPS_AT_ONCE // (n_maps * n_tokens**2))
    query, heads = query / math.sqrt(half), []
    for q, k, v in zip(query.split(n_rows), key.split(n_rows), value.split(n_rows)):
        maps = (q @ k.transpose(-1, -2)).softmax(-1)  # (n, 2H, T, T)
        first, second = (maps.unflatten(1, (2, -1)) @ v[:, None]).unbind(1)  # 2 x (n, H, T, W)
        heads.append(first + lam * (first.mean(-2, keepdim=True) - second))
    return torch.cat(heads)


class DintAttention(nn.Module):
    """Differential-integral self-attention :footcite:p:`cang2025dint`.

    Two softmax maps are subtracted, which cancels attention noise
    :footcite:p:`ye2024differential`, and the mean row of the first one is added, so that rows sum
    to one again.
    """

    def __init__(self, width, n_heads, layer=1, eps=1e-6):
        super().__init__()
        self.n_heads, self.half = n_heads, width // (2 * n_heads)
        self.lam_init = 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))
        self.qkv = BiasFreeLinear(width, 3 * width)
        self.out = BiasFreeLinear(width, width)
        self.head_norm = RMSNorm(2 * self.half, eps)
        self.lam = nn.Parameter(torch.empty(4, self.half, dtype=torch.float32))  # lq1 lk1 lq2 lk2

    def initialise(self, generator):
        """Draw the vectors behind lambda, as in the differential transformer."""
        nn.init.normal_(self.lam, std=0.1, generator=generator)

    def compute_lambda(self):
        """Return lambda."""
        # -> lam ().
        first, second = (self.lam[0::2] * self.lam[1::2]).sum(-1).exp()
        return first - second + self.lam_init

    def forward(self, x):
        """Apply self-attention."""
        # x (B, T, D) -> x (B, T, D).
        n_batch, n_tokens, width = x.shape
        query, key, value = self.qkv(x).chunk(3, dim=-1)  # 3 x (B, T, D)
        # Which columns make which half is a matter of naming: the first halves come first.
        split = (n_batch, n_tokens, 2 * self.n_heads, self.half)
        query = query.view(split).transpose(1, 2)  # (B, 2H, T, Q)
        key = key.view(split).transpose(1, 2)  # (B, 2H, T, Q)
        value = value.view(n_batch, n_tokens, self.n_heads, -1).transpose(1, 2)  # (B, H, T, W)
        heads = dint(query, key, value, self.compute_lambda().to(value.dtype))  # (B, H, T, W)
        heads = self.head_norm(heads) * (1 - self.lam_init)
        return self.out(heads.transpose(1, 2).reshape(n_batch, n_tokens, width))  # (B, T, D)


class PlainAttention(nn.Module):
    """Softmax self-attention with as many parameters as DINT: the ablation."""

    def __init__(self, width, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = BiasFreeLinear(width, 3 * width)
        self.out = BiasFreeLinear(width, width)

    def forward(self, x):
        """Apply self-attention."""
        # x (B, T, D) -> x (B, T, D).
        n_batch, n_tokens, width = x.shape
        qkv = self.qkv(x).view(n_batch, n_tokens, 3, self.n_heads, -1)  # (B, T, 3, H, W)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, W)
        heads = F.scaled_dot_product_attention(query, key, value)  # (B, H, T, W)
        return self.out(heads.transpose(1, 2).reshape(n_batch, n_tokens, width))  # (B, T, D)
