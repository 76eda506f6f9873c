"""The regressor: units, targets that are refused, learning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from simulated import SIZE, adapted, noise_epochs

from brainof_toolbox import BrainOFRegressor

BOTH = pytest.mark.parametrize("adaptation", ["probe", "full"])


FAST = {"max_epochs": 4, "batch_size": 8, "learning_rate": 1e-3, "augmentation": None}


def make(checkpoint, adaptation="probe", **kwargs):
    return adapted(BrainOFRegressor, checkpoint, adaptation, **{**FAST, **kwargs})


def graded_epochs(n_epochs, seed=0):
    """A 12 Hz rhythm at the first channels whose size is the target, in years as it were."""
    epochs = noise_epochs(n_epochs, seed)
    age = np.random.default_rng(seed + 100).uniform(20, 80, n_epochs)
    wave = 4 * SIZE["eeg"] * np.sin(2 * np.pi * 12 * epochs.times)
    epochs._data[:, :3] += (age[:, None, None] - 20) / 60 * wave
    return epochs, age


@BOTH
def test_graded_effect_is_learned(adaptation, small_checkpoint):
    """For numbers."""
    train, y = graded_epochs(48)
    test, truth = graded_epochs(32, seed=1)
    regressor = make(small_checkpoint, adaptation, max_epochs=12).fit(train, y)
    assert np.corrcoef(regressor.predict(test), truth)[0, 1] > 0.8
    assert regressor.score(test, truth) > 0.5


@BOTH
def test_units_of_the_target(adaptation, small_checkpoint):
    """Predictions come in the unit of y: an offset and a factor pass through."""
    epochs, y = graded_epochs(16)
    years = make(small_checkpoint, adaptation).fit(epochs, y).predict(epochs)
    other = make(small_checkpoint, adaptation).fit(epochs, 1e6 * y - 4e7).predict(epochs)
    assert years.shape == (16,) and years.dtype == np.float64
    np.testing.assert_allclose((other + 4e7) / 1e6, years, rtol=0, atol=0.02)


@BOTH
def test_same_seed_same_predictions(adaptation, small_checkpoint, global_rng_untouched):
    """Same seed twice, same process: identical embedding / predictions."""
    epochs, y = graded_epochs(16)
    first = make(small_checkpoint, adaptation).fit(epochs, y)
    expected = first.predict(epochs)
    second = make(small_checkpoint, adaptation).fit(epochs, y)
    np.testing.assert_array_equal(second.predict(epochs), expected)
    order = np.random.default_rng(0).permutation(16)
    np.testing.assert_allclose(first.predict(epochs[order]), expected[order], rtol=1e-5)
    np.testing.assert_allclose(first.set_params(batch_size=1).predict(epochs), expected, rtol=1e-5)


@BOTH
def test_constant_target(adaptation, small_checkpoint):
    """Nothing to learn: the constant is predicted, nothing is divided by zero."""
    predicted = make(small_checkpoint, adaptation).fit(noise_epochs(8), [3] * 8)
    np.testing.assert_allclose(predicted.predict(noise_epochs(4, seed=1)), 3.0, atol=1e-5)


@pytest.mark.parametrize(
    "y", [[1, 2] * 4, pd.Series(range(8), index=range(5, 13)), ["1", "2"] * 4]
)
def test_targets_of_any_kind(y, small_checkpoint):
    """Integers, tables and numbers written as text."""
    assert make(small_checkpoint).fit(noise_epochs(8), y).predict(noise_epochs(2)).shape == (2,)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "y is None; X has 8 samples"),
        (np.arange(6.0), "y has 6 entries but X has 8 samples"),
        ([0.5, np.nan] * 4, "y contains NaN in 4 of 8 entries, the first at index 1"),
        ([0.5, np.inf] * 4, "y contains infinity"),
        (["young", "old"] * 4, "y must be numbers"),
        (np.zeros((8, 2)), r"1d array.*\(8, 2\)"),
        ([1 + 1j, 2] * 4, "[Cc]omplex"),
    ],
)
def test_targets_that_are_refused(y, words, small_checkpoint):
    """Y of another length / NaN in y / None: error naming y and both numbers."""
    with pytest.raises(ValueError, match=words):
        make(small_checkpoint).fit(noise_epochs(8), y)


def test_few_samples(small_checkpoint):
    """One sample or two are enough to fit."""
    for n in (1, 2):
        for adaptation in ("probe", "full"):
            regressor = make(small_checkpoint, adaptation, max_epochs=1)
            epochs = noise_epochs(n)
            assert np.isfinite(regressor.fit(epochs, np.arange(n)).predict(epochs)).all()
