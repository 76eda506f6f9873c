"""Hiding from explicit features: values without information, and maps that peak at the source."""

from __future__ import annotations

import numpy as np
import pytest

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor, PairedSignals, from_roi_timeseries
from brainof_toolbox.datasets import make_study
from brainof_toolbox.estimators import FineTuning, LoRA, Probe
from brainof_toolbox.features import Covariance, Evoked
from brainof_toolbox.inspection import (
    block_contributions,
    expert_usage,
    gradient_importance,
    latent_attention,
    modality_contributions,
    occlusion_importance,
    patterns,
    plot_contributions,
    reconstruct,
)
from brainof_toolbox.inspection.hiding import Hidden, hidden_times, hide_in_blocks
from brainof_toolbox.inspection.scoring import prepare
from brainof_toolbox.io.sensors import from_array

SMALL = {"pooling": "mean"}


@pytest.fixture(scope="module")
def study():
    """Epochs with a mu rhythm as Signals, classes, subjects, and the subject that is left out."""
    epochs = make_study(3, n_epochs=16, n_channels=19, duration=1.0, random_state=0)
    subject = epochs.metadata["subject"].to_numpy()
    X = from_array(epochs.get_data(), epochs.info).replace(subject=subject)
    return X, epochs.events[:, 2], subject, subject == "03"


@pytest.fixture(scope="module")
def default(study, micro_checkpoint):
    """The default decoder, fitted to two subjects."""
    X, y, subject, is_test = study
    decoder = BrainOFClassifier(micro_checkpoint, **SMALL)
    return decoder.fit(X[~is_test], y[~is_test], groups=subject[~is_test])


def regions(n_times=60, seed=0):
    """Regions of which two share a signal in class 1, away from the others."""
    rng = np.random.default_rng(seed)
    side = np.linspace(-0.06, 0.06, 4)
    places = np.stack(np.meshgrid(side, side, [0.0, 0.04]), axis=-1).reshape(-1, 3)
    data = rng.standard_normal((60, len(places), n_times))
    y = np.arange(60) % 2
    data[np.ix_(y == 1, [5, 20])] += 1.5 * rng.standard_normal((30, 1, n_times))
    return from_roi_timeseries(data.swapaxes(1, 2), t_r=2.0, roi_positions=places), y


# ------------------------------------------------------------------------ where the source is


def test_mu_rhythm():
    """Central electrodes, and the band of the rhythm."""
    X = make_study(4, n_epochs=24, random_state=0)
    subject, y = X.metadata["subject"].to_numpy(), X.events[:, 2]
    kept = subject != "04"
    decoder = BrainOFClassifier(features="explicit").fit(X[kept], y[kept], groups=subject[kept])
    part = occlusion_importance(decoder, X[~kept], y[~kept]).part()
    assert part.ch_names[part.channels.argmax()] in ("C3", "C4")
    assert max(part.bands, key=part.bands.get) == "alpha"  # mu is at 8 to 13 Hz


@pytest.mark.parametrize("features", ["explicit", (Covariance(),)], ids=["own", "places"])
def test_regions(features):
    """The two regions whose correlation differs."""
    X, y = regions()
    decoder = BrainOFClassifier(features=features).fit(X[:40], y[:40])
    part = occlusion_importance(decoder, X[40:], y[40:]).part()
    assert set(np.argsort(-part.channels)[:2]) == {5, 20}
    assert np.abs(part.channels).max() < 5


def test_time_of_a_response(micro_checkpoint):
    """An evoked response in the second quarter of a second."""
    X = make_study(1, effect="evoked", effect_size=2.0, n_epochs=80, duration=1.0, random_state=0)
    y = X.events[:, 2]
    decoder = BrainOFClassifier(micro_checkpoint, features=(Evoked(),)).fit(X[:60], y[:60])
    part = occlusion_importance(decoder, X[60:], y[60:]).part()
    assert part.patches.argmax() == 1 and part.times[1] == pytest.approx(0.375)


# ----------------------------------------------------------------------------------- what it is


def outputs_of(case, blocks):
    return case.decoder.decision(case.decoder.align(blocks, case.samples))


def test_a_band_counts_as_its_mean(default, study):
    """Columns of the bands whose centre is hidden take the mean of the training samples."""
    X, y, _, is_test = study
    decoder = BrainOFClassifier(features=(Covariance(),)).fit(X[~is_test], y[~is_test])
    case = prepare(decoder, X[is_test], y[is_test])
    rows = case.blocks["covariance"].copy()
    mean = decoder.encoder_.embed_blocks(X[~is_test])["covariance"].mean(axis=0)
    is_hidden = [
        name.startswith("8-12 Hz") for name in decoder.encoder_.explicit.columns["covariance"]
    ]
    rows[:, is_hidden] = mean[is_hidden]
    found = case.outputs(Hidden(("eeg",), band=(8.0, 13.0)))
    np.testing.assert_allclose(found, outputs_of(case, {"covariance": rows}), atol=1e-4)


def test_a_region_counts_as_its_mean():
    """So do all pairs of a region of the atlas."""
    X, y = regions()
    decoder = BrainOFClassifier(features="explicit").fit(X[:40], y[:40])
    case = prepare(decoder, X[40:], y[40:])
    rows = case.blocks["covariance"].copy()
    mean = decoder.encoder_.embed_blocks(X[:40])["covariance"].mean(axis=0)
    columns = decoder.encoder_.explicit.columns["covariance"]
    is_hidden = [X.ch_names[3] in name.split(" x ") for name in columns]
    assert sum(is_hidden) == len(X.ch_names) - 1
    rows[:, is_hidden] = mean[is_hidden]
    found = case.outputs(Hidden(("fmri",), channels=np.arange(len(X.ch_names)) == 3))
    np.testing.assert_allclose(found, outputs_of(case, {"covariance": rows}), atol=1e-4)


def test_an_evoked_span_takes_the_mean_course(study, micro_checkpoint):
    """Of a linear feature the information goes, and the average course stays."""
    X, y, _, is_test = study
    decoder = BrainOFClassifier(micro_checkpoint, features=(Evoked(),))
    decoder.fit(X[~is_test], y[~is_test])
    case = prepare(decoder, X[is_test], y[is_test])
    everything = case.outputs(Hidden(("eeg",), span=(0, 192)))
    spans = [case.outputs(Hidden(("eeg",), span=span)) for span in ((0, 64), (64, 128))]
    assert np.ptp(everything[:, 0]) < np.ptp(spans[0][:, 0])
    mean = case.outputs().mean(axis=0)
    for outputs in (everything, *spans):
        np.testing.assert_allclose(outputs.mean(axis=0), mean, atol=1e-3)


def test_the_rest_makes_up_for_a_hidden_time(study, micro_checkpoint):
    """The log power changes less than by the share of the time that is hidden."""
    X, y, _, is_test = study
    decoder = BrainOFClassifier(micro_checkpoint, features=(Covariance(),))
    decoder.fit(X[~is_test], y[~is_test])
    case = prepare(decoder, X[is_test], y[is_test])
    definitions, hidden = case.reader.explicit.definitions(), Hidden(("eeg",), span=(64, 128))
    changed, _ = hide_in_blocks(hidden, definitions, case.batches, is_test.sum())
    columns = decoder.encoder_.explicit.columns["covariance"]
    is_power = [name.split()[2] == name.split()[4] for name in columns]
    power = [blocks["covariance"][:, is_power].mean() for blocks in (case.blocks, changed)]
    assert abs(power[1] - power[0]) < 0.2 < abs(np.log(0.75))


def test_nothing_left_is_the_training_mean(default, study):
    """With all channels hidden, explicit features have no part in the outputs."""
    X, y, _, is_test = study
    decoder = BrainOFClassifier(features="explicit").fit(X[~is_test], y[~is_test])
    case = prepare(decoder, X[is_test], y[is_test])
    for hidden in (Hidden(("eeg",)), Hidden(("eeg",), channels=np.ones(19, dtype=bool))):
        outputs = case.outputs(hidden)
        np.testing.assert_allclose(outputs, outputs[:1].repeat(len(outputs), 0), atol=1e-9)
        np.testing.assert_allclose(outputs[0], decoder.head_.intercept, atol=1e-9)


# ---------------------------------------------------------------------------------- any decoder


@pytest.mark.parametrize(
    "parameters",
    [
        {"adaptation": Probe(head="mlp")},
        {"align": "subject"},
        {"adaptation": LoRA(max_epochs=1, refit=False)},
        {"adaptation": FineTuning(max_epochs=1, refit=False), "align": "subject"},
    ],
    ids=["mlp", "align", "lora", "full-align"],
)
def test_any_adaptation(parameters, study, micro_checkpoint):
    """Maps and contributions of all decoders with explicit features."""
    X, y, subject, is_test = study
    decoder = BrainOFClassifier(micro_checkpoint, **SMALL, **parameters)
    decoder.fit(X[~is_test], y[~is_test], groups=subject[~is_test])
    few = np.flatnonzero(is_test)[:3]
    found = occlusion_importance(decoder, X[few], y[few], bands={"alpha": (8, 13)})
    assert np.isfinite(found.to_dataframe()["importance"]).all()
    assert (found.part().channels != 0).all()
    table = block_contributions(decoder, X[is_test], y[is_test])
    assert list(table["block"]) == ["latents", "covariance", "evoked"]
    probability = decoder.predict_proba(X[is_test])
    loss = -np.log(
        probability[np.arange(is_test.sum()), np.searchsorted(decoder.classes_, y[is_test])]
    )
    scores = table.attrs["scores"]
    assert scores["latents+covariance+evoked"] == pytest.approx(-loss.mean(), abs=1e-4)
    assert table["contribution"].sum() == pytest.approx(
        scores["latents+covariance+evoked"] - scores["none"]
    )


def test_blocks_left_out_are_missing(default, study):
    """A block that is left out counts as one that a sample lacks."""
    X, y, _, is_test = study
    scores = block_contributions(default, X[is_test], y[is_test]).attrs["scores"]
    blocks = default.encoder_.embed_blocks(X[is_test])
    blocks["evoked"] = np.full_like(blocks["evoked"], np.nan)
    logits = default.head_.decision(blocks)
    logits = logits - logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = np.searchsorted(default.classes_, y[is_test])
    naive = logs[np.arange(len(rows)), rows].mean()
    assert scores["latents+covariance"] == pytest.approx(naive, abs=1e-4)


def test_block_figure_and_refusals(default, study, micro_checkpoint):
    X, y, _, is_test = study
    figure = plot_contributions(block_contributions(default, X[is_test]))
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["latents", "covariance", "evoked"]
    one = BrainOFClassifier(features=(Covariance(),)).fit(X, y)
    with pytest.raises(ValueError, match="one block of features only, covariance"):
        block_contributions(one, X, y)


def test_modalities_without_a_network(study):
    """A left-out modality counts as its mean in training; without any, all samples are equal."""
    X, y, _, is_test = study
    noise = X.replace(data=X.data[np.random.default_rng(0).permutation(len(y))])
    meg = noise.replace(modality="meg", ch_types=("mag",) * 19, data=noise.data * 2e-8)
    pairs = PairedSignals({"eeg": X, "meg": meg})
    target = y.astype(float)
    decoder = BrainOFRegressor(features=("covariance",)).fit(pairs[~is_test], target[~is_test])
    found = modality_contributions(decoder, pairs[is_test], target[is_test])
    scores = found.attrs["scores"]
    assert found["contribution"].sum() == pytest.approx(scores["eeg+meg"] - scores["none"])
    blocks = block_contributions(decoder, pairs[is_test], target[is_test])
    assert list(blocks["block"]) == ["eeg_covariance", "meg_covariance"]
    np.testing.assert_allclose(blocks["contribution"], found["contribution"], atol=1e-6)


def test_what_needs_the_network_alone(default, study):
    """These use the network of the default decoder; gradients need a decoder of latents."""
    X, y, _, is_test = study
    few = X[is_test][:4]
    assert len(expert_usage(default, few)) and latent_attention(default, few).channels.size
    assert np.isfinite(reconstruct(default, few).relative_loss)
    with pytest.raises(ValueError, match="pass features='latents'"):
        gradient_importance(default, few)


def test_epochs_longer_than_a_window(study, micro_checkpoint):
    """The course is that of whole epochs: a hidden time is that of each of their windows."""
    X, y, _, is_test = study
    decoder = BrainOFClassifier(micro_checkpoint, features="explicit", window=0.5)
    decoder.fit(X[~is_test], y[~is_test])
    case = prepare(decoder, X[is_test], y[is_test])
    windows = case.batches[0].windows["eeg"]
    hidden = hidden_times(windows, (0, 64))
    assert windows.whole.shape[2] == len(hidden) == 256
    np.testing.assert_array_equal(hidden, np.arange(256) % 128 < 64)
    found = occlusion_importance(decoder, X[is_test], y[is_test])
    assert len(found.part().times) == 2 and np.isfinite(found.part().patches).all()
    part = patterns(decoder, X[is_test]).part("evoked")
    assert len(part.times) == 20 and part.times[-1] == pytest.approx(0.975)
