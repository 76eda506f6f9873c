"""Batches of samples: nothing is lost, and padding is nothing."""

from __future__ import annotations

import dataclasses

import grids
import numpy as np
import pytest
import torch

from brainof_toolbox.models import make_tokens
from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.pretraining.batch import GridBatch, from_patches, to_tokens

PER_CHANNEL = ("position", "orientation", "sensor_type", "log_scale")


@pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)
def test_samples_are_kept_and_padded_with_zeros(modality):
    sizes = ((3, 50), (6, 20), (4, 70))
    samples = [grids.make_sample(*size, modality, seed) for seed, size in enumerate(sizes)]
    grid = GridBatch.collate(samples)
    assert grid.data.shape == (3, 6, 70) and len(grid) == 3
    assert grid.data.dtype == torch.float32 and grid.sensor_type.dtype == torch.int64
    assert (grid.modality, grid.datasets) == (modality, ("ds0", "ds1", "ds2"))
    assert grid.index.tolist() == [0, 1, 2]
    assert list(zip(grid.n_channels.tolist(), grid.n_times.tolist())) == list(sizes)
    assert (grid.sfreq == grids.RATES[modality]).all()
    for row, (sample, (n_channels, n_times)) in enumerate(zip(samples, sizes)):
        assert np.array_equal(grid.data[row, :n_channels, :n_times], sample.data)
        assert not grid.data[row, n_channels:].any() and not grid.data[row, :, n_times:].any()
        assert grid.is_channel()[row].tolist() == [c < n_channels for c in range(6)]
        assert grid.is_time()[row].tolist() == [t < n_times for t in range(70)]
        for name in PER_CHANNEL:
            values = getattr(grid, name)[row]
            assert np.array_equal(values[:n_channels], getattr(sample, name)), name
            assert not values[n_channels:].any(), name


@pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)
def test_tokens_are_those_of_each_sample_alone(modality):
    """As ``make_tokens`` cuts them, bit by bit; everything else is padding."""
    sizes = ((3, 50), (6, 20), (4, 64))
    samples = [grids.make_sample(*size, modality, seed) for seed, size in enumerate(sizes)]
    grid = GridBatch.collate(samples)
    tokens = to_tokens(grid, patch_size=16)
    assert tokens.values.shape == (3, 6 * 4, 16)
    for row, sample in enumerate(samples):
        alone = make_tokens(
            sample.data[None],
            sample.sfreq,
            sample.position,
            sample.orientation,
            [SENSOR_TYPES[kind] for kind in sample.sensor_type],
            MODALITY_CODES[modality],
            patch_size=16,
            log_scale=sample.log_scale[None],
        )
        is_token = grid.is_token(16)[row].flatten()
        assert torch.equal(is_token, ~tokens.is_padding[row])
        for field in dataclasses.fields(alone):
            wanted = getattr(alone, field.name)
            if field.name == "modality":
                assert tokens.modality[row] == wanted[0]
            elif wanted is not None:
                assert torch.equal(getattr(tokens, field.name)[row][is_token], wanted[0])


def test_patches_go_back_where_they_were():
    grid = grids.make_grid(0, ((3, 50), (6, 20)))
    assert torch.equal(from_patches(to_tokens(grid, patch_size=16).values, grid), grid.data)


def test_other_data_take_the_place_and_padding_stays_zero():
    grid = grids.make_grid(0, ((3, 50), (6, 20)))
    tokens = to_tokens(grid, torch.ones_like(grid.data), patch_size=16)
    is_point = grid.is_channel()[:, :, None] & grid.is_time()[:, None]
    assert torch.equal(from_patches(tokens.values, grid), is_point.float())
    # The last patch of 50 points holds 2 of them, and its last 14 are zero.
    assert tokens.values[0, 3].tolist() == [1.0] * 2 + [0.0] * 14


def test_batch_moves_as_a_whole():
    grid = grids.make_grid()
    moved = grid.to("meta")
    for field in dataclasses.fields(GridBatch):
        value, there = getattr(grid, field.name), getattr(moved, field.name)
        assert there.is_meta if isinstance(value, torch.Tensor) else there == value, field.name


def test_what_makes_no_batch_is_refused():
    with pytest.raises(ValueError, match="no samples"):
        GridBatch.collate([])
    with pytest.raises(ValueError, match=r"one modality, got \['eeg', 'fmri'\]"):
        GridBatch.collate([grids.make_sample(3, 50), grids.make_sample(3, 50, modality=2)])
