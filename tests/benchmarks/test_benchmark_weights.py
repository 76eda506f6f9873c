"""Embeddings of checkpoints on a stand-in set: rows, resumed runs, tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import weights
from benchmarks.suite.people import split_people
from benchmarks.suite.sets import SETS, Set, Task
from brainof_toolbox.datasets import make_study
from brainof_toolbox.encoder import Encoder


def read_people(root, part):
    """Three people, two classes."""
    X = make_study(3, n_epochs=8, n_channels=8, duration=1.0, random_state=0)
    y = np.where(X.events[:, 2] == X.event_id["left"], "left", "right")
    groups = X.metadata["subject"].to_numpy(str)
    return Task(X, y, groups, split_people("stand-in", y, groups, 3, part))


ENTRY = Set(read_people, None, "left against right", "sensors", 2, "person", "simulated")


def test_rows_are_those_of_the_encoder(read_out_checkpoint):
    task = read_people(None, "development")
    found = weights.embed_forms(read_out_checkpoint, task, is_trained=True)
    assert set(found) == set(weights.FORMS)
    for form, features in found.items():
        encoder = Encoder(read_out_checkpoint, pooling=form)
        rows = encoder.embed(task.X)
        np.testing.assert_allclose(features.blocks["latents"], rows, atol=2e-5)
        assert features.fingerprint == encoder.fingerprint
    assert "compact" not in weights.embed_forms(read_out_checkpoint, task, is_trained=False)


def test_run_is_resumed(read_out_checkpoint, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(SETS, "stand-in", ENTRY)
    path = tmp_path / "weights.jsonl"
    command = [str(read_out_checkpoint), "untrained:3", "--sets", "stand-in"]
    weights.main([*command, "--results", str(path)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["checkpoint"] for line in lines] == ["read_outs", "untrained:3"]
    assert list(lines[1]["forms"]) == ["flatten", "mean"]
    scores, differences, means = weights.tabulate(lines, ["read_outs", "untrained:3"])
    one = weights.count_all(lines)["stand-in"]["read_outs compact"]
    assert scores.loc[0, "read_outs compact"].startswith(f"{one.score:.3f} [")
    assert differences.loc[0, "first"] == "read_outs compact" and scores.loc[0, "groups"] == 3
    assert len(means) == 4 and set(means["sets"]) == {1}
    capsys.readouterr()
    monkeypatch.setattr(weights, "score_set", None)  # nothing is computed again
    weights.main([*command, "--results", str(path)])
    assert "read_outs compact" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        weights.main(["untrained:0"])
