"""Disturbances of the samples that terms of pretraining are trained on.

C channels, T time points, N patches of a channel
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._utils.electrodes import FEWEST
from .._utils.validation import check_number
from ..models.config import MODALITY_CODES, JsonFields
from .batch import PER_CHANNEL

_COUNTS = ("min_channels", "min_volumes")
_AMOUNTS = ("gain", "noise", "position", "shift", "min_duration")
_RATES = ((1, 1), (1, 1), (3, 4), (1, 2))  # new rates as fractions, equally likely
_MIN_RATE = 100.0  # Hz: no sample is brought below it
_MAX_MERGED = 4  # regions that become one
_MAX_SOURCES = 4  # added to an enriched sample
_WIDTHS = (0.012, 0.06)  # m, of an added source
_SENSOR_WIDTHS = (0.02, 0.08)  # m, of an added source of EEG and MEG
_STRENGTHS = (0.2, 1.2)  # of an added source, in standard deviations
_RHYTHMS = (1.0, 45.0)  # Hz, centres of added sources of EEG and MEG
_KNOTS = (1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 32.0, 64.0)  # Hz, of a changed spectrum
_GAIN = 0.35  # standard deviation of its logarithm at each of them


@dataclass(frozen=True, kw_only=True)
class Augmentation(JsonFields):
    """Amounts of disturbance; shares are probabilities or parts of a whole, 0 to 1."""

    all_channels: float = 0.4  # Share of micro-batches that keep all channels
    min_channels: int = 4  # Fewest channels that are left
    min_duration: float = 0.5  # Shortest window of EEG and MEG, in s
    min_volumes: int = 64  # Shortest window of fMRI, in volumes
    noisy: float = 0.5  # Share of samples with white noise
    noise: float = 0.3  # Its largest standard deviation, in network units
    bad_channel: float = 0.2  # Share of EEG and MEG samples with one noisy channel
    gain: float = 0.1  # Standard deviation of the logarithm of a factor on EEG and MEG samples
    referenced: float = 0.3  # Share of EEG samples with another reference
    position: float = 0.002  # Standard deviation of each position, in m
    shift: float = 0.003  # Standard deviation of a common shift of EEG and MEG positions, in m
    merged: float = 0.25  # Share of fMRI samples whose regions are averaged with neighbours
    enriched: float = 0.7  # Share of samples that are mixed with others, targets too
    holed: float = 0.4  # Share of samples with patches left out
    dropped: float = 0.4  # Largest share of patches that are left out

    def __post_init__(self):
        """Check all fields."""
        for name, value in vars(self).items():
            if name in _COUNTS:
                check_number(name, value, low=1, integer=True)
            else:
                check_number(name, value, low=0, high=None if name in _AMOUNTS else 1)


class Frame(NamedTuple):
    """Draws that a micro-batch shares, so that little of it is padding."""

    channels: float  # Share of the channels
    duration: float  # Share of the time points
    rate: tuple  # New rate, as a fraction of the old one

    @classmethod
    def draw(cls, rng, how):
        """Draw for a micro-batch."""
        channels = 1.0 if rng.random() < how.all_channels else rng.random()
        duration = 1.0 if rng.random() < 0.5 else rng.random()
        return cls(channels, duration, _RATES[rng.integers(len(_RATES))])


def crop(sample, frame, rng, how):
    """Cut a window at another rate: all channels, clean."""
    is_fmri = MODALITY_CODES[sample.modality] == "fmri"
    n_times = sample.data.shape[1]
    least = how.min_volumes if is_fmri else round(how.min_duration * sample.sfreq)
    size = min(n_times, max(least, 2, round(frame.duration * n_times)))
    start = rng.integers(n_times - size + 1)
    data, sfreq = sample.data[:, start : start + size], sample.sfreq
    up, down = frame.rate
    if not is_fmri and up < down and sfreq * up / down >= _MIN_RATE:
        from scipy.signal import resample_poly

        data = resample_poly(data, up, down, axis=1, padtype="line")
        sfreq = sfreq * up / down
    return sample._replace(data=np.ascontiguousarray(data, np.float32), sfreq=sfreq)


def enrich(sample, others, rng, how):
    """Mix a sample with another and add shared signals; mirror and filter EEG and MEG."""
    # Targets change too. Otherwise networks memorise the few persons of a corpus.
    if rng.random() >= how.enriched:
        return sample
    kind = MODALITY_CODES[sample.modality]
    is_fmri, position, shape = kind == "fmri", sample.position, sample.data.shape
    others = [
        s.data for s in others if np.array_equal(s.position, position) and s.sfreq == sample.sfreq
    ]

    def another():
        """Draw a sample of the same channels, from any time point on."""
        data = others[rng.integers(len(others))]
        data = np.roll(data, rng.integers(data.shape[1]), axis=1)
        return np.resize(data.T, shape[::-1]).T  # repeated where it is shorter

    share = rng.uniform(0, 0.5)
    data = np.sqrt(1 - share) * sample.data + np.sqrt(share) * another()
    loudness = 1.0 if is_fmri else np.median(data.std(1))
    for _ in range(rng.integers(_MAX_SOURCES + 1)):
        centre = position[rng.integers(len(position))]
        width = np.exp(rng.uniform(*np.log(_WIDTHS if is_fmri else _SENSOR_WIDTHS)))
        loading = _blob(position, centre, width)
        if rng.random() < 0.5:  # both hemispheres
            loading += _blob(position, centre * [-1, 1, 1], width)
        if kind == "eeg":
            loading -= loading.mean()  # of an average reference
        course = another()[rng.integers(len(position))]
        if not is_fmri:
            course = _standardise(filter_rows(course[None], draw_band(rng), sample.sfreq))[0]
        data = data + rng.uniform(*_STRENGTHS) * loudness * loading[:, None] * course
    if is_fmri:
        return sample._replace(data=_standardise(data).astype(np.float32))
    data = filter_rows(data, draw_gain(rng), sample.sfreq)
    mirrored = np.float32([-1 if rng.random() < 0.5 else 1, 1, 1])
    return sample._replace(
        data=data.astype(np.float32),
        position=position * mirrored,
        orientation=sample.orientation * mirrored,
    )


def draw_band(rng):
    """Draw the gain of a rhythm by frequency in Hz: a Gaussian in octaves."""
    centre, width = np.exp2(rng.uniform(*np.log2(_RHYTHMS))), rng.uniform(0.1, 0.6)
    return lambda f: np.exp(-((np.log2(np.maximum(f, 0.1) / centre) / width) ** 2) / 2)


def draw_gain(rng):
    """Draw a smooth gain by frequency in Hz."""
    gain = rng.normal(scale=_GAIN, size=len(_KNOTS))
    return lambda f: np.exp(np.interp(np.log2(np.maximum(f, 0.1)), np.log2(_KNOTS), gain))


def filter_rows(data, gain, sfreq):
    """Multiply the spectrum of rows (C, T) by a gain."""
    n_times = data.shape[1]
    spectrum = np.fft.rfft(data, axis=1) * gain(np.fft.rfftfreq(n_times, 1 / sfreq))
    return np.fft.irfft(spectrum, n_times, axis=1)


def disturb(sample, frame, rng, how, reference=None):
    """Thin and disturb a sample, as another laboratory would have recorded it."""
    kind = MODALITY_CODES[sample.modality]
    n_channels = len(sample.data)
    n_kept = min(n_channels, max(how.min_channels, round(frame.channels * n_channels)))
    kept = np.sort(rng.choice(n_channels, n_kept, replace=False))
    data = sample.data[kept].copy()
    if kind == "fmri" and rng.random() < how.merged:
        data = _merge(sample, kept, rng)
    if kind != "fmri":
        data *= np.exp(how.gain * rng.normal())
    if rng.random() < how.noisy:
        data += rng.uniform(0, how.noise) * rng.normal(size=data.shape)
    if kind != "fmri" and rng.random() < how.bad_channel and n_kept > how.min_channels:
        bad = rng.integers(n_kept)
        data[bad] += rng.uniform(0.5, 3) * rng.normal(size=data.shape[1])
    if kind == "eeg":
        if rng.random() < how.referenced and n_kept > 1:
            data -= data[rng.integers(n_kept)].copy() if rng.random() < 0.5 else data.mean(0)
        if reference == "average" and n_kept >= FEWEST:
            data -= data.mean(0)  # as preprocessing would
    moved = how.position * rng.normal(size=(n_kept, 3))
    if kind != "fmri":
        moved += how.shift * rng.normal(size=3)
    fields = {name: getattr(sample, name)[kept] for name in PER_CHANNEL}
    fields["position"] = (fields["position"] + moved).astype(np.float32)
    return sample._replace(data=data.astype(np.float32), **fields)


def drop_patches(n_channels, n_patches, rng, how):
    """Draw which patches are not read, (C, N): any, or a span of all channels; never all."""
    dropped = np.zeros((n_channels, n_patches), bool)
    if rng.random() >= how.holed:
        return dropped
    share = rng.uniform(0, how.dropped)
    if rng.random() < 0.5:
        dropped = rng.random(dropped.shape) < share
    else:
        size = round(share * n_patches)
        start = rng.integers(n_patches - size + 1)
        dropped[:, start : start + size] = True
    return dropped & ~dropped.all()


def _merge(sample, kept, rng):
    """Average each kept region with its neighbours, and scale it again."""
    position = sample.position
    square = ((position[kept, None] - position) ** 2).sum(2)  # (kept, C)
    n_merged = int(rng.integers(2, _MAX_MERGED + 1))
    near = np.argsort(square, axis=1, kind="stable")[:, :n_merged]
    return _standardise(sample.data[near].mean(1))


def _blob(position, centre, width):
    """Weights of regions (C,) that fall off with the distance from a centre."""
    return np.exp(-((position - centre) ** 2).sum(1) / (2 * width**2))


def _standardise(data):
    data = data - data.mean(1, keepdims=True)
    return data / (data.std(1, keepdims=True) + 1e-3)
