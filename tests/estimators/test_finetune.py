"""Fine-tuning: what is trained, at which rate, when it stops, and what is kept."""

from __future__ import annotations

import copy
import hashlib
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from simulated import adapted, noise_epochs, obvious_epochs, raw
from torch.nn import functional as F

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor, from_epochs
from brainof_toolbox._utils.subjects import hash_subject
from brainof_toolbox.encoder.pooling import Pooling
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.estimators import FineTuning, LoRA, finetune, training
from brainof_toolbox.estimators.finetune import (
    TrainingData,
    fit_network,
    learning_rate_at,
    make_optimizer,
)
from brainof_toolbox.estimators.network import Network, gather_tokens, predict_outputs
from brainof_toolbox.io.inputs import count_samples, open_samples
from brainof_toolbox.models import BrainOF, BrainOFConfig, load_checkpoint
from brainof_toolbox.models.moe import Experts, RoutingRecord
from brainof_toolbox.preprocessing import Preprocessing

#: Not on the way from tokens to outputs: the decoder's part, the embedding of hidden patches, and
#: the scale that was taken out, which is always 1 with fixed units.
UNUSED = ("decoder.", "patch.", "content.mask", "content.log_scale.")


def make(checkpoint, **kwargs):
    fast = {"adaptation": "full", "max_epochs": 4, "batch_size": 8, "learning_rate": 1e-3}
    fast |= {"augmentation": None, "label_smoothing": 0.0}
    return adapted(BrainOFClassifier, checkpoint, **{**fast, **kwargs})


def settings(**kwargs):
    defaults = {
        "max_epochs": 6,
        "patience": 8,
        "learning_rate": 1e-3,
        "layer_decay": 0.5,
        "weight_decay": 0.05,
        "label_smoothing": 0.0,
    }
    return FineTuning(**{**defaults, **kwargs})


def make_parts(checkpoint, X, n_outputs=2, pooling="flatten"):
    """A network whose head is zero, and the blocks of X."""
    model = checkpoint if isinstance(checkpoint, BrainOF) else load_checkpoint(checkpoint).model
    blocks = list(iter_windows(open_samples(X), Preprocessing(), n_at_once=8))
    n_features = {"flatten": 512, "mean": 32}[pooling]
    ones = np.ones(n_features)
    weight, bias = np.zeros((n_outputs, n_features)), np.zeros(n_outputs)
    form = Pooling(pooling, model.config)
    network = Network(
        copy.deepcopy(model), form, 0 * ones, n_features**-0.5 * ones, [(weight, bias)]
    )
    return network, blocks


def is_used(name):
    return not name.removeprefix("backbone.").startswith(UNUSED)


# ------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("top_k", [1, 4])
def test_gradients_reach_everything(top_k):
    """Embedding of content and place, latents, resampler, every layer, every expert in use."""
    shape = {"width": 32, "n_layers": 2, "n_latents": 16, "n_heads": 4, "top_k": top_k}
    model = BrainOF(BrainOFConfig.preset("tiny", **shape), random_state=0)
    network, blocks = make_parts(model, noise_epochs(16, kind="eeg+meg"))
    with torch.no_grad():  # a fresh head is zero, and lets nothing through
        network.weights[0].normal_(generator=torch.Generator().manual_seed(0))
    in_use = {}

    def note(in_use, module, args):
        in_use |= args[1] > 0  # counts of tokens

    for name, module in network.named_modules():
        if isinstance(module, Experts):
            in_use[name] = torch.zeros(4, dtype=torch.bool)
            module.register_forward_pre_hook(partial(note, in_use[name]))
    index = np.array([(b, row) for b, block in enumerate(blocks) for row in range(len(block))])
    routing = RoutingRecord()
    outputs = network(gather_tokens(blocks, index), routing)
    (F.cross_entropy(outputs, torch.arange(16) % 2) + 0.01 * routing.balance()).backward()
    n_experts = 0
    for name, parameter in network.named_parameters():
        if not is_used(name):
            continue
        grad, owner = parameter.grad, name.rsplit(".", 1)[0]
        assert grad is not None and torch.isfinite(grad).all(), name
        if owner in in_use:  # routed experts: exactly those that tokens were sent to
            is_reached = grad.abs().amax(dim=(1, 2)) > 0
            assert torch.equal(is_reached, in_use[owner]), name
            n_experts += int(is_reached.sum())
        else:
            assert grad.abs().max() > 0, name
    assert n_experts == 2 * 4 * 4 if top_k == 4 else n_experts >= 2 * 4
    place = network.backbone.place
    assert place.sensor_type.grad.abs().amax(dim=1)[:3].min() > 0  # EEG, MAG, GRAD
    assert place.modality.grad.abs().amax(dim=1)[:2].min() > 0


def test_fit_moves_everything(small_checkpoint):
    """After fit, every weight on the way is another one; the source checkpoint is the same."""
    files = sorted(small_checkpoint.iterdir())
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    epochs = obvious_epochs(16)
    fitted = make(small_checkpoint, validation_fraction=0).fit(epochs, epochs.events[:, 2])
    source = load_checkpoint(small_checkpoint).model.state_dict()
    for name, tensor in fitted.backbone_.state_dict().items():
        if name != "content.log_scale.weight":  # decays, without a gradient
            assert torch.equal(tensor, source[name]) != is_used(name), name
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == digests
    assert sorted(small_checkpoint.iterdir()) == files


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("pooling", ["mean", "mean+std", "flatten"])
def test_training_starts_from_the_probe(small_checkpoint, pooling, n_classes):
    """With no step taken, the network predicts what the probe predicts."""
    epochs = obvious_epochs(24)
    y = np.arange(24) % n_classes
    shared = {"pooling": pooling, "validation_fraction": 0}
    probe = make(small_checkpoint, adaptation="probe", **shared).fit(epochs, y)
    tuned = make(small_checkpoint, max_epochs=1, learning_rate=1e-12, **shared).fit(epochs, y)
    np.testing.assert_allclose(
        tuned.predict_proba(epochs), probe.predict_proba(epochs), rtol=0, atol=1e-4
    )


def test_training_a_regressor_starts_from_the_probe(small_checkpoint):
    """The same for a continuous target."""
    epochs, y = obvious_epochs(24), np.linspace(-5, 20, 24)
    shared = {"validation_fraction": 0}
    probe = adapted(BrainOFRegressor, small_checkpoint).fit(epochs, y)
    tuned = adapted(
        BrainOFRegressor, small_checkpoint, "full", max_epochs=1, learning_rate=1e-12, **shared
    ).fit(epochs, y)
    np.testing.assert_allclose(tuned.predict(epochs), probe.predict(epochs), rtol=0, atol=1e-2)


# ------------------------------------------------------------------------------ optimiser


def test_rates_fall_with_distance(small_checkpoint):
    """The head learns fastest, tokens and resampler slowest; norms and biases do not decay."""
    network, _ = make_parts(small_checkpoint, noise_epochs(2))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    optimizer = make_optimizer(network, settings(learning_rate=1.0, weight_decay=0.1))
    found = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    rate = {name: lr for name, (lr, _) in found.items()}
    assert rate["weights.0"] == rate["biases.0"] == 1.0
    assert rate["backbone.norm.weight"] == 0.5
    layers = {lr for name, lr in rate.items() if name.startswith("backbone.layers.1.")}
    assert layers == {0.5}
    assert {lr for n, lr in rate.items() if n.startswith("backbone.layers.0.")} == {0.25}
    for part in ("encoder.", "content.", "place.", "latents"):
        assert {lr for n, lr in rate.items() if n.startswith(f"backbone.{part}")} == {0.125}
    assert optimizer.param_groups[-1]["lr"] == 1.0  # the rate that history_ shows
    assert not any(".decoder." in name for name in found)
    for name, parameter in network.named_parameters():
        if name in found:
            kind = "weight" if name == "weights.0" else name.split(".")[-1]
            is_matrix = parameter.ndim > 1 and kind in ("weight", "gate_up", "down")
            assert found[name][1] == (0.1 if is_matrix else 0.0), name
    routed = [name for name in found if "experts" in name]
    assert routed and all(found[name][1] == 0.1 for name in routed)


def test_schedule():
    """Linear warm-up, then half a cosine down to zero."""
    rates = np.array([learning_rate_at(step, 100) for step in range(101)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert (np.diff(rates[10:]) < 0).all() and rates[10] == 1.0 and rates[100] == 0.0
    assert learning_rate_at(0, 1) == 1.0


def train_on(network, blocks, targets, train, valid=(), **kwargs):
    """Train with equal weights; returns the history."""
    valid = np.array(valid, dtype=int)
    weight = torch.ones(len(targets))
    task = TrainingData(blocks, targets, weight, np.array(train), valid, batch_size=8)
    return fit_network(network, task, settings(**kwargs))


@pytest.mark.parametrize("kind", ["eeg", "eeg+meg"])
@pytest.mark.parametrize("how", ["last layer", "lora", "augmented"])
def test_sharing_the_frozen_part_changes_nothing(how, kind, small_checkpoint, monkeypatch):
    """Equal to running all layers in each step, with the weight of the balance of all gates."""
    parts = [noise_epochs(8, seed=i, kind=k) for i, k in enumerate(("eeg", kind))]
    y = np.concatenate([epochs.events[:, 2] for epochs in parts])
    X = [from_epochs(epochs) for epochs in parts]
    options = {"max_epochs": 3, "learning_rate": 1e-2, "refit": False}
    options["augmentation"] = "default" if how == "augmented" else None
    adaptation = LoRA(rank=2, **options) if how == "lora" else FineTuning(1, **options)
    decoder = BrainOFClassifier(
        small_checkpoint, adaptation=adaptation, features="latents", batch_size=8, pooling="mean"
    )
    calls, begin = [], BrainOF.begin

    def counted(self, tokens, routing=None, n_layers=0):
        calls.append(n_layers)
        return begin(self, tokens, routing, n_layers)

    monkeypatch.setattr(BrainOF, "begin", counted)
    found = decoder.fit(X, y)
    n_shared, outputs = len(calls), found.decoder_.outputs(found.encoder_.samples(X))
    history = found.history_
    monkeypatch.setattr(Network, "n_frozen", None)
    calls.clear()
    slow = decoder.fit(X, y)
    assert n_shared < len(calls)
    pd.testing.assert_frame_equal(history, slow.history_, rtol=1e-4, atol=1e-5)
    expected = slow.decoder_.outputs(slow.encoder_.samples(X))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-4)


def test_gradients_are_clipped(small_checkpoint, monkeypatch):
    """Absurd targets: what the optimiser gets has a norm of 1 at most."""
    norms = []

    def note(optimizer, args, kwargs):
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.stack([g.norm() for g in grads if g is not None]).norm().item())

    def spy(network, settings):
        optimizer = make_optimizer(network, settings)
        optimizer.register_step_pre_hook(note)
        return optimizer

    monkeypatch.setattr(finetune, "make_optimizer", spy)
    network, blocks = make_parts(small_checkpoint, noise_epochs(8), n_outputs=1)
    train_on(network, blocks, torch.full((8,), 1e6), np.arange(8))
    assert len(norms) == 6 and max(norms) <= 1 + 1e-4 and min(norms) > 0.99


def test_given_backbone_is_copied(small_checkpoint):
    """Training a network leaves the backbone it was made from as it was."""
    model = load_checkpoint(small_checkpoint).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network, blocks = make_parts(model, noise_epochs(8), n_outputs=1)
    train_on(network, blocks, torch.arange(8.0), np.arange(8))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(network.backbone.latents, model.latents)


def test_watched_samples_are_not_trained_on(small_checkpoint):
    """Other targets of the watched samples change what is watched, and nothing of the training."""
    train, valid, histories = np.arange(10), np.arange(10, 16), []
    for shift in (0.0, 3.0):
        network, blocks = make_parts(small_checkpoint, noise_epochs(16), n_outputs=1)
        targets = torch.linspace(-1, 1, 16)
        targets[10:] += shift
        history = train_on(network, blocks, targets, train, valid, max_epochs=3)
        histories.append(pd.DataFrame(history))
    first, second = histories
    np.testing.assert_array_equal(first["train_loss"][1:], second["train_loss"][1:])
    assert (first["valid_loss"] != second["valid_loss"]).all()


# ------------------------------------------------------------- history, stopping, restoring


def test_history(small_checkpoint):
    """A DataFrame with one row per epoch, and one for the state before training."""
    epochs = obvious_epochs(24)
    history = make(small_checkpoint, max_epochs=5).fit(epochs, epochs.events[:, 2]).history_
    assert isinstance(history, pd.DataFrame)
    assert list(history.columns) == ["epoch", "train_loss", "valid_loss", "learning_rate"]
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.isnan(history["train_loss"][0]) and history["train_loss"][1:].notna().all()
    assert history["valid_loss"].iloc[-1] < 0.8 * history["valid_loss"][0]
    assert history["learning_rate"].iloc[-1] == pytest.approx(0.0, abs=1e-12)


def test_best_weights_are_restored(small_checkpoint):
    """Some watched labels are wrong, so confidence costs: the best epoch is neither end's."""
    epochs = obvious_epochs(40)
    network, blocks = make_parts(small_checkpoint, epochs)
    targets = torch.as_tensor(epochs.events[:, 2] - 1)
    train, valid = np.arange(30), np.arange(30, 40)
    targets[:33][30:] = 1 - targets[30:33]
    kwargs = {"max_epochs": 10, "patience": 20, "learning_rate": 0.01}
    history = train_on(network, blocks, targets, train, valid, **kwargs)
    losses = [record["valid_loss"] for record in history]
    best = int(np.argmin(losses))
    assert 0 < best < 10 and losses[-1] > losses[best] + 0.02 < losses[0]  # guard
    outputs = predict_outputs(network, blocks, 40, 8, only=valid)
    assert torch.isnan(outputs[:30]).all()
    assert float(F.cross_entropy(outputs[valid], targets[valid])) == pytest.approx(losses[best])
    assert not network.training


def test_early_stopping(small_checkpoint):
    """Noise: training ends ``patience`` epochs after the best one."""
    epochs = noise_epochs(40)
    fitted = make(small_checkpoint, max_epochs=30, patience=2, learning_rate=0.01)
    history = fitted.fit(epochs, epochs.events[:, 2]).history_
    best = int(history["valid_loss"].idxmin())
    assert len(history) == best + 3 < 31


def test_without_validation(small_checkpoint):
    """``validation_fraction=0``: all epochs are run on all samples, nothing is watched."""
    epochs = noise_epochs(16)
    fitted = make(small_checkpoint, validation_fraction=0, max_epochs=3, patience=1)
    history = fitted.fit(epochs, epochs.events[:, 2]).history_
    assert len(history) == 4 and history["valid_loss"].isna().all()


@pytest.fixture
def splits_seen(monkeypatch):
    """Training and validation samples of every fine-tuning run."""
    seen, original = [], training.fit_network

    def spy(network, task, *args, **kwargs):
        seen.append((task.train, task.valid, network))
        return original(network, task, *args, **kwargs)

    monkeypatch.setattr(training, "fit_network", spy)
    return seen


@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_inner_split_respects_groups(kind, small_checkpoint, splits_seen):
    """Early stopping watches whole groups, about the share that was asked for."""
    epochs, groups = noise_epochs(40), np.array(list("abcdefgh") * 5)
    full = {"adaptation": "full", "max_epochs": 1, "validation_fraction": 0.25, "refit": False}
    adapted(kind, small_checkpoint, **full).fit(epochs, epochs.events[:, 2], groups=groups)
    adapted(kind, small_checkpoint, **full).fit(epochs, epochs.events[:, 2])
    (train, valid, _), (_, ungrouped, _) = splits_seen
    assert not set(groups[train]) & set(groups[valid])
    np.testing.assert_array_equal(np.sort(np.r_[train, valid]), np.arange(40))
    assert len(valid) == 10 and len(ungrouped) == 10
    assert len(set(groups[ungrouped])) > 2  # guard: without groups they would be divided


def test_scales_come_from_training_samples(small_checkpoint, splits_seen):
    """Samples that are watched do not steer the standardisation of the features."""
    epochs = noise_epochs(20)
    fitted = make(small_checkpoint, max_epochs=1, refit=False).fit(epochs, epochs.events[:, 2])
    train, _, _ = splits_seen[0]
    features = BrainOFEmbedder(small_checkpoint).fit_transform(epochs)
    np.testing.assert_allclose(
        fitted.decoder_.network.mean, features[train].mean(axis=0), atol=1e-5
    )
    assert np.abs(fitted.decoder_.network.mean.numpy() - features.mean(axis=0)).max() > 1e-3


def test_class_weight_changes_the_loss(small_checkpoint):
    """The loss that is watched is the weighted one."""
    epochs, y = noise_epochs(20), np.arange(20) % 4 == 0
    losses = {}
    for weight in (None, {True: 9.0}):
        fitted = make(small_checkpoint, class_weight=weight, random_state=0).fit(epochs, y)
        losses[str(weight)] = fitted.history_["train_loss"].to_numpy()[1:]
    assert np.abs(losses["None"] - losses["{True: 9.0}"]).max() > 1e-3


# --------------------------------------------------------------------- tokens of mixtures


def test_training_sees_what_prediction_sees(small_checkpoint):
    """Batches gathered across montages and modalities give the outputs of each block alone."""
    X = [
        raw(0),
        raw(1, sfreq=200.0),
        raw(2, n_channels=3, duration=2.5),
        raw(3, kind="meg"),
        raw(4, kind="eeg+meg", duration=12.0),
        noise_epochs(3),
    ]
    network, blocks = make_parts(small_checkpoint, X, n_outputs=3)
    with torch.no_grad():
        network.weights[0].normal_(generator=torch.Generator().manual_seed(0))
    index = np.array(
        [(b, row, s) for b, blk in enumerate(blocks) for row, s in enumerate(blk.sample)]
    )
    rng = np.random.default_rng(0)
    n_samples = count_samples(open_samples(X))
    total, count = np.zeros((n_samples, 3)), np.zeros((n_samples, 1))
    for part in np.array_split(rng.permutation(len(index)), 3):
        batch = index[np.sort(part)]
        with torch.no_grad():
            outputs = network(gather_tokens(blocks, batch[:, :2])).numpy()
        np.add.at(total, batch[:, 2], outputs)
        np.add.at(count, batch[:, 2], 1)
    assert count.ravel().tolist() == [1, 1, 1, 2, 6, 1, 1, 1]
    expected = predict_outputs(network, blocks, n_samples, batch_size=4)
    np.testing.assert_allclose(total / count, expected, rtol=0, atol=1e-4)


def test_fine_tuning_on_mixtures(small_checkpoint):
    """Recordings of unequal montage, length and modality train one network."""
    X = [raw(i, kind=kind) for i in range(4) for kind in ("eeg", "meg", "eeg+meg")]
    y = np.repeat([0, 1], 6)
    fitted = make(small_checkpoint, max_epochs=1).fit(X, y)
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert fitted.history_["train_loss"].notna().sum() == 1


# -------------------------------------------------------------------------------- saving


@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_saved_backbone_is_the_tuned_one(kind, small_checkpoint, tmp_path):
    """Bitwise the embedding of the fine-tuned network; the manifest says so, and of whom."""
    epochs = obvious_epochs(16)
    epochs.info["subject_info"] = {"his_id": "sub-07"}
    fitted = adapted(kind, small_checkpoint, "full", max_epochs=2, validation_fraction=0)
    fitted.fit(epochs, epochs.events[:, 2])
    fitted.save_pretrained(tmp_path / "tuned")
    rows = BrainOFEmbedder(tmp_path / "tuned").fit_transform(epochs)
    np.testing.assert_array_equal(rows, fitted.encoder_.embed(epochs))
    assert np.abs(rows - BrainOFEmbedder(small_checkpoint).fit_transform(epochs)).max() > 1e-3
    manifest = load_checkpoint(tmp_path / "tuned").manifest
    assert manifest["fine_tuned"] is True and manifest["datasets"] == ["simulated"]
    assert manifest["subjects"] == [hash_subject("07")]
    again = adapted(kind, tmp_path / "tuned", "full", max_epochs=1)
    assert again.fit(epochs, epochs.events[:, 2]).predict(epochs).shape == (16,)


def test_refit_with_the_other_adaptation(small_checkpoint, tmp_path):
    """What one adaptation left does not survive the other."""
    epochs = noise_epochs(12)
    y = epochs.events[:, 2]
    classifier = make(small_checkpoint, max_epochs=1).fit(epochs, y)
    classifier.set_params(adaptation="probe").fit(epochs, y)
    assert classifier.decoder_.network is None and not hasattr(classifier, "history_")
    expected = make(small_checkpoint, adaptation="probe").fit(epochs, y).predict_proba(epochs)
    np.testing.assert_array_equal(classifier.predict_proba(epochs), expected)
    classifier.save_pretrained(tmp_path / "plain")
    assert "fine_tuned" not in load_checkpoint(tmp_path / "plain").manifest
    classifier.set_params(adaptation="full").fit(epochs, y)
    assert not hasattr(classifier, "head_")
