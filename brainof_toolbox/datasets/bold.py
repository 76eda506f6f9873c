"""Simulated BOLD: power of the sources, haemodynamic response, spread in space.

::

    broad moments -> log power in bins of 1/4 s -> haemodynamic response -> percent signal change
    sources       -> weights by distance (Gaussian) -> voxels of an image, or regions
                  -> + thermal noise, breathing, pulse, drift
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.spatial.distance import cdist

from .activity import DEPTH, SLOW, WARM_UP
from .physics import noise

#: Spatial spread of the haemodynamic response of a source (standard deviation), m.
_SPREAD = 0.011
#: Percent signal change per unit of level; noise in percent.
_GAIN, _THERMAL, _BREATHING, _PULSE, _DRIFT = 0.15, 0.6, 0.035, 0.035, 0.1
#: Noise shared by neighbouring voxels: white and slow parts in percent, their spread in m, and
#: the distance in mm of their centres.
_LOCAL, _REACH, _SPACING = (0.30, 0.36), 0.007, 14
#: Scanner signal without activity, arbitrary units.
BASELINE = 10000.0


def power_drive(broad, sfreq, n_slow):
    """Compute the log power in bins of the slow grid, minus its mean over the recording."""
    # broad (n, n_sources, n_times) -> drive (n, n_sources, n_slow).
    steps = np.diff(
        broad, axis=2, prepend=broad[..., :1]
    )  # emphasises high frequencies, as local activity
    edges = np.minimum(np.round(np.arange(n_slow) * sfreq / SLOW), steps.shape[2] - 1).astype(int)
    power = np.add.reduceat(steps**2, edges, axis=2)
    power /= np.diff([*edges, steps.shape[2]])
    log_power = np.log(power + 1e-30)
    log_power -= log_power.mean(axis=2, keepdims=True)
    return log_power / (2 * DEPTH)  # power is the square of amplitude


def estimate_drive(rng, levels):
    """Compute the drive from levels only, with the sampling noise of simulated activity."""
    # levels (n, n_sources, n_slow) -> drive (n, n_sources, n_slow).
    return levels + 0.6 * rng.normal(size=levels.shape)


def haemodynamic(drive, subject, t_r, n_volumes):
    """Convolve with the haemodynamic response and sample at the volumes."""
    # drive (n, n_sources, n_slow) -> bold (n, n_sources, n_volumes).
    from nilearn.glm.first_level import spm_hrf

    response = np.asarray(spm_hrf(1 / SLOW, oversampling=1))  # sampled at SLOW
    response = response / response.sum()
    length = next_fast_len(drive.shape[2] + len(response))
    smooth = irfft(rfft(drive, length) * rfft(response, length), length)[..., : drive.shape[2]]
    where = (WARM_UP + np.arange(n_volumes) * t_r - subject["delay"]) * SLOW - 0.5
    low = np.clip(where.astype(int), 0, drive.shape[2] - 2)
    weight = np.clip(where - low, 0.0, 1.0)
    return (
        subject["vessels"]
        * _GAIN
        * (smooth[..., low] * (1 - weight) + smooth[..., low + 1] * weight)
    )


def spread_weights(places, sources, reach=_SPREAD):
    """Compute the weight of each source at each place."""
    # places (n_places, 3), sources (n_sources, 3) -> weights (n_places, n_sources).
    square = cdist(places, sources, "sqeuclidean")
    square -= square.min(axis=1, keepdims=True)  # far from all sources, only the nearest one
    weights = np.exp(-square / (2 * reach**2))
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def scanner_noise(rng, n, n_places, n_volumes, t_r, level, thermal):
    """Simulate scanner and physiological noise in percent, without the local part."""
    # -> added (n, n_places, n_volumes).
    times = np.arange(n_volumes) * t_r
    body = np.zeros((n, 1, n_volumes))
    for size, rate in ((_BREATHING, 0.28), (_PULSE, 1.05)):
        wander = np.cumsum(rng.normal(size=(n, 1, n_volumes)), axis=2) * 0.3 * np.sqrt(t_r)
        body += size * np.sqrt(2) * np.sin(2 * np.pi * rate * times + wander)
    reach = rng.uniform(0.3, 1.7, size=(1, n_places, 1))
    trend = np.linspace(-1, 1, n_volumes) if n_volumes > 1 else np.zeros(n_volumes)
    drift = _DRIFT * (rng.normal(size=(n, 1, 1)) + 0.3 * rng.normal(size=(n, n_places, 1))) * trend
    white = thermal * rng.normal(size=(n, n_places, n_volumes))
    return level * (white + reach * body + drift)


def regional_noise(rng, n, n_places, n_volumes, t_r, level):
    """Simulate noise of regional means: averaged voxel noise and slow regional changes."""
    # -> added (n, n_places, n_volumes).
    added = scanner_noise(rng, n, n_places, n_volumes, t_r, level, 0.0)
    return added + level * _local_noise(rng, added.shape, t_r)


def _local_noise(rng, shape, t_r):
    white = _LOCAL[0] * rng.normal(size=shape)
    return white + _LOCAL[1] * noise(rng, shape, 1 / t_r, lambda f: 1 / (0.05 + f))


@lru_cache(maxsize=4)
def _brain(voxel_size):
    """Return mask and affine of the MNI152 brain on a coarse grid, and voxel positions in m."""
    from nilearn.datasets import load_mni152_brain_mask

    image = load_mni152_brain_mask(resolution=voxel_size)
    mask = np.asarray(image.dataobj) > 0
    places = np.argwhere(mask) @ image.affine[:3, :3].T + image.affine[:3, 3]
    return mask, image.affine, places / 1e3


@lru_cache(maxsize=4)
def _spread_of_noise(voxel_size):
    return spread_weights(_brain(voxel_size)[2], _brain(_SPACING)[2], _REACH)


def positions(table):
    """Return the positions of the sources."""
    # -> places (n_sources, 3).
    return table[["x", "y", "z"]].to_numpy() / 1e3


def make_image(rng, bold, table, t_r, voxel_size, level):
    """Make a 4-D image of a run in the MNI152 brain."""
    # bold (n_sources, n_volumes).
    import nibabel as nib

    mask, affine, places = _brain(voxel_size)
    n_volumes = bold.shape[1]
    local = _local_noise(rng, (len(_brain(_SPACING)[2]), n_volumes), t_r)
    change = spread_weights(places, positions(table)) @ bold
    change += level * _spread_of_noise(voxel_size) @ local
    change += scanner_noise(rng, 1, len(places), n_volumes, t_r, level, _THERMAL)[0]
    # Tissue and coil: a smooth baseline of the percent changes.
    field = 1.0 + 0.1 * np.cos(40 * places).sum(axis=1) + 0.05 * rng.normal(size=len(places))
    data = np.zeros((*mask.shape, n_volumes), dtype=np.int16)
    data[mask] = np.round(BASELINE * field[:, None] * (1 + change / 100))
    image = nib.Nifti1Image(data, affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=4)
    return image
