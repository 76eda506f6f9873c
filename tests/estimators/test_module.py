"""The module in braindecode's convention: the embedder's rows, through a head that is trained."""

from __future__ import annotations

import copy
import pickle

import mne
import numpy as np
import pytest
import torch
from simulated import noise_epochs, obvious_epochs
from torch import nn

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.estimators import BrainOFModule


def as_tensor(epochs):
    return torch.as_tensor(epochs.get_data(copy=True), dtype=torch.float32)


def make(epochs, checkpoint, n_outputs=2, **options):
    options = {"chs_info": epochs.info["chs"], "sfreq": epochs.info["sfreq"], **options}
    return BrainOFModule(n_outputs, checkpoint=checkpoint, **options).eval()


@pytest.mark.parametrize("kind", ["eeg", "meg", "eeg+meg"])
@pytest.mark.parametrize("pooling", ["mean", "mean+std", "flatten"])
def test_equals_the_embedder_through_the_head(small_checkpoint, kind, pooling):
    epochs = noise_epochs(5, kind=kind)
    module = make(epochs, small_checkpoint, 3, chs_info=epochs.info, pooling=pooling)
    x = as_tensor(epochs)
    rows = BrainOFEmbedder(small_checkpoint, pooling=pooling, info=epochs.info).fit_transform(
        x.numpy()
    )
    with torch.no_grad():
        features, found = module.embed(x).numpy(), module(x).numpy()
    np.testing.assert_allclose(features, rows, rtol=1e-4, atol=1e-5)
    weight, bias = (part.detach().numpy() for part in module.head.parameters())
    np.testing.assert_allclose(found, rows @ weight.T + bias, rtol=1e-4, atol=1e-5)
    assert found.shape == (5, 3)


@pytest.mark.parametrize("options", [{"window": 0.5}, {"layer": 1}])
def test_options_are_those_of_the_embedder(small_checkpoint, options):
    epochs = noise_epochs(3, n_times=256)
    x = as_tensor(epochs)
    embedder = BrainOFEmbedder(small_checkpoint, pooling="mean", info=epochs.info, **options)
    with torch.no_grad():
        features = make(epochs, small_checkpoint, **options).embed(x)
        plain = make(epochs, small_checkpoint).embed(x)
    np.testing.assert_allclose(features, embedder.fit_transform(x.numpy()), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(features, plain)


def test_baseline_and_highpass_are_those_of_epochs(small_checkpoint):
    epochs = noise_epochs(3)
    epochs._data += 3e-5  # a level
    epochs.info._unlocked = True
    epochs.info["highpass"] = 1.0
    epochs.baseline = (None, None)
    rows = BrainOFEmbedder(small_checkpoint, pooling="mean").fit_transform(epochs)
    x = as_tensor(epochs)
    with torch.no_grad():
        told = make(epochs, small_checkpoint, has_baseline=True, highpass=1.0).embed(x)
        not_told = make(epochs, small_checkpoint).embed(x)
    np.testing.assert_allclose(told, rows, rtol=1e-4, atol=1e-5)
    assert not np.allclose(not_told, rows, rtol=1e-2)


def test_scale_and_double_precision(small_checkpoint):
    epochs = noise_epochs(3)
    x = as_tensor(epochs)
    with torch.no_grad():
        wanted = make(epochs, small_checkpoint)(x)
        found = make(epochs, small_checkpoint, scale=1e-6)(x.double() * 1e6)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_neighbours_do_not_change_a_row(small_checkpoint):
    epochs = noise_epochs(5)
    module, x = make(epochs, small_checkpoint), as_tensor(epochs)
    with torch.no_grad():
        rows = module(x)
        assert torch.equal(module(x), rows)  # eval mode repeats
        torch.testing.assert_close(module(x.flip(0)).flip(0), rows, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(module(x[2:3]), rows[2:3], rtol=1e-4, atol=1e-5)


def test_channels_that_are_no_data_are_left_out(small_checkpoint):
    epochs = noise_epochs(4)
    wide = epochs.copy()
    extra = mne.create_info(["EOG 001"], epochs.info["sfreq"], "eog", verbose="error")
    data = np.full((4, 1, 128), 1e-3)
    wide.add_channels([mne.EpochsArray(data, extra, epochs.events, verbose="error")])
    with torch.no_grad():
        found = make(wide, small_checkpoint)(as_tensor(wide))
        wanted = make(epochs, small_checkpoint)(as_tensor(epochs))
    torch.testing.assert_close(found, wanted)


# --------------------------------------------------------------------------------------- training


def train(module, x, y, n_epochs=12, rate=3e-3):
    """A loop as in any tutorial of torch."""
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], rate)
    loss_of, losses = nn.CrossEntropyLoss(), []
    module.train()
    for _ in range(n_epochs):
        optimizer.zero_grad()
        loss = loss_of(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    module.eval()
    return losses


def test_a_plain_loop_learns(small_checkpoint, global_rng_untouched):
    epochs = obvious_epochs(24)
    x, y = as_tensor(epochs), torch.as_tensor(epochs.events[:, 2] - 1)
    module = make(epochs, small_checkpoint)
    losses = train(module, x, y)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        assert (module(x).argmax(1) == y).float().mean() > 0.9


def test_gradients_reach_what_is_trained(small_checkpoint):
    epochs = noise_epochs(3)
    module, x = make(epochs, small_checkpoint), as_tensor(epochs).requires_grad_()
    module(x).square().sum().backward()
    used = [name for name, p in module.named_parameters() if p.requires_grad]
    without = [n for n in used if module.get_parameter(n).grad is None]
    assert not without and not any(".decoder." in name for name in used)
    assert x.grad is None  # preprocessing is outside the graph


def test_standardise(small_checkpoint):
    """Training samples have features of mean 0 and squares that add up to 1, whatever the head."""
    epochs = noise_epochs(8)
    module, x = make(epochs, small_checkpoint, pooling="mean+std"), as_tensor(epochs)
    with torch.no_grad():
        assert torch.equal(module(x), module.head(module.embed(x)))  # before: as they are
        assert module.standardise(x) is module
        features = module.embed(x)
        z = (features - features.mean(0)) / features.std(0, correction=0)
        z = z / z.shape[1] ** 0.5
        torch.testing.assert_close(module(x), module.head(z), rtol=1e-3, atol=1e-4)
        other = make(epochs, small_checkpoint, pooling="mean+std", random_state=1)
        other.load_state_dict(module.state_dict())
        assert torch.equal(other(x), module(x))
    assert not {"mean", "rate"} & {name for name, _ in module.named_parameters()}


def test_head_alone(small_checkpoint):
    epochs = noise_epochs(4)
    module = make(epochs, small_checkpoint, trainable="head")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    train(module, as_tensor(epochs), torch.tensor([0, 1, 0, 1]), 2)
    changed = [n for n, t in module.state_dict().items() if not torch.equal(t, before[n])]
    assert changed == ["head.weight", "head.bias"]


def test_state_dict_copies_and_pickles(small_checkpoint, other_checkpoint):
    epochs = noise_epochs(4)
    x = as_tensor(epochs)
    module = make(epochs, small_checkpoint)
    train(module, x, torch.tensor([0, 1, 0, 1]), 2)
    other = make(epochs, other_checkpoint, random_state=3)
    with torch.no_grad():
        rows = module(x)
        assert not torch.allclose(other(x), rows)
        other.load_state_dict(module.state_dict())
        assert torch.equal(other(x), rows)
        assert torch.equal(copy.deepcopy(module)(x), rows)
        assert torch.equal(pickle.loads(pickle.dumps(module))(x), rows)


def test_seeds(small_checkpoint, global_rng_untouched):
    epochs = noise_epochs(2)
    weights = [
        make(epochs, small_checkpoint, random_state=seed).head.weight for seed in (0, None, 1)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    bound = weights[0].shape[1] ** -0.5
    assert weights[0].abs().max() <= bound and weights[0].std() > 0.4 * bound
    untrained = [make(epochs, None, random_state=seed) for seed in (0, 0, 1)]
    latents = [module.backbone.latents for module in untrained]
    assert torch.equal(latents[0], latents[1]) and not torch.equal(latents[0], latents[2])


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chs_info": None}, ValueError, "chs_info is missing.*module__chs_info"),
        ({"chs_info": ["Fz", "Cz"]}, TypeError, r"list of the dicts in mne.Info\['chs'\]"),
        ({"n_chans": 7}, ValueError, "n_chans=7, but chs_info has 6"),
        ({"sfreq": None}, ValueError, "sfreq is missing"),
        ({"sfreq": -1.0}, ValueError, "sfreq"),
        ({"n_times": 128, "input_window_seconds": 2.0}, ValueError, "do not agree"),
        ({"pooling": "max"}, ValueError, "pooling"),
        ({"trainable": "some"}, ValueError, "trainable"),
        ({"layer": 9}, ValueError, "layer"),
        ({"scale": 0}, ValueError, "scale"),
        ({"n_outputs": 0}, ValueError, "n_outputs"),
        ({"checkpoint": "no-such"}, ValueError, "no checkpoint 'no-such'"),
    ],
)
def test_refuses_nonsense(small_checkpoint, options, error, message):
    epochs = noise_epochs(2)
    with pytest.raises(error, match=message):
        make(epochs, **{"checkpoint": small_checkpoint, **options})


def test_refuses_missing_positions(small_checkpoint):
    epochs = noise_epochs(2)
    chs = copy.deepcopy(epochs.info["chs"])
    chs[2]["loc"][:] = np.nan
    chs[2]["ch_name"] = "X9"
    with pytest.raises(ValueError, match="1 channel without a position.*X9"):
        make(epochs, small_checkpoint, chs_info=chs)
    with pytest.warns(RuntimeWarning, match="placed by order"):
        module = make(epochs, small_checkpoint, chs_info=chs, missing_positions="placeholder")
    assert module(as_tensor(epochs)).shape == (2, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x: x[:, :5], ValueError, r"\(batch, 6, 128\).*\(24, 5, 128\)"),
        (lambda x: x[:, :, :100], ValueError, r"\(24, 6, 100\)"),
        (lambda x: x[0], ValueError, r"got \(6, 128\)"),
        (lambda x: x[:0], ValueError, "none empty"),
        (lambda x: x.half(), TypeError, "float16"),
        (lambda x: x.numpy(), TypeError, "got ndarray"),
        (
            lambda x: x * 1e6,
            ValueError,
            "x times scale=1: eeg .* impossible for volt.*scale=.*1e-6",
        ),
        (lambda x: x * torch.nan, ValueError, "NaN"),
    ],
)
def test_refuses_wrong_batches(small_checkpoint, change, error, message):
    epochs = noise_epochs()
    module = make(epochs, small_checkpoint, n_times=128)
    with pytest.raises(error, match=message):
        module(change(as_tensor(epochs)))


# ----------------------------------------------------------------------------------- with others


def test_skorch(small_checkpoint):
    skorch = pytest.importorskip("skorch", reason="skorch is not installed")
    from sklearn.model_selection import cross_val_score

    epochs = obvious_epochs(24)
    net = skorch.NeuralNetClassifier(
        BrainOFModule,
        module__n_outputs=2,
        module__chs_info=epochs.info["chs"],
        module__sfreq=epochs.info["sfreq"],
        module__checkpoint=small_checkpoint,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=3e-3,
        max_epochs=5,
        batch_size=4,
        train_split=None,
        verbose=0,
    )
    X, y = as_tensor(epochs).numpy(), epochs.events[:, 2] - 1
    assert cross_val_score(net, X, y, cv=2).mean() > 0.7
    net.fit(X, y)
    assert net.predict_proba(X).shape == (24, 2)
    np.testing.assert_allclose(net.predict_proba(X).sum(1), 1, rtol=1e-5)


def test_braindecode(small_checkpoint):
    """It infers the channels of epochs, and reads them in microvolts."""
    braindecode = pytest.importorskip("braindecode", reason="braindecode is not installed")

    epochs = obvious_epochs(24)
    net = braindecode.EEGClassifier(
        BrainOFModule,
        module__checkpoint=small_checkpoint,
        module__scale=1e-6,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=3e-3,
        max_epochs=5,
        batch_size=4,
        train_split=None,
        verbose=0,
    )
    y = epochs.events[:, 2] - 1
    net.fit(epochs, y)
    assert net.score(epochs, y) > 0.8
