"""The third term of the loss: the strength of rhythms, asked for channel by channel."""

from __future__ import annotations

import copy
import dataclasses

import grids
import naive
import numpy as np
import pytest
import torch

from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.pretraining import pretrain
from brainof_toolbox.pretraining.batch import GridBatch, to_tokens
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import corrupt, draw_masks
from brainof_toolbox.pretraining.objective import Objective, channel_means, channel_queries

PATCH = 16
EACH = pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)
SHAPE = {"n_layers": 1, "width": 32, "n_heads": 2, "n_latents": 8, "patch_size": PATCH}


def _objective(weight=1.0, **options):
    model = BrainOF(BrainOFConfig(**SHAPE, predicts_spectrum=True))
    return Objective(model, PretrainingConfig(spectrum_weight=weight, **options))


def _masks(objective, grid):
    return draw_masks(grid, objective.config, torch.Generator().manual_seed(0), PATCH)


def _naive_spectra(data, floor):
    """Mean over the patches of each channel (C, T), a patch counting by its time points."""
    out = []
    for channel in data.astype(np.float64):
        total = 0.0
        for start in range(0, len(channel), PATCH):
            patch = np.zeros(PATCH)
            piece = channel[start : start + PATCH]
            patch[: len(piece)] = piece
            total = total + len(piece) * naive.log_spectrum(torch.from_numpy(patch), floor)
        out.append(total / len(channel))
    return torch.stack(out)


@EACH
def test_it_equals_the_naive_one(modality):
    """Sample by sample, in float64: targets by Fourier sums, one query per channel."""
    samples = [grids.make_sample(*s, modality, i) for i, s in enumerate(grids.SIZES[modality])]
    grid, objective = GridBatch.collate(samples), _objective()
    masks = _masks(objective, grid)
    terms = objective(grid, masks)
    double = copy.deepcopy(objective.model).double()
    tokens = to_tokens(grid, corrupt(grid, masks), patch_size=PATCH)
    latents = double(objective._hide(tokens, masks))
    losses = []
    for row, sample in enumerate(samples):
        wanted = _naive_spectra(sample.data, double.config.spectrum_floor)
        queries = make_tokens(
            np.zeros((1, len(sample.data), PATCH)),
            PATCH * sample.sfreq / sample.data.shape[1],  # one patch as long as the sample
            sample.position,
            sample.orientation,
            [SENSOR_TYPES[kind] for kind in sample.sensor_type],
            MODALITY_CODES[modality],
            patch_size=PATCH,
        )
        found = double.decode_spectrum(latents[row : row + 1], queries)[0]
        error = (found - wanted).abs()
        losses.append(torch.where(error < 1, error.square() / 2, error - 0.5).mean().item())
    assert terms["spectrum"].item() == pytest.approx(np.mean(losses), abs=1e-4)


def test_terms_add_up_and_all_learn():
    objective, grid = _objective(0.7, frequency_weight=0.3, balance_weight=0.5), grids.make_grid()
    terms = objective(grid, _masks(objective, grid))
    wanted = 0.7 * terms["time"] + 0.3 * terms["frequency"]
    wanted = wanted + 0.7 * terms["spectrum"] + 0.5 * terms["balance"]
    torch.testing.assert_close(terms["loss"].detach(), wanted)
    terms["loss"].backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
    assert objective.model.spectrum.weight.grad.any() and objective.model.latents.grad.any()


@EACH
def test_padding_enters_nothing(modality):
    """Garbage in the padding changes neither what is asked for nor what is wanted."""
    objective, grid = _objective(), grids.make_grid(modality)
    is_point = grid.is_channel()[:, :, None] & grid.is_time()[:, None]
    dirty = dataclasses.replace(grid, data=torch.where(is_point, grid.data, 7.0))
    masks = _masks(objective, grid)
    clean, other = (objective(batch, masks)["spectrum"] for batch in (grid, dirty))
    torch.testing.assert_close(clean, other, atol=1e-6, rtol=1e-5)


@EACH
def test_means_and_queries_are_those_of_channels(modality):
    grid = grids.make_grid(modality)
    tokens = to_tokens(grid, patch_size=PATCH)
    ones = torch.ones(*tokens.is_padding.shape, 3)
    means = channel_means(ones, tokens, grid, PATCH)
    assert torch.equal(means, grid.is_channel()[..., None].expand_as(means).float())
    queries = channel_queries(tokens, grid)
    assert torch.equal(queries.is_padding, ~grid.is_channel())
    torch.testing.assert_close(queries.position, grid.position)
    torch.testing.assert_close(queries.duration[:, 0], grid.n_times / grid.sfreq)
    torch.testing.assert_close(queries.time, queries.duration / 2)


def test_it_learns_how_strong_a_rhythm_is():
    """Amplitudes differ between samples: after some steps the answers tell them apart."""
    rng, time = np.random.default_rng(0), np.arange(128) / 64.0
    samples, strong = [], np.arange(8) % 2
    for seed, is_strong in enumerate(strong):
        wave = np.sin(2 * np.pi * 12 * time + rng.uniform(0, 2 * np.pi, (4, 1)))
        data = (0.2 + 2 * is_strong) * wave + 0.2 * rng.normal(size=(4, 128))
        samples.append(grids.make_sample(4, 128, 0, seed, data))
    grid, objective = GridBatch.collate(samples), _objective()
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-3)
    losses = []
    for step in range(50):
        masks = draw_masks(grid, objective.config, torch.Generator().manual_seed(step), PATCH)
        terms = objective(grid, masks)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["spectrum"].item())
    tokens = to_tokens(grid, patch_size=PATCH)
    with torch.no_grad():
        queries = channel_queries(tokens, grid)
        found = objective.model.decode_spectrum(objective.model(tokens), queries)
    at_12_hz = found[..., 3].mean(1)  # a bin is 4 Hz
    assert losses[-1] < 0.3 * losses[0]
    assert at_12_hz[strong == 1].min() > at_12_hz[strong == 0].max() + 0.5


@pytest.mark.parametrize("answers, weight", [(True, 0.0), (False, 0.5)])
def test_half_a_wish_is_refused(answers, weight):
    model = BrainOF(BrainOFConfig(**SHAPE, predicts_spectrum=answers))
    with pytest.raises(ValueError, match="give both, or neither"):
        Objective(model, PretrainingConfig(spectrum_weight=weight))


def test_what_was_not_learned_is_not_answered():
    model = BrainOF(BrainOFConfig(**SHAPE))
    tokens = to_tokens(grids.make_grid(), patch_size=PATCH)
    with pytest.raises(ValueError, match="predicts_spectrum"):
        model.decode_spectrum(model(tokens), tokens)
    with pytest.raises(ValueError, match="needs spectrum=True"):
        BrainOFConfig(**SHAPE, predicts_spectrum=True, spectrum=False)


def test_a_run_trains_the_decoder_first(small_corpus, tmp_path):
    """After the decoder's steps alone, the encoder is what it was; later it is not."""
    from brainof_toolbox.models import load_checkpoint

    training = {"spectrum_weight": 1.0, "encoder_frozen_steps": 2, "warmup_steps": 0}
    shape = {**SHAPE, "patch_size": 64, "predicts_spectrum": True}
    start = BrainOF(BrainOFConfig(**shape), 0).state_dict()
    ours = ("decoder.", "patch.", "spectrum.", "usual_spectrum.")
    for n_steps in (2, 3):
        path = pretrain(
            small_corpus,
            tmp_path / str(n_steps),
            config=shape,
            total_steps=3,
            stop_after=n_steps,
            training=training,
            verbose=False,
        )
        state = load_checkpoint(path).model.state_dict()
        kept = {name for name in start if torch.equal(start[name], state[name])}
        encoder = {name for name in start if not name.startswith(ours) and "mask" not in name}
        assert (encoder <= kept) == (n_steps == 2)
        assert not {"patch.weight", "spectrum.weight", "usual_spectrum.weight"} & kept
