"""What importance maps are made of: preprocessed windows, a network, and losses to explain.

B windows of a batch, O outputs of the network
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import check_device
from ..estimators.reading import average_over_windows, window_tokens
from ..io.inputs import count_samples
from ..signals import MODALITIES


@dataclass(frozen=True)
class Case:
    """A fitted estimator, and the samples that it is to be explained on."""

    network: torch.nn.Module  # Backbone and head, in eval mode
    blocks: list  # Preprocessed windows of all samples
    # (n_samples,) Class indices, or standardised numbers; those predicted where none were given
    targets: np.ndarray
    is_predicted: bool  # Whether the targets are the estimator's own predictions
    batch_size: int  # Windows at once
    signals: dict  # One window's worth of names, places and rates, by modality

    @property
    def is_classification(self):
        """Whether targets are classes."""
        return self.targets.dtype.kind == "i"

    @property
    def unit(self):
        """What losses are measured in."""
        return "nats" if self.is_classification else "variance of the target"

    def losses(self, outputs):
        """Loss of each sample (n_samples,), from outputs (n_samples, O)."""
        if self.is_classification:
            rows = np.arange(len(outputs))
            return -torch.from_numpy(outputs).log_softmax(-1).numpy()[rows, self.targets]
        return np.square(outputs[:, 0] - self.targets)

    def run(self, take):
        """Outputs (n_samples, O) of tokens that ``take(block, rows)`` makes."""
        device = next(self.network.parameters()).device
        n_samples = len(self.targets)
        return average_over_windows(
            self.network, self.blocks, n_samples, self.batch_size, device, take=take
        )


def prepare(estimator, X, y, *, is_one_montage=True):
    """Take a fitted estimator and its samples apart."""
    # y (n_samples,).
    if not hasattr(estimator, "_as_network"):
        raise TypeError(
            "Importance is that for a prediction: pass a fitted BrainOFClassifier or "
            f"BrainOFRegressor, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    sources = estimator._as_sources(X, reset=False)
    n_samples = count_samples(sources)
    blocks = list(estimator._blocks(sources))
    network = estimator._as_network().to(check_device(estimator.device)).eval()
    is_predicted = y is None
    if is_predicted:
        y = estimator.predict(X)
    y = estimator._check_targets(y, n_samples)
    if is_classifier(estimator):
        unknown = np.setdiff1d(y, estimator.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[:5]}; the classes are {estimator.classes_.tolist()}."
            )
        targets = np.searchsorted(estimator.classes_, y).astype(np.int64)
    else:
        targets = (y.astype(np.float64) - estimator._mean) / estimator._spread
    if is_one_montage:
        signals = one_montage(blocks)
    else:
        signals = {n: b.windows[n].signals for n in MODALITIES for b in blocks if n in b.windows}
    return Case(network, blocks, targets, is_predicted, estimator.batch_size, signals)


def one_montage(blocks):
    """Find the one montage of each modality."""
    found = {}
    for name in MODALITIES:
        for block in blocks:
            if name not in block.windows:
                continue
            signals = block.windows[name].signals
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


def take_tokens(block, rows, change=None, modality=None, hidden=None):
    """Tokens of some windows, one modality changed."""
    # hidden (n_channels, n_patches).
    tokens = []
    for name in block.windows:
        if block.is_missing[name][rows].all():
            continue
        part = window_tokens(block, name, rows, change if name == modality else None)
        if hidden is not None and name == modality:
            is_hidden = torch.tensor(hidden.ravel())
            part.is_padding[:, is_hidden] = True
            part.values[:, is_hidden] = 0.0
        tokens.append(part)
    return tokens
