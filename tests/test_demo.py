"""The demo, on simulated and on real recordings."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from brainof_toolbox import compare
from brainof_toolbox.cli import main
from brainof_toolbox.cli.demo import VIEWS, run_demo

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def _is_drawn(figure):
    """A PNG that is not blank."""
    return figure.read_bytes().startswith(b"\x89PNG") and figure.stat().st_size > 20_000


def _means(text, what):
    """Mean scores of a line of the table."""
    line = re.search(rf"^{what} .*$", text, re.M)[0]
    return [float(found) for found in re.findall(r"([\d.]+) \[", line)]


def test_without_data_it_is_simulated_and_says_so(
    tmp_path, micro_checkpoint, monkeypatch, capsys, no_network
):
    """Every modality and all three, across subjects, beside classical decoders and chance."""
    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    figure = tmp_path / "figures" / "demo.png"
    assert main(["demo", "--figure", str(figure), "--checkpoint", str(micro_checkpoint)]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED EEG, MEG and fMRI" in text and "Chance 0.500" in text
    assert f"Figure: {figure}" in text and _is_drawn(figure)
    assert "UNTRAINED" not in text  # there is a checkpoint
    classical = {}
    for what in VIEWS:
        network, classical[what] = _means(text, what)
        assert 0 <= network <= 1
    assert min(classical.values()) > 0.55
    assert classical["all three"] > np.mean([classical[what] for what in ("EEG", "MEG", "fMRI")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name"), [([], "Brain-OF"), (["--checkpoint", "none"], "Brain-OF (untrained)")]
)
def test_weights_are_named(options, name, tmp_path, monkeypatch, capsys):
    """The bundled weights unless untrained ones are asked for, which the text says."""
    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    assert main(["demo", "--figure", str(tmp_path / "demo.png"), *options]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"^decoded from +{re.escape(name)}  +classical$", text, re.M)
    assert ("UNTRAINED" in text) == bool(options)


@pytest.mark.parametrize(
    ("arguments", "checkpoint"), [({}, "brainof-tiny"), ({"checkpoint": None}, None)]
)
def test_scores_of_subjects(arguments, checkpoint, tmp_path, monkeypatch):
    """Of every modality; the folds are stubs, so that what is looked at is what is scored."""
    from brainof_toolbox import evaluation

    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    found = []

    def score_guesses(decoders, X, y, groups):
        found.extend(getattr(decoder, "checkpoint", "classical") for decoder in decoders.values())
        guesses = dict.fromkeys(decoders, DummyClassifier())
        return compare(guesses, np.zeros((len(y), 1)), y, groups=groups)

    monkeypatch.setattr(evaluation, "compare", score_guesses)
    scores = run_demo(figure=tmp_path / "demo.png", say=lambda text: None, **arguments)
    assert list(scores) == list(VIEWS) and found == [checkpoint, "classical"] * len(VIEWS)
    for row in scores.values():
        assert ("Brain-OF" in row) == (checkpoint is not None)
        assert all(len(one.by_group) == 8 and one.chance == 0.5 for one in row.values())


@pytest.mark.slow
def test_on_a_real_recording(tmp_path, micro_checkpoint, data_dir, capsys):
    figure = tmp_path / "demo.png"
    options = ["--data", str(data_dir), "--checkpoint", str(micro_checkpoint)]
    assert main(["demo", "--figure", str(figure), *options]) == 0
    text = capsys.readouterr().out
    assert "real EEG" in text and "whole runs: 3 in all" in text and "45 trials" in text
    assert float(re.search(r"^csp\+lda +([\d.]+)", text, re.M)[1]) > 0.55
    assert _is_drawn(figure)
