"""Progress: bars on terminals, lines in logs, silence on request, and what interruption leaves."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from brainof_toolbox._utils import logging as shown
from brainof_toolbox._utils.logging import describe_seconds, inform, progress


@pytest.fixture
def at_once(monkeypatch):
    """Show progress from the start, and a line at each item."""
    monkeypatch.setattr(shown, "MANY_SECONDS", 0.0)
    monkeypatch.setattr(shown, "_INTERVAL", 0.0)


@pytest.mark.parametrize("enabled", [None, True, False])
def test_items_are_those_of_the_iterable(enabled):
    assert list(progress(range(5), enabled=enabled)) == list(range(5))
    assert list(progress(iter("abc"), enabled=enabled)) == list("abc")


def test_lines_without_a_terminal(at_once, capsys):
    """One plain line per interval, without the codes of a terminal."""
    for _ in progress(range(3), description="Folds"):
        pass
    for _ in progress(iter(range(2)), description="Embedding"):
        pass
    error = capsys.readouterr().err
    assert "Folds: 1 of 3, " in error and "Folds: 3 of 3, " in error and "Embedding: 2" in error
    assert "\r" not in error and "\x1b" not in error


def test_short_work_is_silent(capsys):
    assert len(list(progress(range(100)))) == 100
    assert capsys.readouterr().err == ""


def test_false_is_silent(at_once, capsys):
    for _ in progress(range(3), enabled=False):
        time.sleep(0.01)
    inform("never", False)
    assert capsys.readouterr().err == ""


def test_interruption_leaves_the_last_state(at_once, capsys):
    with pytest.raises(KeyboardInterrupt), progress(total=4, description="Epochs") as bar:
        bar.update(2)
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines()[-1].startswith("Epochs: 2 of 4")


def test_terminal_has_a_bar(at_once, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for _ in progress(range(3), description="Folds", enabled=True):
        pass
    error = capsys.readouterr().err
    assert "\r" in error and "3/3" in error


def test_notebook_without_widgets_has_a_bar_of_text(at_once, capsys, monkeypatch, recwarn):
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(shown.importlib.util, "find_spec", lambda name: None)
    for _ in progress(range(3), description="Folds", enabled=True):
        pass
    assert "3/3" in capsys.readouterr().err and not recwarn.list


def test_durations_are_round():
    assert [describe_seconds(s) for s in (0.1, 41, 90, 91, 1000)] == [
        *("10 s", "50 s", "90 s", "2 min", "17 min")
    ]


# ------------------------------------------------------------------------------- fine-tuning


@pytest.fixture
def study():
    from brainof_toolbox import datasets

    epochs = datasets.make_epochs(n_epochs=16, n_channels=4, random_state=0)
    return epochs, epochs.events[:, 2]


@pytest.fixture
def decoder():
    from brainof_toolbox import BrainOFClassifier
    from brainof_toolbox.estimators import FineTuning

    adaptation = FineTuning(1, max_epochs=3, augmentation=None)
    return BrainOFClassifier(adaptation=adaptation, features="latents", pooling="mean", layer=1)


def test_fine_tuning_states_its_time_first(study, decoder, capsys):
    decoder.set_params(verbose=True).fit(*study)
    lines = capsys.readouterr().err.splitlines()
    stated, *later = (line for line in lines if line.startswith("Fine-tuning"))
    assert stated.startswith("Fine-tuning for up to 3 epochs on 12 samples, then on all")
    assert "at most about" in stated and later and all("Fine-tuning: " in line for line in later)
    decoder.set_params(verbose=False).fit(*study)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("n_steps, n_records", [(1, 2), (4, 4)])  # first training, and refit
def test_interrupted_fine_tuning_keeps_weights(n_steps, n_records, study, decoder, monkeypatch):
    """The estimator is fitted as if training had stopped there; the interruption still arrives."""
    from brainof_toolbox.estimators import finetune

    epochs, y = study
    losses = iter(range(100, 0, -1))  # each epoch is better than the one before
    monkeypatch.setattr(finetune, "watch", lambda *args: float(next(losses)))
    alone = {"adaptation__refit": False, "adaptation__max_epochs": n_records - 1}
    expected = decoder.set_params(**alone).fit(epochs, y).predict_proba(epochs)
    n_done, step = [], finetune._step

    def interrupt(*args):
        if len(n_done) == n_steps:
            raise KeyboardInterrupt
        n_done.append(1)
        return step(*args)

    monkeypatch.setattr(finetune, "_step", interrupt)
    decoder.set_params(adaptation__refit=True, adaptation__max_epochs=3)
    with pytest.raises(KeyboardInterrupt, match="best weights so far are kept"):
        decoder.fit(epochs, y)
    assert len(decoder.history_) == n_records
    if n_records == 4:  # the schedule of the rate is the same
        np.testing.assert_allclose(decoder.predict_proba(epochs), expected, atol=1e-6)
    assert np.isfinite(decoder.predict_proba(epochs)).all()
