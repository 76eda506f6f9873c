"""Windows: how long samples are cut, and which windows of several modalities go together."""

from __future__ import annotations

import numpy as np
import pytest

from brainof_toolbox.signals import Signals
from brainof_toolbox.windows import cut_windows, pair_windows


def make_eeg(n_samples, n_times=100, **kwargs):
    """EEG noise at 100 Hz, three channels."""
    data = np.random.default_rng(0).standard_normal((n_samples, 3, n_times))
    names = [f"E{i}" for i in range(3)]
    people = [f"sub-{i}" for i in range(n_samples)]
    return Signals(data, 100.0, "eeg", names, ["eeg"] * 3, np.eye(3), subject=people, **kwargs)


def random_stretches(rng, n_times):
    edges = np.sort(rng.choice(np.arange(1, n_times), rng.integers(0, 6), replace=False))
    spans = list(zip([0, *edges], [*edges, n_times], strict=True))
    return [span for span in spans if rng.random() < 0.8] or spans


@pytest.mark.parametrize("seed", range(30))
def test_windows_cover_and_never_cross(seed):
    """Against random stretches: equal slices, no border crossed, no reachable point left out.

    The literal reference marks each point of each window one by one.
    """
    rng = np.random.default_rng(seed)
    n_times, duration = int(rng.integers(50, 400)), float(rng.uniform(0.1, 2.5))
    signals = make_eeg(2, n_times=n_times, good_segments=random_stretches(rng, n_times))
    windows, sample = cut_windows(signals, duration)
    length = windows.shape[2]
    assert length <= max(1, round(duration * 100)) and len(windows) == len(sample)
    assert windows.good_segments == ((0, length),)
    starts = np.round((windows.onset - signals.onset[sample]) * 100).astype(int)
    is_covered = np.zeros((2, n_times), bool)
    for i, (row, start) in enumerate(zip(sample, starts, strict=True)):
        assert any(a <= start and start + length <= b for a, b in signals.good_segments)
        assert np.array_equal(windows.data[i], signals.data[row, :, start : start + length])
        assert windows.subject[i] == signals.subject[row]
        is_covered[row, start : start + length] = True
    reachable = np.zeros(n_times, bool)
    for a, b in signals.good_segments:
        reachable[a:b] = b - a >= length
    assert np.array_equal(is_covered, [reachable, reachable])
    assert reachable.sum() >= sum(b - a for a, b in signals.good_segments) / 2
    assert sample.tolist() == sorted(sample.tolist())


@pytest.mark.parametrize(
    "n_times, n_windows", [(30, 1), (31, 2), (60, 2), (61, 3), (90, 3), (100, 4)]
)
def test_windows_are_few_and_even(n_times, n_windows):
    """The fewest windows that cover, at steps that differ by one point at most."""
    windows, _ = cut_windows(make_eeg(1, n_times=n_times), 0.3)
    assert windows.shape == (n_windows, 3, 30)
    steps = np.diff(np.round(windows.onset * 100))
    assert n_windows == 1 or np.ptp(steps) <= 1


def test_short_samples_stay_whole():
    signals = make_eeg(4)
    windows, sample = cut_windows(signals, 5.0)
    assert windows is signals and sample.tolist() == [0, 1, 2, 3]


def test_windows_shrink_to_short_stretches():
    """Mostly shorter stretches decide the length; a window never mixes two of them."""
    signals = make_eeg(1, good_segments=[(0, 20), (20, 40), (45, 65), (70, 100)])
    windows, _ = cut_windows(signals, 0.5)
    assert windows.shape == (5, 3, 20)
    np.testing.assert_allclose(windows.onset * 100, [0, 20, 45, 70, 80])


@pytest.mark.parametrize(
    "duration, kind", [(0.004, ValueError), (-1, ValueError), (None, TypeError)]
)
def test_impossible_windows(duration, kind):
    with pytest.raises(kind, match="'window' must be a number of at least 0.01"):
        cut_windows(make_eeg(4), duration)


def naive_pairs(samples, is_missing):
    """One sample after the other, one window after the other."""
    rows, owners = {name: [] for name in samples}, []
    for sample in range(len(next(iter(is_missing.values())))):
        windows = {name: np.flatnonzero(owner == sample) for name, owner in samples.items()}
        n_pairs = max(len(w) for name, w in windows.items() if not is_missing[name][sample])
        for k in range(n_pairs):
            owners.append(sample)
            for name, own in windows.items():
                place = min(int(np.floor(k * len(own) / n_pairs)), len(own) - 1)
                rows[name].append(own[place])
    return rows, owners


@pytest.mark.parametrize("seed", range(20))
def test_pairs_equal_naive(seed):
    """Any numbers of windows, any modality missing: as counted one by one."""
    rng = np.random.default_rng(seed)
    n_samples = int(rng.integers(1, 6))
    samples = {
        name: np.repeat(np.arange(n_samples), rng.integers(1, 9, n_samples))
        for name in ("fmri", "eeg", "meg")
    }
    lacks = {name: rng.random(n_samples) < 0.4 for name in samples}
    lacks["eeg"] &= ~(lacks["fmri"] & lacks["meg"])
    rows, owners = pair_windows(samples, lacks)
    naive, naive_owners = naive_pairs(samples, lacks)
    assert owners.tolist() == naive_owners
    assert {name: index.tolist() for name, index in rows.items()} == naive


def test_every_window_is_used_and_stays_with_its_sample():
    samples = {"fmri": np.array([0, 1]), "eeg": np.array([0, 0, 0, 1, 1, 1, 1, 1])}
    rows, owners = pair_windows(samples, {name: np.zeros(2, bool) for name in samples})
    assert rows["eeg"].tolist() == list(range(8))
    for name, index in rows.items():
        assert np.array_equal(samples[name][index], owners)


def test_a_missing_modality_does_not_lead():
    """What a sample lacks decides nothing about its windows."""
    samples = {"eeg": np.array([0, 0, 1]), "meg": np.array([0, 0, 0, 0, 1])}
    lacks = {"eeg": np.array([False, False]), "meg": np.array([True, False])}
    rows, owners = pair_windows(samples, lacks)
    assert owners.tolist() == [0, 0, 1] and rows["eeg"].tolist() == [0, 1, 2]
