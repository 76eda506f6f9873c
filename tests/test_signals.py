"""The container: what it holds, how it is indexed, how it is cut, what it refuses."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from brainof_toolbox.signals import PairedSignals, Signals, as_parts, check_finite


def make_signals(n_samples=4, n_channels=3, n_times=100, sfreq=100.0, seed=0, **kwargs):
    """EEG noise with names, places and people."""
    rng = np.random.default_rng(seed)
    fields = {
        "data": rng.standard_normal((n_samples, n_channels, n_times)).astype(np.float32),
        "sfreq": sfreq,
        "modality": "eeg",
        "ch_names": [f"E{i}" for i in range(n_channels)],
        "ch_types": ["eeg"] * n_channels,
        "ch_pos": np.arange(3 * n_channels).reshape(n_channels, 3) / 100,
        "subject": [f"sub-{i}" for i in range(n_samples)],
        "onset": np.arange(n_samples) * 10.0,
    }
    return Signals(**(fields | kwargs))


def make_meg(n_samples=4, **kwargs):
    return make_signals(n_samples, modality="meg", ch_types=["mag", "grad", "grad"], **kwargs)


# ------------------------------------------------------------------------------- indexing
@pytest.mark.parametrize(
    "key, expected",
    [
        (2, [2]),
        (-1, [3]),
        (np.int64(-4), [0]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([3, 0], [3, 0]),
        (np.array([1, 1]), [1, 1]),
        (np.array([True, False, False, True]), [0, 3]),
        ((np.array([2, 1]), ...), [2, 1]),
        ((0, slice(None), slice(None)), [0]),
    ],
    ids=str,
)
def test_index_equals_numpy(key, expected):
    """Values and everything that is kept per sample are indexed in step; nothing else moves."""
    signals = make_signals()
    part = signals[key]
    assert np.array_equal(part.data, signals.data[expected])
    assert part.subject == tuple(signals.subject[i] for i in expected)
    assert np.array_equal(part.onset, signals.onset[expected])
    assert part.signature == signals.signature
    assert len(part) == len(expected) == part.shape[0] and part.ndim == 3


@pytest.mark.parametrize(
    "key, words",
    [
        (4, "Sample 4 does not exist: there are 4"),
        (-5, "Sample -5"),
        ((0, 1), "along the samples only"),
        ((0, ..., 2), "along the samples only"),
    ],
    ids=str,
)
def test_index_that_does_not_exist(key, words):
    with pytest.raises(IndexError, match=words):
        make_signals()[key]


def test_iteration_ends():
    """``for sample in signals`` uses indexing, and stops."""
    assert [sample.subject for sample in make_signals()] == [(f"sub-{i}",) for i in range(4)]


def test_scikit_learn_can_split_it():
    model_selection = pytest.importorskip("sklearn.model_selection")
    signals = make_signals()
    train, test = model_selection.train_test_split(signals, shuffle=False, test_size=0.5)
    assert train.subject == ("sub-0", "sub-1") and test.subject == ("sub-2", "sub-3")


def test_pickle_keeps_everything():
    signals = make_signals(good_segments=[(0, 40), (40, 90)], highpass=0.5)
    signals.signature  # noqa: B018 (cached values must not be in the way)
    copy = pickle.loads(pickle.dumps(signals))
    assert copy.signature == signals.signature and np.array_equal(copy.data, signals.data)


def test_frozen_and_readable():
    signals = make_signals()
    with pytest.raises(FrozenInstanceError):
        signals.sfreq = 1.0
    for word in ("eeg", "4 samples", "3 channels", "100 times", "100 Hz"):
        assert word in repr(signals)
    assert signals.duration == 1.0


# -------------------------------------------------------------------------- putting together
def test_concatenate_undoes_indexing():
    signals = make_signals()
    again = Signals.concatenate([signals[:1], signals[1:3], signals[3]])
    assert np.array_equal(again.data, signals.data)
    assert again.subject == signals.subject and np.array_equal(again.onset, signals.onset)
    assert Signals.concatenate([signals]) is signals


@pytest.mark.parametrize(
    "changes",
    [
        {"sfreq": 200.0},
        {"n_times": 90},
        {"n_channels": 2},
        {"ch_names": ["E0", "E1", "X"]},
        {"ch_pos": np.full((3, 3), 0.05)},
        {"ch_ori": np.ones((3, 3))},
        {"highpass": 1.0},
        {"has_baseline": True},
        {"good_segments": [(0, 50), (50, 100)]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_unequal_recordings_stay_apart(changes):
    """Other rates, lengths and montages are a list, never one array."""
    with pytest.raises(ValueError, match="one montage, one rate and one length.*list of Signals"):
        Signals.concatenate([make_signals(), make_signals(**changes)])


def test_nothing_to_concatenate():
    with pytest.raises(ValueError, match="at least one Signals"):
        Signals.concatenate([])


def test_signature_ignores_values_and_people():
    """Only what must agree is hashed."""
    other = make_signals(n_samples=2, seed=5, subject=["a", "b"], onset=[1, 2])
    assert other.signature == make_signals().signature


# -------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    "changes, words",
    [
        ({"data": np.zeros((4, 3))}, r"\(n_samples, n_channels, n_times\), got shape \(4, 3\)"),
        ({"data": np.zeros((0, 3, 10))}, r"empty: shape \(0, 3, 10\)"),
        ({"data": np.zeros((1, 3, 10), complex)}, "real numbers, got dtype complex128"),
        ({"data": np.zeros((1, 3, 10), object)}, "real numbers, got dtype object"),
        ({"ch_names": ["a", "b"]}, "3 channels but ch_names has 2"),
        ({"ch_names": ["a", "b", "a"]}, r"unique.*\['a'\]"),
        ({"ch_types": ["eeg"] * 4}, "3 channels but ch_types has 4"),
        ({"ch_types": ["eeg", "mag", "eeg"]}, "'ch_types'.*'eeg', got 'mag'"),
        ({"modality": "ecog"}, "'modality'.*'eeg'.*got 'ecog'"),
        ({"ch_pos": np.zeros((2, 3))}, r"ch_pos must have shape \(3, 3\), got \(2, 3\)"),
        ({"ch_pos": np.full((3, 3), np.nan)}, r"ch_pos has NaN.*rows \[0, 1, 2\]"),
        ({"ch_ori": np.zeros((3, 2))}, r"ch_ori must have shape"),
        ({"subject": ["a"]}, "4 samples but subject has 1"),
        ({"onset": [0.0]}, "4 samples but onset has 1"),
        ({"sfreq": 0}, "'sfreq' must be a number above 0"),
        ({"sfreq": np.nan}, "'sfreq'"),
        ({"good_segments": []}, "good_segments must be ordered and not empty"),
        ({"good_segments": [(0, 60), (50, 100)]}, "good_segments must be ordered"),
        ({"good_segments": [(10, 10)]}, "good_segments must be ordered"),
        ({"good_segments": [(0, 101)]}, "end at 101 but data has 100"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_nonsense_is_refused(changes, words):
    """And every shape that disagrees."""
    with pytest.raises(ValueError, match=words):
        make_signals(**changes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    """Also when infinities of both signs cancel in a sum."""
    data = make_signals().data.copy()
    data[1, 2, :7] = value
    data[2, 2, 0] = -value
    with pytest.raises(ValueError, match=r"'E2' \(8 of 400 values\)") as error:
        make_signals(data=data)
    assert "'E1'" not in str(error.value)


def test_many_channels_with_nan():
    """Ten are named and the rest counted."""
    with pytest.raises(ValueError, match=r"'c9' \(5 of 5 values\) and 20 more"):
        check_finite(np.full((1, 30, 5), np.nan), [f"c{i}" for i in range(30)])


def test_huge_finite_values_pass():
    """A sum that overflows in single precision is no NaN."""
    check_finite(np.full((1, 2, 50), 3e38, np.float32), ["a", "b"])


# --------------------------------------------------------------------------------- pairs
def test_pairs_are_indexed_in_step():
    """Whatever the order in the dict, reading order; one key for all."""
    pair = PairedSignals({"meg": make_meg(), "eeg": make_signals()})
    assert list(pair.by_modality) == ["eeg", "meg"] and pair.shape == (4, 2)
    part = pair[[2, 0]]
    for name in ("eeg", "meg"):
        assert np.array_equal(part.by_modality[name].data, pair.by_modality[name].data[[2, 0]])
    assert (
        part.signature
        == pair.signature
        == PairedSignals(dict(reversed(pair.by_modality.items()))).signature
    )
    assert as_parts(pair) is pair.by_modality and list(as_parts(pair.by_modality["meg"])) == [
        "meg"
    ]


@pytest.mark.parametrize(
    "parts, words",
    [
        ({}, "at least one modality"),
        ({"eeg": make_meg()}, r"PairedSignals\['eeg'\] must be Signals of that modality"),
        ({"eeg": np.zeros((2, 3, 4))}, r"PairedSignals\['eeg'\]"),
        ({"ecog": make_signals()}, "'modality'.*got 'ecog'"),
        (
            {"eeg": make_signals(), "meg": make_meg(3)},
            r"number of samples: \{'eeg': 4, 'meg': 3\}",
        ),
    ],
    ids=["empty", "other modality", "array", "unknown", "lengths"],
)
def test_impossible_pairs(parts, words):
    with pytest.raises(ValueError, match=words):
        PairedSignals(parts)


def make_pair():
    """Four samples; the second lacks EEG, the last one lacks MEG."""
    lacks = {"eeg": [False, True, False, False], "meg": [False, False, False, True]}
    return PairedSignals({"eeg": make_signals(), "meg": make_meg()}, lacks)


@pytest.mark.parametrize(
    "key, expected",
    [(1, [1]), (slice(1, 4), [1, 2, 3]), ([3, 0], [3, 0]), (np.arange(4) > 2, [3])],
    ids=str,
)
def test_missing_parts_are_indexed_in_step(key, expected):
    """Which samples lack a modality stays with them."""
    pair, part = make_pair(), make_pair()[key]
    for modality, mask in part.is_missing.items():
        assert np.array_equal(mask, pair.is_missing[modality][expected])
        assert part.by_modality[modality].subject == tuple(f"sub-{i}" for i in expected)


def test_subject_comes_from_a_modality_that_is_there():
    strangers = make_signals(subject=["x"] * 4)
    lacks = {"eeg": [True, False, True, False]}
    pair = PairedSignals({"eeg": strangers, "meg": make_meg()}, lacks)
    assert pair.subject == ("sub-0", "x", "sub-2", "x")
    assert "eeg (3, 100), 2 missing" in repr(pair)


@pytest.mark.parametrize(
    "lacks, words",
    [
        ({"fmri": [False] * 4}, "'is_missing'.*got 'fmri'"),
        ({"eeg": [False] * 3}, r"is_missing\['eeg'\] must be 4 booleans"),
        ({"eeg": [0, 0, 1, 1]}, r"is_missing\['eeg'\] must be 4 booleans.*int"),
        ({"eeg": [False] * 3 + [True], "meg": [True] * 4}, "lack every modality.*sample 3"),
    ],
    ids=["unknown", "length", "not boolean", "nothing left"],
)
def test_impossible_missing_parts(lacks, words):
    with pytest.raises(ValueError, match=words):
        PairedSignals({"eeg": make_signals(), "meg": make_meg()}, lacks)
