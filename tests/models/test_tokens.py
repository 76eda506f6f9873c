"""Tokens and their embedding."""

from __future__ import annotations

import dataclasses

import naive
import numpy as np
import pytest
import torch

from brainof_toolbox.models import TokenBatch, make_tokens
from brainof_toolbox.models.embedding import ContentEmbedding, PlaceEmbedding


def _arguments(n_samples=2, n_channels=3, n_times=40):
    rng = np.random.default_rng(0)
    return {
        "data": rng.normal(size=(n_samples, n_channels, n_times)).astype(np.float32),
        "sfreq": 64.0,
        "ch_pos": rng.normal(size=(n_channels, 3)) * 0.05,
        "ch_ori": np.zeros((n_channels, 3)),
        "ch_types": ["eeg"] * n_channels,
        "modality": "eeg",
        "patch_size": 16,
    }


def test_sequence_is_channels_by_patches():
    arguments = _arguments()
    tokens = make_tokens(**arguments)
    assert tokens.values.shape == (2, 9, 16)
    assert len(tokens) == 2
    data = arguments["data"]
    for channel in range(3):
        for patch in range(3):
            token = channel * 3 + patch
            piece = data[:, channel, patch * 16 : (patch + 1) * 16]
            np.testing.assert_array_equal(tokens.values[:, token, : piece.shape[1]], piece)
            assert not tokens.values[:, token, piece.shape[1] :].any()
            assert tokens.duration[0, token] == piece.shape[1] / 64
            assert tokens.time[0, token] == (patch * 16 + piece.shape[1] / 2) / 64
            np.testing.assert_allclose(
                tokens.position[0, token], arguments["ch_pos"][channel], rtol=1e-6
            )
    assert not tokens.is_padding.any()


def test_input_is_not_changed_and_may_be_read_only(recwarn):
    arguments = _arguments(n_times=32)
    before = arguments["data"].copy()
    arguments["data"].flags.writeable = False
    make_tokens(**arguments)
    np.testing.assert_array_equal(arguments["data"], before)
    assert not recwarn.list


def test_types_and_modalities_are_numbered():
    arguments = _arguments()
    arguments.update(ch_types=["mag", "grad", "mag"], modality="meg")
    tokens = make_tokens(**arguments)
    assert tokens.sensor_type[0].tolist() == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert tokens.modality.tolist() == [1]
    assert tokens.values.dtype == tokens.time.dtype == torch.float32


def test_log_scale_goes_to_every_patch_of_its_channel():
    scale = np.array([[1.0, 2, 3], [4, 5, 6]])
    tokens = make_tokens(**_arguments(), log_scale=scale)
    np.testing.assert_array_equal(tokens.log_scale.numpy(), np.repeat(scale, 3, axis=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((2, 3))}, "n_samples, n_channels, n_times"),
        ({"data": np.zeros((2, 3, 0))}, "none empty"),
        ({"data": np.full((2, 3, 40), np.nan)}, "NaN or Inf"),
        ({"ch_pos": np.zeros((2, 3))}, r"ch_pos must have shape \(3, 3\)"),
        ({"ch_pos": np.full((3, 3), np.nan)}, "ch_pos holds NaN"),
        ({"ch_ori": np.zeros((3, 2))}, "ch_ori"),
        ({"ch_types": ["eeg"]}, "ch_types has 1 entries for 3"),
        ({"ch_types": ["eeg", "eog", "eeg"]}, "ch_types.*got 'eog'"),
        ({"modality": "ecog"}, "modality"),
        ({"sfreq": 0.0}, "sfreq"),
        ({"patch_size": 1}, "patch_size"),
        ({"log_scale": np.zeros(3)}, "log_scale"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_tokens(**{**_arguments(), **change})


def test_token_batch_refuses_parts_that_do_not_fit():
    fields = vars(make_tokens(**_arguments()))
    with pytest.raises(ValueError, match="time must have shape"):
        TokenBatch(**{**fields, "time": torch.zeros(2, 4)})
    with pytest.raises(ValueError, match="values must be"):
        TokenBatch(**{**fields, "values": torch.zeros(2, 4)})


@pytest.mark.parametrize("rows", [1, [1, 0], np.array([1, 0]), slice(1, None), torch.tensor([1])])
def test_indexing_keeps_a_batch(rows):
    tokens = make_tokens(**_arguments())
    some = tokens[rows]
    np.testing.assert_array_equal(some.values[0], tokens.values[1])
    assert len(some) == len(some.log_scale) and some.is_shared
    apart = tokens.unshare()[rows]
    assert len(apart) == len(apart.modality) == len(apart.time) == len(some)


def test_boolean_indexing():
    tokens = make_tokens(**_arguments())
    some = tokens[np.array([False, True])]
    assert len(some) == 1
    np.testing.assert_array_equal(some.values[0], tokens.values[1])


def test_collate_pads_any_mix():
    short, long = make_tokens(**_arguments()), make_tokens(**_arguments(1, 7, 50))
    both = TokenBatch.collate([short, long])
    assert both.values.shape == (3, 28, 16)
    assert both.is_padding.sum(1).tolist() == [19, 19, 0]
    np.testing.assert_array_equal(both.values[2], long.values[0])
    np.testing.assert_array_equal(both.time[:2, :9], short.unshare().time)
    assert both.is_masked is None
    with pytest.raises(ValueError, match="no token batches"):
        TokenBatch.collate([])
    with pytest.raises(ValueError, match="one patch size"):
        TokenBatch.collate([short, make_tokens(**{**_arguments(), "patch_size": 8})])
    with pytest.raises(ValueError, match="Cannot pad 28 tokens to 9"):
        both.pad(9)


def test_collate_keeps_masks():
    plain, masked = make_tokens(**_arguments()), make_tokens(**_arguments())
    masked.is_masked = torch.ones(2, 9, dtype=torch.bool)
    both = TokenBatch.collate([plain, masked])
    assert both.is_masked.sum(1).tolist() == [0, 0, 9, 9]


def test_spectrum_equals_the_fourier_sum(small_config):
    content = ContentEmbedding(small_config(spectrum_floor=0.01)).double()
    patches = torch.randn(4, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    patches[3] = 0
    fast = content.log_spectrum(patches)
    slow = torch.stack([naive.log_spectrum(patch, 0.01) for patch in patches])
    torch.testing.assert_close(fast, slow, atol=1e-6, rtol=0)  # the basis is float32
    time = torch.arange(16, dtype=torch.float64) / 16
    tone = content.log_spectrum(torch.sin(2 * torch.pi * 3 * time))
    assert tone.argmax() == 3
    assert tone[3].abs() < 1e-3  # amplitude 1


def test_content_saturates_but_keeps_amplitude_below(small_model, tokens_of):
    content = small_model(spectrum=False).content
    tokens = tokens_of()
    norms = []
    for amplitude in (1.0, 2.0, 1e6):
        tokens_of_amplitude = tokens_of()
        tokens_of_amplitude.values = tokens.values * amplitude
        norms.append(content(tokens_of_amplitude).square().mean(-1).sqrt())
    assert (norms[1] / norms[0]).mean() > 1.5
    assert norms[2].max() < 4.001


def test_masked_content_is_hidden(small_model, tokens_of):
    content = small_model().content
    tokens, other = tokens_of(seed=0), tokens_of(seed=1)
    for batch in (tokens, other):
        batch.is_masked = torch.zeros_like(batch.is_padding)
        batch.is_masked[:, :7] = True
    other.log_scale += 1
    difference = (content(tokens) - content(other)).abs().amax(-1)
    assert (difference[:, :7] == 0).all()
    assert (difference[:, 7:] > 1e-3).all()


@pytest.mark.parametrize(
    "field", ["position", "orientation", "time", "duration", "sensor_type", "modality"]
)
def test_every_where_and_when_is_seen(small_model, tokens_of, field):
    place = small_model().place
    tokens, other = tokens_of(), tokens_of()
    step = 1 if getattr(tokens, field).dtype == torch.int64 else 0.05
    setattr(other, field, getattr(tokens, field) + step)
    assert (place(tokens) - place(other)).abs().amax(-1).min() > 1e-3


def test_log_scale_is_seen(small_model, tokens_of):
    content = small_model().content
    one, other = tokens_of(), tokens_of(log_scale=np.full((3, 5), 0.5))
    assert (content(one) - content(other)).abs().amax(-1).min() > 1e-3


def _copies(tokens):
    yield tokens
    yield tokens.to("cpu", dtype=torch.float64).to(dtype=torch.float32)
    yield tokens.to("meta").to("meta")
    yield tokens[[2, 0, 1]].pad(40)


def test_place_of_one_montage_is_computed_once(small_model, tokens_of):
    """However the batch was copied; a batch with a layout per sample gives the same rows."""
    tokens, seen = tokens_of(n_samples=3), []
    for copy in _copies(tokens):
        assert copy.is_shared and len(copy) == 3
        place = small_model().place.to(copy.position.device)
        place.place.register_forward_hook(lambda m, args, out: seen.append(len(args[0])))
        place(copy)
    assert seen == [1, 1, 1, 1]
    model = small_model()
    copied = TokenBatch.collate([tokens[i] for i in range(3)])
    assert not copied.is_shared and len(copied.position) == 3
    place = model.place(tokens)
    torch.testing.assert_close(place.expand(3, -1, -1), model.place(copied), rtol=0, atol=1e-6)
    with torch.no_grad():
        latents, others = model(tokens), model(copied)
        torch.testing.assert_close(latents, others, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            model.decode(latents, tokens), model.decode(others, copied), rtol=0, atol=1e-5
        )
    moved = dataclasses.replace(copied, time=copied.time + torch.arange(3.0)[:, None])
    assert not torch.allclose(model.place(moved)[1], place[0], atol=1e-3)


def test_copies_keep_their_types(tokens_of):
    tokens = tokens_of().to(dtype=torch.float64)
    assert tokens.values.dtype == tokens.position.dtype == tokens.log_scale.dtype == torch.float64
    assert tokens.sensor_type.dtype == tokens.modality.dtype == torch.int64
    assert tokens.is_padding.dtype == torch.bool and tokens.is_masked is None


def test_place_is_ignored_without_position_encoding(small_config, tokens_of):
    place = PlaceEmbedding(small_config(position_encoding="none", latent_init="random"))
    for parameter in place.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    one, other = tokens_of(), tokens_of()
    other.position, other.time = other.position + 0.1, other.time + 1
    assert torch.equal(place(one), place(other))
