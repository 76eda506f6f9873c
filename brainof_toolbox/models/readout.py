"""Read-outs: linear maps from groups of latents to quantities that a sample is described by.

The latents are shared out among named groups, latents ``k::n`` to group k of n, so that terms of
pretraining do not compete for the same latents. The decoder reads all latents, or one group. This
is ours, not of the published network.

B batch, M latents, G latents of a group, D width, Q columns of a quantity, O outputs
"""

from __future__ import annotations

import torch
from torch import nn

#: Groups without a linear read-out, for what the decoder predicts: hidden patches, and the course
#: at fixed places.
RECONSTRUCTION, COURSE = "reconstruction", "course"

#: Standard deviations at which a column is clipped: flat and torn samples.
COLUMN_LIMIT = 10.0

_GAIN = 8.0  # brings what varies in the latents to about unit scale
_SPREAD = 4.0  # of single latents against their mean, times the square root of their number
_FOLLOW = 0.02  # share of a new batch in the moving mean of the latents


def group_of(config, name):
    """Return which latents belong to a group."""
    # -> slice of the M latents
    if name not in config.latent_groups:
        raise ValueError(
            f"This network has no group of latents {name!r}; its groups: "
            f"{', '.join(config.latent_groups) or 'none'}."
        )
    return slice(config.latent_groups.index(name), None, len(config.latent_groups))


def sizes_of(config, modality):
    """Return the outputs of each linear read-out of latents of a modality by its name."""
    rows = [row for row in config.read_outs if row[0] == modality and row[1] != COURSE]
    return {name: n for _, name, _, n in rows}


def axes_of(config):
    """Return the number of whitened axes of the course by modality."""
    return {kind: n for kind, name, _, n in config.read_outs if name == COURSE}


class ReadOut(nn.Module):
    """Predict one quantity from a group of latents.

    The quantity has Q columns, standardised by ``mean`` and ``scale`` and projected on
    ``components``, which were computed once from the training data; their mean variance there is
    1. The O outputs predict these projections. Inputs are the group's deviations from their
    moving mean ``usual``: their average and, scaled down, each of them. With so many inputs, a
    training step would otherwise move the outputs too far.
    """

    def __init__(self, config, name, n_columns, n_outputs):
        super().__init__()
        self.group = group_of(config, name)
        n_latents = len(range(config.n_latents)[self.group])
        width = config.width
        self.weight = nn.Parameter(torch.empty(n_outputs, (1 + n_latents) * width))
        self.bias = nn.Parameter(torch.empty(n_outputs))
        self.register_buffer("usual", torch.empty(n_latents, width))
        self.register_buffer("n_followed", torch.empty(()))
        self.register_buffer("mean", torch.empty(n_columns))
        self.register_buffer("scale", torch.empty(n_columns))
        self.register_buffer("components", torch.empty(n_columns, n_outputs))

    def initialise(self, generator):
        """Start from outputs of zero, the mean of the quantity; nothing is drawn."""
        for tensor in (self.weight, self.bias, *self.buffers()):
            tensor.zero_()
        self.scale.fill_(1)

    def forward(self, change):
        """Predict from the latents minus their initial values."""
        # change (B, M, D) -> outputs (B, O)
        own = _GAIN * (change[:, self.group].float() - self.usual)  # (B, G, D)
        each = own.flatten(1)  # (B, G D)
        each = each * (_SPREAD / each.shape[1] ** 0.5)
        return torch.cat([own.mean(1), each], 1) @ self.weight.T + self.bias

    def project(self, columns):
        """Return what the outputs are to be for these columns."""
        # columns (B, Q) -> (B, O)
        return ((columns - self.mean) / self.scale).clamp(
            -COLUMN_LIMIT, COLUMN_LIMIT
        ) @ self.components

    def project_difference(self, one, other):
        """Return what the outputs of one sample minus those of another are to be."""
        # The square root of 2 leaves the variance of a single sample.
        change = ((one - other) / self.scale).clamp(-COLUMN_LIMIT, COLUMN_LIMIT)
        return change @ self.components / 2**0.5

    @torch.no_grad()
    def follow(self, change):
        """Move the usual latents towards the mean of a batch."""
        # change (M, D)
        self.n_followed += 1
        share = (1 / self.n_followed).clamp(min=_FOLLOW)
        self.usual.lerp_(change[self.group].to(self.usual), share)


class CourseAxes(nn.Module):
    """Whitened principal axes of the decoded course, which has Q columns."""

    def __init__(self, n_columns, n_outputs):
        super().__init__()
        self.register_buffer("mean", torch.empty(n_columns))
        self.register_buffer("axes", torch.empty(n_outputs, n_columns))

    def initialise(self, generator):
        """Start from zeros; nothing is drawn."""
        for tensor in self.buffers():
            tensor.zero_()

    def forward(self, course):
        """Project a course on the axes."""
        # course (B, Q) -> (B, O)
        return (course - self.mean) @ self.axes.T


def build_read_outs(config):
    """Build the read-outs of a network by modality and name."""
    found = nn.ModuleDict()
    for modality, name, n_columns, n_outputs in config.read_outs:
        if modality not in found:
            found[modality] = nn.ModuleDict()
        if name == COURSE:
            found[modality][name] = CourseAxes(n_columns, n_outputs)
        else:
            found[modality][name] = ReadOut(config, name, n_columns, n_outputs)
    return found
