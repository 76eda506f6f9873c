"""The loss of constants, of noise, and of an untrained network is what algebra says."""

from __future__ import annotations

import dataclasses
import math

import grids
import naive_mtfm
import numpy as np
import pytest
import torch

from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.pretraining.batch import GridBatch, from_patches
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.objective import Objective

PATCH = 16
MICRO = {"n_layers": 1, "width": 32, "n_heads": 2, "n_latents": 8, "patch_size": PATCH}
EACH = pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)


def _objective(seed=0, model=None, **options):
    model = BrainOF(BrainOFConfig(**{**MICRO, **(model or {})}), random_state=seed)
    return Objective(model, PretrainingConfig(**options))


def _masks(objective, grid, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return draw_masks(grid, objective.config, generator, objective.model.config.patch_size)


def _silenced(**options):
    """An objective whose network says zero."""
    objective = _objective(**options)
    torch.nn.init.zeros_(objective.model.patch.weight)
    return objective


@EACH
@pytest.mark.parametrize("height", [0.4, 3.0])
def test_constant_signal_and_a_network_that_says_zero(modality, height):
    """Time: Smooth L1 of the height. Frequency: all is in the mean, which is height * sqrt(n)."""
    n_channels, n_times = 9, 40
    data = np.full((n_channels, n_times), height)
    grid = GridBatch.collate([grids.make_sample(n_channels, n_times, modality, data=data)])
    objective = _silenced()
    masks = _masks(objective, grid)
    terms = objective(grid, masks)
    assert terms["time"].item() == pytest.approx(naive_mtfm.smooth_l1(height), abs=1e-6)
    size = n_channels if modality == 2 else n_times
    removed = masks.is_removed[0].T if modality == 2 else masks.is_removed[0]  # (line, F)
    share = removed[:, 0].sum() / removed.sum() / 2  # the mean has a real part only
    wanted = share * naive_mtfm.smooth_l1(height * math.sqrt(size))
    assert 0 < share < 1
    assert terms["frequency"].item() == pytest.approx(wanted.item(), abs=1e-5)


def test_formula_of_the_expectation():
    """The closed form, the integral over u, and a sum over a fine grid agree."""
    for std in (0.3, math.sqrt(0.5), 1.0, 2.0):
        x = np.linspace(-12 * std, 12 * std, 200001)
        density = np.exp(-0.5 * (x / std) ** 2) / (std * math.sqrt(2 * math.pi))
        values = np.where(abs(x) < 1, 0.5 * x**2, abs(x) - 0.5)
        wanted = (density * values).sum() * (x[1] - x[0])
        assert naive_mtfm.expected_smooth_l1_centred(std) == pytest.approx(wanted, abs=1e-8)
        assert naive_mtfm.expected_smooth_l1(std) == pytest.approx(wanted, abs=1e-4)
        shifted = density * np.where(abs(x + 0.8) < 1, 0.5 * (x + 0.8) ** 2, abs(x + 0.8) - 0.5)
        wanted = shifted.sum() * (x[1] - x[0])
        assert naive_mtfm.expected_smooth_l1(std, 0.8) == pytest.approx(wanted, abs=1e-4)


def _noise(modality):
    sizes = {0: ((24, 512),) * 4, 1: ((24, 512),) * 4, 2: ((64, 192),) * 4}[modality]
    return grids.make_grid(modality, sizes)


def _edges(removed, size):
    """How many of the removed components are real: the mean, and the Nyquist frequency."""
    last = removed[..., -1].sum() if size % 2 == 0 else 0
    return int(removed[..., 0].sum() + last)


@EACH
def test_white_noise_and_a_network_that_says_zero(modality):
    """Time: the mean for a standard normal. Frequency: for one of variance 1 / 2.

    The transform of white noise is white: real and imaginary part of variance 1 / 2, but a real
    part of variance 1 and no imaginary one at both ends. Smooth L1 of a standard normal number
    has a standard deviation below 0.5, and that of variance 1 / 2 below 0.35.
    """
    grid, objective = _noise(modality), _silenced()
    masks = _masks(objective, grid)
    terms = objective(grid, masks)
    n_points = masks.is_hidden.sum().item() * PATCH
    wanted = naive_mtfm.expected_smooth_l1_centred(1.0)
    assert wanted == pytest.approx(0.4247, abs=1e-4)
    assert terms["time"].item() == pytest.approx(wanted, abs=5 * 0.5 / math.sqrt(n_points))
    removed = masks.is_removed.transpose(1, 2) if modality == 2 else masks.is_removed
    n_removed, n_edges = removed.sum().item(), _edges(removed, 64 if modality == 2 else 512)
    inner = 2 * (n_removed - n_edges) * naive_mtfm.expected_smooth_l1_centred(math.sqrt(0.5))
    frequency = (inner + n_edges * wanted) / (2 * n_removed)
    tolerance = 5 * 0.35 / math.sqrt(2 * n_removed)
    assert terms["frequency"].item() == pytest.approx(frequency, abs=tolerance)


@EACH
def test_untrained_network_cannot_know_the_noise(modality):
    """What it says is independent of what it does not see, so its output is a shift, no more.

    Given the output y, a hidden point less y is normal with mean -y and variance 1: the loss is
    the mean over hidden points of a function of y alone. Components are kept for this, as
    removing some ties hidden points to visible ones. Likewise in frequency for removed
    components. The bound is five standard deviations of a mean: Smooth L1 changes by at most 1
    per unit, so those of the terms are below 1.
    """
    grid = _noise(modality)
    for options in ({"frequency_mask_ratio": 0.0}, {}):
        objective = _objective(**options)
        masks = _masks(objective, grid)
        with torch.no_grad():
            terms = objective(grid, masks)
        output = _output(objective, grid, masks)
        if options:
            points = masks.is_hidden.repeat_interleave(PATCH, 2)[..., : output.shape[2]]
            said = output[points].numpy()
            wanted = naive_mtfm.expected_smooth_l1(1.0, said).mean()
            assert terms["time"].item() == pytest.approx(wanted, abs=5 / math.sqrt(said.size))
            continue
        size = output.shape[1 if modality == 2 else 2]
        spectrum = torch.fft.rfft(output, dim=1 if modality == 2 else 2, norm="ortho")
        spectrum, removed = spectrum.numpy(), masks.is_removed.numpy()
        if modality == 2:
            spectrum, removed = spectrum.swapaxes(1, 2), removed.swapaxes(1, 2)
        is_edge = np.zeros_like(removed)
        is_edge[..., 0] = True
        is_edge[..., -1] = size % 2 == 0
        inner, edge = spectrum[removed & ~is_edge], spectrum[removed & is_edge].real
        half = math.sqrt(0.5)
        wanted = naive_mtfm.expected_smooth_l1(half, inner.real).sum()
        wanted += naive_mtfm.expected_smooth_l1(half, inner.imag).sum()
        wanted += naive_mtfm.expected_smooth_l1(1.0, edge).sum()
        wanted /= 2 * removed.sum()
        tolerance = 5 / math.sqrt(2 * removed.sum())
        assert terms["frequency"].item() == pytest.approx(wanted, abs=tolerance)


@EACH
@pytest.mark.parametrize("mode", ["drop", "embed"])
def test_what_was_taken_away_reaches_no_output(modality, mode):
    """Other content of hidden patches and removed components: the same output, another loss."""
    grid = _noise(modality)
    other = 2 * torch.randn(grid.data.shape, generator=torch.Generator().manual_seed(1))
    for removed in (0.0, 0.3):
        # Without gates, where rounding might send a token elsewhere.
        options = {"masked_tokens": mode, "frequency_mask_ratio": removed}
        objective = _objective(model={"experts": "dense"}, **options)
        masks = _masks(objective, grid)
        if removed:  # more of what is removed
            axis = 1 if modality == 2 else 2
            more = torch.fft.rfft(other, dim=axis) * masks.is_removed
            data = grid.data + torch.fft.irfft(more, n=grid.data.shape[axis], dim=axis)
        else:  # a hidden patch ties no visible one, as no component is removed
            data = torch.where(masks.is_hidden.repeat_interleave(PATCH, 2), other, grid.data)
        changed = dataclasses.replace(grid, data=data)
        one, two = (_output(objective, batch, masks) for batch in (grid, changed))
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0)
        with torch.no_grad():
            terms, others = objective(grid, masks), objective(changed, masks)
        name = "frequency" if removed else "time"
        assert abs(terms[name] - others[name]).item() > 1e-4


def _output(objective, grid, masks):
    """What the network says, (B, C, T)."""
    said = []
    hook = objective.model.patch.register_forward_hook(lambda *args: said.append(args[-1]))
    with torch.no_grad():
        objective(grid, masks)
    hook.remove()
    return from_patches(said[0].double(), grid)


@EACH
def test_an_untrained_network_says_little(modality):
    """Its output y is independent of the noise x: noise costs E smooth_l1(N(0, 1 + var(y))).

    And var(y) is small, so that training begins near the loss of saying nothing, and need not
    first unlearn what it says. Tokens share weights: 20 networks of 64 points give 1280 draws.
    """
    grid = grids.make_grid(modality, ((6, 128),))
    losses, variances = [], []
    for seed in range(20):
        objective = _objective(seed, model={"patch_size": 64}, frequency_mask_ratio=0.0)
        masks = _masks(objective, grid, seed)
        with torch.no_grad():
            losses.append(objective(grid, masks)["time"].item())
        variances.append(_output(objective, grid, masks).square().mean().item())
    assert 0 < np.mean(variances) < 0.2
    wanted = naive_mtfm.expected_smooth_l1_centred(math.sqrt(1 + np.mean(variances)))
    assert np.mean(losses) == pytest.approx(wanted, abs=5 * 0.5 / math.sqrt(1280))
