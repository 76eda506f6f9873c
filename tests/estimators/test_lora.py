"""Low-rank adaptation: where it starts, what it trains, what it leaves, and how it is kept."""

from __future__ import annotations

import copy
import json
import os
import pickle
import struct

import numpy as np
import pytest
import safetensors.torch
import torch
from simulated import adapted, noise_epochs, obvious_epochs
from sklearn.base import clone

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from brainof_toolbox.encoder.tokens import batch_tokens
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.estimators import lora, saving
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.models import BrainOF, BrainOFConfig, load_checkpoint
from brainof_toolbox.preprocessing import Preprocessing

LORA = {"adaptation": "lora", "max_epochs": 3, "batch_size": 8, "learning_rate": 5e-3}
LORA["augmentation"] = None
KINDS = [BrainOFClassifier, BrainOFRegressor]


def attach(model, targets="attention", rank=4, alpha=8.0, seed=0, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    lora.attach(model, targets, rank, alpha, generator, **kwargs)


def fill(model, seed=1):
    """Give every difference a size, as training does."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(t.shape, generator=generator) for name, t in read(model).items()}
    lora.restore(model, state)
    return state


def read(model):
    return lora.read(model)


@pytest.fixture
def model(small_checkpoint):
    return load_checkpoint(small_checkpoint).model


@pytest.fixture(scope="module")
def tokens():
    (block,) = iter_windows(open_samples(noise_epochs(5)), Preprocessing())
    return batch_tokens(block, np.arange(5))


# ------------------------------------------------------------------------------- algebra


@pytest.mark.parametrize("targets", list(lora.TARGETS))
def test_before_training_nothing_differs(model, tokens, targets):
    """B starts at zero: every number the network gives is the frozen one, bit for bit."""
    with torch.inference_mode():
        before = model(tokens)
        attach(model, targets)
        assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("targets", list(lora.TARGETS))
def test_equals_the_formula(model, tokens, targets):
    """``W + scaling / rank * B A``, put into a second network by hand."""
    other = copy.deepcopy(model)
    attach(model, targets, rank=4, alpha=8.0)
    state = fill(model)
    by_hand = dict(other.named_modules())
    names = {name.rpartition(".")[0] for name in state}
    with torch.no_grad():
        for name in names:
            by_hand[name].weight += 8.0 / 4 * state[f"{name}.b"] @ state[f"{name}.a"]
        torch.testing.assert_close(model(tokens), other(tokens), rtol=0, atol=1e-4)
    n_layers = model.config.n_layers
    expected = {"attention": 2, "attention+experts": 4, "attention+resampler": 2}[targets]
    extra = 4 * model.config.n_encoder_blocks if "resampler" in targets else 0
    assert len(names) == expected * n_layers + extra


def test_merging_changes_no_output(model, tokens):
    """A merged network is an ordinary one: same numbers, same names, same class, all trainable."""
    keys = list(model.state_dict())
    attach(model)
    fill(model)
    with torch.inference_mode():
        before = model(tokens)
        state = lora.merge(model)
        assert torch.equal(model(tokens), before)
    assert sorted(model.state_dict()) == sorted(keys)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not read(model) and len(state) == 2 * 2 * model.config.n_layers
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(tokens), before)


def test_only_differences_are_trained(model, tokens):
    """Gradients reach the factors, and nothing else."""
    attach(model)
    fill(model)
    model(tokens).square().sum().backward()
    for name, parameter in model.named_parameters():
        is_factor = ".parametrizations.weight.0." in name
        assert parameter.requires_grad == is_factor, name
        assert (parameter.grad is not None) == is_factor, name


def test_share_of_the_weights():
    """The paper's rank 32 on the backbone's attention trains about 2 % of the tiny network."""
    model = BrainOF(BrainOFConfig.preset("tiny"), random_state=0)
    n_all = model.n_parameters()
    attach(model, rank=32, alpha=64.0)
    share = sum(p.numel() for p in model.parameters() if p.requires_grad) / n_all
    assert 0.015 < share < 0.025


def test_shallow_networks_adapt_what_is_run(model):
    """Layers that are not run are left alone; no layer at all is an error that says so."""
    attach(model, n_layers=1)
    assert {name.split(".")[1] for name in read(model)} == {"0"}
    other = BrainOF(model.config, random_state=0)
    with pytest.raises(ValueError, match="finds no matrix when layer=0"):
        attach(other, n_layers=0)


def test_restoring_is_strict(model):
    """Missing, unknown and misshaped factors are named."""
    attach(model, rank=4)
    state = read(model)
    name = next(iter(state))
    for wrong in (
        {n: t for n, t in state.items() if n != name},
        {**state, "layers.9.attention.qkv.a": state[name]},
        {**state, name: state[name][:2]},
    ):
        with pytest.raises(ValueError, match="its rank, targets or network differ"):
            lora.restore(model, wrong)


# ------------------------------------------------------------------------------ estimators


@pytest.mark.parametrize("kind", KINDS)
def test_starts_from_the_probe(kind, small_checkpoint):
    """With no step taken, predictions are the probe's."""
    epochs = obvious_epochs(24)
    y = epochs.events[:, 2]
    shared = {"validation_fraction": 0}
    probe = adapted(kind, small_checkpoint).fit(epochs, y)
    still = {**LORA, "max_epochs": 1, "learning_rate": 1e-12}
    tuned = adapted(kind, small_checkpoint, **still, **shared).fit(epochs, y)
    if kind is BrainOFClassifier:
        left, right = tuned.predict_proba(epochs), probe.predict_proba(epochs)
    else:
        left, right = tuned.predict(epochs), probe.predict(epochs)
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_only_targets_move(kind, small_checkpoint):
    """After a fit, the adapted matrices are others; all other weights are the checkpoint's."""
    epochs = obvious_epochs(16)
    fitted = adapted(kind, small_checkpoint, validation_fraction=0, **LORA)
    fitted.fit(epochs, epochs.events[:, 2])
    source = load_checkpoint(small_checkpoint).model.state_dict()
    for name, tensor in fitted.backbone_.state_dict().items():
        is_target = "layers." in name and name.endswith(("attention.qkv.weight", "out.weight"))
        assert torch.equal(tensor, source[name]) != is_target, name
    for name, matrix in fitted.decoder_.matrices.items():
        a, b = fitted.adapter_[f"{name}.a"], fitted.adapter_[f"{name}.b"]
        torch.testing.assert_close(
            fitted.backbone_.state_dict()[f"{name}.weight"], matrix + 64 / 32 * b @ a
        )


def test_learns_an_obvious_effect(small_checkpoint):
    """Training lowers the loss of samples that are watched."""
    epochs = obvious_epochs(40)
    fitted = adapted(
        BrainOFClassifier, small_checkpoint, label_smoothing=0, **{**LORA, "max_epochs": 6}
    )
    history = fitted.fit(epochs[:30], epochs.events[:30, 2]).history_
    assert history["valid_loss"].min() < 0.9 * history["valid_loss"][0]
    assert (fitted.predict(epochs[30:]) == epochs.events[30:, 2]).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_clone_pickle_and_save(kind, small_checkpoint, tmp_path):
    """As any estimator; the merged network is a checkpoint for all of them."""
    epochs = obvious_epochs(16)
    fitted = adapted(kind, small_checkpoint, **LORA).fit(epochs, epochs.events[:, 2])
    expected = fitted.predict(epochs)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(epochs), expected)
    assert repr(clone(fitted)) == repr(fitted)
    fitted.save_pretrained(tmp_path / "merged")
    rows = BrainOFEmbedder(tmp_path / "merged").fit_transform(epochs)
    np.testing.assert_array_equal(rows, fitted.encoder_.embed(epochs))


# ---------------------------------------------------------------------------- adapters alone


def fit_one(kind, checkpoint, y=None, **kwargs):
    epochs = obvious_epochs(16)
    y = epochs.events[:, 2] if y is None else y
    return adapted(kind, checkpoint, **{**LORA, "max_epochs": 1, **kwargs}).fit(epochs, y), epochs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_adapter_round_trip(kind, head, small_checkpoint, tmp_path):
    """Same predictions, bit for bit, from the checkpoint and the adapter."""
    fitted, epochs = fit_one(kind, small_checkpoint, head=head)
    fitted.save_adapter(tmp_path / "adapter")
    other = adapted(kind, small_checkpoint, "lora", head=head)
    other.load_adapter(tmp_path / "adapter")
    np.testing.assert_array_equal(other.predict(epochs), fitted.predict(epochs))
    assert other.get_params()["adaptation__head"] == head
    fitted.save_adapter(tmp_path / "adapter")  # in place of the first one


@pytest.mark.parametrize(
    "labels",
    [np.array(["left", "right"]), np.array([2, 7]), np.array([False, True]), np.array([1.0, 2.0])]
    + [np.array(["a", "b"], dtype=object)],
)
def test_classes_survive(labels, small_checkpoint, tmp_path):
    """Labels come back with their type."""
    fitted, epochs = fit_one(BrainOFClassifier, small_checkpoint, labels[np.arange(16) % 2])
    fitted.save_adapter(tmp_path / "adapter")
    other = adapted(BrainOFClassifier, small_checkpoint, "lora")
    other.load_adapter(tmp_path / "adapter")
    assert other.classes_.dtype == labels.dtype
    np.testing.assert_array_equal(other.predict(epochs), fitted.predict(epochs))


def test_adapter_is_small(tmp_path):
    """Beside the bundled network, some hundred KB."""
    fitted, _ = fit_one(BrainOFClassifier, "brainof-tiny", pooling="mean")
    fitted.save_adapter(tmp_path / "adapter")
    size = sum(file.stat().st_size for file in (tmp_path / "adapter").iterdir())
    assert 2e5 < size < 7e5


def test_adapter_of_something_else_is_refused(small_checkpoint, other_checkpoint, tmp_path):
    """Other weights, parameters, estimators and adaptations are named."""
    fitted, _ = fit_one(BrainOFClassifier, small_checkpoint)
    fitted.save_adapter(tmp_path / "adapter")

    def load(kind=BrainOFClassifier, checkpoint=small_checkpoint, **kwargs):
        adapted(kind, checkpoint, **{"adaptation": "lora", **kwargs}).load_adapter(
            tmp_path / "adapter"
        )

    with pytest.raises(ValueError, match="has weights '.*', this estimator needs"):
        load(checkpoint=other_checkpoint)
    with pytest.raises(ValueError, match="fitted with rank=32, this estimator has 8"):
        load(rank=8)
    with pytest.raises(ValueError, match="fitted with pooling='auto', this estimator has 'mean'"):
        load(pooling="mean")
    with pytest.raises(ValueError, match="not a BrainOFRegressor"):
        load(kind=BrainOFRegressor)
    with pytest.raises(ValueError, match="load_adapter needs adaptation='lora'"):
        load(adaptation="full")
    probe = adapted(BrainOFClassifier, small_checkpoint).fit(obvious_epochs(8), np.arange(8) % 2)
    with pytest.raises(ValueError, match="There is no adapter"):
        probe.save_adapter(tmp_path / "probe")


def test_damaged_adapters_are_refused(small_checkpoint, tmp_path):
    """Missing, cut, misshaped, not finite, asking for code."""
    fitted, _ = fit_one(BrainOFClassifier, small_checkpoint)
    folder = tmp_path / "adapter"

    def refuse(error, match):
        with pytest.raises(error, match=match):
            adapted(BrainOFClassifier, small_checkpoint, "lora").load_adapter(folder)

    refuse(FileNotFoundError, "holds no fitted decoder")
    fitted.save_adapter(folder)
    weights, description = folder / "decoder.safetensors", folder / "decoder.json"
    good, text = weights.read_bytes(), description.read_text()
    state = safetensors.torch.load(good)
    weights.write_bytes(good[:-10])
    refuse(ValueError, "truncated, incomplete or corrupt")
    name = next(name for name in state if name.endswith(".a"))
    weights.write_bytes(safetensors.torch.save({n: t for n, t in state.items() if n != name}))
    refuse(ValueError, "missing tensors")
    weights.write_bytes(safetensors.torch.save({**state, name: state[name][:, :3].contiguous()}))
    refuse(ValueError, "has shape")
    weights.write_bytes(safetensors.torch.save({**state, name: state[name] * np.nan}))
    refuse(ValueError, "NaN or Inf")
    weights.write_bytes(struct.pack("<Q", 2**60) + good[8:])
    refuse(ValueError, "truncated, incomplete or corrupt")
    weights.write_bytes(good)
    description.write_text("{")
    refuse(ValueError, "not valid JSON")
    description.write_text(json.dumps({**json.loads(text), "auto_map": "x"}))
    refuse(ValueError, "requests that code")
    description.write_text(json.dumps({"format_version": 1}))
    refuse(ValueError, "describes no decoder")


def test_foreign_files_stay(small_checkpoint, tmp_path):
    """A folder that holds something else is not replaced."""
    fitted, _ = fit_one(BrainOFClassifier, small_checkpoint)
    (tmp_path / "results.csv").write_text("precious")
    with pytest.raises(ValueError, match=r"holds other files \(results.csv\)"):
        fitted.save_adapter(tmp_path)
    assert os.listdir(tmp_path) == ["results.csv"]


def test_sizes_of_adapters_are_checked_before_anything_is_made(
    small_checkpoint, tmp_path, monkeypatch
):
    """Ranks, classes and types that the factors do not have, in both kinds of estimators."""
    classifier, _ = fit_one(BrainOFClassifier, small_checkpoint)
    regressor, _ = fit_one(BrainOFRegressor, small_checkpoint)

    def never(*args, **kwargs):
        raise AssertionError("a network was made")

    def refuse(match, fitted, parameters=None, **outputs):
        folder = tmp_path / "adapter"
        fitted.save_adapter(folder)
        path = folder / "decoder.json"
        content = json.loads(path.read_text())
        content["parameters"]["adaptation"].update(parameters or {})
        content["outputs"].update(outputs)
        path.write_text(json.dumps(content))
        other = adapted(type(fitted), small_checkpoint, "lora", **(parameters or {}))
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=match):
            patch.setattr(saving, "_empty_network", never)
            other.load_adapter(folder)

    refuse(r"shape \(32, .*needs \(1000000000, ", classifier, {"rank": 10**9})
    refuse("has shape", classifier, classes=list(range(10**5)), dtype="<i8")
    for outputs in (
        {"dtype": "V1000000000"},
        {"dtype": "no type"},
        {"classes": [1, 1]},
        {"classes": 10**9},
        {"classes": [[1, 2]]},
        {"classes": ["a", "b"], "dtype": "<i8"},
        {"classes": [1, 10**30], "dtype": "<i8"},
    ):
        refuse(
            r"decoder\.json: the outputs are not those of a BrainOFClassifier",
            classifier,
            **outputs,
        )
    for outputs in ({"mean": float("nan")}, {"spread": 0.0}, {"mean": "1"}, {"spread": 10**400}):
        refuse(
            r"decoder\.json: the outputs are not those of a BrainOFRegressor", regressor, **outputs
        )


def test_text_is_as_wide_as_its_words(small_checkpoint, tmp_path):
    """A width of text in the file allocates nothing; the classes come back."""
    fitted, epochs = fit_one(
        BrainOFClassifier, small_checkpoint, np.array(["a", "bc"])[np.arange(16) % 2]
    )
    fitted.save_adapter(tmp_path / "adapter")
    path = tmp_path / "adapter" / "decoder.json"
    content = json.loads(path.read_text())
    content["outputs"]["dtype"] = "<U100000000"
    path.write_text(json.dumps(content))
    other = adapted(BrainOFClassifier, small_checkpoint, "lora")
    other.load_adapter(tmp_path / "adapter")
    assert other.classes_.dtype == np.dtype("<U2")
    np.testing.assert_array_equal(other.predict(epochs), fitted.predict(epochs))


def test_training_goes_on_from_a_loaded_adapter(small_checkpoint, tmp_path):
    """A loaded adapter has no history; one pass over more samples begins it."""
    fitted, epochs = fit_one(BrainOFClassifier, small_checkpoint)
    fitted.save_adapter(tmp_path / "adapter")
    other = adapted(BrainOFClassifier, small_checkpoint, "lora")
    other.load_adapter(tmp_path / "adapter").partial_fit(
        epochs, np.resize(fitted.classes_, len(epochs))
    )
    assert other.history_["epoch"].tolist() == [1]
