"""Every result class that evaluation and inspection export converts to a table."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from brainof_toolbox import evaluation, inspection
from brainof_toolbox.evaluation import Comparison, Scores
from brainof_toolbox.inspection import (
    BlockPattern,
    Importance,
    LatentAttention,
    PartImportance,
    Patterns,
    Reconstruction,
)

CLASSES = [
    item
    for room in (evaluation, inspection)
    for item in (getattr(room, name) for name in room.__all__)
    if inspect.isclass(item)
]


def examples():
    """One result of each class, with two channels."""
    folds = pd.DataFrame({"fold": [0, 1], "score": [0.5, 1.0]})
    layout = {"ch_names": ("C3", "C4"), "ch_types": ("eeg", "eeg"), "ch_pos": np.eye(3)[:2]}
    attention = {"channels": np.full((1, 2, 2), 0.5), "patches": np.ones((1, 2, 1))}
    times = np.array([0.0])
    part = PartImportance(
        **layout,
        times=times,
        channels=np.array([1.0, 2.0]),
        patches=np.array([3.0]),
        bands={"alpha": 4.0},
        limits={"alpha": (8.0, 13.0)},
    )
    places = {"ch_names": layout["ch_names"], "ch_pos": layout["ch_pos"]}
    block = BlockPattern(
        "evoked", "eeg", "evoked", ("a", "b"), np.array([[1.0, 2], [3, 4]]), **places
    )
    signal = np.arange(6.0).reshape(1, 2, 3)
    signals = {name: signal for name in ("original", "corrupted", "reconstructed")}
    return [
        Scores(folds, folds, folds, "accuracy", 0.75, (0.5, 1.0), "folds", 0.5, 0),
        Comparison(folds, folds, folds),
        part,
        Importance({"eeg": part, "meg": part}, "occlusion", "nats", 1),
        block,
        Patterns({"evoked": block}, ("left", "right"), "nats", 4),
        LatentAttention("eeg", **layout, times=times, **attention),
        Reconstruction("eeg", **signals, is_hidden=signal > 2, **layout, sfreq=1.0),
    ]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_result_is_a_table(kind):
    """A new result class fails here until it has an example and to_dataframe()."""
    found = {type(one): one for one in examples()}[kind].to_dataframe()
    assert isinstance(found, pd.DataFrame) and len(found) > 0
    assert isinstance(found.index, pd.RangeIndex) and not found.isna().any(axis=None)


def test_tables_of_wholes_are_those_of_their_parts():
    whole = {type(one): one for one in examples()}
    importance = whole[Importance].to_dataframe()
    assert importance.columns.tolist() == ["modality", "kind", "name", "importance"]
    assert importance["modality"].tolist() == ["eeg"] * 4 + ["meg"] * 4
    assert importance["name"].tolist()[:4] == ["C3", "C4", 0.0, "alpha"]
    assert importance["importance"].tolist() == [1, 2, 3, 4] * 2
    patterns = whole[Patterns].to_dataframe()
    assert patterns.to_numpy().tolist() == [
        ["evoked", "left", "a", 1.0],
        ["evoked", "left", "b", 2.0],
        ["evoked", "right", "a", 3.0],
        ["evoked", "right", "b", 4.0],
    ]
