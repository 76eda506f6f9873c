"""Embeddings of checkpoints on a stand-in set: rows, resumed runs, people, tables."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import untrained_latents
from benchmarks.suite import conditions
from benchmarks.suite.people import split_people
from benchmarks.suite.sets import SETS, Set, Task
from benchmarks.weights import people, scoring
from benchmarks.weights.__main__ import main
from benchmarks.weights.tables import Results, list_means, tabulate, title_checkpoints
from brainof_toolbox import from_roi_timeseries
from brainof_toolbox.datasets import make_study
from brainof_toolbox.encoder import Encoder

FEWER = "4 channels"


def read_people(root, part):
    """Three people, two classes."""
    X = make_study(3, n_epochs=8, n_channels=8, duration=1.0, random_state=0)
    y = np.where(X.events[:, 2] == X.event_id["left"], "left", "right")
    groups = X.metadata["subject"].to_numpy(str)
    return Task(X, y, groups, split_people("stand-in", y, groups, 3, part))


ENTRY = Set(
    read_people,
    None,
    "left against right",
    "sensors",
    2,
    "person",
    "simulated",
    conditions=(FEWER,),
)


def load_runs(part):
    """Halves of the runs of four people at two sites; each person has a mean."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 80, 6)) + 3 * rng.standard_normal((4, 1, 6))
    places = rng.uniform(-0.05, 0.05, (6, 3))
    runs = [from_roi_timeseries(one, t_r=2.0, roi_positions=places) for one in values]
    return *people.halve(runs), list("abcd"), np.array(["one", "one", "two", "two"])


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setitem(SETS, "stand-in", ENTRY)
    monkeypatch.setitem(people.HALVES, "stand-in runs", load_runs)
    monkeypatch.setitem(
        conditions.CONDITIONS, FEWER, lambda task: conditions.pick(task, task.X.ch_names[:4])
    )


def test_rows_are_those_of_the_encoder(read_out_checkpoint):
    task = read_people(None, "development")
    found = scoring.embed_task(read_out_checkpoint, task, is_trained=True)
    assert set(found) == set(scoring.FORMS)
    for form, features in found.items():
        encoder = Encoder(read_out_checkpoint, pooling=form)
        rows = encoder.embed(task.X)
        np.testing.assert_allclose(features.blocks["latents"], rows, atol=2e-5)
        assert features.fingerprint == encoder.fingerprint
    assert "compact" not in scoring.embed_forms(read_out_checkpoint, task.X, is_trained=False)


@pytest.mark.slow
def test_run_is_resumed_and_pages_are_written(
    read_out_checkpoint, stand_in, monkeypatch, tmp_path, capsys
):
    path = tmp_path / "weights.jsonl"
    names = [str(read_out_checkpoint), "untrained:3", "untrained:4"]
    options = ["--results", str(path), "--sets", "stand-in", "stand-in runs"]
    main(["run", *names, *options, "--fraction", "1", "0.5"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 4 + 3 * 3  # features and checkpoints; whole, half, four channels
    by_key = {(line["set"], line["condition"], line["fraction"]) for line in lines}
    assert len(by_key) == 4
    untrained = [line for line in lines if line["checkpoint"] == "untrained:3"]
    assert all(list(line["forms"]) == ["flatten", "mean"] for line in untrained)
    assert f"stand-in, {FEWER}, untrained:4" in capsys.readouterr().out

    monkeypatch.setattr(scoring, "score_set", None)  # nothing is computed again
    main(["run", *names, *options, "--fraction", "1", "0.5"])
    assert "read_outs embedding" in capsys.readouterr().out
    (tmp_path / "tables").mkdir()
    main(["pages", *names, *options, "--book", str(tmp_path)])
    written = {file.name for file in (tmp_path / "tables").iterdir()}
    assert {"weights_scores.csv", "weights_means.csv", "weights_people.csv"} <= written
    assert (tmp_path / "weights.png").stat().st_size > 0
    assert "before" not in (tmp_path / "tables" / "weights_scores.csv").read_text()
    with pytest.raises(SystemExit):
        main(["table", "untrained:0", *options])


def test_tables_pair_and_average_seeds():
    def line(group, right, seed):
        return {"group": group, "seed": seed, "right": {"a": right}, "total": {"a": 4}}

    def row(checkpoint, form, rights, seed=0):
        lines = [line(who, right, seed) for who, right in zip("xyz", rights, strict=True)]
        named = {"set": "pictures", "checkpoint": checkpoint, "sha256": "0", "people": "test"}
        forms = {form: lines} | ({"flatten": lines} if form == "compact" else {})
        return {**named, "forms": forms}

    names = ["new", "old", "untrained:0", "untrained:1"]
    rows = [
        row("new", "compact", [4, 4, 3]),
        row("old", "flatten", [3, 3, 3]),  # without read-outs this is the embedding too
        row("untrained:0", "flatten", [2, 2, 2], 0),
        row("untrained:1", "flatten", [3, 2, 3], 1),
    ]
    results = Results(rows, title_checkpoints(names, page=True))
    scores = {key: one.score for key, one in results.there("pictures").items()}
    assert scores.pop("trained flatten") == scores["trained embedding"]
    expected = {"trained embedding": 11 / 12}
    expected |= {"before embedding": 9 / 12}
    assert scores == pytest.approx({**expected, "untrained flatten": 14 / 24})
    means = {one["against"]: one for one in list_means(results)}
    assert means["before embedding"]["mean difference"].startswith("+0.167 [")
    assert means["untrained flatten"]["sets"] == 1 and set(tabulate(results)) >= {"scores"}
    with pytest.raises(ValueError, match="two trained"):
        title_checkpoints(["a", "b", "c"], page=True)


def test_people_are_identified_within_their_site():
    first, second, names, sites = load_runs("development")
    lines = people.identify_people(people.means(first), people.means(second), names, sites)
    assert [line["right"]["found"] for line in lines] == [1.0] * 4
    assert {line["chance"] for line in lines} == {0.5}
    noise = np.random.default_rng(1).standard_normal((2, 40, 50))
    lines = people.identify_people(*noise, list(range(40)), np.zeros(40))
    assert np.mean([line["right"]["found"] for line in lines]) < 0.2
    upper = people.correlations(first)
    assert upper.shape == (4, 15) and np.abs(upper).max() < 1


@pytest.mark.parametrize("part", ["people", "states", "noise"])
def test_shares_of_the_variance(part):
    rng = np.random.default_rng(2)
    groups, y = np.repeat(np.arange(20), 12), np.tile([0, 1], 120)
    rows = rng.standard_normal((240, 30))
    if part == "people":
        rows += rng.standard_normal((20, 30))[groups]
    if part == "states":
        rows += rng.standard_normal((20, 2, 30))[groups, y]
    task = Task(None, y, groups, [(None, np.arange(240))])
    found = people.share_variance(rows, ENTRY, task)
    # The states of a person are two draws: half of their variance lies between people.
    expected = {"people": (0.5, 0), "states": (0.25, 0.25), "noise": (0, 0)}[part]
    np.testing.assert_allclose(list(found.values()), expected, atol=0.06)
    one_state = Task(None, np.zeros(240), groups, task.splits)
    assert people.share_variance(rows, ENTRY, one_state) is None


def test_untrained_latents_have_the_prior_factor(read_out_checkpoint, stand_in, monkeypatch):
    """One condition, with the default decoder's own counts as those of the suite."""
    monkeypatch.setattr(untrained_latents, "CONDITIONS", {FEWER: None})
    monkeypatch.setattr(untrained_latents, "data_dir", None)
    found = untrained_latents.score(str(read_out_checkpoint), ["stand-in"])
    [(key, counts)] = found.items()
    assert key == ("stand-in", FEWER) and len(counts.names) == 3 and 0 <= counts.score <= 1

    class Suite:
        def decoders(self, name, condition):
            return {"default": counts, "without latents": counts}

    monkeypatch.setitem(SETS, "stand-in", replace(ENTRY, is_claimed=True))
    lines = untrained_latents.compare(found, Suite())
    assert len(lines) == 4 and all("+0.000" in line for line in lines)
