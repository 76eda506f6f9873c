"""Sensor signals of simulated sources, with noise of sensors, muscles, lines and traffic."""

from __future__ import annotations

import numpy as np

from .physics import noise

#: White noise in V, T, T/m per square root of Hz, of amplifiers and SQUIDs.
_WHITE = {"eeg": 50e-9, "mag": 3e-15, "grad": 2.5e-13}
#: Line noise, amplitude in V, T, T/m.
_LINE = {"eeg": 1e-6, "mag": 30e-15, "grad": 5e-13}
#: Muscle noise, root mean square in V at the vertex, and its increase at the rim.
_MUSCLE = (0.3e-6, 0.6e-6)
#: Distant magnetic noise (lifts, cars): T at 1 Hz per square root of Hz, and its share in a
#: gradiometer due to imbalance, 1/m.
_TRAFFIC, _IMBALANCE = 60e-15, 0.15
#: Peak moment of a blink at each eye, Am.
_BLINK = 0.5e-6


def blink_moments(rng, n, n_times, sfreq):
    """Simulate blinks of about 0.2 s, every 4 s on average."""
    # -> moments (n, 1, n_times).
    times = np.arange(n_times) / sfreq
    closed = np.zeros((n, 1, n_times))
    for row in closed[:, 0]:
        for start in rng.uniform(0, times[-1], size=rng.poisson(times[-1] / 4) + 1):
            row += np.exp(-((times - start) ** 2) / (2 * 0.07**2))
    return _BLINK * closed


def record_sensors(rng, info, gain, moments, *, level=1.0, muscles=1.0, line_freq=None):
    """Simulate sensor signals: sources times the gain, and noise."""
    # gain (n_channels, n_sources), moments (n, n_sources, n_times) -> data (n, n_channels,
    # n_times).
    sfreq, (n, _, n_times) = info["sfreq"], moments.shape
    types = info.get_channel_types()
    data = gain @ moments
    white = np.array([_WHITE[kind] for kind in types]) * np.sqrt(sfreq / 2)
    white = white * np.exp(0.2 * rng.normal(size=len(types)))
    data += level * white[:, None] * rng.normal(size=data.shape)
    is_eeg = np.array(types) == "eeg"
    if is_eeg.any():
        data[:, is_eeg] += level * muscles * _muscles(rng, info, is_eeg, n, n_times)
    if not is_eeg.all():
        data[:, ~is_eeg] += level * _traffic(rng, info, ~is_eeg, n, n_times)
    if line_freq is not None and line_freq < sfreq / 2:
        times = np.arange(n_times) / sfreq
        wave = np.sqrt(2) * np.sin(2 * np.pi * (line_freq * times + rng.random((n, 1, 1))))
        size = np.array([_LINE[kind] for kind in types]) * np.exp(
            0.3 * rng.normal(size=len(types))
        )
        data += size[:, None] * wave
    return data


def _muscles(rng, info, rows, n, n_times):
    """Simulate noise above 15 Hz, stronger at the rim of the cap."""
    places = np.array([channel["loc"][:3] for channel in info["chs"]])[rows]
    height = np.clip((places[:, 2] - 0.02) / 0.12, 0.0, 1.0)
    size = _MUSCLE[0] + _MUSCLE[1] * (1.0 - height)
    wave = noise(
        rng, (n, len(places), n_times), info["sfreq"], lambda f: 1 / (1 + np.exp(-(f - 17) / 2))
    )
    return size[:, None] * wave


def _traffic(rng, info, rows, n, n_times):
    """Simulate three components of a field that is uniform over the helmet."""
    sfreq = info["sfreq"]
    normals = np.array([channel["loc"][9:12] for channel in info["chs"]])[rows]
    is_mag = (np.array(info.get_channel_types()) == "mag")[rows]
    mixing = np.where(is_mag[:, None], normals, _IMBALANCE * rng.normal(size=normals.shape))
    field = noise(rng, (n, 3, n_times), sfreq, lambda f: 1 / np.maximum(f, 0.5))
    # The variance of 1/f amplitude between 0.5 Hz and the Nyquist frequency, flat below.
    return _TRAFFIC * np.sqrt(4.0 - 2.0 / sfreq) * mixing @ field
