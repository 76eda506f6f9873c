"""The order of the data: seeded, even, cheap to enter anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining import sampler as sampler_module
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator

CONFIG = PretrainingConfig(max_tokens_per_microbatch=256, n_microbatches=3)


def _corpus(rows):
    """Columns of (modality, n_channels, n_times)."""
    modality, n_channels, n_times = map(np.array, zip(*rows))
    return SimpleNamespace(modality=modality, n_channels=n_channels, n_times=n_times)


@pytest.fixture
def mixed():
    """Three modalities in many shapes."""
    rng = np.random.default_rng(0)
    rows = [(0, c, 640) for c in rng.integers(16, 65, 150)]
    rows += [(0, 19, t) for t in rng.choice([512, 640], 50)]
    rows += [(1, c, 512) for c in rng.integers(100, 307, 60)]
    rows += [(2, 30, t) for t in rng.integers(20, 321, 40)]
    rows += [(2, 31, 320)] * 9
    rng.shuffle(rows)
    return _corpus(rows)


def _naive(sampler, n_steps):
    """Walk through all steps, remembering where each bucket stands."""
    state = {number: [0, []] for number in range(len(sampler.buckets))}
    for step in range(n_steps):
        bucket = sampler.bucket(step)
        number = sampler.buckets.index(bucket)
        n_microbatches = []
        for _ in range(sampler.n_microbatches):
            rows = []
            for _ in range(bucket.batch_size):
                turn, waiting = state[number]
                if not waiting:
                    waiting = list(sampler._permutation(number, turn))
                    state[number] = [turn + 1, waiting]
                rows.append(bucket.indices[waiting.pop(0)])
            n_microbatches.append(rows)
        yield n_microbatches


def test_plan_is_a_walk_through_permutations(mixed):
    """Entering at any step gives what a walk from the start finds there."""
    sampler, fresh = Sampler(mixed, CONFIG), Sampler(mixed, CONFIG)
    walk = [np.array(step) for step in _naive(Sampler(mixed, CONFIG), 300)]
    for step in (0, 299, 17, 298, 18, 150, *range(300)):
        plan = sampler.plan(step)
        assert len(plan) == 3 and np.array_equal(np.stack(plan), walk[step])
    assert np.array_equal(np.stack(fresh.plan(299)), walk[299])


def test_each_sample_once_per_pass(mixed):
    """Counts within a bucket differ by at most one, and every sample comes."""
    sampler = Sampler(mixed, CONFIG)
    seen = np.zeros(len(mixed.modality), dtype=int)
    for step in range(2000):
        np.add.at(seen, np.concatenate(sampler.plan(step)), 1)
    for bucket in sampler.buckets:
        assert np.ptp(seen[bucket.indices]) <= 1
    assert seen.min() >= 1
    assert np.array_equal(np.sort(np.concatenate([b.indices for b in sampler.buckets])),
                          np.arange(len(seen)))  # fmt: skip
    epochs = sampler.epochs(2000)
    for number, name in enumerate(MODALITY_CODES):
        assert epochs[name] == pytest.approx(seen[mixed.modality == number].mean())


def test_buckets_share_the_fourier_axis_and_waste_little(mixed):
    for bucket in Sampler(mixed, CONFIG).buckets:
        modality = set(mixed.modality[bucket.indices])
        assert modality == {bucket.modality}
        dense = mixed.n_channels if bucket.modality == 2 else mixed.n_times
        assert len(set(dense[bucket.indices])) == 1
        patches = -(-mixed.n_times[bucket.indices] // 64)
        tokens = patches * mixed.n_channels[bucket.indices]
        assert bucket.n_tokens == tokens.max() and tokens.min() >= 0.75 * tokens.max()
        fits = max(1, CONFIG.max_tokens_per_microbatch // bucket.n_tokens)
        assert bucket.batch_size == fits


@pytest.mark.parametrize("temperature, power", [(1.0, 1.0), (2.0, 0.5), (1e9, 0.0)])
def test_modalities_are_mixed_by_temperature(temperature, power):
    corpus = _corpus([(0, 10, 640)] * 900 + [(1, 20, 512)] * 90 + [(2, 30, 320)] * 10)
    sampler = Sampler(corpus, PretrainingConfig(temperature=temperature))
    n_steps = 20_000
    drawn = np.bincount([sampler.bucket(step).modality for step in range(n_steps)], minlength=3)
    wanted = np.array([900.0, 90.0, 10.0]) ** power
    wanted /= wanted.sum()
    assert np.allclose(drawn / n_steps, wanted, atol=4 * 0.5 / np.sqrt(n_steps))


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 8, 640)] * 400 + [(0, 32, 640)] * 400,  # batches of 8 and of 2
        [(1, 8, 640)] * 200 + [(1, 8, 512)] * 2 + [(1, 10, 512)],  # rare shapes fill no batch
        [(2, 60, 640)] * 9 + [(2, 31, 640)] * 9,  # tokens that leave a rest
    ],
    ids=["sizes", "rare", "rests"],
)
def test_samples_of_a_modality_are_seen_equally_often(rows):
    """The mean count of a bucket is that of another: exactly, were steps endless."""
    sampler = Sampler(_corpus(rows), PretrainingConfig(max_tokens_per_microbatch=640))
    assert len(sampler.buckets) > 1
    rates = [b.probability * b.batch_size / len(b.indices) for b in sampler.buckets]
    assert np.allclose(rates, rates[0], rtol=1e-12)
    seen, n_steps = np.zeros(len(rows)), 4000
    for step in range(n_steps):
        np.add.at(seen, np.concatenate(sampler.plan(step)), 1)
    for bucket in sampler.buckets:
        visits = n_steps * bucket.probability
        found = seen[bucket.indices].mean()
        assert found == pytest.approx(n_steps * rates[0], rel=5 / np.sqrt(visits))


def test_seed_decides_and_nothing_else_does(mixed, global_rng_untouched):
    """Same seed, two pretraining runs: bitwise equal."""
    one, same, other = (Sampler(mixed, CONFIG, random_state=seed) for seed in (3, 3, 4))
    plans = [[np.concatenate(s.plan(step)).tolist() for step in range(50)]
             for s in (one, same, other)]  # fmt: skip
    assert plans[0] == plans[1] != plans[2]


def test_late_step_of_a_large_corpus(mixed, monkeypatch):
    """Far into a large corpus, blocks of steps and one pass are all it takes."""
    n = 600_000
    modality = np.zeros(n, dtype=np.int64)
    corpus = SimpleNamespace(modality=modality, n_channels=modality + 64, n_times=modality + 2560)
    streams = []
    real = sampler_module.stream
    monkeypatch.setattr(sampler_module, "stream", lambda *key: streams.append(key) or real(*key))
    sampler = Sampler(corpus, CONFIG)
    plan = sampler.plan(100_000)
    turn = 100_000 * 3 // n  # one sample per micro-batch, one bucket
    assert [p.shape for p in plan] == [(1,)] * 3 and turn == 0
    assert len(streams) == 100_000 // sampler_module._BLOCK + 2
    sampler.plan(100_001)
    assert len(streams) == 100_000 // sampler_module._BLOCK + 2


def test_masks_have_their_own_stream_per_micro_batch(global_rng_untouched):
    draws = {
        key: tuple(torch.rand(3, generator=mask_generator(*key)).tolist())
        for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    }
    assert len(set(draws.values())) == 4
    again = torch.rand(3, generator=mask_generator(0, 1, 0))
    assert tuple(again.tolist()) == draws[0, 1, 0]


def test_a_modality_smaller_than_a_micro_batch_gives_all_it_has():
    sampler = Sampler(_corpus([(0, 2, 64)] * 3), CONFIG)
    assert [sorted(part) for part in sampler.plan(5)] == [[0, 1, 2]] * 3


def test_a_bucket_smaller_than_a_micro_batch_repeats_its_samples():
    sampler = Sampler(_corpus([(0, 2, 64)] * 7 + [(0, 2, 128)] * 2), CONFIG)
    step = next(s for s in range(100) if sampler.bucket(s).indices.tolist() == [7, 8])
    counts = [np.bincount(part, minlength=9)[7:] for part in sampler.plan(step)]
    assert np.sum(counts, 0).tolist() in ([13, 14], [14, 13]) and np.sum(counts, 1).max() == 9


def test_nonsense_is_refused(mixed):
    with pytest.raises(ValueError, match="random_state"):
        Sampler(mixed, CONFIG, random_state=-1)
