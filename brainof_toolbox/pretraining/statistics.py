"""Means, scales and components of the quantities that terms ask for, computed once from a corpus.

n samples, Q columns, O outputs
"""

from __future__ import annotations

import numpy as np
import torch

from ..models.config import MODALITY_CODES
from ..models.readout import COLUMN_LIMIT
from .sampler import STATISTICS, Mates, stream
from .terms import DIFFERENCE, SECOND_ORDER, SPECTRUM

#: Components are divided by this root of their variance: whitening them fully gave the many small
#: ones, which are mostly noise, the weight of the large ones, and decoded worse.
_ROOT = {SECOND_ORDER: 0.25, SPECTRUM: 0.25, DIFFERENCE: 0.0}


@torch.no_grad()
def fit_statistics(model, corpus, targets, n_samples, random_state):
    """Fill the buffers of the read-outs; return the mean second order of fMRI by dataset."""
    dataset_mean = None
    if not model.config.read_outs:
        return dataset_mean
    for kind, read_outs in model.read_outs.items():
        modality = MODALITY_CODES.index(kind)
        pairs, samples = _draw(corpus, modality, n_samples, random_state)
        for name, read_out in read_outs.items():
            rows = np.stack([targets.columns(sample, name) for sample in samples])
            mean = rows.mean(0)
            if name == SECOND_ORDER and kind == "fmri":
                numbers = np.array([corpus.datasets.index(s.dataset) for s in samples])
                dataset_mean = _group_means(rows, numbers, len(corpus.datasets))
                rows, mean = rows - dataset_mean[numbers], np.zeros_like(mean)
            _fill(read_out, name, rows, mean, pairs)
    return None if dataset_mean is None else torch.from_numpy(dataset_mean)


def _draw(corpus, modality, n_samples, random_state):
    """Draw pairs of samples of one person; return which differ, and the samples in pairs."""
    mine = np.flatnonzero(corpus.modality == modality)
    rng = stream(random_state, STATISTICS, modality)
    one = np.sort(rng.choice(mine, min(len(mine), max(n_samples // 2, 1)), replace=False))
    other = Mates(corpus.person, mine).draw(one, rng)
    numbers = np.stack([one, other], 1).ravel()
    return one != other, [corpus[int(number)] for number in numbers]


def _group_means(rows, numbers, n_groups):
    means = np.zeros((n_groups, rows.shape[1]), np.float32)
    for number in np.unique(numbers):
        means[number] = rows[numbers == number].mean(0)
    return means


def _fill(read_out, name, rows, mean, is_pair):
    """Set the buffers of one read-out from rows in pairs (2 n, Q)."""
    centred = rows - mean
    spread = centred.std(0, dtype=np.float64)
    scale = np.maximum(spread, 1e-3 * max(spread.max(), 1e-6))  # a constant column stays finite
    if name == DIFFERENCE:
        mean, rows = np.zeros_like(mean), (rows[0::2] - rows[1::2])[is_pair] / 2**0.5
    else:
        rows = centred
    rows = (rows / scale).clip(-COLUMN_LIMIT, COLUMN_LIMIT)
    found = components(rows, read_out.components.shape[1], _ROOT[name])
    for buffer, value in (("mean", mean), ("scale", scale), ("components", found)):
        getattr(read_out, buffer).copy_(torch.from_numpy(np.asarray(value, np.float32)))


def components(rows, n_outputs, root):
    """Return principal axes (Q, O), divided by ``variance ** root``; of mean variance 1."""
    # What has no variance becomes zeros.
    found = np.zeros((np.shape(rows)[1], n_outputs))
    if len(rows) == 0:
        return found
    variance, axes = principal_axes(rows, n_outputs)
    axes = axes / variance**root
    found[:, : len(variance)] = axes / np.sqrt(np.mean(variance ** (1 - 2 * root)))
    return found


def principal_axes(rows, n_axes):
    """Return variances (K,), the largest first, and axes (Q, K) of centred rows that vary."""
    # Of the smaller Gram matrix.
    rows = np.asarray(rows, np.float64)
    is_wide = rows.shape[1] > len(rows)
    gram = rows @ rows.T if is_wide else rows.T @ rows
    values, vectors = np.linalg.eigh(gram / len(rows))
    order = np.argsort(-values)[:n_axes]
    order = order[values[order] > 1e-6 * max(values.max(), 1e-12)]
    variance, axes = values[order], vectors[:, order]
    if is_wide:
        axes = rows.T @ axes / np.sqrt(len(rows) * variance)
    # Signs are arbitrary: the largest entry is positive.
    return variance, axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
