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
from .statistics import principal_axes
from .terms import COURSE


@torch.no_grad()
def whiten_read_outs(model, corpus, variance=0.99, *, n_samples=1000, random_state=0):
    """Return the network with whitened read-outs.

    The outputs of each read-out, and the course that the decoder predicts at fixed places, are
    centred, rotated to the principal axes of the predictions for samples of the corpus, and
    divided by their standard deviations; the smallest axes are left out. EEG and MEG is cut to
    different lengths for this, as users embed short epochs too. The targets of pretraining
    (means, scales and components of the predicted quantities) are left out as well. This is ours,
    not of the published network.

    Parameters
    ----------
    model : BrainOF
        Network that was pretrained with terms; it is not changed.
    corpus : Corpus
        Samples of every modality that has read-outs, mostly those of pretraining.
    variance : float | dict of str -> float
        Share of the variance of each read-out's predictions that the kept axes explain, at least;
        one for all, or by modality.
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
        If the network has no read-outs, a modality has no share, a read-out predicts the same for
        all samples, or the corpus has no samples of a modality.
    """
    if not model.config.read_outs:
        raise ValueError(
            "This network has no read-outs: pretrain it with PretrainingConfig.terms."
        )
    shares = variance if isinstance(variance, dict) else dict.fromkeys(model.read_outs, variance)
    if set(shares) != set(model.read_outs):
        raise ValueError(
            f"variance needs a share for each of {sorted(model.read_outs)}, got {sorted(shares)}."
        )
    for share in shares.values():
        check_number("variance", share, low=0.0, high=1.0)
    was_training = model.training
    state, rows = model.eval().state_dict(), []
    for kind in model.read_outs:
        predicted = _predict(model, corpus, kind, n_samples, random_state)
        for name, values in predicted.items():
            mean, turn = _axes(values, shares[kind])  # (O,), (kept, O)
            if not len(turn):
                raise ValueError(f"The read-out {name} of {kind} is the same for all samples.")
            path = f"read_outs.{kind}.{name}"
            is_course = name == COURSE
            rows.append((kind, name, len(mean) if is_course else 0, len(turn)))
            if is_course:
                state |= {f"{path}.mean": mean.float(), f"{path}.axes": turn.float()}
                continue
            bias = state[f"{path}.bias"].double() - mean
            state[f"{path}.weight"] = (turn @ state[f"{path}.weight"].double()).float()
            state[f"{path}.bias"] = (turn @ bias).float()
            state[f"{path}.mean"] = state[f"{path}.scale"] = torch.zeros(0)
            state[f"{path}.components"] = torch.zeros(0, len(turn))
    model.train(was_training)
    found = BrainOF(replace(model.config, read_outs=tuple(rows)))
    found.load_state_dict(state)
    return found.eval()


def _predict(model, corpus, kind, n_samples, random_state):
    """Return predictions (n, O) of each read-out of a modality for samples of a corpus."""
    from .course import has_course, read_course  # needs scipy, unlike training

    modality = MODALITY_CODES.index(kind)
    mine = np.flatnonzero(corpus.modality == modality)
    if len(mine) < 2:
        raise ValueError(f"The corpus has {len(mine)} samples of {kind}: at least 2 are needed.")
    rng = stream(random_state, STATISTICS, modality)
    found = {}
    for place, number in enumerate(rng.permutation(mine)[:n_samples]):
        tokens = _tokens(corpus[int(number)], place, model.config.patch_size)
        latents = model(tokens)
        change = model.change(latents)
        for name in model.read_out_sizes(kind):
            found.setdefault(name, []).append(model.read_outs[kind][name](change))
        if has_course(model.config, kind):
            found.setdefault(COURSE, []).append(read_course(model, latents, tokens))
    return {name: torch.cat(values).double() for name, values in found.items()}


def _tokens(sample, place, patch_size):
    """Return tokens of a sample; of EEG and MEG the first 1, 1/2, 1/4 or 1/8, in turns."""
    if MODALITY_CODES[sample.modality] != "fmri":
        n_times = max(sample.data.shape[1] >> place % 4, min(patch_size, sample.data.shape[1]))
        sample = sample._replace(data=sample.data[:, :n_times])
    return to_tokens(GridBatch.collate([sample]), patch_size=patch_size)


def _axes(rows, share):
    """Return the mean (O,) of rows (n, O), and the map (kept, O) to whitened principal axes."""
    mean = rows.mean(0)
    variance, axes = principal_axes(rows - mean, rows.shape[1])
    variance = variance * len(rows) / (len(rows) - 1)
    n_kept = int((variance.cumsum() / variance.sum() < share).sum()) + 1
    return mean, torch.from_numpy((axes / np.sqrt(variance))[:, :n_kept].T.copy())
