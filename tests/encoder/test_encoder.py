"""The encoder: rows equal a naive twin, blocks keep their names, pickles find their weights."""

from __future__ import annotations

import inspect
import json
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    PairedSignals,
    Preprocessing,
    from_epochs,
)
from brainof_toolbox.encoder import Encoder, backbones
from brainof_toolbox.estimators import FineTuning, LoRA, Probe
from brainof_toolbox.features import Covariance, Evoked
from brainof_toolbox.models import load_checkpoint, make_tokens
from brainof_toolbox.preprocessing import preprocess

sys.path.append(str(Path(__file__).resolve().parent.parent / "estimators"))
from simulated import noise_epochs, obvious_epochs, raw

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def epochs():
    return noise_epochs(6)


def windows_of(X, **kwargs):
    return preprocess(X, Preprocessing(), **kwargs)


def mixed(n=6):
    """EEG and MEG of the same samples; the first sample has no EEG."""
    parts = from_epochs(noise_epochs(n, kind="eeg+meg")).by_modality
    return PairedSignals(parts, {"eeg": np.arange(n) == 0})


# --------------------------------------------------------------------------------- latents


@pytest.mark.parametrize("pooling", ["flatten", "mean"])
def test_rows_equal_a_naive_twin(micro_checkpoint, epochs, pooling):
    network = load_checkpoint(micro_checkpoint).model
    windows = windows_of(from_epochs(epochs)).signals
    expected = []
    with torch.inference_mode():
        for i in range(len(windows)):
            one = windows[i]
            montage = one.ch_pos, one.ch_ori, one.ch_types, one.modality
            (latents,) = network([make_tokens(one.data, one.sfreq, *montage)])
            expected.append(latents.mean(0) if pooling == "mean" else latents.ravel())
    rows = Encoder(micro_checkpoint, pooling=pooling).embed(epochs)
    np.testing.assert_allclose(rows, torch.stack(expected), **CLOSE)
    assert rows.dtype == np.float32


def test_it_is_the_estimators(micro_checkpoint, epochs):
    """Embedder, probe and trained network own one; each gives the same rows."""
    encoder = Encoder(micro_checkpoint)
    fitted = BrainOFEmbedder(micro_checkpoint).fit(epochs)
    np.testing.assert_array_equal(fitted.transform(epochs), encoder.embed(epochs))
    assert fitted.encoder_.fingerprint == encoder.fingerprint
    probe = BrainOFClassifier(micro_checkpoint, features="latents")
    probe.fit(epochs, epochs.events[:, 2])
    assert probe.encoder_.fingerprint == encoder.fingerprint
    adaptation = FineTuning(max_epochs=1, refit=False)
    tuned = BrainOFClassifier(micro_checkpoint, features="latents", adaptation=adaptation)
    tuned.fit(epochs, epochs.events[:, 2])
    assert tuned.encoder_.fingerprint["weights"] != encoder.fingerprint["weights"]
    assert tuned.encoder_.network is tuned.decoder_.network.backbone


# ------------------------------------------------------------------------- explicit features


def test_blocks_of_epochs(micro_checkpoint, epochs):
    encoder = Encoder(micro_checkpoint, features=("evoked", "latents", Covariance(n_channels=8)))
    blocks = encoder.embed_blocks(epochs)
    windows = windows_of(from_epochs(epochs)).signals
    assert list(blocks) == ["evoked", "latents", "covariance"]
    np.testing.assert_allclose(blocks["evoked"], Evoked().compute(windows), **CLOSE)
    np.testing.assert_allclose(
        blocks["covariance"], Covariance(n_channels=8).compute(windows), **CLOSE
    )
    rows = encoder.embed(epochs)
    np.testing.assert_array_equal(rows, np.hstack(list(blocks.values())))
    names = encoder.feature_names()
    assert len(names) == len(set(names)) == rows.shape[1] == encoder.n_columns
    assert names[0] == f"evoked {Evoked().columns(windows)[0]}"


def test_windows_of_a_recording_are_averaged():
    recording = raw(duration=4.0)
    row = Encoder(features="covariance", window=1.0).embed([recording])
    batch = next(Encoder(features="covariance", window=1.0).windows([recording]))
    assert len(batch) == 4
    expected = Covariance().compute(batch.windows["eeg"].signals).astype(float).mean(axis=0)
    np.testing.assert_allclose(row[0], expected, **CLOSE)


def test_course_of_an_epoch_longer_than_a_window():
    """The course is that of the whole epoch, and the covariance the mean over its windows."""
    X = from_epochs(noise_epochs(4))
    encoder = Encoder(features="explicit", window=0.5)
    blocks = encoder.embed_blocks([X[:3], X[3:]])
    assert len(next(encoder.windows(X))) > len(X)
    whole = preprocess(X, encoder.preprocessing, window=X.duration).signals
    np.testing.assert_allclose(blocks["evoked"], Evoked().compute(whole), **CLOSE)
    windows = preprocess(X, encoder.preprocessing, window=0.5)
    expected = Covariance().compute_samples(windows)
    np.testing.assert_allclose(blocks["covariance"], expected, **CLOSE)


def test_blocks_of_several_modalities():
    """One block each; a modality that a sample lacks is a row of NaN, whoever comes with it."""
    X = mixed()
    encoder = Encoder(features=("covariance", "evoked"))
    blocks = encoder.embed_blocks(X)
    names = ["eeg_covariance", "meg_covariance", "eeg_evoked", "meg_evoked"]
    assert list(blocks) == names
    is_nan = {name: np.isnan(rows).all(axis=1).tolist() for name, rows in blocks.items()}
    for name in names:
        assert is_nan[name] == [name.startswith("eeg")] + [False] * 5
    alone = encoder.embed_blocks(X[0])
    assert np.isnan(alone["eeg_covariance"]).all() and alone["eeg_covariance"].shape[0] == 1
    np.testing.assert_allclose(alone["meg_evoked"], blocks["meg_evoked"][:1], **CLOSE)


def test_no_network_without_latents(epochs, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(backbones, "load_checkpoint", never)
    fitted = BrainOFEmbedder(features="covariance").fit(epochs)
    rows = fitted.transform(epochs)
    assert fitted.encoder_.backbone is None and rows.shape == (6, 816)
    assert fitted.get_feature_names_out()[0].startswith("covariance ")
    with pytest.raises(ValueError, match="no network"):
        fitted.encoder_.network  # noqa: B018


def test_workers_give_the_same_blocks():
    X = [noise_epochs(2, seed=seed) for seed in range(40)]
    one = Encoder(features=("covariance", "evoked")).embed(X)
    encoder = Encoder(features=("covariance", "evoked"))
    with joblib.parallel_config("threading", n_jobs=2):
        np.testing.assert_allclose(encoder.embed(X), one, **CLOSE)
    assert len(encoder.feature_names()) == one.shape[1]


@pytest.mark.parametrize("features", ["spectrum", (), ("latents", "latents"), 3, None])
def test_unknown_features(features):
    with pytest.raises(ValueError, match="features"):
        Encoder(features=features)


def test_what_has_no_block(epochs):
    with pytest.raises(ValueError, match="'evoked' cannot be computed.*Pass epochs"):
        Encoder(features="evoked").embed([raw()])
    encoder = Encoder(features="evoked")
    encoder.embed(epochs)
    with pytest.raises(ValueError, match="'evoked' has .* columns.*earlier ones"):
        encoder.embed(noise_epochs(2, n_times=64))
    with pytest.raises(ValueError, match="X has meg, but .* have eeg only"):
        encoder.embed(noise_epochs(2, kind="eeg+meg"))


def test_a_probe_on_blocks(micro_checkpoint):
    """Samples without a modality are predicted as well; training needs latents."""
    X, y = mixed(12), np.arange(12) % 2
    features = ("latents", "covariance")
    decoder = BrainOFClassifier(micro_checkpoint, features=features, pooling="mean").fit(X, y)
    assert np.isfinite(decoder.predict_proba(X)).all()
    with pytest.raises(ValueError, match="LoRA trains the network: .* must include 'latents'"):
        BrainOFClassifier(features="covariance", adaptation="lora").fit(X, y)
    with pytest.raises(ValueError, match="this needs latents alone: pass features='latents'"):
        decoder.decoder_.as_network()


# ------------------------------------------------------------------------------- fingerprint


def test_fingerprint(micro_checkpoint):
    """JSON that changes with all that determines a row, and with nothing else."""
    plain = Encoder(micro_checkpoint).fingerprint
    assert json.loads(json.dumps(plain)) == json.loads(json.dumps(plain)) and plain["weights"]
    for same in ({"batch_size": 3}, {"device": "cpu"}, {"verbose": True}, {"random_state": 4}):
        assert Encoder(micro_checkpoint, **same).fingerprint == plain
    changes = [{"pooling": "mean"}, {"layer": 1}, {"window": 2.0}, {"features": "covariance"}]
    changes += [
        {"precision": "bf16"},
        {"missing_positions": "placeholder"},
        {"features": ("latents", Covariance(n_channels=8))},
    ]
    found = [Encoder(micro_checkpoint, **change).fingerprint for change in changes]
    texts = {json.dumps(fingerprint, sort_keys=True) for fingerprint in [plain, *found]}
    assert len(texts) == len(changes) + 1


def test_bf16_is_close_to_float32(epochs):
    """Rows keep their differences; float32 weights stay as they are, and workers do the same."""
    rows = {kind: Encoder(pooling="mean", precision=kind) for kind in ("float32", "bf16")}
    rows = {kind: encoder.embed(epochs) for kind, encoder in rows.items()}
    encoder = Encoder(pooling="mean", precision="bf16")
    assert next(encoder.network.parameters()).dtype == torch.float32
    exact, rounded = (found - rows["float32"].mean(0) for found in rows.values())
    assert 0 < np.abs(exact - rounded).max() < 0.3 * exact.std()
    with joblib.parallel_config("threading", n_jobs=2):
        np.testing.assert_allclose(encoder.embed([epochs] * 6)[:6], rows["bf16"], atol=0.02)
    encoder.configure(batch_size=32, device="auto")
    np.testing.assert_allclose(encoder.embed(epochs), rows["float32"], **CLOSE)


@pytest.mark.parametrize(
    "adaptation", ["probe", LoRA(max_epochs=1, refit=False)], ids=["probe", "lora"]
)
def test_decoders_predict_in_bf16(adaptation, micro_checkpoint, tmp_path):
    """Predictions are close to those in float32; weights are trained and saved in float32."""
    X = obvious_epochs(8)
    options = {"features": "latents", "pooling": "mean", "adaptation": adaptation}
    decoder = BrainOFClassifier(micro_checkpoint, precision="bf16", **options)
    rounded = decoder.fit(X, X.events[:, 2]).predict_proba(X)
    decoder.save_pretrained(tmp_path / "saved")
    assert {p.dtype for p in decoder.backbone_.parameters()} == {torch.float32}
    loaded = BrainOFClassifier.from_pretrained(tmp_path / "saved", precision="bf16")
    np.testing.assert_allclose(loaded.predict_proba(X), rounded, atol=1e-3)
    exact = decoder.set_params(precision="float32").predict_proba(X)
    assert 0 < np.abs(exact - rounded).max() < 0.1


def test_negative_layers_count_from_the_last(micro_checkpoint, epochs):
    """-1 means all layers, as None does; there are no more than the network has."""
    n_layers = Encoder(micro_checkpoint).backbone.config.n_layers
    assert Encoder(micro_checkpoint, layer=-1).fingerprint == Encoder(micro_checkpoint).fingerprint
    first = Encoder(micro_checkpoint, layer=0, pooling="mean").embed(epochs[:2])
    same = Encoder(micro_checkpoint, layer=-n_layers - 1, pooling="mean").embed(epochs[:2])
    np.testing.assert_array_equal(first, same)
    for layer in (n_layers + 1, -n_layers - 2, 1.5):
        with pytest.raises((ValueError, TypeError), match="'layer' must be a whole number"):
            Encoder(micro_checkpoint, layer=layer)


# ----------------------------------------------------------------------------------- pickles


def test_bundled_weights_are_not_pickled(epochs):
    encoder = Encoder(pooling="mean")
    expected = encoder.embed(epochs)
    text = pickle.dumps(encoder)
    assert len(text) < 1e5
    np.testing.assert_array_equal(pickle.loads(text).embed(epochs), expected)
    np.testing.assert_array_equal(encoder.embed(epochs), expected)


def test_weights_that_are_not_bundled_any_more(epochs, monkeypatch):
    text = pickle.dumps(Encoder(pooling="mean"))
    monkeypatch.setattr(backbones, "find_bundled", lambda sha256: None)
    encoder = pickle.loads(text)
    with pytest.raises(ValueError, match=r"without its weights \(sha256 [0-9a-f]{64}\)"):
        encoder.embed(epochs)


def test_other_weights_are_pickled(micro_checkpoint, epochs):
    encoder = Encoder(micro_checkpoint)
    copy = pickle.loads(pickle.dumps(encoder))
    assert copy.backbone._network is not None
    np.testing.assert_array_equal(copy.embed(epochs), encoder.embed(epochs))


def test_trained_weights_are_pickled():
    """Fine-tuned from a bundled checkpoint: the pickle holds what was trained."""
    X = obvious_epochs(8)
    adaptation = LoRA(rank=2, max_epochs=1, refit=False)
    fitted = BrainOFClassifier(features="latents", pooling="mean", adaptation=adaptation)
    fitted.fit(X, X.events[:, 2])
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


# ------------------------------------------------------------------------ adaptation as objects


def test_a_search_reaches_the_adaptation(micro_checkpoint):
    X = obvious_epochs(8)
    options = {"features": "latents", "pooling": "mean"}
    decoder = BrainOFClassifier(
        micro_checkpoint, adaptation=LoRA(max_epochs=1, refit=False), **options
    )
    grid = {"adaptation__rank": [1, 2]}
    search = GridSearchCV(decoder, grid, cv=2, error_score="raise").fit(X, X.events[:, 2])
    best = search.best_estimator_
    rank = search.best_params_["adaptation__rank"]
    assert all(len(a) == rank for name, a in best.adapter_.items() if name.endswith(".a"))


@pytest.mark.parametrize("kind", [BrainOFEmbedder, BrainOFClassifier, BrainOFRegressor])
def test_constructors_are_short(kind):
    assert len(inspect.signature(kind).parameters) <= 17


@pytest.mark.parametrize("thing", [BrainOFClassifier, BrainOFClassifier.fit, LoRA, Probe])
def test_shared_texts_are_filled_in(thing):
    assert "%(" not in thing.__doc__ and "Parameters" in thing.__doc__
