"""Slow, literal references for Masked Temporal-Frequency Modeling: loops, explicit matrices."""

from __future__ import annotations

import cmath
import math

import numpy as np


def forward_matrix(size):
    """Orthonormal Fourier transform of a real line: (F, size), only frequencies 0 to size / 2."""
    rows = range(size // 2 + 1)
    return np.array(
        [
            [cmath.exp(-2j * math.pi * k * t / size) / math.sqrt(size) for t in range(size)]
            for k in rows
        ]
    )


def back(components, size):
    """Return to ``size`` real values: every frequency that has a mirror image counts twice."""
    line = np.zeros(size)
    for k, component in enumerate(components):
        twice = 1 if k == 0 or 2 * k == size else 2
        for t in range(size):
            wave = cmath.exp(2j * math.pi * k * t / size) / math.sqrt(size)
            line[t] += twice * (component * wave).real
    return line


def lines(data, is_removed, is_fmri):
    """Yield what is transformed, with its mask: channels (C, T), or the columns of fMRI."""
    for i in range(data.shape[1] if is_fmri else data.shape[0]):
        yield (data[:, i], is_removed[:, i]) if is_fmri else (data[i], is_removed[i])


def corrupt(data, is_removed, is_fmri):
    """Remove components from one sample (C, T); the mask is (C, F), or (F, T) for fMRI."""
    out = []
    for line, mask in lines(np.asarray(data, dtype=np.float64), is_removed, is_fmri):
        components = forward_matrix(len(line)) @ line
        components[mask] = 0
        out.append(back(components, len(line)))
    return np.stack(out, axis=1 if is_fmri else 0)


def smooth_l1(x):
    """Smooth L1 of one number, of unit beta."""
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def time_loss(output, original, is_hidden, patch_size):
    """Mean over the points of the hidden patches (C, N) of one sample (C, T)."""
    terms = [
        smooth_l1(output[c, t] - original[c, t])
        for c in range(original.shape[0])
        for t in range(original.shape[1])
        if is_hidden[c, t // patch_size]
    ]
    return sum(terms) / len(terms)


def frequency_loss(output, original, is_removed, is_fmri):
    """Mean over real and imaginary parts of the removed components of one sample."""
    terms = []
    pairs = zip(lines(output, is_removed, is_fmri), lines(original, is_removed, is_fmri))
    for (ours, mask), (theirs, _) in pairs:
        matrix = forward_matrix(len(ours))
        ours, theirs = matrix @ ours, matrix @ theirs
        for k in np.flatnonzero(mask):
            terms.append(smooth_l1(ours[k].real - theirs[k].real))
            terms.append(smooth_l1(ours[k].imag - theirs[k].imag))
    return sum(terms) / len(terms)


def expected_smooth_l1(std, mean=0.0):
    """Mean of Smooth L1 of a normal number; vectorised over ``mean``.

    Smooth L1 has the second derivative 1 within (-1, 1) and 0 outside, so it is half the integral
    of ``|x - u|`` over u from -1 to 1, minus 1 / 2; and the mean of ``|x - u|`` is known.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    centre = np.asarray(mean, dtype=np.float64)[..., None] - nodes
    erf = np.vectorize(math.erf)
    density = np.exp(-0.5 * (centre / std) ** 2) / math.sqrt(2 * math.pi)
    absolute = 2 * std * density + centre * erf(centre / (std * math.sqrt(2)))
    return 0.5 * absolute @ weights - 0.5


def expected_smooth_l1_centred(std):
    """The same for mean 0, in closed form: integrate ``x ** 2 / 2`` and ``|x| - 1 / 2`` apart."""
    inside = math.erf(1 / (std * math.sqrt(2)))
    density = math.exp(-0.5 / std**2) / math.sqrt(2 * math.pi)
    return 0.5 * std**2 * inside + std * density - 0.5 * (1 - inside)
