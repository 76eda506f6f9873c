"""Decoders with all features that apply: what they use, how subjects are aligned, what is kept."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from scipy.special import softmax
from simulated import crossed, noise_epochs, obvious_epochs, raw
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFRegressor,
    PairedSignals,
    cross_validate,
    datasets,
    from_epochs,
)
from brainof_toolbox.encoder import Encoder, backbones
from brainof_toolbox.estimators import FineTuning, LoRA
from brainof_toolbox.estimators.fusion import fit_fused

KINDS = [BrainOFClassifier, BrainOFRegressor]
FAST = {"max_epochs": 1, "augmentation": None}
TRAINED = {"lora": LoRA(rank=2, **FAST), "full": FineTuning(**FAST)}
BLOCKS = ["latents", "covariance", "evoked"]


def make(kind, checkpoint, adaptation="probe", **kwargs):
    adaptation = clone(TRAINED[adaptation]) if adaptation in TRAINED else adaptation
    return kind(checkpoint, adaptation=adaptation, **{"pooling": "mean", **kwargs})


@pytest.fixture(scope="module")
def epochs():
    return obvious_epochs(24)


@pytest.fixture(scope="module")
def y(epochs):
    return epochs.events[:, 2]


@pytest.fixture(scope="module")
def study():
    """Three people whose rhythm on either side differs between two classes."""
    return datasets.make_study(3, effect_size=2.0, n_epochs=24, n_channels=16, duration=1.0)


def outputs(fitted, X):
    return getattr(fitted, "predict_proba", fitted.predict)(X)


# ------------------------------------------------------------------------------------ features


@pytest.mark.parametrize("kind", KINDS)
def test_all_blocks_of_epochs_are_used(kind, small_checkpoint, epochs, y):
    fitted = kind(small_checkpoint).fit(epochs, y)
    weights = fitted.feature_weights_
    assert list(weights) == BLOCKS and min(weights.values()) >= 0
    assert sum(weights.values()) == pytest.approx(1)
    rows = Encoder(small_checkpoint, features=BLOCKS).embed_blocks(epochs)
    named = kind(small_checkpoint, features=BLOCKS).fit(epochs, y)
    np.testing.assert_allclose(outputs(fitted, epochs), outputs(named, epochs), atol=1e-6)
    assert [len(part.mean) for part in fitted.head_.parts.values()] == [
        block.shape[1] for block in rows.values()
    ]


def test_shares_of_constant_outputs(small_checkpoint):
    """A constant target has no spread to share."""
    fitted = make(BrainOFRegressor, small_checkpoint, "full").fit(noise_epochs(6), np.ones(6))
    assert sum(fitted.feature_weights_.values()) == pytest.approx(1)
    np.testing.assert_allclose(fitted.predict(noise_epochs(2)), 1, atol=1e-2)


def test_explicit_features_need_no_network(epochs, y, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(backbones, "load_checkpoint", never)
    fitted = BrainOFClassifier(features="explicit").fit(epochs[:16], y[:16])
    assert (fitted.predict(epochs[16:]) == y[16:]).mean() > 0.8
    assert list(fitted.feature_weights_) == BLOCKS[1:]
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(epochs), fitted.predict_proba(epochs))
    with pytest.raises(ValueError, match="LoRA trains the network: .* must include 'latents'"):
        BrainOFClassifier(features="explicit", adaptation="lora").fit(epochs, y)


@pytest.mark.parametrize("adaptation", ["probe", "lora"])
def test_recordings_have_no_evoked_block(adaptation, small_checkpoint):
    X, y = [raw(i, duration=2.0) for i in range(8)], [0, 1] * 4
    fitted = make(BrainOFClassifier, small_checkpoint, adaptation).fit(X, y)
    first = "network" if adaptation == "lora" else "latents"
    assert list(fitted.feature_weights_) == [first, "covariance"]
    assert fitted.predict([raw(9, duration=3.0), *X[:1]]).shape == (2,)
    assert fitted.predict(noise_epochs(3)).shape == (3,)


@pytest.mark.parametrize("adaptation", ["probe", "full"])
def test_later_samples_of_another_kind(adaptation, small_checkpoint, epochs, y):
    fitted = make(BrainOFClassifier, small_checkpoint, adaptation).fit(epochs, y)
    with pytest.raises(ValueError, match="'evoked', which the decoder uses, does not apply"):
        fitted.predict([raw()])
    with pytest.raises(ValueError, match="Cut samples to one length"):
        fitted.predict(noise_epochs(2, n_times=64))
    with pytest.raises(ValueError, match="X has meg, but"):
        fitted.predict(noise_epochs(2, kind="eeg+meg"))


@pytest.mark.parametrize("adaptation", ["probe", "lora"])
def test_samples_that_lack_a_modality(adaptation, small_checkpoint):
    """Its blocks count as the mean there; each sample is predicted as it is alone."""
    parts = from_epochs(obvious_epochs(16, kind="eeg+meg")).by_modality
    X = PairedSignals(parts, {"eeg": np.arange(16) % 8 == 0, "meg": np.arange(16) % 8 == 3})
    fitted = make(BrainOFClassifier, small_checkpoint, adaptation)
    fitted.fit(X, obvious_epochs(16, kind="eeg+meg").events[:, 2])
    expected = [f"{name}_{kind}" for kind in BLOCKS[1:] for name in ("eeg", "meg")]
    assert list(fitted.feature_weights_)[1:] == expected
    found = fitted.predict_proba(X)
    assert np.isfinite(found).all()
    for i in (0, 3, 5):
        np.testing.assert_allclose(fitted.predict_proba(X[i]), found[i : i + 1], atol=1e-5)


def test_search_over_features_and_rank(small_checkpoint, epochs, y):
    decoder = make(BrainOFClassifier, small_checkpoint, LoRA(refit=False, **FAST))
    grid = {"features": ["auto", "latents"], "adaptation__rank": [1, 2]}
    search = GridSearchCV(decoder, grid, cv=2, error_score="raise").fit(epochs[:12], y[:12])
    assert len(search.cv_results_["params"]) == 4
    rank, best = search.best_params_["adaptation__rank"], search.best_estimator_
    assert {len(a) for name, a in best.adapter_.items() if name.endswith(".a")} == {rank}
    is_auto = search.best_params_["features"] == "auto"
    assert list(best.feature_weights_) == ["network", *BLOCKS[1:]][: 3 if is_auto else 1]


# ----------------------------------------------------------------------------------- alignment


def moved(blocks, subjects, centre=None):
    """Blocks whose subjects are moved towards the centre of subjects, one by one; the centre."""
    found, centres = {}, {}
    for name, X in blocks.items():
        X = X.astype(float)
        means = {s: X[subjects == s].mean(axis=0) for s in np.unique(subjects)}
        centres[name] = np.mean(list(means.values()), axis=0) if centre is None else centre[name]
        counts = {s: np.sum(subjects == s) for s in means}
        found[name] = np.stack(
            [
                row - counts[s] / (counts[s] + 1) * (means[s] - centres[name])
                for row, s in zip(X, subjects, strict=True)
            ]
        )
    return found, centres


def test_alignment_equals_a_naive_twin(small_checkpoint, study):
    """Subjects of training are ``groups``, those of new samples are named by the samples."""
    subjects = study.metadata["subject"].to_numpy()
    is_new = subjects == "03"
    train, new = study[~is_new], study[np.flatnonzero(is_new | (subjects == "02"))]
    y = train.events[:, 2]
    fitted = make(BrainOFClassifier, small_checkpoint, align="subject")
    fitted.fit(train, y, groups=subjects[~is_new])
    encoder = Encoder(small_checkpoint, features=BLOCKS, pooling="mean")
    blocks, centre = moved(encoder.embed_blocks(train), subjects[~is_new])
    index, groups = np.unique(y, return_inverse=True)[1], subjects[~is_new]
    probe = fit_fused(blocks, index, groups, optional=("latents",))
    names = new.metadata["subject"].to_numpy()
    twin = softmax(probe.decision(moved(encoder.embed_blocks(new), names, centre)[0]), axis=1)
    np.testing.assert_allclose(fitted.predict_proba(new), twin, atol=1e-3)
    for name, found in fitted.decoder_.centre.items():
        np.testing.assert_allclose(found, centre[name], atol=1e-5)
    # Without groups, the subjects of training are those that samples carry.
    named = clone(fitted).fit(train, y)
    for name, found in named.decoder_.centre.items():
        np.testing.assert_array_equal(found, fitted.decoder_.centre[name])
    plain = make(BrainOFClassifier, small_checkpoint).fit(train, y, groups=subjects[~is_new])
    assert np.abs(plain.predict_proba(new) - twin).max() > 0.01


@pytest.mark.parametrize("adaptation", ["probe", "lora", "full"])
def test_alignment_without_names(adaptation, small_checkpoint, epochs, y):
    fitted = make(BrainOFClassifier, small_checkpoint, adaptation, align="subject")
    with pytest.raises(ValueError, match="align='subject' needs the subject of each sample"):
        fitted.fit(epochs, y)
    fitted.fit(epochs[:16], y[:16], groups=np.arange(16) % 2)
    with pytest.warns(RuntimeWarning, match="these 8 samples carry no subject and are taken as"):
        found = fitted.predict_proba(epochs[16:])
    named = epochs[16:].copy()
    named.metadata = pd.DataFrame({"subject": ["x"] * 8})
    np.testing.assert_allclose(fitted.predict_proba(named), found, atol=1e-9)


def test_alignment_is_refused():
    with pytest.raises(ValueError, match="'align'"):
        BrainOFClassifier(align="session").fit(noise_epochs(4), [0, 1] * 2)


def test_alignment_in_cross_validation(study):
    """Groups as an array align samples that name nobody, also those of the test."""
    labels, X = study.events[:, 2], study.get_data(copy=True)
    subjects = study.metadata["subject"].to_numpy()
    X[subjects == "02"] *= 10  # what alignment takes out
    decoder = BrainOFClassifier(features="covariance", align="subject", info=study.info)
    scores = cross_validate(decoder, X, labels, groups=subjects)
    named = study.copy()
    named._data[:] = X
    same = cross_validate(clone(decoder).set_params(info=None), named, labels)
    np.testing.assert_allclose(
        np.asarray(scores.probabilities), np.asarray(same.probabilities), atol=1e-6
    )


# -------------------------------------------------------------------------- trained and explicit


@pytest.mark.parametrize("adaptation", list(TRAINED))
def test_fusion_is_no_worse_than_the_explicit_probe(adaptation, small_checkpoint, study):
    """An untrained network adds nothing to an effect that is in the covariance."""
    subjects, y = study.metadata["subject"].to_numpy(), study.events[:, 2]
    train, test = subjects != "03", subjects == "03"
    score = {}
    for name, features in (("probe", "explicit"), (adaptation, "auto")):
        fitted = make(BrainOFClassifier, small_checkpoint, name, features=features)
        fitted.fit(study[train], y[train], groups=subjects[train])
        score[name] = (fitted.predict(study[test]) == y[test]).mean()
    assert score["probe"] > 0.7  # guard: there is an effect
    assert score[adaptation] >= score["probe"] - 0.07
    decoder, weights = fitted.decoder_, fitted.feature_weights_
    factor = decoder.head.parts["latents"].coef[0, 0]
    assert factor >= 0 and min(decoder.head.factors_.values()) >= 0
    assert list(weights) == ["network", "covariance", "evoked"]
    assert sum(weights.values()) == pytest.approx(1) and min(weights.values()) >= 0
    blocks = decoder.encoder.with_outputs(decoder.network).embed_blocks(study[test])
    found = factor * blocks.pop("latents") + decoder.head.intercept
    for name, X in blocks.items():
        part = decoder.head.parts[name]
        found = found + ((X - part.mean) * part.rate) @ part.coef.T
    np.testing.assert_allclose(decoder.outputs(study[test]), found, atol=1e-5)


@pytest.mark.parametrize("kind, adaptation", crossed(KINDS, {k: k for k in ("probe", *TRAINED)}))
def test_clone_and_pickle(kind, adaptation, small_checkpoint, epochs, y):
    fitted = make(kind, small_checkpoint, adaptation).fit(epochs, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(outputs(again, epochs), outputs(fitted, epochs))
    assert again.feature_weights_ == fitted.feature_weights_
    fresh = clone(fitted)
    assert repr(fresh) == repr(fitted) and not hasattr(fresh, "decoder_")
    np.testing.assert_array_equal(outputs(fresh.fit(epochs, y), epochs), outputs(fitted, epochs))


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_trains_the_network_alone(kind, small_checkpoint, epochs, y):
    fitted = make(kind, small_checkpoint, "lora")
    fitted.partial_fit(epochs[:12], y[:12]).partial_fit(epochs[12:], y[12:])
    assert fitted.feature_weights_ == {"network": 1.0}
    latents = make(kind, small_checkpoint, "lora", features="latents")
    latents.partial_fit(epochs[:12], y[:12]).partial_fit(epochs[12:], y[12:])
    np.testing.assert_array_equal(outputs(fitted, epochs), outputs(latents, epochs))
    assert outputs(fitted, [raw()]).shape[0] == 1  # no block limits its samples
    fitted.fit(epochs, y).partial_fit(epochs[:4], y[:4])
    assert fitted.feature_weights_ == {"network": 1.0}


# ------------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize("kind, align", crossed(KINDS, {"plain": None, "aligned": "subject"}))
def test_adapter_holds_the_explicit_probe(kind, align, small_checkpoint, study, tmp_path):
    X, y = study[::2], study.events[::2, 2]
    fitted = make(kind, small_checkpoint, "lora", align=align).fit(X, y)
    fitted.save_adapter(tmp_path / "adapter")
    other = make(kind, small_checkpoint, "lora", align=align).load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(outputs(other, study), outputs(fitted, study), rtol=0, atol=1e-6)
    assert other.feature_weights_ == fitted.feature_weights_
    with pytest.raises(ValueError, match="does not apply"):
        other.predict([raw()])
    other.save_adapter(tmp_path / "again")
    for name in ("decoder.json", "decoder.safetensors"):
        first, second = ((tmp_path / f / name).read_bytes() for f in ("adapter", "again"))
        assert first == second
    for wrong in ({"features": "latents"}, {"align": "subject" if align is None else None}):
        estimator = make(kind, small_checkpoint, "lora", **{"align": align, **wrong})
        with pytest.raises(ValueError, match=f"was fitted with {next(iter(wrong))}="):
            estimator.load_adapter(tmp_path / "adapter")


def test_adapter_of_one_atlas(small_checkpoint, tmp_path):
    """The names of its regions are part of it."""
    runs = datasets_of_regions(8)
    fitted = make(BrainOFClassifier, small_checkpoint, "lora").fit(runs, np.arange(8) % 2)
    fitted.save_adapter(tmp_path / "adapter")
    other = make(BrainOFClassifier, small_checkpoint, "lora").load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(
        other.predict_proba(runs), fitted.predict_proba(runs), rtol=0, atol=1e-6
    )
    with pytest.raises(ValueError, match="atlases differ"):
        other.predict(datasets_of_regions(2, "other"))


def datasets_of_regions(n_samples, name="region"):
    from brainof_toolbox import Signals

    rng = np.random.default_rng(0)
    place = rng.standard_normal((6, 3))
    place = [0, 0, 0.04] + 0.05 * place / np.linalg.norm(place, axis=1, keepdims=True)
    data = rng.standard_normal((n_samples, 6, 40)).cumsum(axis=2)
    return Signals(data, 0.5, "fmri", [f"{name} {i}" for i in range(6)], ["bold"] * 6, place)


def test_adapter_after_partial_fit(small_checkpoint, epochs, y, tmp_path):
    """It has no explicit probe, although the estimator is one of all features."""
    fitted = make(BrainOFClassifier, small_checkpoint, "lora").partial_fit(epochs, y)
    fitted.save_adapter(tmp_path / "adapter")
    other = make(BrainOFClassifier, small_checkpoint, "lora").load_adapter(tmp_path / "adapter")
    np.testing.assert_array_equal(other.predict_proba(epochs), fitted.predict_proba(epochs))
    assert other.feature_weights_ == {"network": 1.0}


def test_adapter_with_all_features_is_small(epochs, y, tmp_path):
    adaptation = LoRA(max_epochs=1, refit=False, validation_fraction=0)
    decoder = BrainOFClassifier(pooling="mean", adaptation=adaptation).fit(epochs[:8], y[:8])
    decoder.save_adapter(tmp_path / "adapter")
    assert sum(file.stat().st_size for file in (tmp_path / "adapter").iterdir()) < 1e6


def test_damaged_explicit_features_are_refused(small_checkpoint, epochs, y, tmp_path):
    folder = tmp_path / "adapter"
    make(BrainOFClassifier, small_checkpoint, "lora").fit(epochs, y).save_adapter(folder)
    weights, description = folder / "decoder.safetensors", folder / "decoder.json"
    good, text = weights.read_bytes(), description.read_text()

    def refuse(match):
        with pytest.raises(ValueError, match=match):
            make(BrainOFClassifier, small_checkpoint, "lora").load_adapter(folder)

    def change(*path, value):
        content = json.loads(text)
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        description.write_text(json.dumps(content))

    damaged = "decoder.json: the explicit features are damaged"
    for path, value in {
        ("head", "factors_"): [1.0],
        ("head", "factors_", "covariance"): -1.0,
        ("head", "factors_", "evoked"): "1",
        ("head", "weights_", "latents"): None,
        ("head", "weights_"): {"covariance": 1.0},
        ("head", "strength_"): 3,
        ("head",): 7,
        ("explicit", "modalities"): ["ecog"],
        ("explicit", "columns", "spectrum"): ["a"],
        ("explicit",): {},
    }.items():
        change(*path, value=value)
        refuse(damaged)
    change("is_aligned", value=True)
    refuse("missing tensors 'centre.")
    columns = json.loads(text)["explicit"]["columns"]["covariance"]
    change("explicit", "columns", "covariance", value=columns[:-1])
    refuse("'head.*.covariance' has shape")
    description.write_text(text)
    state = safetensors.torch.load(good)
    name = "head.coef.covariance"
    weights.write_bytes(safetensors.torch.save({**state, name: state[name] * np.nan}))
    refuse("NaN or Inf")
    weights.write_bytes(safetensors.torch.save({n: t for n, t in state.items() if n != name}))
    refuse("missing tensors 'head.coef.covariance'")


def test_continued_training_embeds_no_latents(small_checkpoint, epochs, y, monkeypatch):
    """They are only where a first training starts from."""
    calls, embed = [], backbones.BrainOFBackbone.embed

    def counted(self, *args, **kwargs):
        calls.append(1)
        return embed(self, *args, **kwargs)

    monkeypatch.setattr(backbones.BrainOFBackbone, "embed", counted)
    adaptation = LoRA(rank=2, max_epochs=1, validation_fraction=0.0, warm_start=True)
    fitted = make(BrainOFClassifier, small_checkpoint, adaptation).fit(epochs, y)
    assert calls
    calls.clear()
    fitted.fit(epochs, y)
    assert not calls and set(fitted.feature_weights_) == {"network", "covariance", "evoked"}
