"""Slow, literal references: loops and full maps, as the formulas say."""

from __future__ import annotations

import math

import torch


def dint(query1, key1, query2, key2, value, lam):
    """One head of DINT attention with its three maps.

    Parameters
    ----------
    query1, key1, query2, key2 : torch.Tensor, shape (T, Q)
        Halves of the queries and keys.
    value : torch.Tensor, shape (T, W)
        Values.
    lam : torch.Tensor | float
        Weight of the second and third map.

    Returns
    -------
    output, whole_map : torch.Tensor, shapes (T, W) and (T, T)
        The head before its norm, and ``A1 - lam A2 + lam A3``.
    """
    n_tokens, width = query1.shape

    def softmax_map(query, key):
        rows = []
        for i in range(n_tokens):
            weights = [torch.exp(query[i] @ key[j] / math.sqrt(width)) for j in range(n_tokens)]
            rows.append(torch.stack([weight / sum(weights) for weight in weights]))
        return torch.stack(rows)

    first, second = softmax_map(query1, key1), softmax_map(query2, key2)
    mean_row = sum(first) / n_tokens
    third = torch.stack([mean_row] * n_tokens)
    whole_map = first - lam * second + lam * third
    return whole_map @ value, whole_map


def swiglu(x, gate_up, down):
    """One expert on one token; ``gate_up`` is (D, 2 H), ``down`` is (H, D)."""
    hidden = down.shape[0]
    gate, up = x @ gate_up[:, :hidden], x @ gate_up[:, hidden:]
    return (gate * torch.sigmoid(gate) * up) @ down


def mixture(x, moe):
    """A :class:`MixtureOfExperts`, token by token; ``x`` is (N, D)."""
    outputs = []
    for token in x:
        score = torch.exp(moe.gate.weight @ token)
        probability = score / score.sum()
        out = swiglu(token, moe.shared.gate_up.weight.T, moe.shared.down.weight.T)
        for e in sorted(range(len(score)), key=lambda e: -probability[e].item())[: moe.top_k]:
            expert = swiglu(token, moe.experts.gate_up[e], moe.experts.down[e])
            out = out + probability[e] * expert
        outputs.append(out)
    return torch.stack(outputs)


def balance(probability, chosen, group, is_counted):
    """Switch balance loss per group, averaged by number of tokens; shapes of ``balance_loss``."""
    total, n_tokens = 0.0, 0
    n_experts, top_k = probability.shape[-1], chosen.shape[-1]
    for g in set(group.tolist()):
        tokens = [
            (b, t)
            for b in range(len(group))
            for t in range(probability.shape[1])
            if group[b] == g and is_counted[b, t]
        ]
        loss = 0.0
        for e in range(n_experts):
            share = sum((chosen[b, t] == e).sum().item() for b, t in tokens) / top_k
            mean = sum(probability[b, t, e].item() for b, t in tokens)
            loss += n_experts * share / len(tokens) * mean / len(tokens)
        total, n_tokens = total + loss * len(tokens), n_tokens + len(tokens)
    return total / n_tokens


def cross_attention(query, key, value, is_padding):
    """Softmax attention of one head: (T, W), (S, W), (S, W) to (T, W)."""
    valid = torch.where(~is_padding)[0].tolist()
    rows = []
    for i in range(len(query)):
        weights = [torch.exp(query[i] @ key[j] / math.sqrt(query.shape[1])) for j in valid]
        rows.append(sum(w * value[j] for w, j in zip(weights, valid)) / sum(weights))
    return torch.stack(rows)


def log_spectrum(patch, floor):
    """Log amplitude of one patch (P,) at each frequency, by the Fourier sum with a Hann taper."""
    size, out = len(patch), []
    for k in range(size // 2 + 1):
        total = 0j
        for t, value in enumerate(patch.tolist()):
            taper = 1 - math.cos(2 * math.pi * (t + 0.5) / size)
            angle = 2 * math.pi * k * t / size
            total += taper * value * complex(math.cos(angle), -math.sin(angle))
        out.append(0.5 * math.log(abs(2 / size * total) ** 2 + floor**2))
    return torch.tensor(out, dtype=torch.float64)
