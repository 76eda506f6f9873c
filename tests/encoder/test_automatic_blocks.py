"""Blocks that are chosen from the first samples: the same in sequence and in workers."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from brainof_toolbox import PairedSignals, Signals, from_epochs
from brainof_toolbox.encoder import Encoder, blocks
from brainof_toolbox.features import Covariance

sys.path.append(str(Path(__file__).resolve().parent.parent / "estimators"))
from simulated import noise_epochs, raw

CLOSE = {"rtol": 0, "atol": 1e-5}
N_PLACES = 300 * 299 // 2


def bold(n_samples=1, n_regions=5, name="a", seed=0):
    """Runs of fMRI with regions of one atlas."""
    rng = np.random.default_rng(seed)
    names = [f"{name}{i}" for i in range(n_regions)]
    # Regions of all atlases lie on one sphere, whatever their number.
    place = np.random.default_rng(n_regions).standard_normal((n_regions, 3))
    place = [0, 0, 0.04] + 0.05 * place / np.linalg.norm(place, axis=1, keepdims=True)
    data = rng.standard_normal((n_samples, n_regions, 40)).cumsum(axis=2)
    return Signals(data, 0.5, "fmri", names, ["bold"] * n_regions, place)


def embed(X, **kwargs):
    encoder = Encoder(features="explicit")
    return encoder, encoder.embed_blocks(X, **kwargs)


# --------------------------------------------------------------------------- which blocks apply


def test_epochs_have_all_blocks(micro_checkpoint):
    epochs = noise_epochs(4)
    encoder = Encoder(micro_checkpoint, features="auto", pooling="mean")
    found = encoder.embed_blocks(epochs)
    assert list(found) == ["latents", "covariance", "evoked"]
    for name, rows in found.items():
        alone = Encoder(micro_checkpoint, features=name, pooling="mean").embed(epochs)
        np.testing.assert_allclose(rows, alone, **CLOSE)
    assert len(encoder.feature_names()) == sum(rows.shape[1] for rows in found.values())
    without = [name for name in encoder.feature_names() if not name.startswith("latents")]
    assert embed(epochs)[0].feature_names() == without


def test_recordings_have_no_evoked_block():
    encoder, found = embed([raw(), raw(1, duration=3.0)])
    assert list(found) == ["covariance"]
    # Later samples have the blocks of the first, although more would apply to them.
    assert list(encoder.embed_blocks(noise_epochs(2))) == ["covariance"]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_epochs_beside_a_recording(is_reversed):
    X = [raw(), noise_epochs(2)][:: -1 if is_reversed else 1]
    encoder, found = embed(X)
    assert list(found) == ["covariance"] and np.isfinite(found["covariance"]).all()
    assert not any(name.startswith("evoked") for name in encoder.feature_names())


def test_unequal_lengths_have_no_evoked_block():
    short, long = noise_epochs(2, n_times=64), noise_epochs(2)
    encoder, found = embed([long, short])
    assert list(found) == ["covariance"] and encoder.explicit.excluded == ("evoked",)
    np.testing.assert_allclose(found["covariance"][2:], embed(short)[1]["covariance"], **CLOSE)
    with pytest.raises(ValueError, match="'evoked' has .* columns"):
        Encoder(features=("covariance", "evoked")).embed([long, short])


def test_one_atlas_has_its_own_regions():
    encoder, found = embed(bold(3))
    assert found["covariance"].shape == (3, 10)
    assert encoder.feature_names()[0] == "covariance a0 x a1"
    own = Encoder(features=Covariance(regions="own")).embed(bold(3))
    np.testing.assert_allclose(found["covariance"], own, **CLOSE)


@pytest.mark.parametrize("other", [bold(2, 6, "b"), bold(2, 5, "b")], ids=["size", "names"])
def test_two_atlases_have_fixed_places(other):
    encoder, found = embed([bold(2), other])
    assert found["covariance"].shape == (4, N_PLACES)
    places = Encoder(features="covariance").embed(other)
    np.testing.assert_allclose(found["covariance"][2:], places, **CLOSE)
    # Another atlas is no obstacle later.
    assert encoder.embed(bold(1, 9, "c")).shape == (1, N_PLACES)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_large_atlases_have_fixed_places(is_reversed, monkeypatch):
    assert blocks._MOST_REGIONS == 450
    monkeypatch.setattr(blocks, "_MOST_REGIONS", 5)
    encoder, found = embed(bold(1, 6))
    assert found["covariance"].shape == (1, N_PLACES)
    X = [bold(1, 6), bold(1, 4)][:: -1 if is_reversed else 1]
    encoder, found = embed(X)
    assert found["covariance"].shape == (2, N_PLACES)
    assert encoder.explicit.fixed_places == ("covariance",)


def test_regions_named_by_the_user_are_compared():
    encoder = Encoder(features=Covariance(regions="own"))
    encoder.embed(bold())
    with pytest.raises(ValueError, match="columns of other names: their durations or atlases"):
        encoder.embed(bold(name="b"))


def test_several_modalities_are_chosen_one_by_one():
    """EEG is locked to an event, runs of fMRI have no baseline."""
    parts = {"fmri": bold(4), "eeg": from_epochs(noise_epochs(4))}
    paired = PairedSignals(parts, {"eeg": np.arange(4) == 1})
    _, found = embed(paired)
    assert list(found) == ["fmri_covariance", "eeg_covariance", "eeg_evoked"]
    assert found["fmri_covariance"].shape == (4, 10)
    for name, rows in found.items():
        lacks = np.arange(4) == (1 if name.startswith("eeg") else -1)
        np.testing.assert_array_equal(np.isnan(rows).all(axis=1), lacks)


def test_gradiometers_without_orientation():
    """The field of a gradiometer without a direction has no pattern on the head."""
    signals = from_epochs(noise_epochs(2, kind="meg"))
    is_grad = np.array(signals.ch_types) == "grad"
    names, types, n = ["g1", "g2"], ["grad", "grad"], 2
    data = signals.data[:, :n] if not is_grad.any() else signals.data[:, is_grad][:, :n]
    bare = Signals(data, signals.sfreq, "meg", names, types, signals.ch_pos[:n] + [[0], [0.01]])
    with pytest.raises(ValueError, match="No block of explicit features applies"):
        embed(bare)


# -------------------------------------------------------------------------------- later samples


def test_later_samples_of_another_kind():
    encoder, _ = embed(noise_epochs(2))
    with pytest.raises(ValueError, match="'evoked', which the decoder uses, does not apply"):
        encoder.embed([raw()])
    with pytest.raises(ValueError, match="'evoked' has .* columns .* earlier ones"):
        encoder.embed(noise_epochs(2, n_times=64))
    encoder, _ = embed(bold())
    for other in (bold(1, 7, "b"), bold(name="b")):
        with pytest.raises(ValueError, match="'covariance' .* atlases differ"):
            encoder.embed(other)
    with pytest.raises(ValueError, match="X has eeg, but .* fmri only"):
        encoder.embed(noise_epochs(2))
    assert encoder.embed(bold(2, seed=4)).shape == (2, 10)  # as before the errors


def test_an_attempt_that_failed_leaves_nothing():
    encoder = Encoder(features=("covariance", "evoked"))
    with pytest.raises(ValueError, match="'evoked' has"):
        encoder.embed([noise_epochs(2), noise_epochs(2, n_times=64)])
    assert len(encoder.embed(noise_epochs(2, n_times=64))) == 2


# -------------------------------------------------------------------------------------- workers


def many(parts):
    """Signals of more samples than one task takes."""
    return [part[np.resize(np.arange(len(part)), 20)] for part in parts]


MIXTURES = {
    "epochs": many([from_epochs(noise_epochs(4, seed=seed)) for seed in range(3)]),
    "beside a recording": [raw(), *many([from_epochs(noise_epochs(4))]), raw(1)],
    "before a recording": [*many([from_epochs(noise_epochs(4))]), raw(1)],
    "unequal lengths": many([from_epochs(noise_epochs(4, n_times=n)) for n in (128, 64, 128)]),
    "one atlas": many([bold(2, seed=seed) for seed in range(3)]),
    "two atlases": many([bold(2), bold(2, 6, "b"), bold(2)]),
    "places as many as regions": many([bold(2, 451), bold(2, 300, "b")]),
    "a large atlas first": many([bold(2, 451), bold(2), bold(2)]),
    "a large atlas last": many([bold(2), bold(2), bold(2, 451)]),
}


@pytest.mark.parametrize("mixture", list(MIXTURES))
def test_threads_choose_the_same(mixture):
    check_workers("threading", mixture)


@pytest.mark.slow
@pytest.mark.parametrize("mixture", ["before a recording", "a large atlas first"])
def test_processes_choose_the_same(mixture):
    check_workers("loky", mixture)


def check_workers(backend, mixture):
    X = MIXTURES[mixture]
    encoder, expected = embed(X)
    with joblib.parallel_config(backend, n_jobs=2):
        other, found = embed(X)
        again = other.embed_blocks(X)
    assert list(found) == list(expected) == list(again)
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, **CLOSE)
        np.testing.assert_allclose(again[name], rows, **CLOSE)
    assert other.feature_names() == encoder.feature_names()
    assert set(other.explicit.fixed_places) == set(encoder.explicit.fixed_places)


# --------------------------------------------------------------------------------------- states


def test_state_round_trip():
    encoder, expected = embed(noise_epochs(3))
    fresh = Encoder(features="explicit")
    other = fresh.with_explicit(fresh.explicit.with_state(encoder.explicit.state()))
    assert other.feature_names() == encoder.feature_names() and not fresh.explicit.is_fixed
    with pytest.raises(ValueError, match="does not apply"):
        other.embed([raw()])
    again = pickle.loads(pickle.dumps(other)).embed_blocks(noise_epochs(3))
    for name, rows in expected.items():
        np.testing.assert_array_equal(again[name], rows)


@pytest.mark.parametrize(
    "change",
    [
        {"modalities": ["meg", "eeg"]},
        {"modalities": ["eeg", "ecog"]},
        {"columns": {"spectrum": ["a"]}},
        {"columns": {"covariance": []}},
        {"columns": {"covariance": ["a", "a"]}},
        {"columns": {"covariance": "ab"}},
        {"columns": {"covariance": [1]}},
        {"excluded": ["evoked"]},
        {"excluded": ["spectrum"]},
        {"fixed_places": ["spectrum"]},
    ],
    ids=str,
)
def test_states_are_read_strictly(change):
    encoder, _ = embed(noise_epochs(2))
    state = copy.deepcopy(encoder.explicit.state())
    with pytest.raises(ValueError):
        Encoder(features="explicit").explicit.with_state({**state, **change})
