"""The embedder: deterministic, one row per sample, nothing learned, nothing left behind."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings

import mne
import numpy as np
import pytest
import torch
from simulated import annotate, noise_epochs, raw, with_channels
from sklearn.model_selection import cross_val_score

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor, from_epochs
from brainof_toolbox.estimators import FineTuning
from brainof_toolbox.models import load_checkpoint

CLOSE = {"rtol": 0, "atol": 1e-5}


def embed(X, *checkpoint, **kwargs):
    """Rows of the bundled weights, unless others are given."""
    return BrainOFEmbedder(*checkpoint, **kwargs).fit_transform(X)


# ---------------------------------------------------------------------- same in, same out


@pytest.mark.parametrize("pooling", ["mean", "mean+std", "flatten"])
def test_rows_are_rows(pooling, small_checkpoint):
    """Neither repetition, batch size, order nor neighbours change a row."""
    epochs, order = noise_epochs(9), np.random.default_rng(0).permutation(9)
    checkpoint = "brainof-tiny" if pooling == "flatten" else small_checkpoint
    rows = embed(epochs, checkpoint, pooling=pooling)
    np.testing.assert_array_equal(embed(epochs, checkpoint, pooling=pooling), rows)
    one = embed(epochs, checkpoint, pooling=pooling, batch_size=1)
    np.testing.assert_allclose(one, rows, **CLOSE)
    shuffled = embed(epochs[order], checkpoint, pooling=pooling)
    np.testing.assert_allclose(shuffled, rows[order], **CLOSE)
    alone = np.concatenate([embed(epochs[i], checkpoint, pooling=pooling) for i in range(9)])
    np.testing.assert_allclose(alone, rows, **CLOSE)
    # what all this compares with does differ.
    assert (np.abs(rows[1:] - rows[0]).max(axis=1) > 1e-2).all()


def test_pooling():
    """Mean, standard deviation and flat are of the same latents."""
    epochs = noise_epochs(4)
    flat = embed(epochs, pooling="flatten").reshape(4, 128, 128)
    both = embed(epochs, pooling="mean+std")
    np.testing.assert_allclose(embed(epochs, pooling="mean"), flat.mean(1), **CLOSE)
    np.testing.assert_allclose(both, np.concatenate([flat.mean(1), flat.std(1)], axis=1), **CLOSE)


def test_channel_order():
    """Channel order permuted: <= 1e-5."""
    for kind in ("eeg", "eeg+meg"):
        epochs = noise_epochs(3, kind=kind)
        names = list(np.random.default_rng(0).permutation(epochs.ch_names))
        rows = embed(epochs)
        shuffled = epochs.copy().reorder_channels(names)
        np.testing.assert_allclose(embed(shuffled), rows, **CLOSE)
        shuffled.rename_channels(
            {name: f"{name}_" for name in names}
        )  # names with places say nothing
        np.testing.assert_allclose(embed(shuffled), rows, **CLOSE)


def test_dtype():
    """Float32 vs float64 input: <= 1e-4."""
    epochs = noise_epochs(3)
    X = epochs.get_data()
    rows = embed(X, info=epochs.info)
    single = embed(X.astype(np.float32), info=epochs.info)
    np.testing.assert_allclose(single, rows, rtol=0, atol=1e-4)
    assert rows.dtype == single.dtype == np.float32


@pytest.mark.filterwarnings("ignore:.*untrained:RuntimeWarning")
def test_other_weights(small_checkpoint, other_checkpoint):
    """Rows depend on the checkpoint, and on ``random_state`` only without one."""
    epochs = noise_epochs(3)
    for checkpoint in (small_checkpoint, "brainof-tiny"):
        rows = embed(epochs, checkpoint, random_state=0)
        for state in (1, None, np.random.RandomState(3)):
            np.testing.assert_array_equal(embed(epochs, checkpoint, random_state=state), rows)
    np.testing.assert_array_equal(embed(epochs), rows)  # what is bundled is the default
    flat, untrained = (embed(epochs, one, pooling="flatten") for one in ("brainof-tiny", None))
    assert (np.abs(untrained - flat).max(axis=1) > 0.1).all()
    one, two = embed(epochs, small_checkpoint), embed(epochs, other_checkpoint)
    assert (np.abs(one - two).max(axis=1) > 0.1).all()


def test_untrained(global_rng_untouched):
    """No checkpoint means a warning, and weights drawn from ``random_state``."""
    epochs, rows = noise_epochs(2, n_channels=3), {}
    for state in (None, 0, 1):
        embedder = BrainOFEmbedder(None, random_state=state, pooling="mean")
        with pytest.warns(RuntimeWarning, match="untrained") as caught:
            embedder.fit(epochs)
        assert caught[0].filename == __file__
        rows[state] = embedder.transform(epochs)
    np.testing.assert_array_equal(rows[None], rows[0])
    assert (np.abs(rows[1] - rows[0]).max(axis=1) > 0.05).all()
    assert embedder.checkpoint_info_["corpus"] == "none (untrained)"
    assert embedder.checkpoint_info_["step"] == 0


def test_checkpoint_info(small_checkpoint):
    """What weights are in use; no warning when they come from a checkpoint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder = BrainOFEmbedder(small_checkpoint).fit(noise_epochs(2))
    info = embedder.checkpoint_info_
    assert info["name"] == str(small_checkpoint) and len(info["sha256"]) == 64
    assert (info["step"], info["corpus"], info["licence"]) == (7, ["simulated"], "BSD-3-Clause")
    assert info["parameters"] == sum(p.numel() for p in embedder.backbone_.parameters())


@pytest.mark.parametrize("kind", [BrainOFEmbedder, BrainOFClassifier, BrainOFRegressor])
def test_bundled_checkpoint_is_the_default(kind, no_network):
    """Fitted without a word and offline; its manifest says what it learned from."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = kind().fit(noise_epochs(12), np.arange(12) % 2)
    info = fitted.checkpoint_info_
    assert info["name"] == kind().checkpoint == "brainof-tiny" and len(info["sha256"]) == 64
    assert info["corpus"] and info["licence"] and info["step"] > 0
    assert {parameter.dtype for parameter in fitted.backbone_.parameters()} == {torch.float32}


def test_warnings_point_to_the_caller():
    """A warning names the user's line, not one of a library in between."""
    recording = raw()
    recording._data[0] = 1e-5  # flat
    with pytest.warns(RuntimeWarning, match="flat") as caught:
        embed(recording)
    assert {entry.filename for entry in caught} == {__file__}


# --------------------------------------------------------------- the world is left alone


def test_global_states(small_checkpoint, global_rng_untouched):
    """Random numbers, gradient mode, dtype, determinism and threads stay as they were."""

    def state():
        return (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled,
        )

    before = state()
    epochs = noise_epochs(4)
    rows = embed(epochs)
    adaptation = FineTuning(max_epochs=1)
    BrainOFClassifier(small_checkpoint, adaptation=adaptation).fit(epochs, [0, 1, 0, 1])
    assert state() == before
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            np.testing.assert_allclose(embed(epochs), rows, **CLOSE)
            assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(default)


def n_columns():
    """Numbers of the compact embedding of EEG with the bundled weights."""
    config = load_checkpoint("brainof-tiny").config
    return sum(row[3] for row in config.read_outs if row[0] == "eeg")


def test_no_network(no_network):
    """Import is tested in a fresh process; fit and transform here."""
    assert embed([raw()]).shape == (1, n_columns())


def test_fit_learns_nothing():
    """The fitted state depends neither on X nor on y, and transform does not change it."""
    train, test = noise_epochs(6), noise_epochs(5, seed=1)
    embedder = BrainOFEmbedder().fit(train, train.events[:, 2])
    fitted = pickle.dumps(embedder)
    rows = embedder.transform(test)
    assert pickle.dumps(embedder) == fitted
    np.testing.assert_allclose(embedder.transform(test[1:3]), rows[1:3], **CLOSE)
    for X, y in ((train, [2, 2, 2, 1, 1, 1]), (train, None), (test, "not even labels")):
        np.testing.assert_array_equal(BrainOFEmbedder().fit(X, y).transform(test), rows)
    table = embedder.set_params(info=mne.create_info(1, 128.0, "eeg"))
    found = table.transform(test.get_data()[:, 0])  # another form than at fit
    assert found.shape == (5, n_columns())


# -------------------------------------------------------------------------------- saving


@pytest.mark.parametrize("checkpoint", ["brainof-tiny", "small", None])
def test_save_and_load(checkpoint, small_checkpoint, tmp_path):
    """The same rows, bitwise, from the directory that was saved."""
    epochs = noise_epochs(3, n_channels=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        checkpoint = small_checkpoint if checkpoint == "small" else checkpoint
        embedder = BrainOFEmbedder(checkpoint, random_state=5)
        rows = embedder.fit_transform(epochs)
    embedder.save_pretrained(tmp_path / "new")
    again = BrainOFEmbedder(tmp_path / "new")
    np.testing.assert_array_equal(again.fit_transform(epochs), rows)
    assert again.encoder_.preprocessing == embedder.encoder_.preprocessing
    for name, untrained in (("step", 0), ("corpus", []), ("licence", None)):
        expected = untrained if checkpoint is None else embedder.checkpoint_info_[name]
        assert again.checkpoint_info_[name] == expected


def test_refit_forgets_the_checkpoint(small_checkpoint, tmp_path):
    """Untrained weights never inherit the manifest of a checkpoint that was fitted before."""
    embedder = BrainOFEmbedder(small_checkpoint).fit(noise_epochs(2))
    with pytest.warns(RuntimeWarning, match="untrained"):
        embedder.set_params(checkpoint=None).fit(noise_epochs(2))
    embedder.save_pretrained(tmp_path / "new")
    again = BrainOFEmbedder(tmp_path / "new").fit(noise_epochs(2))
    assert again.checkpoint_info_["corpus"] == [] and again.checkpoint_info_["step"] == 0


# ----------------------------------------------------------------------------- no leaks


def test_labels_in_epochs_do_not_leak(small_checkpoint):
    """Labels in metadata, event codes and annotations of noise decode at chance."""
    import pandas as pd

    epochs = noise_epochs(48, seed=3)
    y = epochs.events[:, 2]
    epochs.metadata = pd.DataFrame({"label": y, "again": np.array(["left", "right"])[y - 1]})
    onsets = epochs.events[:, 0] / epochs.info["sfreq"]
    epochs.set_annotations(mne.Annotations(onsets, 1.0, [f"class {label}" for label in y]))
    scores = cross_val_score(BrainOFClassifier(small_checkpoint), epochs, y, cv=3)
    assert 0.35 < scores.mean() < 0.65


def test_labels_in_recordings_do_not_leak(small_checkpoint):
    """Labels in a stimulus channel and in annotations of noise decode at chance."""
    rng, y = np.random.default_rng(1), np.arange(36) % 2
    recordings = []
    for label in y:
        noise = mne.io.RawArray(
            rng.normal(size=(3, 200)) * 2e-5, noise_epochs(1, n_channels=3).info, verbose="error"
        )
        noise = with_channels(noise, stim=float(1 + label), misc=float(label))
        recordings.append(annotate(noise, (0.2, 0.3, f"class {label}")))
    scores = cross_val_score(BrainOFClassifier(small_checkpoint), recordings, y, cv=3)
    assert 0.33 < scores.mean() < 0.67


def test_leak_detector_works(small_checkpoint):
    """Guards the two tests above: a label in one EEG channel is found at once."""
    epochs = noise_epochs(48, seed=3)
    y = epochs.events[:, 2]
    epochs._data[:, 0] *= 3.0 ** y[:, None]
    scores = cross_val_score(BrainOFClassifier(small_checkpoint), epochs, y, cv=3)
    assert scores.mean() > 0.8


def test_paired_modalities_are_indexed_in_step():
    """For simultaneous EEG and MEG."""
    paired = from_epochs(noise_epochs(5, kind="eeg+meg"))
    rows = embed(paired)
    order = np.array([3, 0, 4])
    np.testing.assert_allclose(embed(paired[order]), rows[order], **CLOSE)


@pytest.mark.parametrize("value", [1e9, -1.0, "256", None, True, float("nan"), 10**400])
def test_sampling_rates_of_checkpoints_are_checked(value, small_checkpoint, tmp_path):
    """What no recording is resampled to is refused when the network is loaded."""
    folder = shutil.copytree(small_checkpoint, tmp_path / "model")
    content = json.loads((folder / "config.json").read_text())
    content["preprocessing"]["sfreq"] = value
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"model, config\.json: .*preprocessing\.sfreq"):
        BrainOFEmbedder(folder).fit(noise_epochs(2))
