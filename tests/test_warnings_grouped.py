"""Warnings of one kind over many items: one warning with a count."""

from __future__ import annotations

import warnings

import pytest

from brainof_toolbox._utils.logging import group_warnings, kind_of, warn


def test_one_warning_of_each_kind_with_a_count():
    """Equal texts count once; kinds differ in words, not in files, channels or numbers."""
    with pytest.warns(RuntimeWarning) as caught:
        with group_warnings():
            for i in range(8):
                warn(f"X[{i}] (/data/sub-0{i}_eeg.fif): channel 'E{i}' is {i} uV, odd.")
            warn("The weights are untrained.")
            warn("The weights are untrained.")
            with group_warnings():
                warn("X[9] (/data/sub-09_eeg.fif): channel 'E9' is 9 uV, odd.")
        assert not any("nothing" in str(entry.message) for entry in caught)
    texts = [str(entry.message) for entry in caught]
    assert texts == [
        "X[0] (/data/sub-00_eeg.fif): channel 'E0' is 0 uV, odd. "
        "(and 8 more warnings of this kind)",
        "The weights are untrained.",
    ]
    assert caught[0].filename == __file__


def test_what_is_ignored_or_recorded_inside_stays_inside():
    with warnings.catch_warnings(record=True) as outside:
        warnings.simplefilter("always")
        with group_warnings():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "no matter")
                warn("no matter 1")
            with warnings.catch_warnings(record=True) as inside:
                warnings.simplefilter("always")
                warn("for the reader")
            warn("for the user")
    assert [str(w.message) for w in inside] == ["for the reader"]
    assert [str(w.message) for w in outside] == ["for the user"]


def test_an_error_passes_and_warnings_are_shown_with_it():
    with pytest.warns(RuntimeWarning, match="before"), pytest.raises(ValueError, match="then"):
        with group_warnings():
            warn("before")
            raise ValueError("then")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="at once"), group_warnings():
            warn("at once")


def test_kinds_keep_words():
    assert kind_of("a/b.fif: 3 channels") == kind_of("c/d.fif:  17 channels")
    assert kind_of("one [1] then [2] left") != kind_of("one [1] or [2] left")
    assert kind_of("it's 'Cz'") == kind_of("it's 'Pz'") != kind_of("it is 'Cz'")
