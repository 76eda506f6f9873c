"""The scikit-learn contract: common checks, pipelines, searches, processes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from simulated import noise_epochs, obvious_epochs, raw
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import check_estimator

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor
from brainof_toolbox.estimators import FineTuning, fusion

ALL = [BrainOFEmbedder, BrainOFClassifier, BrainOFRegressor]
SUPERVISED = ALL[1:]
#: Quick to fit.
FAST = {"features": "latents", "pooling": "mean"}
ROUNDING = (
    "float32 sums inside matrix products depend, by 1e-5 at most, on how many rows go together "
    "(the batch, the tokens of an expert); the check wants 1e-7 or less"
)
EXPECTED_FAILURES = {
    "check_methods_subset_invariance": ROUNDING,
    "check_methods_sample_order_invariance": ROUNDING,
    "check_sample_weight_equivalence_on_dense_data": (
        "inner splits choose the strength of the head: a sample that is repeated may fall on both "
        "sides of them, one that is weighted does not (as of scikit-learn's own CV estimators)"
    ),
}
KINDS = [pytest.param(kind, id=kind.__name__) for kind in ALL]


def assert_battery_passes(estimator):
    results = check_estimator(
        estimator, on_fail=None, on_skip=None, expected_failed_checks=EXPECTED_FAILURES
    )
    names = {status: [] for status in ("passed", "failed", "xfail", "skipped")}
    for result in results:
        names[result["status"]].append((result["check_name"], result["exception"]))
    assert names["failed"] == []
    assert {name for name, _ in names["xfail"]} <= set(EXPECTED_FAILURES)
    assert {name for name, _ in names["skipped"]} <= {"check_array_api_input"}
    assert len(names["passed"]) > 40


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "kind", [KINDS[0], pytest.param(BrainOFClassifier, marks=pytest.mark.slow), KINDS[2]]
)
def test_common_checks(kind, small_checkpoint):
    """The full battery on one-channel series; more than 40 checks run and pass (K2, K4, R45)."""
    info = mne.create_info(1, 100.0, "eeg")
    assert_battery_passes(kind(small_checkpoint, info=info, batch_size=512, **FAST))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS[1:])
def test_common_checks_of_defaults(kind, small_checkpoint):
    assert_battery_passes(kind(small_checkpoint, info=mne.create_info(1, 100.0, "eeg")))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS[1:])
def test_common_checks_of_fine_tuning(kind, small_checkpoint):
    info = mne.create_info(1, 100.0, "eeg")
    assert_battery_passes(kind(small_checkpoint, adaptation="full", info=info))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("checkpoint", ["brainof-tiny", None])
def test_common_checks_of_whole_networks(checkpoint):
    """The default and its untrained twin; the supervised ones would take minutes."""
    assert_battery_passes(BrainOFEmbedder(checkpoint, info=mne.create_info(1, 100.0, "eeg")))


@pytest.mark.parametrize("kind", KINDS)
def test_tags(kind):
    """Both array tags are true: with one false, scikit-learn runs next to no checks."""
    tags = get_tags(kind())
    assert tags.input_tags.two_d_array and tags.input_tags.three_d_array
    assert not tags.input_tags.allow_nan and not tags.no_validation
    assert tags.target_tags.required == (kind is not BrainOFEmbedder)


# ------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize("kind", KINDS)
def test_init_stores_parameters_only(kind, no_network):
    """Whatever is given is stored as it is, and nothing is done about it."""
    given = {name: object() for name in kind().get_params()}
    estimator = kind(**given)
    assert vars(estimator) == given
    given["checkpoint"] = "hf://nobody/nothing"
    assert vars(kind(**given)) == given


@pytest.mark.parametrize("kind", KINDS)
def test_clone_and_repr(kind, small_checkpoint):
    """Clones are equal and unfitted; the HTML names the checkpoint once it is known."""
    estimator = kind(small_checkpoint, pooling="mean", random_state=3)
    copy = clone(estimator.fit(noise_epochs(8), [0, 1] * 4))
    assert copy.get_params() == estimator.get_params()
    assert not any(name.endswith("_") for name in vars(copy))
    assert copy.set_params(pooling="flatten") is copy and copy.pooling == "flatten"
    assert "pooling='mean'" in repr(estimator) and kind.__name__ in repr(estimator)
    html = estimator._repr_html_()
    assert estimator.checkpoint_info_["sha256"] in html and "simulated" in html
    assert "sha256" not in clone(estimator)._repr_html_()
    assert kind.__name__ in estimator_html_repr(make_pipeline(estimator))


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (BrainOFEmbedder, "transform"),
        (BrainOFClassifier, "predict"),
        (BrainOFClassifier, "predict_proba"),
        (BrainOFClassifier, "decision_function"),
        (BrainOFRegressor, "predict"),
    ],
)
@pytest.mark.parametrize("X", [noise_epochs(2), np.zeros((2, 5))], ids=["epochs", "array"])
def test_not_fitted(kind, method, X, tmp_path):
    """Before fit, every method says so; a failed fit is no fit."""
    estimator = kind("no-such-checkpoint")
    for _ in range(2):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(X)
        with pytest.raises(NotFittedError):
            estimator.save_pretrained(tmp_path / "new")
        assert not (tmp_path / "new").exists()
        with pytest.raises(ValueError, match="no-such-checkpoint"):
            estimator.fit(noise_epochs(4), [0, 1, 0, 1])


def test_names_not_fitted():
    """Transform before fit: NotFittedError (subclass of ValueError)."""
    with pytest.raises(NotFittedError):
        BrainOFEmbedder().get_feature_names_out()


@pytest.mark.parametrize("kind", KINDS)
def test_fit_is_idempotent(kind, small_checkpoint):
    """Fit returns self, leaves parameters alone, and twice is like once."""
    epochs, y = noise_epochs(12), np.arange(12) % 2
    estimator = kind(small_checkpoint, random_state=1)
    before = dict(estimator.get_params())
    method = "transform" if kind is BrainOFEmbedder else "predict"
    assert estimator.fit(epochs, y) is estimator
    first = getattr(estimator, method)(epochs)
    estimator.fit(noise_epochs(8, seed=5), [0, 1] * 4)  # something else in between
    second = getattr(estimator.fit(epochs, y), method)(epochs)
    np.testing.assert_array_equal(first, second)
    assert all(estimator.get_params()[name] is value for name, value in before.items())


BAD_PARAMETERS = [
    ("batch_size", 0, ValueError),
    ("batch_size", 2.5, TypeError),
    ("device", "gpu9", ValueError),
    ("device", 3, ValueError),
    ("precision", "float16", ValueError),
    ("pooling", "max", ValueError),
    ("window", 0.0, ValueError),
    ("window", "10 s", TypeError),
    ("window", np.nan, ValueError),
    ("missing_positions", "ignore", ValueError),
    ("random_state", "seed", TypeError),
    ("random_state", -1, ValueError),
]
BAD_SUPERVISED = [
    ("adaptation", "none", ValueError),
    ("adaptation__max_epochs", 0, ValueError),
    ("adaptation__patience", 0, ValueError),
    ("adaptation__learning_rate", 0.0, ValueError),
    ("adaptation__layer_decay", 1.5, ValueError),
    ("adaptation__weight_decay", -1.0, ValueError),
    ("adaptation__validation_fraction", 1.0, ValueError),
]


BAD_WEIGHTS = [
    ("even", ValueError, "'even'"),
    ({"no such class": 2.0}, ValueError, "no such class"),
    ({0: -1.0}, ValueError, "-1.0"),
    ({0: "heavy"}, TypeError, "'heavy'"),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "error", "said"),
    [(kind, *bad, repr(bad[1])) for kind in ALL for bad in BAD_PARAMETERS]
    + [(kind, *bad, str(bad[1])) for kind in SUPERVISED for bad in BAD_SUPERVISED]
    + [(BrainOFClassifier, "class_weight", *bad) for bad in BAD_WEIGHTS],
)
def test_bad_parameters(kind, name, value, error, said, small_checkpoint):
    """An error at fit, not before, that names the parameter and what came."""
    estimator = kind(small_checkpoint)
    if name.startswith("adaptation__"):
        estimator.set_params(adaptation=FineTuning())
    estimator.set_params(**{name: value})
    with pytest.raises(error, match=name.removeprefix("adaptation__")) as caught:
        estimator.fit(noise_epochs(4), [0, 1, 0, 1])
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_of_wrong_type(kind):
    """Invalid parameter values (batch_size=0, device="gpu9", checkpoint=3)."""
    with pytest.raises(TypeError, match="checkpoint is a name or a directory, got int"):
        kind(3).fit(noise_epochs(4), [0, 1, 0, 1])


@pytest.mark.parametrize("name", ["brainof-gigantic", "tiny"])
def test_unknown_checkpoint_name(name, no_network):
    """A quick error that lists the known names, without asking anybody."""
    with pytest.raises(ValueError, match=f"{name}.*Known names: brainof-tiny"):
        BrainOFEmbedder(name).fit(noise_epochs(2))


# ---------------------------------------------------------------- pipelines and searches


def make_decoder(*checkpoint, **kwargs):
    return make_pipeline(
        BrainOFEmbedder(*checkpoint, **kwargs), StandardScaler(), LogisticRegression()
    )


def test_pipeline_on_epochs():
    """Pipeline(embedder, StandardScaler, LogisticRegression): works."""
    epochs = obvious_epochs(40)
    y = epochs.events[:, 2]
    decoder = make_decoder().fit(epochs[:30], y[:30])
    assert decoder.score(epochs[30:], y[30:]) > 0.8


@pytest.mark.parametrize("kind", ["probe", "pipeline"])
def test_cross_val_score_on_epochs(kind, small_checkpoint):
    """An Epochs object, labels and subjects go straight in."""
    epochs = obvious_epochs(40)
    y, subject = epochs.events[:, 2], np.repeat(list("abcd"), 10)
    decoder = {
        "probe": BrainOFClassifier(small_checkpoint),
        "pipeline": make_decoder(small_checkpoint),
    }[kind]
    scores = cross_val_score(decoder, epochs, y, groups=subject, cv=GroupKFold(4))
    assert scores.shape == (4,) and scores.mean() > 0.8


@pytest.mark.parametrize("as_paths", [False, True], ids=["raw", "paths"])
def test_cross_val_score_on_recordings(as_paths, small_checkpoint, tmp_path):
    """A list of Raw or of paths, one label per recording."""
    recordings, y = [raw(seed) for seed in range(12)], np.arange(12) % 2
    for recording, label in zip(recordings, y, strict=True):
        recording.apply_function(lambda data, label=label: data * (1 + 2 * label))
    X = recordings
    if as_paths:
        X = [tmp_path / f"{i}_raw.fif" for i in range(len(recordings))]
        for path, recording in zip(X, recordings, strict=True):
            recording.save(path, verbose="error")
        X = pd.Series(X, index=np.arange(100, 112))  # a column of a table of recordings
    scores = cross_val_score(BrainOFClassifier(small_checkpoint, **FAST), X, y, cv=3)
    assert scores.mean() > 0.8


@pytest.mark.parametrize("n_dim", [2, 3])
def test_cross_val_score_on_arrays(n_dim, small_checkpoint):
    """Arrays with ``info``, three- and two-dimensional."""
    epochs = obvious_epochs(40)
    X, y, info = epochs.get_data(), epochs.events[:, 2], epochs.info
    if n_dim == 2:
        X, info = X[:, 0], mne.create_info(1, info["sfreq"], "eeg")
    decoder = BrainOFClassifier(small_checkpoint, info=info, **FAST)
    scores = cross_val_score(decoder, X, y, cv=4)
    assert scores.mean() > 0.8


def test_cross_val_score_on_signals(small_checkpoint):
    """Signals and PairedSignals are indexed by scikit-learn like arrays."""
    from brainof_toolbox import PairedSignals, from_epochs

    epochs = obvious_epochs(24, kind="eeg+meg")
    paired, y = from_epochs(epochs), epochs.events[:, 2]
    assert isinstance(paired, PairedSignals)
    decoder, cv = BrainOFClassifier(small_checkpoint, **FAST), StratifiedKFold(2)
    found = [
        cross_val_predict(decoder, X, y, cv=cv)
        for X in (paired, paired.by_modality["eeg"], epochs)
    ]
    assert all((predicted == y).mean() > 0.8 for predicted in found)
    np.testing.assert_array_equal(found[0], found[2])


def test_grid_search(small_checkpoint):
    """Parameters of embedder and head are searched together."""
    epochs = obvious_epochs(24)
    grid = {"brainofembedder__pooling": ["mean", "flatten"], "logisticregression__C": [0.01, 1.0]}
    search = GridSearchCV(make_decoder(small_checkpoint), grid, cv=2, error_score="raise")
    search.fit(epochs, epochs.events[:, 2])
    assert search.best_score_ > 0.8 and len(search.cv_results_["params"]) == 4
    assert search.predict(epochs).shape == (24,)


def test_pipeline_with_memory(small_checkpoint, tmp_path, monkeypatch):
    """A cached embedder is not computed again, and gives the same."""
    epochs = noise_epochs(12)
    y = epochs.events[:, 2]
    steps = [("embed", BrainOFEmbedder(small_checkpoint)), ("head", LogisticRegression())]
    first = Pipeline(steps, memory=str(tmp_path)).fit(epochs, y).predict_proba(epochs)
    plain = Pipeline(steps).fit(epochs, y).predict_proba(epochs)
    np.testing.assert_array_equal(first, plain)
    fits = []
    fit = BrainOFEmbedder.fit
    monkeypatch.setattr(
        BrainOFEmbedder, "fit", lambda self, X, y=None: fits.append(1) or fit(self, X, y)
    )
    again = Pipeline(steps, memory=str(tmp_path)).fit(epochs, y)
    assert fits == []
    np.testing.assert_array_equal(again.predict_proba(epochs), first)
    Pipeline(steps, memory=str(tmp_path)).fit(noise_epochs(12, seed=1), y)
    assert fits == [1]


def test_set_output(small_checkpoint):
    """A DataFrame whose names are unique and the estimator's own."""
    epochs = noise_epochs(5)
    embedder = BrainOFEmbedder(small_checkpoint, pooling="mean").set_output(transform="pandas")
    table = embedder.fit_transform(epochs)
    assert isinstance(table, pd.DataFrame) and table.shape == (5, 32)
    names = embedder.get_feature_names_out()
    assert list(table.columns) == list(names) and len(set(names)) == 32
    assert names[0] == "brainofembedder0"
    embedder.set_output(transform="default")
    np.testing.assert_array_equal(table.to_numpy(), embedder.transform(epochs))


@pytest.mark.parametrize("kind", SUPERVISED)
def test_groups_are_routed(kind, small_checkpoint, monkeypatch):
    """With metadata routing, ``groups`` reach the splitter and the inner splits alike."""
    seen, inner_splits = [], fusion.inner_splits
    monkeypatch.setattr(
        fusion,
        "inner_splits",
        lambda y, groups, **kw: seen.append(groups) or inner_splits(y, groups, **kw),
    )
    epochs, groups = noise_epochs(24), np.repeat(list("abcd"), 6)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = kind(small_checkpoint, **FAST).set_fit_request(groups=True)
        pipeline = make_pipeline(estimator)
        scores = cross_val_score(
            pipeline, epochs, epochs.events[:, 2], cv=GroupKFold(4), params={"groups": groups}
        )
    assert len(scores) == 4 and len(seen) == 4
    assert all(len(np.unique(part)) == 3 for part in seen)


# ------------------------------------------------------------------------------ processes

FRESH = """
import socket, sys, pickle
def refuse(*args, **kwargs):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import numpy as np, torch
torch.set_num_threads(1)
folder = sys.argv[1]
with open(f"{folder}/fitted.pickle", "rb") as file:
    fitted = pickle.load(file)
X = np.load(f"{folder}/X.npy")
out = {name: (e.transform(X) if hasattr(e, "transform") else e.predict(X))
       for name, e in fitted.items()}
from brainof_toolbox import BrainOFEmbedder
out["fresh"] = BrainOFEmbedder(info=fitted["embedder"].info).fit_transform(X)
np.savez(f"{folder}/out.npz", **out)
"""


@pytest.mark.slow
def test_fresh_process(small_checkpoint, tmp_path, no_network):
    """What was pickled here predicts the same elsewhere; no socket is opened."""
    epochs = obvious_epochs(16)
    X, y, common = epochs.get_data(), epochs.events[:, 2], {"info": epochs.info}
    full = {"adaptation": FineTuning(max_epochs=1, refit=False), "pooling": "mean", **common}
    fitted = {
        "embedder": BrainOFEmbedder(**common).fit(X),
        "probe": BrainOFClassifier(**common).fit(X, y),
        "full": BrainOFClassifier(small_checkpoint, **full).fit(X, y),
        "regressor": BrainOFRegressor(small_checkpoint, **common).fit(X, y),
        "full_regressor": BrainOFRegressor(small_checkpoint, **full).fit(X, y),
    }
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "X.npy", X)
    command = [sys.executable, "-c", FRESH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    there = np.load(tmp_path / "out.npz")
    for name, estimator in fitted.items():
        here = estimator.transform(X) if name == "embedder" else estimator.predict(X)
        np.testing.assert_allclose(there[name], here, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(there["fresh"], there["embedder"])


@pytest.mark.parametrize("kind", KINDS)
def test_pickle_round_trip(kind, small_checkpoint):
    """Bitwise the same rows, and the pickled estimator works on."""
    epochs = noise_epochs(10)
    estimator = kind(small_checkpoint).fit(epochs, epochs.events[:, 2])
    method = "transform" if kind is BrainOFEmbedder else "predict"
    rows = getattr(estimator, method)(epochs)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(getattr(copy, method)(epochs), rows)
    np.testing.assert_array_equal(getattr(estimator, method)(epochs), rows)
    assert copy.checkpoint_info_ == estimator.checkpoint_info_
