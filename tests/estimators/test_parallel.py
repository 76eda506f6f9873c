"""Many recordings over several workers: the same rows, one broken recording stops no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import joblib
import mne
import numpy as np
import psutil
import pytest
import torch
from joblib._parallel_backends import ThreadingBackend
from simulated import atlas, bold, noise_epochs, raw
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    Preprocessing,
    Records,
    from_epochs,
)
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.encoder import Encoder, parallel
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.preprocessing import preprocess

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Six recordings on disk."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"sub-{i:02d}_raw.fif" for i in range(6)]
    for i, path in enumerate(paths):
        raw(i).save(path, verbose="error")
    return paths


@pytest.fixture(scope="module")
def broken(tmp_path_factory, paths):
    """A recording that was cut off while it was copied."""
    path = tmp_path_factory.mktemp("broken") / "sub-99_raw.fif"
    path.write_bytes(paths[0].read_bytes()[:300])
    return path


def embedder(checkpoint, **kwargs):
    """A fitted embedder of few features."""
    return BrainOFEmbedder(checkpoint, pooling="mean", **kwargs).fit([raw()])


def count_spreading(monkeypatch):
    """Numbers of tasks that left this process, call by call."""
    found, spread = [], parallel._spread

    def spy(encoder, tasks, *args):
        found.append(len(tasks))
        return spread(encoder, tasks, *args)

    monkeypatch.setattr(parallel, "_spread", spy)
    return found


# ------------------------------------------------------------------------------- groups


@pytest.mark.parametrize("n_at_once", [1, 5, 32])
def test_groups_hold_everything_once(n_at_once, paths):
    """What is on disk goes alone; samples in memory go together, as many as are asked for."""
    small = [noise_epochs(1, seed=i) for i in range(12)]
    X = [*small[:7], raw(), str(paths[0]), *small[7:], noise_epochs(40), bold()]
    groups = parallel.make_tasks(open_samples(X), n_at_once)
    assert [entry for group in groups for entry in group] == list(enumerate(X))
    sizes = [[len(item) if item in small else 99 for _, item in group] for group in groups]
    assert all(sum(group) <= n_at_once or len(group) == 1 for group in sizes)
    assert len(groups) == 4 + -(-7 // n_at_once) + -(-5 // n_at_once)


def test_sequence_is_left_on_request_only(small_checkpoint, paths, monkeypatch):
    """Without workers nothing changes; arrays, single objects and single tasks stay here too."""
    found = count_spreading(monkeypatch)
    fitted = embedder(small_checkpoint)
    rows = fitted.transform(paths)
    assert found == []
    with joblib.parallel_config("threading", n_jobs=2):
        for X in (noise_epochs(40), paths[:1], [noise_epochs(1, seed=i) for i in range(9)]):
            fitted.transform(X)
        fitted.set_params(n_jobs=1).transform(paths)
        assert found == []
        np.testing.assert_allclose(fitted.set_params(n_jobs=None).transform(paths), rows, **CLOSE)
    fitted.set_params(n_jobs=2)
    with joblib.parallel_config("threading"):
        np.testing.assert_allclose(fitted.transform(paths), rows, **CLOSE)
    assert found == [6, 6] and parallel._NETWORKS == {}


# ---------------------------------------------------------------------------- equal rows


def many_forms(paths, kind):
    """A list of samples in each of the accepted forms."""
    if kind == "epochs on disk":
        path = paths[0].with_name("all-epo.fif")
        noise_epochs(40).save(path, overwrite=True, verbose="error")
        epochs = mne.read_epochs(path, preload=False, verbose="error")
        return [epochs[:20], epochs[20:]]
    return {
        "paths": paths,
        "column": np.array([str(path) for path in paths]),
        "records": Records({"eeg": path, "subject": str(i)} for i, path in enumerate(paths)),
        "on disk": [mne.io.read_raw_fif(path, verbose="error") for path in paths[:3]],
        "in memory": [raw(0), raw(1), raw(2, sfreq=100.0)],
        "epochs": [noise_epochs(1, seed=i) for i in range(34)],
        "signals": [from_epochs(noise_epochs(n, seed=n)) for n in (20, 21, 3)],
        "images": [bold(0), bold(1)],
    }[kind]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["paths", "column", "records", "on disk", "in memory", "epochs", "epochs on disk"]
    + ["signals", "images"],
)
def test_rows_of_two_processes(kind, small_checkpoint, paths, monkeypatch):
    """Every form of samples, in order, as one process gives them."""
    X = many_forms(paths, kind)
    fitted = BrainOFEmbedder(small_checkpoint, masker=atlas()).fit(X)
    found = count_spreading(monkeypatch)
    rows = fitted.transform(X)
    with joblib.parallel_config(n_jobs=2):
        np.testing.assert_allclose(fitted.transform(X), rows, **CLOSE)
    assert len(found) == 1 and found[0] > 1
    assert (np.abs(rows[1:] - rows[0]).max(axis=1) > 1e-3).all()


@pytest.fixture
def one_thread_of_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "kind", ["epochs", "recording", pytest.param("pairs", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("one_thread_of_torch")
def test_rows_of_two_threads(kind, small_checkpoint, monkeypatch):
    """One item in memory: the same batches side by side, so not a bit differs."""
    X = {
        "epochs": noise_epochs(70),
        "recording": [raw(duration=50.0)],
        "pairs": make_paired_signals(20, modalities=("eeg", "meg"), random_state=0)[0],
    }[kind]
    options = {"features": ("latents", "covariance"), "window": 2.0, "batch_size": 8}
    one, two = (embedder(small_checkpoint, n_jobs=n, **options).fit(X) for n in (1, 2))
    used, embed = [], Encoder._embed_piece

    def spy(*args):
        used.append(threading.current_thread().name)
        return embed(*args)

    monkeypatch.setattr(Encoder, "_embed_piece", spy)
    rows = one.transform(X)
    assert set(used) == {threading.current_thread().name}
    used.clear()
    np.testing.assert_array_equal(two.transform(X), rows)
    assert all(name.startswith("embedding") for name in used)


def test_probe_follows_the_context(small_checkpoint, paths, monkeypatch):
    """Classifier and regressor have no parameter for it; their recordings are spread as well."""
    found = count_spreading(monkeypatch)
    one = BrainOFClassifier(small_checkpoint).fit(paths, [0, 1] * 3).predict_proba(paths)
    assert found == []
    with joblib.parallel_config(n_jobs=2):
        two = BrainOFClassifier(small_checkpoint).fit(paths, [0, 1] * 3).predict_proba(paths)
    np.testing.assert_allclose(one, two, atol=1e-4)
    assert found == [6, 6]


class Portions(ThreadingBackend):
    """A backend that, as ray's, gives results only when all are there."""

    supports_return_generator = False


def test_backends_without_generators(small_checkpoint, paths, monkeypatch):
    """The same through portions, the last of them smaller."""
    joblib.register_parallel_backend("portions", Portions)
    X = [raw(i, duration=1.0) for i in range(19)]
    fitted = embedder(small_checkpoint)
    portions, start = [], parallel.Parallel

    def spy(**kwargs):
        portions.append(kwargs)
        return start(**kwargs)

    monkeypatch.setattr(parallel, "Parallel", spy)
    with joblib.parallel_config("portions", n_jobs=2):
        rows = fitted.transform(X)
    assert len(portions) == 2
    np.testing.assert_allclose(rows, fitted.transform(X), **CLOSE)


def test_the_world_is_left_alone(small_checkpoint, paths, global_rng_untouched):
    """Threads, random numbers and warning filters here are as before."""

    def state():
        return torch.get_num_threads(), torch.is_grad_enabled(), list(warnings.filters)

    before = state()
    embedder(small_checkpoint, n_jobs=2).transform(paths)
    assert state() == before and parallel._NETWORKS == {}


# -------------------------------------------------------------------------------- backends

KINDS = ["paths", "records", "on disk", "in memory", "epochs", "lists of epochs", "signals"]
KINDS += ["one signals", "arrays", "images"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def run_forking(checkpoint, folder, backend, names, timeout):
    """Differences by name, from a process that has used torch with several threads."""
    script = Path(__file__).with_name("forking.py")
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env["OMP_WAIT_POLICY"] = "passive"  # threads that wait take no time from other tests
    call = [sys.executable, script, checkpoint, folder, backend, *names]
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(map(json.loads, done.stdout.splitlines()))


@needs_fork
@pytest.mark.slow
def test_forked_processes_embed(small_checkpoint, tmp_path):
    """After torch has used several threads, its forked copies finish, with the same rows."""
    names = ["paths", "pool", "fork"]
    found = run_forking(small_checkpoint, tmp_path, "multiprocessing", names, 120)
    assert list(found) == names and max(found.values()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_every_backend_and_kind(backend, small_checkpoint, tmp_path):
    """All local backends, all kinds of samples, and whole fits in workers."""
    if backend == "multiprocessing" and not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    names = [*KINDS, "probe", "lora", "grid search"]
    found = run_forking(small_checkpoint, tmp_path, backend, names, 200)
    assert list(found) == names and max(found.values()) < 1e-4


def test_filters_leave_the_workers_to_recordings(monkeypatch):
    """MNE does not take up the backend that is meant for recordings, nor do simulations."""

    def refuse(*args, **kwargs):
        raise AssertionError("joblib was asked for workers")

    monkeypatch.setattr(joblib, "Parallel", refuse)
    options = Preprocessing(notch=50.0)
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        preprocess(from_epochs(noise_epochs(2, n_times=2000, sfreq=200.0)), options)
        make_paired_signals(2, n_subjects=1)


# -------------------------------------------------------------------------------- nesting


def _transform_and_count(fitted, paths):
    """In a worker: rows, and how many processes it had to start."""
    return fitted.transform(paths), len(psutil.Process().children(recursive=True))


def test_nested_workers_start_no_processes(small_checkpoint, paths):
    """Workers within workers are threads, whoever asks for them."""
    fitted = embedder(small_checkpoint, n_jobs=2)
    rows = fitted.transform(paths)
    call = joblib.delayed(_transform_and_count)
    for found, n_children in joblib.Parallel(n_jobs=2)(call(fitted, paths) for _ in range(2)):
        np.testing.assert_allclose(found, rows, **CLOSE)
        assert n_children == 0


def test_cross_validation_in_workers(small_checkpoint, paths):
    """Folds in two processes, recordings of a fold in whatever is left."""
    y = np.arange(6) % 2
    decoder = make_pipeline(BrainOFEmbedder(small_checkpoint, n_jobs=2), LogisticRegression())
    options = {"cv": KFold(3), "method": "predict_proba"}
    two = cross_val_predict(decoder, paths, y, n_jobs=2, **options)
    decoder.set_params(brainofembedder__n_jobs=None)
    np.testing.assert_allclose(two, cross_val_predict(decoder, paths, y, **options), atol=1e-4)


def test_folds_in_two_processes(small_checkpoint):
    """Two processes, the same scores."""
    epochs = noise_epochs(20)
    y, cv = epochs.events[:, 2], KFold(4)
    classifier = BrainOFClassifier(small_checkpoint, features="latents", pooling="mean")
    one = cross_validate(classifier, epochs, y, cv=cv, scoring="neg_log_loss")
    two = cross_validate(classifier, epochs, y, cv=cv, scoring="neg_log_loss", n_jobs=2)
    np.testing.assert_allclose(one["test_score"], two["test_score"], atol=1e-5)


# ---------------------------------------------------------------------- broken recordings


@pytest.mark.parametrize(
    "backend", ["sequential", "threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_a_broken_recording_is_named(backend, small_checkpoint, paths, broken):
    """An error that says which one, from wherever it comes."""
    fitted = embedder(small_checkpoint)
    records = [{"eeg": path, "subject": path.name[4:6]} for path in (*paths[:2], broken)]
    with joblib.parallel_config(backend, n_jobs=2):
        with pytest.raises(ValueError, match=r"X\[2\] \(subject 99\).*sub-99_raw.fif"):
            fitted.transform(records)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_broken_recordings_become_nan(n_jobs, small_checkpoint, paths, broken):
    """Rows stay in step with y, the others are as without it, and one warning names them all."""
    good = embedder(small_checkpoint).transform(paths)
    X = [paths[0], broken, *paths[1:3], "no_such_raw.fif", paths[3], broken, broken]
    fitted = BrainOFEmbedder(small_checkpoint, pooling="mean", on_error="nan", n_jobs=n_jobs)
    with pytest.warns(RuntimeWarning, match="rows are NaN") as caught:
        rows = fitted.fit(X).transform(X)
    is_good = np.array([1, 0, 1, 1, 0, 1, 0, 0], dtype=bool)
    assert np.isnan(rows[~is_good]).all()
    np.testing.assert_allclose(rows[is_good], good[:4], **CLOSE)
    ours = [entry for entry in caught if "rows are NaN" in str(entry.message)]
    assert len(ours) == 1 and ours[0].filename == __file__
    text = str(ours[0].message)
    assert "4 of 8" in text and "no_such_raw.fif" in text
    for place in (1, 4, 6, 7):
        assert f"X[{place}] (" in text


def test_one_broken_sample_in_a_group(small_checkpoint):
    """Of samples that are embedded together only the broken one is lost, with all its rows."""
    X = [noise_epochs(2, seed=i) for i in range(5)]
    rows = embedder(small_checkpoint).transform(X)
    X[3]._data[1, 0, 0] = np.inf
    with pytest.warns(RuntimeWarning, match=r"1 of 5 items.*X\[3\]"):
        found = embedder(small_checkpoint, on_error="nan").transform(X)
    assert np.isnan(found[6:8]).all()
    np.testing.assert_allclose(np.delete(found, [6, 7], 0), np.delete(rows, [6, 7], 0), **CLOSE)
    with pytest.raises(ValueError, match=r"X\[3\]"):
        embedder(small_checkpoint).transform(X)


def test_all_broken_is_an_error(small_checkpoint, broken):
    """A table of nothing but NaN helps nobody."""
    fitted = embedder(small_checkpoint, on_error="nan")
    with pytest.raises(ValueError, match=r"None of the 2 items.*sub-99_raw.fif"):
        fitted.transform([broken, broken])


def test_nothing_else_is_hidden(small_checkpoint, paths, monkeypatch):
    """What fails for other reasons than the recording is an error whatever was asked for."""
    fitted = embedder(small_checkpoint, on_error="nan")

    def fail(tokens, layer):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(fitted.backbone_, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        fitted.transform(paths)


def test_warnings_of_workers_arrive(small_checkpoint, paths):
    """What a worker warns about is said here, at the line of the user."""
    recordings = [raw(0), raw(1), raw(2)]
    recordings[1]._data[0] = 1e-5
    fitted = embedder(small_checkpoint, n_jobs=2)
    with pytest.warns(RuntimeWarning, match="flat") as caught:
        fitted.transform(recordings)
    assert {entry.filename for entry in caught} == {__file__}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("n_jobs", 0, ValueError), ("n_jobs", 1.5, TypeError), ("on_error", "skip", ValueError)],
)
def test_bad_parameters(name, value, error, small_checkpoint):
    """Invalid parameter values (batch_size=0, device="gpu9", checkpoint=3)."""
    with pytest.raises(error, match=name):
        BrainOFEmbedder(small_checkpoint, **{name: value}).fit(noise_epochs(2))


# ---------------------------------------------------------------------------------- dask


def _network_and_process():
    return list(parallel._NETWORKS), torch.get_num_threads(), os.getpid()


@pytest.mark.slow
def test_dask(dask_cluster, small_checkpoint, other_checkpoint, paths, broken):
    """Two processes of a cluster: equal rows, a broken recording named, skipped on request."""
    from distributed import Client

    fitted = embedder(small_checkpoint)
    rows = fitted.transform(paths)
    with Client(dask_cluster) as client, joblib.parallel_config("dask"):
        np.testing.assert_allclose(fitted.transform(paths), rows, **CLOSE)
        with pytest.raises(ValueError, match=r"X\[3\].*sub-99_raw.fif"):
            fitted.transform([*paths[:3], broken, *paths[3:]])
        fitted.set_params(on_error="nan")
        with pytest.warns(RuntimeWarning, match=r"1 of 7 items.*X\[3\].*sub-99_raw.fif"):
            found = fitted.transform([*paths[:3], broken, *paths[3:]])
        assert np.isnan(found[3]).all()
        np.testing.assert_allclose(np.delete(found, 3, axis=0), rows, **CLOSE)
        # Each worker has the one network that was sent last; this process keeps none.
        other = embedder(other_checkpoint).transform(paths)
        about = client.run(_network_and_process)
    assert np.abs(other - rows).max() > 0.1
    assert len(about) == 2 and os.getpid() not in [process for *_, process in about.values()]
    assert all(len(keys) <= 1 for keys, *_ in about.values())
    assert {key for keys, *_ in about.values() for key in keys} and parallel._NETWORKS == {}
