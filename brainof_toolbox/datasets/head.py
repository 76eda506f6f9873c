"""One subject of ``make_raw`` and ``make_epochs``: its sources, and what they do.

::

    40 dipoles of 1/f background, occipital alpha (2), mu (2), one evoked response, the eyes
"""

from __future__ import annotations

import numpy as np

from ._sensors import blink_moments, record_sensors
from .physics import dipole_gain, noise

_CORTEX = 0.072  # m from the centre of the sphere
_N_BACKGROUND = 40
# Root-mean-square moments in Am.
_BACKGROUND, _ALPHA, _MU, _EVOKED = 18e-9, 32e-9, 22e-9, 45e-9
# Directions (right, front, up) from the centre: occipital pair, hand areas, parietal.
_PLACES = np.array(
    [[-0.3, -0.9, 0.3], [0.3, -0.9, 0.3], [-0.6, 0.0, 0.8], [0.6, 0.0, 0.8], [0.0, -0.5, 0.85]]
)


def draw_head(info, rng):
    """Draw a subject: the gain of each source at each sensor, the rhythms, the noise."""
    places = np.concatenate([rng.normal(size=(_N_BACKGROUND, 3)), _PLACES])
    places[:_N_BACKGROUND, 2] = np.abs(places[:_N_BACKGROUND, 2])
    places[_N_BACKGROUND:] += 0.05 * rng.normal(size=_PLACES.shape)
    places *= _CORTEX / np.linalg.norm(places, axis=1, keepdims=True)  # (n_sources, 3)
    # More outwards than along the surface: EEG sees the first best, MEG only the second. The
    # hemispheres mirror each other.
    outwards = places / _CORTEX
    axis = rng.normal(size=places.shape) * 0.3 + [0.0, 1.0, 0.2]
    axis[:, 1] *= np.where(places[:, 0] > 0, -1, 1)
    along = np.cross(outwards, axis)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    moments = 0.85 * outwards + 0.53 * along
    size = np.repeat([_BACKGROUND, _ALPHA, _MU, _EVOKED, 1.0], [_N_BACKGROUND, 2, 2, 1, 1])
    size *= np.exp(0.2 * rng.normal(size=len(size)))
    return {
        "gain": dipole_gain(info, places, moments) * size,  # (n_channels, n_sources + 1)
        "alpha": 10.0 + rng.normal(),
        "mu": 11.0 + 0.7 * rng.normal(),
        "noise": np.exp(0.2 * rng.normal()),
    }


def record(info, head, rng, n, n_times, envelopes, evoked, line_freq, blinks):
    """Return what the sensors record: (n, n_channels, n_times)."""
    # ``envelopes`` (n, 4, n_times) scale alpha of the left and right side, then mu of the left and
    # right side.
    sfreq, shape = info["sfreq"], lambda k: (n, k, n_times)
    sources = np.zeros(shape(head["gain"].shape[1]))
    sources[:, :_N_BACKGROUND] = noise(
        rng, shape(_N_BACKGROUND), sfreq, lambda f: (1 + f) ** -0.75
    )
    rhythms = sources[:, _N_BACKGROUND : _N_BACKGROUND + 4]
    for start, name in ((0, "alpha"), (2, "mu")):
        peak = head[name]
        rhythms[:, start : start + 2] = noise(
            rng, shape(2), sfreq, lambda f, peak=peak: np.exp(-((f - peak) ** 2) / 2)
        )
    rhythms *= envelopes
    if evoked is not None:
        sources[:, -2] = evoked
    if blinks:
        sources[:, -1:] = blink_moments(rng, n, n_times, sfreq)
    return record_sensors(
        rng, info, head["gain"], sources, level=head["noise"], line_freq=line_freq
    )
