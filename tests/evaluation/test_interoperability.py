"""Datasets of windows with braindecode's attributes, and moabb's arrays, score as their Epochs."""

from __future__ import annotations

from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    compare,
    cross_validate,
    from_epochs,
)
from brainof_toolbox.baselines import for_data
from brainof_toolbox.datasets import make_info
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.io.sample_list import as_samples

SIZE, N_WINDOWS = 64, 6


def record(subject, seed, **windows):
    """A WindowsDataset or EEGWindowsDataset of braindecode, by its attributes."""
    return SimpleNamespace(
        description=pd.Series({"subject": subject, "age": 20 + seed}), transform=None, **windows
    )


def recording(seed, first_samp=100):
    """A recording of contiguous windows, and their table; label 1 has three times the power."""
    rng = np.random.default_rng(seed)
    label = np.arange(N_WINDOWS) % 2
    data = 1e-5 * rng.standard_normal((4, SIZE * N_WINDOWS)) * np.repeat(1 + 2 * label, SIZE)
    starts = SIZE * np.arange(N_WINDOWS)
    table = {"i_window_in_trial": 0, "i_start_in_trial": starts, "i_stop_in_trial": starts + SIZE}
    raw = mne.io.RawArray(data, make_info("eeg", n_channels=4, sfreq=64.0), first_samp, verbose=0)
    raw.set_annotations(mne.Annotations(1.0, 0.5, "BAD_span"), verbose=0)  # braindecode keeps it
    return raw, pd.DataFrame({**table, "target": label})


def concat(*, is_cut):
    """Four recordings as a BaseConcatDataset, of Raw with a table or of Epochs."""
    found = []
    for seed in range(4):
        raw, table = recording(seed)
        windows = {"crop_inds": table.to_numpy()[:, :3]}
        if is_cut:
            data = raw.get_data(verbose=0).reshape(4, N_WINDOWS, SIZE).swapaxes(0, 1)
            windows["windows"] = mne.EpochsArray(data, raw.info, metadata=table, verbose=0)
        else:
            windows |= {"raw": raw, "metadata": table}
        found.append(record(seed + 1, seed, **windows))
    sizes = N_WINDOWS * np.arange(1, 5)
    return SimpleNamespace(datasets=found, cumulative_sizes=sizes.tolist())


@pytest.mark.parametrize("is_cut", [True, False])
def test_windows_are_samples_with_their_subject(is_cut):
    """Values equal the slices of the recording; names of labels come from both tables."""
    dataset = concat(is_cut=is_cut)
    sources = open_samples(dataset)
    assert [source.n_samples for source in sources] == [N_WINDOWS] * 4
    for seed, source in enumerate(sources):
        signals, raw = source.read(slice(0, N_WINDOWS)), recording(seed)[0]
        expected = raw.get_data(verbose=0).reshape(4, N_WINDOWS, SIZE).swapaxes(0, 1)
        np.testing.assert_allclose(signals.data, expected, rtol=1e-6)
        assert signals.ch_names == tuple(raw.ch_names) and signals.sfreq == 64.0
        assert set(source.subjects) == {seed + 1}
    samples = as_samples(dataset)
    assert len(samples) == 4 * N_WINDOWS
    one = as_samples(dataset.datasets[0])
    assert one.metadata["age"].tolist() == [20] * N_WINDOWS
    assert len(as_samples(dataset.datasets)) == len(samples)
    if is_cut:  # the dataset of the user is not changed
        assert "subject" not in dataset.datasets[0].windows.metadata


def test_evaluation_leaves_out_subjects_of_the_description():
    """Folds and scores equal those of the Epochs; both kinds of datasets agree."""
    datasets = [concat(is_cut=True), concat(is_cut=False)]
    epochs = [one.windows for one in datasets[0].datasets]
    decoder = for_data(epochs, np.tile([0, 1], 12))["band power"]
    groups, y = np.repeat([1, 2, 3, 4], N_WINDOWS), np.tile([0, 1], 2 * N_WINDOWS)
    expected = cross_validate(decoder, epochs, y, groups=groups).predictions
    for dataset in datasets:
        found = cross_validate(decoder, dataset, "target")
        pd.testing.assert_frame_equal(
            found.predictions, expected, check_dtype=False, check_column_type=False
        )
        assert found.mean > 0.9
    both = compare({"one": decoder, "two": decoder}, datasets[1], "target", groups="age")
    assert both.scores["one"].n_groups == 4


def test_estimators_read_datasets():
    embedder = BrainOFEmbedder(None, features="explicit")
    dataset = concat(is_cut=False)
    found = embedder.fit_transform(dataset)
    expected = embedder.transform([from_epochs(one) for one in as_samples(dataset).items])
    np.testing.assert_array_equal(found, expected)


def test_unusable_datasets_are_refused():
    raw, table = recording(0)
    uncut = record("7", 0, raw=raw)
    with pytest.raises(TypeError, match="subject 7.*not cut into windows"):
        open_samples(SimpleNamespace(datasets=[uncut], cumulative_sizes=[1]))
    dataset = record("7", 0, raw=raw, metadata=table, crop_inds=table.to_numpy()[:, :3])
    dataset.transform = np.negative
    with pytest.raises(ValueError, match="subject 7.*has a transform"):
        open_samples(dataset)
    dataset.transform = None
    dataset.metadata = table.assign(i_stop_in_trial=table["i_stop_in_trial"] - table["target"])
    with pytest.raises(ValueError, match=r"windows of \[63, 64\] time points"):
        open_samples(dataset)


@pytest.mark.parametrize("name", ["classifier", "pipeline"])
def test_arrays_with_info_score_as_their_epochs(name):
    """In scikit-learn's own function, with labels and groups of a table."""
    epochs = mne.concatenate_epochs(
        [as_samples(one) for one in concat(is_cut=True).datasets], verbose=0
    )
    decoder = {
        "classifier": lambda **info: BrainOFClassifier(None, features="covariance", **info),
        "pipeline": lambda **info: make_pipeline(
            BrainOFEmbedder(None, features="covariance", **info), LogisticRegression()
        ),
    }[name]
    split = {"groups": epochs.metadata["subject"], "cv": LeaveOneGroupOut()}
    y = np.where(epochs.metadata["target"], "right", "left")
    found = cross_val_score(decoder(info=epochs.info), epochs.get_data(), y, **split)
    expected = cross_val_score(decoder(), epochs, y, **split)
    np.testing.assert_array_equal(found, expected)
    assert found.mean() > 0.8
