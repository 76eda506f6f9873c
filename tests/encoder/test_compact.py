"""The compact embedding: read-outs of the latents, side by side."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    PairedSignals,
    Preprocessing,
    from_epochs,
)
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.estimators import BrainOFModule, FineTuning, LoRA, Probe
from brainof_toolbox.models import load_checkpoint, make_tokens
from brainof_toolbox.preprocessing import preprocess

sys.path.append(str(Path(__file__).resolve().parent.parent / "estimators"))
from simulated import noise_epochs, obvious_epochs, raw

CLOSE = {"rtol": 0, "atol": 1e-5}
SIZES = {"eeg": {"second_order": 4, "difference": 6}, "fmri": {"second_order": 5}}


@pytest.fixture(scope="module")
def checkpoint(read_out_checkpoint):
    return read_out_checkpoint


@pytest.fixture(scope="module")
def network(checkpoint):
    return load_checkpoint(checkpoint).model


@pytest.fixture(scope="module")
def epochs():
    return noise_epochs(6)


@pytest.fixture(scope="module")
def pairs():
    """EEG and fMRI of four samples; the second has no EEG."""
    parts = make_paired_signals(4, n_subjects=2, modalities=("fmri", "eeg"), random_state=0)[0]
    is_missing = {"fmri": np.zeros(4, dtype=bool), "eeg": np.arange(4) == 1}
    return PairedSignals(parts[:4].by_modality, is_missing)


def tokens_of(signals):
    montage = signals.ch_pos, signals.ch_ori, signals.ch_types, signals.modality
    return make_tokens(signals.data, signals.sfreq, *montage)


def by_hand(network, latents, modality):
    """Read-outs of latents (M, D) of one sample, from the tensors of the checkpoint."""
    state = {name: x.double().numpy() for name, x in network.state_dict().items()}
    start = network.norm(network.latents).double().detach().numpy()
    change, rows = latents.astype(float) - start, []
    for name, n in SIZES[modality].items():
        part = {k: state[f"read_outs.{modality}.{name}.{k}"] for k in ("weight", "bias", "usual")}
        first = network.config.latent_groups.index(name)
        own = 8.0 * (change[first::3] - part["usual"])
        inputs = np.r_[own.mean(0), own.ravel() * 4.0 / np.sqrt(own.size)]
        rows.append((part["weight"] @ inputs + part["bias"]) / np.sqrt(n))
    return np.concatenate(rows)


# ------------------------------------------------------------------------------------ rows


def test_rows_equal_read_outs_by_hand(network, checkpoint, epochs):
    windows = preprocess(from_epochs(epochs), Preprocessing()).signals
    with torch.inference_mode():
        latents = [network([tokens_of(windows[i])])[0].numpy() for i in range(len(windows))]
    encoder = Encoder(checkpoint, pooling="compact")
    rows = encoder.embed(epochs)
    wanted = [by_hand(network, one, "eeg") for one in latents]
    np.testing.assert_allclose(rows, wanted, **CLOSE)
    names = [f"second_order_{i}" for i in range(4)] + [f"difference_{i}" for i in range(6)]
    assert encoder.backbone.columns(encoder.pooler) == names and encoder.n_columns == 10
    embedder = BrainOFEmbedder(checkpoint).fit(epochs)  # the default
    assert embedder.get_feature_names_out().tolist() == names
    np.testing.assert_array_equal(embedder.transform(epochs), rows)
    both = Encoder(checkpoint, features=("covariance", "latents"))
    assert both.embed(epochs).shape[1] == 816 + 10
    assert both.feature_names()[816] == "latents second_order_0"


def test_rows_depend_on_their_own_sample(checkpoint, epochs):
    """Neither on other samples, batch sizes and the order of channels, nor on workers."""
    rows = Encoder(checkpoint).embed(epochs)
    np.testing.assert_allclose(
        Encoder(checkpoint, batch_size=1).embed(epochs[2:4]), rows[2:4], **CLOSE
    )
    names = epochs.ch_names[::-1]
    other = epochs.copy().reorder_channels(names)
    np.testing.assert_allclose(Encoder(checkpoint).embed(other), rows, **CLOSE)
    items = [epochs[:3], epochs[3:]]
    embedder = BrainOFEmbedder(checkpoint, on_error="nan")
    with pytest.warns(RuntimeWarning, match="1 of 3 items"):
        again = embedder.fit_transform([*items, "no such file.fif"])
    np.testing.assert_allclose(again[:6], rows, **CLOSE)
    assert again.shape == (7, 10) and np.isnan(again[6]).all()


def test_windows_are_averaged(network, checkpoint):
    recording = raw(duration=4.0)
    encoder = Encoder(checkpoint, window=1.0)
    windows = next(encoder.windows([recording])).windows["eeg"].signals
    with torch.inference_mode():
        latents = network([tokens_of(windows)]).numpy()
    wanted = np.mean([by_hand(network, one, "eeg") for one in latents], axis=0)
    assert len(latents) == 4
    np.testing.assert_allclose(encoder.embed([recording])[0], wanted, **CLOSE)


def test_rows_of_several_modalities(network, checkpoint, pairs):
    """Read-outs of each modality of the fused latents; 0 where a sample lacks it."""
    rows = Encoder(checkpoint).embed(pairs)
    encoder = Encoder(checkpoint)
    encoder.note_modalities(encoder.samples(pairs))
    assert encoder.backbone.columns(encoder.pooler)[:6] == [
        *(f"fmri_second_order_{i}" for i in range(5)),
        "eeg_second_order_0",
    ]
    batch = next(encoder.windows(pairs))
    found = {name: [] for name in SIZES}
    with torch.inference_mode():
        for i in np.flatnonzero(batch.sample == 0):
            (latents,) = network(encoder.tokens(batch, np.array([i])))
            for modality, values in found.items():
                values.append(by_hand(network, latents.numpy(), modality))
    wanted = np.concatenate([np.mean(found[name], axis=0) for name in ("fmri", "eeg")])
    np.testing.assert_allclose(rows[0], wanted, **CLOSE)
    assert not rows[1, 5:].any() and rows[1, :5].all()
    np.testing.assert_allclose(encoder.embed(pairs[1]), rows[1:2], **CLOSE)


def test_modality_that_the_first_samples_lack(checkpoint, epochs, pairs):
    embedder = BrainOFEmbedder(checkpoint).fit(epochs)
    with pytest.raises(ValueError, match="X has fmri, but .* eeg only.*pooling='flatten'"):
        embedder.transform(pairs)
    assert (
        BrainOFEmbedder(checkpoint, pooling="flatten").fit(epochs).transform(pairs).shape[0] == 4
    )


# ---------------------------------------------------------------------------------- choice


def test_automatic_choice(checkpoint, micro_checkpoint, epochs, pairs):
    def chosen(X, checkpoint=checkpoint, **options):
        encoder = Encoder(checkpoint, **options)
        encoder.note_modalities(encoder.samples(X))
        return encoder.pooler.name

    assert chosen(epochs) == chosen(pairs) == "compact"
    assert chosen(epochs, layer=1) == chosen(epochs, micro_checkpoint) == "flatten"
    assert chosen(noise_epochs(2, kind="meg")) == "flatten"
    assert chosen(noise_epochs(2, kind="eeg+meg")) == "flatten"
    assert Encoder(None).embed(epochs).shape == (6, 128 * 128)


def test_read_outs_that_are_missing(checkpoint, micro_checkpoint):
    for weights, name in ((micro_checkpoint, "micro"), (None, "an untrained network")):
        with pytest.raises(ValueError, match=f"needs read-outs, and .*{name} has none"):
            Encoder(weights, pooling="compact")
    with pytest.raises(ValueError, match="after the last layer, got layer=1"):
        Encoder(checkpoint, pooling="compact", layer=1)
    with pytest.raises(ValueError, match="read-outs of meg, and the checkpoint has those of eeg"):
        BrainOFEmbedder(checkpoint, pooling="compact").fit(noise_epochs(2, kind="meg"))
    with pytest.raises(ValueError, match="Embed samples first"):
        Encoder(checkpoint).feature_names()
    with pytest.raises(ValueError, match="pooling"):
        Encoder(checkpoint, pooling="read_outs")
    with pytest.raises(ValueError, match="read-outs of meg"):
        Encoder(checkpoint, pooling="compact").embed(noise_epochs(2, kind="eeg+meg"))


def test_fingerprint_and_pickle(checkpoint, epochs, pairs):
    encoder = Encoder(checkpoint)
    rows = encoder.embed(epochs)
    found = [encoder.fingerprint, Encoder(checkpoint, pooling="flatten").fingerprint]
    both = Encoder(checkpoint)
    both.note_modalities(both.samples(pairs))
    found.append(both.fingerprint)
    assert [one["pooling"] for one in found] == [
        "compact of eeg",
        "flatten",
        "compact of fmri and eeg",
    ]
    assert len({json.dumps(one, sort_keys=True) for one in found}) == 3
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).embed(epochs), rows)


# ---------------------------------------------------------------------------------- probes


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_probe(checkpoint, head):
    """Precomputed or not, alone or beside explicit features, the predictions are the same."""
    X = obvious_epochs(16)
    y = X.events[:, 2]
    decoder = BrainOFClassifier(checkpoint, adaptation=Probe(head=head))
    features = decoder.precompute(X)
    assert features.fingerprint["pooling"] == "compact of eeg"
    one = decoder.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(decoder.fit(features, y).predict_proba(features), one, atol=1e-6)
    alone = BrainOFClassifier(checkpoint, features="latents", adaptation=Probe(head=head)).fit(
        X, y
    )
    network = alone.decoder_.as_network()
    batch = next(alone.encoder_.windows(X))
    with torch.inference_mode():
        outputs = network(alone.encoder_.tokens(batch, np.arange(16))).softmax(-1).numpy()
    np.testing.assert_allclose(outputs, alone.predict_proba(X), atol=1e-4)


def test_latents_without_evidence(checkpoint):
    """Read-outs of EEG enter the member of all blocks side by side, and all latents do not."""
    X = obvious_epochs(16)
    for pooling in ("compact", "flatten"):
        decoder = BrainOFRegressor(
            checkpoint, features=("latents", "covariance"), pooling=pooling
        ).fit(X, X.events[:, 2])
        assert ("all" in decoder.head_.factors_) == (pooling == "compact")


# -------------------------------------------------------------------------------- training


def test_training_with_read_outs(checkpoint, tmp_path):
    X = obvious_epochs(12)
    y, options = X.events[:, 2], {"max_epochs": 1, "validation_fraction": 0.0}
    tuned = BrainOFClassifier(checkpoint, adaptation=FineTuning(**options)).fit(X, y)
    before = Encoder(checkpoint).network.state_dict()
    after = tuned.backbone_.state_dict()
    for name in ("latents", "layers.0.attention.query.weight", "read_outs.eeg.difference.weight"):
        name = name if name in after else next(n for n in after if n.startswith("layers.0.att"))
        assert not torch.equal(before[name], after[name]), name
    assert torch.equal(*(x["read_outs.fmri.second_order.weight"] for x in (before, after)))
    for features in ("latents", "auto"):
        decoder = BrainOFClassifier(
            checkpoint, features=features, adaptation=LoRA(rank=2, **options)
        ).fit(X, y)
        decoder.save_adapter(tmp_path / features)
        fresh = BrainOFClassifier(
            checkpoint, features=features, adaptation=LoRA(rank=2, **options)
        )
        again = fresh.load_adapter(tmp_path / features)
        np.testing.assert_allclose(again.predict_proba(X), decoder.predict_proba(X), atol=1e-5)
    decoder.partial_fit(X, y)
    assert np.isfinite(decoder.predict_proba(X)).all()


def test_module_with_read_outs(checkpoint, epochs):
    options = {"chs_info": epochs.info["chs"], "sfreq": epochs.info["sfreq"]}
    module = BrainOFModule(2, checkpoint=checkpoint, pooling="compact", **options).eval()
    x = torch.from_numpy(epochs.get_data())
    with torch.no_grad():
        rows = module.embed(x)
    np.testing.assert_allclose(rows, Encoder(checkpoint).embed(epochs), atol=2e-5)
    module.standardise(x)
    module(x).square().sum().backward()
    assert module.backbone.latents.grad.abs().sum() > 0
    auto = BrainOFModule(2, checkpoint=checkpoint, pooling="auto", **options)
    assert auto.head.in_features == 10
