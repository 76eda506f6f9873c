"""Draw the samples of a step from the seed and the number of the step alone.

A step draws one bucket: samples of one modality that share the length of their Fourier axis (time
points in EEG and MEG, regions in fMRI) and nearly share the other. Within a bucket samples come
in endless seeded permutations. Nothing is remembered from step to step, so it does not matter
where a run was interrupted, how many processes share a step, or how many of them read ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .._utils.validation import check_number
from ..models.config import MODALITY_CODES
from .terms import DIFFERENCE, terms_of

_BLOCK = 2**16  # steps whose buckets are drawn at once
_WASTE = 0.25  # share of padding that the longest of a bucket may cost the shortest
#: Streams of random numbers that must not meet.
_DRAWS, _PASSES, _MASKS, _KINDS, _MATES, DISTURBANCES, STATISTICS = range(7)


@dataclass(frozen=True, eq=False)
class Bucket:
    """Samples that can share a micro-batch."""

    modality: int  # Index into ``("eeg", "meg", "fmri")``
    indices: np.ndarray  # (n_samples,) The samples in the corpus
    n_tokens: int  # Tokens of the largest of them
    mean_tokens: float  # Tokens of a sample on average
    batch_size: int  # Samples of a micro-batch
    probability: float  # Share of the steps that draw this bucket


class Mates:
    """Samples of a set, sorted by person."""

    def __init__(self, person, indices):
        # person: number of the person of every sample of the corpus; indices: the set
        order = np.argsort(person[indices], kind="stable")
        self._person = person
        self._indices = np.asarray(indices)[order]
        self._sorted = person[self._indices]

    def draw(self, chosen, rng):
        """Draw another sample of the same person for each; itself where there is no other."""
        chosen = np.asarray(chosen)
        first = np.searchsorted(self._sorted, self._person[chosen], "left")
        last = np.searchsorted(self._sorted, self._person[chosen], "right")
        place = first + rng.integers(np.maximum(last - first - 1, 1))
        found = self._indices[place]
        # The last of a person stands in for the chosen one, so that all others are equally likely.
        return np.where(found == chosen, self._indices[last - 1], found)


class Sampler:
    """Deterministic order of the data.

    Modality m is drawn with probability ``n_samples ** (1 / temperature)``, a bucket of it in
    proportion to the micro-batches that it fills, so that within a modality every sample is seen
    equally often. A bucket that does not fill one is rarely drawn, and its samples then come
    several times at once, with other masks; a modality that does not gives all it has.

    With ``terms``, a share ``term_share`` of the steps is trained on them; where they ask for
    differences, half of the samples of such a step are replaced by others of the same persons.
    """

    def __init__(self, corpus, config, *, patch_size=64, random_state=0):
        self.random_state = check_number("random_state", random_state, low=0, integer=True)
        self.n_microbatches = config.n_microbatches
        self.config, self._corpus = config, corpus
        modality = np.asarray(corpus.modality)
        self.n_samples = np.bincount(modality, minlength=len(MODALITY_CODES))
        n_patches = -(-np.asarray(corpus.n_times, dtype=np.int64) // patch_size)
        tokens = n_patches * np.asarray(corpus.n_channels, dtype=np.int64)
        groups = _group(
            modality, np.asarray(corpus.n_channels), np.asarray(corpus.n_times), tokens
        )
        self.buckets = tuple(_make_buckets(groups, modality, tokens, self.n_samples, config))
        self._cumulative = np.cumsum([bucket.probability for bucket in self.buckets])
        self._before = [np.zeros(len(self.buckets), dtype=np.int64)]  # visits before each block
        self._block = (None, None)
        self._passes, self._mates = {}, {}

    def bucket(self, step):
        """Return the bucket of a step."""
        return self.buckets[self._draws(step // _BLOCK)[step % _BLOCK]]

    def plan(self, step):
        """Return the samples of a step."""
        # -> list of n_microbatches arrays (batch_size,).
        block, offset = divmod(step, _BLOCK)
        before, draws = self._visits(block), self._draws(block)
        number = draws[offset]
        bucket = self.buckets[number]
        visits = before[number] + np.count_nonzero(draws[:offset] == number)
        n_drawn = bucket.batch_size * self.n_microbatches
        places = visits * n_drawn + np.arange(n_drawn)
        passes, within = np.divmod(places, len(bucket.indices))
        drawn = np.empty(n_drawn, dtype=np.int64)
        for turn in range(passes[0], passes[-1] + 1):
            here = passes == turn
            drawn[here] = self._permutation(number, turn)[within[here]]
        indices = np.split(bucket.indices[drawn], self.n_microbatches)
        if self.asks_terms(step) and DIFFERENCE in terms_of(self.config, bucket.modality):
            mates = self._mates_of(number)
            rng = stream(self.random_state, _MATES, step)
            indices = [_pair(part, mates, rng) for part in indices]
        return indices

    def asks_terms(self, step):
        """Return whether a step is trained on the terms, in place of reconstruction."""
        if not terms_of(self.config, self.bucket(step).modality):
            return False
        return bool(stream(self.random_state, _KINDS, step).random() < self.config.term_share)

    def size(self, step):
        """Return how much is in a step."""
        bucket = self.bucket(step)
        n_samples = bucket.batch_size * self.n_microbatches
        return n_samples, n_samples * bucket.mean_tokens

    def epochs(self, step):
        """Return how often the samples of each modality have been seen before a step."""
        block, offset = divmod(step, _BLOCK)
        before = self._visits(block)
        drawn = np.bincount(self._draws(block)[:offset], minlength=len(self.buckets))
        visits = before + drawn
        seen = np.zeros(len(MODALITY_CODES))
        for count, bucket in zip(visits, self.buckets):
            seen[bucket.modality] += count * bucket.batch_size * self.n_microbatches
        return {
            name: float(seen[m] / self.n_samples[m])
            for m, name in enumerate(MODALITY_CODES)
            if self.n_samples[m]
        }

    def _draws(self, block):
        """Buckets of the steps of a block; the last block is kept."""
        if self._block[0] != block:
            uniform = stream(self.random_state, _DRAWS, block).random(_BLOCK)
            drawn = np.searchsorted(self._cumulative, uniform * self._cumulative[-1], "right")
            self._block = (block, np.minimum(drawn, len(self.buckets) - 1))
        return self._block[1]

    def _visits(self, block):
        """Count how often each bucket was drawn before a block."""
        while len(self._before) <= block:
            drawn = self._draws(len(self._before) - 1)
            counts = np.bincount(drawn, minlength=len(self.buckets))
            self._before.append(self._before[-1] + counts)
        return self._before[block]

    def _mates_of(self, number):
        """Persons of a bucket, sorted once."""
        if number not in self._mates:
            self._mates[number] = Mates(self._corpus.person, self.buckets[number].indices)
        return self._mates[number]

    def _permutation(self, number, turn):
        """Order of a bucket in one pass; those of the current pass are kept."""
        kept = self._passes.get(number)
        if kept is None or kept[0] != turn:
            rng = stream(self.random_state, _PASSES, number, turn)
            kept = (turn, rng.permutation(len(self.buckets[number].indices)))
            self._passes[number] = kept
        return kept[1]


def mask_generator(random_state, step, micro_batch):
    """Return the source of random numbers for the masks of one micro-batch."""
    sequence = np.random.SeedSequence(random_state, spawn_key=(_MASKS, step, micro_batch))
    seed = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator("cpu").manual_seed(seed)


def _pair(indices, mates, rng):
    """Keep half of the samples, at least one, each followed by another of its person."""
    kept = indices[: max(1, len(indices) // 2)]
    return np.stack([kept, mates.draw(kept, rng)], 1).ravel()


def stream(random_state, *key):
    """Return the source of random numbers of a key."""
    sequence = np.random.SeedSequence(random_state, spawn_key=key)
    return np.random.Generator(np.random.Philox(sequence))


def _group(modality, n_channels, n_times, tokens):
    """Yield the indices of samples that share modality and Fourier axis, and fit one bin."""
    is_fmri = modality == MODALITY_CODES.index("fmri")
    fourier = np.where(is_fmri, n_channels, n_times)
    group = modality + len(MODALITY_CODES) * fourier.astype(np.int64)
    order = np.lexsort((-tokens, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        # The largest opens a bin; the first that it would pad too much opens the next.
        sizes = -tokens[members]  # ascending
        while len(members):
            end = np.searchsorted(sizes, (1 - _WASTE) * sizes[0], "right")
            yield np.sort(members[:end])
            members, sizes = members[end:], sizes[end:]


def _make_buckets(groups, modality, tokens, n_samples, config):
    groups = list(groups)
    weights = np.where(n_samples > 0, n_samples.astype(float) ** (1 / config.temperature), 0)
    weights /= weights.sum()
    modalities = [int(modality[members[0]]) for members in groups]
    largest = [int(tokens[members].max()) for members in groups]
    fitting = [
        int(min(max(1, config.max_tokens_per_microbatch // n_tokens), n_samples[m]))
        for m, n_tokens in zip(modalities, largest)
    ]
    filled = np.array([len(members) / n for members, n in zip(groups, fitting)])
    total = np.bincount(modalities, filled, minlength=len(MODALITY_CODES))
    for number, (m, members) in enumerate(zip(modalities, groups)):
        mean_tokens = float(tokens[members].mean())
        probability = float(weights[m] * filled[number] / total[m])
        yield Bucket(m, members, largest[number], mean_tokens, fitting[number], probability)
