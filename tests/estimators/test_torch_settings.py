"""The same numbers whatever the caller has set in torch, and his settings as they were."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from simulated import adapted, noise_epochs, obvious_epochs
from torch_settings import ALL_SETTINGS, SETTINGS, current_settings

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from brainof_toolbox.estimators import BrainOFModule

CLOSE = {"rtol": 0, "atol": 1e-5}


def check(compute, wanted, setting):
    """Compare under a setting, which must be there afterwards too."""
    with SETTINGS[setting]():
        before = current_settings()
        found = compute()
        assert current_settings() == before
    np.testing.assert_allclose(found, wanted, **CLOSE)


@pytest.fixture(scope="module")
def wanted(small_checkpoint):
    """Rows, and what fine-tuned estimators predict, with torch as it is."""
    return {name: compute(small_checkpoint) for name, compute in COMPUTED.items()}


def rows(checkpoint):
    """Rows of a new embedder."""
    return BrainOFEmbedder(checkpoint).fit_transform(noise_epochs(4))


def untrained(checkpoint):
    """Rows of a network that is drawn, not loaded."""
    with pytest.warns(RuntimeWarning, match="untrained"):
        return BrainOFEmbedder(None, pooling="mean").fit_transform(noise_epochs(2))


def tuned(checkpoint, kind=BrainOFClassifier, adaptation="lora", method="predict_proba"):
    """Predictions of a fine-tuned network."""
    X = obvious_epochs(10)
    model = adapted(kind, checkpoint, adaptation, pooling="mean", max_epochs=1, refit=False)
    return getattr(model.fit(X, X.events[:, 2]), method)(X)


COMPUTED = {
    "rows": rows,
    "untrained": untrained,
    "lora": tuned,
    "full": lambda checkpoint: tuned(checkpoint, BrainOFRegressor, "full", "predict"),
}


@pytest.mark.parametrize("setting", ALL_SETTINGS)
@pytest.mark.parametrize("name", COMPUTED)
def test_numbers_do_not_depend_on_settings(name, setting, small_checkpoint, wanted):
    check(lambda: COMPUTED[name](small_checkpoint), wanted[name], setting)


@pytest.mark.parametrize("setting", ALL_SETTINGS)
def test_networks_go_on_outside(setting, small_checkpoint, tmp_path):
    """What was fitted and saved under a setting trains on, loads and explains without it."""
    X = obvious_epochs(10)
    y = X.events[:, 2]
    options = {"adaptation": "lora", "pooling": "mean", "max_epochs": 1, "refit": False}
    with SETTINGS[setting]():
        model = adapted(BrainOFClassifier, small_checkpoint, **options).fit(X, y)
        model.partial_fit(X, y)
        model.save_adapter(tmp_path / "adapter")
        model.save_pretrained(tmp_path / "network")
        other = adapted(BrainOFClassifier, small_checkpoint, **options)
        other.load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(other.predict_proba(X), model.predict_proba(X), **CLOSE)
    BrainOFClassifier(tmp_path / "network", pooling="mean").fit(X, y)
    other.partial_fit(X, y)
    parameters = [*model.backbone_.parameters(), *other.backbone_.parameters()]
    assert {(p.device.type, p.dtype) for p in parameters} == {("cpu", torch.float32)}
    assert not any(p.is_inference() for p in parameters)


@pytest.mark.parametrize("setting", ALL_SETTINGS)
def test_modules_are_made_and_trained(setting, small_checkpoint):
    """A module made under a setting is the module made without it, and trains without it."""
    epochs = noise_epochs(3)
    x = torch.as_tensor(epochs.get_data(), dtype=torch.float32)
    make = lambda: BrainOFModule(2, chs_info=epochs.info, checkpoint=small_checkpoint)  # noqa: E731
    plain = make().standardise(x)
    with SETTINGS[setting]():
        before = current_settings()
        module = make().standardise(x)
        assert current_settings() == before
    torch.testing.assert_close(module.state_dict(), plain.state_dict(), rtol=1e-4, atol=1e-5)
    module(x).sum().backward()
    assert module.head.weight.grad is not None and not module.mean.is_inference()


@pytest.mark.parametrize("setting", [name for name in SETTINGS if "attention" not in name])
def test_modules_follow_their_loop(setting, small_checkpoint):
    """In a forward pass gradients, types and precision are those of the caller's loop."""
    epochs = noise_epochs(3)
    x = torch.as_tensor(epochs.get_data(), dtype=torch.float32)
    module = BrainOFModule(2, chs_info=epochs.info, checkpoint=small_checkpoint)
    plain = module(x).detach()
    with SETTINGS[setting]():
        found = module(x)
        assert found.requires_grad == torch.is_grad_enabled()
        assert found.is_inference() == torch.is_inference_mode_enabled()
    is_rounded = setting in ("autocast", "medium precision")
    assert found.dtype == (torch.bfloat16 if setting == "autocast" else torch.float32)
    torch.testing.assert_close(found.detach().float(), plain, rtol=0, atol=1e-5 + 0.1 * is_rounded)


def test_threads_put_settings_back_together(small_checkpoint):
    """Of many threads that come and go, the last one puts back what all of them share."""
    X = noise_epochs(2)
    fitted = BrainOFEmbedder(small_checkpoint).fit(X)
    wanted, found = fitted.transform(X), {}
    with ExitStack() as stack:
        for name in ("float64", "medium precision", "flash attention", "no_grad"):
            stack.enter_context(SETTINGS[name]())
        before = current_settings()
        threads = [
            threading.Thread(target=lambda i=i: found.update({i: fitted.transform(X)}))
            for i in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert current_settings() == before
    assert len(found) == 6
    for rows in found.values():
        np.testing.assert_allclose(rows, wanted, **CLOSE)


def test_settings_are_back_after_an_error(small_checkpoint):
    with SETTINGS["no_grad"](), SETTINGS["float64"](), SETTINGS["autocast"]():
        before = current_settings()
        with pytest.raises(ValueError, match="layers"):
            adapted(BrainOFClassifier, small_checkpoint, "full", n_trainable_layers=99).fit(
                noise_epochs(4), [0, 1, 0, 1]
            )
        assert current_settings() == before
