"""ARNESS: laws of the sampler, and latents that look at different places from the start."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.models.resampler import latent_points


def _source(model, tokens):
    return model.place(tokens), model.content(tokens)


def test_cross_attention_equals_the_loop(small_model, tokens_of):
    model = small_model().double()
    tokens = tokens_of(n_samples=1)
    tokens.is_padding[0, 3:6] = True
    attention = model.encoder.blocks[0].attention
    place, content = _source(model, tokens)
    x = model.latents[None]
    query, key, value = attention.project(x, place, content)
    heads = [
        naive.cross_attention(query[0, h], key[0, h], value[0, h], tokens.is_padding[0])
        for h in range(attention.n_heads)
    ]
    slow = torch.cat(heads, -1) @ attention.out.weight.T
    fast = attention(x, place, content, tokens.is_padding)[0]
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0)
    maps = attention.weights(x, place, content, tokens.is_padding)
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]))
    assert not maps[..., 3:6].any()


def test_keys_see_where_and_when_undiluted(small_model, tokens_of):
    """A thousandfold amplitude moves the attention of a fresh network only a little."""
    model = small_model()
    tokens, loud = tokens_of(n_samples=1), tokens_of(n_samples=1)
    loud.values = loud.values * 1000
    maps = [
        model.encoder.blocks[0].attention.weights(model.latents[None], *_source(model, batch))
        for batch in (tokens, loud)
    ]
    assert (maps[0] - maps[1]).abs().sum(-1).mean() < 0.3  # 2 is the most there is


def test_attention_kernel_has_the_reach_asked_for():
    """The log kernel in space is that of a bell of the reach, at short distances."""
    config = BrainOFConfig(attention_range_init=((0.03, None), (None, 0.2)), key_content_init=0.0)
    model = BrainOF(config)
    attention = model.encoder.blocks[0].attention
    step = torch.tensor([[0.0, 0, 0], [0.03, 0, 0], [0, 0, 0]])
    time = torch.tensor([0.5, 0.5, 0.7])
    columns = model.place.place.weight[:, : model.place.features(step, time).shape[1]]
    place = (model.place.features(step, time) @ columns.T * model.place.gain)[None]
    score = attention.weights(place[:, :1], place, torch.zeros_like(place)).log()[0, :, 0].detach()
    fall = score[:, :1] - score[:, 1:]  # (H, in space and in time)
    expected = torch.tensor([0.03 / 0.03, 0.2 / 0.2]).square() / 2
    # Features of a latent have no duration, so that their norm stretches the kernel a little.
    assert fall[0, 0].item() == pytest.approx(expected[0].item(), rel=0.35)
    assert fall[1, 1].item() == pytest.approx(expected[1].item(), rel=0.35)
    assert abs(fall[0, 1]) < 0.25 * fall[0, 0]
    assert abs(fall[1, 0]) < 0.25 * fall[1, 1]


def _effective_number(maps):
    """Return the exponential of the entropy: how many tokens a latent looks at."""
    return torch.exp(-torch.xlogy(maps, maps).sum(-1))


def test_located_latents_look_at_different_places(tokens_of):
    tokens = tokens_of(n_samples=1, n_channels=32, n_times=256, patch_size=64)
    tokens.time, tokens.duration = tokens.time / 4, tokens.duration / 4  # 1 s at 256 Hz
    number, alike = {}, {}
    for init in ("located", "random"):
        model = BrainOF(BrainOFConfig(latent_init=init))
        attention = model.encoder.blocks[0].attention
        maps = attention.weights(model.latents[None], *_source(model, tokens))[0]  # (H, M, S)
        number[init] = _effective_number(maps).mean().item()
        flat = torch.nn.functional.normalize(maps, dim=-1)
        alike[init] = (flat @ flat.transpose(-1, -2)).mean().item()
    assert number["random"] > 90  # of 128
    assert number["located"] < 40
    assert alike["random"] > 0.6
    assert alike["located"] < 0.3


def _alpha_left_or_right(n_samples, rng):
    """Simulate 1 s epochs with a 10 Hz rhythm of any phase over one side of the head."""
    index = np.arange(24) + 0.5
    height, angle = 1 - 1.2 * index / 24, 2.39996 * index
    ring = np.sqrt(1 - height**2)
    position = 0.095 * np.c_[ring * np.cos(angle), ring * np.sin(angle), height]
    apart = ((position[:, None] - position) ** 2).sum(-1)
    data = np.cumsum(rng.normal(size=(n_samples, 24, 256)), axis=-1)
    data = np.exp(-apart / (2 * 0.03**2)) @ (data - data.mean(-1, keepdims=True))
    data /= data.std()
    y = rng.integers(0, 2, n_samples)
    phase = rng.uniform(0, 2 * np.pi, (n_samples, 1))
    rhythm = np.sin(2 * np.pi * 10 * np.arange(256) / 256 + phase)
    for i, side in enumerate(2 * y - 1):
        source = np.array([0.06 * side, -0.06, 0.04])
        field = np.exp(-((position - source) ** 2).sum(-1) / (2 * 0.03**2))
        data[i] += 0.7 * np.outer(field, rhythm[i])
    return data, y, position


@pytest.mark.slow
def test_untrained_located_latents_tell_left_from_right():
    """A linear readout of few trials: random latents lose where the rhythm is."""
    score = {"located": [], "random": []}
    for seed in range(3):
        data, y, position = _alpha_left_or_right(160, np.random.default_rng(seed))
        tokens = make_tokens(data, 256.0, position, 0 * position, ["eeg"] * 24, "eeg")
        for init in score:
            # A rhythm of any phase is in the spectrum alone, which gets its full weight here.
            config = BrainOFConfig(latent_init=init, n_layers=1, spectrum_gain=2.0)
            model = BrainOF(config, seed).eval()
            with torch.no_grad():
                rows = [model(tokens[slice(k, k + 40)]).flatten(1) for k in range(0, 160, 40)]
            rows = torch.cat(rows).numpy()
            readout = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
            score[init].append(readout.fit(rows[:80], y[:80]).score(rows[80:], y[80:]))
    assert np.mean(score["located"]) > 0.75
    assert np.mean(score["located"]) > np.mean(score["random"]) + 0.05


def test_points_cover_the_head_and_the_window():
    position, time = latent_points(128, 10.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(position.norm(dim=1), torch.full((128,), 0.095))
    assert time.min() >= 0
    assert time.max() <= 10
    assert 32 <= (time < 1).sum() <= 64  # an epoch is resolved
    assert (time > 5).sum() >= 16  # and so is a window
    for axis in range(3):
        assert position[:, axis].max() > 0.08
    assert position[:, :2].min() < -0.08
    distance = torch.cdist(position, position) + torch.eye(128)
    assert distance.amin(1).max() < 0.04


def test_points_depend_on_the_seed():
    points = [latent_points(16, 10.0, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1)]
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


def test_rows_without_tokens_pass_unchanged_without_nan(small_model, tokens_of):
    model = small_model()
    tokens = tokens_of(n_samples=3)
    tokens.is_padding[1] = True
    place, content = _source(model, tokens)
    place, content = place.detach().requires_grad_(), content.detach().requires_grad_()
    latents = model.latents.detach().expand(3, -1, -1).clone().requires_grad_()
    out = model.encoder(latents, place, content, tokens.is_padding)
    assert torch.equal(out[1], latents[1])
    assert not torch.equal(out[0], latents[0])
    out.square().sum().backward()
    for tensor in (latents, place, content, *model.encoder.parameters()):
        assert torch.isfinite(tensor.grad).all()
    assert not content.grad[1].any()
    torch.testing.assert_close(latents.grad[1], 2 * latents[1].detach())


@pytest.mark.parametrize("garbage", [0.0, 1e6])
def test_padding_changes_nothing(small_model, tokens_of, garbage):
    """Whatever stands in padded tokens."""
    model, tokens = small_model(), tokens_of()
    padded = tokens.pad(40)
    padded.values[:, 20:] += garbage
    padded.position[:, 20:] += garbage
    padded.log_scale[:, 20:] += garbage
    with torch.no_grad():
        torch.testing.assert_close(model(padded), model(tokens), atol=1e-5, rtol=0)
