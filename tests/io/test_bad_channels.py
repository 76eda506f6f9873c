"""BAD spans of single channels: the channels are left out, or the spans, whichever costs less."""

from __future__ import annotations

import itertools
import warnings

import bids
import mne
import numpy as np
import pytest

from brainof_toolbox import PairedSignals, Trials, epochs_from_bids, from_raw
from brainof_toolbox.datasets import make_raw
from brainof_toolbox.io.bad_spans import leave_out_channels


def annotated(*rows, n_channels=6, kind="eeg", duration=20.0):
    """A recording with annotations (onset, duration, description, names of channels)."""
    raw = make_raw(kind, n_channels=n_channels, duration=duration)
    onset, length, words, names = zip(*rows, strict=True)
    names = [tuple(raw.ch_names[i] for i in some) for some in names]
    return raw.set_annotations(mne.Annotations(onset, length, words, ch_names=names))


def silent(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def test_a_long_span_of_one_channel_costs_the_channel():
    raw = annotated((2.0, 15.0, "BAD_contact", [1]), (5.0, 1.0, "BAD_move", []))
    before = list(raw.info["bads"])
    with pytest.warns(RuntimeWarning, match=rf"\['{raw.ch_names[1]}'\] are left out.*15 s"):
        signals = from_raw(raw)
    expected = raw.copy().drop_channels(raw.ch_names[1])
    expected.set_annotations(mne.Annotations([5.0], [1.0], ["BAD_move"]))
    expected = silent(from_raw, expected)
    assert signals.ch_names == expected.ch_names and len(signals.ch_names) == 5
    np.testing.assert_array_equal(signals.data, expected.data)
    assert signals.good_segments == expected.good_segments
    assert raw.info["bads"] == before and len(raw.annotations) == 2


def test_short_spans_of_one_channel_cost_the_spans():
    raw = annotated((2.0, 1.0, "BAD_pop", [1]), (8.0, 1.0, "BAD_pop", [4]))
    expected = raw.copy().set_annotations(mne.Annotations([2.0, 8.0], 1.0, "BAD"))
    np.testing.assert_array_equal(silent(from_raw, raw).data, silent(from_raw, expected).data)


@pytest.mark.parametrize("seed", range(6))
def test_most_data_are_kept(seed):
    """Against all subsets of channels; channels with nested spans, so that the order is exact."""
    rng = np.random.default_rng(seed)
    length = np.sort(rng.uniform(0.5, 19.0, 4))[::-1]
    raw = annotated(*((0.0, t, "bad", [i]) for i, t in enumerate(length)), (19.0, 0.5, "BAD", []))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info, left = leave_out_channels(raw)
        signals = from_raw(raw)
    best = max(
        (6 - len(some))
        * (19.5 - max([t for i, t in enumerate(length) if i not in some], default=0))
        for n in range(5)
        for some in itertools.combinations(range(4), n)
    )
    assert signals.shape[1] == 6 - len(info["bads"])
    assert signals.shape[1] * signals.duration == pytest.approx(best, rel=0.01)
    assert len(left) == 5 - len(info["bads"])


def test_channels_that_are_not_used_cost_nothing():
    """Bad channels, and other types."""
    raw = annotated((2.0, 15.0, "BAD", [0]), (3.0, 9.0, "BAD", [5]))
    raw.info["bads"] = [raw.ch_names[0]]
    raw.set_channel_types({raw.ch_names[5]: "misc"}, on_unit_change="ignore")
    assert silent(from_raw, raw).shape[1:] == (4, raw.n_times)


def test_no_modality_loses_all_channels():
    raw = annotated((0.0, 15.0, "BAD", [0]), kind="eeg+meg", n_channels=8)
    is_eeg = np.array(raw.get_channel_types()) == "eeg"
    eeg = np.array(raw.ch_names)[is_eeg].tolist()
    raw.pick([*eeg[:1], *np.array(raw.ch_names)[~is_eeg]])
    raw.set_annotations(mne.Annotations([0.0], [15.0], ["BAD"], ch_names=[(eeg[0],)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer than three electrodes
        signals = from_raw(raw)
    assert isinstance(signals, PairedSignals) and signals.by_modality["eeg"].duration < 5.1


def test_all_channels_bad_all_the_time():
    raw = annotated((0.0, 20.0, "BAD", range(6)))
    with pytest.raises(ValueError, match="annotated as BAD"):
        from_raw(raw)


def test_epochs_of_bids_keep_events_within_such_spans(tmp_path, monkeypatch):
    from brainof_toolbox.io import epochs as module

    root = bids.describe(tmp_path / "set")
    bids.write_sensors(root, "01")
    whole = epochs_from_bids(root, tmax=0.5)
    read = module.read_bids_recording

    def annotate(path):
        raw = read(path)
        raw.annotations.append(
            0.0, raw.times[-1] - 0.5, "BAD_contact", ch_names=[raw.ch_names[:1]]
        )
        return raw

    monkeypatch.setattr(module, "read_bids_recording", annotate)
    with pytest.warns(RuntimeWarning, match="left out"):
        found = epochs_from_bids(root, tmax=0.5)
    assert not isinstance(found, Trials) and len(found) == len(whole)
    assert found.info["bads"] == whole.ch_names[:1]
