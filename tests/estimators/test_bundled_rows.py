"""What users get from the bundled weights stays what it is, whatever else changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from make_bundled_rows import FILE, POOLINGS, make_rows, uniform

WHY = (
    "If the weights were meant to change, run python tests/estimators/make_bundled_rows.py. If "
    "not, something on the way from samples to rows has changed for everybody who has stored rows."
)


@pytest.fixture(scope="module")
def stored():
    """What the file holds; without it the test fails."""
    return json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def made():
    """The same, made now."""
    return make_rows()


def test_inputs_are_the_same_everywhere():
    """The stream of numbers that they are made from."""
    expected = [0.2739233746, -0.4604265725, -0.9180529521]
    np.testing.assert_allclose(uniform(0, 3), expected, atol=1e-9)


def test_weights_are_those_of_the_stored_rows(stored, made):
    assert stored["sha256"] == made["sha256"], WHY


@pytest.mark.parametrize(
    "name", [f"{name}, {pooling}" for pooling, names in POOLINGS.items() for name in names]
)
def test_rows_are_the_stored_ones(name, stored, made):
    """EEG, MEG, fMRI and all at once, within 1e-4."""
    assert len(stored["rows"][name]) == len(made["rows"][name]) == 2
    for old, new in zip(stored["rows"][name], made["rows"][name], strict=True):
        assert len(old["numbers"]) >= 60
        np.testing.assert_allclose(new["numbers"], old["numbers"], rtol=0, atol=1e-4, err_msg=WHY)
        np.testing.assert_allclose(new["norm"], old["norm"], rtol=1e-4, err_msg=WHY)


def test_stored_rows_differ(stored):
    """Guards the test above: each input has rows of its own."""
    parts = [part for name, part in stored["rows"].items() if name.endswith("flatten")]
    rows = np.array([row["numbers"] for part in parts for row in part])
    distance = np.abs(rows[:, None] - rows[None]).max(axis=2)
    assert (distance[~np.eye(len(rows), dtype=bool)] > 0.01).all()
