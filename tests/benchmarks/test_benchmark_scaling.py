"""The arithmetic of pretraining on many GPUs, against numbers computed by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks import scaling
from brainof_toolbox.models.moe import Experts

#: One GFLOP and one MB per token, whatever the modality.
TOKENS = {"eeg": 32 * 40, "meg": 306 * 8, "fmri": 246 * 5}
COUNTS = {
    "base": {
        "parameters": 100e6,
        "block": 10e6,
        "flop": {name: 1e9 * n for name, n in TOKENS.items()},
        "bytes": {name: 1e6 * n for name, n in TOKENS.items()},
        "copies": 0.2e9,
    }
}


def options(**changes):
    """Return the defaults of the command line, rounded."""
    values = {
        "peak": 1000.0,
        "utilisation": [50.0],
        "measured": {},
        "inside": 400.0,
        "between": 50.0,
        "micro_tokens": 1000,
        "passes": 2.0,
    }
    return SimpleNamespace(**{**values, **changes})


def test_tokens_of_a_sample():
    assert {name: scaling.n_tokens(name) for name in scaling.SHAPES} == TOKENS
    assert scaling.per_token(COUNTS["base"]["flop"]) == 1e9


def test_days_are_flop_over_speed():
    table = scaling.time_table(COUNTS, options()).set_index("GPUs")
    n_samples, corpus = sum(scaling.CORPUS.values()), scaling.CORPUS
    tokens = sum(n * TOKENS[name] for name, n in corpus.items())
    for n_gpus in scaling.GPUS:
        seconds = tokens * 1e9 / (1000e12 * 0.5 * n_gpus)
        assert float(table.loc[n_gpus, "days"]) == pytest.approx(2 * seconds / 86400, abs=0.006)
        found = float(table.loc[n_gpus, "samples/s"].replace(",", ""))
        assert found == pytest.approx(n_samples / seconds, abs=1)


def test_a_measured_speed_is_a_share_of_the_peak():
    """As many samples per second as half of the peak computes are half of the peak."""
    flop = scaling.corpus_flop(COUNTS["base"])
    rate = 0.5 * 1000e12 / (flop / sum(scaling.CORPUS.values()))
    [(share, words)] = scaling.shares("base", COUNTS["base"], options(measured={"base": rate}))
    assert share == pytest.approx(50.0) and words == "50 %, measured"
    assert scaling.shares("base", COUNTS["base"], options()) == [(50.0, "50 %")]


def test_memory_of_a_gpu():
    table = scaling.memory_table(COUNTS, options()).set_index("GPUs")
    # 16 bytes for each of 100 million parameters, 0.2 GB of copies, 1000 tokens of 1 MB.
    assert table.loc[8, "activations"] == "1.0 GB" and table.loc[8, "DDP, all"] == "2.8 GB"
    # An eighth of the states, two blocks in half precision, activations.
    assert table.loc[8, "FSDP, all"] == f"{0.2 + 0.04 + 1.0:.1f} GB"
    assert table.loc[8, "computing"] == "2 ms"  # 1e12 FLOP at 500 TFLOP/s
    assert table.loc[8, "sending"] == f"{1e3 * 7 / 8 * 0.8 / 400:.0f} ms"
    assert table.loc[64, "sending"] == f"{1e3 * 63 / 64 * 0.8 / 50:.0f} ms"


def test_evenly_used_experts_are_the_loop():
    rng = torch.Generator().manual_seed(0)
    experts = Experts(3, 8, 16)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, generator=rng)
    x = torch.randn(10, 8, generator=rng)
    expected = Experts.looped(experts, x, torch.tensor([3, 3, 4]))
    assert torch.equal(scaling.even_experts(experts, x, None), expected)


def test_fake_batches_have_the_shapes_of_real_ones():
    from torch._subclasses.fake_tensor import FakeTensorMode

    from brainof_toolbox.pretraining import PretrainingConfig

    grid, masks = scaling.make_batch("fmri", 2, PretrainingConfig())
    assert grid.data.shape[:2] == (2, 246) and torch.isfinite(grid.data).all()
    fake = scaling.to_fake(grid, FakeTensorMode())
    assert fake.data.shape == grid.data.shape and type(fake.data) is not torch.Tensor
