"""Low-rank adaptation: small trained updates of frozen matrices.

For a matrix W (n_out, n_in) the network computes with ``W + alpha / rank * B A``, where A
(rank, n_in) starts at random and B (n_out, rank) at zero, so that training begins at exactly the
frozen network :footcite:p:`hu2022lora`. Afterwards the update is added to W, and prediction costs
as much as before.

References
----------
.. footbibliography::
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

#: Parts of module names behind each choice of ``target_modules``.
_ATTENTION = ("layers.{}.attention.qkv", "layers.{}.attention.out")
TARGETS = {
    "attention": _ATTENTION,
    "attention+experts": (
        *_ATTENTION,
        "layers.{}.feed_forward.experts.shared.gate_up",
        "layers.{}.feed_forward.experts.shared.down",
        "layers.{}.feed_forward.experts.gate_up",  # without routing the experts are one
        "layers.{}.feed_forward.experts.down",
    ),
    "attention+resampler": (
        *_ATTENTION,
        *(f"encoder.blocks.{{}}.attention.{part}" for part in ("query", "key", "value", "out")),
    ),
}


class LowRank(nn.Module):
    """The trained update of one matrix."""

    def __init__(self, weight, rank, alpha, generator):
        super().__init__()
        n_out, n_in = weight.shape
        a = torch.randn(rank, n_in, generator=generator, dtype=torch.float32) * n_in**-0.5
        self.a = nn.Parameter(a.to(weight.device, weight.dtype))
        self.b = nn.Parameter(weight.new_zeros(n_out, rank))
        self.factor = alpha / rank

    def forward(self, weight):
        """Return the adapted matrix."""
        # weight (n_out, n_in) -> weight (n_out, n_in).
        return weight + self.factor * (self.b @ self.a)


def find_targets(backbone, targets, n_layers=None):
    """List the matrices that are adapted."""
    n_layers = len(backbone.layers) if n_layers is None else n_layers
    counts = {"layers": n_layers, "encoder": len(backbone.encoder.blocks)}
    wanted = [
        pattern.format(number)
        for pattern in TARGETS[targets]
        for number in range(counts[pattern.split(".")[0]])
    ]
    modules = dict(backbone.named_modules())
    found = {name: modules[name] for name in wanted if name in modules}
    return {name: module for name, module in found.items() if hasattr(module, "weight")}


def attach(backbone, targets, rank, alpha, generator, *, n_layers=None):
    """Freeze a network and add trainable updates to its matrices; returns these matrices."""
    modules = find_targets(backbone, targets, n_layers)
    if not modules:
        raise ValueError(
            f"target_modules={targets!r} finds no matrix when layer={n_layers}. Read a deeper "
            f"layer, or choose 'attention+resampler'."
        )
    backbone.requires_grad_(False)
    matrices = {name: m.weight.detach().cpu().clone() for name, m in modules.items()}
    for module in modules.values():
        update = LowRank(module.weight, rank, alpha, generator)
        parametrize.register_parametrization(module, "weight", update)
    return matrices


@torch.no_grad()
def restore(backbone, state):
    """Set all updates, strictly."""
    own = {f"{n}.{part}": getattr(d, part) for n, d in _updates(backbone) for part in "ab"}
    wanted, found = ({n: tuple(t.shape) for n, t in some.items()} for some in (own, state))
    if wanted != found:
        wrong = sorted(n for n in wanted | found if wanted.get(n) != found.get(n))[0]
        raise ValueError(
            f"The adapter has {wrong!r} with shape {found.get(wrong)}, the network needs "
            f"{wanted.get(wrong)}: its rank, targets or network differ."
        )
    for name, factor in own.items():
        factor.copy_(state[name])


def _updates(backbone):
    """Yield the name and the update of each adapted module."""
    for name, module in backbone.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            yield name, module.parametrizations.weight[0]


def read(backbone):
    """Return the factors of all updates."""
    return {
        f"{name}.{part}": getattr(update, part).detach().cpu().clone()
        for name, update in _updates(backbone)
        for part in "ab"
    }


def merge(backbone):
    """Add the updates to the matrices, and return their factors."""
    state = read(backbone)
    for module in list(backbone.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    backbone.requires_grad_(True)
    return state
