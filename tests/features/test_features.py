"""Blocks of numbers without a network: literal twins, laws, and what is refused."""

from __future__ import annotations

import json

import mne
import numpy as np
import pytest
from make_places import electrode_rows
from mne.channels.interpolation import _make_interpolation_matrix
from scipy.linalg import logm

from brainof_toolbox import (
    PairedSignals,
    Preprocessing,
    Signals,
    datasets,
    from_array,
    from_epochs,
    from_raw,
)
from brainof_toolbox.features import (
    BAND_BANK,
    Covariance,
    Evoked,
    VirtualChannels,
    available,
    get_blocks,
)
from brainof_toolbox.features.maps import HEAD_CENTRE
from brainof_toolbox.preprocessing import preprocess

PREPROCESSING = Preprocessing(sfreq=128.0)
BLOCKS = [Covariance(), Evoked()]
KINDS = ("eeg", "meg", "fmri")
each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
each_kind = pytest.mark.parametrize("kind", KINDS)


def _prepare(signals):
    return preprocess(signals, PREPROCESSING).signals


@pytest.fixture(scope="module")
def windows():
    """Preprocessed windows of each modality, by name."""
    found = {}
    for kind, n_channels in (("eeg", 32), ("meg", 60)):
        epochs = datasets.make_epochs(kind, n_epochs=4, n_channels=n_channels, random_state=0)
        found[kind] = _prepare(from_array(epochs.get_data(), epochs.info))
    rng = np.random.default_rng(0)
    place = rng.uniform(-0.06, 0.06, (80, 3)) + HEAD_CENTRE
    near = np.exp(-((place[:, None] - place[:12]) ** 2).sum(2) / (2 * 0.03**2))
    data = near @ rng.normal(size=(3, 12, 90)) + 0.3 * rng.normal(size=(3, 80, 90))
    names = [f"region {i}" for i in range(80)]
    trials = Signals(data, 0.5, "fmri", names, ["bold"] * 80, place, has_baseline=True)
    found["fmri"] = _prepare(trials)
    return found


def _pick(signals, keep):
    take = lambda values: [values[i] for i in keep]  # noqa: E731
    return signals.replace(
        data=signals.data[:, keep],
        ch_names=take(signals.ch_names),
        ch_types=take(signals.ch_types),
        ch_pos=signals.ch_pos[keep],
        ch_ori=signals.ch_ori[keep],
    )


def _cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


# -------------------------------------------------------------------------------- literal twins
def test_splines_are_those_of_mne(windows):
    """And the average reference over the virtual channels."""
    virtual = VirtualChannels(32)
    places, weights = virtual.positions(windows["eeg"]), virtual.weights
    pos = windows["eeg"].ch_pos.astype(float)
    wanted = _make_interpolation_matrix(pos - HEAD_CENTRE, places - HEAD_CENTRE, 1e-5)
    np.testing.assert_allclose(weights(windows["eeg"]), wanted - wanted.mean(0), atol=1e-6)


def test_covariance_is_the_logarithm_of_band_power(windows):
    """With loops over frequencies, and scipy's logarithm."""
    block = Covariance(n_channels=5, bands=((8.0, 12.0), (20.0, 30.0)), shrinkage=0.1)
    signals = windows["eeg"]
    x = block.virtual.transform(signals)[1]
    n_times = x.shape[1]
    # The taper by its formula: a tenth of the sample rises, a tenth falls.
    t = np.arange(n_times) / n_times
    ramp = lambda part: 0.5 * (1 - np.cos(np.pi * np.clip(part / 0.1, 0, 1)))  # noqa: E731
    taper = ramp(t) * ramp(1 - t)
    x = (x - x.mean(1, keepdims=True)) * taper
    row = []
    for low, high in block.bands:
        matrix = np.zeros((5, 5))
        for k in range(n_times // 2):
            if low <= k * 128 / n_times < high:
                line = x @ np.exp(-2j * np.pi * k * np.arange(n_times) / n_times)
                matrix += 2 * np.outer(line, line.conj()).real / n_times / (taper**2).sum()
        log = logm(matrix + 0.1 * np.trace(matrix) / 5 * np.eye(5))
        row += [log[i, j] * (1 if i == j else 2**0.5) for i in range(5) for j in range(i, 5)]
    np.testing.assert_allclose(block.compute(signals)[1], row, rtol=1e-4, atol=1e-4)


def test_correlations_are_those_of_weighted_regions(windows):
    block = Covariance(n_regions=6, kernel=0.02)
    signals = windows["fmri"]
    series = signals.data[2].astype(float)
    series = (series - series.mean(1, keepdims=True)) / series.std(1, keepdims=True)
    places = []
    for place in block.virtual.positions(signals):
        square = [((place - pos) ** 2).sum() for pos in signals.ch_pos.astype(float)]
        weights = np.exp(-np.array(square) / (2 * 0.02**2))
        places.append(np.average(series, axis=0, weights=weights))
    r = np.corrcoef(places)
    wanted = [np.arctanh(0.99 * r[i, j]) for i in range(6) for j in range(i + 1, 6)]
    np.testing.assert_allclose(block.compute(signals)[2], wanted, rtol=1e-4, atol=1e-5)


def test_course_is_a_gaussian_mean_around_each_bin(windows):
    block, signals = Evoked(n_channels=3, bin_width=0.25), windows["eeg"]
    x = block.virtual.transform(signals)[0]
    times = (np.arange(signals.shape[2]) + 0.5) / 128
    wanted = [
        np.average(x[i], weights=np.exp(-((times - centre) ** 2) / (2 * 0.125**2)))
        for i in range(3)
        for centre in np.arange(0.125, 2, 0.25)
    ]
    np.testing.assert_allclose(block.compute(signals)[0], wanted, atol=1e-5)
    assert block.columns(signals)[:2] == ("125 ms F7", "375 ms F7")


def test_mean_and_slope_of_regions(windows):
    """A line from -1 to 3 has the mean 1 and the slope 4."""
    signals = windows["fmri"]
    line = np.broadcast_to(np.linspace(-1, 3, 90), signals.shape)
    rows = Evoked(n_regions=10).compute(signals.replace(data=line))
    np.testing.assert_allclose(rows, np.repeat([[1.0] * 10 + [4.0] * 10], 3, axis=0), atol=1e-5)


def test_radial_magnetometers_find_their_own_field(windows):
    """Where sensors are the virtual ones, the field of dipoles comes back."""
    epochs = datasets.make_epochs("meg", n_epochs=2, n_channels=306, line_freq=None)
    signals = _prepare(from_array(epochs.get_data(), epochs.info))
    virtual = VirtualChannels()
    whole = virtual.transform(signals)
    for kind in ("mag", "grad"):
        part = _pick(signals, np.flatnonzero(np.array(signals.ch_types) == kind))
        found = virtual.transform(part)
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(whole[0], found[0], strict=True)]
        assert np.median(r) > 0.9, kind
        assert 0.7 < found.std() / whole.std() < 1.3


# ----------------------------------------------------------------------------------------- laws
@each_kind
@each_block
def test_rows_have_named_columns_and_ignore_other_samples(block, kind, windows):
    signals = windows[kind]
    rows, names = block.compute(signals), block.columns(signals)
    assert rows.dtype == np.float32 and rows.shape == (len(signals), len(names))
    assert len(set(names)) == len(names) and np.isfinite(rows).all()
    assert isinstance(block.version, int)
    np.testing.assert_allclose(block.compute(signals[1])[0], rows[1], atol=1e-5)


@each_kind
@each_block
def test_order_of_channels_does_not_matter(block, kind, windows):
    signals = windows[kind]
    order = np.random.default_rng(1).permutation(signals.shape[1])
    rows = block.compute(signals)
    np.testing.assert_allclose(block.compute(_pick(signals, order)), rows, atol=2e-4)


@pytest.mark.parametrize(("kind", "least"), [("eeg", 0.97), ("meg", 0.97), ("fmri", 0.75)])
def test_fewer_channels_give_nearly_the_same(kind, least, windows):
    signals = windows[kind]
    kept = np.sort(np.random.default_rng(2).permutation(signals.shape[1])[signals.shape[1] // 5 :])
    block = Covariance()
    assert _cosine(block.compute(_pick(signals, kept)), block.compute(signals)) > least


@each_block
def test_sampling_rate_does_not_matter(block):
    epochs = datasets.make_epochs(n_epochs=3, n_channels=20, sfreq=1000.0, line_freq=None)
    epochs = epochs.filter(None, 55, verbose="error")
    rows = []
    for sfreq in (200.0, 250.0):
        data = mne.filter.resample(epochs.get_data(), sfreq, 1000.0, verbose="error")
        info = mne.create_info(epochs.ch_names, sfreq, "eeg").set_montage(epochs.get_montage())
        signals = from_array(data, info)
        rows.append(block.compute(signals.replace(data=signals.data / 2e-5)))
    assert _cosine(*rows) > 0.99


@pytest.mark.parametrize("kind", ["eeg", "meg"])
def test_gain_moves_the_diagonal_alone(kind, windows):
    block, signals = Covariance(bands=((8.0, 30.0),)), windows[kind]
    change = block.compute(signals.replace(data=3 * signals.data)) - block.compute(signals)
    names = [column.split(" Hz ")[1].split(" x ") for column in block.columns(signals)]
    diagonal = [a == b for a, b in names]
    assert sum(diagonal) == block.n_channels
    wanted = np.where(diagonal, 2 * np.log(3), 0.0)
    np.testing.assert_allclose(change, np.broadcast_to(wanted, change.shape), atol=1e-4)


def test_amplitude_of_regions_does_not_matter(windows):
    signals = windows["fmri"]
    gain = np.random.default_rng(3).uniform(1, 100, (1, signals.shape[1], 1))
    changed = signals.replace(data=gain * signals.data + 1000)
    np.testing.assert_allclose(
        Covariance().compute(changed), Covariance().compute(signals), atol=2e-2
    )


@pytest.mark.parametrize("kind", ["eeg", "fmri"])
@each_block
def test_montages_and_atlases_have_equal_columns(block, kind, windows):
    """Another number of channels, other names, other places: the same columns, similar rows."""
    whole = windows[kind]
    part = _pick(whole, np.arange(0, whole.shape[1], 2))
    part = part.replace(ch_names=[f"X{i}" for i in range(part.shape[1])])
    assert block.columns(part) == block.columns(whole)
    assert _cosine(block.compute(part), block.compute(whole)) > 0.6


@each_block
def test_the_reference_of_the_recording_does_not_matter(block):
    """From volts on: average, one electrode, a distant one with drifts."""
    epochs = datasets.make_epochs(n_epochs=3, n_channels=20, random_state=0)
    data, drift = epochs.get_data(), np.random.default_rng(0).normal(size=(3, 1, 256))
    rows = []
    for common in (0, data.mean(1, keepdims=True), data[:, 5:6] / 2, 3e-5 * drift + 1e-3):
        rows.append(block.compute(_prepare(from_array(data - common, epochs.info))))
        np.testing.assert_allclose(rows[-1], rows[0], atol=2e-3)
    assert np.abs(rows[0]).max() > 0.5


def test_derivations_have_no_place_among_electrodes(windows):
    """They get no weight beside electrodes; alone, they are interpolated as they are."""
    signals, virtual = windows["eeg"], VirtualChannels(16)
    names = ["Fp1-F7", "F7-T7", *signals.ch_names[2:]]
    weights = virtual.weights(signals.replace(ch_names=names))
    assert not weights[:, :2].any()
    rest = virtual.weights(_pick(signals, np.arange(2, 32)))
    np.testing.assert_allclose(weights[:, 2:], rest, atol=1e-12)
    chain = _pick(signals, np.arange(4))
    for names in (["Fp1-F7", "F7-T7", "T7-P7", "P7-O1"], ["Fp1-F7", "F7-T7", "Cz", "Pz"]):
        weights = virtual.weights(chain.replace(ch_names=names))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)  # no average reference


@each_block
def test_reference_does_not_matter(block, windows):
    signals = windows["eeg"]
    other = signals.replace(data=signals.data - signals.data[:, 5:6])
    np.testing.assert_allclose(block.compute(other), block.compute(signals), atol=1e-3)


@each_kind
@each_block
def test_one_channel_and_flat_samples_are_finite(block, kind, windows):
    one = _pick(windows[kind], [0])
    n_columns = len(block.columns(windows[kind]))
    for signals in (one, one.replace(data=0 * one.data), _flat_channel(windows[kind])):
        rows = block.compute(signals)
        assert np.isfinite(rows).all() and rows.shape[1] == n_columns


def _flat_channel(signals):
    data = signals.data.copy()
    data[:, 3] = 0
    return signals.replace(data=data)


def test_without_full_rank(windows):
    """Every channel twice, and all of one signal."""
    signals = windows["eeg"]
    half = np.arange(32) // 2
    twice = signals.replace(data=signals.data[:, half], ch_pos=signals.ch_pos[half])
    common = signals.replace(data=np.repeat(signals.data[:, :1], 32, axis=1))
    for case in (twice, common):
        rows = Covariance(n_channels=32).compute(case)
        assert np.isfinite(rows).all() and np.abs(rows).max() < 20


@pytest.mark.parametrize("place", [HEAD_CENTRE, [0, 0, 0], [0.2, 0.2, 0.2]])
@each_kind
@each_block
def test_odd_positions_are_finite(block, kind, place, windows):
    """All sensors at one place: the centre, between the ears, far out."""
    signals = windows[kind]
    odd = signals.replace(ch_pos=np.tile(place, (signals.shape[1], 1)))
    assert np.isfinite(block.compute(odd)).all()


def test_short_samples_have_every_band(windows):
    short = windows["eeg"].replace(data=windows["eeg"].data[:, :, :32], good_segments=None)
    rows = Covariance(bands=BAND_BANK).compute(short)
    assert np.isfinite(rows).all() and rows.min() > -14


def test_flat_regions_leave_their_places_to_neighbours(windows):
    signals = windows["fmri"]
    flat = _flat_channel(signals)
    without = _pick(signals, [i for i in range(80) if i != 3])
    np.testing.assert_allclose(
        Covariance().compute(flat), Covariance().compute(without), atol=1e-3
    )


# ------------------------------------------------------------------------ own regions, samples
def test_own_regions_are_their_own_correlations(windows):
    signals = windows["fmri"]
    block = Covariance(regions="own")
    r = np.corrcoef(signals.data[1].astype(float))
    i, j = np.triu_indices(80, 1)
    np.testing.assert_allclose(block.compute(signals)[1], np.arctanh(0.99 * r[i, j]), atol=1e-5)
    assert block.columns(signals)[:2] == ("region 0 x region 1", "region 0 x region 2")
    assert block.fingerprint()["regions"] == "own"
    rows = Evoked(regions="own").compute(signals)
    np.testing.assert_allclose(rows[:, :80], signals.data.mean(axis=2), atol=1e-5)
    for kind in ("eeg", "meg"):  # they have places only
        a, b = (Covariance(regions=regions) for regions in ("own", "places"))
        np.testing.assert_array_equal(a.compute(windows[kind]), b.compute(windows[kind]))


def test_rows_of_samples_are_means_over_windows():
    """Written as a loop; samples of a missing modality are not read."""
    raw = datasets.make_raw(n_channels=8, duration=12)
    signals = from_raw(raw, window=4.0)
    cut = preprocess(signals, PREPROCESSING, window=1.5)
    assert cut.sample.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    block = Covariance(n_channels=5)
    by_window = block.compute(cut.signals).astype(float)
    wanted = np.array([by_window[cut.sample == i].mean(axis=0) for i in range(3)])
    np.testing.assert_allclose(block.compute_samples(cut), wanted, atol=1e-5)
    rows = block.compute_samples(cut, is_missing=[False, True, False])
    np.testing.assert_allclose(rows[[0, 2]], wanted[[0, 2]], atol=1e-5)
    assert rows.dtype == np.float32 and np.isnan(rows[1]).all()
    assert np.isnan(block.compute_samples(cut, is_missing=[True] * 3)).all()


def test_a_modality_that_is_missing_does_not_reach_the_other(windows):
    """The parts of paired samples are computed one by one."""
    eeg, fmri = windows["eeg"][:3], windows["fmri"]
    paired = PairedSignals({"eeg": eeg, "fmri": fmri}, {"eeg": [False, True, False]})
    blank = eeg.replace(data=eeg.data * np.array([1, 0, 1])[:, None, None])
    for item in (eeg, blank):
        part = PairedSignals({"eeg": item, "fmri": fmri}, paired.is_missing).by_modality["eeg"]
        rows = Covariance().compute_samples(
            preprocess(part, PREPROCESSING), paired.is_missing["eeg"]
        )
        assert np.isnan(rows[1]).all() and np.isfinite(rows[[0, 2]]).all()


# ---------------------------------------------------------------------------- choosing blocks
def test_blocks_by_name_and_fingerprint():
    blocks = get_blocks(("covariance", "evoked"))
    assert list(blocks) == ["covariance", "evoked"] and blocks == get_blocks()
    assert get_blocks("evoked") == {"evoked": Evoked()}
    block = Covariance(n_channels=8, bands=((8.0, 30.0),), regions="own")
    stored = json.loads(json.dumps(block.fingerprint()))
    assert stored["name"] == "covariance" and stored["version"] == Covariance.version
    assert get_blocks([stored]) == get_blocks([block]) == {"covariance": block}
    assert Covariance().fingerprint() != stored


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ("power", ValueError, "'covariance' or 'evoked', got 'power'"),
        (["evoked", Evoked(bin_width=0.1)], ValueError, "'evoked' occurs twice"),
        ([3], TypeError, "name, a Block or its fingerprint"),
        ({"version": 1}, ValueError, "got None"),
        ({"name": "evoked", "version": 99}, ValueError, "version 1 here, and version 99"),
        ({"name": "evoked", "version": 1, "bins": 3}, ValueError, "Unknown parameter .*'bins'"),
    ],
)
def test_unknown_blocks_are_refused(wrong, error, match):
    with pytest.raises(error, match=match):
        get_blocks(wrong)


def test_recordings_and_their_windows_have_no_evoked_course(windows):
    """Nor have windows that were cut out of epochs, and fMRI that was standardised by itself."""
    epochs = from_epochs(datasets.make_epochs(n_epochs=2, n_channels=8))
    raw = from_raw(datasets.make_raw(n_channels=8, duration=12))
    assert list(available(epochs)) == ["covariance", "evoked"]
    unlocked = [raw, preprocess(raw, PREPROCESSING, window=4.0).signals]
    unlocked += [from_raw(datasets.make_raw(n_channels=8, duration=12), window=4.0)]
    unlocked += [preprocess(epochs, PREPROCESSING, window=0.5).signals]
    unlocked += [windows["fmri"].replace(has_baseline=False)]
    for signals in unlocked:
        assert list(available(signals)) == ["covariance"]
    for signals, words in ((unlocked[1], "is_locked"), (unlocked[-1], "standardised by itself")):
        with pytest.raises(ValueError, match=f"'evoked' does not apply: .*{words}"):
            Evoked().compute(signals)
    assert list(available(epochs, Evoked(bin_width=0.1)).values()) == [Evoked(bin_width=0.1)]


# ----------------------------------------------------------------------------------- what is asked
def test_virtual_electrodes_are_those_of_the_template(windows):
    rows = {line.split()[0]: np.array(line.split()[1:], float) for line in electrode_rows()}
    virtual, eeg = VirtualChannels(32), windows["eeg"]
    for name, place in zip(virtual.names(eeg), virtual.positions(eeg), strict=True):
        np.testing.assert_allclose(1e3 * place, rows[name], atol=1.01)


def test_virtual_regions_are_spread(windows):
    for n_regions, least in ((100, 0.012), (300, 0.012)):
        places = VirtualChannels(n_regions=n_regions).positions(windows["fmri"])
        gap = np.linalg.norm(places[:, None] - places, axis=2)
        assert gap[np.triu_indices(n_regions, 1)].min() > least


@each_block
def test_signals_before_preprocessing_are_refused(block, windows):
    signals = windows["eeg"]
    with pytest.raises(ValueError, match="SI units"):
        block.compute(signals.replace(data=2e-5 * signals.data))
    with pytest.raises(ValueError, match="windows first"):
        block.compute(signals.replace(good_segments=[(0, 50), (60, 200)]))


@each_kind
@each_block
def test_positions_in_millimetres_are_refused(block, kind, windows):
    signals = windows[kind]
    with pytest.raises(ValueError, match=f"'{signals.ch_names[0]}' lies at .* metres"):
        block.compute(signals.replace(ch_pos=1e3 * signals.ch_pos))


def test_what_else_is_refused(windows):
    paired = PairedSignals({"eeg": windows["eeg"]})
    with pytest.raises(TypeError, match="PairedSignals"):
        Covariance().compute(paired)
    with pytest.raises(ValueError, match="at least 90 Hz, got 80 Hz"):
        Covariance().compute(windows["eeg"].replace(sfreq=80.0))
    grads = np.flatnonzero(np.array(windows["meg"].ch_types) == "grad")
    grads = _pick(windows["meg"], grads)
    with pytest.raises(ValueError, match="none has an orientation"):
        Covariance().compute(grads.replace(ch_ori=np.zeros((len(grads.ch_names), 3))))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n_channels": 0}, "n_channels"),
        ({"n_channels": 33}, "n_channels"),
        ({"n_regions": 301}, "n_regions"),
        ({"kernel": 6.0}, "kernel"),
        ({"regions": "atlas"}, "regions"),
        ({"shrinkage": 0.0}, "shrinkage"),
        ({"bands": ()}, "bands"),
        ({"bands": ((8.0, 8.0),)}, "bands"),
        ({"bands": ((8.0, 12.0, 30.0),)}, "bands"),
    ],
)
def test_parameters_out_of_bounds_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        Covariance(**wrong)


def test_maps_of_a_montage_are_kept(windows):
    """The second call gives the same matrix, and another montage its own."""
    virtual = VirtualChannels()
    weights = virtual.weights(windows["eeg"])
    assert virtual.weights(windows["eeg"]) is weights
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1.0
    fewer = windows["eeg"].replace(
        **{
            name: getattr(windows["eeg"], name)[:-1]
            for name in ("ch_names", "ch_types", "ch_pos", "ch_ori")
        },
        data=windows["eeg"].data[:, :-1],
    )
    assert virtual.weights(fewer).shape[1] == weights.shape[1] - 1
