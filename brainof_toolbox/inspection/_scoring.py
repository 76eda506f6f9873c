"""Preprocessed windows, a network, and losses, which importance maps are computed from.

B windows of a batch, O outputs of the network
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..encoder.tokens import average_over_windows, window_tokens
from ..estimators.targets import check_targets
from ..io.inputs import count_samples
from ..signals import MODALITIES
from ._experts import encoder_of


@dataclass(frozen=True)
class Case:
    """A fitted estimator, and the samples that its predictions are explained on."""

    network: torch.nn.Module  # Backbone and head, in eval mode
    batches: list  # Preprocessed windows of all samples
    # (n_samples,) Class indices, or standardised numbers; predicted ones where none were given
    targets: np.ndarray
    is_predicted: bool  # Whether the targets are the estimator's own predictions
    batch_size: int  # Windows at once
    signals: dict  # Signals with the montage, rate and length of windows, by modality

    @property
    def is_classification(self):
        """Whether targets are classes."""
        return self.targets.dtype.kind == "i"

    @property
    def unit(self):
        """Unit of the losses."""
        return "nats" if self.is_classification else "variance of the target"

    def losses(self, outputs):
        """Return the loss of each sample (n_samples,), from outputs (n_samples, O)."""
        if self.is_classification:
            rows = np.arange(len(outputs))
            return -torch.from_numpy(outputs).log_softmax(-1).numpy()[rows, self.targets]
        return np.square(outputs[:, 0] - self.targets)

    def run(self, take):
        """Return outputs (n_samples, O) for the tokens that ``take(batch, rows)`` makes."""
        device = next(self.network.parameters()).device
        n_samples = len(self.targets)
        return average_over_windows(
            self.network, self.batches, n_samples, self.batch_size, device, take=take
        )


def prepare(estimator, X, y, *, is_one_montage=True):
    """Prepare a fitted estimator and samples for explanation."""
    # y (n_samples,).
    if not hasattr(estimator, "precompute"):
        raise TypeError(
            "Importance is that for a prediction: pass a fitted BrainOFClassifier or "
            f"BrainOFRegressor, got {type(estimator).__name__}."
        )
    encoder, _ = encoder_of(estimator)
    samples = encoder.samples(X)
    batches = list(encoder.windows(samples))
    network = estimator.decoder_.as_network().to(encoder.device).eval()
    is_predicted = y is None
    if is_predicted:
        y = estimator.predict(X)
    y = check_targets(y, count_samples(samples), type(estimator).__name__)
    targets = estimator.targets_.encode(y)
    if is_one_montage:
        signals = one_montage(batches)
    else:
        signals = {n: b.windows[n].signals for n in MODALITIES for b in batches if n in b.windows}
    return Case(network, batches, targets, is_predicted, encoder.batch_size, signals)


def one_montage(batches):
    """Find the one montage of each modality."""
    found = {}
    for name in MODALITIES:
        for batch in batches:
            if name not in batch.windows:
                continue
            signals = batch.windows[name].signals
            first = found.setdefault(name, signals)
            same = signals.ch_names == first.ch_names and signals.shape[2] == first.shape[2]
            same = same and np.isclose(signals.sfreq, first.sfreq)  # fMRI keeps its own rate
            if not same or not np.allclose(signals.ch_pos, first.ch_pos):
                raise ValueError(
                    f"A map needs one {name} montage, rate and length of windows, the samples "
                    f"have {_words(first)} and {_words(signals)}. Explain one kind at a time, or "
                    "pick the channels that all share and cut samples to one length."
                )
    return found


def _words(signals):
    n_channels, n_times = signals.shape[1:]
    return f"{n_channels} channels, {n_times} points at {signals.sfreq:.4g} Hz"


def take_tokens(batch, rows, change=None, modality=None, hidden=None):
    """Make tokens of some windows, with one modality changed."""
    # hidden (n_channels, n_patches).
    tokens = []
    for name in batch.windows:
        if batch.is_missing[name][rows].all():
            continue
        part = window_tokens(batch, name, rows, change if name == modality else None)
        if hidden is not None and name == modality:
            is_hidden = torch.tensor(hidden.ravel())
            part.is_padding[:, is_hidden] = True
            part.values[:, is_hidden] = 0.0
        tokens.append(part)
    return tokens
