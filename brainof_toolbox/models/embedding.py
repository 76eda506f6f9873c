"""From patches to vectors: what was measured, and where and when.

The two are kept apart until the latents read them, so that attention keys see where and when
undiluted by content.

B batch, L layouts (1 or B), S tokens, P patch, D width, N wavelengths, F place features, M latents
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .config import MODALITY_CODES, SENSOR_TYPES
from .layers import BiasFreeLinear, Fourier, soft_limit

DURATION_WAVELENGTHS = (2.0, 32.0, 5)  # octaves of the duration in s: from 1 / 16 s to 4096 s


class ContentEmbedding(nn.Module):
    """Content: the samples, their log-amplitude spectrum, and the scale taken out."""

    def __init__(self, config):
        super().__init__()
        self.floor, self.limit = config.spectrum_floor, config.content_limit
        self.spectrum_gain, self.corner = config.spectrum_gain, config.waveform_lowpass_init
        self.patch_size, self.has_spectrum = config.patch_size, config.spectrum
        n_frequencies = config.patch_size // 2 + 1 if config.spectrum else 0
        # One map for samples and spectrum: orthonormal columns keep the two apart at first.
        self.patch = BiasFreeLinear(
            config.patch_size + n_frequencies, config.width, orthogonal=True
        )
        self.log_scale = BiasFreeLinear(1, config.width)
        self.mask = nn.Parameter(torch.empty(config.width, dtype=torch.float32))
        basis = _fourier_basis(config.patch_size, n_frequencies)
        self.register_buffer("basis", basis, persistent=False)  # (P, cosines and sines)

    def initialise(self, generator):
        """Draw the embedding of hidden patches, and weigh frequencies once the map is drawn."""
        nn.init.normal_(self.mask, generator=generator)
        weight = self.patch.weight.detach()
        weight[:, self.patch_size :] *= self.spectrum_gain
        weight[:, : self.patch_size] @= _smoother(self.patch_size, self.corner)

    def forward(self, tokens):
        """Embed the content."""
        # -> content (B, S, D).
        values = tokens.values.to(self.patch.weight.dtype)  # (B, S, P)
        features = [values, tokens.log_scale[..., None].to(values.dtype)]
        if self.has_spectrum:
            features.insert(1, self.log_spectrum(values))  # (B, S, P / 2 + 1)
        # RMS 1 in the samples is length sqrt(P) here: brought back to RMS 1 per channel.
        gain = math.sqrt(self.patch.out_features / self.patch_size)
        # One product for all: the weights are few, the tokens many.
        weight = torch.cat([self.patch.weight, self.log_scale.weight], 1) * gain
        content = F.linear(torch.cat(features, -1), weight)  # (B, S, D)
        if tokens.is_masked is not None:
            hidden = self.mask.to(content.dtype)  # (D,)
            content = torch.where(tokens.is_masked[..., None], hidden, content)  # (B, S, D)
        return soft_limit(content, self.limit)  # (B, S, D)

    def log_spectrum(self, values):
        """Return the logarithm of the amplitude at each frequency of the patch."""
        # values (B, S, P) -> spectrum (B, S, P / 2 + 1).
        cosine, sine = (values @ self.basis.to(values.dtype)).chunk(2, dim=-1)  # 2 x (B, S, P/2+1)
        return 0.5 * torch.addcmul(cosine.square(), sine, sine).add_(self.floor**2).log()


def _fourier_basis(patch_size, n_frequencies):
    """Return tapered cosines and sines, (P, 2 N), that give amplitude 1 for a sine of height 1."""
    kind = {"dtype": torch.float64, "device": "cpu"}
    time, frequency = torch.arange(patch_size, **kind), torch.arange(n_frequencies, **kind)
    angle = 2 * math.pi / patch_size * torch.outer(time, frequency)  # (P, N)
    # The taper keeps slow drifts out of the high frequencies.
    taper = 1 - torch.cos(2 * math.pi * (time + 0.5) / patch_size)  # (P,)
    basis = torch.cat([angle.cos(), angle.sin()], dim=1) * taper[:, None]  # (P, 2N)
    return (basis * 2 / patch_size).float()


def _smoother(patch_size, corner):
    """Return the symmetric low-pass, (P, P), that is ``1 / sqrt(1 + (k / corner) ** 2)``."""
    # k counts the cycles per patch of the discrete cosine basis in which it is diagonal.
    kind = {"dtype": torch.float64, "device": "cpu"}
    time, half_cycles = torch.arange(patch_size, **kind), torch.arange(patch_size, **kind)
    basis = torch.cos(math.pi / patch_size * torch.outer(half_cycles, time + 0.5))  # (P, P)
    basis /= basis.norm(dim=1, keepdim=True)
    gain = 1 / torch.sqrt(1 + (half_cycles / (2 * corner)).square())  # (P,)
    return (basis.T * gain @ basis).float()


class PlaceEmbedding(nn.Module):
    """Embed the context of a patch: where, when, how long, and by which sensor."""

    def __init__(self, config):
        super().__init__()
        width = config.width
        self.sensor_type = nn.Parameter(torch.empty(len(SENSOR_TYPES), width, dtype=torch.float32))
        self.modality = nn.Parameter(torch.empty(len(MODALITY_CODES), width, dtype=torch.float32))
        self.has_place = config.position_encoding == "fourier"
        if self.has_place:
            self.position = Fourier(*config.position_wavelengths)
            self.time = Fourier(*config.time_wavelengths)
            self.duration = Fourier(*DURATION_WAVELENGTHS)
            n_features = 3 * self.position.width + self.time.width + self.duration.width + 3
            # Embedded features have a root mean square of 1: a cosine and its sine together have
            # length 1.
            self.gain = math.sqrt(width) / math.sqrt((n_features - 3) / 2)
            self.place = BiasFreeLinear(n_features, width, orthogonal=True)

    def initialise(self, generator):
        """Draw the embeddings of types and modalities, small at first."""
        nn.init.normal_(self.sensor_type, std=0.1, generator=generator)
        nn.init.normal_(self.modality, std=0.1, generator=generator)

    def forward(self, tokens):
        """Embed where and when."""
        # -> place (L, S, D), one row where all samples share a layout.
        kind = self.sensor_type[tokens.sensor_type] + self.modality[tokens.modality][:, None]
        if not self.has_place:
            return kind  # (L, S, D)
        duration = tokens.duration.clamp(min=1e-3).log2()
        features = torch.cat(
            [
                self.features(tokens.position, tokens.time),
                self.duration(duration),
                tokens.orientation,
            ],
            dim=-1,
        ).to(kind.dtype)  # (L, S, F)
        return kind + self.place(features) * self.gain  # (L, S, D)

    def features(self, position, time):
        """Return the Fourier features of points in space and time."""
        # position (..., 3), time (...) -> features (..., 8 N).
        where = self.position(position).flatten(-2)  # (..., 3 * 2N)
        return torch.cat([where, self.time(time)], dim=-1)

    def kernel_features(self):
        """List the features of which the log of an attention kernel can be composed."""
        listed, column = [], 0
        for axis, part in (*((a, self.position) for a in "xyz"), ("t", self.time)):
            for _ in ("cosine", "sine"):
                for wavelength in part.wavelengths:
                    listed.append((axis, wavelength, column))
                    column += 1
        return listed
