"""Contributions of modalities: they add up, and equal the mean over all orders."""

from __future__ import annotations

from itertools import combinations, permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor, PairedSignals
from brainof_toolbox.datasets import make_paired_signals, make_study
from brainof_toolbox.inspection import (
    block_contributions,
    modality_contributions,
    plot_contributions,
)
from brainof_toolbox.inspection.contributions import shapley


@pytest.fixture(scope="module")
def pairs():
    options = {"montage": 16, "n_meg": 12}
    return make_paired_signals(6, n_subjects=4, effect_size=2.0, random_state=2, **options)


@pytest.fixture(scope="module")
def decoder(micro_checkpoint, pairs):
    X, y, _ = pairs
    return BrainOFClassifier(micro_checkpoint).fit(X[:16], y[:16])


def test_equals_all_orders():
    """Four players of random worth."""
    rng, players = np.random.default_rng(0), "abcd"
    value = {frozenset(some): rng.normal() for n in range(5) for some in combinations(players, n)}
    for player in players:
        gains = []
        for order in permutations(players):
            before = frozenset(order[: order.index(player)])
            gains.append(value[before | {player}] - value[before])
        assert shapley(value, players, player) == pytest.approx(np.mean(gains))


@pytest.mark.parametrize("scoring", [None, "balanced_accuracy"])
def test_contributions_add_up(scoring, decoder, pairs):
    """To the score of all less that of none."""
    X, y, _ = pairs
    found = modality_contributions(decoder, X[16:], y[16:], scoring=scoring)
    scores = found.attrs["scores"]
    total = scores["fmri+eeg+meg"] - scores["none"]
    assert found["contribution"].sum() == pytest.approx(total)
    assert found["alone"].iloc[1] == pytest.approx(scores["eeg"] - scores["none"])
    assert found["last"].iloc[0] == pytest.approx(scores["fmri+eeg+meg"] - scores["eeg+meg"])
    if scoring == "balanced_accuracy":
        assert scores["none"] == 0.5
        said = decoder.predict(X[16:])
        assert scores["fmri+eeg+meg"] == pytest.approx(
            np.mean([(said == y[16:])[y[16:] == label].mean() for label in decoder.classes_])
        )


def test_not_reading_is_not_having(decoder, pairs):
    """The score of some modalities is that of samples which lack the others."""
    X, y, _ = pairs
    X, y = X[16:], y[16:]
    found = modality_contributions(decoder, X, y).attrs["scores"]
    lacking = PairedSignals(
        X.by_modality, is_missing={"fmri": np.ones(len(X), bool), "meg": np.ones(len(X), bool)}
    )
    probability = decoder.predict_proba(lacking)
    columns = np.searchsorted(decoder.classes_, y)
    naive = np.log(probability[np.arange(len(y)), columns]).mean()
    assert found["eeg"] == pytest.approx(naive, abs=1e-4)


def test_the_one_that_knows(micro_checkpoint, pairs):
    """Fitted with shuffled MEG and fMRI, EEG has the larger part."""
    X, y, _ = pairs
    rng = np.random.default_rng(0)
    signal = X.by_modality["eeg"].data.copy()
    wave = 1e-4 * np.sin(2 * np.pi * 10 * np.arange(signal.shape[2]) / X.by_modality["eeg"].sfreq)
    signal[y == "task"] += wave
    parts = {
        "eeg": X.by_modality["eeg"].replace(data=signal),
        "meg": X.by_modality["meg"][rng.permutation(len(y))],
    }
    mixed = PairedSignals(parts)
    decoder = BrainOFClassifier(micro_checkpoint).fit(mixed[:16], y[:16])
    found = modality_contributions(decoder, mixed[16:], y[16:]).set_index("modality")
    assert found["contribution"]["eeg"] > 2 * abs(found["contribution"]["meg"])


def test_regressors_and_predictions(micro_checkpoint, pairs):
    """Numbers are scored by squared error; without targets, against the own predictions."""
    X, y, _ = pairs
    target = (y == "task").astype(float)
    fitted = BrainOFRegressor(micro_checkpoint).fit(X[:16], target[:16])
    found = modality_contributions(fitted, X[16:])
    assert found.attrs["scores"]["fmri+eeg+meg"] == pytest.approx(0.0, abs=1e-6)
    assert found["contribution"].sum() >= 0


def test_figure(decoder, pairs):
    X, y, _ = pairs
    found = modality_contributions(decoder, X[16:], y[16:])
    figure, axes = plt.subplots()
    assert plot_contributions(found, axes) is figure
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, found["contribution"])
    assert axes.get_ylabel() == "gain in log loss (nats)"
    plt.close("all")


def test_refuses(decoder, micro_checkpoint, pairs):
    X, y, _ = pairs
    with pytest.raises(ValueError, match="'scoring': allowed are"):
        modality_contributions(decoder, X[:4], y[:4], scoring="r2")
    single = X.by_modality["eeg"]
    alone = BrainOFClassifier(micro_checkpoint).fit(single, y)
    with pytest.raises(ValueError, match="one modality only, eeg"):
        modality_contributions(alone, single, y)


def test_lists_of_epochs_and_names_of_columns(micro_checkpoint):
    """A list is its epochs together; targets are named as in cross_validate."""
    epochs = make_study(2, n_epochs=8, n_channels=4, duration=1.0)
    options = {"features": "explicit", "random_state": 0}
    decoder = BrainOFClassifier(micro_checkpoint, **options).fit(epochs, epochs.metadata["label"])
    wanted = block_contributions(decoder, epochs, epochs.metadata["label"])
    for X, y in ((epochs, "label"), ([epochs[:3], epochs[3:]], "event")):
        assert block_contributions(decoder, X, y).equals(wanted)
    with pytest.raises(ValueError, match="no 'condition'"):
        block_contributions(decoder, epochs, "condition")
