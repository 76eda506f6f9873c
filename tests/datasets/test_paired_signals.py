"""Many short simulated samples of simultaneous EEG, MEG and fMRI."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from brainof_toolbox.datasets import make_paired_signals

SMALL = {"n_samples": 6, "n_subjects": 2, "montage": 4, "n_meg": 6, "duration": 1.0}


@pytest.fixture(scope="module")
def atlas():
    """Four large regions."""
    import nibabel as nib

    labels = np.zeros((10, 14, 6), dtype=np.int16)
    labels[:5, :7], labels[5:, :7], labels[:5, 7:], labels[5:, 7:] = 1, 2, 3, 4
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = [-45.0, -85.0, -15.0]
    return nib.Nifti1Image(labels, affine)


def test_same_seed_same_signals(atlas):
    """The seed decides; more subjects do not change the first ones."""
    X, y, groups = make_paired_signals(masker=atlas, **SMALL)
    again, y_again, _ = make_paired_signals(masker=atlas, **SMALL)
    more, y_more, _ = make_paired_signals(masker=atlas, **{**SMALL, "n_subjects": 3})
    other, _, _ = make_paired_signals(masker=atlas, random_state=1, **SMALL)
    assert np.array_equal(y, y_again) and np.array_equal(y, y_more[:12])
    assert groups.tolist() == ["01"] * 6 + ["02"] * 6 and X.by_modality["eeg"].subject == tuple(
        groups
    )
    for name, part in X.by_modality.items():
        assert np.array_equal(part.data, again.by_modality[name].data)
        assert np.allclose(part.data, more.by_modality[name].data[:12], atol=0, rtol=1e-6)
        assert not np.allclose(part.data, other.by_modality[name].data, atol=0)


def test_shapes_and_positions(atlas):
    X, y, _ = make_paired_signals(masker=atlas, t_r=1.0, fmri_duration=20.0, **SMALL)
    assert {name: part.shape for name, part in X.by_modality.items()} == {
        "fmri": (12, 4, 20),
        "eeg": (12, 4, 128),
        "meg": (12, 6, 128),
    }
    assert X.by_modality["fmri"].has_baseline and X.by_modality["fmri"].sfreq == 1.0
    assert np.allclose(
        X.by_modality["fmri"].data.reshape(2, 6, 4, 20).mean(axis=(1, 3)), 0, atol=1e-5
    )
    assert sorted(set(y)) == ["rest", "task"] and (y == "task").sum() == 6
    assert 3e-6 < X.by_modality["eeg"].data.std() < 1e-4


def test_missing_parts(atlas):
    """A sample lacks some modalities, never all of them."""
    whole, _, _ = make_paired_signals(masker=atlas, **SMALL)
    some, _, _ = make_paired_signals(masker=atlas, missing=0.6, **SMALL)
    gone = np.array([some.is_missing[name] for name in some.by_modality])
    assert 4 < gone.sum() < 30 and not gone.all(axis=0).any()
    for name, part in some.by_modality.items():
        is_missing = some.is_missing[name]
        assert not part.data[is_missing].any()
        assert np.array_equal(part.data[~is_missing], whole.by_modality[name].data[~is_missing])


def _features(part):
    """What the views are in: mean BOLD; log power of alpha (EEG) and beta (MEG)."""
    if part.modality == "fmri":
        return part.data.mean(axis=2)
    freqs, power = welch(part.data, part.sfreq, nperseg=256)
    low, high = {"eeg": (8, 12.5), "meg": (17, 25)}[part.modality]
    return np.log(power[..., (freqs >= low) & (freqs <= high)].mean(axis=2))


def _scores(X, y, groups):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = {name: _features(part) for name, part in X.by_modality.items()}
    features["all"] = np.hstack(list(features.values()))
    decoder = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return {
        name: cross_val_score(decoder, values, y, groups=groups, cv=GroupKFold(4)).mean()
        for name, values in features.items()
    }


@pytest.fixture(scope="module")
def separate():
    """Samples of separate views."""
    return make_paired_signals(40, n_subjects=6, random_state=2)


def test_separate_views_add_up(separate):
    """Each modality alone is well above chance and well below all of them together."""
    scores = _scores(*separate)
    together = scores.pop("all")
    assert min(scores.values()) > 0.65 and max(scores.values()) < 0.9
    assert together > max(scores.values()) + 0.03


@pytest.mark.slow
def test_without_effect_nothing_is_found():
    scores = _scores(*make_paired_signals(40, n_subjects=6, effect_size=0.0, random_state=2))
    assert max(abs(score - 0.5) for score in scores.values()) < 0.12


def test_meg_does_not_see_the_view_of_eeg(separate):
    """Alpha of the separate views: EEG tells the states apart by it, MEG does not."""
    X, y, groups = separate
    t = {}
    for name in ("eeg", "meg"):
        part = X.by_modality[name]
        freqs, power = welch(part.data, part.sfreq, nperseg=256)
        alpha = np.log(power[..., (freqs >= 8) & (freqs <= 12.5)].mean(axis=(1, 2)))
        alpha -= np.array([alpha[groups == group].mean() for group in groups])
        task = y == "task"
        spread = np.sqrt(alpha.var() * (1 / task.sum() + 1 / (~task).sum()))
        t[name] = (alpha[task].mean() - alpha[~task].mean()) / spread
    assert t["eeg"] < -5 and abs(t["meg"]) < 3


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"n_samples": 1}, "n_samples"),
        ({"n_subjects": 0}, "n_subjects"),
        ({"modalities": "eeg"}, "modalities"),
        ({"modalities": ["nirs"]}, "modalities"),
        ({"views": "own"}, "views"),
        ({"effect_size": -1.0}, "effect_size"),
        ({"missing": 2.0}, "missing"),
        ({"duration": 0.1}, "duration"),
        ({"fmri_duration": 1.0}, "fmri_duration"),
        ({"t_r": 20.0}, "t_r"),
        ({"sfreq": 20.0}, "sfreq"),
        ({"n_meg": 4}, "multiple of 3"),
        ({"montage": "10-30"}, "montage"),
    ],
    ids=str,
)
def test_nonsense_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make_paired_signals(**changes)
