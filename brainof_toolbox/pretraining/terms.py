"""Training terms beside Masked Temporal-Frequency Modeling: linear read-outs of latents.

Reconstruction rewards slow, large waves. These terms, which are ours, ask for power, covariance
and course, at fixed places of the head, of the clean and complete sample, while the network reads
a thinned and disturbed one (:mod:`.augment`).

B batch, C channels, N patches of a channel, V places, Q columns of a quantity, S tokens
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from .._utils.validation import check_number, check_option
from ..models.config import MODALITY_CODES
from ..models.readout import COURSE, RECONSTRUCTION
from ..models.tokens import TensorFields
from .batch import GridBatch, to_tokens
from .corruption import FMRI

#: Terms by modality, and the outputs of their read-outs; a course is read by the decoder.
SECOND_ORDER, DIFFERENCE, SPECTRUM = "second_order", "difference", "fine_spectrum"
TERMS = (SECOND_ORDER, DIFFERENCE, SPECTRUM, COURSE)
_OF_MEEG = {SECOND_ORDER: 32, DIFFERENCE: 128, SPECTRUM: 64, COURSE: 0}
OUTPUTS = {"eeg": _OF_MEEG, "meg": _OF_MEEG, "fmri": {SECOND_ORDER: 64, DIFFERENCE: 64}}
N_BINS = 8  # of a patch's course
_LEAST_POWER = 1e-3  # squared network units: a flat course has no share that could be explained

DESCRIPTION = (
    "Masked Temporal-Frequency Modeling (Guo et al., arXiv:2602.23410), and the terms {}, which "
    "are not part of the published method: linear read-outs of groups of latents predict "
    "quantities of the sample at fixed places of the head."
)


def check_terms(terms):
    """Return the weights of the terms without those that are 0, or raise."""
    if not isinstance(terms, dict):
        raise ValueError(f"The parameter 'terms' must be weights by name, got {terms!r}.")
    for name, weight in terms.items():
        check_option("terms", name, TERMS)
        check_number(f"terms[{name!r}]", weight, low=0)
    return {name: float(terms[name]) for name in TERMS if terms.get(name)}


def terms_of(config, modality):
    """Return the weights of the terms that a modality is trained on."""
    kind = MODALITY_CODES[modality]
    asked = OUTPUTS[kind] if kind in config.term_modalities else ()
    return {name: weight for name, weight in config.terms.items() if name in asked}


def with_read_outs(config, training, corpus):
    """Return the shape of the network with the read-outs that the terms need."""
    if not training.terms:
        if config.read_outs:
            raise ValueError(
                "The network's read_outs follow from PretrainingConfig.terms, and there are none. "
                "Leave read_outs and latent_groups out of the network's configuration."
            )
        return config
    rows = []
    for modality in sorted(set(corpus.modality.tolist())):
        kind = MODALITY_CODES[modality]
        for name in terms_of(training, modality):
            n_outputs = OUTPUTS[kind][name]
            if n_outputs:
                n_columns = count_columns(kind, name, training)
                rows.append((kind, name, n_columns, min(n_outputs, n_columns)))
    groups = (*training.terms, RECONSTRUCTION)
    return dataclasses.replace(config, latent_groups=groups, read_outs=tuple(rows))


def count_columns(kind, name, training):
    """Count the columns of a quantity."""
    from .targets import BANDS, LINES

    if kind == "fmri":
        return training.term_regions * (training.term_regions - 1) // 2
    n_places = training.term_places
    if name == SPECTRUM:
        return n_places * len(LINES)
    return len(BANDS) * n_places * (n_places + 1) // 2


@dataclass(eq=False)
class TermBatch(TensorFields):
    """Disturbed samples, and the quantities of the clean ones; of one modality."""

    grid: GridBatch  # Input of the network
    is_dropped: torch.Tensor  # (B, C, N) True where a patch is not read
    dataset: torch.Tensor  # (B,) Number of the dataset in the corpus, int64
    second_order: torch.Tensor | None  # (B, Q)
    fine_spectrum: torch.Tensor | None  # (B, Q)
    places: GridBatch | None  # Course of the virtual channels, as long as what is read
    is_paired: bool  # Whether samples 2 k and 2 k + 1 come from one person

    @property
    def modality(self):
        """Index into ``("eeg", "meg", "fmri")``."""
        return self.grid.modality


def term_losses(model, batch, config, dataset_mean, routing):
    """Compute the losses of a batch, and the mean change of the latents (M, D)."""
    tokens = to_tokens(batch.grid, patch_size=model.config.patch_size)
    dropped = tokens.is_padding | batch.is_dropped.flatten(1)
    latents = model(dataclasses.replace(tokens, is_padding=dropped), routing=routing)
    change = model.change(latents)  # (B, M, D)
    wanted = terms_of(config, batch.modality)
    losses = {}
    with torch.autocast(change.device.type, enabled=False):
        read_outs = _read_outs_of(model, batch.modality)
        for name, read_out in read_outs.items():
            if name == DIFFERENCE:
                losses[name] = _difference_loss(read_out, change, batch)
                continue
            columns = batch.fine_spectrum if name == SPECTRUM else batch.second_order
            if name == SECOND_ORDER and dataset_mean is not None and batch.modality == FMRI:
                columns = columns - dataset_mean[batch.dataset]
            losses[name] = (read_out(change) - read_out.project(columns)).square().mean()
    if COURSE in wanted:
        losses[COURSE] = _course_loss(model, latents, batch.places, routing)
    return losses, change.detach().mean(0)


def follow(model, modality, change):
    """Update the moving means of the latents of a modality; the same on all processes."""
    for read_out in _read_outs_of(model, modality).values():
        read_out.follow(change)


def _read_outs_of(model, modality):
    if not model.config.read_outs:
        return {}
    kind = MODALITY_CODES[modality]
    return dict(model.read_outs[kind].items()) if kind in model.read_outs else {}


def _difference_loss(read_out, change, batch):
    """Compare differences of the two samples of each pair; a sample with itself has none."""
    found = read_out(change)
    found = (found[0::2] - found[1::2]) / 2**0.5  # (B / 2, O)
    columns, index = batch.second_order, batch.grid.index
    wanted = read_out.project_difference(columns[0::2], columns[1::2])
    is_pair = (index[0::2] != index[1::2]).float()  # (B / 2,)
    error = (found - wanted).square().mean(1)
    return (error * is_pair).sum() / is_pair.sum().clamp(min=1)


def _course_loss(model, latents, places, routing):
    """Return the share of the power of the smoothed course that the decoder does not predict."""
    patch_size = model.config.patch_size
    queries = to_tokens(places, patch_size=patch_size)
    found = model.decode(latents, queries, routing=routing, group=COURSE)  # (B, S, P)
    bins = smoothing_bins(patch_size).to(found.device)
    with torch.autocast(found.device.type, enabled=False):
        error = (found.float() - queries.values) @ bins.T  # (B, S, bins)
        wanted = queries.values @ bins.T
    full = queries.duration * places.sfreq[:, None] > patch_size - 0.5  # not cut by the end
    is_counted = (full & ~queries.is_padding)[..., None]
    n_counted = is_counted.sum().clamp(min=1) * N_BINS
    power = (wanted.square() * is_counted).sum() / n_counted
    return (error.square() * is_counted).sum() / n_counted / power.clamp(min=_LEAST_POWER)


def smoothing_bins(patch_size):
    """Return the weights of the points of a patch in each bin of its course; rows sum to 1."""
    # Gaussians whose standard deviation is half a bin, as in the feature of evoked courses.
    width = patch_size / N_BINS
    centres = (torch.arange(N_BINS) + 0.5) * width  # (bins,)
    points = torch.arange(patch_size) + 0.5  # (P,)
    weights = torch.exp(-(((points - centres[:, None]) / (width / 2)) ** 2) / 2)
    return weights / weights.sum(1, keepdim=True)
