"""The course of a window at fixed places of the head, decoded from its latents.

B windows, L layouts of tokens (1 or B), S tokens, P points of a patch, V places, N patches
"""

from __future__ import annotations

import torch

from ..features.places import electrode_places, sensors_at
from ..models import TokenBatch
from ..models.config import MODALITY_CODES, SENSOR_TYPES
from ..models.readout import axes_of
from .terms import COURSE, N_BINS, smoothing_bins

#: Places among the virtual channels, and sections that a window is divided into.
_PLACES = (0, 2, 4, 6, 8, 10, 12, 15)
_N_SECTIONS = 16
N_COURSE = len(_PLACES) * _N_SECTIONS


def has_course(config, modality):
    """Return whether a network was trained to decode the course of samples of a modality."""
    return COURSE in config.latent_groups and modality != "fmri"


def count_course(config, modality):
    """Return the columns of :func:`embed_course`."""
    return axes_of(config).get(modality, N_COURSE)


def embed_course(network, latents, tokens):
    """Describe the course of windows by whitened axes, where the network has them."""
    course = read_course(network, latents, tokens)
    modality = MODALITY_CODES[int(tokens.modality[0])]
    is_whitened = modality in axes_of(network.config)
    return network.read_outs[modality][COURSE](course) if is_whitened else course


def read_course(network, latents, tokens):
    """Decode the smoothed course of windows, averaged in sections of equal length (B, V 16)."""
    if COURSE not in network.config.latent_groups:
        raise ValueError("This network was not trained on courses: it has no latents of them.")
    patch_size = network.config.patch_size
    start, patch, n_bins = _spans(tokens, patch_size)
    n_patches = -(-int(n_bins.max()) // N_BINS)
    queries = _queries(tokens, start, patch, n_patches, patch_size)
    found = network.decode(latents, queries, group=COURSE)  # (B, V N, P)
    bins = smoothing_bins(patch_size).to(found.device)
    found = found.float() @ bins.T  # (B, V N, bins of a patch)
    course = found.unflatten(1, (len(_PLACES), n_patches)).flatten(2)  # (B, V, N bins)
    return (course @ _sections(n_bins, course.shape[2])).flatten(1)


def _spans(tokens, patch_size):
    """Return start and length of a patch in s, and the recorded bins, of each layout (L,)."""
    is_token = ~tokens.is_padding if len(tokens.time) > 1 else ~tokens.is_padding.all(0)[None]
    begin, end = tokens.time - tokens.duration / 2, tokens.time + tokens.duration / 2  # (L, S)
    is_read = is_token.any(1)  # (L,) a window without tokens gets a patch of 1 s
    start = begin.where(is_token, torch.inf).amin(1).where(is_read, 0)
    end = end.where(is_token, -torch.inf).amax(1).where(is_read, 1)
    patch = tokens.duration.where(is_token, 0).amax(1).where(is_read, 1)
    # The only patch of a channel may be cut: its recorded points are those before the last zeros.
    recorded = (tokens.values != 0).any(1)  # (B, P)
    points = torch.arange(1, patch_size + 1, device=patch.device)
    n_points = (recorded * points).amax(1)  # (B,)
    n_points = n_points if len(patch) > 1 else n_points.max()[None]
    is_cut = (end - start < 1.5 * patch) & (n_points > 0)
    patch = torch.where(is_cut, patch * patch_size / n_points.clamp(min=1), patch)
    n_bins = ((end - start) / patch * N_BINS).round().clamp(min=1).long()
    return start, patch, n_bins


def _queries(tokens, start, patch, n_patches, patch_size):
    """Return queries at the places, patch after patch: virtual electrodes or magnetometers."""
    device, n_places = start.device, len(_PLACES)
    places = electrode_places(max(_PLACES) + 1)[1][list(_PLACES)]
    *layout, sensor = sensors_at(places, MODALITY_CODES[int(tokens.modality[0])])
    place, orientation = (
        torch.as_tensor(x, device=device).repeat_interleave(n_patches, 0) for x in layout
    )  # (V N, 3)
    middle = torch.arange(n_patches, device=device) + 0.5
    time = (start[:, None] + patch[:, None] * middle).repeat(1, n_places)  # (L, V N)
    n_windows, shape = len(tokens), tuple(time.shape)
    return TokenBatch(
        values=torch.zeros(n_windows, shape[1], patch_size, device=device),
        position=place.expand(*shape, 3),
        orientation=orientation.expand(*shape, 3),
        time=time,
        duration=patch[:, None].expand(shape),
        sensor_type=torch.full(shape, SENSOR_TYPES.index(sensor), device=device),
        modality=tokens.modality,
        log_scale=torch.zeros(n_windows, shape[1], device=device),
        is_padding=torch.zeros(n_windows, shape[1], dtype=torch.bool, device=device),
    )


def _sections(n_bins, n_all):
    """Return weights (L, bins, sections) that average the recorded bins in equal sections."""
    section = torch.arange(_N_SECTIONS, device=n_bins.device)
    first = section * n_bins[:, None] // _N_SECTIONS  # (L, sections)
    last = -(-(section + 1) * n_bins[:, None] // _N_SECTIONS)
    place = torch.arange(n_all, device=n_bins.device)[None, :, None]
    inside = ((place >= first[:, None]) & (place < last[:, None])).float()
    return inside / inside.sum(1, keepdim=True)
