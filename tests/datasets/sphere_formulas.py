"""Formulas of dipoles in a homogeneous sphere (Brody 1973, Sarvas 1987), naive twins of MNE's."""

from __future__ import annotations

import numpy as np

CONDUCTIVITY = 0.33  # S/m
BASELINE = 0.0168  # m, between the two loops of a planar gradiometer


def dipole_potential(r, r0, q):
    """Return the potential at ``r`` on a homogeneous sphere of dipoles ``q`` at ``r0``, in V."""
    radius = np.linalg.norm(r)
    d = np.linalg.norm(r - r0, axis=1, keepdims=True)
    inner = radius**2 - r0 @ r[:, None] + radius * d
    lead = 2 * (r - r0) / d**3 + (r + radius * (r - r0) / d) / (radius * inner)
    return (q * lead).sum(axis=1) / (4 * np.pi * CONDUCTIVITY)


def dipole_field(r, r0, q):
    """Return the field at ``r`` of dipoles ``q`` at ``r0`` in a sphere, in T: (n, 3)."""
    a_vec = r - r0
    a, length = np.linalg.norm(a_vec, axis=1, keepdims=True), np.linalg.norm(r)
    dot = (a_vec @ r)[:, None]
    f = a * (length * a + length**2 - (r0 @ r)[:, None])
    grad_f = (a**2 / length + dot / a + 2 * a + 2 * length) * r
    grad_f -= (a + 2 * length + dot / a) * r0
    cross = np.cross(q, r0)
    return 1e-7 * (f * cross - (cross @ r)[:, None] * grad_f) / f**2
