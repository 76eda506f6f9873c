"""Latents of the network -> one row of numbers per window.

B windows of a batch, M latents, D width, F columns
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..models import TokenBatch
from ..models.config import MODALITY_CODES
from ..models.readout import sizes_of
from ..models.tokens import Begun
from ..pretraining.course import count_course, embed_course, has_course
from ..pretraining.terms import COURSE

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
        parts = _by_modality(tokens)
        for modality in parts:
            if modality not in self.modalities:
                raise unseen_modality(modality, self.modalities, ", or use pooling='flatten'")
        rows = []
        for modality in self.modalities:
            if modality not in parts:
                n_columns = sum(_sizes(self.config, modality).values())
                rows.append(torch.zeros(len(latents), n_columns, device=latents.device))
                continue
            is_read, part = parts[modality]
            found = network.read_out(latents, modality)
            if has_course(self.config, modality):
                course = embed_course(network, latents, part)
                found = torch.cat([found, course / course.shape[1] ** 0.5], dim=1)
            rows.append(torch.where(is_read[:, None], found, 0.0))
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


def _by_modality(tokens):
    """Return a mask (B,) of the windows with each modality, and its tokens, by its name."""
    if isinstance(tokens, Begun):
        return {MODALITY_CODES[code]: (mask, None) for code, mask in tokens.is_read().items()}
    parts = [tokens] if isinstance(tokens, TokenBatch) else tokens
    return {
        MODALITY_CODES[int(part.modality[0])]: (~part.is_padding.all(dim=1), part)
        for part in parts
    }


def unseen_modality(modality, seen, also=""):
    """Return the error for samples of a modality that the first ones did not have."""
    return ValueError(
        f"X has {modality}, but the samples that were seen first have {' and '.join(seen)} only. "
        f"Fit to samples of all modalities{also}."
    )


def _sizes(config, modality):
    """Return the columns of each read-out of a modality by its name; empty without any."""
    sizes = sizes_of(config, modality)
    if not sizes or not has_course(config, modality):
        return sizes
    return {**sizes, COURSE: count_course(config, modality)}
