"""Physics of the simulated recordings: sources in a sphere and their signals at sensors.

::

    sources (Am)                     --  forward model  ->  sensors (V, T, T/m)
    40 dipoles of 1/f background         EEG: potential of a dipole in a conducting sphere
    occipital alpha (2), mu (2)          MEG: field of a dipole in a sphere
    one evoked response, the eyes        + sensor noise, line noise

The sphere approximates a head: topographies and the relative scale of EEG, magnetometers and
gradiometers are correct to a factor of about two, enough for tests and demonstrations.
"""

from __future__ import annotations

import numpy as np

_CENTRE = np.array([0.0, 0.0, 0.04])  # m, of the sphere in the head frame
_SCALP, _CORTEX, _HELMET = 0.095, 0.070, 0.115  # m, radii
_CONDUCTIVITY = 0.33  # S/m
BASELINE = 0.0168  # m, between the two loops of a planar gradiometer
_N_BACKGROUND = 40
# Root-mean-square moments in Am.
_BACKGROUND, _ALPHA, _MU, _EVOKED, _BLINK = 12e-9, 25e-9, 18e-9, 15e-9, 0.2e-6
# White sensor noise, V, T, T/m per square root of Hz; the amplitude of line noise.
_NOISE = {"eeg": 50e-9, "mag": 4e-15, "grad": 4e-13}
LINE = {"eeg": 1e-6, "mag": 30e-15, "grad": 5e-13}
# Directions (right, front, up) from the centre: occipital pair, hand areas, parietal.
_PLACES = np.array(
    [[-0.3, -0.9, 0.3], [0.3, -0.9, 0.3], [-0.6, 0.0, 0.8], [0.6, 0.0, 0.8], [0.0, -0.5, 0.85]]
)


def helmet(n_places):
    """Yield position (m), axes (ex, ey, ez) and coil type of three coils per helmet position."""
    order = np.arange(n_places) + 0.5
    z = 1.0 - 1.1 * order / max(n_places, 1)  # from the vertex to just below the centre
    angle = np.pi * (1 + 5**0.5) * order  # golden angle: evenly spread positions
    ring = np.sqrt(1 - z**2)
    for ez in np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1):
        ex = np.cross([0.0, 1.0, 0.0], ez)
        ex /= np.linalg.norm(ex)
        ey = np.cross(ez, ex)
        r = _CENTRE + _HELMET * ez
        yield r, np.stack([ex, ey, ez]), "FIFFV_COIL_VV_MAG_T3"
        yield r, np.stack([ex, ey, ez]), "FIFFV_COIL_VV_PLANAR_T1"
        yield r, np.stack([ey, -ex, ez]), "FIFFV_COIL_VV_PLANAR_T1"


def make_head(info, rng):
    """Draw a subject: gain of each source at each sensor, rhythms and noise."""
    places = np.concatenate([rng.normal(size=(_N_BACKGROUND, 3)), _PLACES])
    places[:_N_BACKGROUND, 2] = np.abs(places[:_N_BACKGROUND, 2])
    places[_N_BACKGROUND:] += 0.05 * rng.normal(size=_PLACES.shape)
    places *= _CORTEX / np.linalg.norm(places, axis=1, keepdims=True)  # (n_sources, 3)
    # More radial than tangential: EEG measures both, MEG only the tangential part. The hemispheres
    # are mirror images.
    outwards = places / _CORTEX
    axis = rng.normal(size=places.shape) * 0.3 + [0.0, 1.0, 0.2]
    axis[:, 1] *= np.where(places[:, 0] > 0, -1, 1)
    along = np.cross(outwards, axis)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    moments = 0.85 * outwards + 0.53 * along
    eyes = np.array([[-0.03, 0.075, -0.02], [0.03, 0.075, -0.02]])
    places, moments = np.vstack([places, eyes]), np.vstack([moments, [[0, 0.6, 0.8]] * 2])
    rms = np.repeat(
        [_BACKGROUND, _ALPHA, _MU, _EVOKED, _BLINK], [_N_BACKGROUND, 2, 2, 1, 2]
    ) * np.exp(0.2 * rng.normal(size=len(places)))
    return {
        "gain": _forward(info, places, moments) * rms,  # (n_channels, n_sources)
        "alpha": 10.0 + rng.normal(),
        "mu": 11.0 + 0.7 * rng.normal(),
        "noise": np.exp(0.2 * rng.normal(size=len(info["chs"]))),
    }


def _forward(info, places, moments):
    """Compute the gain of unit dipoles at ``places`` (relative to the centre, m)."""
    gain = np.empty((len(info["chs"]), len(places)))
    for i, (channel, ch_type) in enumerate(zip(info["chs"], info.get_channel_types())):
        r, ex, ez = channel["loc"][:3] - _CENTRE, channel["loc"][3:6], channel["loc"][9:12]
        if ch_type == "eeg":
            gain[i] = dipole_potential(_SCALP * r / np.linalg.norm(r), places, moments)
        elif ch_type == "mag":
            gain[i] = dipole_field(r, places, moments) @ ez
        else:
            step = dipole_field(r + ex * BASELINE / 2, places, moments)
            step = step - dipole_field(r - ex * BASELINE / 2, places, moments)
            gain[i] = step @ ez / BASELINE
    return gain


def dipole_potential(r, r0, q):
    """Compute the potential (V) at ``r`` on a homogeneous sphere of dipoles ``q`` at ``r0``."""
    radius = np.linalg.norm(r)
    d = np.linalg.norm(r - r0, axis=1, keepdims=True)
    inner = radius**2 - r0 @ r[:, None] + radius * d
    lead = 2 * (r - r0) / d**3 + (r + radius * (r - r0) / d) / (radius * inner)
    return (q * lead).sum(axis=1) / (4 * np.pi * _CONDUCTIVITY)


def dipole_field(r, r0, q):
    """Compute the magnetic field (n, 3) in T at ``r`` of dipoles ``q`` at ``r0`` in a sphere."""
    a_vec = r - r0
    a, length = np.linalg.norm(a_vec, axis=1, keepdims=True), np.linalg.norm(r)
    dot = (a_vec @ r)[:, None]
    f = a * (length * a + length**2 - (r0 @ r)[:, None])
    grad_f = (a**2 / length + dot / a + 2 * a + 2 * length) * r
    grad_f -= (a + 2 * length + dot / a) * r0
    cross = np.cross(q, r0)
    return 1e-7 * (f * cross - (cross @ r)[:, None] * grad_f) / f**2


def record(info, head, rng, n, n_times, envelopes, evoked, line_freq, blinks):
    """Simulate sensor signals (n, n_channels, n_times)."""
    # ``envelopes`` (n, 4, n_times) are factors of left alpha, right alpha, left mu, right mu.
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
        sources[:, -3] = evoked
    if blinks:
        sources[:, -2:] = _blinks(rng, n, n_times, sfreq)[:, None]
    data = head["gain"] @ sources
    types = info.get_channel_types()
    scale = head["noise"] * [_NOISE[t] * np.sqrt(sfreq / 2) for t in types]
    data += scale[:, None] * rng.normal(size=data.shape)
    if line_freq is not None and line_freq < sfreq / 2:
        wave = np.sqrt(2) * np.sin(
            2 * np.pi * (line_freq * np.arange(n_times) / sfreq + rng.random((n, 1, 1)))
        )
        data += (head["noise"] * [LINE[t] for t in types])[:, None] * wave
    return data


def noise(rng, shape, sfreq, spectrum):
    """Simulate Gaussian noise of unit variance; ``spectrum`` maps Hz to amplitude."""
    n_times = shape[-1]
    freqs = np.fft.rfftfreq(n_times, 1 / sfreq)
    weights = spectrum(freqs)
    weights[0] = 0.0  # no DC, as in amplifiers
    if not weights.sum():
        weights[1:] = 1.0
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=shape)) * weights, n_times)
    power = 2 * (weights**2).sum() / n_times
    return noise / np.sqrt(power)


def _blinks(rng, n, n_times, sfreq):
    """Simulate blinks of about 0.2 s, every 4 s on average: (n, n_times), peak 1."""
    times = np.arange(n_times) / sfreq
    closed = np.zeros((n, n_times))
    for row in closed:
        for start in rng.uniform(0, times[-1], size=rng.poisson(times[-1] / 4) + 1):
            row += np.exp(-((times - start) ** 2) / (2 * 0.07**2))
    return closed
