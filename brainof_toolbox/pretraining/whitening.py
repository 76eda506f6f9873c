"""Read-outs of a pretrained network, turned to the axes along which their predictions vary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from .._utils.validation import check_number
from ..models import BrainOF
from ..models.config import MODALITY_CODES
from .batch import GridBatch, to_tokens
from .sampler import STATISTICS, stream

#: Axes of a variance below this share of the largest are rounding errors.
_NEGLIGIBLE = 1e-6


@torch.no_grad()
def whiten_read_outs(model, corpus, n_outputs=64, *, n_samples=1000, random_state=0):
    """Return the network with whitened read-outs.

    The outputs of each read-out are centred, rotated to the principal axes of its predictions for
    samples of the corpus, and divided by their standard deviations; axes of small variance are
    left out. The targets of pretraining (means, scales and components of the predicted
    quantities) are left out as well. This is ours, not of the published network.

    Parameters
    ----------
    model : BrainOF
        Network that was pretrained with terms; it is not changed.
    corpus : Corpus
        Samples of every modality that has read-outs, mostly those of pretraining.
    n_outputs : int
        Largest number of outputs of a read-out.
    n_samples : int
        Samples of each modality that the axes are computed from, at most.
    random_state : int
        Seed of their choice.

    Returns
    -------
    whitened : BrainOF
        The same network, with other read-outs. It cannot be trained further on the terms.

    Raises
    ------
    ValueError
        If the network has no read-outs, or the corpus has no samples of one of their modalities.
    """
    check_number("n_outputs", n_outputs, low=1, integer=True)
    if not model.config.read_outs:
        raise ValueError(
            "This network has no read-outs: pretrain it with PretrainingConfig.terms."
        )
    state, rows = model.eval().state_dict(), []
    for kind in model.read_outs:
        predicted = _predict(model, corpus, kind, n_samples, random_state)
        start = 0
        for name, size in model.read_out_sizes(kind).items():
            own = size**0.5 * predicted[:, start : start + size]  # outputs of the read-out itself
            start += size
            mean, turn = _axes(own, n_outputs)  # (O,), (kept, O)
            path = f"read_outs.{kind}.{name}"
            bias = state[f"{path}.bias"].double() - mean
            state[f"{path}.weight"] = (turn @ state[f"{path}.weight"].double()).float()
            state[f"{path}.bias"] = (turn @ bias).float()
            state[f"{path}.mean"] = state[f"{path}.scale"] = torch.zeros(0)
            state[f"{path}.components"] = torch.zeros(0, len(turn))
            rows.append((kind, name, 0, len(turn)))
    found = BrainOF(replace(model.config, read_outs=tuple(rows)))
    found.load_state_dict(state)
    return found.eval()


def _predict(model, corpus, kind, n_samples, random_state):
    """Return predictions of all read-outs of a modality for samples of a corpus (n, O)."""
    modality = MODALITY_CODES.index(kind)
    mine = np.flatnonzero(corpus.modality == modality)
    if len(mine) < 2:
        raise ValueError(f"The corpus has {len(mine)} samples of {kind}: at least 2 are needed.")
    rng = stream(random_state, STATISTICS, modality)
    found = []
    for number in np.sort(rng.choice(mine, min(len(mine), n_samples), replace=False)):
        grid = GridBatch.collate([corpus[int(number)]])
        latents = model(to_tokens(grid, patch_size=model.config.patch_size))
        found.append(model.read_out(latents, kind))
    return torch.cat(found).double()


def _axes(rows, n_outputs):
    """Return the mean (O,) of rows (n, O), and the map (kept, O) to whitened principal axes."""
    mean = rows.mean(0)
    variance, axes = torch.linalg.eigh(torch.cov((rows - mean).T).reshape(rows.shape[1], -1))
    order = variance.argsort(descending=True)[:n_outputs]
    order = order[variance[order] > _NEGLIGIBLE * variance.max()]
    if not len(order):
        order = variance.argsort(descending=True)[:1]
    variance, axes = variance[order].clamp(min=_NEGLIGIBLE), axes[:, order]
    # Signs are arbitrary: the largest entry is positive.
    sign = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return mean, (axes * sign / variance.sqrt()).T
