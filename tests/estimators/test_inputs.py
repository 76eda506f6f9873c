"""Every form of ``X`` that is accepted, and every one that is refused."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pandas as pd
import pytest
from simulated import SIZE, annotate, noise_epochs, raw, with_channels

from brainof_toolbox import BrainOFEmbedder, PairedSignals, from_array, from_epochs, from_raw
from brainof_toolbox.encoder.windows import iter_windows
from brainof_toolbox.io.inputs import count_samples, open_samples
from brainof_toolbox.preprocessing import Preprocessing

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def embed(small_checkpoint):
    """Rows of any X, of small weights."""

    def embed(X, **kwargs):
        return BrainOFEmbedder(small_checkpoint, **kwargs).fit_transform(X)

    return embed


def assert_close(a, b):
    np.testing.assert_allclose(a, b, **CLOSE)


def assert_far(a, b):
    """The guard of a test of equality: this change does reach the rows."""
    assert a.shape == b.shape
    assert (np.abs(a - b).max(axis=1) > 1e-3).all()


# ------------------------------------------------------------------------------- accepted


def test_forms_of_epochs(embed):
    """Epochs, lists of one-epoch Epochs, arrays, Signals and objects: the same rows."""
    epochs = noise_epochs(6)
    rows = embed(epochs)
    assert rows.shape == (6, 16 * 32) and rows.dtype == np.float32 and np.isfinite(rows).all()
    singles = [epochs[i] for i in range(6)]
    column = np.empty(6, dtype=object)
    column[:] = singles
    assert_close(embed(singles), rows)
    assert_close(embed(tuple(singles)), rows)
    assert_close(embed(column), rows)
    assert_close(embed([epochs[:2], epochs[2:]]), rows)
    data = epochs.get_data()
    assert_close(embed(data, info=epochs.info), rows)
    assert_close(embed(list(data), info=epochs.info), rows)
    assert_close(embed(data.tolist(), info=epochs.info), rows)
    signals = from_array(data, epochs.info)
    assert_close(embed(signals), rows)
    assert_close(embed([signals[:1], signals[1:]]), rows)


def test_forms_of_recordings(embed, tmp_path):
    """Raw, loaded or on disk, lists, paths in any container: the same finite rows."""
    recordings = [raw(0), raw(1, duration=3.0)]
    rows = embed(recordings)
    assert rows.shape == (2, 16 * 32) and np.isfinite(rows).all()
    assert_close(embed(recordings[0]), rows[:1])
    assert_close(embed([from_raw(recording) for recording in recordings]), rows)
    paths = [tmp_path / "one_raw.fif", tmp_path / "two_raw.fif"]
    for path, recording in zip(paths, recordings, strict=True):
        recording.save(path, fmt="double", verbose="error")
    texts = [str(path) for path in paths]
    for X in (paths, texts, np.array(texts), np.array(texts, object), pd.Series(paths)):
        assert_close(embed(X), rows)
    on_disk = [mne.io.read_raw_fif(path, verbose="error") for path in paths]
    assert_close(embed(on_disk), rows)
    assert_close(embed(on_disk[1]), rows[1:])
    assert not any(recording.preload for recording in on_disk)


def test_epochs_on_disk(embed, tmp_path):
    """Epochs that were not loaded stay so."""
    epochs = noise_epochs(5)
    epochs.save(tmp_path / "some-epo.fif", fmt="double", verbose="error")
    on_disk = mne.read_epochs(tmp_path / "some-epo.fif", preload=False, verbose="error")
    assert_close(embed(on_disk), embed(epochs))
    assert not on_disk.preload
    assert_close(embed([tmp_path / "some-epo.fif"]), embed(epochs))


def test_epochs_from_raw_that_drop_some(embed):
    """Epochs cut lazily, some of them under a bad span: those that are left are the samples."""
    recording = annotate(raw(duration=6.0), (2.2, 0.5, "BAD_jump"))
    events = np.c_[np.arange(5) * 128, np.zeros(5, int), np.ones(5, int)]
    epochs = mne.Epochs(recording, events, tmin=0, tmax=0.9, baseline=None, verbose="error")
    assert_close(embed(epochs), embed(epochs.copy().load_data()))
    assert embed(epochs).shape[0] == 4


def test_two_dimensional(embed):
    """One-channel series, as array, table or nested list."""
    X = noise_epochs(5).get_data()[:, 0]
    info = mne.create_info(["x"], 128.0, "eeg")
    rows = embed(X, info=info)
    assert rows.shape == (5, 16 * 32)
    assert_close(embed(X.tolist(), info=info), rows)
    assert_close(embed(pd.DataFrame(X, columns=[f"t{i}" for i in range(128)]), info=info), rows)
    assert_far(embed(2 * X, info=info), rows)


def test_eeg_and_meg(embed):
    """Both are read; changing either changes the row; PairedSignals are the same."""
    recording = raw(kind="eeg+meg", n_channels=6)
    rows = embed(recording)
    for kind in ("eeg", "mag", "grad"):
        picks = mne.channel_indices_by_type(recording.info)[kind]
        changed = recording.copy()
        changed._data[picks] *= 1.5
        assert_far(embed(changed), rows)
    paired = from_raw(recording)
    assert isinstance(paired, PairedSignals) and list(paired.by_modality) == ["eeg", "meg"]
    assert_close(embed(paired), rows)
    assert_close(embed([paired, paired.by_modality["eeg"]])[:1], rows)
    assert_far(embed(paired.by_modality["meg"]), rows)


def test_mixed_montages(embed):
    """Rates, lengths, montages and modalities differ; each row is as alone."""
    items = [
        raw(0),
        raw(1, sfreq=250.0),
        raw(2, duration=2.5),
        raw(3, n_channels=9),
        raw(4, kind="meg", n_channels=6),
        raw(5, kind="eeg+meg"),
        raw(6),
        noise_epochs(2),
        noise_epochs(1, n_times=90, tmin=-0.2),
    ]
    together = embed(items)
    alone = np.concatenate([embed(item) for item in items])
    assert together.shape == (10, 16 * 32)
    assert_close(together, alone)


def test_features_are_as_many_for_every_input(embed):
    """Number of features is the same for every input type: one n_features."""
    info = noise_epochs(1).info
    for pooling, n in (("mean", 32), ("mean+std", 64), ("flatten", 16 * 32)):
        for X in (
            noise_epochs(1),
            noise_epochs(1, kind="meg"),
            noise_epochs(1, kind="eeg+meg"),
            raw(sfreq=200.0),
            [raw(n_channels=3), raw(duration=12.0)],
            np.random.default_rng(0).normal(size=(2, 6, 100)) * 2e-5,
        ):
            assert embed(X, pooling=pooling, info=info).shape[1] == n
        table = np.random.default_rng(0).normal(size=(2, 50)) * 2e-5
        series = embed(table, pooling=pooling, info=mne.create_info(1, 100.0, "eeg"))
        assert series.shape == (2, n)


def test_windows_are_averaged(embed):
    """A recording's row is the mean of its windows' rows."""
    recording = raw(duration=6.0, sfreq=256.0)
    # Neither filtered nor resampled: both would see across the cuts.
    whole = from_raw(recording).replace(highpass=1.0)
    windows = [
        whole.replace(data=whole.data[:, :, i * 512 : (i + 1) * 512], good_segments=None)
        for i in range(3)
    ]
    assert_close(embed(whole, window=2.0), embed(windows).mean(axis=0, keepdims=True))
    assert_far(embed(whole, window=2.0), embed(whole))


def test_blocks_are_bounded():
    """Whatever X, a block holds a bounded number of samples, recordings one at a time."""
    epochs, recordings = noise_epochs(70), [raw(i) for i in range(3)]
    for X, sizes in (
        (epochs, [32, 32, 6]),
        ([epochs[i] for i in range(70)], [32, 32, 6]),
        (recordings, [1, 1, 1]),
        ([recordings[0], epochs[:3], epochs[3:5]], [1, 5]),
    ):
        sources = open_samples(X)
        blocks = list(iter_windows(sources, Preprocessing(), n_at_once=32))
        assert [len(np.unique(block.sample)) for block in blocks] == sizes
        index = np.concatenate([block.sample for block in blocks])
        np.testing.assert_array_equal(np.unique(index), np.arange(count_samples(sources)))


# ----------------------------------------------------------------- what must not matter


def test_bad_channels(embed):
    """Info["bads"] set."""
    recording = raw()
    bad = recording.copy()
    bad.info["bads"] = recording.ch_names[:2]
    assert_close(embed(bad), embed(recording.copy().drop_channels(recording.ch_names[:2])))
    assert_far(embed(bad), embed(recording))


@pytest.mark.filterwarnings("ignore:.*without a position:RuntimeWarning")
def test_spellings(embed):
    """Old and odd spellings get the same template position."""
    names = ["Fp1", "Fz", "T7", "T8", "P7", "P8"]
    odd = ["FP1", "fz", "T3", "T4", "T5", "EEG T6-REF"]
    data = np.random.default_rng(0).normal(size=(6, 512)) * 2e-5
    rows = {}
    for key, given in (("plain", names), ("odd", odd), ("other", [*names[:5], "Oz"])):
        # One channel has a position, so that names may stand in for the others'.
        info = mne.create_info(["Cz", *given], 128.0, "eeg")
        info["chs"][0]["loc"][:3] = [0.0, 0.0, 0.1]
        series = np.concatenate([data[:1] / 2, data])
        rows[key] = embed(mne.io.RawArray(series, info, verbose="error"))
    assert_close(rows["odd"], rows["plain"])
    assert_far(rows["other"], rows["plain"])


def test_other_channel_types(embed):
    """EOG, ECG, EMG, STIM, MISC and RESP never enter, whatever they hold."""
    recording, rng = raw(), np.random.default_rng(0)
    n = len(recording.times)
    extra = with_channels(
        recording,
        eog=rng.normal(size=n) * 1e-4,
        ecg=rng.normal(size=n) * 1e-3,
        emg=rng.normal(size=n) * 1e-4,
        stim=rng.integers(0, 9, n).astype(float),
        misc=rng.normal(size=n),
        resp=rng.normal(size=n),
    )
    rows = embed(recording)
    assert_close(embed(extra), rows)
    extra._data[-3] = np.nan  # the stimulus channel
    assert_close(embed(extra), rows)
    extra.rename_channels({"EOG 001": "FCz"}).set_channel_types({"FCz": "eeg"})
    with pytest.warns(RuntimeWarning, match="'FCz'. placed by name"):
        assert_far(embed(extra), rows)


def test_unsupported_channels_only(embed):
    """No supported channel (only MISC)."""
    info = mne.create_info(["a", "b"], 128.0, "misc")
    with pytest.raises(ValueError, match=r"types \['misc'\], accepted are 'eeg', 'mag'"):
        embed([mne.io.RawArray(np.zeros((2, 512)), info, verbose="error")])


@pytest.mark.parametrize("word", ["BAD_muscle", "bad", "BAD_ACQ_SKIP"])
def test_bad_spans(embed, word):
    """What lies in a span annotated as bad changes nothing."""
    recording = annotate(raw(), (1.0, 0.5, word))
    wild, zeros = recording.copy(), recording.copy()
    wild._data[:, 128:192] = 1.0
    zeros._data[:, 128:192] = 0.0
    rows = embed(recording)
    assert_close(embed(wild), rows)
    assert_close(embed(zeros), rows)
    assert_far(embed(wild.set_annotations(None)), rows)


def test_metadata(embed):
    """Metadata and event codes are neither used nor changed."""
    epochs = noise_epochs(4)
    rows = embed(epochs)
    epochs.metadata = pd.DataFrame({"label": list("abab"), "subject": list("xyxy")})
    before = epochs.metadata.copy()
    epochs.events[:, 2] = [7, 8, 9, 10]
    epochs.event_id = {"a": 7, "b": 8, "c": 9, "d": 10}
    assert_close(embed(epochs), rows)
    pd.testing.assert_frame_equal(epochs.metadata, before)


@pytest.mark.parametrize("form", ["raw", "epochs", "array", "table", "signals"])
def test_input_is_not_changed(embed, form):
    """Data, info and annotations are as before, and read-only arrays will do."""
    epochs, recording = noise_epochs(3), annotate(raw(), (0.5, 0.5, "BAD_x"))
    recording.info["bads"] = recording.ch_names[:1]
    info = epochs.info
    if form == "table":
        info = mne.create_info(1, 128.0, "eeg")
    data = {"array": epochs.get_data(), "table": epochs.get_data()[:, 0]}.get(form)
    X = {"raw": recording, "epochs": epochs, "signals": from_epochs(epochs)}.get(form, data)
    if isinstance(X, np.ndarray):
        X.flags.writeable = False

    def state():
        inner = X if isinstance(X, np.ndarray) else getattr(X, "_data", getattr(X, "data", None))
        marks = str(getattr(X, "annotations", "")) + str(getattr(X, "events", ""))
        return inner.tobytes(), repr(getattr(X, "info", info)), str(recording.annotations), marks

    before = state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(X, info=info)
    assert state() == before


def test_average_reference(embed):
    """Rank-deficient data give finite rows."""
    recording = raw().set_eeg_reference("average", verbose="error")
    assert np.isfinite(embed(recording)).all()


def test_low_sampling_rate(embed):
    """20 Hz (below what the model needs): warn/err naming sampling rate."""
    info = noise_epochs(1).info
    slow = mne.create_info(info["ch_names"], 20.0, "eeg").set_montage(info.get_montage())
    data = np.random.default_rng(0).normal(size=(1, 6, 100)) * 2e-5
    with pytest.warns(RuntimeWarning, match="sampling rate of 20 Hz"):
        assert np.isfinite(embed(data, info=slow)).all()


def test_sampling_rates_agree(embed):
    """The same signal at 200 and at 250 Hz has the same embedding."""
    rng = np.random.default_rng(0)
    names = noise_epochs(1).info["ch_names"]
    fine = mne.filter.filter_data(rng.normal(size=(6, 4000)), 1000.0, 1.0, 40.0, verbose="error")
    fine *= 2e-5 / fine.std()
    rows = {}
    for sfreq in (200.0, 250.0):
        info = mne.create_info(names, sfreq, "eeg").set_montage(noise_epochs(1).info.get_montage())
        rows[sfreq] = embed(fine[None, :, :: int(1000 / sfreq)], info=info, pooling="flatten")
    other = embed(rng.permutation(fine)[None, :, ::4], info=info, pooling="flatten")
    a, b = rows[200.0][0], rows[250.0][0]
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99
    assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(other - b)


# -------------------------------------------------------------------------------- refused


def test_types_that_are_refused(embed):
    """The error names the type that came and lists those that are accepted."""
    epochs = noise_epochs(2)
    for X in (
        None,
        {"eeg": raw()},
        {1, 2},
        (r for r in [raw()]),
        3,
        epochs.info,
        raw,
    ):
        with pytest.raises(TypeError, match=rf"{type(X).__name__}.*Accepted are mne.Epochs"):
            embed(X)
        if not isinstance(X, dict):  # in a list it is a record
            with pytest.raises(TypeError, match=rf"X\[1\].*{type(X).__name__}.*Accepted are"):
                embed([epochs, X])
    with pytest.raises(TypeError, match=r"one path.*a list of paths"):
        embed("sub-01_raw.fif")
    with pytest.raises(TypeError, match=r"X\[0\] is of type list"):
        embed([[raw()]])


def test_empty(embed):
    """Empty list: error: no samples."""
    for X in ([], (), np.array([], dtype=object), pd.Series([], dtype=object)):
        with pytest.raises(ValueError, match="no samples"):
            embed(X)
    with pytest.raises(ValueError, match=r"empty: shape \(0, 6, 128\)"):
        embed(np.zeros((0, 6, 128)), info=noise_epochs(1).info)
    with pytest.raises(ValueError, match="no epochs"):
        embed(noise_epochs(3)[:0])


def test_path_that_does_not_exist(embed, tmp_path):
    """Path that does not exist: FileNotFoundError naming it."""
    with pytest.raises(FileNotFoundError, match="nowhere_raw.fif"):
        embed([tmp_path / "nowhere_raw.fif"])


def test_broken_item_is_named(embed, tmp_path):
    """Which item of a list, and which file, at fit or when its batch comes."""
    good, path = raw(), tmp_path / "some_raw.fif"
    good.save(path, verbose="error")
    whole = path.read_bytes()
    (tmp_path / "header_raw.fif").write_bytes(whole[:300])
    (tmp_path / "data_raw.fif").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "text_raw.fif").write_text("no recording")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MNE says of them itself
        for name in ("header_raw.fif", "data_raw.fif", "text_raw.fif"):
            with pytest.raises(ValueError, match=rf"X\[1\].*{name}"):
                embed([path, tmp_path / name])
    with_nan = raw()
    with_nan._data[2, 5] = np.nan
    with pytest.raises(ValueError, match=rf"X\[1\].*{with_nan.ch_names[2]}"):
        embed([good, with_nan])
    with pytest.raises(ValueError, match=r"X\[2\].*0.1016 s.*minimum"):
        embed([good, good, raw(duration=0.1)])
    nowhere = raw()
    nowhere.rename_channels({name: f"CH_{i}" for i, name in enumerate(nowhere.ch_names)})
    nowhere.set_montage(None)
    with pytest.raises(ValueError, match=r"X\[1\].*CH_0.*set_montage"):
        embed([good, nowhere])
    with pytest.warns(RuntimeWarning, match="placed by order"):
        assert np.isfinite(embed(nowhere, missing_positions="placeholder")).all()


def test_arrays_that_are_refused(embed):
    """The reader's own words reach the user, never those of numpy."""
    epochs = noise_epochs(4)
    data, info = epochs.get_data(), epochs.info
    with pytest.raises(ValueError, match=r"info=mne\.create_info"):
        embed(data)
    with pytest.raises(ValueError, match=r"info=mne\.create_info"):
        embed(data[:, 0])
    with pytest.raises(TypeError, match=r"mne\.Info.*got str"):
        embed(data, info="standard")
    with pytest.raises(ValueError, match=r"transpose"):
        embed(data.transpose(0, 2, 1), info=info)
    with pytest.raises(ValueError, match=r"one shape: \[\(6, 128\), \(6, 100\)\].*from_array"):
        embed([data[0], data[1][:, :100]], info=info)
    with pytest.raises(ValueError, match=r"one shape: \['int', 'RawArray'\]"):
        embed([3, raw()])
    with pytest.raises(ValueError, match="microvolt"):
        embed(data * 1e6, info=info)
    with pytest.raises(ValueError, match="microvolt"):
        embed(from_array(data, info).replace(data=data * 1e6))
    with pytest.raises(ValueError, match="dtype object"):
        embed(data.astype(object), info=info)


def test_sizes_are_plausible():
    """Guards the simulations of this folder: amplitudes are those of recordings."""
    assert np.isclose(noise_epochs(8).get_data().std(), SIZE["eeg"], rtol=0.05)
