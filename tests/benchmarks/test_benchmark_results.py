"""Results of the benchmarks: kept line by line, cut to a part of the labels."""

from __future__ import annotations

import numpy as np

from benchmarks.lib.sampling import cut_labels
from benchmarks.lib.store import append_line, read_lines


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


def test_an_interrupted_line_is_dropped_and_computed_again(tmp_path):
    path = tmp_path / "a set.jsonl"
    append_line(path, {"set": "a set", "score": 0.5})
    with path.open("a") as file:
        file.write('{"set": "a se')
    assert len(read_lines(path)) == 1
    append_line(path, {"set": "a set", "score": 0.7})
    assert [line["score"] for line in read_lines(path)] == [0.5, 0.7]
    assert read_lines(tmp_path / "absent.jsonl") == []
