"""The whole network: its laws, its cost, its seeds, its names."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brainof_toolbox.models import (
    BrainOF,
    BrainOFConfig,
    TokenBatch,
    make_tokens,
)
from brainof_toolbox.models.moe import RoutingRecord

STATE_DICT = Path(__file__).with_name("state_dict_tiny.txt")
TOLERANCE = {"atol": 1e-5, "rtol": 0}
ABLATIONS = [
    {},
    {"attention": "plain"},
    {"experts": "dense"},
    {"spectrum": False},
    {"position_encoding": "none", "latent_init": "random"},
    {"latent_init": "random"},
    {"top_k": 2},
]


def _ids(options):
    return "-".join(map(str, options.values())) or "default"


@torch.no_grad()
def _embed(model, tokens):
    return model(tokens)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=_ids)
def test_every_ablation_runs_both_ways_and_differs(small_model, tokens_of, ablation):
    model, tokens = small_model(**ablation).train(), tokens_of()
    tokens.is_masked = torch.zeros_like(tokens.is_padding)
    tokens.is_masked[:, 0] = True
    tokens.log_scale = tokens.log_scale + 1
    routing, other = RoutingRecord(), RoutingRecord()
    latents = model(tokens, routing)
    values = model.decode(latents, tokens, other)
    balance = routing.balance()
    assert latents.shape == (3, 16, 32)
    assert values.shape == tokens.values.shape
    ((values - tokens.values).square().mean() + 0.01 * (balance + other.balance())).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("place.place") and ablation.get("position_encoding") == "none":
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if "experts.experts" not in name:
            assert parameter.grad.abs().sum() > 0, name
    if ablation:
        assert not torch.allclose(latents, _embed(small_model(), tokens), atol=1e-3)
    expected = 0 if ablation.get("experts") == "dense" else 1
    assert balance.item() >= 0.999 * expected


def test_batch_size_changes_nothing(tokens_of):
    """The tiny preset, alone, in 12, and in another order."""
    model = BrainOF().eval()
    tokens = tokens_of(12, 6, 256, patch_size=64)
    together = _embed(model, tokens)
    alone = torch.cat([_embed(model, tokens[i]) for i in range(12)])
    torch.testing.assert_close(alone, together, **TOLERANCE)
    order = np.random.default_rng(0).permutation(12)
    torch.testing.assert_close(_embed(model, tokens[order]), together[order], **TOLERANCE)


def test_channel_order_changes_nothing(small_model):
    """Channel order permuted: <= 1e-5."""
    rng = np.random.default_rng(0)
    data, position = rng.normal(size=(2, 7, 50)), rng.normal(size=(7, 3)) * 0.05
    types = ["mag", "grad", "grad", "mag", "grad", "grad", "mag"]
    order = rng.permutation(7)
    rows = []
    for o in (np.arange(7), order):
        picked = [types[i] for i in o]
        tokens = make_tokens(
            data[:, o], 64.0, position[o], position[o], picked, "meg", patch_size=16
        )
        rows.append(_embed(small_model(), tokens))
    torch.testing.assert_close(*rows, **TOLERANCE)
    # And the law is not empty: positions that do not move along change the rows.
    tokens = make_tokens(data[:, order], 64.0, position, position, types, "meg", patch_size=16)
    assert (_embed(small_model(), tokens) - rows[0]).abs().max() > 1e-3


def test_batch_neighbours_change_nothing(small_model, tokens_of):
    """Neighbours with other montages, amplitudes, modalities."""
    model, tokens = small_model(), tokens_of()
    loud = tokens_of(4, 9, 90, "meg", seed=1)
    loud.values *= 100
    together = _embed(model, TokenBatch.collate([loud, tokens]))
    torch.testing.assert_close(together[4:], _embed(model, tokens), **TOLERANCE)
    torch.testing.assert_close(together[:4], _embed(model, loud), **TOLERANCE)


def test_missing_modality_changes_nothing(small_model, tokens_of):
    model, eeg, fmri = small_model(), tokens_of(), tokens_of(modality="fmri", seed=1)
    fmri.is_padding[1] = True
    both = _embed(model, [fmri, eeg])
    torch.testing.assert_close(both[1], _embed(model, eeg)[1], **TOLERANCE)
    assert (both[0] - _embed(model, eeg)[0]).abs().max() > 1e-3
    present = _embed(model, [fmri[[0, 2]], eeg[[0, 2]]])
    torch.testing.assert_close(both[[0, 2]], present, **TOLERANCE)


def test_fusion_is_serial(small_model, tokens_of):
    """Each modality matters, and so does the order that the caller gives."""
    model, eeg, meg = small_model(), tokens_of(), tokens_of(modality="meg", seed=1)
    one, other = _embed(model, [eeg, meg]), _embed(model, [meg, eeg])
    assert (one - other).abs().max() > 1e-4
    torch.testing.assert_close(_embed(model, [eeg]), _embed(model, eeg), atol=0, rtol=0)


def test_all_missing_is_finite(small_model, tokens_of):
    tokens = tokens_of()
    tokens.is_padding[:] = True
    assert torch.isfinite(_embed(small_model(), tokens)).all()


def test_balance_does_not_mix_modalities(small_model, tokens_of):
    """The loss of a mixed batch is the mean of the losses of its modalities."""
    model, eeg, meg = small_model(), tokens_of(), tokens_of(modality="meg", seed=1)
    routings = RoutingRecord(), RoutingRecord(), RoutingRecord()
    with torch.no_grad():
        for tokens, routing in zip((TokenBatch.collate([eeg, meg]), eeg, meg), routings):
            model(tokens, routing)
    mixed, *apart = [routing.balance().item() for routing in routings]
    assert mixed == pytest.approx(sum(apart) / 2, rel=1e-5)


def test_decoder_reads_places_not_values(small_model, tokens_of):
    model, tokens = small_model(), tokens_of()
    latents = _embed(model, tokens)
    other = tokens_of(seed=0)
    other.values = torch.randn(other.values.shape, generator=torch.Generator().manual_seed(0))
    other.log_scale = other.log_scale + 3
    with torch.no_grad():
        values = model.decode(latents, tokens)
        assert torch.equal(values, model.decode(latents, other))
        longer = model.decode(latents, tokens.pad(30))
        torch.testing.assert_close(longer[:, :20], values, **TOLERANCE)
        other.position = other.position + 0.02
        assert (model.decode(latents, other) - values).abs().max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("reads", ["residual", "latents"])
def test_decoder_equals_naive(small_model, tokens_of, reads):
    """Written out: maps times values, where the decoder takes the change, or all there is."""
    model, tokens = small_model(decoder_input=reads), tokens_of()
    latents = _embed(model, tokens)
    asked = x = model.place(tokens)
    start = model.latents.expand(len(tokens), -1, -1)
    change = latents - start / (start.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    content = change if reads == "residual" else latents
    for block in model.decoder.blocks:
        part = block.attention
        maps = part.weights(x, start, content)  # (B, H, T, M)
        values = part.value(content if reads == "residual" else start + content)
        heads = [maps[:, h] @ v for h, v in enumerate(values.chunk(part.n_heads, -1))]
        x = x + block.attention_scale.weight * part.out(torch.cat(heads, -1))
        x = block.feed_forward(x)
    wanted = model.patch(x - asked if reads == "residual" else x)
    torch.testing.assert_close(model.decode(latents, tokens), wanted, **TOLERANCE)


@torch.no_grad()
def test_latents_that_have_not_changed_tell_nothing(small_model, tokens_of):
    """The decoder's attention adds nothing when the latents are where they started."""
    model, tokens = small_model(), tokens_of()
    start = model.norm(model.latents).expand(len(tokens), -1, -1)
    said = model.decode(start, tokens)
    model.decoder.blocks[0].attention_scale.weight.zero_()
    model.decoder.blocks[1].attention_scale.weight.zero_()
    torch.testing.assert_close(model.decode(start, tokens), said, **TOLERANCE)


def test_wrong_tokens_are_refused(small_model, tokens_of):
    model, tokens = small_model(), tokens_of()
    with pytest.raises(ValueError, match="patch_size=16"):
        model(tokens_of(patch_size=8))
    with pytest.raises(ValueError, match="no tokens"):
        model([])
    with pytest.raises(TypeError, match="TokenBatch, got Tensor"):
        model([tokens.values])
    with pytest.raises(ValueError, match=r"same samples, got \[3, 2\]"):
        model([tokens, tokens[:2]])
    with pytest.raises(ValueError, match="latents must have shape"):
        model.decode(torch.zeros(2, 16, 32), tokens)


def test_initialisation_leaves_the_global_state_alone(small_config):
    """Random states, default type and device, gradient mode, number of threads."""

    def state():
        return (
            torch.random.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
        )

    before = state()
    BrainOF(small_config(), random_state=3)
    assert state() == before


def test_default_type_does_not_reach_the_network(small_config):
    torch.set_default_dtype(torch.float64)
    try:
        model = BrainOF(small_config())
    finally:
        torch.set_default_dtype(torch.float32)
    same = BrainOF(small_config()).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, same[name]), name


def test_seed_decides_the_weights(small_model, tokens_of):
    """Same seed, same rows, bit by bit; another seed or input, other rows."""
    tokens = tokens_of()
    rows = _embed(small_model(0), tokens)
    assert torch.equal(rows, _embed(small_model(0), tokens))
    assert (rows - _embed(small_model(1), tokens)).abs().max() > 1e-2
    assert (rows - _embed(small_model(0), tokens_of(seed=5))).abs().max() > 1e-3


def test_nothing_is_left_without_a_value(small_config):
    model = BrainOF(small_config())
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter).all(), name
        assert parameter.abs().max() < 30, name


def test_network_copies_and_stays_on_meta(small_model, small_config, tokens_of):
    model, tokens = small_model(), tokens_of()
    assert torch.equal(_embed(copy.deepcopy(model), tokens), _embed(model, tokens))
    assert all(p.is_meta for p in BrainOF(small_config(), random_state=None).parameters())


def test_state_dict_keys_are_frozen():
    """Old checkpoints must load: a change here needs a new format version."""
    state = BrainOF(random_state=None).state_dict()
    lines = [f"{name} {'x'.join(map(str, t.shape))}" for name, t in state.items()]
    assert lines == STATE_DICT.read_text().splitlines()


def test_cost_of_the_backbone_does_not_grow_with_the_recording(small_model, tokens_of):
    model = small_model().requires_grad_(False)

    def cost(tokens):
        with FlopCounterMode(display=False) as whole:
            model(tokens)
        counts = whole.get_flop_counts()
        layers = [v for k, v in counts.items() if k.startswith("BrainOF.layers")]
        return sum(sum(v.values()) for v in layers), whole.get_total_flops()

    backbone, total = cost(tokens_of(1, 4, 64))
    backbone_of_more, total_of_more = cost(tokens_of(1, 40, 640))
    assert backbone > 0
    assert backbone_of_more == backbone
    # What does grow is the embedding and the cross-attention, in proportion.
    assert total < total_of_more < 100 * total


def test_same_signal_at_two_rates_gives_similar_patches(tokens_of):
    """Needs resampling; where and when alone differ little between 200 and 250 Hz."""
    model = BrainOF().eval()
    time = np.arange(1000) / 250
    wave = np.sin(2 * np.pi * 10 * time)[None, None].repeat(4, 1)
    position = np.array([[0.05, 0, 0.08], [-0.05, 0, 0.08], [0, 0.07, 0.06], [0, -0.07, 0.06]])
    rows = []
    for n_times in (1000, 960):  # a recording that is a little shorter
        arguments = (250.0, position, np.zeros((4, 3)), ["eeg"] * 4, "eeg")
        rows.append(_embed(model, make_tokens(wave[..., :n_times], *arguments)).flatten())
    assert torch.nn.functional.cosine_similarity(*rows, dim=0) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("experts", ["moe", "dense"])
def test_compiles_without_graph_breaks(tokens_of, experts):
    config = BrainOFConfig(n_layers=1, n_encoder_blocks=1, n_decoder_blocks=1, experts=experts)
    model, tokens = BrainOF(config).eval(), tokens_of(2, 6, 256, patch_size=64)
    tokens.is_padding[0, 3:] = True
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(tokens), model(tokens), atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_bfloat16_autocast_on_a_gpu(tokens_of):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model, tokens = BrainOF().eval(), tokens_of(8, 20, 1024, patch_size=64)
    expected = _embed(model, tokens)
    model, tokens = model.cuda(), tokens.to("cuda")
    torch.testing.assert_close(_embed(model, tokens).cpu(), expected, atol=1e-2, rtol=0)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        routing = RoutingRecord()
        latents = model.train()(tokens, routing)
        loss = model.decode(latents, tokens).float().square().mean() + routing.balance()
    loss.backward()
    assert (
        torch.nn.functional.cosine_similarity(
            latents.float().cpu().flatten(), expected.flatten(), dim=0
        )
        > 0.98
    )
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_bfloat16_autocast_on_cpu(small_model, tokens_of):
    """Types only: the product of half precision is slow on most CPUs."""
    model, tokens = small_model(), tokens_of(2, 3, 32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        latents = model(tokens)
    assert (
        torch.nn.functional.cosine_similarity(
            latents.float().flatten(), _embed(model, tokens).flatten(), dim=0
        )
        > 0.98
    )
