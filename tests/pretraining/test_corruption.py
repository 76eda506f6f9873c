"""What pretraining takes away: exact counts, fair draws, and transforms without padding."""

from __future__ import annotations

import dataclasses

import grids
import naive_mtfm
import numpy as np
import pytest
import torch

from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import Masks, corrupt, draw_masks, fourier_axis

PATCH = 16
EACH = pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)


def _draw(grid, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return draw_masks(grid, PretrainingConfig(**options), generator, PATCH)


def _spectrum(data, modality):
    return torch.fft.rfft(data.double(), dim=1 if modality == 2 else 2, norm="ortho")


@EACH
@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.999])
def test_counts_are_exact(modality, share):
    grid = grids.make_grid(modality)
    masks = _draw(grid, patch_mask_ratio=share, frequency_mask_ratio=share)
    for row, (n_channels, n_times) in enumerate(grids.SIZES[modality]):
        n_patches = -(-n_times // PATCH)
        n_tokens = n_channels * n_patches
        wanted = min(max(round(share * n_tokens), 1), n_tokens - 1)
        assert masks.is_hidden[row, :n_channels, :n_patches].sum() == wanted
        assert masks.is_hidden[row].sum() == wanted
        removed = masks.is_removed[row]
        if modality == 2:
            wanted = round(share * (n_channels // 2 + 1))
            assert (removed[:, :n_times].sum(0) == wanted).all()
            assert not removed[:, n_times:].any()
        else:
            wanted = round(share * (n_times // 2 + 1))
            assert (removed[:n_channels].sum(1) == wanted).all()
            assert not removed[n_channels:].any()


@EACH
def test_visible_are_the_tokens_that_are_not_hidden(modality):
    grid = grids.make_grid(modality)
    masks = _draw(grid)
    is_visible = grid.is_token(PATCH).flatten(1) & ~masks.is_hidden.flatten(1)
    assert masks.visible.shape == (len(grid), is_visible.sum(1).max())
    for listed, wanted in zip(masks.visible.tolist(), is_visible):
        wanted = wanted.nonzero().flatten().tolist()
        assert listed == wanted + [-1] * (len(listed) - len(wanted))


def test_a_lone_patch_is_not_hidden():
    masks = _draw(grids.make_grid(0, ((1, 10), (2, 10))))
    assert masks.is_hidden.flatten(1).sum(1).tolist() == [0, 1]
    assert masks.visible[0].tolist() == [0]


@EACH
def test_draws_are_fair_and_independent(modality):
    """Each patch and component as often as any other, whatever happens to its neighbour.

    Bounds are five standard deviations of a share of 2000 samples, or of a correlation.
    """
    sample = grids.make_sample(5, 40, modality)
    grid = GridBatch.collate([sample] * 2000)
    masks = _draw(grid)
    hidden = masks.is_hidden.double().flatten(1)  # 7.5 of 15, rounded to 8
    assert (hidden.mean(0) - 8 / 15).abs().max() < 5 * np.sqrt(0.25 / 2000)
    removed = masks.is_removed.double()
    if modality == 2:
        removed = removed.transpose(1, 2)  # (B, line, F)
    share = round(0.3 * removed.shape[2]) / removed.shape[2]
    assert (removed.mean(0) - share).abs().max() < 5 * np.sqrt(0.25 / 2000)
    # The same component of two lines, and a component and a patch.
    for one, other in ((removed[:, 0], removed[:, 1]), (removed[:, 0], hidden[:, :1])):
        one, other = one - one.mean(0), other - other.mean(0)
        correlation = (one * other).mean(0) / (one.std(0) * other.std(0))
        assert correlation.abs().max() < 5 / np.sqrt(2000)


def test_the_generator_alone_decides(global_rng_untouched):
    """Same seed, same masks; another one, others; nothing global is read or changed."""
    grid = grids.make_grid()
    first, again, other = _draw(grid, 3), _draw(grid, 3), _draw(grid, 4)
    for name in ("is_hidden", "is_removed", "visible"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.is_hidden, other.is_hidden)
    assert not torch.equal(first.is_removed, other.is_removed)


@EACH
def test_corruption_equals_the_naive_one(modality):
    grid = grids.make_grid(modality)
    masks = _draw(grid)
    data = corrupt(grid, masks)
    assert data.dtype == torch.float32
    for row, (n_channels, n_times) in enumerate(grids.SIZES[modality]):
        wanted = naive_mtfm.corrupt(
            grid.data[row, :n_channels, :n_times].numpy(),
            # Of the axis that is no longer there, padding is cut off.
            masks.is_removed[row, :, :n_times].numpy()
            if modality == 2
            else masks.is_removed[row, :n_channels].numpy(),
            modality == 2,
        )
        np.testing.assert_allclose(data[row, :n_channels, :n_times], wanted, atol=2e-6)
        assert not data[row, n_channels:].any() and not data[row, :, n_times:].any()


@EACH
def test_removed_components_vanish_and_others_stay(modality):
    grid = grids.make_grid(modality)
    masks = _draw(grid)
    before, after = _spectrum(grid.data, modality), _spectrum(corrupt(grid, masks), modality)
    assert before[masks.is_removed].abs().mean() > 0.5
    assert after[masks.is_removed].abs().max() < 1e-5
    torch.testing.assert_close(
        after[~masks.is_removed], before[~masks.is_removed], atol=1e-5, rtol=0
    )


@EACH
def test_removing_nothing_or_everything(modality):
    grid = grids.make_grid(modality)
    nothing = corrupt(grid, _draw(grid, frequency_mask_ratio=0.0))
    torch.testing.assert_close(nothing, grid.data, atol=2e-6, rtol=0)
    assert corrupt(grid, _draw(grid, frequency_mask_ratio=1.0)).abs().max() < 1e-6


def test_regions_are_transformed_in_their_order_and_times_are_not():
    """The transform of fMRI runs across regions, that of EEG along time."""
    rng = np.random.default_rng(0)
    for modality, free, bound in ((2, 2, 1), (0, 1, 2)):
        grid = grids.make_grid(modality, ((9, 40),))
        masks = _draw(grid)
        assert fourier_axis(grid) == bound
        data = corrupt(grid, masks)
        # Whatever is not transformed may be reordered together with its mask.
        order = torch.from_numpy(rng.permutation(grid.data.shape[free]))
        moved = dataclasses.replace(grid, data=grid.data.index_select(free, order))
        mask = masks.is_removed.index_select(free, order)
        same = corrupt(moved, Masks(masks.is_hidden, mask, masks.visible))
        torch.testing.assert_close(same, data.index_select(free, order), atol=1e-6, rtol=0)
        # What is transformed may not.
        order = torch.from_numpy(rng.permutation(grid.data.shape[bound]))
        moved = dataclasses.replace(grid, data=grid.data.index_select(bound, order))
        other = corrupt(moved, masks)
        assert (other - data.index_select(bound, order)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("modality", "sizes", "words"),
    [
        (0, ((3, 50), (3, 60)), r"eeg must have the same n_times, got \[50, 60\]"),
        (1, ((3, 50), (3, 60)), r"meg must have the same n_times, got \[50, 60\]"),
        (2, ((3, 50), (4, 50)), r"fmri must have the same n_channels, got \[3, 4\]"),
    ],
)
def test_ragged_fourier_axes_are_refused(modality, sizes, words):
    with pytest.raises(ValueError, match=words):
        _draw(grids.make_grid(modality, sizes))


def test_masks_move_as_a_whole():
    moved = _draw(grids.make_grid()).to("meta")
    assert all(getattr(moved, field.name).is_meta for field in dataclasses.fields(Masks))
