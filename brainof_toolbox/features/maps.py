"""From sensors or regions at any positions to fixed places: one matrix for each montage.

Positions are relative to the centre of the head and in metres.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import legval

#: Centre of the sphere that fits the template's electrodes (m, head frame; midline by symmetry).
HEAD_CENTRE = np.array([0.0, 0.015, 0.04])
_STIFFNESS, _N_LEGENDRE, _LAM = 4, 50, 1e-5
_HELMET, _CORTEX, _BASELINE = 0.115, 0.070, 0.0168  # m
_N_SOURCES = 200
#: Noise power of the minimum norm, relative to the mean power that the sources give a sensor.
_MEG_LAM = 0.03
#: Power of a uniform field from distant sources, relative to the same.
_DISTANT = 0.1


def spline_map(ch_pos, places):
    """Map electrodes to places by spherical splines: (n_places, n_channels); rows sum to one."""
    n_channels = len(ch_pos)
    sources, targets = _directions(ch_pos), _directions(places)
    # [G + lam, 1; 1', 0] [c; c0] = [x; 0], and the value at a place is g' c + c0.
    system = np.ones((n_channels + 1, n_channels + 1))
    system[:-1, :-1] = _spline(sources @ sources.T) + _LAM * np.eye(n_channels)
    system[-1, -1] = 0.0
    inverse = np.linalg.pinv(system, hermitian=True)[:, :-1]
    return np.hstack([_spline(targets @ sources.T), np.ones((len(targets), 1))]) @ inverse


def _spline(cosine):
    """The kernel ``sum_n (2 n + 1) / (n (n + 1))**m P_n(cosine) / (4 pi)``."""
    n = np.arange(1, _N_LEGENDRE + 1)
    factors = (2 * n + 1) / (n * (n + 1.0)) ** _STIFFNESS / (4 * np.pi)
    return legval(np.clip(cosine, -1, 1), [0, *factors])


def _directions(pos):
    """Unit vectors; a position in the centre has no direction and becomes zeros."""
    length = np.linalg.norm(pos, axis=1, keepdims=True)
    return np.divide(pos, length, out=np.zeros(pos.shape), where=length > 1e-6)


def field_map(ch_pos, ch_ori, is_grad, units, places):
    """Map MEG sensors to radial magnetometers at places: (n_places, n_channels)."""
    # The minimum norm of dipoles along a sphere, beside a uniform field from afar and noise,
    # explains what all sensors measured, and predicts what the dipoles alone would give there.
    # ``units`` (n_channels,) are those of the data in T and T/m, relative to a magnetometer's.
    normal = _directions(ch_pos)
    is_set = np.linalg.norm(ch_ori, axis=1) > 0.5
    helmet = _HELMET * _directions(places)
    # Sensors inside the source sphere (odd positions) are moved out to the helmet.
    reach = np.linalg.norm(ch_pos, axis=1, keepdims=True)
    sensors = np.where(reach > _CORTEX + 0.01, ch_pos, _HELMET * normal)
    sensors = np.where(reach > 1e-6, sensors, [0.0, 0.0, _HELMET])
    normal = np.where(reach > 1e-6, normal, [0.0, 0.0, 1.0])
    coil = np.where((is_set & ~is_grad)[:, None], ch_ori, normal)
    step = np.where((is_set & is_grad)[:, None], ch_ori, 0.0) * _BASELINE / 2
    ahead, behind = _lead_field(sensors + step, coil), _lead_field(sensors - step, coil)
    gain = np.where(is_grad[:, None], (ahead - behind) / _BASELINE, ahead) / units[:, None]
    virtual = _lead_field(helmet, _directions(places))
    gram = gain @ gain.T
    uniform = np.where(is_grad[:, None], 0.0, coil) / units[:, None]  # the three axes
    power = max((uniform**2).sum() / len(uniform), np.finfo(float).tiny)
    noise = _MEG_LAM * np.eye(len(gram)) + _DISTANT * uniform @ uniform.T / power
    gram_of_all = gram + noise * np.trace(gram) / len(gram)
    return virtual @ gain.T @ np.linalg.pinv(gram_of_all, hermitian=True)


def _lead_field(r, normal):
    """Field along ``normal`` at ``r`` of unit dipoles along the source sphere, in T/(Am)."""
    order = np.arange(_N_SOURCES) + 0.5
    z = 1 - 2 * order / _N_SOURCES
    ring, angle = np.sqrt(1 - z**2), np.pi * (1 + 5**0.5) * order
    out = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
    first = np.cross(out, np.where(np.abs(z)[:, None] < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    moments = np.concatenate([first, np.cross(out, first)])
    r0 = _CORTEX * np.concatenate([out, out])  # (n_dipoles, 3)
    cross = np.cross(moments, r0)
    gain = np.empty((len(r), len(r0)))
    for i, (point, direction) in enumerate(zip(r, normal, strict=True)):
        # mu_0 / (4 pi F**2) (F q x r0 - (q x r0 . r) grad F), Sarvas (1987)
        gap = point - r0
        a, length = np.linalg.norm(gap, axis=1), np.linalg.norm(point)
        dot = gap @ point
        f = a * (length * a + length**2 - r0 @ point)
        along_r = a**2 / length + dot / a + 2 * a + 2 * length
        grad = along_r * (point @ direction) - (a + 2 * length + dot / a) * (r0 @ direction)
        gain[i] = 1e-7 * (f * (cross @ direction) - (cross @ point) * grad) / f**2
    return gain


def region_map(ch_pos, places, kernel):
    """Map regions to places by a Gaussian of width ``kernel`` (m): (n_places, n_channels).

    Rows sum to one. A place far from every region takes the nearest ones.
    """
    square = ((places[:, None] - ch_pos) ** 2).sum(axis=2)
    weights = np.exp((square.min(axis=1, keepdims=True) - square) / (2 * kernel**2))
    return weights / weights.sum(axis=1, keepdims=True)
