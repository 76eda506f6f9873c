"""MNE objects and arrays -> Signals: what enters, what never does, what is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from datetime import UTC, datetime

import mne
import numpy as np
import pytest

from brainof_toolbox import PairedSignals, Preprocessing, Signals
from brainof_toolbox.io import from_array, from_epochs, from_raw
from brainof_toolbox.io.channels import template_montage
from brainof_toolbox.io.sensors import good_spans
from brainof_toolbox.preprocessing import preprocess

TEN_TWENTY = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
SIZE = {"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11}
IN_1_SECOND = {"tmin": 0.0, "tmax": 1.0, "baseline": None, "verbose": "error"}


def make_info(n_eeg=19, n_mag=0, extra=(), sfreq=200.0):
    """EEG with a montage, magnetometers on a helmet, and what else is asked for."""
    names = [*TEN_TWENTY[:n_eeg], *(f"MEG {i:03d}" for i in range(n_mag))]
    kinds = ["eeg"] * n_eeg + ["mag"] * n_mag
    info = mne.create_info([*names, *(f"{k}-x" for k in extra)], sfreq, [*kinds, *extra], "error")
    if n_eeg:
        info.set_montage(template_montage(), on_missing="ignore")
    places = np.random.default_rng(9).standard_normal((n_mag, 3))
    for ch, place in zip(info["chs"][n_eeg:], places, strict=False):
        ch["loc"] = np.concatenate([0.12 * place / np.linalg.norm(place), np.eye(3).ravel()])
    with info._unlock():
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", np.eye(4)) if n_mag else None
    return info


def make_raw(duration=10.0, info=None, seed=0, first_samp=0, n_times=None):
    """Noise of realistic size in every channel."""
    info = make_info() if info is None else info
    n_times = round(duration * info["sfreq"]) if n_times is None else n_times
    size = np.array([SIZE.get(kind, 1.0) for kind in info.get_channel_types()])
    data = np.random.default_rng(seed).standard_normal((len(size), n_times)) * size[:, None]
    return mne.io.RawArray(data, info, first_samp=first_samp, verbose="error")


def make_epochs(n_epochs=8, info=None, seed=0, **kwargs):
    info = make_info() if info is None else info
    size = np.array([SIZE.get(kind, 1.0) for kind in info.get_channel_types()])
    data = np.random.default_rng(seed).standard_normal((n_epochs, len(size), 100))
    return mne.EpochsArray(data * size[:, None], info, verbose="error", **kwargs)


def annotate(raw, *rows):
    """Annotate (onset in s from the first time point, duration, description)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Limited .* annotation")
        return raw.set_annotations(mne.Annotations(*zip(*rows, strict=True)))


def events_every_second(raw, n=8):
    starts = raw.first_samp + np.arange(n) * round(raw.info["sfreq"])
    return np.column_stack([starts, np.zeros(n, int), np.arange(n) % 2 + 1]).astype(int)


def assert_same(a, b):
    """Everything that the network sees is equal."""
    assert a.signature == b.signature
    np.testing.assert_array_equal(a.data, b.data)


# -------------------------------------------------------------------------- equal to the naive
def test_raw_equals_get_data():
    """One finite row of float32 volts, channels and places as in ``info``."""
    raw = make_raw()
    signals = from_raw(raw)
    assert signals.shape == (1, 19, 2000) and signals.data.dtype == np.float32
    np.testing.assert_allclose(signals.data[0], raw.get_data("eeg"), rtol=1e-6)
    assert (signals.sfreq, signals.modality, signals.ch_names) == (200, "eeg", tuple(TEN_TWENTY))
    assert np.array_equal(signals.ch_pos, np.float32([ch["loc"][:3] for ch in raw.info["chs"]]))


def test_epochs_equal_get_data():
    epochs = make_epochs(tmin=-0.2, baseline=(None, 0))
    signals = from_epochs(epochs)
    np.testing.assert_allclose(signals.data, epochs.get_data("eeg"), rtol=1e-6)
    assert signals.has_baseline and not from_epochs(make_epochs()).has_baseline


def test_array_equals_epochs():
    epochs = make_epochs()
    assert_same(from_array(epochs.get_data(), epochs.info), from_epochs(epochs))


def test_subject_filter_and_onset_are_carried():
    raw = make_raw(first_samp=500)
    raw.info["subject_info"] = {"his_id": "sub-07"}
    raw.filter(1.0, None, verbose="error")
    annotate(raw, (0.0, 1.5, "BAD_start"))
    signals = from_raw(raw)
    assert signals.subject == ("sub-07",) and signals.highpass == 1.0
    assert signals.onset.tolist() == [1.5]


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_nobody(name):
    """Some headers have an empty field where the subject would be."""
    raw = make_raw()
    raw.info["subject_info"] = {"his_id": name}
    assert from_raw(raw).subject == (None,)


def test_onset_of_decimated_epochs():
    raw = make_raw(duration=12.0)
    epochs = mne.Epochs(raw, events_every_second(raw), preload=True, **IN_1_SECOND)
    epochs.decimate(4, verbose="error")
    assert from_epochs(epochs).onset.tolist() == list(range(8))


def test_eeg_and_meg_are_paired():
    """Both are there, each with its own channels, in reading order."""
    raw = make_raw(info=make_info(n_eeg=19, n_mag=6, extra=["stim"]))
    signals = from_raw(raw)
    assert isinstance(signals, PairedSignals) and list(signals.by_modality) == ["eeg", "meg"]
    for name, kind in (("eeg", "eeg"), ("meg", "mag")):
        np.testing.assert_allclose(
            signals.by_modality[name].data[0], raw.get_data(kind), rtol=1e-6
        )
    epochs = make_epochs(info=raw.info)
    assert from_epochs(epochs).shape == from_array(epochs.get_data(), raw.info).shape == (8, 2)


@pytest.mark.parametrize("n_eeg, n_mag", [(1, 0), (0, 320)])
def test_any_number_of_channels(n_eeg, n_mag):
    """One electrode, 320 sensors."""
    signals = from_raw(make_raw(info=make_info(n_eeg, n_mag), duration=1.0))
    assert signals.shape == (1, n_eeg + n_mag, 200)


def test_average_reference():
    """Rank-deficient data are data."""
    raw = make_raw().set_eeg_reference("average", verbose="error")
    assert np.isfinite(from_raw(raw).data).all()


def test_channel_order_only_reorders():
    """Channel order permuted: <= 1e-5."""
    order = np.random.default_rng(1).permutation(19)
    raw = make_raw()
    a, b = from_raw(raw), from_raw(raw.copy().reorder_channels([TEN_TWENTY[i] for i in order]))
    assert np.array_equal(b.data, a.data[:, order])
    assert np.array_equal(b.ch_pos, a.ch_pos[order])


# -------------------------------------------------------------- what must not have any influence
def test_other_channels_have_no_influence():
    """With EOG, ECG, EMG, STIM, MISC and RESP beside, whatever is in them."""
    extra = ["eog", "ecg", "emg", "stim", "misc", "resp"]
    raw = make_raw(info=make_info(extra=extra))
    alone = from_raw(raw.copy().pick("eeg"))
    assert_same(from_raw(raw), alone)
    raw.apply_function(lambda x: x * 0 + 7.0, picks=[f"{kind}-x" for kind in extra])
    assert_same(from_raw(raw), alone)


def test_bad_channels_equal_dropped_channels():
    """Info["bads"] set."""
    for make, read in ((make_raw, from_raw), (make_epochs, from_epochs)):
        recording = make()
        recording.info["bads"] = ["F3", "O2"]
        assert_same(read(recording), read(recording.copy().drop_channels(["F3", "O2"])))


def test_every_channel_bad():
    """Every channel marked bad."""
    raw = make_raw()
    raw.info["bads"] = list(TEN_TWENTY)
    with pytest.raises(ValueError, match=r"all 19 EEG channels are marked bad \(info\['bads'\]\)"):
        from_raw(raw)


def test_metadata_and_event_codes_have_no_influence():
    """Labels beside the data are neither read nor changed."""
    pandas = pytest.importorskip("pandas")
    epochs = make_epochs()
    plain = from_epochs(epochs)
    labelled = epochs.copy()
    labelled.metadata = pandas.DataFrame({"label": np.arange(8) % 2})
    labelled.events[:, 2] = 1
    before = labelled.metadata.copy()
    assert_same(from_epochs(labelled), plain)
    assert labelled.metadata.equals(before)


@pytest.mark.parametrize("kind", ["raw", "epochs", "array"])
def test_input_is_not_changed(kind):
    """Data, info and annotations are the same afterwards, and nothing is shared."""
    recording = make_epochs() if kind == "epochs" else make_raw()
    if kind == "raw":
        annotate(recording, (2.0, 1.0, "BAD_blink"))
    data = recording.get_data(copy=True) if kind == "epochs" else recording.get_data()
    array, info = data.copy()[None], recording.info.copy()
    if kind == "array":
        signals = from_array(array, recording.info)
    else:
        signals = (from_epochs if kind == "epochs" else from_raw)(recording)
    signals.data[:] = 1.0
    preprocess(signals, Preprocessing())
    assert np.array_equal(recording.get_data(), data) and np.array_equal(array[0], data)
    assert mne.utils.object_diff(recording.info, info) == ""
    if kind == "raw":
        assert recording.annotations.description.tolist() == ["BAD_blink"]


def test_float32_array_is_not_shared():
    """For the one dtype that needs no conversion, in three dimensions and in two."""
    data = make_epochs().get_data().astype(np.float32)
    kept = data.copy()
    from_array(data, make_info()).data[:] = 1.0
    table = data[:, 0].copy()
    from_array(table, make_info(n_eeg=1)).data[:] = 1.0
    assert np.array_equal(data, kept) and np.array_equal(table, kept[:, 0])


def test_float_width():
    """The width of the floats that come in does not matter."""
    data = make_epochs().get_data()
    narrow = from_array(data.astype(np.float32), make_info())
    assert_same(narrow, from_array(data, make_info()))


# ------------------------------------------------------------------------------ bad spans
@pytest.mark.parametrize("description", ["BAD_muscle", "bad", "BAD_ACQ_SKIP"])
@pytest.mark.parametrize("content", [0.0, 1.0, np.nan, np.inf])
def test_content_of_bad_spans_never_matters(description, content):
    """An artefact of one volt, zeros, even NaN, in a span that is annotated."""
    raw = annotate(make_raw(), (3.0, 1.5, description), (8.0, 9.0, description))
    dirty = raw.copy()
    dirty._data[:, 600:900] = content
    dirty._data[:, 1600:] = content
    clean = from_raw(raw)
    assert_same(from_raw(dirty), clean)
    assert clean.good_segments == ((0, 600), (600, 1300))
    kept = np.r_[0:600, 900:1600]
    np.testing.assert_allclose(clean.data[0], raw.get_data()[:, kept], rtol=1e-6)


@pytest.mark.parametrize("first_samp", [0, 777])
@pytest.mark.parametrize("measured", [None, datetime(2020, 1, 1, tzinfo=UTC)], ids=str)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_spans_equal_mne(first_samp, measured, is_absolute):
    """Whatever the clock of the annotations, the same time points as MNE leaves out."""
    raw = make_raw(first_samp=first_samp)
    raw.set_meas_date(measured)
    origin = measured if is_absolute else None
    onset = 3.0 + (raw.first_time if origin is not None else 0.0)
    raw.set_annotations(mne.Annotations([onset], [1.0], ["BAD_x"], orig_time=origin))
    for recording in (raw, raw.copy().crop(2.0, 8.0), raw.copy().crop(3.5, 9.0)):
        expected = recording.get_data(reject_by_annotation="omit", verbose="error")
        np.testing.assert_allclose(from_raw(recording).data[0], expected, rtol=1e-6)


def test_spans_half_outside():
    """Annotations that begin before the recording or end behind it."""
    raw = make_raw(first_samp=400)
    raw.set_annotations(mne.Annotations([0.5], [1.0], ["note"]))
    raw.annotations.append([0.0, 11.5, -9.0], [3.0, 50.0, 1.0], ["BAD_a", "BAD_b", "BAD_c"])
    assert good_spans(raw) == [(200, 1900)]


@pytest.mark.parametrize("description", ["boundary", "New Segment/", "EDGE boundary"])
def test_joints_of_other_programs_are_borders(description):
    """Pieces joined by EEGLAB or BrainVision stay apart; what was removed lies in no piece."""
    duration = 0.0 if description.startswith("EDGE") else 4.0
    raw = annotate(make_raw(), (5.0, duration, description))
    assert good_spans(raw) == [(0, 1000), (1000, 2000)]


def test_overlapping_and_empty_spans():
    """Spans may overlap, touch or last nothing; what is not BAD or EDGE is no border."""
    rows = [
        (1.0, 2.0, "BAD_a"),
        (2.0, 2.0, "bad b"),
        (4.0, 1.0, "BAD"),
        (6.0, 0.0, "EDGE boundary"),
    ]
    raw = annotate(make_raw(), *rows, (7.0, 1.0, "T1"), (7.5, 1.0, "not BAD"))
    assert good_spans(raw) == [(0, 200), (1000, 1200), (1200, 2000)]


@pytest.mark.parametrize("sfreq", [200.0, 333.333, 512.03, 44.1, 1000.0])
@pytest.mark.parametrize("n_first", [100, 333, 1001])
def test_concatenated_recordings_have_a_border(sfreq, n_first):
    """No filter crosses from one recording into the next, at any rate."""
    info = make_info(sfreq=sfreq)
    parts = [make_raw(info=info, n_times=n) for n in (n_first, 250, 77)]
    raw = mne.concatenate_raws([part.copy() for part in parts], verbose="error")
    signals = from_raw(raw)
    assert signals.good_segments == (
        (0, n_first),
        (n_first, n_first + 250),
        (n_first + 250, n_first + 327),
    )
    np.testing.assert_allclose(
        signals.data[0], np.hstack([part.get_data() for part in parts]), rtol=1e-6
    )


def test_everything_bad():
    """Whole recording annotated BAD_: error naming annotations / BAD."""
    with pytest.raises(ValueError, match=r"10 s is annotated as BAD.*raw\.annotations"):
        from_raw(annotate(make_raw(), (0.0, 6.0, "BAD_a"), (5.0, 5.0, "BAD_b")))


def test_long_recordings_are_read_in_stretches():
    """Two hours need their float32 size and little more; stretches join without a gap."""
    raw = make_raw(info=make_info(n_eeg=4, sfreq=100.0), duration=7200.0)
    tracemalloc.start()
    signals = from_raw(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * signals.data.nbytes
    assert len(signals.good_segments) == 12
    assert signals.good_segments[0][0] == 0 and signals.good_segments[-1][1] == 720_000
    assert all(
        a[1] == b[0]
        for a, b in zip(signals.good_segments, signals.good_segments[1:], strict=False)
    )
    np.testing.assert_allclose(signals.data[0], raw.get_data(), rtol=1e-6)


# -------------------------------------------------------------------------------- windows
def test_windows_equal_slices():
    """Every window is the piece of the recording that its onset says, bad spans counted."""
    raw = annotate(make_raw(duration=30.0), (0.0, 1.0, "BAD_a"), (12.0, 4.0, "BAD_b"))
    signals = from_raw(raw, window=2.5)
    starts = np.round(signals.onset * 200).astype(int)
    expected = [raw.get_data(start=start, stop=start + 500) for start in starts]
    np.testing.assert_allclose(signals.data, expected, rtol=1e-6)
    assert np.all((starts + 500 <= 2400) | (starts >= 3200)) and starts.min() == 200
    assert starts.max() == 6000 - 500 and np.all(np.diff(starts) > 0)


def test_paired_windows_agree():
    """EEG and MEG windows are simultaneous, so their number agrees."""
    raw = make_raw(info=make_info(n_eeg=5, n_mag=7, sfreq=333.333), duration=11.0)
    signals = from_raw(annotate(raw, (4.0, 0.7, "BAD")), window=2.0)
    eeg, meg = signals.by_modality["eeg"], signals.by_modality["meg"]
    assert len(eeg) == len(meg) == len(signals) > 4
    assert np.array_equal(eeg.onset, meg.onset)


@pytest.mark.parametrize(
    "window, kind", [(1e-4, ValueError), (-1, ValueError), ("2 s", TypeError)]
)
def test_impossible_windows(window, kind):
    with pytest.raises(kind, match="'window' must be a number of at least 0.005"):
        from_raw(make_raw(), window=window)


# ------------------------------------------------------------------------------- on disk
def test_raw_on_disk(tmp_path):
    """The same as preloaded, and still on disk afterwards."""
    make_raw().save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    lazy = mne.io.read_raw_fif(tmp_path / "a_raw.fif", verbose="error")
    loaded = mne.io.read_raw_fif(tmp_path / "a_raw.fif", preload=True, verbose="error")
    assert_same(from_raw(lazy), from_raw(loaded))
    assert not lazy.preload


def test_lazy_epochs(tmp_path):
    """Epochs never dropped, never loaded: as if loaded, and not changed by it."""
    raw = annotate(make_raw(duration=12.0), (2.2, 0.5, "BAD_blink"))
    lazy = mne.Epochs(raw, events_every_second(raw), **IN_1_SECOND)
    loaded = mne.Epochs(raw, events_every_second(raw), preload=True, **IN_1_SECOND)
    assert_same(from_epochs(lazy), from_epochs(loaded))
    assert len(from_epochs(lazy)) == len(loaded) == 7
    assert not lazy.preload and not lazy._bad_dropped
    loaded.save(tmp_path / "a-epo.fif", fmt="double", verbose="error")
    on_disk = mne.read_epochs(tmp_path / "a-epo.fif", preload=False, verbose="error")
    assert_same(from_epochs(on_disk), from_epochs(loaded))
    assert not on_disk.preload


@pytest.mark.parametrize("preload", [False, True])
def test_no_epochs_left(preload):
    """Epochs with 0 epochs left: error: no epochs (all dropped), drop_log."""
    raw = annotate(make_raw(duration=12.0), (0.0, 12.0, "BAD_all"))
    epochs = mne.Epochs(raw, events_every_second(raw), preload=preload, **IN_1_SECOND)
    with pytest.raises(ValueError, match=r"no epochs: all were dropped, see epochs\.drop_log"):
        from_epochs(epochs)


def test_truncated_file(tmp_path):
    """A Raw and Epochs on a damaged file name the file, wherever it was cut."""
    raw = make_raw()
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    epochs = mne.Epochs(raw, events_every_second(raw), preload=True, **IN_1_SECOND)
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    for name, read, adapt in (
        ("a_raw.fif", mne.io.read_raw_fif, from_raw),
        ("a-epo.fif", mne.read_epochs, from_epochs),
    ):
        content = (tmp_path / name).read_bytes()
        cut = tmp_path / f"cut{name[1:]}"
        for share in (0.3, 0.55, 0.9):
            cut.write_bytes(content[: int(share * len(content))])
            with pytest.raises(ValueError, match=rf"{cut.name}: truncated or damaged"):
                adapt(read(cut, preload=False, verbose="error"))


# ------------------------------------------------------------------------------ amplitudes
@pytest.mark.parametrize("factor", [1e6, 3e5])
@pytest.mark.parametrize("artefact", [1.0, 1e4])
def test_microvolts_are_refused(factor, artefact):
    """Amplitude, unit and fix are named; a few artefacts do not decide."""
    data = make_epochs().get_data() * factor
    data[0, 0, :5] *= artefact
    with pytest.raises(ValueError, match=r"'Fp1'.*typical amplitude of \S+ volt.*microvolt.*1e-6"):
        from_array(data, make_info())


def test_artefacts_and_offsets_are_not_microvolts():
    """The direct current of a BDF file, a drift and a saturated burst stay volts."""
    raw = make_raw()
    raw._data += np.linspace(-0.2, 0.2, 19)[:, None] + np.linspace(0, 2e-3, 2000)
    raw._data[:, 500:520] = 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_raw(raw)


def test_scaled_twice():
    """EEG scaled twice (1e-11 V): warn: amplitude implausibly small, name unit."""
    with pytest.warns(RuntimeWarning, match=r"'Fp1'.*implausibly small for volt"):
        from_array(make_epochs().get_data() * 1e-6, make_info())


def test_femtotesla():
    """MEG in fT (x1e15): warn/err naming tesla / fT."""
    data = make_epochs(info=make_info(0, 12)).get_data() * 1e15
    with pytest.raises(ValueError, match=r"'MEG 000'.*tesla.*femtotesla \(fT\).*1e-15"):
        from_array(data, make_info(0, 12))


def test_grad_in_femtotesla_per_centimetre():
    """Each sensor type is judged in its own unit."""
    info = mne.create_info(["MEG 1", "MEG 2"], 200.0, "grad")
    data = np.random.default_rng(0).standard_normal((3, 2, 100)) * 100
    with (
        pytest.raises(ValueError, match=r"tesla per metre.*fT/cm.*1e-13"),
        pytest.warns(RuntimeWarning, match="placed by order"),
    ):
        from_array(data, info, missing_positions="placeholder")


def test_one_flat_channel():
    """Named, and only this one; also at a level that is not zero."""
    raw = make_raw()
    raw._data[4] = 3e-5
    with pytest.warns(RuntimeWarning, match=r"channel \['Fz'\] is constant \(flat\)"):
        from_raw(raw)


def test_all_channels_flat():
    """In the whole recording, or in one epoch, which is named."""
    raw = make_raw()
    raw._data[:] = np.arange(19)[:, None] * 1e-5
    with pytest.raises(ValueError, match=r"constant \(flat\) in sample 0"):
        from_raw(raw)
    data = make_epochs().get_data()
    data[[3, 5]] = 0.0
    with pytest.raises(ValueError, match=r"constant \(flat\) in sample 3 and 1 more"):
        from_array(data, make_info())


@pytest.mark.parametrize(
    "value, n_times, words",
    [
        (np.nan, 30, "'C4' \\(30 of 2000"),
        (np.inf, 1, "'C4' \\(1 of 2000"),
        (np.nan, 2000, "'C4' \\(2000"),
    ],
    ids=["R29", "R30", "R31"],
)
def test_values_that_are_not_finite(value, n_times, words):
    """Channel and count."""
    raw = make_raw()
    raw._data[10, :n_times] = value
    with pytest.raises(ValueError, match=rf"NaN or infinite values in channel {words}") as error:
        from_raw(raw)
    assert "'C3'" not in str(error.value) and "info['bads']" in str(error.value)


# ---------------------------------------------------------------------------------- arrays
def test_duplicate_names():
    """Duplicate channel names: error naming the duplicate."""
    raw = make_raw()
    raw.info["chs"][5]["ch_name"] = "Fz"
    raw.info._update_redundant()
    with pytest.raises(ValueError, match=r"unique.*\['Fz'\]"):
        from_raw(raw)


def test_integers():
    """One message names the dtype, the unit and the gain."""
    counts = np.random.default_rng(0).integers(-500, 500, (4, 19, 100)).astype(np.int16)
    with pytest.raises(ValueError, match=r"integer dtype int16.*impossible for volt.*gain"):
        from_array(counts, make_info())


def test_axis_order():
    """Both sizes and the cure."""
    data = make_epochs().get_data().transpose(0, 2, 1)
    with pytest.raises(
        ValueError,
        match=r"100 channels.*\(8, 100, 19\).*info has 19.*n_samples, n_channels, n_times",
    ):
        from_array(data, make_info())


def test_channel_count():
    """Also for one sample without its axis."""
    data = make_epochs().get_data()
    with pytest.raises(ValueError, match=r"17 channels .* info has 19"):
        from_array(data[:, :17], make_info())
    with pytest.raises(ValueError, match=r"2-D, shape \(19, 100\).*data\[None\]"):
        from_array(data[0], make_info())


def test_array_without_info():
    """Ndarray of M/EEG without info: error naming info= and showing mne.create_info."""
    with pytest.raises(ValueError, match=r"info=.*mne\.create_info\(.*set_montage"):
        from_array(make_epochs().get_data(), None)
    with pytest.raises(TypeError, match=r"mne\.Info.*got list"):
        from_array(make_epochs().get_data(), TEN_TWENTY)


@pytest.mark.parametrize(
    "dtype, word",
    [(complex, "complex128"), (object, "object"), ("U32", "<U32"), ("M8[s]", "datetime64")],
    ids=str,
)
def test_dtypes_that_are_no_signal(dtype, word):
    """Complex or object dtype: error naming dtype."""
    data = np.zeros((2, 19, 100), "i8").astype(dtype)
    with pytest.raises(ValueError, match=f"got dtype {word}"):
        from_array(data, make_info())


@pytest.mark.parametrize("shape", [(), (100,), (2, 2, 19, 100)])
def test_dimensions(shape):
    with pytest.raises(ValueError, match=r"\(n_samples, n_channels, n_times\).*Reshape your data"):
        from_array(np.ones(shape), make_info())


def test_table():
    """Two dimensions are one-channel series; means are kept, nothing is refused."""
    table = np.random.default_rng(0).standard_normal((6, 30)) + 5
    with pytest.warns(RuntimeWarning, match="impossible for volt"):
        signals = from_array(table, make_info(n_eeg=1))
    np.testing.assert_allclose(signals.data[:, 0], table, rtol=1e-6)
    assert signals.has_baseline


def test_no_supported_channel():
    """No supported channel (only MISC)."""
    with pytest.raises(
        ValueError, match=r"found the types \['misc', 'stim'\], accepted are 'eeg'"
    ):
        from_raw(make_raw(info=make_info(0, 0, ["misc", "stim"])))


def test_recordings_without_geometry():
    """Refused by name; with missing_positions="placeholder" every adapter reads them."""
    info = mne.create_info(["CH_A", "CH_B"], 200.0, "eeg")
    data = np.random.default_rng(0).standard_normal((3, 2, 100)) * 2e-5
    epochs = mne.EpochsArray(data, info, verbose="error")
    raw = mne.io.RawArray(data[0], info, verbose="error")
    for call in (
        lambda **kwargs: from_array(data, info, **kwargs),
        lambda **kwargs: from_epochs(epochs, **kwargs),
        lambda **kwargs: from_raw(raw, **kwargs),
    ):
        with pytest.raises(ValueError, match=r"'CH_A', 'CH_B'.*set_montage"):
            call()
        with pytest.warns(RuntimeWarning, match="placed by order"):
            assert isinstance(call(missing_positions="placeholder"), Signals)
