"""Ablations: variants of a recipe, thinned sets, resumed runs, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import ablations
from benchmarks.lib.store import read_lines
from benchmarks.suite.conditions import AS_RECORDED
from benchmarks.suite.sets import Task
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.preprocessing import Preprocessing
from brainof_toolbox.pretraining import PretrainingConfig

RECIPE = """
start = "elsewhere"
corpus = "not read"
[model]
preset = "tiny"
n_layers = 1
predicts_spectrum = true
[training]
learning_rate = 8e-4
ema_decay = 0.9
save_average = true
[training.terms]
second_order = 1.0
"""


class StandIn:
    """A corpus that remembers its part."""

    preprocessing = Preprocessing().to_dict()
    datasets = ("first", "simulated")

    def __init__(self, path, part=None):
        self.part = part

    def select(self, **part):
        return StandIn(None, part)


@pytest.fixture
def trained(monkeypatch):
    """Training replaced by a check of its parameters; the calls."""
    calls = {}

    def pretrain(corpus, folder, *, config, training, random_state, **options):
        training = PretrainingConfig.from_dict(training)
        assert (folder / "run.json").exists() is options["resume"] is False
        folder.mkdir(parents=True)
        name = folder.name.removesuffix(f"-{random_state}")
        calls[name, random_state] = (corpus.part, config, training)
        return folder

    monkeypatch.setattr(ablations, "pretrain", pretrain)
    monkeypatch.setattr(ablations, "Corpus", StandIn)
    return calls


def test_variants_are_changes_of_the_recipe(trained, monkeypatch, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    results, scored = tmp_path / "lines.jsonl", []

    def score(path, name, condition):
        scored.append((path.name, name, condition))
        if path.name == "untrained-3":
            assert load_checkpoint(path).model.config.n_layers == 1
        return {"flatten": 0.5, "mean": 0.25}

    monkeypatch.setattr(ablations, "score", score)
    options = ["--results", str(results), "run", "corpus", "--seeds", "3", "4"]
    options += ["--recipe", str(tmp_path / "recipe.toml"), "--runs", str(tmp_path)]
    ablations.main(options)
    assert len(trained) == 2 * (len(ablations.VARIANTS) - 1)
    part, network, training = trained["default", 3]
    assert part == {} and network.attention == "dint" and training.terms == {"second_order": 1.0}
    assert training.learning_rate == 8e-4 and training.ema_decay is None
    assert trained["plain-attention", 4][1].attention == "plain"
    assert trained["published-objective", 3][2].terms == {}
    assert trained["published-time-only", 3][2].frequency_weight == 0
    assert trained["no-enrichment", 3][2].augmentation == {"enriched": 0.0}
    assert trained["real-only", 3][0] == {"datasets": ["first"]}
    assert trained["simulated-only", 3][0] == {"datasets": ["simulated"]}
    assert {n for f, n, _ in scored if f == "fmri-only-3"} == set(ablations.FMRI)
    assert not list(tmp_path.glob("default*"))  # weights are not kept

    lines = read_lines(results)
    results.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    scored.clear(), trained.clear()
    ablations.main(options)
    assert len(scored) == 1 and list(trained) == [("simulated-only", 4)]
    assert read_lines(results) == lines


def test_every_group_and_class_is_thinned():
    groups, y = np.repeat(["a", "b", "c"], 8), np.tile([0, 1], 12)
    X = np.arange(24)
    splits = [(np.arange(8, 24), np.arange(8)), (np.r_[:8, 16:24], np.arange(8, 16))]
    task = Task(X, y, groups, splits)
    same = ablations.thin(task, 1, 1)
    assert np.array_equal(same.X, X)
    for one, other in zip(same.splits, splits, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    found = ablations.thin(task, 2, 4)
    assert found.X.tolist() == [0, 1, 4, 5, 8, 9, 12, 13, 16, 17]  # "c" is never tested
    assert np.array_equal(found.y, y[found.X]) and np.array_equal(found.groups, groups[found.X])
    for (fit, tested), (own_fit, own_tested) in zip(found.splits, splits, strict=True):
        assert set(found.X[fit]) == set(own_fit) & set(found.X)
        assert set(found.X[tested]) == set(own_tested) & set(found.X)


def test_scores_are_those_of_the_suite(read_out_checkpoint, monkeypatch):
    from test_benchmark_weights import ENTRY, read_people

    read = SimpleNamespace(calls=0)

    def once(root, part):
        read.calls += 1
        return read_people(root, part)

    monkeypatch.setitem(ablations.SETS, "eyes", replace(ENTRY, read=once))
    monkeypatch.setattr(ablations, "data_dir", lambda: None)
    ablations.read_task.cache_clear()
    found = [ablations.score(read_out_checkpoint, "eyes", AS_RECORDED) for _ in range(2)]
    ablations.read_task.cache_clear()
    assert found[0] == found[1] and read.calls == 1
    assert set(found[0]) == set(ablations.FORMS)
    assert all(0 <= one <= 1 for one in found[0].values())


def test_table_of_means_and_errors(tmp_path):
    def row(variant, seed, name, condition, flat):
        cell = {"set": name, "condition": condition, "variant": variant, "seed": seed}
        return {**cell, "steps": 5, "scores": {"flatten": flat, "mean": 0.5}}

    rows = [
        row("default", seed, name, condition, 0.6 + 0.1 * seed + 0.02 * i)
        for seed in range(3)
        for i, (name, condition) in enumerate(ablations.CELLS)
    ]
    rows = [one for one in rows if one["set"] != "injury" or one["seed"] != 2]
    rows += [row("EEG only", 0, "eyes", AS_RECORDED, 0.8)]
    table = ablations.tabulate(rows).set_index("variant")
    assert list(table.index) == ["default", "EEG only"]
    default, alone = table.loc["default"], table.loc["EEG only"]
    assert default["eyes"] == "0.70 ± 0.06" and default["EEG"] == "0.730 ± 0.058"
    assert default["injury"] == "0.75 ± 0.05" and default["fMRI"] == "0.740 ± 0.050"
    assert default["EEG, noise"] == "0.830 ± 0.058" and default["seeds"] == 3
    assert alone["eyes"] == "0.80" and alone["EEG"] == alone["pain"] == "–"
    assert ablations.tabulate(rows, "mean").loc[0, "eyes"] == "0.50 ± 0.00"
    results = tmp_path / "lines.jsonl"
    results.write_text("".join(json.dumps(one) + "\n" for one in rows))
    ablations.main(["--results", str(results), "pages", "--page", str(tmp_path / "a.rst")])
    written = {path.name for path in (tmp_path / "tables").iterdir()}
    assert written == {"a.csv", "a_flatten.csv", "a_mean.csv"}
