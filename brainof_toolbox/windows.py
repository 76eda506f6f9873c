"""Cut long samples into windows of one length; pair the windows of several modalities."""

from __future__ import annotations

import numpy as np

from ._utils.validation import check_number
from .signals import PER_SAMPLE


def cut_windows(signals, duration):
    """Cut samples into windows of one length that cover them evenly."""
    # Samples no longer than ``duration`` stay whole. Longer ones give the fewest windows that
    # cover each good segment, evenly spaced and overlapping where needed. If most of a
    # recording's time lies in shorter segments, windows shrink to fit those.
    # -> sample (n_windows,).
    n_times = round(check_number("window", duration, low=1 / signals.sfreq) * signals.sfreq)
    lengths = sorted((stop - start for start, stop in signals.good_segments), reverse=True)
    length = _window_length(lengths, n_times)
    starts = []
    for start, stop in signals.good_segments:
        if stop - start >= length:
            n_windows = -(-(stop - start) // length)
            starts.extend(np.linspace(start, stop - length, n_windows).round().astype(int))
    n_samples = len(signals)
    if len(starts) == 1 and length == signals.shape[2]:
        return signals, np.arange(n_samples)
    data = np.stack([signals.data[:, :, s : s + length] for s in starts], axis=1)
    sample = np.repeat(np.arange(n_samples), len(starts))
    fields = {name: tuple(getattr(signals, name)[i] for i in sample) for name in PER_SAMPLE}
    fields["onset"] = (signals.onset[:, None] + np.array(starts) / signals.sfreq).ravel()
    fields["data"] = data.reshape(-1, *data.shape[2:])
    return signals._derive(good_segments=((0, length),), is_locked=False, **fields), sample


def pair_windows(samples, is_missing):
    """Pair the windows of several modalities of the same samples."""
    # Modalities differ in window length and recordings in duration. Each window of the modality
    # with most windows in a sample is paired with the window of every other modality at the same
    # relative position. In simultaneous recordings these windows overlap in time, and every
    # window is used at least once.
    # samples (n_windows,), is_missing (n_samples,) -> rows (n_pairs,), sample (n_pairs,).
    n_samples = len(next(iter(is_missing.values())))
    counts = {name: np.bincount(s, minlength=n_samples) for name, s in samples.items()}
    present = [np.where(is_missing[name], 0, count) for name, count in counts.items()]
    n_pairs = np.max(present, axis=0)  # (n_samples,)
    sample = np.repeat(np.arange(n_samples), n_pairs)
    place = np.arange(len(sample)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    rows = {}
    for name, count in counts.items():
        within = np.minimum(place * count[sample] // n_pairs[sample], count[sample] - 1)
        rows[name] = (np.cumsum(count) - count)[sample] + within
    return rows, sample


def _window_length(lengths, n_times):
    """Return the longest window (at most ``n_times``) that fits in half of the good time."""
    total = sum(lengths)
    for length in [n_times, *(n for n in lengths if n < n_times)]:
        if sum(n for n in lengths if n >= length) >= total / 2:
            return min(length, lengths[0])
    return lengths[-1]
