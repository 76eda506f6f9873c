"""The objective: equal to loops, blind to padding, and what it tells of the experts."""

from __future__ import annotations

import copy
import dataclasses

import grids
import naive_mtfm
import numpy as np
import pytest
import torch

from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.models.config import MODALITY_CODES, SENSOR_TYPES
from brainof_toolbox.models.moe import MixtureOfExperts, RoutingRecord
from brainof_toolbox.pretraining.batch import GridBatch, to_tokens
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import corrupt, draw_masks
from brainof_toolbox.pretraining.objective import (
    Objective,
    frequency_loss,
    select_tokens,
    time_loss,
)

PATCH = 16
MICRO = {"n_layers": 1, "width": 32, "n_heads": 2, "n_latents": 8, "patch_size": PATCH}
EACH = pytest.mark.parametrize("modality", [0, 1, 2], ids=MODALITY_CODES)
MODES = pytest.mark.parametrize("mode", ["drop", "embed"])


def _objective(seed=0, model=None, **options):
    model = BrainOF(BrainOFConfig(**{**MICRO, **(model or {})}), random_state=seed)
    return Objective(model, PretrainingConfig(**options))


def _masks(objective, grid, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return draw_masks(grid, objective.config, generator, objective.model.config.patch_size)


def _run(objective, grid, seed=0):
    return objective(grid, _masks(objective, grid, seed))


def _row(grid, masks, row, modality):
    """One sample without its padding: data (C, T), hidden patches and removed components."""
    n_channels, n_times = grid.n_channels[row], grid.n_times[row]
    removed = masks.is_removed[row]
    removed = removed[:, :n_times] if modality == 2 else removed[:n_channels]
    hidden = masks.is_hidden[row, :n_channels, : -(-n_times // PATCH)]
    return grid.data[row, :n_channels, :n_times].double().numpy(), hidden.numpy(), removed.numpy()


def _naive_terms(model, sample, hidden, removed, original, mode):
    """The two losses of one sample alone, in double precision."""
    is_fmri = sample.modality == 2
    tokens = make_tokens(
        naive_mtfm.corrupt(original, removed, is_fmri)[None],
        sample.sfreq,
        sample.position,
        sample.orientation,
        [SENSOR_TYPES[kind] for kind in sample.sensor_type],
        MODALITY_CODES[sample.modality],
        patch_size=PATCH,
        log_scale=sample.log_scale[None],
    )
    seen = tokens
    if mode == "embed":
        seen = dataclasses.replace(tokens, is_masked=torch.from_numpy(hidden).reshape(1, -1))
    else:
        order = np.flatnonzero(~hidden.ravel())
        seen = select_tokens(tokens, torch.from_numpy(order)[None])
    values = model.decode(model(seen), tokens)[0].detach().numpy()  # (S, P)
    output = np.zeros((original.shape[0], hidden.shape[1] * PATCH))
    for token, patch in enumerate(values):
        channel, number = divmod(token, hidden.shape[1])
        output[channel, number * PATCH : (number + 1) * PATCH] = patch
    output = output[:, : original.shape[1]]
    return (
        naive_mtfm.time_loss(output, original, hidden, PATCH),
        naive_mtfm.frequency_loss(output, original, removed, is_fmri),
    )


@EACH
@MODES
def test_it_equals_the_naive_one(modality, mode):
    """Sample by sample, channel by channel, with explicit Fourier matrices, in float64."""
    sizes = grids.SIZES[modality]
    samples = [grids.make_sample(*size, modality, seed) for seed, size in enumerate(sizes)]
    for sample in samples:  # both branches of Smooth L1
        sample.data *= 3
    grid = GridBatch.collate(samples)
    objective = _objective(masked_tokens=mode, frequency_weight=0.3, balance_weight=0.0)
    masks = _masks(objective, grid)
    terms = objective(grid, masks)
    double = copy.deepcopy(objective.model).double()
    wanted = []
    for row, sample in enumerate(samples):
        original, hidden, removed = _row(grid, masks, row, modality)
        wanted.append(_naive_terms(double, sample, hidden, removed, original, mode))
    time, frequency = np.mean(wanted, axis=0)
    assert terms["time"].item() == pytest.approx(time, abs=1e-5)
    assert terms["frequency"].item() == pytest.approx(frequency, abs=1e-5)
    assert terms["loss"].item() == pytest.approx(0.7 * time + 0.3 * frequency, abs=1e-5)


@EACH
def test_dropping_tokens_equals_marking_them_as_padding(modality):
    """Loss and gradients, to 1e-5."""
    objective, grid = _objective(), grids.make_grid(modality)
    masks = _masks(objective, grid)
    results = []
    for hide in (
        objective._hide,
        lambda tokens, masks: dataclasses.replace(
            tokens,
            is_padding=tokens.is_padding | masks.is_hidden.flatten(1),
            is_masked=torch.zeros_like(tokens.is_padding),
        ),
    ):
        objective._hide = hide
        objective.zero_grad()
        loss = objective(grid, masks)["loss"]
        loss.backward()
        results.append([loss.detach()] + [p.grad for p in objective.parameters()])
    assert max(g.abs().max() for g in results[0][1:]) > 1e-3
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@EACH
@MODES
def test_every_parameter_gets_a_gradient(modality, mode):
    """Whatever modality and experts: processes that share gradients wait for all of them."""
    objective = _objective(masked_tokens=mode)
    for name, parameter in objective.named_parameters():
        if name.endswith("gate.weight"):  # no token goes to the last expert
            parameter.data[1] = -parameter.data[0]
            parameter.data[-1] = parameter.data[0] / 2
    terms = _run(objective, grids.make_grid(modality))
    terms["loss"].backward()
    assert terms["load"][-1] == 0
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    mask = objective.model.content.mask.grad
    assert mask.any() if mode == "embed" else not mask.any()


@EACH
def test_losses_are_of_hidden_and_removed_parts_only(modality):
    objective, grid = _objective(), grids.make_grid(modality)
    masks = _masks(objective, grid)
    error = grid.data
    time = time_loss(error, masks, grid, PATCH)
    frequency = frequency_loss(error, masks, grid)
    points = masks.is_hidden.repeat_interleave(PATCH, 2)[..., : error.shape[2]]
    axis = 1 if modality == 2 else 2
    size = error.shape[axis]
    spectrum = torch.fft.rfft(torch.randn(error.shape, generator=torch.Generator()), dim=axis)

    def add(mask):  # to the components of a mask
        return error + torch.fft.irfft(spectrum * mask, n=size, dim=axis)

    # Elsewhere, also in padding: nothing. There: something in every sample.
    is_point = grid.is_channel()[:, :, None] & grid.is_time()[:, None]
    elsewhere = time_loss(error + 10.0 * ~(points & is_point), masks, grid, PATCH)
    assert torch.equal(elsewhere, time)
    assert (time_loss(error + 10.0 * points, masks, grid, PATCH) > time + 5).all()
    elsewhere = frequency_loss(add(~masks.is_removed), masks, grid)
    torch.testing.assert_close(elsewhere, frequency, atol=1e-5, rtol=0)
    assert ((frequency_loss(add(masks.is_removed), masks, grid) - frequency).abs() > 0.01).all()


@EACH
@MODES
def test_padding_enters_nothing(modality, mode):
    """Garbage in the padding, as input and as target, changes no term and no gradient."""
    objective, grid = _objective(masked_tokens=mode), grids.make_grid(modality)
    is_point = grid.is_channel()[:, :, None] & grid.is_time()[:, None]
    assert not is_point.all()
    garbage = {"data": torch.where(is_point, grid.data, 7.0)}
    for name in ("position", "orientation", "log_scale"):
        tensor = getattr(grid, name)
        keep = grid.is_channel() if tensor.ndim == 2 else grid.is_channel()[..., None]
        garbage[name] = torch.where(keep, tensor, 0.1)
    results = []
    for batch in (grid, dataclasses.replace(grid, **garbage)):
        objective.zero_grad()
        terms = _run(objective, batch)
        terms["loss"].backward()
        results.append([*terms.values(), *(p.grad for p in objective.parameters())])
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@EACH
@MODES
def test_a_longer_neighbour_changes_no_loss(modality, mode):
    """The loss of a batch is the mean of those of its samples alone."""
    sizes = {0: ((3, 61), (8, 61)), 1: ((3, 48), (8, 48)), 2: ((9, 40), (9, 130))}[modality]
    objective, grid = _objective(masked_tokens=mode), grids.make_grid(modality, sizes)
    masks = _masks(objective, grid)
    together = objective(grid, masks)
    alone = []
    for row, (n_channels, n_times) in enumerate(sizes):
        one = GridBatch.collate([grids.make_sample(n_channels, n_times, modality, row)])
        picked = _masks(objective, one)
        _, hidden, removed = _row(grid, masks, row, modality)
        picked.is_hidden[0], picked.is_removed[0] = map(torch.from_numpy, (hidden, removed))
        picked.visible[0] = (~picked.is_hidden[0]).flatten().nonzero().flatten()
        alone.append(objective(one, picked))
    for name in ("time", "frequency"):
        mean = (alone[0][name] + alone[1][name]) / 2
        assert together[name].item() == pytest.approx(mean.item(), abs=1e-5)
    assert (alone[0]["time"] - alone[1]["time"]).abs() > 1e-3


def test_terms_add_up_and_describe_all_gates():
    """One weight each; balance, load and entropy average over the gates of both halves."""
    objective, grid = _objective(frequency_weight=0.3, balance_weight=0.5), grids.make_grid()
    masks = _masks(objective, grid)
    terms = objective(grid, masks)
    wanted = 0.7 * terms["time"] + 0.3 * terms["frequency"] + 0.5 * terms["balance"]
    torch.testing.assert_close(terms["loss"], wanted)
    assert terms["loss"].requires_grad
    assert not any(terms[name].requires_grad for name in terms if name != "loss")

    found = []
    for module in objective.modules():
        if isinstance(module, MixtureOfExperts):
            module.register_forward_pre_hook(lambda module, inputs: found.append(module))
    model, tokens = objective.model, to_tokens(grid, corrupt(grid, masks), patch_size=PATCH)
    first, second = RoutingRecord(), RoutingRecord()
    latents = model(objective._hide(tokens, masks), first)
    model.decode(latents, tokens, second)
    routing = [*first, *second]
    assert len(routing) == len(found) == 5  # two blocks, a layer, two blocks
    torch.testing.assert_close(
        terms["balance"], ((3 * first.balance() + 2 * second.balance()) / 5).detach()
    )
    load, entropy = np.zeros(4), 0.0
    for probability, chosen, _, is_counted in routing:
        if is_counted is None:
            is_counted = torch.ones(probability.shape[:2], dtype=torch.bool)
        rows = probability[is_counted].detach().double().numpy()
        load += np.bincount(chosen[is_counted].flatten(), minlength=4) / len(rows) / len(routing)
        entropy -= (rows * np.log(rows)).sum(1).mean() / len(routing)
    np.testing.assert_allclose(terms["load"], load, atol=1e-6)
    assert terms["entropy"].item() == pytest.approx(entropy, abs=1e-5)
    assert 0 < entropy < np.log(4) and load.sum() == pytest.approx(1)


def test_dense_experts_have_no_gate():
    terms = _run(_objective(model={"experts": "dense"}), grids.make_grid())
    assert terms["balance"] == 0 and terms["entropy"] == 0 and terms["load"].shape == (0,)
    assert terms["loss"].item() > 0.1


@pytest.mark.parametrize("mode", ["drop", "embed"])
def test_recomputed_activations_change_nothing_but_memory(mode):
    """Bit by bit the same loss, gates and gradients, from less than half of the memory."""
    grid, results, n_bytes = grids.make_grid(0, ((8, 160),) * 2), [], []

    def pack(tensor):
        n_bytes[-1] += tensor.numel() * tensor.element_size()
        return tensor

    for is_on in (False, True):
        objective = _objective(masked_tokens=mode, checkpoint_activations=is_on)
        n_bytes.append(0)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            terms = _run(objective, grid)
        terms["loss"].backward()
        results.append([*terms.values(), *(p.grad for p in objective.parameters())])
        assert set(objective.state_dict()) == set(_objective().state_dict())
    assert all(torch.equal(one, other) for one, other in zip(*results))
    assert n_bytes[1] < n_bytes[0] / 2


@EACH
def test_half_precision_of_products_only(modality):
    """Close to single precision; transforms and losses stay in it."""
    objective, grid = _objective(), grids.make_grid(modality)
    wanted = _run(objective, grid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = _run(objective, grid)
    terms["loss"].backward()
    assert all(term.dtype == torch.float32 for term in terms.values())
    for name in ("loss", "time", "frequency", "balance", "entropy"):
        assert terms[name].item() == pytest.approx(wanted[name].item(), rel=0.03), name
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters())


def test_training_lowers_the_loss(global_rng_untouched):
    """Both terms fall on a batch of sines; nothing global is read or changed."""
    time = np.arange(96) / grids.RATES[0]
    sines = np.sin(2 * np.pi * 5 * time)[None] * np.linspace(0.5, 2, 6)[:, None]
    grid = GridBatch.collate([grids.make_sample(6, 96, data=sines, seed=s) for s in range(2)])
    objective = _objective()
    masks = _masks(objective, grid)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    history = []
    for _ in range(30):
        terms = objective(grid, masks)
        history.append([terms[name].item() for name in ("time", "frequency")])
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert (np.array(history[-1]) < 0.7 * np.array(history[0])).all()


def test_masks_of_another_batch_are_refused():
    objective, grid = _objective(), grids.make_grid()
    with pytest.raises(ValueError, match=r"is_hidden must have shape \(2, 5, 4\).*\(3, 7, 3\)"):
        objective(grid, _masks(objective, grids.make_grid(1)))
    other = _masks(objective, grids.make_grid(0, ((5, 60), (3, 60))))
    other.is_removed = other.is_removed[..., :-1]
    with pytest.raises(ValueError, match=r"is_removed must have shape \(2, 5, 31\)"):
        objective(grid, other)


def test_nothing_hidden_and_nothing_removed_cost_nothing():
    """A lone patch is not hidden; without components to remove, only time counts."""
    objective = _objective(frequency_mask_ratio=0.0, balance_weight=0.0)
    terms = _run(objective, grids.make_grid(0, ((1, 10),)))
    assert terms["time"] == terms["frequency"] == terms["loss"] == 0
    terms = _run(objective, grids.make_grid())
    assert terms["frequency"] == 0 and terms["loss"] == 0.5 * terms["time"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("is_on", [False, True], ids=["kept", "recomputed"])
def test_whole_objective_is_one_graph(is_on):
    """``compile=True`` must not fall back to single operations, forward or backward."""
    blocks = {"n_encoder_blocks": 1, "n_decoder_blocks": 1}
    objective = _objective(model=blocks, checkpoint_activations=is_on)
    grid, results = grids.make_grid(), []
    masks = _masks(objective, grid)
    for function in (objective, torch.compile(objective, fullgraph=True, backend="aot_eager")):
        objective.zero_grad()
        loss = function(grid, masks)["loss"]
        loss.backward()
        results.append([loss.detach()] + [p.grad for p in objective.parameters()])
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
