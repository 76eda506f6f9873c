"""Whitened read-outs: naive twin, laws, refusals."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fakes import MICRO
from test_terms import SMALL_TERMS

from brainof_toolbox.encoder.pooling import choose_pooling
from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.pretraining import Corpus, PretrainingConfig, whiten_read_outs
from brainof_toolbox.pretraining.course import N_COURSE
from brainof_toolbox.pretraining.sampler import STATISTICS, stream
from brainof_toolbox.pretraining.terms import with_read_outs


@pytest.fixture(scope="module")
def corpus(small_corpus):
    return Corpus(small_corpus)


@pytest.fixture(scope="module")
def trained(corpus):
    """A network with drawn read-outs."""
    training = PretrainingConfig.from_dict(SMALL_TERMS)
    model = BrainOF(with_read_outs(BrainOFConfig(**MICRO), training, corpus), random_state=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parts in model.read_outs.values():
            for read_out in parts.values():
                read_out.weight.normal_(std=0.1, generator=generator)
                read_out.bias.normal_(generator=generator)
    return model


@torch.no_grad()
def read(model, sample, place):
    """Read out a sample, cut as for the axes: outputs side by side by name."""
    kind = MODALITY_CODES[sample.modality]
    n_times = sample.data.shape[1]
    if kind != "fmri":
        n_times = max(n_times // 2 ** (place % 4), min(model.config.patch_size, n_times))
    tokens = make_tokens(
        torch.from_numpy(np.array(sample.data[None, :, :n_times], np.float32)),
        sample.sfreq,
        sample.position,
        sample.orientation,
        [SENSOR_TYPES[number] for number in sample.sensor_type],
        kind,
        log_scale=sample.log_scale[None],
        patch_size=model.config.patch_size,
    )
    pooling = choose_pooling(model.config, "compact", (kind,))
    row = pooling.rows(model, model(tokens), tokens)[0].double().numpy()
    edges = np.cumsum(list(pooling.sizes.values()))[:-1]
    parts = zip(pooling.sizes.items(), np.split(row, edges), strict=True)
    return {name: part * n**0.5 for (name, n), part in parts}


@pytest.mark.parametrize("modality", range(3), ids=MODALITY_CODES)
def test_outputs_are_standard_scores_on_principal_axes(corpus, trained, modality):
    model, mine = whiten_read_outs(trained, corpus, 0.8), corpus.modality == modality
    samples = [
        corpus[int(i)] for i in stream(0, STATISTICS, modality).permutation(np.flatnonzero(mine))
    ]
    before, after = (
        [read(network, sample, place) for place, sample in enumerate(samples)]
        for network in (trained, model)
    )
    assert list(before[0]) == list(after[0]) and len(before[0]) == (2 if modality == 2 else 4)
    for name in before[0]:
        own, found = (np.stack([row[name] for row in rows]) for rows in (before, after))
        values, axes = np.linalg.eigh(np.cov(own.T))
        values, axes, kept = values[::-1], axes[:, ::-1], found.shape[1]
        wanted = (own - own.mean(0)) @ axes[:, :kept] / np.sqrt(values[:kept])
        wanted *= np.sign((wanted * found).sum(0))  # signs of axes are arbitrary
        assert np.allclose(found, wanted, atol=2e-2), name
        assert np.allclose(np.cov(found.T), np.eye(kept), atol=2e-2), name
        explained = np.cumsum(values) / values.sum()
        assert explained[kept - 1] >= 0.8 and (kept == 1 or explained[kept - 2] < 0.8)


def test_the_rest_of_the_network_stays(corpus, trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.train()
    model = whiten_read_outs(trained, corpus, random_state=3)
    assert trained.training and not model.training
    trained.eval()
    for name, value in model.state_dict().items():
        if not name.startswith("read_outs"):
            assert torch.equal(value, before[name]), name
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    sizes = {row[:2]: row[3] for row in trained.config.read_outs}
    for kind, name, n_columns, n_outputs in model.config.read_outs:
        assert n_columns == (N_COURSE if name == "course" else 0)
        assert n_outputs <= sizes.get((kind, name), N_COURSE)


def test_shares_by_modality(corpus, trained):
    """Each modality is as with its own share for all."""
    shares = {"eeg": 0.9, "meg": 0.5, "fmri": 1.0}
    shares = {kind: shares[kind] for kind in trained.read_outs}
    rows = whiten_read_outs(trained, corpus, shares).config.read_outs
    for kind, share in shares.items():
        alone = whiten_read_outs(trained, corpus, share).config.read_outs
        assert [row for row in rows if row[0] == kind] == [row for row in alone if row[0] == kind]


def test_a_network_can_be_whitened_again(corpus, trained):
    once = whiten_read_outs(trained, corpus, 1.0)
    again = whiten_read_outs(once, corpus, 1.0)
    assert once.config == again.config
    latents = torch.randn(2, *once.latents.shape, generator=torch.Generator().manual_seed(0))
    size = once.read_out_sizes("fmri")["second_order"]
    one, two = (net.read_out(latents, "fmri")[:, :size] for net in (once, again))
    # Axes of equal variance may be rotated.
    assert torch.allclose(one.norm(dim=1), two.norm(dim=1), rtol=1e-3)


def test_nonsense_is_refused(corpus, trained):
    with pytest.raises(ValueError, match="no read-outs: pretrain it"):
        whiten_read_outs(BrainOF(BrainOFConfig.preset("tiny")), corpus)
    with pytest.raises(ValueError, match="variance"):
        whiten_read_outs(trained, corpus, 1.5)
    with pytest.raises(ValueError, match="a share for each of"):
        whiten_read_outs(trained, corpus, {"eeg": 0.9})

    flat = copy.deepcopy(trained)
    flat.read_outs["eeg"]["difference"].weight.data.zero_()
    with pytest.raises(ValueError, match="difference of eeg is the same for all samples"):
        whiten_read_outs(flat, corpus)

    class Empty:
        modality = np.zeros(1, int)

    with pytest.raises(ValueError, match="1 samples of eeg: at least 2"):
        whiten_read_outs(trained, Empty())
