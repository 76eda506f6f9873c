"""Lists of Epochs and Evoked: all their samples in order, subjects and labels by name."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, GroupKFold

from brainof_toolbox import BrainOFClassifier, compare, cross_validate, from_epochs
from brainof_toolbox.datasets import make_epochs, make_study
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.io.sample_list import SampleList, as_samples


@pytest.fixture(scope="module")
def study():
    return make_study(4, n_channels=4, n_epochs=6, duration=0.5, sfreq=64.0, line_freq=None)


@pytest.fixture(scope="module")
def parts(study):
    """One Epochs per subject."""
    return [study[study.metadata["subject"] == name] for name in ("01", "02", "03", "04")]


class Power(ClassifierMixin, BaseEstimator):
    """Nearest mean log power; its samples are read as the estimators read theirs."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def fit(self, X, y):
        rows, y = self._rows(X), np.asarray(y)
        self.classes_ = np.unique(y)
        self.means_ = np.stack([rows[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        away = np.square(self._rows(X)[:, None] - self.means_).sum(axis=2)
        return self.classes_[away.argmin(axis=1)]

    def _rows(self, X):
        read = [source.read(slice(0, source.n_samples)) for source in open_samples(X)]
        return self.weight * np.log(np.concatenate([part.data.var(axis=2) for part in read]))


def test_a_list_scores_as_its_epochs_together(study, parts):
    """The same folds, predictions and groups; also in compare and through a search."""
    y = study.events[:, 2]
    whole = cross_validate(Power(), study, y)
    found = cross_validate(Power(), parts, y)
    pd.testing.assert_frame_equal(found.predictions, whole.predictions)
    pair = {"one": Power(), "two": GridSearchCV(Power(), {"weight": [1.0]}, cv=GroupKFold(3))}
    scores = compare(pair, parts, y).scores
    assert scores["one"].mean == scores["two"].mean == whole.mean


def test_columns_and_events_by_name(study, parts):
    y = study.events[:, 2]
    names = np.array(["", "left", "right"])[y]
    for X in (study, parts, [study[i] for i in range(len(study))]):
        found = cross_validate(Power(), X, "label", groups="subject")
        assert (found.predictions["y"] == names[found.predictions["sample"]]).all()
        again = cross_validate(Power(), X, "event", groups="subject")
        assert found.mean == again.mean and list(again.classes) == ["left", "right"]
        assert found.classes.dtype.kind == "U"


def test_each_item_is_a_group_on_request(parts):
    """Without names of subjects, items of the list are the subjects, if that is asked for."""
    nameless = [part.copy() for part in parts]
    for part in nameless:
        part.metadata = None
    y = np.concatenate([part.events[:, 2] for part in parts])
    with pytest.raises(ValueError, match="groups='item'"):
        cross_validate(Power(), nameless, y)
    found = cross_validate(Power(), nameless, y, groups="item")
    assert found.folds["test_groups"].tolist() == [(0,), (1,), (2,), (3,)]
    assert found.mean == cross_validate(Power(), parts, y).mean


def test_files_name_their_subjects(parts, tmp_path):
    read = []
    for number, part in enumerate(parts, 1):
        part = part.copy()
        part.metadata = None
        part.save(tmp_path / f"sub-0{number}_epo.fif", verbose="error")
        read.append(mne.read_epochs(tmp_path / f"sub-0{number}_epo.fif", verbose="error"))
    found = cross_validate(Power(), read, "event")
    assert found.folds["test_groups"].tolist() == [("01",), ("02",), ("03",), ("04",)]


def test_averages_are_one_sample_each(parts):
    evoked = [part[name].average() for part in parts for name in ("left", "right")]
    y, groups = ["left", "right"] * 4, np.repeat(np.arange(4), 2)
    found = cross_validate(Power(), evoked, y, groups=groups)
    assert len(found.predictions) == 8
    np.testing.assert_allclose(from_epochs(evoked).data[3], evoked[3].data, rtol=1e-6)
    assert len(from_epochs(evoked[0])) == 1
    with pytest.raises(ValueError, match="no average, but of kind 'standard_error'"):
        from_epochs([*evoked, parts[0].standard_error()])


def test_from_epochs_of_a_list(study, parts):
    """Alike items are joined; others stay a list."""
    np.testing.assert_array_equal(from_epochs(parts).data, from_epochs(study).data)
    short = make_epochs(n_epochs=2, n_channels=4, duration=0.25, sfreq=64.0, line_freq=None)
    mixed = from_epochs([parts[0], short])
    assert [len(part) for part in mixed] == [6, 2]


def test_indices_take_the_same_samples_as_single_epochs(study, parts):
    samples = as_samples(parts)
    assert len(samples) == len(study) and samples.shape == (24,)
    for rows in ([0, 5, 6, 23], [23, 0, 7, 7], slice(4, 9), np.arange(24) % 5 == 0):
        taken = samples[rows]
        data = np.concatenate([item.get_data() for item in taken.items])
        np.testing.assert_array_equal(data, study.get_data()[rows])
    assert len(list(samples)) == 24 and len(samples[-1]) == 1
    mixed = SampleList([parts[0], "a file", parts[1]])
    assert len(mixed) == 13 and mixed[6] == "a file" and mixed[[6, 6]].items == ["a file"] * 2
    assert as_samples([part[0] for part in parts]) is not None
    assert isinstance(as_samples([part[0] for part in parts]), list)


def test_refuses_what_is_unknown_or_ambiguous(study, parts):
    y = study.events[:, 2]
    with pytest.raises(ValueError, match="y has 4 entries but X has 24"):
        cross_validate(Power(), parts, y[:4])
    with pytest.raises(ValueError, match="no 'condition'.*label, subject"):
        cross_validate(Power(), parts, "condition")
    with pytest.raises(ValueError, match="no 'session'"):
        cross_validate(Power(), study, y, groups="session")
    with pytest.raises(ValueError, match="'item' needs a list"):
        cross_validate(Power(), study, y, groups="item")
    named = study.copy()
    named.metadata = named.metadata.assign(event="other", none="x")
    with pytest.raises(ValueError, match="means the names of events"):
        cross_validate(Power(), named, "event")
    with pytest.raises(ValueError, match="a word of its own"):
        cross_validate(Power(), named, y, groups="none")


def test_estimators_take_lists(micro_checkpoint, study, parts):
    """Computed ahead of the folds, as those of all epochs together."""
    decoder = BrainOFClassifier(micro_checkpoint, features="latents", pooling="mean")
    whole = cross_validate(decoder, study, "label")
    found = cross_validate(decoder, parts, "label")
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-5)
    assert (found.predictions["group"] == whole.predictions["group"]).all()
