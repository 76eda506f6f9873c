"""The development suite: registry, folds, resumed runs, and numbers computed by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib.sampling import cut_labels
from benchmarks.suite import conditions, decoders, people, scoring, summary
from benchmarks.suite.__main__ import main
from benchmarks.suite.results import Item, Store
from benchmarks.suite.sets import LEFT_OUT, SETS, Set, Task
from brainof_toolbox.datasets import make_study

SLOW_TO_READ = ("eyes", "depression", "pain", "targets")


def read_stand_in(root, part):
    """Three people, two classes, 19 electrodes."""
    X = make_study(3, n_epochs=8, n_channels=19, duration=1.0, random_state=0)
    y = np.where(X.events[:, 2] == X.event_id["left"], "left", "right")
    groups = X.metadata["subject"].to_numpy(str)
    return Task(X, y, groups, people.split_people("stand-in", y, groups, 3, part))


STAND_IN = Set(
    read_stand_in,
    None,
    "left against right",
    "sensors",
    2,
    "person",
    "simulated",
    conditions=("other cap",),
)


@pytest.fixture
def stand_in(monkeypatch):
    """The registry with one small simulated set."""
    monkeypatch.setitem(SETS, "stand-in", STAND_IN)


def check_task(task, entry):
    """Labels and groups fit the samples; no group is on both sides; every fold tests somebody."""
    n = len(task.y)
    assert len(task.X) == n and task.splits
    assert entry.is_regression or len(set(task.y)) == entry.classes
    groups = np.arange(n) if isinstance(task.groups, str) else task.groups
    assert len(groups) == n
    tested = np.concatenate([test for _, test in task.splits])
    assert Counter(tested).most_common(1)[0][1] == 1, "a sample is tested twice"
    for train, test in task.splits:
        assert len(test) and not set(groups[train]) & set(groups[test])
        assert entry.is_regression or len(set(task.y[train])) == entry.classes
    return set(groups[tested]), set(groups)


# ---------------------------------------------------------------------------------------- registry
def test_the_registry_is_documented():
    """Each set has all it needs to be printed, known conditions and decoders."""
    for name, entry in SETS.items():
        assert entry.title and entry.confound and entry.unit, name
        assert entry.read.__doc__, name
        assert entry.folder is None or entry.folder not in LEFT_OUT
        assert set(entry.conditions) <= set(conditions.CONDITIONS)
        names = decoders.names_for(entry)
        assert names[0] == decoders.DEFAULT and any(map(decoders.is_classical, names))
        assert entry.chance == (1 / entry.classes if entry.classes else 0)
    assert not SETS["depression"].is_claimed
    assert not any(e.is_claimed for e in SETS.values() if e.folder is None)


def test_every_data_set_is_read_or_left_out_for_a_reason(data_dir):
    """A folder of recordings is in the registry or in the list of those left out."""
    there = {path.name for path in data_dir.iterdir() if path.is_dir()}
    used = {entry.folder for entry in SETS.values()} - {None} | {"eeg-muse-lsl"}
    assert there == used | set(LEFT_OUT)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW_TO_READ)) for n in SETS],
)
def test_sets_are_read(name, request):
    """People of a pretraining corpus are not tested, those kept aside are not used."""
    entry = SETS[name]
    root = None if entry.folder is None else request.getfixturevalue("data_dir")
    tested, everybody = check_task(task := entry.read(root, "development"), entry)
    own = people.read_splits().get(entry.folder, {})
    assert not tested & {who for key in people.UNSCORED for who in own.get(key, ())}
    used = np.unique(np.concatenate([np.r_[split] for split in task.splits]))
    if "test" in own:
        assert tested <= set(own["development"])
        assert not set(task.groups[used]) & set(own["test"]) and set(own["test"]) & everybody
        check_task(last := entry.read(root, "test"), entry)
        tested = np.concatenate([test for _, test in last.splits])
        assert set(last.groups[tested]) <= set(own["test"])


# -------------------------------------------------------------------------------------- the folds
def test_parts_of_a_set_share_nobody():
    """A person is in one part only."""
    splits = people.read_splits()
    assert len(splits["eeg-depression-rest"]["development"]) == 12
    for name, parts in splits.items():
        if name != "whole-sets":
            listed = [who for names in parts.values() for who in names]
            assert len(listed) == len(set(listed)), name


def test_folds_are_the_same_twice_and_disjoint():
    """The folds depend on names alone, whatever the order of the samples."""
    names = [f"sub-{k:02d}" for k in range(7)]
    groups, y = np.repeat(names, 4), np.tile(["a", "b"], 14)
    first = people.split_people("unlisted", y, groups, 3)
    again = people.split_people("unlisted", y, groups, 3)
    assert all(np.array_equal(a, b) for x, z in zip(first, again) for a, b in zip(x, z))
    order = np.random.default_rng(0).permutation(len(y))
    moved = people.split_people("unlisted", y[order], groups[order], 3)
    for (train, test), (train_moved, test_moved) in zip(first, moved):
        assert set(groups[test]) == set(groups[order][test_moved])
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(train_moved) + len(test_moved) == len(y)


def test_people_with_one_label_are_dealt_class_by_class():
    """Every fold has both classes where each person has one label."""
    groups = np.array([f"s{k}" for k in range(9)])
    y = np.array(["ill"] * 6 + ["well"] * 3)
    folds = people.fold_people(list(groups), y, groups, 3)
    assert [sorted(y[np.isin(groups, fold)]) for fold in folds] == [["ill", "ill", "well"]] * 3


def test_parts_decide_who_is_on_which_side():
    """Pretraining people train only; those of the other part are on no side."""
    own = people.read_splits()["fmri-connattractor-pain"]
    groups = np.array(
        [who for part in ("pretraining", "development", "test") for who in own[part]]
    )
    y = np.arange(len(groups)) % 2
    splits = people.split_people("fmri-connattractor-pain", y, groups, 3)
    tested = np.concatenate([groups[test] for _, test in splits])
    trained = {who for train, _ in splits for who in groups[train]}
    assert sorted(tested) == sorted(own["development"])
    assert trained == {*own["pretraining"], *own["development"]}
    last = people.split_people("fmri-connattractor-pain", y, groups, 3, "test")
    assert sorted(np.concatenate([groups[test] for _, test in last])) == sorted(own["test"])


def test_blocks_are_left_out_with_people():
    """Training samples are of other people and other blocks."""
    groups, blocks = np.repeat(["a", "b", "c"], 4), np.tile([0, 0, 1, 1], 3)
    splits = people.split_people("unlisted", np.tile([0, 1], 6), groups, 3, blocks=blocks)
    assert len(splits) == 6
    for train, test in splits:
        assert len(set(blocks[test])) == 1 and not set(blocks[train]) & set(blocks[test])
        assert not set(groups[train]) & set(groups[test])


def test_sites_groups_and_spans():
    """Other splitters: a site, a run, spans of each class in order."""
    sites = np.array(["x", "x", "y", "y"])
    split = people.split_sites("unlisted", sites, np.array(list("abcd")))
    assert [(list(a), list(b)) for a, b in split] == [([2, 3], [0, 1]), ([0, 1], [2, 3])]
    assert [list(b) for _, b in people.split_groups(sites)] == [[0, 1], [2, 3]]
    y = np.array([0, 1] * 10)
    tested = [test for _, test in people.split_in_order(y)]
    assert all(sorted(y[test]) == [0, 0, 1, 1] for test in tested)
    assert sorted(np.concatenate(tested)) == list(range(20))
    assert list(people.spread(10, 4)) == [0, 2, 5, 7] and list(people.spread(3, 9)) == [0, 1, 2]


# -------------------------------------------------------------------------------------- conditions
def test_conditions_change_the_samples_only(stand_in):
    """Channels, noise and caps; labels and folds stay."""
    task = STAND_IN.read(None, "development")
    assert conditions.apply_condition("8 channels", task).X.ch_names == list(conditions.EIGHT)
    assert conditions.apply_condition("4 channels", task).X.ch_names == list(conditions.FOUR)
    noisy = conditions.apply_condition("noise 0 dB", task)
    before, after = task.X.get_data(), noisy.X.get_data()
    ratio = (after - before).var(axis=-1) / before.var(axis=-1)
    assert abs(ratio.mean() - 1) < 0.05 and np.array_equal(noisy.y, task.y)
    moved = conditions.apply_condition("other cap", task)
    for (train, test), (train_before, test_before) in zip(moved.splits, task.splits):
        assert np.array_equal(train, train_before)
        assert np.array_equal(moved.y[test], task.y[test_before])
        assert {moved.X[i].shape[1] for i in train} == {19}
        assert {moved.X[i].shape[1] for i in test} == {10}


def test_a_quarter_of_the_labels():
    """Both classes keep their share, from few groups; the same seed gives the same samples."""
    y, groups = np.tile(["a", "b"], 40), np.repeat(list("pqrs"), 20)
    train = np.arange(60)
    kept = cut_labels(train, y, groups, 0.25, [0, 1])
    assert Counter(y[kept]) == {"a": 8, "b": 8} and set(kept) <= set(train)
    assert len(set(groups[kept])) == 1
    assert np.array_equal(kept, cut_labels(train, y, groups, 0.25, [0, 1]))
    assert len(cut_labels(train, np.arange(80.0), "none", 0.25, [0, 1])) == 15


# ------------------------------------------------------------------------------ lines and resuming
def test_a_run_is_resumed(stand_in, tmp_path, monkeypatch):
    """What has lines is not computed again; a decoder that cannot take the samples is noted."""
    items = scoring.list_items(["stand-in"], ["shrinkage LDA"])
    assert [item.condition for item in items] == ["as recorded", "other cap"]
    shown = []
    scoring.run(items[:1], tmp_path, show=shown.append)
    calls, score = [], scoring.score

    def watched(item, *args):
        calls.append(item)
        if item.condition == "other cap":
            raise ValueError("no features")
        return score(item, *args)

    monkeypatch.setattr(scoring, "score", watched)
    scoring.run(items, tmp_path, show=shown.append)
    assert calls == items[1:] and len(shown) == 2
    scoring.run(items, tmp_path, show=shown.append)
    assert len(calls) == 1
    found = Store(tmp_path).read()
    assert set(found) == set(items)
    for item, rows in found.items():
        if item.condition == "other cap":
            assert [row["group"] for row in rows] == [None] and rows[0]["cannot_run"]
        else:
            assert {row["fold"] for row in rows} == {0, 1, 2}
            assert all(sum(row["total"].values()) == row["n"] == 8 for row in rows)
    assert scoring.run(items, tmp_path, again=True, show=shown.append) == []
    assert len(calls) == 2 and set(Store(tmp_path).read()) == set(items)


def test_an_interrupted_item_is_not_taken(tmp_path):
    """Lines count when all of an item are there, and a broken last line harms nothing."""
    item, other = (Item("motor", "as recorded", 1.0, n, 0, "development") for n in ("x", "y"))
    store = Store(tmp_path)
    store.add(item, [{"fold": 0}, {"fold": 1}])
    path = tmp_path / "motor.jsonl"
    path.write_text(path.read_text()[:-20])
    assert store.read() == {}
    store.add(item, [{"fold": 0}, {"fold": 1}])
    store.add(other, [{"fold": 5}])
    assert [row["fold"] for row in store.read()[item]] == [0, 1]
    assert [row["fold"] for row in store.read()[other]] == [5]
    assert json.loads(path.read_text().splitlines()[-1])["n_lines"] == 1


def test_an_unsupported_decoder_is_skipped(stand_in, tmp_path, monkeypatch):
    """A parameter that the estimator does not have leaves no line."""
    monkeypatch.setitem(decoders.BRAINOF, "odd", {"no_such_parameter": 1})
    monkeypatch.setattr(decoders, "weights_of", lambda name: "")
    shown = []
    item = Item("stand-in", "as recorded", 1.0, "odd", 0, "development")
    scoring.run([item], tmp_path, show=shown.append)
    assert "skipped, BrainOFClassifier has no parameter no_such_parameter" in shown[0]
    assert Store(tmp_path).read() == {}


def test_errors_are_returned(stand_in, tmp_path, monkeypatch):
    """A set that cannot be read and a decoder that breaks lose no other result."""
    items = scoring.list_items(
        ["stand-in", "motor"], ["shrinkage LDA"], conditions=["as recorded"]
    )
    monkeypatch.setenv("BRAINOF_DATA", str(tmp_path))

    def breaks(*args):
        raise RuntimeError("broken")

    monkeypatch.setattr(scoring, "score", breaks)
    failed = scoring.run(items, tmp_path, show=lambda line: None)
    assert len(failed) == 2 and "broken" in failed[0] and failed[1].startswith("motor: ended")
    assert Store(tmp_path).read() == {}


@pytest.mark.filterwarnings("ignore")
def test_the_default_is_what_a_user_types():
    """No parameter but what the samples need; arrays need an info."""
    task = STAND_IN.read(None, "development")
    made = decoders.make_decoder("default", STAND_IN, task, 0)
    assert made.get_params() == type(made)().get_params()
    given = replace(task, info=task.X.info, missing_positions="placeholder")
    made = decoders.make_decoder("untrained", STAND_IN, given, 3)
    assert made.checkpoint is None and made.random_state == 3 and made.info is task.X.info
    assert decoders.weights_of("samples+lda") == decoders.weights_of("untrained") == ""
    assert len(decoders.weights_of("default")) == 12


def test_test_people_are_listed_for_sets_that_have_some():
    """Sets without a test part are not scored with ``--people test``."""
    items = scoring.list_items(["eyes", "motor", "age"], ["untrained"], people="test")
    assert [item.set for item in items] == ["eyes", "age"]


# --------------------------------------------------------------------------------- numbers by hand
def lines_of(right, total, seed=0):
    """Lines of groups g0, g1, ...: (n_groups, n_classes) each."""
    return [
        {
            "group": f"g{k}",
            "seed": seed,
            "right": dict(zip("ab", r)),
            "total": dict(zip("ab", t)),
            "cpu_seconds": 1.0,
        }
        for k, (r, t) in enumerate(zip(right, total))
    ]


def test_scores_by_hand():
    """Pooled recall of two classes, shares of groups, seeds averaged."""
    counts = summary.count(lines_of([(3, 1), (1, 4)], [(4, 2), (4, 4)]))
    assert counts.score == pytest.approx((4 / 8 + 5 / 6) / 2)
    assert counts.shares == pytest.approx([2 * (3 / 8 + 1 / 6) / 2, 2 * (1 / 8 + 4 / 6) / 2])
    assert counts.shares.mean() == pytest.approx(counts.score)
    assert counts.by_group == pytest.approx([(3 / 4 + 1 / 2) / 2, (1 / 4 + 1) / 2])
    both = summary.count(
        lines_of([(4, 2), (4, 4)], [(4, 2), (4, 4)])
        + lines_of([(0, 0), (0, 0)], [(4, 2), (4, 4)], seed=1)
    )
    assert both.score == pytest.approx(0.5) and both.names == ("g0", "g1")
    alone = summary.count(lines_of([(4, 0), (0, 1)], [(4, 0), (0, 2)]))
    assert alone.score == pytest.approx(0.75) and list(alone.by_group) == [1.0, 0.5]
    empty = summary.count(lines_of([(4, 4), (0, 0)], [(4, 4), (0, 0)]))
    assert np.array_equal(empty.by_group, [1.0, np.nan], equal_nan=True) and empty.score == 1


def test_differences_by_hand():
    """The mean of the groups' shares is the difference; equal decoders do not differ."""
    total = [(4, 4)] * 6
    first = summary.count(lines_of([(4, 4)] * 6, total))
    second = summary.count(lines_of([(3, 3)] * 5 + [(4, 4)], total))
    found = summary.difference(first, second)
    assert found["difference"] == pytest.approx(5 * 0.25 / 6)
    assert found["shares"].mean() == pytest.approx(found["difference"])
    assert found["low"] < found["difference"] < found["high"] and found["low"] > 0
    # Five groups of six differ: the sign of the sixth does not matter.
    assert found["p_value"] == pytest.approx(2 / 2**5)
    same = summary.difference(first, first)
    assert same["difference"] == same["low"] == same["high"] == 0 and same["p_value"] == 1
    with pytest.raises(ValueError, match="same groups"):
        summary.difference(first, summary.count(lines_of([(3, 3)], [(4, 4)])))
    low, high = summary.interval(second)
    assert low < second.score < high


def test_skill_by_hand():
    """Errors of a regressor against those of the training median."""
    counts = scoring.count_errors(np.array([20.0, 30.0]), np.array([22.0, 29.0]), 24.0)
    assert counts["total"] == {"error": 10.0} and counts["right"] == {"error": 7.0}
    right = scoring.count_right(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]))
    assert right == {"right": {"a": 1, "b": 1}, "total": {"a": 2, "b": 1}}
    assert scoring.pool_lines([right]) == pytest.approx(0.75)


def fill(folder, default, classical, sets=("motor", "pictures", "depression")):
    """Results of two decoders on some sets, six groups each."""
    for name in sets:
        for decoder, right in (("default", default), ("samples+lda", classical)):
            item = Item(name, "as recorded", 1.0, decoder, 0, "development")
            rows = lines_of([right] * 6, [(4, 4)] * 6)
            Store(folder).add(item, [{**row, "fold": 0, "score": 0.0, "n": 8} for row in rows])


def test_pooled_over_sets(tmp_path):
    """Sets without a claim are left out; what lies below by more than the margin is named."""
    fill(tmp_path, (3, 3), (4, 4))
    found = summary.Summary(Store(tmp_path).read())
    pairs = found.pairs(None)
    assert set(pairs) == {"motor", "pictures", "depression"}
    assert pairs["motor"]["other"] == "samples+lda"
    pooled = summary.pool(pairs)
    assert pooled["n_sets"] == 2 and pooled["n_groups"] == 12
    assert pooled["difference"] == pooled["over_groups"] == pytest.approx(-0.25)
    assert pooled["below"] == ["pictures", "motor"] or pooled["below"] == ["motor", "pictures"]
    assert summary.pool(found.pairs("without latents")) is None


def test_weights_are_not_mixed(tmp_path):
    """Results of two checkpoints in one folder are refused."""
    for weights in ("one", "two"):
        item = Item("motor", "as recorded", 1.0, "default", 0, "development", weights)
        Store(tmp_path).add(item, lines_of([(1, 1)], [(2, 2)]))
    with pytest.raises(ValueError, match="one folder of results for each"):
        summary.Summary(Store(tmp_path).read())


def test_table_and_figure(tmp_path, capsys):
    """Both commands work on stored lines."""
    fill(tmp_path, (3, 3), (4, 4))
    item = Item("motor", "other cap", 1.0, "samples+lda", 0, "development")
    Store(tmp_path).add(item, [{"fold": None, "group": None, "cannot_run": "19 channels"}])
    main(["table", "--results", str(tmp_path)])
    text = capsys.readouterr().out
    assert "depression *" in text and "-0.25" in text and "cannot run" in text
    assert max(map(len, text.splitlines())) < 2000
    main(["figure", "--results", str(tmp_path), "--out", str(tmp_path / "figure.png")])
    assert Path(tmp_path / "figure.png").stat().st_size > 5000
