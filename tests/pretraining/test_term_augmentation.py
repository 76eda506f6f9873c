"""Disturbances: what they keep, what they change, and how much."""

from __future__ import annotations

import numpy as np
import pytest

from brainof_toolbox.pretraining import Corpus
from brainof_toolbox.pretraining.augment import (
    Augmentation,
    Frame,
    crop,
    disturb,
    draw_band,
    draw_gain,
    drop_patches,
    enrich,
    filter_rows,
)

NONE = Augmentation(
    noisy=0,
    bad_channel=0,
    gain=0,
    referenced=0,
    position=0,
    shift=0,
    merged=0,
    enriched=0,
    holed=0,
)
WHOLE = Frame(1.0, 1.0, (1, 1))


@pytest.fixture(scope="module")
def samples(small_corpus):
    corpus = Corpus(small_corpus)
    return [corpus[int(np.flatnonzero(corpus.modality == m)[0])] for m in range(3)]


@pytest.mark.parametrize("modality", range(3))
def test_no_disturbance_is_none(samples, modality):
    sample, rng = samples[modality], np.random.default_rng(0)
    same = disturb(crop(sample, WHOLE, rng, NONE), WHOLE, rng, NONE)
    for one, other in zip(same, sample, strict=True):
        assert np.array_equal(one, other)
    assert not drop_patches(5, 7, rng, NONE).any()


@pytest.mark.parametrize("modality", range(3))
def test_disturbed_samples_stay_samples(samples, modality):
    sample, how = samples[modality], Augmentation(noisy=1, holed=1)
    before = sample.data.copy()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = Frame.draw(rng, how)
        clean = crop(sample, frame, rng, how)
        seen = disturb(clean, frame, rng, how)
        assert seen.data.dtype == np.float32 and np.isfinite(seen.data).all()
        assert how.min_channels <= len(seen.data) <= len(sample.data)
        assert seen.data.shape[1] == clean.data.shape[1] and seen.sfreq == clean.sfreq
        assert len(seen.position) == len(seen.sensor_type) == len(seen.data)
        least = how.min_volumes if modality == 2 else how.min_duration * sample.sfreq
        assert clean.data.shape[1] / clean.sfreq >= 0.99 * least / sample.sfreq
        dropped = drop_patches(len(seen.data), 6, rng, how)
        assert dropped.mean() < 1
    assert np.array_equal(sample.data, before)


def test_crops_are_windows_and_resampled_ones_keep_their_rhythm(samples):
    sample = samples[0]
    rng = np.random.default_rng(0)
    part = crop(sample, Frame(1.0, 0.5, (1, 1)), rng, NONE).data
    starts = np.flatnonzero((sample.data[0] == part[0, 0])[: -part.shape[1] + 1])
    assert any(np.array_equal(sample.data[:, s : s + part.shape[1]], part) for s in starts)
    times = np.arange(sample.data.shape[1]) / sample.sfreq
    wave = np.sin(2 * np.pi * 10 * times)[None].repeat(len(sample.data), 0)
    slow = crop(sample._replace(data=wave), Frame(1.0, 1.0, (1, 2)), rng, NONE)
    assert slow.sfreq == sample.sfreq / 2
    assert np.allclose(slow.data[:, 50:-50], wave[:, ::2][:, 50:-50], atol=0.01)
    assert crop(sample, Frame(1.0, 1.0, (1, 3)), rng, NONE).sfreq == sample.sfreq  # too slow


def test_average_reference_follows_the_subset(samples):
    frame = Frame(0.5, 1.0, (1, 1))
    seen = disturb(samples[0], frame, np.random.default_rng(0), NONE, "average")
    assert len(seen.data) < len(samples[0].data)
    assert np.abs(seen.data.mean(0)).max() < 1e-5


def test_merged_regions_are_scaled_means(samples):
    how = Augmentation(noisy=0, position=0, merged=1)
    seen = disturb(samples[2], WHOLE, np.random.default_rng(0), how)
    assert np.allclose(seen.data.mean(1), 0, atol=1e-5)
    assert np.allclose(seen.data.std(1), 1, atol=0.01)
    assert not np.allclose(seen.data, samples[2].data, atol=0.1)


def test_enriched_samples_have_another_connectivity(samples):
    sample, how = samples[2], Augmentation(enriched=1)
    other = sample._replace(data=sample.data[:, :50])
    far = sample._replace(position=sample.position + 1, data=np.full_like(sample.data, np.nan))
    before, found = np.corrcoef(sample.data), []
    for seed in range(10):
        new = enrich(sample, [sample, other, far], np.random.default_rng(seed), how)
        assert new.data.shape == sample.data.shape and new.data.dtype == np.float32
        assert np.allclose(new.data.std(1), 1, atol=0.01)
        found.append(np.abs(np.corrcoef(new.data) - before).max())
    assert min(found) > 0.01 and max(found) > 0.3
    rng = np.random.default_rng(0)
    assert enrich(sample, [sample], rng, NONE) is sample


@pytest.mark.parametrize("modality", range(2))
def test_enriched_eeg_and_meg(samples, modality):
    """Shape, reference and size of positions stay; power and covariance change."""
    sample, how = samples[modality], Augmentation(enriched=1)
    sample = sample._replace(data=sample.data - sample.data.mean(0))
    other = sample._replace(data=np.roll(sample.data, 1, axis=0)[:, :50])
    slow = sample._replace(sfreq=sample.sfreq / 2, data=np.full_like(sample.data, np.nan))
    signs, changes = [], []
    for seed in range(20):
        new, again = (
            enrich(sample, [sample, other, slow], np.random.default_rng(seed), how)
            for _ in range(2)
        )
        for one, two in zip(new, again, strict=True):
            assert np.array_equal(one, two)
        assert new.data.shape == sample.data.shape and new.data.dtype == np.float32
        assert new.position.dtype == sample.position.dtype and np.isfinite(new.data).all()
        if modality == 0:
            assert np.abs(new.data.mean(0)).max() < 1e-5 * np.abs(new.data).max()
        for name in ("position", "orientation"):
            one, two = getattr(new, name), getattr(sample, name)
            assert np.array_equal(np.abs(one), np.abs(two))
            assert np.array_equal(one[:, 1:], two[:, 1:])
        x = new.position[:, 0] * sample.position[:, 0]
        assert (x >= 0).all() or (x <= 0).all()
        signs.append(x.sum() > 0)
        changes.append(np.abs(np.log(new.data.var(1) / sample.data.var(1))).max())
    assert 4 < sum(signs) < 16 and np.median(changes) > 0.2
    assert enrich(sample, [sample], np.random.default_rng(0), NONE) is sample


def test_mirroring_is_the_same_data_at_mirrored_places(samples):
    """A mirrored head gives the mirrored sample, but for which hemisphere came first."""
    sample, how = samples[0], Augmentation(enriched=1)
    mirror = np.float32([-1, 1, 1])
    flipped = sample._replace(
        position=sample.position * mirror, orientation=sample.orientation * mirror
    )
    for seed in range(5):
        one = enrich(sample, [sample], np.random.default_rng(seed), how)
        other = enrich(flipped, [flipped], np.random.default_rng(seed), how)
        assert np.allclose(one.data, other.data, atol=1e-5)
        assert np.array_equal(one.position, other.position * mirror)
        assert np.array_equal(one.orientation, other.orientation * mirror)


@pytest.mark.parametrize("n_times", [64, 101])
def test_filter_multiplies_the_spectrum(n_times):
    data = np.random.default_rng(0).normal(size=(3, n_times))
    assert np.allclose(filter_rows(data, np.ones_like, 128.0), data)

    def gain(f):
        return np.exp(-np.abs(f) / 20)

    spectrum = np.fft.fft(data, axis=1) * gain(np.fft.fftfreq(n_times, 1 / 128.0))
    assert np.allclose(filter_rows(data, gain, 128.0), np.fft.ifft(spectrum, axis=1).real)


def test_gains_are_smooth_bands(samples):
    f = np.fft.rfftfreq(1024, 1 / 128.0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        band, gain = draw_band(rng)(f), draw_gain(rng)(f)
        assert 0.9 < band.max() <= 1 and 1 <= f[band.argmax()] <= 45 and (gain > 0).all()
        steps = np.abs(np.diff(np.log(gain[f >= 1])))
        assert 0.05 < np.abs(np.log(gain)).max() < 2 and steps.max() < 0.3


def test_spans_and_single_patches_are_dropped():
    drawn = [
        drop_patches(5, 12, np.random.default_rng(seed), Augmentation(holed=1))
        for seed in range(60)
    ]
    spans = [d for d in drawn if (d == d[:1]).all() and d.any()]
    assert 10 < len(spans) < 50
    assert max(d.mean() for d in drawn) < 0.6
    everything = Augmentation(holed=1, dropped=1.0)
    assert not any(
        drop_patches(1, 1, np.random.default_rng(s), everything).all() for s in range(40)
    )
