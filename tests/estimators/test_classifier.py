"""The classifier: labels, probabilities, targets that are refused, learning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from simulated import adapted, noise_epochs, obvious_epochs, raw

from brainof_toolbox import BrainOFClassifier, from_epochs

BOTH = pytest.mark.parametrize("adaptation", ["probe", "full"])


FAST = {"max_epochs": 4, "batch_size": 8, "learning_rate": 1e-3, "augmentation": None}


def make(checkpoint, adaptation="probe", **kwargs):
    return adapted(BrainOFClassifier, checkpoint, adaptation, **{**FAST, **kwargs})


@BOTH
@pytest.mark.parametrize("kind", ["eeg", "eeg+meg"])
def test_obvious_effect_is_learned(adaptation, kind, small_checkpoint):
    """On epochs that were not trained on."""
    train, test = obvious_epochs(32, kind=kind), obvious_epochs(24, seed=1, kind=kind)
    classifier = make(small_checkpoint, adaptation, max_epochs=8)
    classifier.fit(train, train.events[:, 2])
    assert classifier.score(test, test.events[:, 2]) > 0.8


@pytest.mark.parametrize("adaptation", ["probe", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["right", "left"]),
        np.array([17, -3]),
        np.array([2.0, 1.0]),
        np.array([True, False]),
        np.array(["b", "a"], dtype=object),
        pd.Series(["b", "a"], dtype="category"),
        pd.array(["b", "a"], dtype="string"),
    ],
    ids=["str", "gapped", "float", "bool", "object", "category", "string"],
)
def test_labels_of_any_kind(adaptation, labels, small_checkpoint):
    """Classes are sorted; predictions come from them."""
    epochs = obvious_epochs(16)
    y = labels[epochs.events[:, 2] - 1]
    y = y.reset_index(drop=True) if isinstance(y, pd.Series) else y
    classifier = make(small_checkpoint, adaptation).fit(epochs, y)
    assert classifier.classes_.tolist() == sorted(set(np.asarray(y).tolist()))
    predicted = classifier.predict(epochs)
    assert set(predicted.tolist()) <= set(classifier.classes_.tolist())
    if adaptation == "probe":
        assert (predicted == np.asarray(y)).mean() > 0.8


@BOTH
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(adaptation, n_classes, small_checkpoint):
    """Rows sum to one, the largest is predicted, the decision function agrees."""
    epochs, y = noise_epochs(24), np.arange(24) % n_classes
    classifier = make(small_checkpoint, adaptation).fit(epochs, y)
    probability = classifier.predict_proba(epochs)
    assert probability.shape == (24, n_classes) and probability.dtype == np.float64
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-12)
    predicted = classifier.predict(epochs)
    np.testing.assert_array_equal(classifier.classes_[probability.argmax(axis=1)], predicted)
    scores = classifier.decision_function(epochs)
    if n_classes == 2:
        assert scores.shape == (24,)
        odds = np.log(probability[:, 1] / probability[:, 0])
        np.testing.assert_allclose(scores, odds, atol=1e-5)
    else:
        assert scores.shape == (24, 3)
        np.testing.assert_array_equal(scores.argmax(axis=1), probability.argmax(axis=1))


@BOTH
def test_same_seed_same_predictions(adaptation, small_checkpoint, global_rng_untouched):
    """Repetition changes nothing, nor do batch size and order at prediction."""
    epochs = noise_epochs(20)
    y, order = epochs.events[:, 2], np.random.default_rng(0).permutation(20)
    first = make(small_checkpoint, adaptation, random_state=3).fit(epochs, y)
    second = make(small_checkpoint, adaptation, random_state=3).fit(epochs, y)
    expected = first.predict_proba(epochs)
    np.testing.assert_array_equal(second.predict_proba(epochs), expected)
    np.testing.assert_allclose(first.predict_proba(epochs[order]), expected[order], atol=1e-5)
    single = first.set_params(batch_size=1).predict_proba(epochs)
    np.testing.assert_allclose(single, expected, atol=1e-5)
    np.testing.assert_allclose(first.predict_proba(epochs[4]), expected[4:5], atol=1e-5)
    if adaptation == "full":  # guard: the seed does steer something
        other = make(small_checkpoint, adaptation, random_state=4).fit(epochs, y)
        assert np.abs(other.predict_proba(epochs) - expected).max() > 1e-4


def test_probe_does_not_depend_on_the_seed(small_checkpoint):
    """What is not random does not listen to ``random_state``."""
    epochs = noise_epochs(20)
    a, b = (
        make(small_checkpoint, random_state=state).fit(epochs, epochs.events[:, 2])
        for state in (0, 1)
    )
    np.testing.assert_array_equal(a.predict_proba(epochs), b.predict_proba(epochs))


@BOTH
def test_class_weight(adaptation, small_checkpoint):
    """Weights move the decision towards the rare class; "balanced" is a way to say them."""
    epochs, y = noise_epochs(40), np.array(["often", "rare"])[(np.arange(40) % 8 == 0).astype(int)]
    rare = {}
    weights = {"none": None, "balanced": "balanced", "said": {"often": 40 / 70, "rare": 4.0}}
    for name, weight in weights.items():
        how = {"pooling": "mean", "refit": False}
        classifier = make(small_checkpoint, adaptation, class_weight=weight, **how)
        rare[name] = classifier.fit(epochs, y).predict_proba(noise_epochs(40, seed=1))[:, 1].mean()
    assert rare["none"] < rare["balanced"] - 0.1
    assert rare["said"] == pytest.approx(rare["balanced"], abs=1e-6)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "y is None; X has 8 samples"),
        ([0, 1] * 3, "y has 6 entries but X has 8 samples"),
        ([0, 1, np.nan, 1] * 2, "y contains NaN in 2 of 8 entries, the first at index 2"),
        (["a", None] * 4, "y contains NaN in 4 of 8 entries"),
        (pd.array(["a", None] * 4, dtype="string"), "y contains NaN in 4 of 8"),
        ([np.inf, 1.0] * 4, "y contains infinity"),
        (np.linspace(0, 1, 8), "continuous"),
        ([["a", "b"]] * 8, r"1d array.*\(8, 2\)"),
        (["only"] * 8, "one class only, 'only'"),
        ([5] * 8, "one class only, 5;"),
    ],
)
def test_targets_that_are_refused(y, words, small_checkpoint):
    """Y of another length / NaN in y / None: error naming y and both numbers."""
    with pytest.raises(ValueError, match=words):
        make(small_checkpoint).fit(noise_epochs(8), y)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([1, 2, 3], "groups has 3 entries but X has 8 samples"),
        ([None, "a"] * 4, "groups is missing .* for 4 of 8 samples, the first at index 0"),
        ([["a"] * 2] * 8, "1d array"),
    ],
)
def test_groups_that_are_refused(groups, words, small_checkpoint):
    with pytest.raises(ValueError, match=words):
        make(small_checkpoint).fit(noise_epochs(8), [0, 1] * 4, groups=groups)


def test_groups_of_any_kind(small_checkpoint):
    """Names, numbers and mixtures mean the same groups."""
    epochs, codes = noise_epochs(24), np.repeat([0, 1, 2], 8)
    y = epochs.events[:, 2]
    expected = make(small_checkpoint).fit(epochs, y, groups=codes).predict_proba(epochs)
    for names in (list("abc"), ["01", 2, (3,)], [0.5, 1.5, 2.5]):
        groups = np.empty(24, dtype=object)
        groups[:] = [names[code] for code in codes]
        again = make(small_checkpoint).fit(epochs, y, groups=groups).predict_proba(epochs)
        np.testing.assert_array_equal(again, expected)


def test_few_samples(small_checkpoint):
    """Two samples, or a class with one, are enough to fit."""
    for y in ([0, 1], [0, 0, 0, 1], [0, 1, 2]):
        epochs = noise_epochs(len(y))
        for adaptation in ("probe", "full"):
            classifier = make(small_checkpoint, adaptation, max_epochs=1).fit(epochs, y)
            assert np.isfinite(classifier.predict_proba(epochs)).all()


@BOTH
def test_predictions_of_long_recordings(adaptation, small_checkpoint):
    """A recording of many windows gets one prediction; labels are per recording."""
    recordings, y = [raw(i, duration=3.0 + i % 2) for i in range(8)], [0, 1] * 4
    classifier = make(small_checkpoint, adaptation, window=1.0).fit(recordings, y)
    assert classifier.predict(recordings).shape == (8,)
    alone = np.concatenate([classifier.predict_proba(recording) for recording in recordings])
    np.testing.assert_allclose(classifier.predict_proba(recordings), alone, atol=1e-5)


def test_fitted_on_one_form_used_on_another(small_checkpoint):
    """Epochs at fit; Signals, lists and arrays at predict."""
    epochs = noise_epochs(12)
    classifier = make(small_checkpoint, info=epochs.info).fit(epochs, epochs.events[:, 2])
    expected = classifier.predict_proba(epochs)
    for X in (from_epochs(epochs), [epochs[i] for i in range(12)], epochs.get_data()):
        np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-5)


def test_features_computed_ahead(small_checkpoint, other_checkpoint):
    """The probe on features computed ahead is the probe; other weights or pooling refuse them."""
    epochs = obvious_epochs(24)
    y = epochs.events[:, 2]
    clf = BrainOFClassifier(small_checkpoint)
    ahead = clf.precompute(epochs)
    assert len(ahead) == 24 and ahead[[3, 1]].shape == (2, ahead.shape[1])
    expected = clf.fit(epochs[:16], y[:16]).predict_proba(epochs[16:])
    got = clf.fit(ahead[:16], y[:16]).predict_proba(ahead[16:])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert BrainOFClassifier(adaptation="full").precompute(epochs) is None
    for other in (
        BrainOFClassifier(other_checkpoint),
        BrainOFClassifier(small_checkpoint, pooling="mean"),
    ):
        with pytest.raises(ValueError, match="embed the samples again"):
            other.fit(ahead, y)
    with pytest.raises(ValueError, match="the samples themselves"):
        BrainOFClassifier(small_checkpoint, adaptation="full").fit(ahead, y)
