"""Weight decay by parameter, and the schedule of the learning rate."""

from __future__ import annotations

import math

from .attention import DintAttention
from .brainof import BrainOF
from .embedding import ContentEmbedding, PlaceEmbedding
from .layers import BiasFreeLinear, LayerScale, RMSNorm
from .moe import Experts
from .readout import ReadOut

#: Every parameter of the network by the module that owns it: matrices decay, ...
DECAYED = {BiasFreeLinear: ("weight",), Experts: ("gate_up", "down"), ReadOut: ("weight",)}
#: ... and norms, scales and embeddings do not.
FREE = {
    RMSNorm: ("weight",),
    LayerScale: ("weight",),
    DintAttention: ("lam",),
    BrainOF: ("latents",),
    ContentEmbedding: ("mask",),
    PlaceEmbedding: ("sensor_type", "modality"),
    ReadOut: ("bias",),
}


def is_decayed(owner, name):
    """Return whether weight decay applies to a parameter of the module ``owner``."""
    if _is_listed(DECAYED, owner, name):
        return True
    if _is_listed(FREE, owner, name):
        return False
    raise TypeError(
        f"The parameter {name} of {type(owner).__name__} is in no group: add it to DECAYED or "
        f"FREE in {__name__}."
    )


def _is_listed(table, owner, name):
    return any(isinstance(owner, kind) and name in names for kind, names in table.items())


def warmup_cosine(step, n_steps, n_warmup, lowest=0.0, *, is_lowest_last=True):
    """Return a factor of the peak learning rate: a linear rise, then half a cosine down."""
    # ``step`` counts from 0; the last of ``n_warmup`` steps has the peak rate. The lowest rate is
    # that of the last step, or of the one that would follow it.
    if step < n_warmup:
        return (step + 1) / n_warmup
    done = (step + is_lowest_last - n_warmup) / max(n_steps - n_warmup, 1)
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done))
