"""The classical decoders: features of channels, shared channels, projections, pipelines."""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.linalg import logm
from scipy.signal import butter, sosfiltfilt, welch
from sklearn.base import clone
from sklearn.covariance import OAS

from brainof_toolbox import (
    PairedSignals,
    baselines,
    compare,
    cross_validate,
    from_epochs,
    from_raw,
)
from brainof_toolbox.baselines.channels import (
    BANDS,
    ChannelFeatures,
    Description,
    SharedChannels,
    averaged_samples,
    band_covariances,
)
from brainof_toolbox.baselines.decoders import (
    BalancedLDA,
    LogisticHead,
    SpatialPatterns,
    TangentSpace,
    apply_to_eigenvalues,
    unpack,
)
from brainof_toolbox.datasets import (
    make_epochs,
    make_paired_recordings,
    make_paired_signals,
    make_raw,
    make_study,
)

SMALL = {"montage": 8, "n_meg": 6, "sfreq": 100.0}
RUN = {"fmri": "correlations", "eeg": "band power"}
POWER = {name: "band power" for name in ("eeg", "meg")}


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
    described = ChannelFeatures(RUN).fit(runs).transform(runs)
    for record, sample in zip(runs, described, strict=True):
        assert set(sample) == {"fmri", "eeg"}
        names, power, diagonal = sample["eeg"]
        assert names == record["eeg"].ch_names and diagonal is None
        np.testing.assert_allclose(power, _naive_power(record["eeg"], 1e-5), rtol=1e-10)
        names, pairs, diagonal = sample["fmri"]
        bold = record["fmri"].data[0].astype(float)
        assert names == record["fmri"].ch_names and diagonal == 1
        for i, j in ((0, 1), (3, 7), (10, 2)):
            r = np.mean((bold[i] - bold[i].mean()) * (bold[j] - bold[j].mean()))
            r /= bold[i].std() * bold[j].std()
            assert pairs[i, j, 0] == pytest.approx(np.arctanh(r), abs=1e-10)


def test_coils_have_their_own_units(runs):
    """Magnetometers and gradiometers keep apart by a fixed factor, each by its own."""
    (sample, *_) = ChannelFeatures({"meg": "band power"}).transform(runs[:1])
    kinds, power = np.array(runs[0]["meg"].ch_types), sample["meg"][1]
    for kind, unit in (("mag", 1e-13), ("grad", 1e-12)):
        expected = _naive_power(runs[0]["meg"], unit)
        np.testing.assert_allclose(power[kinds == kind], expected[kinds == kind], rtol=1e-10)


def test_trials_of_fmri_are_their_means(trials):
    """A trial that was standardised over its run is described by its level."""
    signals, *_ = trials
    described = ChannelFeatures({"fmri": "means"}).transform(signals)
    means = np.stack([sample["fmri"][1][:, 0] for sample in described])
    np.testing.assert_allclose(means, signals.by_modality["fmri"].data.mean(axis=2), atol=1e-6)
    assert described[0]["fmri"].diagonal is None


def test_a_description_depends_on_its_sample_alone(runs):
    describe = ChannelFeatures(RUN | POWER)
    together, alone = describe.transform(runs), describe.transform(runs[2:])[0]
    for name in ("fmri", "eeg", "meg"):
        np.testing.assert_array_equal(together[2][name][1], alone[name][1])


@pytest.mark.parametrize("form", ["epochs", "list of epochs", "signals"])
def test_forms_of_samples(form):
    """Epochs, one-epoch Epochs and Signals of the same data: the same description."""
    epochs = make_epochs(n_epochs=3, n_channels=5, duration=2.0)
    expected = ChannelFeatures({"eeg": "band power"}).transform(from_epochs(epochs))
    X = {"epochs": epochs, "list of epochs": [epochs[i] for i in range(3)]}
    found = ChannelFeatures({"eeg": "band power"}).transform(X.get(form, from_epochs(epochs)))
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one["eeg"][1], other["eeg"][1])
    assert not np.allclose(found[0]["eeg"][1], found[1]["eeg"][1])


def test_what_is_missing_is_not_described(runs, trials):
    """Keys that are absent or None, and samples marked as missing."""
    records = [{**runs[0], "meg": None}, {k: v for k, v in runs[1].items() if k != "eeg"}]
    described = ChannelFeatures(POWER).transform(records)
    assert [set(sample) for sample in described] == [{"eeg"}, {"meg"}]
    only_fmri = {"fmri": runs[2]["fmri"], "subject": "03"}
    assert ChannelFeatures({"eeg": "band power"}).transform([only_fmri]) == [{}]
    signals = trials[0][:3]
    lacks = {"eeg": np.array([False, True, False])}
    marked = PairedSignals(signals.by_modality, is_missing=lacks)
    assert ["eeg" in s for s in ChannelFeatures({"eeg": "band power"}).transform(marked)] == [
        True,
        False,
        True,
    ]


def _sample(names, scale=1.0, n_bands=2, modality="eeg"):
    values = scale * np.arange(1, 1 + len(names) * n_bands, dtype=float).reshape(-1, n_bands)
    return {modality: Description(tuple(names), values)}


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
    names, matrix = ("a", "b", "c"), np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])[..., None]
    turned = ("c", "a", "b")
    order = [names.index(name) for name in turned]
    samples = [
        {"fmri": Description(names, matrix, 1)},
        {"fmri": Description(turned, matrix[np.ix_(order, order)], 1)},
    ]
    shared = SharedChannels(("fmri",)).fit(samples)
    np.testing.assert_array_equal(shared.transform(samples), [[1, 2, 3], [1, 2, 3]])
    without_b = {"fmri": Description(("a", "c"), np.array([[9.0, 2], [2, 9]])[..., None], 1)}
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


def _naive_covariance(row, sfreq, band):
    sos = butter(4, band, "bandpass", fs=sfreq, output="sos")
    return OAS().fit(sosfiltfilt(sos, row, axis=1).T).covariance_


def test_covariances_equal_naive_ones():
    """Band by band, symmetric and positive; a band above the Nyquist rate is missing."""
    data = np.random.default_rng(0).normal(size=(4, 300)).cumsum(axis=1)
    bands = ((8.0, 12.0), (12.0, 30.0), (60.0, 70.0))
    found = band_covariances(data, 100.0, bands)
    assert found.shape == (4, 4, 3) and np.isnan(found[..., 2]).all()
    for i, band in enumerate(bands[:2]):
        np.testing.assert_allclose(
            found[..., i], _naive_covariance(data, 100.0, band), rtol=1e-3, atol=1e-5
        )
        assert np.linalg.eigvalsh(found[..., i]).min() > 0
    assert np.isfinite(band_covariances(data[:, :16], 100.0, ((1.0, 4.0),))).all()


def test_averaged_samples_are_means_of_bins():
    """Bins of the same times at other rates; a ramp keeps its slope."""
    slow, fast = np.arange(20.0)[None], np.arange(40.0)[None] / 2
    found = averaged_samples(slow, 10.0, 0.5)
    np.testing.assert_allclose(found[0], slow.reshape(4, 5).mean(axis=1) - slow.mean())
    np.testing.assert_allclose(averaged_samples(fast, 20.0, 0.5), found, atol=1e-12)
    assert averaged_samples(slow[:, :1], 10.0, 0.05).shape == (1, 1)


def _positive(n, size, seed=0):
    roots = np.random.default_rng(seed).normal(size=(n, size, 2 * size))
    return roots @ roots.swapaxes(1, 2) / size


def _pack(matrices):
    return matrices[:, *np.triu_indices(matrices.shape[-1])]


def test_unpacking_reverses_triangles():
    first, second = _positive(3, 4), _positive(3, 4, seed=1)
    rows = np.concatenate([_pack(first), _pack(second)], axis=1)
    np.testing.assert_array_equal(unpack(rows, 2), np.stack([first, second]))


def test_tangent_space_equals_a_naive_one():
    """Rows are log(M^-1/2 C M^-1/2); their norms are distances from the mean."""
    matrices = _positive(6, 4)
    found = TangentSpace().fit_transform(_pack(matrices))
    logs = [logm(one) for one in matrices]
    values, vectors = np.linalg.eigh(np.mean(logs, axis=0))
    mean = (vectors * np.exp(values)) @ vectors.T
    root = apply_to_eigenvalues(mean, lambda values: values**-0.5)
    for row, one in zip(found, matrices, strict=True):
        expected = logm(root @ one @ root)
        np.testing.assert_allclose(np.linalg.norm(row), np.linalg.norm(expected), rtol=1e-8)
        np.testing.assert_allclose(row[0], expected[0, 0], atol=1e-10)


def test_distances_in_tangent_space_ignore_mixing_of_channels():
    """With one training matrix as the mean, a congruence changes nothing (affine invariance)."""
    matrices, mixing = _positive(5, 4), np.random.default_rng(3).normal(size=(4, 4))
    rows = []
    for these in (matrices, mixing @ matrices @ mixing.T):
        tangent = TangentSpace().fit(_pack(these[:1]))
        rows.append(tangent.transform(_pack(these)))
    np.testing.assert_allclose(*(np.linalg.norm(r, axis=1) for r in rows), rtol=1e-6, atol=1e-8)


def test_tangent_space_reduces_many_channels():
    rows = _pack(_positive(8, 10))
    assert TangentSpace(n_components=3).fit_transform(rows).shape == (8, 6)
    with pytest.raises(ValueError, match="'metric'"):
        TangentSpace(metric="euclid").fit(rows)


def test_riemannian_mean_is_that_of_pyriemann():
    pytest.importorskip("pyriemann")
    from pyriemann.tangentspace import TangentSpace as Riemann

    matrices = _positive(6, 4)
    found = TangentSpace("riemann").fit_transform(_pack(matrices))
    expected = Riemann().fit_transform(matrices)
    np.testing.assert_allclose(
        np.linalg.norm(found, axis=1), np.linalg.norm(expected, axis=1), rtol=1e-5
    )


def test_spatial_patterns_find_the_channel_that_differs():
    """Power of one channel differs by class; also one class of three."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    scale = np.ones((60, 4, 1))
    scale[y == 2, 1] = 3.0
    data = rng.normal(size=(60, 4, 200)) * scale
    rows = _pack(np.stack([np.cov(one) for one in data]))
    for classes in ((0, 2), (0, 1, 2)):
        here = np.isin(y, classes)
        patterns = SpatialPatterns(1).fit(rows[here], y[here])
        assert patterns.filters_.shape == (2 if len(classes) == 2 else 6, 4)
        power = patterns.transform(rows[here])
        gap = np.abs(power[y[here] == 2].mean(axis=0) - power[y[here] == 0].mean(axis=0))
        assert gap.max() > 1.5


def test_heads_give_classes_equal_weight():
    """Overlapping classes of 90 and 10 samples: the rare one is still predicted."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b"], [180, 20])
    X = rng.normal(size=(200, 2)) + (y == "b")[:, None]
    for head in (LogisticHead(), BalancedLDA()):
        predicted = head.fit(X, y).predict(X)
        recall = [(predicted[y == label] == label).mean() for label in "ab"]
        assert min(recall) > 0.6
        np.testing.assert_allclose(head.predict_proba(X).sum(axis=1), 1)


RIEMANN = "" if find_spec("pyriemann") else " (log-Euclidean)"
TANGENT = ["tangent space" + RIEMANN, "filter-bank tangent space" + RIEMANN]
EPOCHS = [*TANGENT, "band power", "CSP + LDA", "shrinkage LDA"]


def test_names_by_kind_of_data(runs, trials):
    """Epochs, recordings, runs, trials, several modalities, regression, one time point."""
    epochs = make_epochs(n_epochs=4, n_channels=5, duration=1.0)
    assert list(baselines.for_data(epochs)) == EPOCHS
    assert list(baselines.for_data([epochs[i] for i in range(4)])) == EPOCHS
    raws = [make_raw(n_channels=5, duration=3.0, random_state=i) for i in range(2)]
    assert list(baselines.for_data(raws)) == [*TANGENT, "band power"]
    numbers = [0.5, 1.25, 2.5, 3.125]
    assert list(baselines.for_data(epochs, numbers)) == [
        *TANGENT,
        "band power",
        "averaged samples",
    ]
    array = epochs.get_data()
    assert list(baselines.for_data(array, info=epochs.info)) == EPOCHS
    moments = baselines.for_data(array[..., :3], info=epochs.info)
    assert list(moments) == ["shrinkage LDA"]
    with pytest.raises(ValueError, match="info"):
        baselines.for_data(array)
    assert list(baselines.for_data([{"fmri": one["fmri"]} for one in runs])) == ["correlations"]
    several = list(baselines.for_data(trials[0]))
    assert several[:2] == ["fmri: correlations", "fmri: region means"]
    assert several[2:7] == [f"eeg: {name}" for name in EPOCHS]
    assert several[7:] == [*(f"meg: {name}" for name in EPOCHS), "all classical"]
    lacking = [{k: v for k, v in runs[0].items() if k != "eeg"}, runs[1]]
    assert any(name.startswith("eeg") for name in baselines.for_data(lacking))


@pytest.mark.parametrize("name", EPOCHS)
def test_every_form_of_samples(name):
    """Epochs, lists of them, Signals, lists of Signals, arrays: the same predictions."""
    epochs = make_epochs(n_epochs=20, n_channels=8, duration=1.0)
    y, signals = epochs.events[:, 2], from_epochs(epochs)
    decoder = baselines.for_data(epochs, info=epochs.info)[name]
    expected = decoder.fit(signals, y).predict(signals)
    forms = [
        epochs,
        [epochs[i] for i in range(20)],
        [epochs[:7], epochs[7:]],
        [signals[i] for i in range(20)],
        epochs.get_data(),
    ]
    for X in forms:
        np.testing.assert_array_equal(decoder.predict(X), expected)
    assert clone(decoder).fit(forms[-1], y).predict(epochs).shape == (20,)


def test_files_montages_rates_and_lengths_may_differ(tmp_path):
    """Paths and recordings; shared channels only; a test recording lacks one of them."""
    raws, y = [], ["a", "b"] * 4
    for i in range(8):
        raw = make_raw(n_channels=8, duration=3.0 + i % 3, sfreq=128.0, random_state=i)
        raws.append(raw.pick(raw.ch_names[: 7 + i % 2]).resample(100 + 10 * (i % 2)))
    path = tmp_path / "first_raw.fif"
    raws[0].save(path, verbose="error")
    for decoder in baselines.for_data(raws).values():
        expected = decoder.fit(raws, y).predict(raws)
        np.testing.assert_array_equal(decoder.predict([path, *raws[1:]]), expected)
        few = raws[1].copy().pick(raws[1].ch_names[:5])
        assert decoder.predict([few, from_raw(raws[2])]).shape == (2,)


@pytest.mark.parametrize(
    "effect, name",
    [("mu", TANGENT[0]), ("mu", "CSP + LDA"), ("mu", "band power"), ("evoked", "shrinkage LDA")],
)
def test_decoders_find_their_effect(effect, name):
    """Each on the effect it is made for, on unseen subjects, and at chance without it."""
    for size, low, high in ((1.0, 0.65, 1.01), (0.0, 0.4, 0.6)):
        epochs = make_study(
            6, effect=effect, effect_size=size, n_epochs=20, n_channels=19, duration=1.5
        )
        scores = cross_validate(baselines.for_data(epochs)[name], epochs, epochs.events[:, 2])
        assert low < scores.mean < high and scores.probabilities.shape == (120, 2)


def test_compare_adds_the_baselines():
    """With the options of the estimator; names that are taken stay the user's."""
    epochs = make_study(3, effect="mu", n_epochs=8, n_channels=6, duration=1.0)
    X, y, groups = epochs.get_data(), epochs.events[:, 2], epochs.metadata["subject"]
    own = baselines.for_data(epochs, info=epochs.info)["CSP + LDA"]
    own.info = epochs.info  # as estimators of this package have it
    found = compare({"CSP + LDA": own}, X, y, groups=groups, baselines=True)
    assert list(found.scores) == ["CSP + LDA", *(n for n in EPOCHS if n != "CSP + LDA")]
    assert len(found.differences) == 10
    shown = re.findall(r"^CSP \+ LDA  \S.* [+-][\d.]+ +[\d.e-]+ +3$", str(found), re.M)
    assert len(shown) == 4  # from the first one only
    with pytest.raises(ValueError, match="baselines=True"):
        compare({"CSP + LDA": own}, X, y, groups=groups)


@pytest.mark.slow
def test_decoders_find_a_shared_effect_in_unseen_subjects(trials):
    """Far above chance with the effect, and at chance with labels that mean nothing."""
    signals, y, groups = trials
    shuffled = np.concatenate(
        [np.random.default_rng(i).permutation(y[groups == g]) for i, g in enumerate(set(groups))]
    )
    decoders = baselines.for_data(signals)
    for name in ("fmri: region means", "eeg: band power", "meg: band power", "all classical"):
        decoder = decoders[name]
        assert cross_validate(decoder, signals, y, groups=groups).mean > 0.75, name
        nothing = cross_validate(decoder, signals, shuffled, groups=groups).mean
        assert 0.25 < nothing < 0.75, name


def test_decoders_work_where_modalities_are_missing():
    """Every sample is scored; what is missing is filled in from training samples."""
    signals, y, groups = make_paired_signals(
        10, n_subjects=6, views="shared", missing=0.3, random_state=2, **SMALL
    )
    assert any(lacks.any() for lacks in signals.is_missing.values())
    decoder = baselines.for_data(signals)["all classical"]
    scores = cross_validate(decoder, signals, y, groups=groups)
    assert sorted(scores.predictions["sample"]) == list(range(len(y))) and scores.mean > 0.7
    assert np.isfinite(decoder.fit(signals, y)[:-1].transform(signals)).all()


def test_records_lacking_modalities_cross_validate(runs):
    """Records of several forms: a dict that lacks MEG, one that lacks EEG and fMRI."""
    records = [{**runs[i % 3], "subject": f"{i:02d}"} for i in range(6)]
    records[1]["meg"] = None
    del records[2]["eeg"], records[2]["fmri"]
    y = np.array(["a", "b"] * 3)
    decoder = baselines.for_data(records)["all classical"]
    scores = cross_validate(decoder, records, y)
    assert len(scores.predictions) == 6 and set(scores.predictions["predicted"]) <= {"a", "b"}


def test_regression_follows_a_graded_target(trials):
    """A target that band power carries exactly is found in subjects that were left out."""
    signals, _, groups = trials
    described = ChannelFeatures({"eeg": "band power"}).transform(signals)
    target = np.array([sample["eeg"][1][:, 2].mean() for sample in described])
    decoder = baselines.for_data(signals, target)["eeg: band power"]
    scores = cross_validate(decoder, signals, target, groups=groups)
    assert scores.metric == "mean_absolute_error" and scores.mean < 0.3 * scores.chance
    assert scores.folds["r"].min() > 0.9
