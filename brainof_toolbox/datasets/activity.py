"""Simulated source activity: slow levels, background, rhythms and evoked responses.

::

    level (slow, 4 Hz)      activity of a source: a sum of parts of the whole brain, its network,
      |                     its mirror image and its own; changed by the state
      +--> amplitude of the 1/f background (up), alpha and mu (down), beta and theta (up)
      +--> BOLD, from the power of the simulated activity (``bold.py``)

    effects                 effect of the label, one slow time course per modality: equal ones,
                            or separate views
"""

from __future__ import annotations

import numpy as np
from scipy.fft import ifft, next_fast_len

from .physics import noise
from .sources import RHYTHMS

#: Rate of the slow time courses in Hz, and the lead-in of a recording in s, the length of the
#: haemodynamic response.
SLOW, WARM_UP = 4.0, 24.0
#: Shares of the variance of a level: whole brain, network, mirror image; the rest is independent.
_SHARES = {"global": 0.20, "network": 0.20, "pair": 0.40}
#: Change of the log amplitude of the background per standard deviation of the level.
DEPTH = 0.28
#: Changes per unit of effect: of levels, times the column "task"; of the log of their spread and
#: the share of the whole brain; of the log amplitude of a rhythm; of its coherent share of
#: variance.
_SHIFT, _SPREAD, _BINDING = 2.0, 1.1, 0.3
_LOG_AMPLITUDE = {"alpha": -0.7, "mu": -0.6, "beta": 0.6, "theta": 0.4}
_COHERENCE, _COUPLING = 0.2, {"alpha": -0.15, "mu": 0.0, "beta": 0.35, "theta": 0.35}
#: Modality with the effect on each rhythm and on the levels.
_CARRIER = {"alpha": "eeg", "mu": None, "beta": "meg", "theta": None}
_AGEING = {"alpha_hz": -0.8, "alpha": -0.35, "levels": -0.25}


def draw_subject(rng, n_sources):
    """Draw head size, strengths, frequencies, noise and haemodynamic delay of a subject."""
    return {
        # In whole percents, so that few sphere models are fitted.
        "scale": round(float(np.clip(1 + 0.03 * rng.normal(), 0.93, 1.05)), 2),
        "strength": np.exp(0.25 * rng.normal() + 0.2 * rng.normal(size=n_sources)),
        "peaks": {
            name: rhythm["frequency"] * (1 + 0.06 * rng.normal())
            for name, rhythm in RHYTHMS.items()
        },
        "noise": {name: np.exp(0.2 * rng.normal()) for name in ("fmri", "eeg", "meg")},
        "vessels": np.exp(0.2 * rng.normal()),
        "delay": float(np.clip(0.4 * rng.normal(), -0.8, 0.8)),
        "phases": rng.uniform(-0.6, 0.6, size=(len(RHYTHMS), n_sources)),
    }


def draw_levels(rng, table, effect, *, sustained, ageing=0.0):
    """Simulate slow levels of activity of all sources."""
    # effect (n, n_slow) -> levels (n, n_sources, n_slow).
    n, n_slow = effect.shape
    networks, network = np.unique(table["network"], return_inverse=True)
    counts = {"global": 1, "network": len(networks), "pair": table["pair"].max() + 1}
    members = {"global": 0 * network, "network": network, "pair": table["pair"].to_numpy()}
    shares = {name: np.full((n, len(table)), share) for name, share in _SHARES.items()}
    spread = np.ones((n, len(table)))
    task = table["task"].to_numpy()
    if sustained:
        constant = effect.mean(axis=1, keepdims=True) * np.abs(task) ** 0.5 * (task != 0)
        shares["global"] = np.clip(shares["global"] + _BINDING * constant, 0.02, 0.5)
        spread = np.exp(_SPREAD * constant)
    spread = spread * np.exp(_AGEING["levels"] * ageing)
    levels = np.zeros((n, len(table), n_slow))
    for name, count in counts.items():
        common = _slow_noise(rng, (n, count, n_slow))
        levels += np.sqrt(shares[name])[..., None] * common[:, members[name]]
    own = np.maximum(1.0 - sum(shares.values()), 0.0)  # strong effects use all variance
    levels += np.sqrt(own)[..., None] * _slow_noise(rng, levels.shape)
    levels *= spread[..., None]
    levels -= DEPTH * (spread**2 - 1)[..., None]  # wider swings, the same mean power
    if not sustained:
        levels += _SHIFT * task[:, None] * effect[:, None]
    return levels


def _slow_noise(rng, shape):
    return noise(rng, shape, SLOW, lambda f: (0.03 + f) ** -0.6 * np.exp(-((f / 0.15) ** 2)))


def simulate_activity(rng, table, subject, levels, effects, views, sfreq, n_times, **options):
    """Simulate moments of all sources over time."""
    # levels (n, n_sources, n_slow), effects (n, n_slow) -> moments (n, n_sources, n_times), broad
    # (n, n_sources, n_times).
    ageing, stimuli = options.get("ageing", 0.0), options.get("stimuli", ())
    at = _between(levels.shape[2], n_times, sfreq)
    n, n_sources = levels.shape[:2]
    fast = stretch(levels, at)
    broad = noise(rng, (n, n_sources, n_times), sfreq, lambda f: (1.0 + f) ** -0.8)
    broad *= np.exp(DEPTH * fast)
    broad *= (1e-9 * subject["strength"] * table["background"].to_numpy())[:, None]
    if len(stimuli):
        broad += (
            1e-9 * subject["strength"][:, None] * _responses(rng, table, stimuli, sfreq, n_times)
        )
    moments = broad.copy()
    for row, (name, rhythm) in enumerate(RHYTHMS.items()):
        active = np.flatnonzero(table[name] > 0)
        effect = _view(effects, name, views)
        effect = stretch(effect[:, None], at) if effect is not None else np.zeros((n, 1, 1))
        waves = band_noise(
            rng,
            (n, len(active), n_times),
            sfreq,
            subject["peaks"][name] + (_AGEING["alpha_hz"] * ageing if name == "alpha" else 0.0),
            rhythm["width"],
            table["pair"].to_numpy()[active],
            subject["phases"][row, active],
            np.clip(_COHERENCE + _COUPLING[name] * effect, 0.0, 0.6),
        )
        log_amplitude = rhythm["slope"] * fast[:, active] + _LOG_AMPLITUDE[name] * effect
        if name == "alpha":
            log_amplitude = log_amplitude + _AGEING["alpha"] * ageing
        size = 1e-9 * subject["strength"][active] * table[name].to_numpy()[active]
        moments[:, active] += size[:, None] * np.exp(log_amplitude) * waves
    return moments, broad


def _view(effects, rhythm, views):
    """Return the time course of the effect on a rhythm, or None."""
    carrier = _CARRIER[rhythm] if views == "separate" else "eeg"
    return None if carrier is None else effects[carrier]


def _between(n_slow, n_times, sfreq):
    """Return neighbours and weight on the slow grid for each fast time point."""
    where = np.clip(np.arange(n_times) / sfreq * SLOW - 0.5, 0, n_slow - 1)
    low = np.minimum(where.astype(int), max(n_slow - 2, 0))
    return low, np.minimum(low + 1, n_slow - 1), where - low


def stretch(slow, at):
    """Interpolate slow time courses along the last axis."""
    # slow (..., n_slow) -> fast (..., n_times).
    low, high, weight = at
    return slow[..., low] * (1 - weight) + slow[..., high] * weight


def band_noise(rng, shape, sfreq, peak, width, pair, phases, coherent):
    """Simulate narrow-band waves of unit variance, partly coherent with a phase lag."""
    n, n_active, n_times = shape
    pairs, member = np.unique(pair, return_inverse=True)
    everywhere = _analytic(rng, (n, 1, n_times), sfreq, peak, width) * np.exp(1j * phases[:, None])
    of_pair = _analytic(rng, (n, len(pairs), n_times), sfreq, peak, width)[:, member]
    own = _analytic(rng, shape, sfreq, peak, width)
    mixed = np.sqrt(coherent) * everywhere
    mixed += np.sqrt(0.4 * (1 - coherent)) * of_pair + np.sqrt(0.6 * (1 - coherent)) * own
    return np.sqrt(2.0) * mixed.real


def _analytic(rng, shape, sfreq, peak, width):
    """Simulate complex narrow-band Gaussian noise of positive frequencies, unit mean square."""
    length = next_fast_len(shape[-1])
    freqs = np.arange(length) * sfreq / length
    weights = np.exp(-((freqs - peak) ** 2) / (4 * width**2)) * (freqs < sfreq / 2)
    band = np.flatnonzero(weights > 1e-4)
    parts = rng.normal(size=(2, *shape[:-1], len(band)))
    spectrum = np.zeros((*shape[:-1], length), dtype=complex)
    spectrum[..., band] = (parts[0] + 1j * parts[1]) * weights[band]
    wave = ifft(spectrum)[..., : shape[-1]] * length
    return wave / np.sqrt(2 * (weights[band] ** 2).sum())


def _responses(rng, table, stimuli, sfreq, n_times):
    """Return evoked moments in nAm (n_sources, n_times)."""
    evoked = np.zeros((len(table), n_times))
    active = np.flatnonzero(table["evoked"] > 0)
    latency, size = (table[name].to_numpy()[active] for name in ("latency", "evoked"))
    width = np.where(latency > 0.3, 0.08, 0.025)
    lags = np.arange(int(0.8 * sfreq)) / sfreq
    shape = np.exp(-((lags - latency[:, None]) ** 2) / (2 * width[:, None] ** 2))
    for onset in stimuli:
        start = int(round(onset * sfreq))
        stop = min(start + len(lags), n_times)
        strength = np.exp(0.2 * rng.normal())
        if stop > start:
            evoked[active, start:stop] += strength * (size[:, None] * shape)[:, : stop - start]
    return evoked
