"""Latents of the network -> one row of numbers per window.

B windows of a batch, M latents, D width, F columns
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..models import TokenBatch
from ..models.config import MODALITY_CODES
from ..models.tokens import Begun
from .course import COURSE, N_COURSE, has_course, read_course

__all__ = ["POOLINGS", "Pooling", "choose_pooling", "unseen_modality"]

POOLINGS = ("auto", "compact", "flatten", "mean", "mean+std")


@dataclass(frozen=True)
class Pooling:
    """A form of the latents as rows, for samples of some modalities."""

    name: str  # "auto" and "compact" need the modalities
    config: object = field(default=None, repr=False)  # Shape of the network
    modalities: tuple = ()  # Of the read-outs, in reading order; empty for other forms

    @property
    def label(self):
        """Name and, of read-outs, modalities."""
        return f"{self.name} of {' and '.join(self.modalities)}" if self.modalities else self.name

    @property
    def sizes(self):
        """Columns of each read-out by its title; None for a form without read-outs."""
        if self.name not in ("auto", "compact"):
            return None
        if not self.modalities:
            raise ValueError("Embed samples first: read-outs depend on their modalities.")
        return {
            name if len(self.modalities) == 1 else f"{modality}_{name}": n
            for modality in self.modalities
            for name, n in _sizes(self.config, modality).items()
        }

    @property
    def needs_tokens(self):
        """Whether rows depend on the times of tokens, beside the latents."""
        return any(has_course(self.config, modality) for modality in self.modalities)

    def columns(self):
        """Name the columns: by read-out, or by number."""
        if self.sizes is not None:
            return [f"{title}_{i}" for title, n in self.sizes.items() for i in range(n)]
        n_parts = {"mean": 1, "mean+std": 2, "flatten": self.config.n_latents}[self.name]
        return [str(i) for i in range(n_parts * self.config.width)]

    def rows(self, network, latents, tokens):
        """Turn latents (B, M, D), and the tokens that they are of, into rows (B, F)."""
        if self.sizes is not None:
            return self._read_out(network, latents, tokens)
        if self.name == "flatten":
            return latents.flatten(1)
        mean = latents.mean(dim=1)
        if self.name == "mean":
            return mean
        return torch.cat([mean, latents.std(dim=1, correction=0)], dim=1)

    def _read_out(self, network, latents, tokens):
        """Put read-outs side by side; those of a modality that a window lacks are 0."""
        # Zero is the mean of the quantity in pretraining.
        is_read = _read_modalities(tokens)
        for modality in is_read:
            if modality not in self.modalities:
                raise unseen_modality(modality, self.modalities, ", or use pooling='flatten'")
        rows = []
        for modality in self.modalities:
            found = network.read_out(latents, modality)
            if has_course(self.config, modality):
                course = torch.zeros(len(found), N_COURSE, device=found.device)
                if modality in is_read:
                    course = read_course(network, latents, _tokens_of(modality, tokens))
                found = torch.cat([found, course / N_COURSE**0.5], dim=1)
            none = torch.zeros(len(found), dtype=torch.bool, device=found.device)
            rows.append(torch.where(is_read.get(modality, none)[:, None], found, 0.0))
        return torch.cat(rows, dim=1)


def choose_pooling(config, name, modalities):
    """Return the pooling for samples of some modalities, which may not be known yet."""
    if name == "auto" and modalities:
        is_compact = all(_sizes(config, modality) for modality in modalities)
        name = "compact" if is_compact else "flatten"
    if name != "compact":
        return Pooling(name, config)
    for modality in modalities:
        if not _sizes(config, modality):
            found = ", ".join(dict.fromkeys(row[0] for row in config.read_outs))
            raise ValueError(
                f"pooling='compact' needs read-outs of {modality}, and the checkpoint has those "
                f"of {found} alone. Use pooling='auto' or 'flatten'."
            )
    return Pooling(name, config, tuple(modalities))


def _read_modalities(tokens):
    """Return a mask (B,) of the windows with each modality, by its name."""
    if isinstance(tokens, Begun):
        return {MODALITY_CODES[code]: is_read for code, is_read in tokens.is_read().items()}
    parts = [tokens] if isinstance(tokens, TokenBatch) else tokens
    masks = [~part.is_padding.all(dim=1) for part in parts]
    return {MODALITY_CODES[int(p.modality[0])]: mask for p, mask in zip(parts, masks)}


def unseen_modality(modality, seen, also=""):
    """Return the error for samples of a modality that the first ones did not have."""
    return ValueError(
        f"X has {modality}, but the samples that were seen first have {' and '.join(seen)} only. "
        f"Fit to samples of all modalities{also}."
    )


def _sizes(config, modality):
    """Return the columns of each read-out of a modality by its name; empty without any."""
    sizes = {name: n for kind, name, _, n in config.read_outs if kind == modality}
    return {**sizes, COURSE: N_COURSE} if sizes and has_course(config, modality) else sizes


def _tokens_of(modality, tokens):
    """Return the tokens of a modality."""
    parts = [tokens] if isinstance(tokens, TokenBatch) else tokens
    return next(p for p in parts if MODALITY_CODES[int(p.modality[0])] == modality)
