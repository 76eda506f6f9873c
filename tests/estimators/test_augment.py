"""Augmentation: each change is the one it says, within its bounds, and nothing else happens."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from simulated import adapted, noise_epochs, obvious_epochs

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.encoder.tokens import window_tokens
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.estimators import Augmentation
from brainof_toolbox.estimators.augment import augment, shift
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.preprocessing import Preprocessing

NONE = dict.fromkeys(
    ["channel_dropout", "region_dropout", "time_shift", "bold_shift", "amplitude", "noise"], 0.0
)
TYPES = ("eeg",) * 10


def change(data, modality="eeg", types=TYPES, seed=0, sfreq=256.0, **sizes):
    settings, rng = Augmentation(**{**NONE, **sizes}), np.random.default_rng(seed)
    return augment(data, sfreq, modality, types, settings, rng)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 10, 128), dtype=np.float32)


def test_nothing_is_nothing(data):
    """All sizes zero: the same numbers in another place; no channel dropped."""
    before = data.copy()
    changed, is_dropped = change(data)
    np.testing.assert_array_equal(changed, data)
    np.testing.assert_array_equal(data, before)
    assert changed is not data and not is_dropped.any()


def test_shift_is_interpolation(data):
    """The same as interpolating each row by itself."""
    points = np.linspace(-3.5, 3.5, len(data))
    moved, time = shift(data, points), np.arange(128.0)
    for b, c in ((0, 0), (7, 3), (39, 9)):
        naive = np.interp(time - points[b], time, data[b, c])
        np.testing.assert_allclose(moved[b, c], naive, atol=1e-5)


def test_time_shift_of_sensors(data):
    """Whole points, up to the size, both ways, the same for all channels."""
    changed, _ = change(data, time_shift=0.02)  # 5 points
    found = []
    for before, after in zip(data, changed):
        errors = {
            k: np.abs(after[:, 8:-8] - np.roll(before, k, axis=1)[:, 8:-8]).max()
            for k in range(-8, 9)
        }
        best = min(errors, key=errors.get)
        assert errors[best] < 1e-6
        found.append(best)
    assert min(found) < 0 < max(found) and max(map(abs, found)) <= 5


def test_amplitude(data):
    """One factor per sample; sensors only, as regions are standardised."""
    changed, _ = change(data, amplitude=0.2)
    factor = changed / data
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1, :1], data.shape), rtol=1e-4)
    logs = np.log(factor[:, 0, 0])
    assert 0.1 < logs.std() < 0.3 and abs(logs.mean()) < 0.1
    same, _ = change(data, "fmri", ("bold",) * 10, amplitude=0.2)
    np.testing.assert_array_equal(same, data)


def test_noise(data):
    """White, of no more than the size, relative to the channels of the same type."""
    data[:, 5:] *= 100
    types = ("mag",) * 5 + ("grad",) * 5
    added = change(data, "meg", types, noise=0.5)[0] - data
    size = added.std(axis=2)
    assert size[:, :5].max() < 0.65 and 20 < size[:, 5:].max() < 65
    ratio = size[:, 5:].mean(axis=1) / size[:, :5].mean(axis=1)
    np.testing.assert_allclose(ratio, 100, rtol=0.3)
    neighbours = (added[:, :, 1:] * added[:, :, :-1]).mean() / np.square(added).mean()
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize(
    "modality, name, other",
    [("eeg", "channel_dropout", "region_dropout"), ("fmri", "region_dropout", "channel_dropout")],
)
def test_dropout(data, modality, name, other):
    """Up to the share; different channels for each sample; at least one is left."""
    _, is_dropped = change(data, modality, **{name: 0.5})
    count = is_dropped.sum(axis=1)
    assert count.max() in (4, 5) and count.min() == 0 and 1 < count.mean() < 4
    assert is_dropped.any(axis=0).all()
    assert not change(data, modality, **{other: 0.5})[1].any()
    _, is_dropped = change(data[:, :1], modality, types=TYPES[:1], **{name: 0.9})
    assert not is_dropped.any()


@pytest.mark.parametrize("field", list(NONE))
def test_refuses_nonsense(field):
    """Negative, not a number, and shares that would drop everything."""
    with pytest.raises(ValueError, match=f"augmentation.{field}"):
        Augmentation(**{field: -0.1})
    with pytest.raises(TypeError, match=f"augmentation.{field}"):
        Augmentation(**{field: "much"})
    if "dropout" in field:
        with pytest.raises(ValueError, match="at most 0.9"):
            Augmentation(**{field: 1.0})


def test_dropped_channels_become_padding():
    """A dropped channel is one that was never there: no token of it is read."""
    (block,) = iter_windows(open_samples(noise_epochs(4)), Preprocessing())
    is_dropped = np.zeros((4, 6), dtype=bool)
    is_dropped[1, 2] = is_dropped[3, :5] = True
    tokens = window_tokens(block, "eeg", np.arange(4), lambda data, signals: (data, is_dropped))
    plain = window_tokens(block, "eeg", np.arange(4))
    n_patches = tokens.values.shape[1] // 6
    expected = np.repeat(is_dropped, n_patches, axis=1)
    np.testing.assert_array_equal(tokens.is_padding.numpy(), expected)
    assert not tokens.values[tokens.is_padding].any()
    assert torch.equal(tokens.values[~tokens.is_padding], plain.values[~tokens.is_padding])


def test_training_repeats_and_differs(small_checkpoint):
    """The same seed gives the same weights; no augmentation gives others."""
    epochs = obvious_epochs(16)
    y = epochs.events[:, 2]
    how = {"adaptation": "full", "max_epochs": 2, "learning_rate": 1e-3}
    fit = partial(adapted, BrainOFClassifier, small_checkpoint, validation_fraction=0, **how)
    rows = [
        fit(augmentation=how).fit(epochs, y).predict_proba(epochs)
        for how in ("default", Augmentation(), None)
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.abs(rows[0] - rows[2]).max() > 1e-4
    with pytest.raises(ValueError, match="Pass None for none, or an Augmentation"):
        fit(augmentation="strong").fit(epochs, y)
