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


def _means(text, title):
    """Mean scores in the table below a heading."""
    table = re.search(rf"^{title}: .*\n(?:\S.*\n)+", text, re.M)[0]
    return {
        name: float(mean) for name, mean in re.findall(r"^(\S.*?) {2,}([\d.]+) +\[", table, re.M)
    }


@pytest.mark.slow
def test_without_data_it_is_simulated_and_says_so(
    tmp_path, micro_checkpoint, monkeypatch, capsys, no_network
):
    """Every modality and all three, across subjects, beside classical decoders and chance."""
    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    figure = tmp_path / "figures" / "demo.png"
    assert main(["demo", "--figure", str(figure), "--checkpoint", str(micro_checkpoint)]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED EEG, MEG and fMRI" in text and text.count("chance 0.500") == 4
    assert f"Figure: {figure}" in text and _is_drawn(figure)
    assert "UNTRAINED" not in text  # there is a checkpoint
    found = {title: _means(text, title) for title in VIEWS}
    assert all(0 <= means.pop("Brain-OF") <= 1 for means in found.values())
    best = {title: max(means.values()) for title, means in found.items()}
    assert min(best.values()) > 0.55 and len(found["EEG"]) == 5
    assert best["all three"] > np.mean([best[title] for title in ("EEG", "MEG", "fMRI")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name"), [([], "Brain-OF"), (["--checkpoint", "none"], "Brain-OF (untrained)")]
)
def test_weights_are_named(options, name, tmp_path, monkeypatch, capsys):
    """The bundled weights unless untrained ones are asked for, which the text says."""
    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    assert main(["demo", "--figure", str(tmp_path / "demo.png"), *options]) == 0
    text = capsys.readouterr().out
    assert len(re.findall(rf"^{re.escape(name)} +[\d.]+ ", text, re.M)) == len(VIEWS)
    assert ("UNTRAINED" in text) == bool(options)


@pytest.mark.parametrize(
    ("arguments", "checkpoint"),
    [
        ({}, "brainof-tiny"),
        pytest.param({"checkpoint": None}, None, marks=pytest.mark.slow),
    ],
)
def test_scores_of_subjects(arguments, checkpoint, tmp_path, monkeypatch):
    """Each modality alone, then all; dummy decoders stand in for the folds."""
    from brainof_toolbox import evaluation

    monkeypatch.delenv("BRAINOF_DATA", raising=False)
    found = []

    def score_guesses(decoders, X, y, groups):
        first, *others = decoders
        found.append((decoders[first].checkpoint, len(others)))
        guesses = dict.fromkeys(decoders, DummyClassifier())
        return compare(guesses, np.zeros((len(y), 1)), y, groups=groups)

    monkeypatch.setattr(evaluation, "compare", score_guesses)
    results = run_demo(figure=tmp_path / "demo.png", show=lambda text: None, **arguments)
    assert list(results) == list(VIEWS)
    assert found == [(checkpoint, n) for n in (5, 5, 2, 1)]
    for result in results.values():
        assert ("Brain-OF" in result.scores) == (checkpoint is not None)
        scores = result.scores.values()
        assert all(len(one.by_group) == 8 and one.chance == 0.5 for one in scores)


@pytest.mark.slow
def test_on_a_real_recording(tmp_path, micro_checkpoint, data_dir, capsys):
    figure = tmp_path / "demo.png"
    options = ["--data", str(data_dir), "--checkpoint", str(micro_checkpoint)]
    assert main(["demo", "--figure", str(figure), *options]) == 0
    text = capsys.readouterr().out
    assert "real EEG" in text and "whole runs: 3 in all" in text and "45 trials" in text
    assert float(re.search(r"^CSP \+ LDA +([\d.]+)", text, re.M)[1]) > 0.55
    assert _is_drawn(figure)
