"""Results of the benchmarks: kept line by line, summarised, cut to a part of the labels."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from benchmarks.lib.sampling import cut_labels
from benchmarks.lib.scoring import Entry, Item, score_identification
from benchmarks.lib.store import Store, append_line, read_lines
from benchmarks.lib.summary import Summary


def row(decoder, units, *, draw=0, interval=(0.4, 0.8), folds=(), fraction=1.0, weights=None):
    """Return a line of results of one decoder."""
    return {
        "set": "a set",
        "decoder": decoder,
        "fraction": fraction,
        "draw": draw,
        "epochs": None,
        "weights": "",
        "score": float(np.mean(units)),
        "interval": list(interval),
        "chance": 0.5,
        "folds": list(folds),
        "units": {f"sub-{i}": value for i, value in enumerate(units)},
        "unit_weights": weights,
        "unit": "subject",
        "task": "left against right",
        "n": [10, 8],
    }


def test_p_value_of_a_difference_equals_all_sign_flips():
    """The naive twin flips the signs of the units in every possible way."""
    rng = np.random.default_rng(0)
    first, second = rng.uniform(size=(2, 7))
    one = Summary([row("first", first), row("second", second)], is_independent=False)
    value, p_value, n_units = one.difference("first", "second")
    difference = first - second
    flips = np.array(list(itertools.product([-1, 1], repeat=7))) * difference
    naive = np.mean(np.abs(flips.mean(axis=1)) >= abs(difference.mean()) - 1e-12)
    assert n_units == 7 and value == pytest.approx(difference.mean())
    assert p_value == pytest.approx(naive)


def test_smallest_p_value_and_none():
    better, worse = np.full(6, 0.8), np.full(6, 0.7)
    one = Summary([row("better", better), row("worse", worse)], is_independent=False)
    assert one.difference("better", "worse")[1] == pytest.approx(2 / 2**6)
    assert one.difference("worse", "worse") == (0.0, 1.0, 6)
    assert one.best(["worse", "better", "absent"]) == "better" and one.best(["absent"]) is None


def test_repetitions_are_averaged_and_data_sets_count_one_by_one():
    rows = [
        row("one", [0.6, 0.8], draw=0, interval=(0.5, 0.9), folds=[0.6, 0.8]),
        row("one", [0.4, 0.6], draw=1, interval=(0.2, 0.8), folds=[0.4, 0.6]),
        row("two", [0.5, 0.5], draw=0),
        row("two", [0.5, 0.5], draw=1),
    ]
    repeated, independent = (Summary(rows, is_independent=flag) for flag in (False, True))
    assert repeated.score("one") == independent.score("one") == pytest.approx(0.6)
    assert np.allclose(repeated.interval("one"), [0.35, 0.85])
    half = np.sqrt((0.2**2 + 0.3**2) / 2 / 2)
    assert np.allclose(independent.interval("one"), [0.6 - half, 0.6 + half])
    assert np.allclose(repeated.folds("one"), [0.5, 0.7])
    assert np.allclose(independent.folds("one"), [0.6, 0.8, 0.4, 0.6])
    assert repeated.difference("one", "two")[2] == 2
    assert independent.difference("one", "two")[2] == 4


def test_units_are_weighted():
    rows = [row("one", [0.9, 0.5], weights=[1.5, 0.5]), row("two", [0.5, 0.5])]
    value, _, _ = Summary(rows, is_independent=False).difference("one", "two")
    assert value == pytest.approx((1.5 * 0.4 + 0.5 * 0.0) / 2)


def test_draws_of_a_quarter_are_paired():
    """Only draws that both decoders have are compared."""
    rows = [row("one", [0.7], draw=draw, fraction=0.25) for draw in range(3)]
    rows += [row("two", [0.1 * draw], draw=draw, fraction=0.25) for draw in range(2)]
    value, _, n_units = Summary(rows, is_independent=False).difference("one", "two")
    assert n_units == 1 and value == pytest.approx(0.7 - 0.05)


def test_interval_of_identification_is_students():
    found = {f"sub-{i}": value for i, value in enumerate([0.5, 1.0, 0.5, 0.0, 1.0, 0.5])}
    entry = Entry(None, ("connectivity",), identify=lambda features: (found, 0.1))
    item = Item("a set", "connectivity", 1.0, 0, None, "")
    made, values = score_identification(item, entry), list(found.values())
    expected = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    assert np.allclose(made["interval"], expected, atol=1e-4)
    assert made["score"] == pytest.approx(np.mean(values), abs=1e-4) and made["chance"] == 0.1
    certain = Entry(
        None, ("connectivity",), identify=lambda features: (dict.fromkeys("abc", 1), 0)
    )
    low, high = score_identification(item, certain)["interval"]
    assert 0 < low < high == 1.0


def test_a_part_of_the_labels_keeps_whole_groups_and_classes():
    groups = np.repeat(list("abcdefgh"), 10)
    y = np.tile([0, 0, 0, 0, 1], 16)
    train = np.arange(80)[groups != "h"]
    kept = cut_labels(train, y, groups, 0.25, [0, 1])
    assert np.isin(kept, train).all() and np.array_equal(kept, np.unique(kept))
    assert [(y[kept] == label).sum() for label in (0, 1)] == [14, 4]  # a quarter of 56 and of 14
    assert len(set(groups[kept])) == 2  # one whole group and a part of the next
    assert np.array_equal(kept, cut_labels(train, y, groups, 0.25, [0, 1]))
    assert not np.array_equal(kept, cut_labels(train, y, groups, 0.25, [1, 1]))


def test_results_are_resumed(tmp_path):
    item = Item("a set", "first", 1.0, 0, None, "")
    store = Store(tmp_path / "results")
    assert item.key not in store
    store.add(item, row("first", [0.5]))
    store.add(SimpleNamespace(key=("other",)), row("first", [0.6]) | {"set": "other"})
    assert sorted(path.name for path in store.folder.iterdir()) == ["a set.jsonl", "other.jsonl"]
    again = Store(tmp_path / "results")
    assert item.key in again and again.rows[item.key] == row("first", [0.5])


def test_an_interrupted_line_is_dropped_and_computed_again(tmp_path):
    path = tmp_path / "a set.jsonl"
    append_line(path, row("first", [0.5]))
    with path.open("a") as file:
        file.write('{"set": "a se')
    assert len(Store(tmp_path).rows) == 1
    append_line(path, row("second", [0.7]))
    assert [line["decoder"] for line in read_lines(path)] == ["first", "second"]
    assert read_lines(tmp_path / "absent.jsonl") == []
