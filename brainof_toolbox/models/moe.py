"""Shared and routed experts.

B batch, T tokens of a sample, N tokens of the batch (B T), D width, H hidden width of an expert,
E routed experts, K of them chosen by each token
"""

from __future__ import annotations

from collections import UserList

import torch
import torch.nn.functional as F
from torch import nn

from .config import MODALITY_CODES
from .layers import BiasFreeLinear, SwiGLU, gated

N_GROUPS = 2 ** len(MODALITY_CODES)  # of the balance loss: which modalities a sample read


class RoutingRecord(UserList):
    """Routing decisions of all gates in their order: the arguments of :func:`balance_loss`.

    Not a ``list``: FSDP copies list arguments of a module, and appended entries would be lost.
    """

    def complete(self, group, is_counted=None):
        """Add group and counted tokens to the entries of gates, which hold the first two only."""
        for number, (probability, chosen, *rest) in enumerate(self):
            if not rest:
                counted = is_counted if is_counted is None else is_counted.expand(chosen.shape[:2])
                self[number] = probability, chosen, group, counted

    def balance(self):
        """Return the mean of the balance loss over the gates; 0 where there are none."""
        losses = [balance_loss(*entry) for entry in self]
        return torch.stack(losses).mean() if losses else torch.zeros(())


class Experts(nn.Module):
    """E SwiGLU experts with stacked weights, for tokens that are sorted by expert."""

    def __init__(self, n_experts, width, hidden):
        super().__init__()
        self.gate_up = nn.Parameter(
            torch.empty(n_experts, width, 2 * hidden, dtype=torch.float32)
        )  # (E, D, 2H)
        self.down = nn.Parameter(torch.empty(n_experts, hidden, width, dtype=torch.float32))

    def initialise(self, generator):
        """Fill each expert like the shared one."""
        nn.init.normal_(self.gate_up, std=self.gate_up.shape[1] ** -0.5, generator=generator)
        nn.init.normal_(self.down, std=self.down.shape[1] ** -0.5, generator=generator)

    def forward(self, x, counts):
        """Send each run of tokens through its expert."""
        # x (N K, D), counts (E,) -> x (N K, D).
        if x.is_cuda and _working_type(x) == torch.bfloat16:
            return self.grouped(x, counts)  # no waiting for the sizes, and all experts at once
        if torch.compiler.is_compiling():
            return self.masked(x, counts)  # sizes that depend on the data would break the graph
        return self.looped(x, counts)

    def looped(self, x, counts):
        """Multiply per expert over contiguous slices: fastest on CPU, any precision."""
        # x (N K, D), counts (E,) -> x (N K, D).
        slices = x.split(counts.tolist())
        # Unbound once: indexing the stack per expert would allocate its whole gradient each time.
        weights = zip(slices, self.gate_up.unbind(0), self.down.unbind(0))
        outputs = []
        for tokens, gate_up, down in weights:
            outputs.append(gated(tokens @ gate_up) @ down)  # (n, D)
        return torch.cat(outputs)  # (N K, D)

    def masked(self, x, counts):
        """Apply all experts to all tokens and keep the chosen: E times the work, fixed sizes."""
        # For compiled graphs only, where grouped products take no float32.
        # x (N K, D), counts (E,) -> x (N K, D).
        end = counts.cumsum(0)  # (E,)
        row = torch.arange(x.shape[0], device=x.device)  # (N K,)
        out = torch.zeros_like(x)
        for e, (gate_up, down) in enumerate(zip(self.gate_up.unbind(0), self.down.unbind(0))):
            is_mine = (row < end[e]) & (row >= end[e] - counts[e])  # (N K,)
            out = torch.where(is_mine[:, None], gated(x @ gate_up) @ down, out)  # (N K, D)
        return out

    def grouped(self, x, counts):
        """Multiply all experts in one grouped product, with offsets that stay on the device."""
        # x (N K, D), counts (E,) -> x (N K, D).
        kind = _working_type(x)
        offsets = counts.cumsum(0).to(torch.int32)  # (E,)
        hidden = F.grouped_mm(x.to(kind), self.gate_up.to(kind), offs=offsets)  # (N K, 2H)
        return F.grouped_mm(gated(hidden), self.down.to(kind), offs=offsets)  # (N K, D)


def _working_type(x):
    """Return the type in which matrix products of ``x`` are done just now."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class MixtureOfExperts(nn.Module):
    """One shared expert for all tokens, plus the K routed experts of highest probability.

    The gate is a softmax over all E routed experts, and the output of a chosen expert is
    multiplied by its probability, not renormalised over the chosen ones, so that the gate gets a
    gradient for K = 1 too. There is no capacity: no token is dropped, and no token depends on
    another.
    """

    def __init__(self, width, hidden, n_experts, top_k=1):
        super().__init__()
        self.top_k = top_k
        self.gate = BiasFreeLinear(width, n_experts)
        self.shared = SwiGLU(width, hidden)
        self.experts = Experts(n_experts, width, hidden)

    def forward(self, x, record=None):
        """Apply to each token."""
        # x (B, T, D) -> x (B, T, D).
        flat = x.reshape(-1, x.shape[-1])  # (N, D)
        probability = self.route(flat)  # (N, E)
        weight, chosen = probability.topk(self.top_k, dim=-1)  # 2 x (N, K)
        if record is not None:
            record.append(tuple(p.unflatten(0, x.shape[:-1]) for p in (probability, chosen)))

        expert = chosen.flatten()  # (N K,)
        order = expert.argsort(stable=True)  # (N K,)
        counts = (expert[:, None] == torch.arange(probability.shape[1], device=x.device)).sum(0)
        sent = flat.index_select(0, order // self.top_k)  # (N K, D)
        back = self.experts(sent, counts)  # (N K, D)
        back = torch.empty_like(back).index_copy_(0, order, back)  # as they were before sorting
        out = self.shared(flat)  # (N, D)
        weight = weight.to(back.dtype)
        for k, one in enumerate(back.unflatten(0, weight.shape).unbind(1)):  # K x (N, D)
            out = torch.addcmul(out, one, weight[:, k, None])
        return out.view(x.shape)  # (B, T, D)

    def route(self, flat):
        """Return the gate's probabilities, always in full precision."""
        # flat (N, D) -> probability (N, E).
        # Rounding must not decide which expert a token goes to.
        with torch.autocast(flat.device.type, enabled=False):
            # Weights that were sent round in half precision are widened again.
            kind = torch.promote_types(self.gate.weight.dtype, torch.float32)
            return F.linear(flat.to(kind), self.gate.weight.to(kind)).softmax(-1)  # (N, E)


def balance_loss(probability, chosen, group, is_counted=None):
    """Return the auxiliary loss; its minimum, 1, is an even use of experts in each group."""
    # For a group of tokens with share ``f_e`` sent to expert e and mean probability ``p_e`` it is
    # ``E * sum_e f_e p_e``; groups are averaged by their number of tokens. A group holds the rows
    # that read the same modalities: experts may specialise only as far as each modality has
    # experts enough, and rows of another modality must not pay for it.
    # probability (B, T, E), chosen (B, T, K), group (B,), is_counted (B, T) -> loss ().
    n_experts = probability.shape[-1]
    member = F.one_hot(group, N_GROUPS).to(probability.dtype)  # (B, G)
    counted = torch.ones_like(probability[..., 0]) if is_counted is None else is_counted
    counted = counted.to(probability.dtype)  # (B, T)
    sent = F.one_hot(chosen, n_experts).to(probability.dtype).mean(-2)  # (B, T, E)
    size = torch.einsum("bg,bt->g", member, counted)  # (G,)
    share = torch.einsum("bg,bt,bte->ge", member, counted, sent)  # (G, E)
    mean = torch.einsum("bg,bt,bte->ge", member, counted, probability)  # (G, E)
    # Sums, not means: size_g * E * sum_e (share / size) (mean / size), over all tokens.
    per_group = n_experts * (share * mean).sum(-1) / size.clamp(min=1)  # (G,)
    return per_group.sum() / size.sum().clamp(min=1)
