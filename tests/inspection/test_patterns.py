"""Patterns: they equal a regression, and peak where the simulated effect is."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    PairedSignals,
    from_roi_timeseries,
)
from brainof_toolbox.datasets import make_epochs, make_study
from brainof_toolbox.features import Covariance
from brainof_toolbox.inspection import patterns
from brainof_toolbox.io.atlases import default_parcellation
from brainof_toolbox.io.sensors import from_array

EXPLICIT = {"features": "explicit"}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def study(effect, kind="eeg"):
    X = make_study(3, kind=kind, effect=effect, n_epochs=20, random_state=0)
    names = {code: name for name, code in X.event_id.items()}
    y = np.array([names[code] for code in X.events[:, 2]])
    subject = X.metadata["subject"].to_numpy()
    return X, BrainOFClassifier(**EXPLICIT).fit(X, y, groups=subject)


def regions(n_times=60, seed=0):
    """Noise of regions of the default atlas, and classes."""
    rng = np.random.default_rng(seed)
    places = default_parcellation().positions[::6]
    return rng.standard_normal((48, len(places), n_times)), places, np.arange(48) % 2


@pytest.fixture(scope="module")
def mu():
    return study("mu")


# ------------------------------------------------------------------------ where the effect is


def test_mu_rhythm_is_central_and_lateral(mu):
    """Before the right hand moves, mu power is lower on the left and higher on the right."""
    X, decoder = mu
    found = patterns(decoder, X)
    assert found.outputs == ("right",) and found.unit == "log odds"
    part = found.part("covariance")
    maps = part.maps()
    assert list(maps) == [f"{low:g}-{high:g} Hz" for low, high in Covariance().bands]
    best = max(maps, key=lambda band: np.abs(maps[band]).max())
    assert best in ("8-12 Hz", "12-16 Hz")
    (row,) = maps[best]
    assert part.ch_names[row.argmin()] == "C3" and part.ch_names[row.argmax()] == "C4"
    assert np.abs(maps["24-34 Hz"]).max() < 0.5 * np.abs(row).max()


def test_evoked_response_is_parietal():
    """It is larger in targets 300 ms after the start."""
    X, decoder = study("evoked")
    found = patterns(decoder, X)
    evoked = found.to_evoked()
    early = evoked.copy().crop(tmin=0.1, tmax=0.6)
    place, time = np.unravel_index(early.data.argmax(), early.data.shape)
    assert early.ch_names[place] in ("Pz", "CP1", "CP2", "PO3", "PO4")
    assert abs(early.times[time] - 0.3) <= 0.08
    part = found.part("evoked")
    np.testing.assert_allclose(evoked.times + 0.025, part.times, atol=1e-6)  # starts of bins
    values = part.values.reshape(len(part.ch_names), -1)
    np.testing.assert_allclose(evoked.data, values)
    name = f"{1e3 * part.times[3]:.0f} ms {part.ch_names[2]}"
    assert part.columns.index(name) == 2 * len(part.times) + 3


@pytest.mark.parametrize("features", ["explicit", (Covariance(),)], ids=["own", "places"])
def test_correlated_regions_are_strong(features):
    """Regions with a common signal in one class."""
    data, places, y = regions()
    rng, hubs = np.random.default_rng(1), [5, 20, 33]
    data[np.ix_(y == 1, hubs)] += 1.5 * rng.standard_normal((24, 1, 60))
    X = from_roi_timeseries(data.swapaxes(1, 2), t_r=2.0, roi_positions=places)
    found = patterns(BrainOFClassifier(features=features).fit(X, y), X)
    part = found.part("covariance")
    maps = part.maps()
    if features == "explicit":
        for row in (maps["strength"][0], maps["absolute strength"][0]):
            assert set(np.argsort(-row)[:3]) == set(hubs)
        strong = part.columns.index(f"{part.ch_names[5]} x {part.ch_names[20]}")
        assert part.values[0, strong] > 3 * np.abs(part.values[0]).mean()
    else:
        nearest = np.linalg.norm(part.ch_pos[:, None] - X.ch_pos, axis=2).argmin(axis=1)
        assert set(nearest[np.argsort(-maps["strength"][0])[:6]]) <= set(hubs)
    assert len(found.plot().axes) >= 2


def test_regions_of_trials():
    """A higher mean in one region, a rise in another."""
    data, places, y = regions(12)
    data[y == 1, 7] += 1.0
    data[y == 1, 30] += np.linspace(-1.5, 1.5, 12)
    X = from_roi_timeseries(data.swapaxes(1, 2), t_r=2.0, roi_positions=places)
    X = X.replace(has_baseline=True, is_locked=True)
    found = patterns(BrainOFClassifier(**EXPLICIT).fit(X, y), X)
    maps = found.part("evoked").maps()
    assert maps["mean"][0].argmax() == 7 and maps["slope"][0].argmax() == 30
    with pytest.raises(ValueError, match="Name the block: there are covariance, evoked"):
        found.to_evoked()
    with pytest.raises(ValueError, match="is no evoked course of EEG or MEG"):
        found.to_evoked("evoked")
    titles = [ax.get_title() for ax in found.plot("evoked").axes]
    assert "mean, towards 1" in titles and "slope, towards 1" in titles


# ------------------------------------------------------------------------------- what they are


def test_equals_one_regression_per_column(mu):
    """Slope of each feature on the log odds."""
    X, decoder = mu
    found = patterns(decoder, X)
    odds = decoder.decision_function(X)
    rows = decoder.encoder_.embed_blocks(X)["covariance"].astype(float)
    slopes = [np.polyfit(odds, column, 1)[0] for column in rows[:, :50].T]
    part = found.part("covariance")
    np.testing.assert_allclose(part.values[0, :50], slopes, rtol=1e-3, atol=1e-6)
    frame = found.to_dataframe()
    assert list(frame.columns) == ["block", "class", "name", "pattern"]
    assert len(frame) == sum(len(p.columns) for p in found.parts.values())
    names = decoder.encoder_.feature_names()
    assert [f"{b} {n}" for b, n in zip(frame["block"], frame["name"])] == names


def test_several_classes_and_numbers(micro_checkpoint):
    """Outputs of classes sum to zero: the pseudoinverse gives the same as K - 1 of them."""
    data, places, _ = regions(12)
    y = np.arange(48) % 3
    for label in (1, 2):
        data[y == label, 7 * label] += 1.5
    X = from_roi_timeseries(data.swapaxes(1, 2), t_r=2.0, roi_positions=places)
    X = X.replace(has_baseline=True, is_locked=True)
    decoder = BrainOFClassifier(micro_checkpoint, pooling="mean").fit(X, y)
    found = patterns(decoder, X)
    assert found.outputs == ("0", "1", "2") and set(found.parts) == {"covariance", "evoked"}
    values = found.part("evoked").values
    mean = found.part("evoked").maps()["mean"]
    assert mean[1].argmax() == 7 and mean[2].argmax() == 14
    outputs = decoder.decision_function(X)
    outputs = outputs - outputs.mean(axis=1, keepdims=True)
    away = outputs - outputs.mean(axis=0)
    rows = decoder.encoder_.embed_blocks(X)["evoked"]
    two = np.linalg.lstsq(away[:, :2], rows - rows.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(values[:2] - values[2], two, atol=1e-4)
    np.testing.assert_allclose(values.sum(axis=0), 0, atol=1e-4)
    with pytest.raises(ValueError, match="Name the output: there are 0, 1, 2"):
        found.plot("evoked")
    assert found.plot("evoked", output=1) is not None
    numbers = patterns(BrainOFRegressor(**EXPLICIT).fit(X, 10.0 * y), X)
    assert numbers.outputs == ("target",)
    assert numbers.unit == "standard deviations of the target"


def test_a_modality_that_samples_lack():
    """Patterns of a block use the samples that have it."""
    signals = study("mu", "eeg")[0]
    X = from_array(signals.get_data(), signals.info)
    y = np.arange(len(X)) % 2
    other = from_array(make_epochs("meg", n_epochs=60).get_data(), make_epochs("meg").info)
    is_missing = {"meg": np.arange(60) < 10}
    pairs = PairedSignals({"eeg": X, "meg": other}, is_missing)
    decoder = BrainOFClassifier(features=("covariance",)).fit(pairs, y)
    both = patterns(decoder, pairs).part("meg_covariance").values
    alone = patterns(decoder, pairs[10:]).part("meg_covariance").values
    np.testing.assert_allclose(both, alone, rtol=1e-3, atol=1e-6)


def test_figures(mu):
    """One topography per band, with one scale; as many axes as maps."""
    X, decoder = mu
    found = patterns(decoder, X)
    figure = found.plot("covariance")
    assert [ax.get_title() for ax in figure.axes[:6]] == list(found.part("covariance").maps())
    assert len({ax.images[0].get_clim() for ax in figure.axes[:6]}) == 1
    assert len(found.plot("evoked").axes) == 7
    with pytest.raises(ValueError, match="needs 6 axes, got 1"):
        found.plot("covariance", axes=plt.subplots()[1])
    assert "covariance: 816 features" in repr(found)


def test_refuses_what_has_no_pattern(micro_checkpoint, mu):
    X, decoder = mu
    with pytest.raises(TypeError, match="pass a fitted BrainOFClassifier or BrainOFRegressor"):
        patterns(BrainOFEmbedder(micro_checkpoint).fit(X[:4]), X[:4])
    latents = BrainOFClassifier(micro_checkpoint, features="latents", pooling="mean")
    with pytest.raises(ValueError, match="uses latents alone"):
        patterns(latents.fit(X[:12], X.events[:12, 2]), X[:4])
    with pytest.raises(ValueError, match="do not vary over the 1 samples"):
        patterns(decoder, X[:1])
    with pytest.raises(ValueError, match="'block': allowed are"):
        patterns(decoder, X[:6]).part("latents")
