"""Discontinuous EDF+ and BDF+ files: pieces that nothing crosses, and events where they belong."""

from __future__ import annotations

import argparse
import json
import re
import warnings
from pathlib import Path

import bids
import edf
import mne
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder, epochs_from_bids, read_bids
from brainof_toolbox.cli.decoding_data import cut_epochs
from brainof_toolbox.io import from_epochs, from_raw, read_recording
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.inputs import ReadOptions
from brainof_toolbox.pretraining.build_sources import read_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*placed by name", "ignore:.*untrained weights")
NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
SFREQ = 100.0
#: Records of 1 s: six of them, a gap of 7.25 s, then nine.
GAPPED = [*range(6), *(13.25 + i for i in range(9))]


def noise(n_times=1500, seed=0):
    """Microvolts of six channels."""
    return 20 * np.random.default_rng(seed).standard_normal((6, n_times))


def write(path, onsets=GAPPED, *, flag="EDF+D", data=None, **options):
    data = noise() if data is None else data
    return edf.write_edf(path, data, NAMES, SFREQ, flag=flag, onsets=onsets, **options)


def quiet(path):
    """Read without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_recording(path)


def pulses(onsets, moments, duration=1.0):
    """Noise with a pulse at each moment, in seconds from the start of the recording."""
    n_values = round(SFREQ * duration)
    times = (np.array(onsets)[:, None] + np.arange(n_values) / SFREQ).ravel() - onsets[0]
    data = noise(len(times)) / 20
    for moment in moments:
        data[:, np.argmin(np.abs(times - moment))] = 500
    return data


def marks(raw):
    """Where the annotations of events lie, in time points, and where the pulses do."""
    found = [a for a in raw.annotations if not a["description"].startswith(("BAD", "EDGE"))]
    at = [round(a["onset"] * SFREQ) for a in found]
    return at, np.flatnonzero(raw.get_data()[0] > 3e-4).tolist()


# --------------------------------------------------------------------------------------- pieces
@pytest.mark.parametrize("gap", [0.03, 0.5, 600.0])
@pytest.mark.parametrize("name", ["a.edf", "a.bdf", "A.EDF"])
def test_pieces_are_those_joined_by_mne(tmp_path, name, gap):
    onsets = [*range(6), *(6 + gap + i for i in range(9))]
    path = write(tmp_path / name, onsets, flag=f"{name[-3:].upper()}+D")
    raw = quiet(path)
    assert not raw.preload
    read = mne.io.read_raw_bdf if name.endswith("bdf") else mne.io.read_raw_edf
    whole = read(path, verbose="error")
    parts = [whole.copy().crop(0, 5.99), whole.copy().crop(6.0, None)]
    joined = mne.concatenate_raws(parts, verbose="error")
    a, b = from_raw(raw), from_raw(joined)
    assert a.good_segments == b.good_segments == ((0, 600), (600, 1500))
    np.testing.assert_array_equal(a.data, b.data)
    for key in ("onset", "duration", "description"):
        np.testing.assert_array_equal(
            getattr(raw.annotations, key), getattr(joined.annotations, key)
        )


def test_rows_are_those_of_the_pieces(tmp_path):
    """A step between the pieces, which no filter may turn into a wave."""
    data = noise()
    data[:, 600:] += 300
    path = write(tmp_path / "a.edf", data=data)
    info = mne.create_info(NAMES, SFREQ, "eeg")
    raw = quiet(path)
    parts = [mne.io.RawArray(raw.get_data()[:, s], info) for s in (slice(600), slice(600, None))]
    embed = BrainOFEmbedder(None, pooling="mean").fit_transform
    rows = embed([str(path)])
    np.testing.assert_allclose(rows, embed([mne.concatenate_raws(parts)]), rtol=1e-5, atol=1e-6)
    crossing = embed([mne.io.RawArray(raw.get_data(), info)])
    assert not np.allclose(rows, crossing, rtol=1e-2)


def test_pieces_of_a_corpus(tmp_path):
    path = write(tmp_path / "a.edf")
    (signals,) = read_samples(str(path), ReadOptions())
    assert signals.good_segments == ((0, 600), (600, 1500))


# --------------------------------------------------------------------------------------- events
@pytest.mark.parametrize(
    "onsets, duration",
    [
        (GAPPED, 1.0),
        ([0.37, 1.37, 2.37, 9.0, 10.0, 500.123, 501.123], 1.0),
        ([round(0.3 * i + (i > 4) * 2.7183 + (i > 9) * 0.31, 5) for i in range(15)], 0.3),
        ([0, 1e5, 1e5 + 1], 1.0),
    ],
    ids=["one gap", "late first record", "records of 0.3 s", "a day"],
)
def test_events_lie_on_their_data(tmp_path, onsets, duration):
    onsets = [f"{onset:.5f}".rstrip("0").rstrip(".") for onset in onsets]
    begins = np.array(onsets, dtype=float)
    moments = [begin + 0.1 + 0.01 * i for i, begin in enumerate(begins)]  # one in each record
    data = pulses(begins, np.array(moments) - begins[0], duration)
    events = [(f"{moment:.5f}", 0, "go") for moment in moments]
    raw = quiet(write(tmp_path / "a.edf", onsets, data=data, events=events, duration=duration))
    found, expected = marks(raw)
    assert found == expected and len(found) == len(onsets)


def test_events_at_the_ends_of_pieces(tmp_path):
    """The last time point before a gap, and the first one after it."""
    moments = [5.99, 13.25, 0.0, 22.24]
    events = [(moment, 0, f"e{moment}") for moment in moments]
    raw = quiet(write(tmp_path / "a.edf", data=pulses(GAPPED, moments), events=events))
    found, expected = marks(raw)
    assert found == expected == [0, 599, 600, 1499]


def test_events_without_data_are_named(tmp_path):
    events = [
        (2, 0, "kept"),
        (6.0, 0, "lost"),
        (9.5, 4, "lost too"),
        (15, 0, "kept"),
        (99, 0, "x"),
    ]
    path = write(tmp_path / "a.edf", events=events)
    words = re.escape(
        "a.edf: 3 annotation(s) lie where the recording has no data, and are left out"
    )
    with pytest.warns(
        RuntimeWarning, match=f"{words}: 'lost' at 6 s, 'lost too' at 9.5 s, 'x' at"
    ):
        raw = read_recording(path)
    words = [str(w) for w in raw.annotations.description]
    assert words == ["kept", "BAD boundary", "EDGE boundary", "kept"]


@pytest.mark.parametrize(
    "onset, duration, expected",
    [
        (5, 20, (500, 1500)),
        (8, 6, (600, 675)),
        (4, 3, (400, 600)),
        (7, 2, None),
        (14, 1, (675, 775)),
    ],
)
def test_bad_spans_keep_their_data(tmp_path, onset, duration, expected):
    """Whether they begin, end or lie in the gap."""
    raw = quiet(write(tmp_path / "a.edf", events=[(onset, duration, "BAD_move")]))
    spans = [a for a in raw.annotations if a["description"] == "BAD_move"]
    if expected is None:
        assert not spans
    else:
        begin = spans[0]["onset"] * SFREQ
        np.testing.assert_allclose((begin, begin + spans[0]["duration"] * SFREQ), expected)


def test_channels_of_annotations(tmp_path):
    """Texts and channels are those that MNE reads."""
    events = [(1, 0.5, "spike@@C3"), (1, 0.5, "spike@@C4"), (14, 0, "Übung"), (14.5, 0, "a@@b")]
    path = write(tmp_path / "a.edf", events=events)
    gapped = quiet(path).annotations
    found = [a for a in gapped if "boundary" not in a["description"]]
    whole = list(mne.io.read_raw_edf(path, verbose="error").annotations)
    for key in ("description", "duration", "ch_names"):
        assert [a[key] for a in found] == [a[key] for a in whole]
    assert found[0]["ch_names"] == ("C3", "C4") and len(found) == 3


# ------------------------------------------------------------------- continuous, and neither
@pytest.mark.parametrize("first", [0, 0.5])
@pytest.mark.parametrize("step", [1, 1.0004])
def test_discontinuous_files_without_gaps(tmp_path, first, step):
    """Equal to continuous ones, without a word; clocks may drift by 0.4 ms in a second."""
    onsets = [round(first + i * step, 4) for i in range(15)]
    events = [(first + 3.5, 0.5, "a"), (first + 13, 0, "b")]
    raws = [
        quiet(write(tmp_path / f"{flag[-1]}.edf", onsets, flag=flag, events=events))
        for flag in ("EDF+C", "EDF+D")
    ]
    a, b = (from_raw(raw) for raw in raws)
    assert a.good_segments == b.good_segments == ((0, 1500),)
    np.testing.assert_array_equal(a.data, b.data)
    for raw in raws:
        np.testing.assert_allclose(raw.annotations.onset, [3.5, 13], atol=0.006)
        assert raw.annotations.description.tolist() == ["a", "b"]


def test_continuous_files_need_no_times(tmp_path):
    texts = [b"+0\x14\x14\0+2\x14go\x14\0", *[b"\0"] * 14]
    raw = quiet(write(tmp_path / "a.edf", flag="EDF+C", texts=texts))
    assert raw.annotations.onset.tolist() == [2.0]
    assert len(quiet(write(tmp_path / "b.edf", None, flag=""))) == 1500


def test_continuous_files_whose_records_leave_gaps(tmp_path):
    """The header and the records disagree: said, and the records are followed."""
    events = [(14.25, 0, "go")]
    path = write(tmp_path / "a.edf", flag="EDF+C", events=events)
    with pytest.warns(RuntimeWarning, match=r"a.edf: .*continuous.*\(EDF\+C\).* 1 gap.*after 6 s"):
        raw = read_recording(path)
    assert raw.annotations.onset.tolist() == [6.0, 6.0, 7.0]
    assert from_raw(raw).good_segments == ((0, 600), (600, 1500))


def test_continuous_files_whose_records_overlap(tmp_path):
    path = write(tmp_path / "a.edf", [0] * 15, flag="EDF+C", events=[(0.5, 0, "go")])
    with pytest.warns(RuntimeWarning, match="a.edf: record 2 begins at 0 s.*read as continuous"):
        raw = read_recording(path)
    assert from_raw(raw).good_segments == ((0, 1500),) and raw.annotations.onset.tolist() == [0.5]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"onsets": [0, 1, 1.5, *range(3, 15)]}, r"overlap.*record 3 begins at 1.5 s"),
        ({"onsets": [0, 2, 1, *range(3, 15)]}, r"out of order.*record 3 begins at 1 s"),
        ({"texts": [b"+0\x14\x14\0", *[b"\0"] * 14]}, "record 2 has none"),
        ({"onsets": None}, "no annotation channel"),
    ],
)
def test_records_that_cannot_be_placed(tmp_path, options, words):
    """Nothing is guessed, and the file is named."""
    path = write(tmp_path / "a.edf", **options)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{words}"):
        read_recording(path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        from_raw(mne.io.read_raw_edf(path, verbose="error"))


# --------------------------------------------------------------------------- read by somebody else
REFUSED = r"a.edf is discontinuous.*\(EDF\+D\), but 1 of the gaps .*read_recording"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw,
        lambda raw: raw.load_data(),
        lambda raw: raw.crop(4, 9),
        lambda raw: raw.load_data().resample(64.0),
        lambda raw: mne.concatenate_raws([raw, raw.copy()]).crop(16, None),
        lambda raw: raw.set_annotations(mne.Annotations([2.0], [1.0], ["BAD"])),
    ],
    ids=["lazy", "loaded", "cropped", "resampled", "joined", "annotated"],
)
def test_unmarked_gaps_are_refused(tmp_path, change):
    raw = change(mne.io.read_raw_edf(write(tmp_path / "a.edf"), verbose="error"))
    with pytest.raises(ValueError, match=REFUSED):
        from_raw(raw)
    epochs = mne.make_fixed_length_epochs(raw, 1.0, verbose="error")
    with pytest.raises(ValueError, match=REFUSED):
        from_epochs(epochs)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.crop(0, 5.99),
        lambda raw: raw.crop(6, None),
        lambda raw: raw.crop(7, None),
        lambda raw: mne.concatenate_raws([raw.copy().crop(0, 5.99), raw.copy().crop(6, None)]),
        lambda raw: raw.set_annotations(mne.Annotations([5.5], [1.0], ["BAD"])),
    ],
    ids=["first", "second", "within", "joined", "annotated"],
)
def test_pieces_and_marked_gaps_are_read(tmp_path, change):
    raw = change(mne.io.read_raw_edf(write(tmp_path / "a.edf"), verbose="error"))
    assert len(from_raw(raw)) == 1


def test_what_was_marked_stays_marked(tmp_path):
    """Cropped, resampled, filtered, joined."""
    raw = quiet(write(tmp_path / "a.edf"))
    assert len(from_raw(raw.copy().crop(4, 9)).good_segments) == 2
    assert len(from_raw(raw.copy().load_data().resample(64.0)).good_segments) == 2
    joined = mne.concatenate_raws([raw.copy(), raw.copy().crop(2, 12)], verbose="error")
    assert len(from_raw(joined).good_segments) == 4
    assert len(from_epochs(mne.make_fixed_length_epochs(raw, 1.0, verbose="error"))) == 15


# --------------------------------------------------------------------------------------- trials
MOMENTS = [1, 3, 5.5, 13.25, 15, 17, 20]
KINDS = ["left", "right", "left", "right", "left", "right", "left"]


def shaped():
    """Noise in which events to the left begin with a pulse."""
    return pulses(GAPPED, [m for m, kind in zip(MOMENTS, KINDS, strict=True) if kind == "left"])


def is_left(epochs):
    return (epochs.get_data()[:, 0, 0] > 3e-4).tolist()


def test_decoded_events_belong_to_their_data(tmp_path):
    """The third epoch would span the gap; the fourth begins right after it."""
    events = [(m, 0, kind) for m, kind in zip(MOMENTS, KINDS, strict=True)]
    path = write(tmp_path / "a.edf", data=shaped(), events=events)
    options = argparse.Namespace(
        event_id=["left", "right"], tmin=0.0, tmax=0.99, encoding=None, allow_maxshield=False
    )
    with pytest.warns(RuntimeWarning, match=r"a.edf: 1 epoch\(s\) that would span a gap"):
        epochs = cut_epochs(Path(path), options)
    codes = [epochs.event_id["left"] == code for code in epochs.events[:, 2]]
    assert codes == is_left(epochs) == [True, False, False, True, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut_epochs(write(tmp_path / "b.edf", range(15), flag="EDF+C", events=events[:2]), options)


@pytest.fixture
def dataset(tmp_path):
    """A BIDS dataset of one gapped recording, whose events count from its start."""
    root = bids.describe(tmp_path / "set")
    stem = root / "sub-01" / "eeg" / "sub-01_task-hands"
    stem.parent.mkdir(parents=True)
    write(f"{stem}_eeg.edf", data=shaped())
    says = {"TaskName": "hands", "SamplingFrequency": SFREQ, "PowerLineFrequency": 50}
    Path(f"{stem}_eeg.json").write_text(json.dumps(says))
    columns = {"name": NAMES, "type": ["EEG"] * 6, "units": ["uV"] * 6, "status": ["good"] * 6}
    bids.write_table(f"{stem}_channels.tsv", columns)
    onset = [*MOMENTS, 8, 18.3]
    kinds = [*KINDS, "left", "BAD_move"]
    events = {"onset": onset, "duration": [1] * 9, "trial_type": kinds}
    bids.write_table(f"{stem}_events.tsv", events)
    return root


def test_trials_of_a_dataset_belong_to_their_data(dataset):
    words = r"1 where the recording has no data .*1 in spans annotated as bad"
    with pytest.warns(RuntimeWarning, match=words):
        epochs = epochs_from_bids(dataset, event_id=["left", "right"], tmin=0.0, tmax=0.99)
    table = epochs.metadata
    assert table["onset"].tolist() == [1, 3, 13.25, 15, 17, 20]  # as in the table
    assert (table["trial_type"] == "left").tolist() == is_left(epochs)


def test_recordings_of_a_dataset_have_pieces(dataset):
    """The bad span lies after the gap, at 18.3 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = read_bids(dataset)[0]
        raw = read_bids_recording(record["eeg"])
    assert raw.annotations.description[-2] == "BAD_move"
    (signals,) = read_samples(record["eeg"], ReadOptions())
    assert signals.good_segments == ((0, 600), (600, 1105), (1105, 1400))
