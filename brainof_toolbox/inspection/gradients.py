"""Importance as what each number adds to the prediction: integrated gradients.

B windows, S tokens (channels C x patches N), P points of a patch
"""

from __future__ import annotations

import numpy as np
import torch

from .._utils.validation import check_number
from ..evaluation.docs import fill_evaluation_doc
from ..models.config import MODALITY_CODES
from ..models.isolate import isolate_torch
from .hiding import take_tokens
from .importance import (
    Importance,
    PartImportance,
    in_band,
    layout_of,
    patch_times,
    usable_bands,
)
from .scoring import check_predicts, prepare


@fill_evaluation_doc
@isolate_torch()
def gradient_importance(estimator, X, y=None, *, n_steps=16, bands=None):
    """Map what a decoder relies on with integrated gradients.

    The gradient of the loss is integrated along the line from a silent recording, all zero, to the
    sample. Each value is attributed its part of the change in loss; the parts sum to the whole
    change :footcite:p:`sundararajan2017axiomatic`. The Fourier transform keeps inner products, so
    the attribution is given by frequency too.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        Fitted with ``features="latents"``, with any adaptation: explicit features have no
        gradient here.
    %(X)s
    %(y_or_predicted)s
    n_steps : int
        Points on the line. They lie closer near silence, where the log spectrum in the input of
        the network changes fastest.
    %(bands)s

    Returns
    -------
    importance : Importance
        By how much each channel, time and band lowers the mean loss from silence on: of the log
        loss in nats for classes, of the squared error in units of the target's variance for
        numbers. ``residual`` is the share of the change that is missing from the sum: the line
        crosses points where tokens change experts, and steps are few.

    Raises
    ------
    TypeError
        If the estimator is no classifier or regressor.
    ValueError
        If it is not fitted or uses other features than latents, samples have several montages,
        or ``y`` does not belong to them.

    See Also
    --------
    occlusion_importance : What hiding costs, without a gradient.

    References
    ----------
    .. footbibliography::
    """
    check_number("n_steps", n_steps, low=1, integer=True)
    check_predicts(estimator)
    network = estimator.decoder_.as_network().to(estimator.encoder_.device).eval()
    case = prepare(estimator, X, y)
    total = {name: 0.0 for name in case.signals}
    spectra = {name: 0.0 for name in case.signals}
    wanted, n_windows = 0.0, 0
    for tokens, target in _batches(case):
        credit, gain = _integrate(case, network, tokens, target, n_steps)
        for name, (values, gradient) in credit.items():
            total[name] += (values * gradient).sum(0)  # (S, P)
            spectra[name] += by_frequency(values, gradient, len(case.signals[name].ch_names))
        wanted, n_windows = wanted + gain.sum(), n_windows + len(target)
    explained = sum(float(credit.sum()) for credit in total.values())
    parts = {
        name: _part(
            total[name].numpy() / n_windows,
            spectra[name].numpy() / n_windows,
            signals,
            usable_bands(bands, signals),
        )
        for name, signals in case.signals.items()
    }
    return Importance(
        parts,
        "integrated gradients",
        case.unit,
        len(case.targets),
        residual=abs(explained - float(wanted)) / max(abs(float(wanted)), 1e-12),
        masker=estimator.masker,
    )


def _batches(case):
    """Tokens by modality, and the targets of the windows."""
    for batch in case.batches:
        for rows in batch.split(case.reader.batch_size):
            yield take_tokens(batch, rows), torch.as_tensor(case.targets[batch.sample[rows]])


def _integrate(case, network, tokens, target, n_steps):
    """Values and mean gradients of the gain by modality, and the gain itself (B,)."""
    device = next(network.parameters()).device
    tokens = [part.to(device) for part in tokens]
    full = [part.values for part in tokens]
    mean = [torch.zeros_like(values) for values in full]
    # alpha = u^3 for even steps of u: the same line, walked more slowly near silence.
    for u in (np.arange(n_steps) + 0.5) / n_steps:
        for part, values in zip(tokens, full):
            part.values = (u**3 * values).detach().requires_grad_()
        gain = -_losses(case, network(tokens), target).sum()
        gradients = torch.autograd.grad(gain, [part.values for part in tokens])
        for one, gradient in zip(mean, gradients):
            one += gradient * (3 * u**2 / n_steps)
    with torch.no_grad():
        for part, values in zip(tokens, full):
            part.values = values
        gain = -_losses(case, network(tokens), target)
        for part in tokens:
            part.values = torch.zeros_like(part.values)
        gain += _losses(case, network(tokens), target)
    names = [MODALITY_CODES[int(part.modality[0])] for part in tokens]
    credit = {
        name: (values.double().cpu(), one.double().cpu())
        for name, values, one in zip(names, full, mean)
    }
    return credit, gain.cpu()


def _losses(case, outputs, target):
    """Loss of each window (B,), as :meth:`Case.losses`."""
    target = target.to(outputs.device)
    if case.is_classification:
        return torch.nn.functional.cross_entropy(outputs, target, reduction="none")
    return (outputs[:, 0] - target).square()


def by_frequency(values, gradient, n_channels):
    """Credit of each Fourier component (n_frequencies,), summed over windows and channels."""
    n_points = values.shape[1] // n_channels * values.shape[2]
    x, g = (
        torch.fft.rfft(part.reshape(-1, n_channels, n_points), norm="ortho")
        for part in (values, gradient)
    )
    credit = (x * g.conj()).real.sum((0, 1))
    # All but the mean and, for even lengths, the Nyquist frequency stand for two components.
    twice = torch.full_like(credit, 2.0)
    twice[0] = 1.0
    if n_points % 2 == 0:
        twice[-1] = 1.0
    return credit * twice


def _part(credit, spectrum, signals, limits):
    """Sums of the credit (S, P) over channels, patches and bands."""
    grid = credit.sum(axis=1).reshape(signals.shape[1], -1)  # (C, N)
    n_points = grid.shape[1] * credit.shape[1]
    frequencies = np.fft.rfftfreq(n_points, 1 / signals.sfreq)
    return PartImportance(
        **layout_of(signals),
        times=patch_times(signals, credit.shape[1])[1],
        channels=grid.sum(axis=1),
        patches=grid.sum(axis=0),
        bands={name: float(spectrum[in_band(frequencies, x)].sum()) for name, x in limits.items()},
        limits=limits,
        grid=grid,
    )
