"""Preprocessed windows, a decoder, and losses, which importance maps are computed from.

B windows of a batch, O outputs of the decoder
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import choose
from ..encoder.blocks import LATENTS
from ..encoder.windows import SampleMeans
from ..estimators.targets import check_targets
from ..evaluation.groups import check_target
from ..io.inputs import count_samples
from ..io.sample_list import as_samples
from ..models import BrainOFConfig
from ..signals import MODALITIES
from .hiding import has_input, hide_in_batch, hide_in_blocks, take_tokens


@dataclass(frozen=True, eq=False)
class Case:
    """A fitted estimator, and the samples that its predictions are explained on."""

    decoder: object
    reader: object  # Encoder of the blocks that the decoder takes
    samples: object
    batches: list  # Preprocessed windows of all samples
    blocks: dict  # (n_samples, n_columns) Blocks of all samples, not aligned
    # (n_samples,) Class indices, or standardised numbers; predicted ones where none were given
    targets: np.ndarray
    signals: dict  # Signals with the montage, rate and length of windows, by modality

    @property
    def is_classification(self):
        """Whether targets are classes."""
        return self.targets.dtype.kind == "i"

    @property
    def unit(self):
        """Unit of the losses."""
        return "nats" if self.is_classification else "variance of the target"

    @property
    def patch_size(self):
        """Time points that are hidden together."""
        config = getattr(self.reader.backbone, "config", None) or BrainOFConfig()
        return config.patch_size

    def losses(self, outputs):
        """Return the loss of each sample (n_samples,), from outputs (n_samples, O)."""
        if self.is_classification:
            rows = np.arange(len(outputs))
            return -torch.from_numpy(outputs).log_softmax(-1).numpy()[rows, self.targets]
        return np.square(outputs[:, 0] - self.targets)

    def outputs(self, hidden=None):
        """Return outputs (n_samples, O) of the samples, with something hidden."""
        if hidden is None:
            return self.decide(self.blocks)
        definitions = self.reader.explicit.definitions()
        changed, lost = hide_in_blocks(hidden, definitions, self.batches, len(self.targets))
        if self.reader.has_latents:
            latents = self._latents(hidden)
            is_gone = np.isnan(latents[:, :1])
            changed[LATENTS] = np.where(is_gone, self.blocks[LATENTS], latents)
            if is_gone.any():
                lost[LATENTS] = is_gone.astype(float)
        return self.decide(self.blocks | changed, lost)

    def decide(self, blocks, lost=None):
        """Return outputs (n_samples, O) of blocks; what is lost counts as the training mean."""
        blocks = self.decoder.align(blocks, self.samples)
        if lost:
            means = self.decoder.neutral(blocks)
            blocks = blocks | {
                name: _fill(blocks[name], share, means[name]) for name, share in lost.items()
            }
        return self.decoder.decision(blocks)

    def _latents(self, hidden):
        """Return latents, or outputs of a trained network; NaN for samples without any input."""
        # -> rows (n_samples, n_columns).
        reader, backbone = self.reader, self.reader.backbone
        device = next(reader.network.parameters()).device
        means = SampleMeans(len(self.targets))
        with torch.inference_mode():
            for batch in self.batches:
                kept = np.flatnonzero(has_input(batch, hidden))
                if backbone.embeds == "arrays":
                    batch = hide_in_batch(batch, hidden)
                for start in range(0, len(kept), reader.batch_size):
                    rows = kept[start : start + reader.batch_size]
                    if backbone.embeds == "arrays":
                        inputs = backbone.prepare(batch, rows, device)
                    else:
                        inputs = [part.to(device) for part in take_tokens(batch, rows, hidden)]
                    values = backbone.embed(inputs, layer=reader.layer, pooling=reader.pooler)
                    means.add(batch.sample[rows], values.double().cpu().numpy())
        if means.total is None:
            return np.full_like(self.blocks[LATENTS], np.nan)
        return means.rows()


def _fill(rows, share, mean):
    """Move columns towards their mean; a sample without the block only where all get there."""
    is_lost = np.broadcast_to(share == 1, rows.shape)
    moved = np.where(is_lost, mean, rows + share * (mean - rows))
    is_absent = np.isnan(rows[:, 0]) & ~is_lost.all(axis=1)
    moved[is_absent] = np.nan
    return moved


def check_predicts(estimator):
    """Refuse what is no fitted classifier or regressor."""
    if not hasattr(estimator, "precompute"):
        raise TypeError(
            "Importance is that for a prediction: pass a fitted BrainOFClassifier or "
            f"BrainOFRegressor, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)


def prepare(estimator, X, y, *, is_one_montage=True):
    """Prepare a fitted estimator and samples for explanation."""
    # y (n_samples,).
    check_predicts(estimator)
    encoder, decoder = estimator.encoder_, estimator.decoder_
    reader, samples = decoder.reader, encoder.samples(X)
    batches = list(encoder.windows(samples))
    if y is not None:
        y = check_target(y, as_samples(X))
        y = check_targets(y, count_samples(samples), type(estimator).__name__)
        targets = estimator.targets_.encode(y)
    if is_one_montage:
        signals = one_montage(batches)
    else:
        signals = {n: b.windows[n].signals for n in MODALITIES for b in batches if n in b.windows}
    blocks = reader.embed_windows(batches, samples)
    if y is None:
        outputs = decoder.outputs_of(blocks, samples)
        targets = outputs[:, 0] if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return Case(decoder, reader, samples, batches, blocks, targets, signals)


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


def one_modality(batches, modality):
    """Find the one montage of a modality that samples have; None means the only one."""
    present = {n for batch in batches for n in batch.windows if not batch.is_missing[n].all()}
    found = {name: signals for name, signals in one_montage(batches).items() if name in present}
    return found[choose("modality", modality, found)]


def _words(signals):
    n_channels, n_times = signals.shape[1:]
    return f"{n_channels} channels, {n_times} points at {signals.sfreq:.4g} Hz"
