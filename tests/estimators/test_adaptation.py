"""Ways of adapting: depth, heads, last layers, weights, going on, and pictures of it."""

from __future__ import annotations

import pickle

import matplotlib
import numpy as np
import pytest
import torch
from simulated import adapted, crossed, noise_epochs, obvious_epochs, raw
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from brainof_toolbox.encoder.tokens import batch_tokens
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.estimators import FineTuning, LoRA, heads
from brainof_toolbox.estimators.finetune import TrainingData, freeze
from brainof_toolbox.estimators.heads import (
    fit_head,
)
from brainof_toolbox.estimators.network import make_network
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.preprocessing import Preprocessing

KINDS = [BrainOFClassifier, BrainOFRegressor]
FAST = {"max_epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "augmentation": None}
TRAINED = [{"adaptation": "lora", **FAST}, {"adaptation": "full", **FAST}]
IDS = ["lora", "full"]
WAYS = dict(zip(IDS, TRAINED, strict=True))


@pytest.fixture(scope="module")
def epochs():
    return obvious_epochs(24)


@pytest.fixture(scope="module")
def y(epochs):
    return epochs.events[:, 2]


# --------------------------------------------------------------------------------- depth


def test_depth(small_checkpoint, epochs):
    """Layer by layer what the network computes; after the last one, what it gives."""
    model = load_checkpoint(small_checkpoint).model
    (block,) = iter_windows(open_samples(epochs), Preprocessing())
    tokens = batch_tokens(block, np.arange(len(epochs)))
    with torch.inference_mode():
        (part,) = tokens
        latents = model.latents.expand(len(part), -1, -1)
        latents = model.encoder(latents, model.place(part), model.content(part), part.is_padding)
        for depth in range(3):
            rows = BrainOFEmbedder(small_checkpoint, layer=depth).fit_transform(epochs)
            expected = model.norm(latents).flatten(1)
            np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)
            if depth < 2:
                latents = model.layers[depth](latents)
    np.testing.assert_array_equal(rows, BrainOFEmbedder(small_checkpoint).fit_transform(epochs))


@pytest.mark.parametrize("layer, error", [(3, ValueError), (-4, ValueError), (1.0, TypeError)])
@pytest.mark.parametrize("kind", [BrainOFEmbedder, BrainOFClassifier])
def test_no_such_depth(kind, layer, error, small_checkpoint, epochs, y):
    """There are two layers."""
    with pytest.raises(
        error, match="'layer' must be a whole number( of at least -3 and at most 2)?, got"
    ):
        kind(small_checkpoint, layer=layer).fit(epochs, y)


def test_search_chooses_the_depth(small_checkpoint, epochs, y):
    """Depth is a parameter like any other, also inside a pipeline."""
    grid = {"layer": [0, 1, 2]}
    decoder = BrainOFClassifier(small_checkpoint, features="latents")
    search = GridSearchCV(decoder, grid, cv=3).fit(epochs, y)
    assert search.best_params_["layer"] in grid["layer"]
    assert len(np.unique(search.cv_results_["mean_test_score"])) >= 1
    pipeline = make_pipeline(BrainOFEmbedder(small_checkpoint), MLPClassifier((4,), max_iter=5))
    grid = {"brainofembedder__layer": [0, None]}
    with pytest.warns(Warning, match="Maximum iterations"):
        GridSearchCV(pipeline, grid, cv=2).fit(epochs, y)


@pytest.mark.parametrize("how", TRAINED, ids=IDS)
def test_deeper_layers_are_left_alone(how, small_checkpoint, epochs, y):
    """What is not run is not trained, and predictions go through what is run."""
    fitted = adapted(BrainOFClassifier, small_checkpoint, layer=1, validation_fraction=0, **how)
    fitted.fit(epochs, y)
    source = load_checkpoint(small_checkpoint).model.state_dict()
    state = fitted.backbone_.state_dict()
    for name, tensor in state.items():
        if name.startswith("layers.1."):
            assert torch.equal(tensor, source[name]), name
    assert not torch.equal(
        state["layers.0.attention.qkv.weight"], source["layers.0.attention.qkv.weight"]
    )
    assert (fitted.predict(epochs) == y).mean() > 0.9


# --------------------------------------------------------------------------- last layers


def test_last_layers(small_checkpoint, epochs, y):
    """One layer, the norm and the head are trained; the rest is the checkpoint's."""
    how = {"adaptation": "full", "validation_fraction": 0, "n_trainable_layers": 1, **FAST}
    fitted = adapted(BrainOFClassifier, small_checkpoint, **how).fit(epochs, y)
    source = load_checkpoint(small_checkpoint).model.state_dict()
    moved = {
        name
        for name, tensor in fitted.backbone_.state_dict().items()
        if not torch.equal(tensor, source[name])
    }
    assert moved and all(name.startswith(("layers.1.", "norm.")) for name in moved)
    assert "norm.weight" in moved and "layers.1.attention.qkv.weight" in moved


def test_freezing_needs_no_gradients(small_checkpoint, epochs, y):
    """Autograd keeps nothing of what comes before: that is what makes it cheap."""
    probe = BrainOFClassifier(small_checkpoint, features="latents").fit(epochs, y)
    network = make_network(probe.encoder_, probe.head_)
    freeze(network, 1)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {"weights.0", "biases.0", "backbone.norm.weight"} <= trained
    assert not any("layers.0" in name or "encoder" in name for name in trained)


@pytest.mark.parametrize("n_layers", [0, -1, "last:1", 1.0])
def test_n_trainable_layers_refuses(n_layers, small_checkpoint, epochs, y):
    adaptation = FineTuning(n_trainable_layers=n_layers)
    with pytest.raises((ValueError, TypeError), match="'n_trainable_layers' must be a whole"):
        BrainOFClassifier(small_checkpoint, adaptation=adaptation).fit(epochs, y)


def test_more_layers_than_there_are(small_checkpoint, epochs, y):
    with pytest.raises(ValueError, match="more layers than the 2 that are run"):
        adapted(BrainOFClassifier, small_checkpoint, "full", n_trainable_layers=3).fit(epochs, y)


# ---------------------------------------------------------------------------------- heads


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_head_as_a_network(kind, n_classes, small_checkpoint, epochs):
    """A network with the head of the probe says what the probe says."""
    y = np.arange(24) % n_classes
    probe = adapted(BrainOFClassifier, small_checkpoint, head=kind).fit(epochs, y)
    assert len(probe.head_.latent_layers()[2]) == (2 if kind == "mlp" else 1)
    network = probe.decoder_.as_network()
    (block,) = iter_windows(open_samples(epochs), Preprocessing())
    with torch.inference_mode():
        outputs = network(batch_tokens(block, np.arange(24)))
    np.testing.assert_allclose(outputs.softmax(-1), probe.predict_proba(epochs), rtol=0, atol=1e-4)


def test_regression_head_as_a_network(small_checkpoint, epochs):
    probe = adapted(BrainOFRegressor, small_checkpoint, head="mlp").fit(epochs, np.arange(24.0))
    (block,) = iter_windows(open_samples(epochs), Preprocessing())
    with torch.inference_mode():
        outputs = probe.decoder_.as_network()(batch_tokens(block, np.arange(24)))[:, 0].numpy()
    np.testing.assert_allclose(probe.targets_.decode(outputs), probe.predict(epochs), atol=1e-2)


def test_hidden_units_learn_what_lines_cannot():
    """Exclusive or: a linear head is at chance, the small network is not."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], (200, 2)) + 0.1 * rng.standard_normal((200, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    linear = fit_head(X[:100], y[:100])
    curved = fit_head(X[:100], y[:100], kind="mlp")
    assert linear.score(X[100:], y[100:]) < 0.75 < 0.95 < curved.score(X[100:], y[100:])
    curved = fit_head(X[:100], X[:100, 0] * X[:100, 1], kind="mlp")
    assert curved.score(X[100:], X[100:, 0] * X[100:, 1]) > 0.9


def test_head_refuses(small_checkpoint, epochs, y):
    with pytest.raises(ValueError, match="'head': allowed are 'linear' or 'mlp'"):
        adapted(BrainOFClassifier, small_checkpoint, head="deep").fit(epochs, y)


# -------------------------------------------------------------------------------- weights


def test_whole_weights_are_repetitions():
    """Without inner splits, weight 2 is a sample twice, and weight 0 one that is not there."""
    rng = np.random.default_rng(0)
    X, y, weight = rng.standard_normal((30, 5)), np.arange(30) % 2, rng.integers(0, 3, 30)
    models = [heads.LogisticRegression(C=1.0) for _ in range(3)]
    weighted = heads._fit_head(X, y, weight.astype(float), models, [])
    X2, y2 = np.repeat(X, weight, axis=0), np.repeat(y, weight)
    repeated = heads._fit_head(X2, y2, np.ones(len(y2)), models, [])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), atol=1e-3
    )


def test_whole_weights_are_repetitions_in_the_loss():
    """The same for what networks are trained by, for classes and for numbers."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(10, 2, generator=generator)
    weight, samples = torch.tensor([0.0, 1, 2, 3, 1, 0, 1, 2, 1, 1]), np.arange(10)
    again = np.repeat(samples, weight.int().numpy())
    for targets in (torch.arange(10) % 2, torch.linspace(-1, 1, 10)):
        weighted = TrainingData([], targets, weight, samples).loss(outputs, samples)
        repeated = TrainingData([], targets, torch.ones(10), samples).loss(outputs[again], again)
        torch.testing.assert_close(weighted, repeated)


def test_smoothing_is_of_the_training_loss(small_checkpoint, epochs, y):
    """What is watched is the plain loss; smoothing makes predictions less sure."""
    how = {"adaptation": "full", "max_epochs": 3, "learning_rate": 5e-3, "batch_size": 8}
    sure, unsure = (
        adapted(
            BrainOFClassifier, small_checkpoint, label_smoothing=value, refit=False, **how
        ).fit(epochs, y)
        for value in (0.0, 0.4)
    )
    assert sure.history_["valid_loss"][0] == unsure.history_["valid_loss"][0]
    assert sure.history_["train_loss"][3] < unsure.history_["train_loss"][3]
    top = []
    for fitted in (sure, unsure):  # now for all epochs, wherever the watched loss is best
        fitted.set_params(adaptation__validation_fraction=0).fit(epochs, y)
        top.append(fitted.predict_proba(epochs).max(axis=1).mean())
    assert top[1] < top[0]


@pytest.mark.parametrize("kind, how", crossed(KINDS, {"probe": {"adaptation": "probe"}, **WAYS}))
def test_sample_weight_counts(kind, how, small_checkpoint, epochs):
    """Samples of no weight teach nothing: wrong labels there do no harm."""
    y = epochs.events[:, 2].copy()
    weight = np.ones(24)
    weight[::2], wrong = 0.0, y.copy()
    wrong[::2] = 3 - y[::2]
    right = adapted(kind, small_checkpoint, **how).fit(epochs, wrong, sample_weight=weight)
    fooled = adapted(kind, small_checkpoint, **how).fit(epochs, wrong)
    error = [np.abs(fitted.predict(epochs) - y).mean() for fitted in (right, fooled)]
    assert error[0] < 0.2 and error[0] < error[1]


@pytest.mark.parametrize(
    "weight, match",
    [
        (np.ones(5), "sample_weight has 5 entries but X has 24"),
        (np.zeros(24), "not all 0; got zeros"),
        (np.r_[-1.0, np.ones(23)], "got -1.0 at index 0"),
        (np.r_[1.0, np.nan, np.ones(22)], "got nan at index 1"),
    ],
)
def test_sample_weight_refuses(weight, match, small_checkpoint, epochs, y):
    with pytest.raises(ValueError, match=match):
        BrainOFClassifier(small_checkpoint).fit(epochs, y, sample_weight=weight)


# ------------------------------------------------------------------------ mixed recordings


@pytest.mark.parametrize("kind, how", crossed(KINDS, WAYS))
def test_one_fit_of_many_montages(kind, how, small_checkpoint):
    """Recordings of other montages, rates and lengths are one ``fit``; each row is as alone."""
    X = [
        raw(i, n_channels=n, sfreq=sfreq, duration=seconds)
        for i, (n, sfreq, seconds) in enumerate(
            [(6, 128.0, 4.0), (19, 256.0, 2.0), (3, 500.0, 5.0), (10, 200.0, 12.0)] * 2
        )
    ]
    y, groups = [0, 1] * 4, list("aabbccdd")
    how = {**how, "augmentation": "default"}
    fitted = adapted(kind, small_checkpoint, **how).fit(X, y, groups=groups)
    rows = fitted.predict(X)
    for i in (1, 3):
        np.testing.assert_allclose(fitted.predict([X[i]])[0], rows[i], atol=1e-4)


# -------------------------------------------------------------------------------- refitting


@pytest.mark.parametrize("how", TRAINED, ids=IDS)
def test_refit_uses_watched_samples(how, small_checkpoint):
    """Refitted: what training on all samples for the best number of epochs gives."""
    epochs = obvious_epochs(24, seed=1)
    y = epochs.events[:, 2]
    fitted = adapted(BrainOFClassifier, small_checkpoint, label_smoothing=0, **how).fit(epochs, y)
    best = int(fitted.history_["valid_loss"].idxmin())
    assert best == how["max_epochs"]  # guard: the schedule below ends where this one did
    everything = clone(fitted).set_params(adaptation__validation_fraction=0).fit(epochs, y)
    np.testing.assert_array_equal(fitted.predict_proba(epochs), everything.predict_proba(epochs))
    part = clone(fitted).set_params(adaptation__refit=False).fit(epochs, y)
    assert np.abs(part.predict_proba(epochs) - everything.predict_proba(epochs)).max() > 1e-5


# --------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("kind, how", crossed(KINDS, WAYS))
def test_warm_start_goes_on(kind, how, small_checkpoint, epochs, y):
    """The second fit begins at the loss where the first one ended."""
    fitted = adapted(kind, small_checkpoint, warm_start=True, refit=False, **how)
    first = fitted.fit(epochs, y).history_
    again = pickle.loads(pickle.dumps(fitted))  # also in another process
    second = again.fit(epochs, y).history_
    assert second["valid_loss"][0] == pytest.approx(first["valid_loss"].min(), abs=1e-5)
    assert second["valid_loss"].min() <= second["valid_loss"][0] <= first["valid_loss"][0]
    cold = adapted(kind, small_checkpoint, refit=False, **how)
    cold = cold.fit(epochs, y).fit(epochs, y).history_
    assert cold["valid_loss"][0] == pytest.approx(first["valid_loss"][0])


def test_warm_start_refuses_another_task(small_checkpoint, epochs, y):
    """Other classes, another pooling or adaptation: fit anew."""
    fitted = adapted(BrainOFClassifier, small_checkpoint, warm_start=True, **TRAINED[1]).fit(
        epochs, y
    )
    with pytest.raises(ValueError, match=r"needs the classes of the earlier fit, \[1, 2\]"):
        fitted.fit(epochs, y + 1)
    with pytest.raises(ValueError, match="fit anew with warm_start=False"):
        clone_state(fitted).set_params(pooling="mean").fit(epochs, y)
    with pytest.raises(ValueError, match="earlier fit had another adaptation"):
        clone_state(fitted).set_params(adaptation=LoRA(warm_start=True)).fit(epochs, y)
    assert (fitted.predict(epochs) == y).mean() > 0.9  # still the fitted one


def clone_state(fitted):
    return pickle.loads(pickle.dumps(fitted))


@pytest.mark.parametrize("kind, how", crossed(KINDS, WAYS))
def test_partial_fit(kind, how, small_checkpoint):
    """Pass by pass the effect is learned; the optimiser's moments outlive a pickle."""
    epochs = obvious_epochs(64)
    y = epochs.events[:, 2]
    fitted = adapted(kind, small_checkpoint, **how)
    for part in (slice(0, 12), slice(12, 24), slice(24, 32)):
        fitted = clone_state(fitted).partial_fit(epochs[part], y[part])
    assert len(fitted.history_) == 3 and fitted.history_["epoch"].tolist() == [1, 2, 3]
    assert (np.round(fitted.predict(epochs[32:])) == y[32:]).mean() > 0.8
    straight = adapted(kind, small_checkpoint, **how)
    for part in (slice(0, 12), slice(12, 24), slice(24, 32)):
        straight.partial_fit(epochs[part], y[part])
    np.testing.assert_array_equal(straight.predict(epochs), fitted.predict(epochs))


def test_partial_fit_refuses(small_checkpoint, epochs, y):
    """A probe has nothing to go on from; classes must be there at first, and stay."""
    assert not hasattr(BrainOFClassifier(small_checkpoint), "partial_fit")
    fitted = adapted(BrainOFClassifier, small_checkpoint, **TRAINED[1])
    with pytest.raises(ValueError, match=r"there are none of \[3\]"):
        fitted.partial_fit(epochs, y, classes=[1, 2, 3])
    with pytest.raises(ValueError, match="none of a second one"):
        fitted.partial_fit(epochs, np.ones(24))
    fitted.partial_fit(epochs[:12], y[:12])
    with pytest.raises(ValueError, match=r"y holds \[5\]; the classes are \[1, 2\]"):
        fitted.partial_fit(epochs[:2], [1, 5])
    with pytest.raises(ValueError, match=r"classes must stay \[1, 2\]"):
        fitted.partial_fit(epochs[:2], [1, 2], classes=[1, 2, 3])


# --------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("kind", KINDS)
def test_plot_history(kind, small_checkpoint, epochs, y):
    """A figure with both losses and the best epoch, on given axes or new ones."""
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    fitted = adapted(kind, small_checkpoint, **TRAINED[1]).fit(epochs, y)
    figure, axes = plt.subplots()
    assert fitted.plot_history(axes) is figure
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["training", "validation", "best"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), fitted.history_["valid_loss"])
    assert axes.get_xlabel() == "epoch" and "(" in axes.get_ylabel()
    other = fitted.plot_history()
    assert other is not figure
    plt.close("all")
    with pytest.raises(ValueError, match="There is no history"):
        kind(small_checkpoint).fit(epochs, y).plot_history()


def test_noise_stays_at_chance(small_checkpoint):
    """No way of adapting finds what is not there."""
    epochs = noise_epochs(60)
    y = epochs.events[:, 2]
    for how in ({"head": "mlp"}, *TRAINED):
        fitted = adapted(BrainOFClassifier, small_checkpoint, **how).fit(epochs[:40], y[:40])
        assert 0.2 < (fitted.predict(epochs[40:]) == y[40:]).mean() < 0.8
