"""Whitened read-outs: naive twin, laws, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import MICRO
from test_terms import SMALL_TERMS, of_kind

from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.pretraining import Corpus, PretrainingConfig, whiten_read_outs
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
def read(model, sample):
    """Read out one sample."""
    kind = MODALITY_CODES[sample.modality]
    tokens = make_tokens(
        torch.from_numpy(np.array(sample.data[None], np.float32)),
        sample.sfreq,
        sample.position,
        sample.orientation,
        [SENSOR_TYPES[number] for number in sample.sensor_type],
        kind,
        log_scale=sample.log_scale[None],
        patch_size=model.config.patch_size,
    )
    return model.read_out(model(tokens), kind)[0].double().numpy()


@pytest.mark.parametrize("modality", range(3), ids=MODALITY_CODES)
def test_outputs_are_standard_scores_on_principal_axes(corpus, trained, modality):
    kind, samples = MODALITY_CODES[modality], of_kind(corpus, modality, None)
    model = whiten_read_outs(trained, corpus, 0.8)
    before = np.stack([read(trained, sample) for sample in samples])
    after = np.stack([read(model, sample) for sample in samples])
    start = stop = 0
    for name, size in trained.read_out_sizes(kind).items():
        own = before[:, start : start + size] * size**0.5
        start += size
        kept = model.read_out_sizes(kind)[name]
        found = after[:, stop : stop + kept] * kept**0.5
        stop += kept
        values, axes = np.linalg.eigh(np.cov(own.T))
        wanted = (own - own.mean(0)) @ axes[:, ::-1][:, :kept] / np.sqrt(values[::-1][:kept])
        wanted *= np.sign((wanted * found).sum(0))  # signs of axes are arbitrary
        explained = np.cumsum(values[::-1]) / values.sum()
        assert explained[kept - 1] >= 0.8 and (kept == 1 or explained[kept - 2] < 0.8)
        assert np.allclose(found, wanted, atol=1e-2)
        assert np.allclose(np.cov(found.T), np.eye(kept), atol=1e-2)


def test_the_rest_of_the_network_stays(corpus, trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    model = whiten_read_outs(trained, corpus, random_state=3)
    for name, value in model.state_dict().items():
        if not name.startswith("read_outs"):
            assert torch.equal(value, before[name]), name
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    sizes = {row[:2]: row[3] for row in trained.config.read_outs}
    assert all(row[2] == 0 and row[3] <= sizes[row[:2]] for row in model.config.read_outs)


def test_nonsense_is_refused(corpus, trained):
    with pytest.raises(ValueError, match="no read-outs: pretrain it"):
        whiten_read_outs(BrainOF(BrainOFConfig.preset("tiny")), corpus)
    with pytest.raises(ValueError, match="variance"):
        whiten_read_outs(trained, corpus, 1.5)

    class Empty:
        modality = np.zeros(1, int)

    with pytest.raises(ValueError, match="1 samples of eeg: at least 2"):
        whiten_read_outs(trained, Empty())
