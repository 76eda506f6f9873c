"""The classical decoders of records: descriptions, shared channels, whole pipelines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from brainof_toolbox import PairedSignals, cross_validate, from_epochs
from brainof_toolbox.baselines.arrays import BANDS
from brainof_toolbox.baselines.records import (
    DescribeRecords,
    SharedChannels,
    make_record_baselines,
)
from brainof_toolbox.datasets import make_epochs, make_paired_recordings, make_paired_signals

SMALL = {"montage": 8, "n_meg": 6, "sfreq": 100.0}


@pytest.fixture(scope="module")
def runs():
    """Three whole runs as records of one-sample Signals; voxels so large that regions vanish."""
    with pytest.warns(RuntimeWarning, match="no data"):
        made = make_paired_recordings(3, duration=20.0, voxel_size=16, output="signals", **SMALL)
    return made.records


@pytest.fixture(scope="module")
def trials():
    """Six subjects, ten samples each, every modality sees the label."""
    return make_paired_signals(10, n_subjects=6, views="shared", random_state=1, **SMALL)


def _naive_power(signals, unit):
    """Log of the mean Welch power in each band, channel by channel."""
    table = []
    for row in signals.data[0].astype(float) / unit:
        freqs, power = welch(row, signals.sfreq, nperseg=int(2 * signals.sfreq))
        bands = [power[(freqs >= a) & (freqs < b)].mean() for a, b in BANDS.values()]
        table.append(np.log(np.array(bands) + 1e-12))
    return np.array(table)


def test_descriptions_equal_naive_ones(runs):
    """Band power of electrodes and correlations of regions, one record at a time."""
    described = DescribeRecords(("fmri", "eeg")).fit(runs).transform(runs)
    for record, sample in zip(runs, described, strict=True):
        assert set(sample) == {"fmri", "eeg"}
        names, power, is_pairs = sample["eeg"]
        assert names == record["eeg"].ch_names and not is_pairs
        np.testing.assert_allclose(power, _naive_power(record["eeg"], 1e-5), rtol=1e-10)
        names, pairs, is_pairs = sample["fmri"]
        bold = record["fmri"].data[0].astype(float)
        assert names == record["fmri"].ch_names and is_pairs
        for i, j in ((0, 1), (3, 7), (10, 2)):
            r = np.mean((bold[i] - bold[i].mean()) * (bold[j] - bold[j].mean()))
            r /= bold[i].std() * bold[j].std()
            assert pairs[i, j] == pytest.approx(np.arctanh(r), abs=1e-10)


def test_coils_have_their_own_units(runs):
    """Magnetometers and gradiometers keep apart by a fixed factor, each by its own."""
    (sample, *_) = DescribeRecords(("meg",)).transform(runs[:1])
    kinds, power = np.array(runs[0]["meg"].ch_types), sample["meg"][1]
    for kind, unit in (("mag", 1e-13), ("grad", 1e-12)):
        expected = _naive_power(runs[0]["meg"], unit)
        np.testing.assert_allclose(power[kinds == kind], expected[kinds == kind], rtol=1e-10)


def test_trials_of_fmri_are_their_means(trials):
    """A trial that was standardised over its run is described by its level."""
    signals, *_ = trials
    described = DescribeRecords(("fmri",)).transform(signals)
    means = np.stack([sample["fmri"][1][:, 0] for sample in described])
    np.testing.assert_allclose(means, signals.parts["fmri"].data.mean(axis=2), atol=1e-6)
    assert not described[0]["fmri"][2]


def test_a_description_depends_on_its_sample_alone(runs):
    describe = DescribeRecords(("fmri", "eeg", "meg"))
    together, alone = describe.transform(runs), describe.transform(runs[2:])[0]
    for name in ("fmri", "eeg", "meg"):
        np.testing.assert_array_equal(together[2][name][1], alone[name][1])


@pytest.mark.parametrize("form", ["epochs", "list of epochs", "signals"])
def test_forms_of_samples(form):
    """Epochs, one-epoch Epochs and Signals of the same data: the same description."""
    epochs = make_epochs(n_epochs=3, n_channels=5, duration=2.0)
    expected = DescribeRecords(("eeg",)).transform(from_epochs(epochs))
    X = {"epochs": epochs, "list of epochs": [epochs[i] for i in range(3)]}
    found = DescribeRecords(("eeg",)).transform(X.get(form, from_epochs(epochs)))
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one["eeg"][1], other["eeg"][1])
    assert not np.allclose(found[0]["eeg"][1], found[1]["eeg"][1])


def test_what_is_missing_is_not_described(runs, trials):
    """Keys that are absent or None, and samples marked as missing."""
    records = [{**runs[0], "meg": None}, {k: v for k, v in runs[1].items() if k != "eeg"}]
    described = DescribeRecords(("eeg", "meg")).transform(records)
    assert [set(sample) for sample in described] == [{"eeg"}, {"meg"}]
    only_fmri = {"fmri": runs[2]["fmri"], "subject": "03"}
    assert DescribeRecords(("eeg",)).transform([only_fmri]) == [{}]
    signals = trials[0][:3]
    lacks = {"eeg": np.array([False, True, False])}
    marked = PairedSignals(signals.parts, is_missing=lacks)
    assert ["eeg" in s for s in DescribeRecords(("eeg",)).transform(marked)] == [True, False, True]


def _sample(names, scale=1.0, n_bands=2, modality="eeg"):
    values = scale * np.arange(1, 1 + len(names) * n_bands, dtype=float).reshape(-1, n_bands)
    return {modality: (tuple(names), values, False)}


def test_shared_channels_are_those_of_all_training_samples():
    """In the order of the first, wherever the others have them; NaN where a test sample lacks."""
    shared = SharedChannels(("eeg",)).fit([_sample("abc"), _sample("dcb", 10)])
    assert shared.ch_names_ == {"eeg": ["b", "c"]}
    rows = shared.transform([_sample("abc"), _sample("dcb", 10), _sample("xc"), {}])
    np.testing.assert_array_equal(rows[0], [3, 4, 5, 6])
    np.testing.assert_array_equal(rows[1], [50, 60, 30, 40])
    np.testing.assert_array_equal(rows[2], [np.nan, np.nan, 3, 4])
    assert np.isnan(rows[3]).all() and rows.shape == (4, 4)


def test_shared_pairs_of_regions():
    """Correlations follow their two names; each pair stands once."""
    names, matrix = ("a", "b", "c"), np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])
    turned = ("c", "a", "b")
    order = [names.index(name) for name in turned]
    samples = [
        {"fmri": (names, matrix, True)},
        {"fmri": (turned, matrix[np.ix_(order, order)], True)},
    ]
    shared = SharedChannels(("fmri",)).fit(samples)
    np.testing.assert_array_equal(shared.transform(samples), [[1, 2, 3], [1, 2, 3]])
    without_b = {"fmri": (("a", "c"), np.array([[9.0, 2], [2, 9]]), True)}
    np.testing.assert_array_equal(shared.transform([without_b])[0], [np.nan, 2, np.nan])


def test_fewer_bands_are_missing_values():
    """A recording sampled too slowly for the highest band lacks that band alone."""
    shared = SharedChannels(("eeg",)).fit([_sample("ab", n_bands=3), _sample("ab", n_bands=2)])
    rows = shared.transform([_sample("ab", n_bands=3), _sample("ab", n_bands=2)])
    np.testing.assert_array_equal(np.isnan(rows), [[False] * 6, [False, False, True] * 2])


@pytest.mark.parametrize(
    "samples, words",
    [([{}, {}], "No training sample has eeg"), ([_sample("ab"), _sample("cd")], "share no eeg")],
)
def test_nothing_shared_is_an_error(samples, words):
    with pytest.raises(ValueError, match=words):
        SharedChannels(("eeg",)).fit(samples)


def test_one_decoder_per_modality_and_one_of_all():
    assert list(make_record_baselines(["eeg"])) == ["eeg: band power"]
    every = make_record_baselines(["meg", "fmri", "eeg"])
    assert list(every) == ["fmri: regions", "eeg: band power", "meg: band power", "all classical"]
    assert every["all classical"][0].modalities == ("fmri", "eeg", "meg")


def test_decoders_find_a_shared_effect_in_unseen_subjects(trials):
    """Far above chance with the effect, and at chance with labels that mean nothing."""
    signals, y, groups = trials
    shuffled = np.concatenate(
        [np.random.default_rng(i).permutation(y[groups == g]) for i, g in enumerate(set(groups))]
    )
    decoders = make_record_baselines(signals.parts)
    assert len(decoders) == 1 + len(signals.parts) > 1
    for name, decoder in decoders.items():
        assert cross_validate(decoder, signals, y, groups=groups).mean > 0.75, name
        nothing = cross_validate(decoder, signals, shuffled, groups=groups).mean
        assert 0.25 < nothing < 0.75, name


def test_decoders_work_where_modalities_are_missing():
    """Every sample is scored; what is missing is filled in from training samples."""
    signals, y, groups = make_paired_signals(
        10, n_subjects=6, views="shared", missing=0.3, random_state=2, **SMALL
    )
    assert any(lacks.any() for lacks in signals.is_missing.values())
    decoder = make_record_baselines(signals.parts)["all classical"]
    scores = cross_validate(decoder, signals, y, groups=groups)
    assert sorted(scores.predictions["sample"]) == list(range(len(y))) and scores.mean > 0.7
    assert np.isfinite(decoder.fit(signals, y)[:-1].transform(signals)).all()


def test_records_lacking_modalities_cross_validate(runs):
    """Records of several forms: a dict that lacks MEG, one that lacks EEG and fMRI."""
    records = [{**runs[i % 3], "subject": f"{i:02d}"} for i in range(6)]
    records[1]["meg"] = None
    del records[2]["eeg"], records[2]["fmri"]
    y = np.array(["a", "b"] * 3)
    decoder = make_record_baselines(("fmri", "eeg", "meg"))["all classical"]
    scores = cross_validate(decoder, records, y)
    assert len(scores.predictions) == 6 and set(scores.predictions["predicted"]) <= {"a", "b"}


def test_regression_follows_a_graded_target(trials):
    """A target that band power carries exactly is found in subjects that were left out."""
    signals, _, groups = trials
    described = DescribeRecords(("eeg",)).transform(signals)
    target = np.array([sample["eeg"][1][:, 2].mean() for sample in described])
    decoder = make_record_baselines(("eeg",), is_regression=True)["eeg: band power"]
    scores = cross_validate(decoder, signals, target, groups=groups)
    assert scores.metric == "mean_absolute_error" and scores.mean < 0.3 * scores.chance
    assert scores.folds["r"].min() > 0.9
