"""Long samples -> windows of one length, and which windows of several modalities go together."""

from __future__ import annotations

import numpy as np

from ._utils.validation import check_number
from .signals import PER_SAMPLE


def cut_windows(signals, duration):
    """Cut samples into windows of one length that cover them evenly."""
    # Samples no longer than ``duration`` stay whole. Longer ones give the fewest windows that
    # cover each stretch, evenly spaced and overlapping where they must. If most of a recording's
    # time lies in shorter stretches, windows shrink to fit those.
    # -> sample (n_windows,).
    n_times = round(check_number("window", duration, low=1 / signals.sfreq) * signals.sfreq)
    lengths = sorted((stop - start for start, stop in signals.stretches), reverse=True)
    length = _window_length(lengths, n_times)
    starts = []
    for start, stop in signals.stretches:
        if stop - start >= length:
            n_windows = -(-(stop - start) // length)
            starts.extend(np.linspace(start, stop - length, n_windows).round().astype(int))
    n_samples = len(signals)
    if len(starts) == 1 and length == signals.shape[2]:
        return signals, np.arange(n_samples)
    data = np.stack([signals.data[:, :, s : s + length] for s in starts], axis=1)
    sample = np.repeat(np.arange(n_samples), len(starts))
    onset = (signals.onset[:, None] + np.array(starts) / signals.sfreq).ravel()
    return _rewindow(signals, data, sample, onset), sample


def pair_windows(samples, is_missing):
    """Pair the windows of several modalities of the same samples."""
    # Modalities differ in how long their windows are, and recordings in how long they last. The
    # modality with most windows of a sample leads; each of its windows goes with that window of
    # every other modality which lies at the same relative place. Of simultaneous recordings these
    # are the windows that overlap in time, and every window is used at least once.
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


def _rewindow(signals, data, sample, onset):
    who = {name: tuple(getattr(signals, name)[i] for i in sample) for name in PER_SAMPLE}
    data = data.reshape(-1, *data.shape[2:])
    return signals.replace(data=data, onset=onset, stretches=None, is_locked=False, **who)


def _window_length(lengths, n_times):
    """The longest window, of at most ``n_times``, that reaches at least half of the good time."""
    total = sum(lengths)
    for length in [n_times, *(n for n in lengths if n < n_times)]:
        if sum(n for n in lengths if n >= length) >= total / 2:
            return min(length, lengths[0])
    return lengths[-1]
