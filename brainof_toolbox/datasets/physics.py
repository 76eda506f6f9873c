"""The physics under all simulated recordings: dipoles in MNE's four-shell sphere, and noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: The sphere that fits the template electrodes above the ears, head frame, m.
CENTRE, RADIUS = np.array([0.0, 0.015, 0.042]), 0.0975
#: The brain ends here, as a share of the radius; MNE's innermost shell is at 0.90.
_DEEPEST_SHELL = 0.88
#: The eyes, head frame, m; the cornea is positive, so blinks are dipoles that point to the front.
EYES = np.array([[-0.032, 0.09, 0.01], [0.032, 0.09, 0.01]])
EYE_MOMENT = np.array([0.0, 0.75, 0.66])
_HELMET_CENTRE, _HELMET_RADIUS = np.array([0.0, 0.0, 0.04]), 0.115  # m


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
        r = _HELMET_CENTRE + _HELMET_RADIUS * ez
        yield r, np.stack([ex, ey, ez]), "FIFFV_COIL_VV_MAG_T3"
        yield r, np.stack([ex, ey, ez]), "FIFFV_COIL_VV_PLANAR_T1"
        yield r, np.stack([ey, -ex, ez]), "FIFFV_COIL_VV_PLANAR_T1"


@lru_cache(maxsize=64)
def _sphere_model(scale):
    """Return brain, fluid, skull and skin with MNE's default radii and conductivities."""
    import mne

    return mne.make_sphere_model(scale * CENTRE, scale * RADIUS, verbose="error")


def dipole_gain(info, places, moments, scale=1.0):
    """Return the gain of dipoles and, in the last column, of both eyes at every sensor."""
    # places (n_sources, 3) from the centre in m, moments (n_sources, 3) in Am
    # -> gain (n_channels, n_sources + 1) in V, T and T/m.
    import mne

    centre, radius = scale * CENTRE, scale * RADIUS
    moments = np.vstack([moments, np.tile(EYE_MOMENT, (2, 1))])
    places = np.vstack([places, scale * (EYES - CENTRE)])
    reach = np.linalg.norm(places, axis=1, keepdims=True)
    places *= np.minimum(1.0, _DEEPEST_SHELL * radius / reach)  # inside the innermost shell
    types, sphere = info.get_channel_types(unique=True), _sphere_model(scale)
    pos = {"rr": centre + places, "nn": moments}
    space = mne.setup_volume_source_space(pos=pos, sphere=sphere, n_jobs=1, verbose="error")
    forward = mne.make_forward_solution(
        info,
        None,
        space,
        sphere,
        meg="mag" in types or "grad" in types,
        eeg="eeg" in types,
        n_jobs=1,
        verbose="error",
    )["sol"]
    rows = [forward["row_names"].index(name) for name in info["ch_names"]]  # MNE puts MEG first
    free = forward["data"][rows].reshape(len(rows), len(places), 3)
    gain = np.einsum("csk,sk->cs", free, moments)
    return np.column_stack([gain[:, :-2], gain[:, -2:].sum(axis=1)])


def noise(rng, shape, sfreq, spectrum):
    """Draw Gaussian noise of unit variance; ``spectrum`` maps Hz to amplitude."""
    n_times = shape[-1]
    freqs = np.fft.rfftfreq(n_times, 1 / sfreq)
    weights = spectrum(freqs)
    weights[0] = 0.0  # no DC, as in amplifiers
    if not weights.sum():
        weights[1:] = 1.0
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=shape)) * weights, n_times)
    power = 2 * (weights**2).sum() / n_times
    return noise / np.sqrt(power)
