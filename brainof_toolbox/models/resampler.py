"""ARNESS, the Any-Resolution Neural Signal Sampler: cross-attention from queries to a source.

In the encoder latents query tokens :footcite:p:`jaegle2021perceiver`; in the decoder target
patches query latents. Both see, for each source vector, its place (where, when) and its content.

B batch, T queries, S source vectors, M latents, D width, H heads, W width of a head
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .layers import BiasFreeLinear, LayerScale, RMSNorm, SwiGLU, call_block
from .moe import MixtureOfExperts

HEAD_RADIUS = 0.095  # m


class CrossAttention(nn.Module):
    """Softmax attention from queries to a source with places and contents."""

    def __init__(self, config, values_include_position=True):
        super().__init__()
        width, self.n_heads = config.width, config.n_heads
        self.values_include_position = values_include_position
        self.reach = config.attention_range_init
        self.query_norm = RMSNorm(width, config.norm_eps)
        self.place_norm = RMSNorm(width, config.norm_eps)
        self.content_norm = RMSNorm(width, config.norm_eps)
        self.key_content = LayerScale(width, config.key_content_init)
        self.query = BiasFreeLinear(width, width)
        self.key = BiasFreeLinear(width, width)
        self.value = BiasFreeLinear(width, width, orthogonal=True)
        self.out = BiasFreeLinear(width, width, orthogonal=True)

    def project(self, x, place, content):
        """Return queries, keys and values per head."""
        # x (B or 1, T, D), place (B or 1, S, D), content (B, S, D): what is shared has one row.
        # Normed apart, added after: where and when keep their length in the key, whatever the
        # amplitude of the content. The values keep that amplitude.
        about = self.key_content(self.place_norm(place), self.content_norm(content))
        query = self.query(self.query_norm(x))  # (B or 1, T, D)
        source = place + content if self.values_include_position else content  # (B, S, D)
        key, value = self.key(about), self.value(source)  # 2 x (B, S, D)
        return tuple(
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (query, key, value)
        )

    def forward(self, x, place, content, is_padding):
        """Apply cross-attention."""
        # x, place, content as in project, is_padding (B, S) -> x (B, T, D).
        query, key, value = self.project(x, place, content)
        query = query.expand(len(key), -1, -1, -1)  # (B, H, T, W)
        mask = None if is_padding is None else ~is_padding[:, None, None]  # (B, 1, 1, S)
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # (B, H, T, W)
        return self.out(heads.transpose(1, 2).flatten(-2))  # (B, T, D)

    def weights(self, x, place, content, is_padding=None):
        """Return the attention maps."""
        # x (B, T, D), place, content (B, S, D), is_padding (B, S) -> maps (B, H, T, S).
        query, key, _ = self.project(x, place, content)
        score = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (B, H, T, S)
        if is_padding is not None:
            score = score.masked_fill(is_padding[:, None, None], -torch.inf)
        return score.softmax(-1)

    def locate(self, embedding):
        """Initialise each head to attend near the place of the query."""
        # The log of the attention kernel is a weighted sum of ``cos(2 pi (a - b) / wavelength)``
        # over the axes, which is what a query and a key give when both hold the same weighted
        # cosines and sines. Its curvature is ``1 / reach ** 2``.
        columns = embedding.place.weight.detach()  # (D, F)
        width = columns.shape[0] // self.n_heads
        for head in range(self.n_heads):
            rows = slice(head * width, (head + 1) * width)
            reach = self.reach[head % len(self.reach)]
            chosen = _kernel(embedding.kernel_features(), *reach)[:width]
            for weight in (self.query.weight, self.key.weight):
                block = weight.detach()[rows]  # (W, D)
                block *= 0.3
                for row, (column, strength) in enumerate(chosen):
                    factor = math.sqrt(strength * math.sqrt(width)) / embedding.gain
                    block[row] = columns[:, column] * factor


def _kernel(features, space, time):
    """List (column, strength) of the features of a kernel with this reach in m and s."""
    chosen = []
    for axis in "xyzt":
        reach = time if axis == "t" else space
        if reach is None:
            continue
        waves = sorted({wave for a, wave, _ in features if a == axis})
        # Wavelengths much longer than the reach: shorter ones would repeat the kernel.
        waves = [wave for wave in waves if wave >= 12 * reach] or waves[-1:]
        strength = 1 / (reach**2 * sum((2 * math.pi / wave) ** 2 for wave in waves))
        chosen += [(wave, c, strength) for a, wave, c in features if a == axis and wave in waves]
    # Short first, as the longest carry least: they are dropped when a narrow head has no room.
    return [(column, strength) for wave, column, strength in sorted(chosen)]


class ArnessBlock(nn.Module):
    """Cross-attention, then experts, each scaled per channel and added."""

    def __init__(self, config, values_include_position=True):
        super().__init__()
        self.attention = CrossAttention(config, values_include_position)
        self.attention_scale = LayerScale(config.width, config.resampler_scale_init)
        self.feed_forward = FeedForward(config)

    def forward(self, x, place, content, is_padding=None, record=None):
        """Apply cross-attention, then the feed-forward block."""
        # x (B, T, D), place, content (B, S, D), is_padding (B, S) -> x (B, T, D).
        x = self.attention_scale(x, self.attention(x, place, content, is_padding))
        return self.feed_forward(x, record)


class FeedForward(nn.Module):
    """Pre-norm residual branch of experts, routed or dense."""

    def __init__(self, config):
        super().__init__()
        hidden = round(config.expert_ratio * config.width)
        self.norm = RMSNorm(config.width, config.norm_eps)
        if config.experts == "moe":
            self.experts = MixtureOfExperts(config.width, hidden, config.n_experts, config.top_k)
        else:  # the ablation: one SwiGLU as large as the experts that a token meets
            self.experts = SwiGLU(config.width, (1 + config.top_k) * hidden)
        self.scale = LayerScale(config.width, config.layer_scale)

    def forward(self, x, record=None):
        """Apply to each token."""
        # x (B, T, D) -> x (B, T, D).
        return self.scale(x, self.experts(self.norm(x), record))


class Arness(nn.Module):
    """A stack of cross-attention blocks from queries to a source of any size."""

    def __init__(self, config, n_blocks, values_include_position=True):
        super().__init__()
        self.blocks = nn.ModuleList(
            ArnessBlock(config, values_include_position) for _ in range(n_blocks)
        )

    def forward(self, x, place, content, is_padding, record=None, recompute=False):
        """Apply the blocks to the rows that have a source."""
        # x (B, T, D), place, content (B, S, D), is_padding (B, S) -> x (B, T, D).
        before = x
        if is_padding is not None:
            # A softmax over nothing is NaN, also in the gradient: such rows read their padding,
            # and the result is thrown away.
            is_absent = is_padding.all(-1, keepdim=True)  # (B, 1)
            is_padding = is_padding & ~is_absent
        for block in self.blocks:
            source = (place, content, is_padding)
            x = call_block(block, x, *source, record=record, recompute=recompute)
        return x if is_padding is None else torch.where(is_absent[..., None], before, x)


def latent_points(n_latents, span, generator):
    """Spread points over the head and over time."""
    # -> position (M, 3), time (M,).
    # Multiples of powers of the root of g^4 = g + 1 fill a cube evenly, for any number of points.
    root = 1.2207440846057596
    steps = torch.tensor([root**-1, root**-2, root**-3], dtype=torch.float64)
    shift = torch.rand(3, generator=generator, dtype=torch.float64)
    cube = (torch.arange(n_latents, dtype=torch.float64)[:, None] * steps + shift) % 1  # (M, 3)
    height = -0.4 + 1.4 * cube[:, 0]  # sensors reach down to the ears and a little below
    ring = (1 - height.square()).sqrt()
    angle = 2 * math.pi * cube[:, 1]
    position = torch.stack([ring * angle.cos(), ring * angle.sin(), height], -1) * HEAD_RADIUS
    onset = 0.5  # s; below it times are spread evenly, above it their logarithms
    time = onset * torch.expm1(cube[:, 2] * math.log1p(span / onset))
    return position.float(), time.float()
