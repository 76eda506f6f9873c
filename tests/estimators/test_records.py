"""Images, and records of several modalities, through the estimators."""

from __future__ import annotations

import warnings

import mne_bids
import nibabel
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker
from simulated import adapted, atlas, bold, noise_epochs, obvious_epochs, raw
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from brainof_toolbox import (
    BrainOFClassifier,
    BrainOFEmbedder,
    BrainOFRegressor,
    PairedSignals,
    Records,
    cross_validate,
    from_epochs,
    from_nifti,
    from_raw,
    read_bids,
)
from brainof_toolbox.datasets import make_paired_recordings

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def embed(small_checkpoint):
    """Rows of any X, of small weights, images through the atlas of eight blocks."""

    def embed(X, masker="atlas", **kwargs):
        masker = atlas() if isinstance(masker, str) else masker
        return BrainOFEmbedder(small_checkpoint, masker=masker, **kwargs).fit_transform(X)

    return embed


@pytest.fixture(scope="module")
def records():
    """Three subjects: all modalities; no MEG; fMRI only."""
    one = {"subject": "01", "fmri": bold(0), "eeg": raw(0), "meg": raw(1, kind="meg")}
    two = {"subject": "02", "fmri": bold(1), "eeg": raw(2), "meg": None}
    return [one, two, {"subject": "03", "fmri": bold(2)}]


def assert_far(a, b):
    """The guard of a test of equality: this change does reach the rows."""
    assert a.shape == b.shape and (np.abs(a - b).max(axis=1) > 1e-3).all()


def paired(n_samples=6, lacks=None, seed=0):
    """Trials of EEG and MEG with parts missing."""
    parts = from_epochs(noise_epochs(n_samples, seed, kind="eeg+meg")).by_modality
    return PairedSignals(parts, lacks)


# --------------------------------------------------------------------------------- images
def test_forms_of_images(embed, tmp_path):
    """An image, its path, a list, Signals and a record of it: the same row."""
    image, path = bold(), tmp_path / "sub-01_bold.nii.gz"
    nibabel.save(image, path)
    row = embed(image)
    assert row.shape == (1, 16 * 32) and np.isfinite(row).all()
    signals = from_nifti(image, masker=atlas())
    for X in ([image], [path], [str(path)], signals, [signals], [{"fmri": path}]):
        np.testing.assert_allclose(embed(X), row, **CLOSE)
    np.testing.assert_allclose(embed(image, NiftiLabelsMasker(atlas())), row, **CLOSE)
    assert_far(embed(bold(1)), row)
    assert_far(embed(image, masker=None), row)  # another parcellation


def test_images_of_any_length_are_read_as_alone(embed):
    """For images: lengths and repetition times may differ."""
    images = [bold(0), bold(1, n_volumes=70), bold(2, t_r=0.8), bold(3)]
    alone = np.concatenate([embed(image) for image in images])
    np.testing.assert_allclose(embed(images), alone, **CLOSE)


def test_every_input_gives_rows_of_one_length(records):
    """The same fitted object takes Epochs, Raw, images and records, also mixed."""
    embedder = BrainOFEmbedder(masker=atlas(), pooling="flatten").fit(noise_epochs(2))
    mixed = [noise_epochs(1), raw(), bold(), records[0]]
    rows = [embedder.transform(X) for X in (noise_epochs(2), raw(), bold(), records, mixed)]
    assert [len(r) for r in rows] == [2, 1, 1, 3, 4]
    assert {r.shape[1] for r in rows} == {len(embedder.get_feature_names_out())}
    for item, row in zip(mixed, rows[-1], strict=True):
        alone = embedder.transform([item] if isinstance(item, dict) else item)
        np.testing.assert_allclose(row, alone[0], **CLOSE)


def test_masker_and_image_are_left_alone():
    """Neither the masker given nor the image changes."""
    masker, image = NiftiLabelsMasker(atlas()), bold()
    before, values = set(vars(masker)), image.get_fdata().copy()
    BrainOFEmbedder(masker=masker).fit([image]).transform([image])
    assert set(vars(masker)) == before and np.array_equal(image.get_fdata(), values)


@pytest.mark.parametrize(
    "masker", [3, "no such atlas", object()], ids=["number", "name", "object"]
)
def test_impossible_maskers(embed, masker):
    """Refused at fit, by name, also when no image is there yet."""
    with pytest.raises((TypeError, ValueError), match="masker"):
        BrainOFEmbedder(masker=masker).fit(noise_epochs(2))


def test_impossible_memory():
    """Refused at fit."""
    with pytest.raises(TypeError, match="memory must be a folder.*got int"):
        BrainOFEmbedder(memory=3).fit(noise_epochs(2))


def test_masked_series_are_cached(tmp_path, monkeypatch):
    """The second transform reads the cache and gives the same rows."""
    embedder = BrainOFEmbedder(masker=atlas(), memory=str(tmp_path / "cache"))
    rows = embedder.fit([bold()]).transform([bold()])
    calls = []
    original = NiftiLabelsMasker.transform_single_imgs
    monkeypatch.setattr(
        NiftiLabelsMasker,
        "transform_single_imgs",
        lambda self, *args, **kwargs: calls.append(1) or original(self, *args, **kwargs),
    )
    assert np.array_equal(embedder.transform([bold()]), rows) and not calls
    embedder.transform([bold(1)])
    assert calls


def test_unknown_repetition_time_is_refused_at_fit():
    """Before any image is read; the masker or the record may say it."""
    image = bold(t_r=0)
    embedder = BrainOFEmbedder(masker=atlas())
    for X in ([image], [{"fmri": image}]):
        with pytest.raises(ValueError, match=r"X\[0\].*t_r="):
            embedder.fit(X)
    row = embedder.fit([bold()]).transform([bold()])
    np.testing.assert_allclose(embedder.transform([{"fmri": image, "t_r": 2.0}]), row, **CLOSE)
    embedder.set_params(masker=NiftiLabelsMasker(atlas(), t_r=2.0))
    np.testing.assert_allclose(embedder.fit([image]).transform([image]), row, **CLOSE)


def test_short_runs_name_volumes(embed):
    """Too few volumes for a z-score; a trial relative to its run may be shorter."""
    with pytest.raises(ValueError, match="3 volumes.*minimum is 10"):
        embed([bold(n_volumes=3)])
    trial = from_nifti(bold(), masker=atlas())
    trial = trial.replace(data=trial.data[:, :, :4] - trial.data.mean(), good_segments=None)
    with pytest.raises(ValueError, match="4 volumes.*10 volumes"):
        embed(trial)
    assert np.isfinite(embed(trial.replace(has_baseline=True))).all()


def test_level_of_a_trial_is_signal(embed):
    """A trial cut out of a standardised run keeps its level; a whole run does not."""
    run = from_nifti(bold(), masker=atlas())
    run = run.replace(data=(run.data - run.data.mean()) / run.data.std())
    np.testing.assert_allclose(embed(run.replace(data=run.data + 2)), embed(run), atol=1e-4)
    trial = run.replace(has_baseline=True)
    assert_far(embed(trial.replace(data=trial.data + 2)), embed(trial))


# -------------------------------------------------------------------------------- records
def test_lacking_a_modality_changes_no_other_row(embed, records):
    """Rows are finite, and each equals the row of that record alone."""
    rows = embed(records)
    assert rows.shape == (3, 16 * 32) and np.isfinite(rows).all()
    for record, row in zip(records, rows, strict=True):
        np.testing.assert_allclose(embed([record])[0], row, **CLOSE)
    np.testing.assert_allclose(embed(records[::-1])[::-1], rows, **CLOSE)


def test_each_modality_reaches_the_row(embed, records):
    """Leaving any modality out, or changing it, changes the row."""
    row = embed(records[:1])
    for name, other in (("fmri", bold(9)), ("eeg", raw(9)), ("meg", raw(9, kind="meg"))):
        assert_far(embed([{**records[0], name: None}]), row)
        assert_far(embed([{**records[0], name: other}]), row)


def test_order_of_modalities_has_no_effect(embed, records):
    """Records: order of modalities in the dict: no effect."""
    turned = [dict(reversed(record.items())) for record in records]
    assert np.array_equal(embed(turned), embed(records))


def test_one_recording_with_both_equals_its_record(embed):
    """A Raw of EEG and MEG is the record of its two parts."""
    both = raw(kind="eeg+meg", duration=8.0)
    rows = embed(both)
    np.testing.assert_allclose(embed([{"eeg": both, "meg": both}]), rows, **CLOSE)
    parts = from_raw(both).by_modality
    np.testing.assert_allclose(embed([dict(parts)]), rows, **CLOSE)
    assert_far(embed([{"meg": both}]), rows)


@pytest.mark.filterwarnings("ignore:.*without a position")
def test_a_bids_path_is_read_with_its_sidecars(embed, tmp_path):
    """Bad channels of channels.tsv are not used, whether or not a record holds the path."""
    recording = raw()
    recording.info["bads"] = recording.ch_names[:2]
    path = mne_bids.BIDSPath(root=tmp_path, subject="01", task="a", datatype="eeg")
    path = mne_bids.write_raw_bids(
        recording, path, allow_preload=True, format="BrainVision", verbose="error"
    )
    rows = embed([{"eeg": path}])
    assert_far(embed([str(path.fpath)]), rows)  # which knows nothing of bad channels
    np.testing.assert_allclose(embed([path]), rows, **CLOSE)


def test_eeg_in_the_file_of_meg_is_said(embed, tmp_path):
    """BIDS keeps EEG that was recorded with MEG in one file, under meg/."""
    both = raw(kind="eeg+meg", duration=8.0)
    path = mne_bids.BIDSPath(root=tmp_path, subject="01", task="a", datatype="meg")
    mne_bids.write_raw_bids(both, path, allow_preload=True, format="FIF", verbose="error")
    records = read_bids(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"record\['meg'\] hold EEG too.*Records\(") as caught:
        row = embed(records)
    assert len(caught) == 1
    records = Records({**r, "eeg": r.get("eeg") or r.get("meg")} for r in records)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_far(embed(records), row)


def test_recordings_of_any_length_make_a_record(embed):
    """Modalities that were not recorded at once: 4 s of EEG, 9 s of MEG, 80 s of fMRI."""
    record = {"eeg": raw(0), "meg": raw(1, kind="meg", duration=9.0), "fmri": bold()}
    row = embed([record])
    assert np.isfinite(row).all()
    longer = {**record, "meg": raw(1, kind="meg", duration=9.0).crop(0, 6.0)}
    assert_far(embed([longer]), row)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_missing_parts_of_trials(embed, batch_size):
    """Trials in one container, parts missing at random, equal the trials alone."""
    rng = np.random.default_rng(0)
    lacks = {"eeg": rng.random(12) < 0.4}
    lacks["meg"] = (rng.random(12) < 0.4) & ~lacks["eeg"]
    pair = paired(12, lacks)
    rows = embed(pair, batch_size=batch_size)
    for i in range(12):
        there = {name: part[i] for name, part in pair.by_modality.items() if not lacks[name][i]}
        np.testing.assert_allclose(embed([there])[0], rows[i], **CLOSE)
    order = rng.permutation(12)
    np.testing.assert_allclose(embed(pair[order], batch_size=batch_size), rows[order], **CLOSE)


def test_a_part_that_all_samples_lack(embed):
    """What a splitter takes may hold none that has EEG; alone or not, a row is the same."""
    pair = paired(6, {"eeg": np.arange(6) % 2 == 0})
    rows = embed(pair)
    np.testing.assert_allclose(embed(pair[::2]), rows[::2], **CLOSE)
    np.testing.assert_allclose(embed([pair[i] for i in range(6)]), rows, **CLOSE)


def test_what_is_missing_is_never_read(embed):
    """Zeros or noise in the place of a missing part, the row is the same."""
    lacks = {"eeg": np.array([True, False, False])}
    pair = paired(3, lacks)
    eeg = pair.by_modality["eeg"]
    data = eeg.data.copy()
    data[0] = 0
    blank = PairedSignals({**pair.by_modality, "eeg": eeg.replace(data=data)}, lacks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(embed(blank), embed(pair))
    assert_far(embed(PairedSignals(pair.by_modality))[:1], embed(pair)[:1])


@pytest.mark.parametrize(
    "record, words",
    [
        ({"subject": "01", "emg": 1}, r"X\[1\] \(subject 01\): Unknown keys \['emg'\].*'fmri'"),
        ({"subject": "07"}, r"X\[1\].*empty.*subject '07'"),
        ({}, r"X\[1\].*empty"),
        ({"eeg": raw(kind="meg")}, r"X\[1\].*record\['eeg'\] holds meg, but no EEG"),
        ({"eeg": noise_epochs(3)}, r"X\[1\].*record\['eeg'\] holds 3 samples"),
        ({"eeg": raw(), "confounds": "x.tsv"}, "'confounds' but no 'fmri'"),
        ({"eeg": 3}, r"record\['eeg'\] is of type int.*mne.io.Raw"),
        ({"fmri": 3}, r"record\['fmri'\] is of type int.*image"),
        ({"eeg": "nothing_eeg.fif"}, r"X\[1\].*No such recording: nothing_eeg.fif"),
        ({"fmri": "nothing_bold.nii.gz"}, r"X\[1\].*nothing_bold.nii.gz"),
    ],
    ids="unknown empty nothing other epochs confounds number image path image-path".split(),
)
def test_impossible_records(embed, record, words):
    """The error says which record, and what to do."""
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=words):
        embed([{"eeg": raw()}, record])


def test_a_broken_link_says_datalad_get(embed, tmp_path):
    link = tmp_path / "sub-01_eeg.edf"
    link.symlink_to(tmp_path / ".git" / "annex" / "objects" / "absent")
    with pytest.raises(FileNotFoundError, match=r"datalad get .*sub-01_eeg.edf"):
        embed([{"eeg": link}])


# ------------------------------------------------------------------------------- decoding
@pytest.mark.parametrize("adaptation", ["probe", "full"])
def test_classifier_learns_from_whatever_is_there(small_checkpoint, adaptation):
    """Half of the trials lack EEG, which carries the effect: those that have it are decoded."""
    epochs = obvious_epochs(48, kind="eeg+meg")
    y = epochs.events[:, 2]
    lacks = {"eeg": np.arange(48) % 2 == 0}
    pair = PairedSignals(from_epochs(epochs).by_modality, lacks)
    clf = adapted(
        BrainOFClassifier,
        small_checkpoint,
        adaptation,
        max_epochs=12,
        random_state=0,
        batch_size=8,
        learning_rate=1e-3,
    )
    predicted = clf.fit(pair[:36], y[:36]).predict(pair[36:])
    there = ~lacks["eeg"][36:]
    assert (predicted[there] == y[36:][there]).mean() > 0.8
    assert np.isfinite(clf.predict_proba(pair[36:])).all()


def test_records_in_cross_validation(small_checkpoint):
    """Scikit-learn splits lists of records; groups keep a subject together."""
    X = [{"subject": f"{i // 2:02d}", "eeg": raw(i)} for i in range(12)]
    for i in range(0, 12, 3):
        X[i]["fmri"] = bold(i, n_volumes=20)
    y, groups = np.arange(12) % 2, [record["subject"] for record in X]
    options = {"masker": atlas(), "random_state": 0, "pooling": "mean"}
    clf = BrainOFClassifier(small_checkpoint, **options)
    scores = cross_val_score(clf, X, y, groups=groups, cv=GroupKFold(2), error_score="raise")
    assert scores.shape == (2,)
    clf.set_params(features="latents")
    search = GridSearchCV(clf, {"pooling": ["mean", "flatten"]}, cv=GroupKFold(2))
    assert search.fit(X, y, groups=groups).best_params_["pooling"] in ("mean", "flatten")
    regressor = BrainOFRegressor(small_checkpoint, **options)
    assert np.isfinite(regressor.fit(X, np.arange(12.0)).predict(X)).all()


@pytest.mark.parametrize("window", [{"fmri": 60.0, "eeg": 2.0}, {"eeg": 1.0}], ids=str)
def test_window_by_modality(embed, window):
    record = {"eeg": raw(), "fmri": bold()}
    assert_far(embed([record], window=window), embed([record]))


def test_window_of_an_unknown_modality(embed):
    """Invalid parameter values (batch_size=0, device="gpu9", checkpoint=3)."""
    with pytest.raises(ValueError, match="'window'.*got 'ecg'"):
        embed([raw()], window={"ecg": 1.0})


def test_simulated_recordings_are_samples(small_checkpoint):
    """What the simulation returns goes into an estimator, and names its subjects."""
    options = {"duration": 20.0, "montage": 8, "n_meg": 6, "missing": 0.3}
    made = make_paired_recordings(4, random_state=0, **options)
    scores = cross_validate(BrainOFClassifier(small_checkpoint), made, made.labels)
    assert scores.n_groups == 4
    assert sorted(scores.predictions["group"]) == sorted(made.subject)
    embedder = BrainOFEmbedder(small_checkpoint)
    rows = embedder.fit_transform(made)
    np.testing.assert_allclose(embedder.fit_transform(made.records), rows, **CLOSE)
