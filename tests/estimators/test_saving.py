"""Whole decoders on disk: the same predictions elsewhere, small files, strict reading."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from simulated import atlas, bold, noise_epochs, obvious_epochs

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor, Signals
from brainof_toolbox.estimators import Augmentation, BrainOFModule, FineTuning, LoRA, Probe
from brainof_toolbox.features import Covariance

KINDS = [BrainOFClassifier, BrainOFRegressor]
FAST = {"max_epochs": 1, "augmentation": None}
ADAPTATIONS = {
    "probe": Probe(),
    "mlp": Probe("mlp"),
    "lora": LoRA(rank=2, **FAST),
    "full": FineTuning(1, max_epochs=1, augmentation=Augmentation(noise=0.05)),
}
DECODER = ["decoder.json", "decoder.safetensors"]
CHECKPOINT = ["config.json", "manifest.json", "model.safetensors"]


@pytest.fixture(scope="module")
def epochs():
    return obvious_epochs(16)


def fit(kind, checkpoint, epochs, adaptation="probe", **kwargs):
    estimator = kind(checkpoint, adaptation=ADAPTATIONS[adaptation], pooling="mean", **kwargs)
    return estimator.fit(epochs, epochs.events[:, 2])


def outputs(estimator, X):
    return estimator.decoder_.outputs(estimator.encoder_.samples(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adaptation", list(ADAPTATIONS))
def test_round_trip(kind, adaptation, small_checkpoint, epochs, tmp_path):
    """The backbone inside: equal outputs, equal files when saved again, a checkpoint for all."""
    kwargs = {"features": ["covariance", "latents"]} if adaptation == "mlp" else {}
    kwargs["missing_positions"] = "placeholder"
    fitted = fit(kind, small_checkpoint, epochs, adaptation, **kwargs)
    fitted.save_pretrained(tmp_path / "first")
    again = kind.from_pretrained(tmp_path / "first", batch_size=4)
    np.testing.assert_allclose(outputs(again, epochs), outputs(fitted, epochs), rtol=0, atol=1e-6)
    assert again.targets_.to_dict() == fitted.targets_.to_dict()
    weights = getattr(fitted, "feature_weights_", None)
    assert getattr(again, "feature_weights_", None) == weights
    assert again.missing_positions == "placeholder" and again.batch_size == 4
    assert repr(again.adaptation) == repr(fitted.adaptation)
    again.save_pretrained(tmp_path / "second")
    assert sorted(os.listdir(tmp_path / "second")) == sorted(DECODER + CHECKPOINT)
    for name in ("decoder.safetensors", "model.safetensors"):
        first, second = ((tmp_path / f / name).read_bytes() for f in ("first", "second"))
        assert first == second, name
    rows = BrainOFEmbedder(tmp_path / "first").fit_transform(epochs)
    network = BrainOFEmbedder(small_checkpoint).fit_transform(epochs)
    assert np.array_equal(rows, network) == (adaptation in ("probe", "mlp"))


@pytest.mark.slow
def test_fresh_process(small_checkpoint, epochs, tmp_path):
    """A bundled backbone stays outside; another process predicts the same from small files."""
    decoders = {
        "probe": fit(BrainOFClassifier, "brainof-tiny", epochs),
        "lora": fit(BrainOFClassifier, "brainof-tiny", epochs, "lora"),
        "full": fit(BrainOFRegressor, small_checkpoint, epochs, "full"),
        "explicit": fit(BrainOFRegressor, small_checkpoint, epochs, features="explicit"),
    }
    for name, decoder in decoders.items():
        decoder.save_pretrained(tmp_path / name)
        if name != "full":
            assert sorted(os.listdir(tmp_path / name)) == DECODER
            assert sum(file.stat().st_size for file in (tmp_path / name).iterdir()) < 1e6
    epochs.save(tmp_path / "some-epo.fif", verbose="error")
    code = f"""
import mne, numpy as np
from brainof_toolbox import BrainOFClassifier, BrainOFRegressor
epochs = mne.read_epochs({str(tmp_path / "some-epo.fif")!r}, verbose="error")
found = {{}}
for name, kind in {dict.fromkeys(decoders)!r}.items():
    kind = BrainOFClassifier if name in ("probe", "lora") else BrainOFRegressor
    decoder = kind.from_pretrained({str(tmp_path)!r} + "/" + name)
    found[name] = decoder.decoder_.outputs(decoder.encoder_.samples(epochs))
np.savez({str(tmp_path / "found.npz")!r}, **found)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    import mne

    read = mne.read_epochs(tmp_path / "some-epo.fif", verbose="error")
    with np.load(tmp_path / "found.npz") as found:
        for name, decoder in decoders.items():
            np.testing.assert_allclose(found[name], outputs(decoder, read), rtol=0, atol=1e-6)


def test_parameters_survive(small_checkpoint, epochs, tmp_path):
    """Labels as keys of weights, blocks with parameters of their own, alignment."""
    fitted = BrainOFClassifier(
        small_checkpoint,
        pooling="mean",
        features=["latents", Covariance(n_channels=8)],
        align="subject",
        class_weight={1: 1.0, 2: 3.0},
        window={"eeg": 2.0},
        random_state=3,
    )
    fitted.fit(epochs, epochs.events[:, 2], groups=np.arange(16) // 4)
    fitted.save_pretrained(tmp_path / "x")
    again = BrainOFClassifier.from_pretrained(tmp_path / "x")
    own, other = fitted.get_params(), again.get_params()
    assert {name for name in own if repr(own[name]) != repr(other[name])} == {
        "checkpoint",
        "adaptation",
    }
    with pytest.warns(RuntimeWarning, match="carry no subject"):
        expected = outputs(fitted, epochs)
    with pytest.warns(RuntimeWarning, match="carry no subject"):
        np.testing.assert_allclose(outputs(again, epochs), expected, rtol=0, atol=1e-6)
    assert again.fit(epochs, epochs.events[:, 2], groups=np.arange(16) // 4) is again


def test_training_goes_on(small_checkpoint, epochs, tmp_path):
    """Updates stay apart from their matrices, also where the network is inside."""
    fitted = fit(BrainOFClassifier, small_checkpoint, epochs, "lora")
    fitted.save_pretrained(tmp_path / "x")
    again = BrainOFClassifier.from_pretrained(tmp_path / "x")
    for name, matrix in fitted.decoder_.matrices.items():
        np.testing.assert_array_equal(again.decoder_.matrices[name], matrix)
    y = epochs.events[:, 2]
    expected = outputs(fitted.partial_fit(epochs, y), epochs)
    np.testing.assert_allclose(outputs(again.partial_fit(epochs, y), epochs), expected, atol=1e-5)


def test_maps_have_no_latents(small_checkpoint, tmp_path):
    """The network is a parameter of such a decoder, but none of its blocks."""
    rng = np.random.default_rng(0)
    place = rng.standard_normal((6, 3))
    place = [0, 0, 0.04] + 0.05 * place / np.linalg.norm(place, axis=1, keepdims=True)
    names = [f"region {i}" for i in range(6)]
    data, kinds = rng.standard_normal((12, 6, 1)), ["bold"] * 6
    maps = Signals(data, 0.5, "fmri", names, kinds, place, has_baseline=True)
    fitted = BrainOFClassifier(small_checkpoint).fit(maps, np.arange(12) % 2)
    assert set(fitted.feature_weights_) == {"evoked"}
    fitted.save_pretrained(tmp_path / "x")
    again = BrainOFClassifier.from_pretrained(tmp_path / "x")
    np.testing.assert_allclose(outputs(again, maps), outputs(fitted, maps), rtol=0, atol=1e-6)


def test_masker_must_be_given_again(small_checkpoint, tmp_path):
    """An atlas as an object is not saved."""
    images = [bold(seed) for seed in range(4)]
    fitted = BrainOFClassifier(small_checkpoint, masker=atlas(), pooling="mean")
    fitted.fit(images, [0, 1, 0, 1]).save_pretrained(tmp_path / "x")
    with pytest.raises(ValueError, match="fitted with a masker object.*pass the same as masker="):
        BrainOFClassifier.from_pretrained(tmp_path / "x")
    again = BrainOFClassifier.from_pretrained(tmp_path / "x", masker=atlas())
    np.testing.assert_allclose(outputs(again, images), outputs(fitted, images), atol=1e-6)


@pytest.fixture(scope="module")
def saved(small_checkpoint, epochs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "x"
    fit(BrainOFClassifier, small_checkpoint, epochs).save_pretrained(folder, backbone="outside")
    return folder


@pytest.fixture
def edit(saved, tmp_path):
    """Make a copy of a saved decoder with another description or other tensors."""

    def edit(change=None, tensors=None):
        folder = tmp_path / "edited"
        folder.mkdir(exist_ok=True)
        content = json.loads((saved / DECODER[0]).read_text())
        state = safetensors.torch.load_file(saved / DECODER[1])
        (change or (lambda content: None))(content)
        (tensors or (lambda state: None))(state)
        (folder / DECODER[0]).write_text(json.dumps(content))
        safetensors.torch.save_file(state, folder / DECODER[1])
        return folder

    return edit


DAMAGE = {
    "version": (lambda c: c.update(format_version=2), "format version 2.*Upgrade"),
    "unknown key": (lambda c: c.update(extra=1), r"unknown \['extra'\]"),
    "missing key": (lambda c: c.pop("head"), r"lacks \['head'\]"),
    "code": (lambda c: c.update(auto_map="x"), "requests that code be run"),
    "unknown parameter": (lambda c: c["parameters"].update(x=1), "parameters of a BrainOFClass"),
    "missing parameter": (lambda c: c["parameters"].pop("align"), "parameters of a BrainOFClass"),
    "adaptation": (lambda c: c["parameters"].update(adaptation={"kind": "eval"}), "are damaged"),
    "option": (lambda c: c["parameters"]["adaptation"].update(depth=1), "are damaged"),
    "feature": (lambda c: c["parameters"].update(features=["spectrum"]), "are damaged"),
    "pooling": (lambda c: c["parameters"].update(pooling="max"), "'pooling'"),
    "outputs": (lambda c: c["outputs"].update(classes=[1]), "the outputs are not those"),
    "blocks": (lambda c: c["head"]["weights_"].pop("latents"), "not one of these blocks"),
    "columns": (lambda c: c["explicit"].update(columns={}), "not one of these blocks"),
    "backbone": (lambda c: c.update(backbone=None), "Save the decoder again"),
    "other weights": (lambda c: c["backbone"].update(weights="0"), "another one now.*checkpoint="),
    "preprocessing": (lambda c: c["preprocessing"].update(sfreq=64.0), "another preprocessing"),
    "trained": (lambda c: c.update(is_trained=True), "disagree. Save the decoder again"),
    "aligned": (lambda c: c.update(is_aligned=True), "missing tensors 'centre."),
}
TENSORS = {
    "missing": (lambda s: s.pop("head.intercept"), "missing tensors 'head.intercept'"),
    "extra": (lambda s: s.update(x=s["head.intercept"].clone()), "unexpected tensors 'x'"),
    "misshaped": (lambda s: s.update({"head.intercept": s["head.intercept"][:1]}), "has shape"),
    "not finite": (lambda s: s["head.intercept"].fill_(np.nan), "NaN or Inf"),
}


@pytest.mark.parametrize("case", list(DAMAGE))
def test_damaged_descriptions_are_refused(case, edit):
    change, match = DAMAGE[case]
    with pytest.raises(ValueError, match=match):
        BrainOFClassifier.from_pretrained(edit(change))


@pytest.mark.parametrize("case", list(TENSORS))
def test_damaged_tensors_are_refused(case, edit):
    tensors, match = TENSORS[case]
    with pytest.raises(ValueError, match=match):
        BrainOFClassifier.from_pretrained(edit(tensors=tensors))


def test_misuse_is_refused(saved, small_checkpoint, other_checkpoint, epochs, tmp_path):
    with pytest.raises(ValueError, match="holds a BrainOFClassifier, not a BrainOFRegr"):
        BrainOFRegressor.from_pretrained(saved)
    with pytest.raises(ValueError, match="takes info, masker.*got align"):
        BrainOFClassifier.from_pretrained(saved, align="subject")
    with pytest.raises(ValueError, match="has weights .* another one now"):
        BrainOFClassifier.from_pretrained(saved, checkpoint=other_checkpoint)
    with pytest.raises(FileNotFoundError, match="decoder.json is missing"):
        BrainOFClassifier.from_pretrained(small_checkpoint)
    tuned = fit(BrainOFClassifier, small_checkpoint, epochs, "full")
    with pytest.raises(ValueError, match="in no other checkpoint"):
        tuned.save_pretrained(tmp_path / "x", backbone="outside")
    assert not (tmp_path / "x").exists()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "notes.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds other files \(notes.txt\)"):
        tuned.save_pretrained(tmp_path / "y")


# ------------------------------------------------------------------------- modules of torch


def batch(epochs):
    return torch.as_tensor(epochs.get_data(copy=True))


@pytest.mark.parametrize("kind", ["eeg", "eeg+meg"])
def test_modules(kind, small_checkpoint, tmp_path):
    """Channels, bad ones, head and statistics come back; a trained backbone is inside."""
    epochs = noise_epochs(4, kind=kind)
    epochs.info["bads"] = epochs.ch_names[:1]
    options = {"chs_info": epochs.info, "checkpoint": small_checkpoint, "highpass": 0.5}
    module = BrainOFModule(3, n_times=128, **options).standardise(batch(epochs))
    module.save_pretrained(tmp_path / "x", backbone="outside")
    assert sorted(os.listdir(tmp_path / "x")) == DECODER
    again = BrainOFModule.from_pretrained(tmp_path / "x")
    assert torch.equal(again(batch(epochs)), module(batch(epochs)))
    assert again.n_times == 128 and again.highpass == 0.5
    module(batch(epochs)).square().sum().backward()
    torch.optim.SGD(module.parameters(), 1e-3).step()
    with pytest.raises(ValueError, match="in no other checkpoint"):
        module.save_pretrained(tmp_path / "x", backbone="outside")
    module.save_pretrained(tmp_path / "x")
    again = BrainOFModule.from_pretrained(tmp_path / "x")
    assert torch.equal(again(batch(epochs)), module(batch(epochs)))
    assert BrainOFEmbedder(tmp_path / "x").fit(epochs).encoder_.manifest["fine_tuned"]


@pytest.mark.parametrize("backbone", ["auto", "inside"])
def test_bundled_modules(backbone, epochs, tmp_path):
    """By reference, or copied into a file that may order its tensors otherwise."""
    module = BrainOFModule(2, chs_info=epochs.info["chs"], sfreq=128.0, trainable="head")
    module.save_pretrained(tmp_path / "x", backbone=backbone)
    assert sorted(os.listdir(tmp_path / "x")) == sorted(
        DECODER + CHECKPOINT * (backbone != "auto")
    )
    again = BrainOFModule.from_pretrained(tmp_path / "x")
    assert torch.equal(again(batch(epochs)), module(batch(epochs)))
    assert not any(parameter.requires_grad for parameter in again.backbone.parameters())


def test_damaged_modules_are_refused(saved, small_checkpoint, epochs, tmp_path):
    with pytest.raises(ValueError, match="holds a BrainOFClassifier, not a BrainOFModule"):
        BrainOFModule.from_pretrained(saved)
    module = BrainOFModule(2, chs_info=epochs.info, checkpoint=small_checkpoint)
    module.save_pretrained(tmp_path / "x", backbone="outside")
    path = tmp_path / "x" / "decoder.json"
    text = path.read_text()
    for key, value, match in (
        ("parameters", {"n_outputs": 2, "depth": 1}, "is damaged.*depth"),
        ("parameters", {"n_outputs": 3}, "has shape"),
        ("channels", {"chs": []}, "is damaged"),
        ("backbone", {"name": "x"}, "backbone are damaged"),
        ("format_version", 7, "format version 7"),
    ):
        path.write_text(json.dumps({**json.loads(text), key: value}))
        with pytest.raises(ValueError, match=match):
            BrainOFModule.from_pretrained(tmp_path / "x")
