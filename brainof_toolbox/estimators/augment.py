"""Data augmentation for fine-tuning: random changes that occur between recordings.

B samples, C channels, T time points
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .._utils.validation import check_number


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training samples in fine-tuning.

    Each change imitates one that happens between recordings and leaves the label valid: sensors
    lose contact, regions lie outside of the field of view, events are marked a little late,
    skulls differ in thickness, sensors add noise. Changes are drawn anew for each sample and
    epoch; validation and prediction use unchanged samples. For EEG, such changes
    are compared in :footcite:t:`rommel2022data`; their sizes here are our decision.

    Parameters
    ----------
    channel_dropout : float
        EEG and MEG: largest share of the sensors that is left out.
    region_dropout : float
        fMRI: largest share of the regions that is left out.
    time_shift : float
        EEG and MEG: largest shift of the signal in s, in either direction.
    bold_shift : float
        fMRI: largest shift in s; slices and haemodynamic responses differ by as much.
    amplitude : float
        EEG and MEG: standard deviation of the logarithm of a factor on the whole sample.
    noise : float
        White noise for each channel, relative to the median spread of the sample's channels of
        the same type: standard deviation at most.

    References
    ----------
    .. footbibliography::
    """

    channel_dropout: float = 0.2
    region_dropout: float = 0.1
    time_shift: float = 0.02
    bold_shift: float = 0.5
    amplitude: float = 0.1
    noise: float = 0.1

    def __post_init__(self):
        """Refuse values that are no numbers, negative, or would drop every channel."""
        for item in fields(self):
            is_share = item.name.endswith("dropout")
            name = f"augmentation.{item.name}"
            check_number(name, getattr(self, item.name), low=0, high=0.9 if is_share else None)


def augment(data, sfreq, modality, ch_types, augmentation, rng):
    """Change samples of one montage."""
    # data (B, C, T) -> data (B, C, T), is_dropped (B, C).
    is_fmri = modality == "fmri"
    longest = augmentation.bold_shift if is_fmri else augmentation.time_shift
    seconds = rng.uniform(-longest, longest, len(data))
    points = seconds * sfreq
    data = shift(data, points if is_fmri else points.round())  # in between, rhythms would fade
    if not is_fmri:
        factor = np.exp(augmentation.amplitude * rng.standard_normal(len(data)))
        data *= factor[:, None, None].astype(np.float32)
    level = rng.uniform(0, augmentation.noise, len(data))
    noise = rng.standard_normal(data.shape, dtype=np.float32)
    noise *= (level[:, None] * _usual_spread(data, ch_types))[..., None].astype(np.float32)
    data += noise
    most = augmentation.region_dropout if is_fmri else augmentation.channel_dropout
    share = rng.uniform(0, most, len(data))
    order = rng.random(data.shape[:2]).argsort(axis=1).argsort(axis=1)  # (B, C), a rank each
    n_dropped = np.minimum(np.floor(share * (data.shape[1] + 1)), data.shape[1] - 1)
    return data, order < n_dropped[:, None]


def shift(data, points):
    """Shift each sample in time by linear interpolation; edges are repeated."""
    # data (B, C, T), points (B,) -> data (B, C, T).
    n_times = data.shape[2]
    place = np.clip(np.arange(n_times) - points[:, None], 0, n_times - 1)  # (B, T)
    before = place.astype(int)
    weight = (place - before)[:, None].astype(np.float32)  # (B, 1, T)
    after = np.minimum(before + 1, n_times - 1)
    first = np.take_along_axis(data, before[:, None], axis=2)
    second = np.take_along_axis(data, after[:, None], axis=2)
    return (first + weight * (second - first)).astype(np.float32)


def _usual_spread(data, ch_types):
    """Return the median standard deviation of the channels of each type (B, C)."""
    spread, types = data.std(axis=2), np.asarray(ch_types)
    for kind in set(ch_types):
        rows = types == kind
        spread[:, rows] = np.median(spread[:, rows], axis=1, keepdims=True)
    return spread
