"""Importance: it sums up, it equals hiding by hand, and it peaks where the source is."""

from __future__ import annotations

import json
import shutil
import warnings
from functools import lru_cache

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    PairedSignals,
    from_roi_timeseries,
)
from brainof_toolbox.datasets import make_info
from brainof_toolbox.encoder.tokens import batch_tokens
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.estimators import FineTuning, LoRA
from brainof_toolbox.inspection import gradient_importance, occlusion_importance
from brainof_toolbox.inspection.gradients import by_frequency
from brainof_toolbox.inspection.hiding import without_band
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.io.sensors import from_array

SIZE = {"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11}
METHODS = [occlusion_importance, gradient_importance]
IDS = ["occlusion", "gradient"]
REACH = 0.025  # m
FEW = {"n_steps": 4}


def kwargs_of(method):
    return FEW if method is gradient_importance else {}


def focal(kind, source, n_samples=48, seed=0, sfreq=128.0, n_channels=19):
    """Noise, and in class 1 a 10 Hz rhythm around one channel, in the second half alone."""
    rng = np.random.default_rng(seed)
    is_eeg = kind == "eeg"
    info = make_info(
        "eeg" if is_eeg else "meg", n_channels=n_channels if is_eeg else 30, sfreq=sfreq
    )
    types = np.array(info.get_channel_types())
    size = np.array([SIZE[t] for t in types])[:, None]
    source = np.flatnonzero(types == kind)[source]
    data = rng.standard_normal((n_samples, len(types), 256)) * size
    signals = from_array(data, info)
    y = np.arange(n_samples) % 2
    near = np.linalg.norm(signals.ch_pos - signals.ch_pos[source], axis=1)
    pattern = (np.exp(-0.5 * (near / REACH) ** 2) * (types == kind))[:, None] * size
    time = np.arange(256) / sfreq
    data[y == 1] += 3 * pattern * np.sin(2 * np.pi * 10 * time) * (time >= 1)
    return from_array(data, info), y, source


def regions(source=13, n_samples=48, seed=0):
    """Noise of regions, and in class 1 a slow swing of one region and its neighbours."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.06, 0.06, (30, 3))
    y = np.arange(n_samples) % 2
    data = rng.standard_normal((n_samples, 30, 64))
    near = np.linalg.norm(places - places[source], axis=1)
    swing = np.sin(2 * np.pi * np.arange(64) * 2.0 * 0.05)
    data[y == 1] += 4 * np.exp(-0.5 * (near / 0.02) ** 2)[:, None] * swing
    return from_roi_timeseries(data.swapaxes(1, 2), t_r=2.0, roi_positions=places), y, source


def fitted(checkpoint, X, y, kind=BrainOFClassifier, **kwargs):
    kwargs = {"features": "latents"} | kwargs
    return kind(checkpoint, **kwargs).fit(X[:32], y[:32])


@pytest.fixture(scope="module")
def without_reference(micro_checkpoint, tmp_path_factory):
    """The same network on data as recorded, where a channel has no part in the others."""
    folder = tmp_path_factory.mktemp("importance") / "model"
    shutil.copytree(micro_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config["preprocessing"]["reference"] = None
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def eeg():
    return focal("eeg", 4)[:2]


@pytest.fixture(scope="module")
def decoder(micro_checkpoint, eeg):
    return fitted(micro_checkpoint, *eeg)


# -------------------------------------------------------------------------- where the source is


@lru_cache
def known(kind, source):
    """A decoder of an effect at a known place, and samples that it has not seen."""
    X, y, source = regions(source) if kind == "fmri" else focal(kind, source)
    # All latents: without a band, white noise is far from what read-outs were trained on. Trained
    # latents of fMRI do not represent the swing of one region.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*untrained")
        decoder = fitted(None if kind == "fmri" else "brainof-tiny", X, y, pooling="flatten")
    assert (decoder.predict(X[32:]) == y[32:]).mean() > 0.8  # guard
    new = slice(32, 44 if kind == "fmri" else 38)  # single regions change little: more samples
    return decoder, X[new], y[new], source


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize(
    "kind, source",
    [
        ("eeg", 4),
        pytest.param("eeg", 15, marks=pytest.mark.slow),
        pytest.param("mag", 3, marks=pytest.mark.slow),
        pytest.param("grad", 8, marks=pytest.mark.slow),
    ],
)
def test_peak_is_at_the_source(method, kind, source):
    """Place, time and band of what tells the classes apart, in samples that were left out."""
    decoder, X, y, source = known(kind, source)
    part = method(decoder, X, y, **kwargs_of(method)).part()
    distance = np.linalg.norm(part.ch_pos - part.ch_pos[source], axis=1)
    assert distance[np.argmax(part.channels)] <= 0.04
    far = distance > 0.08
    assert part.channels[~far].mean() > 2 * abs(part.channels[far].mean())
    n_patches = len(part.times)
    assert part.patches[n_patches // 2 :].sum() > part.patches[: n_patches // 2].sum()
    assert max(part.bands, key=part.bands.get) == "alpha"


@pytest.mark.slow
def test_peak_is_at_the_region():
    """The same in the brain, for occlusion; maps of gradients are less focal."""
    decoder, X, y, source = known("fmri", 13)
    part = occlusion_importance(decoder, X, y).part("fmri")
    assert np.argmax(part.channels) == source
    assert part.bands["slow-4"] > 0


# ------------------------------------------------------------------------------------ occlusion


@pytest.mark.parametrize("features", ["latents", "auto"])
def test_hiding_is_dropping(features, without_reference, eeg):
    """A channel's importance is the loss of predictions from recordings that lack it."""
    X, y = eeg
    decoder = fitted(without_reference, X, y, features=features)
    X, y = X[32:38], y[32:38]
    found = occlusion_importance(decoder, X, y)
    plain = log_loss(y, decoder.predict_proba(X))
    for channel in (0, 4, 18):
        keep = np.delete(np.arange(19), channel)
        fewer = X.replace(
            data=X.data[:, keep],
            ch_names=tuple(X.ch_names[i] for i in keep),
            ch_types=tuple(X.ch_types[i] for i in keep),
            ch_pos=X.ch_pos[keep],
            ch_ori=X.ch_ori[keep],
        )
        naive = log_loss(y, decoder.predict_proba(fewer)) - plain
        assert found.part().channels[channel] == pytest.approx(naive, abs=1e-4)


def test_hiding_neighbours_too(micro_checkpoint, eeg, decoder):
    """With a radius that reaches everything, every channel costs the same."""
    X, y = eeg
    found = occlusion_importance(decoder, X[32:38], y[32:38], radius=1.0)
    np.testing.assert_allclose(found.part().channels, found.part().channels[0], atol=1e-6)


def test_bands_are_cut_out():
    """What is left has nothing in the band, and all else."""
    X, _, _ = focal("eeg", 4)
    left = without_band(X.data, 128, (8, 13))
    power, before = (np.abs(np.fft.rfft(d, axis=2)) for d in (left, X.data))
    frequencies = np.fft.rfftfreq(256, 1 / 128)
    inside = (frequencies >= 8) & (frequencies < 13)
    assert power[..., inside].max() < 1e-4 * before.max()
    np.testing.assert_allclose(power[..., ~inside], before[..., ~inside], rtol=1e-3, atol=1e-9)


# ------------------------------------------------------------------------------------ gradients


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BrainOFClassifier, BrainOFRegressor])
def test_credit_sums_up(kind, without_reference, eeg):
    """All credit together is the loss of silence less that of the samples."""
    X, y = eeg
    decoder = fitted(without_reference, X, y, kind)
    X, y = X[32:36], y[32:36]
    found = gradient_importance(decoder, X, y, n_steps=64)
    part = found.part()
    np.testing.assert_allclose(part.grid.sum(), part.channels.sum(), rtol=1e-6)
    np.testing.assert_allclose(part.grid.sum(axis=0), part.patches, rtol=1e-6)
    with torch.inference_mode():
        losses = [_loss(decoder, X, y, is_silent) for is_silent in (True, False)]
    assert found.residual < 0.05
    assert part.channels.sum() == pytest.approx(losses[0] - losses[1], rel=0.06, abs=1e-3)


def _loss(decoder, X, y, is_silent):
    encoder = decoder.encoder_
    (block,) = iter_windows(open_samples(X), encoder.preprocessing)
    (tokens,) = batch_tokens(block, np.arange(len(y)))
    tokens.values *= 0.0 if is_silent else 1.0
    outputs = decoder.decoder_.as_network()([tokens])
    if isinstance(decoder, BrainOFClassifier):
        return float(torch.nn.functional.cross_entropy(outputs, torch.as_tensor(y)))
    target = torch.as_tensor(decoder.targets_.encode(y))
    return float((outputs[:, 0] - target).square().mean())


@pytest.mark.parametrize("n_points", [64, 63])
def test_credit_by_frequency_is_the_same_credit(n_points):
    """Parseval: over all frequencies it adds up to what the time points got."""
    generator = torch.Generator().manual_seed(0)
    values, gradient = torch.randn(2, 3, 2 * 2, n_points, generator=generator).double()
    credit = by_frequency(values, gradient, 2)
    assert float(credit.sum()) == pytest.approx(float((values * gradient).sum()))


def test_pure_tones_are_credited_to_their_frequency():
    """A 10 Hz signal cannot matter at 20 Hz."""
    time = torch.arange(256).double() / 128
    values = torch.sin(2 * np.pi * 10 * time).reshape(1, 4, 64)
    credit = by_frequency(values, values + 1.0, 1)
    assert int(credit.argmax()) == 20  # bins of half a hertz
    assert float(credit[20]) == pytest.approx(float(credit.sum()))


# ------------------------------------------------------------------------------------- any input


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_trained_networks(method, adaptation, micro_checkpoint, eeg):
    """Any adaptation, head and depth; what is explained is what is predicted."""
    X, y = eeg
    kind = {"lora": LoRA, "full": FineTuning}[adaptation]
    how = kind(max_epochs=1, head="mlp")
    decoder = fitted(micro_checkpoint, X[:16], y[:16], adaptation=how, layer=1)
    found = method(decoder, X[32:36], **kwargs_of(method))
    assert np.isfinite(found.to_dataframe()["importance"]).all()
    assert found.n_samples == 4 and found.unit == "nats"


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_batches_change_nothing(method, micro_checkpoint, eeg, decoder):
    """However many windows go together."""
    X, y = eeg
    tables = []
    for batch_size in (32, 3):
        decoder.set_params(batch_size=batch_size)
        tables.append(method(decoder, X[32:37], y[32:37], **kwargs_of(method)).to_dataframe())
    decoder.set_params(batch_size=32)
    np.testing.assert_allclose(tables[0]["importance"], tables[1]["importance"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_several_modalities(method, micro_checkpoint, eeg):
    """The modality that knows is the one that matters."""
    X, y = eeg
    other, _, _ = focal("mag", 3, seed=1)
    noise = other.replace(data=other.data[np.random.default_rng(0).permutation(len(y))])
    pairs = PairedSignals({"eeg": X, "meg": noise})
    decoder = fitted(micro_checkpoint, pairs, y)
    found = method(decoder, pairs[32:], y[32:], **kwargs_of(method))
    assert set(found.parts) == {"eeg", "meg"}
    assert found.to_dataframe()["importance"].notna().all()
    if method is occlusion_importance:  # gradients also credit what is merely not silent
        best = [found.part(name).channels.max() for name in ("eeg", "meg")]
        assert best[0] > best[1]
    with pytest.raises(ValueError, match="Name the modality: there are eeg, meg"):
        found.part()


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_refuses_nonsense(method, micro_checkpoint, eeg, decoder):
    """What predicts nothing, is not fitted, was not seen, or has no single map."""
    X, y = eeg
    with pytest.raises(TypeError, match="pass a fitted BrainOFClassifier or BrainOFRegressor"):
        method(BrainOFEmbedder(micro_checkpoint).fit(X), X)
    with pytest.raises(ValueError, match="not fitted"):
        method(BrainOFClassifier(micro_checkpoint), X)
    with pytest.raises(ValueError, match=r"y holds \[7\]; the classes are \[0, 1\]"):
        method(decoder, X[:2], [0, 7])
    with pytest.raises(ValueError, match="y has 3 entries but X has 2 samples"):
        method(decoder, X[:2], [0, 1, 1])
    other, _, _ = focal("eeg", 3, n_channels=10)
    with pytest.raises(ValueError, match="A map needs one eeg montage"):
        method(decoder, [X[:1], other[:1]], [0, 1])
    with pytest.raises(ValueError, match=r"The band 'odd' must be \(low, high\)"):
        method(decoder, X[:2], y[:2], bands={"odd": (9, 4)})
