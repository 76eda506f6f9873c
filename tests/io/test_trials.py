"""epochs_from_bids: what is cut where, what is left out; Trials as a sequence."""

from __future__ import annotations

import pickle

import bids
import mne
import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds_strategy
from nilearn.signal import clean
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from brainof_toolbox import Trials, epochs_from_bids, read_bids
from brainof_toolbox.io.images import from_nifti
from brainof_toolbox.preprocessing import Preprocessing, preprocess

COLUMNS = ["subject", "session", "task", "run", "onset", "duration", "trial_type"]


@pytest.fixture
def eeg(tmp_path):
    """Two subjects with five events of 1 s each, at 1, 3, 5, 7 and 9 s."""
    root = bids.describe(tmp_path / "set")
    for number, subject in enumerate(("01", "02")):
        bids.write_sensors(root, subject, raw=bids.make_raw(seed=number))
    return root


def change_events(root, change, subject="01"):
    """Rewrite the events table of a subject."""
    (path,) = root.glob(f"sub-{subject}/*/*_events.tsv")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(table).to_csv(path, sep="\t", index=False)


def cell(column, row, value):
    """A change of one cell."""

    def change(table):
        table.loc[row, column] = value
        return table

    return change


# ---------------------------------------------------------------------------------------- EEG, MEG
def test_epochs_of_all_subjects_are_one_object(eeg):
    epochs = epochs_from_bids(eeg)
    assert isinstance(epochs, mne.BaseEpochs) and len(epochs) == 10
    assert list(epochs.metadata) == COLUMNS
    assert epochs.metadata["subject"].tolist() == ["01"] * 5 + ["02"] * 5
    assert epochs.metadata["trial_type"].tolist() == ["left", "right"] * 2 + ["left"] + (
        ["left", "right"] * 2 + ["left"]
    )
    assert epochs.event_id == {"left": 1, "right": 2} and epochs.baseline is None
    assert (epochs.tmin, epochs.tmax) == (0.0, pytest.approx(0.99))
    written = bids.make_raw(seed=1).get_data(tmin=3.0, tmax=4.0)
    np.testing.assert_allclose(epochs.get_data()[6], written, rtol=1e-3, atol=1e-7)


def test_meg_epochs(tmp_path):
    root = bids.describe(tmp_path / "set")
    bids.write_sensors(root, "01", kind="meg")
    epochs = epochs_from_bids(root, datatypes="meg", tmin=-0.5, tmax=0.5, baseline=(None, 0))
    assert epochs.baseline == (-0.5, 0.0) and epochs.get_data().shape == (5, 9, 101)


@pytest.mark.parametrize(
    "event_id, expected",
    [("right", {"right": 1}), (["right", "left"], {"right": 1, "left": 2}), ({"left": 7},) * 2],
)
def test_event_id(eeg, event_id, expected):
    epochs = epochs_from_bids(eeg, event_id=event_id)
    assert epochs.event_id == expected
    assert set(epochs.metadata["trial_type"]) == set(expected)
    named = epochs.metadata["trial_type"].map(expected)
    assert epochs.events[:, 2].tolist() == named.tolist()


def test_event_id_is_the_same_in_all_files(eeg):
    """A trial type that only one subject has does not shift the other's numbers."""
    change_events(eeg, cell("trial_type", 0, "both"))
    epochs = epochs_from_bids(eeg)
    assert epochs.event_id == {"both": 1, "left": 2, "right": 3}
    assert epochs["both"].metadata["subject"].tolist() == ["01"]


def test_unlike_recordings_are_a_list_of_epochs(eeg):
    """Bad channels differ: MNE cannot concatenate, Trials can."""
    raw = bids.make_raw(seed=1)
    raw.info["bads"] = ["C3"]
    bids.write_sensors(eeg, "02", raw=raw)
    trials = epochs_from_bids(eeg)
    assert isinstance(trials, Trials) and len(trials) == 10
    assert all(isinstance(item, mne.BaseEpochs) and len(item) == 1 for item in trials)
    assert trials.groups.tolist() == ["01"] * 5 + ["02"] * 5
    assert trials[7].info["bads"] == ["C3"] and trials[0].info["bads"] == []
    assert trials[7].metadata["onset"].item() == trials.metadata["onset"][7] == 5.0


def test_missing_events_name_the_file(eeg):
    """BIDS: events.tsv absent when epochs are asked: error naming the expected path."""
    (path,) = eeg.glob("sub-01/*/*_events.tsv")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="expected ") as caught:
        epochs_from_bids(eeg)
    assert str(path) in str(caught.value)
    assert len(epochs_from_bids(eeg, subjects="02")) == 5


def test_events_without_onset_are_counted(eeg):
    """BIDS: events.tsv with n/a onset: rows dropped, warn with count."""
    for subject, row in (("01", 1), ("02", 0), ("02", 4)):
        change_events(eeg, cell("onset", row, "n/a"), subject)
    with pytest.warns(RuntimeWarning, match=r"3 without an onset") as caught:
        epochs = epochs_from_bids(eeg)
    assert len(caught) == 1 and len(epochs) == 7
    assert np.isfinite(epochs.metadata["onset"]).all()


def test_what_cannot_be_cut_is_counted(eeg):
    """Beyond the end, in a bad span, without a name, twice the same."""

    def change(table):
        late, unnamed, double, bad = (table.iloc[[i]].copy() for i in (0, 1, 2, 3))
        late["onset"], unnamed["trial_type"] = "11.5", "n/a"
        bad["onset"], bad["trial_type"] = "7.2", "bad span"
        return pd.concat([table, late, unnamed, double, bad])

    change_events(eeg, change)
    with pytest.warns(RuntimeWarning) as caught:
        epochs = epochs_from_bids(eeg, subjects="01")
    said = str(caught[0].message)
    assert len(caught) == 1 and epochs.metadata["onset"].tolist() == [1.0, 3.0, 5.0, 9.0]
    for words in ("1 without a trial_type", "1 repeated", "1 beyond the ends", "1 in spans"):
        assert words in said
    assert "bad span" not in epochs.event_id


def test_events_that_start_together_must_be_chosen(eeg):
    def change(table):
        other = table.iloc[[0]].copy()
        other["trial_type"] = "cue"
        return pd.concat([other, table])

    change_events(eeg, change)
    with pytest.raises(ValueError, match=r"\['cue', 'left'\].*event_id="):
        epochs_from_bids(eeg)
    assert len(epochs_from_bids(eeg, event_id=["left", "right"])) == 10


@pytest.mark.parametrize("value", ["2.0", "n/a", "0"])
def test_duration_must_be_one_or_given(eeg, value):
    change_events(eeg, cell("duration", 2, value))
    with pytest.raises(ValueError, match="tmax must be given"):
        epochs_from_bids(eeg)
    assert len(epochs_from_bids(eeg, tmax=0.5)) == 10


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda table: table.drop(columns="trial_type"), r"no column 'trial_type'.*'value'"),
        (lambda table: table.drop(columns="onset"), r"no column 'onset'.*'duration'"),
        (cell("onset", 1, "late"), "onset 'late' is not a number"),
        (cell("duration", 1, "-1"), "duration '-1' is not a number"),
    ],
    ids=["trial_type", "onset", "text", "negative"],
)
def test_damaged_events_name_the_file(eeg, change, words):
    change_events(eeg, change)
    with pytest.raises(ValueError, match=rf"sub-01_task-hands_events\.tsv.*{words}"):
        epochs_from_bids(eeg)


def test_another_column_says_what_happened(eeg):
    for subject in ("01", "02"):
        change_events(eeg, lambda table: table.drop(columns="trial_type"), subject)
    assert set(epochs_from_bids(eeg, column="value").event_id) == {"1", "2"}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"event_id": "foot"}, r"'foot'.*'left', 'right'"),
        ({"tmin": 1.0, "tmax": 0.5}, "must be above tmin"),
        ({"shift": -1.0}, "shift"),
        ({"datatypes": "fmri"}, "datatypes.*BIDS calls fMRI 'func'"),
        ({"event_id": "left", "tmin": 100.0, "tmax": 101.0}, "No epoch is left"),
    ],
)
@pytest.mark.filterwarnings("ignore:Dropped events")
def test_wrong_options(eeg, options, words):
    with pytest.raises(ValueError, match=words):
        epochs_from_bids(eeg, **options)


def test_datatype_must_be_chosen(tmp_path):
    root = bids.write_study(tmp_path / "set", subjects=("01",), kinds=("eeg", "func"))
    with pytest.raises(ValueError, match=r"\['func', 'eeg'\].*datatypes="):
        epochs_from_bids(root)


# -------------------------------------------------------------------------------------------- fMRI
def write_runs(root, runs=("01", "02"), *, duration=20.0, events=None):
    """Runs of one subject whose region 1 follows the blocks 5 s late."""
    onsets = np.array([10.0, 50.0, 90.0])
    times = 2.0 * np.arange(60)
    effect = sum(
        ((times >= on + 5) & (times < on + 25)) * sign
        for on, sign in zip(onsets, (1, -1, 1), strict=True)
    )
    for seed, run in enumerate(runs):
        name = f"sub-01_task-a_run-{run}"
        image = bids.make_image(seed=seed, effect=effect)
        path = bids.write_image(root, f"{name}_bold", image=image, sidecar={"RepetitionTime": 2.0})
        table = {"onset": onsets, "duration": [duration] * 3, "trial_type": ["up", "down", "up"]}
        bids.write_table(path.parent / f"{name}_events.tsv", {**table, **(events or {})})
    return root


@pytest.fixture
def task(tmp_path):
    return write_runs(bids.describe(tmp_path / "set"))


def cut(root, **options):
    return epochs_from_bids(root, datatypes="func", masker=bids.make_masker(), **options)


def test_trials_follow_the_blocks_with_a_delay(task):
    trials = cut(task)
    assert isinstance(trials, Trials) and len(trials) == 6
    assert list(trials.metadata) == COLUMNS and trials.groups.tolist() == ["01"] * 3 + ["02"] * 3
    assert all(item.shape == (1, 3, 10) and item.has_baseline for item in trials)
    levels = [item.data[0, 0].mean() for item in trials]
    assert [level > 0 for level in levels] == [True, False, True] * 2
    assert np.abs(levels).min() > 0.8
    with pytest.warns(RuntimeWarning, match="beyond the ends"):
        late = [item.data[0, 0].mean() for item in cut(task, shift=25.0)]
    assert np.abs(late).max() < 0.6


def test_volumes_are_those_of_the_window(task):
    """Against a plain cut of the cleaned series, and against it only."""
    import nibabel as nib

    trials = cut(task, shift=6.0)
    series = nib.load(task / "sub-01/func/sub-01_task-a_run-02_bold.nii.gz").get_fdata()[1, 1, 1]
    plain = clean(series[:, None], detrend=True, standardize="zscore_sample", filter=False)[:, 0]
    np.testing.assert_allclose(trials[4].data[0, 0], plain[28:38], atol=1e-4)  # 56 to 76 s
    assert trials[4].onset[0] == 56.0 and trials[4].run == ("02",)
    moved = cut(task, shift=0.0, tmin=-4.0, tmax=6.0)
    np.testing.assert_allclose(moved[4].data[0, 0], plain[23:28], atol=1e-4)


def test_delay_is_the_same_for_all_trials(task):
    """Windows that begin between two volumes begin with the later one, whichever their number."""
    trials = cut(task, runs="01")  # 15, 55 and 95 s, volumes every 2 s
    assert [item.onset[0] for item in trials] == [16.0, 56.0, 96.0]
    moved = cut(task, runs="01", shift=3.0)  # 13, 53 and 93 s
    assert [item.onset[0] for item in moved] == [14.0, 54.0, 94.0]


def test_trials_are_what_the_model_takes(task):
    windows = preprocess(cut(task)[0], Preprocessing())
    assert np.isfinite(windows.signals.data).all()
    assert windows.signals.data[0, 0].mean() > 0.5  # the level within the run is kept


@pytest.mark.parametrize("duration, n_volumes", [(0.0, 2), (1.0, 2), (6.9, 3), (7.1, 4)])
def test_number_of_volumes_depends_on_duration_alone(tmp_path, duration, n_volumes):
    events = {"onset": [10.3, 51.1, 80.7]}
    root = write_runs(bids.describe(tmp_path), ("01",), duration=duration, events=events)
    assert {item.shape[2] for item in cut(root)} == {n_volumes}


def test_events_beyond_the_run_are_counted(tmp_path):
    root = write_runs(bids.describe(tmp_path), events={"onset": [10.0, 50.0, 100.0]})
    with pytest.warns(RuntimeWarning, match="2 beyond the ends of the run") as caught:
        trials = cut(root)
    assert len(caught) == 1 and trials.metadata["onset"].tolist() == [10.0, 50.0] * 2


def test_repeated_events_are_counted(tmp_path):
    """As in EEG: one block written twice is one sample."""
    root = write_runs(bids.describe(tmp_path), events={"onset": [10.0, 50.0, 10.0]})
    with pytest.warns(RuntimeWarning, match="2 repeated"):
        trials = cut(root)
    assert trials.metadata["onset"].tolist() == [10.0, 50.0] * 2


def test_events_of_several_types_at_once_are_refused(tmp_path):
    """As in EEG: one block cannot be a sample of two types, but event_id may choose."""
    events = {"onset": [10.0, 50.0, 50.0], "trial_type": ["a", "a", "b"]}
    root = write_runs(bids.describe(tmp_path), ("01",), events=events)
    with pytest.raises(ValueError, match=r"sub-01.*types .*\['a', 'b'\].*event_id"):
        cut(root)
    assert cut(root, event_id=["a"]).metadata["onset"].tolist() == [10.0, 50.0]


def test_unknown_duration_of_a_block(tmp_path):
    events = {"duration": [20.0, "n/a", 20.0]}
    root = write_runs(bids.describe(tmp_path), ("01",), events=events)
    with pytest.raises(ValueError, match=r"tmax must be given: 1 events of sub-01.*n/a"):
        cut(root)
    assert [item.shape[2] for item in cut(root, tmax=10.0)] == [5, 5, 5]


def test_events_are_inherited(task):
    """A table at the root, without run, serves all runs."""
    for path in sorted(task.rglob("*_events.tsv")):
        path.rename(task / "task-a_events.tsv")
    assert len(cut(task)) == 6
    (task / "task-a_events.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"sub-01_task-a_run-01_events\.tsv"):
        cut(task)


def write_prepared(root, effect, csf, **options):
    """What fMRIPrep would make of both runs."""
    folder = bids.describe(root / "derivatives" / "fmriprep", DatasetType="derivative")
    for run in ("01", "02"):
        name = f"sub-01_task-a_run-{run}"
        image = bids.make_image(seed=5, effect=effect)
        path = bids.write_image(folder, f"{name}_space-MNI152Lin_desc-preproc_bold", image=image)
        table = path.parent / f"{name}_desc-confounds_timeseries.tsv"
        bids.write_confounds(table, csf, **options)


def test_preprocessed_images_take_events_of_the_raw_and_confounds_of_their_own(task):
    drift = np.sin(np.arange(60) / 3.0)
    write_prepared(task, drift, drift)
    expected = np.tile(np.concatenate([drift[8:18], drift[28:38], drift[48:58]]), 2)
    follows = {}
    for confounds in (True, False):
        trials = cut(task, derivatives="fmriprep", confounds=confounds)
        found = np.concatenate([item.data[0, 0] for item in trials])
        follows[confounds] = np.corrcoef(found, expected)[0, 1]
    assert follows[False] > 0.85 and abs(follows[True]) < 0.4


def test_confounds_are_detrended_with_the_series(task):
    """Against nilearn: what of confounds a trend hides does not come back with the detrending."""
    drift = np.linspace(-1, 1, 60)
    csf = 3 * drift + np.sin(np.arange(60) / 3.0)
    write_prepared(task, csf - 2 * drift, csf)
    (record,) = read_bids(task, derivatives="fmriprep", runs="01")
    confounds, kept = load_confounds_strategy(str(record["fmri"]), denoise_strategy="simple")
    masker = clone(bids.make_masker()).set_params(detrend=True, standardize="zscore_sample")
    plain = masker.fit_transform(record["fmri"], confounds=confounds, sample_mask=kept)
    (trial, *_) = cut(task, derivatives="fmriprep", runs="01", shift=6.0)  # 16 to 36 s
    np.testing.assert_allclose(trial.data[0].T, plain[8:18], atol=1e-4)


def test_volumes_left_out_at_the_start_do_not_shift_trials(task):
    ramp = np.arange(60.0) ** 2 / 3600
    write_prepared(task, ramp, np.random.default_rng(3).standard_normal(60), n_unsteady=4)
    (record,) = read_bids(task, derivatives="fmriprep", runs="01")
    masker = bids.make_masker().set_params(detrend=True)
    run = from_nifti(record["fmri"], masker=masker, confounds=record["confounds"])
    assert run.shape[2] == 56 and run.onset[0] == 8.0
    plain = clean(run.data[0].T, detrend=True, standardize="zscore_sample", filter=False).T
    trial = cut(task, derivatives="fmriprep", runs="01", shift=6.0)[0]  # 16 to 36 s
    assert trial.onset[0] == 16.0
    np.testing.assert_allclose(trial.data[0], plain[:, 4:14], atol=1e-5)
    with pytest.warns(RuntimeWarning, match="1 beyond the ends"):
        cut(task, derivatives="fmriprep", runs="01", tmin=-14.0, tmax=-6.0, shift=6.0)


# ------------------------------------------------------------------------------------------ Trials
def test_trials_are_a_sequence(task):
    trials = cut(task)
    down = trials.metadata["trial_type"] == "down"
    for key in (down.to_numpy(), down, [1, 4], np.array([1, 4]), slice(1, None, 3)):
        assert isinstance(trials[key], Trials)
        assert trials[key].metadata["trial_type"].tolist() == ["down"] * 2
        assert trials[key].metadata.index.tolist() == [0, 1]
    assert trials[-1] is trials[5] and len(trials[[]]) == 0
    assert repr(trials) == "<Trials | 6 of 1 subject: 4 up, 2 down>"
    pd.testing.assert_frame_equal(trials.to_dataframe(), trials.metadata)
    again = pickle.loads(pickle.dumps(trials))
    np.testing.assert_array_equal(again[3].data, trials[3].data)
    with pytest.raises(ValueError, match="6 items but metadata of 5"):
        Trials(list(trials), trials.metadata[:5])


def test_trials_are_what_scikit_learn_splits(task):
    trials = cut(task)
    assert _num_samples(trials) == 6 and trials.shape == (6,)
    assert _safe_indexing(trials, [5, 0]).groups.tolist() == ["02", "01"]
    y = trials.metadata["trial_type"]
    assert y[_safe_indexing(range(6), [1])].tolist() == ["down"]
    predicted = cross_val_predict(
        DummyClassifier(), trials, y, groups=trials.groups, cv=LeaveOneGroupOut()
    )
    assert predicted.tolist() == ["up"] * 6


def test_groups_of_one_subject_are_sessions_and_runs(task):
    trials = cut(task)
    table = trials.metadata.assign(session=["a", "a", "b", "b", "b", "b"])
    groups = Trials(list(trials), table).groups.tolist()
    assert groups == ["a_01", "a_01", "b_01", "b_02", "b_02", "b_02"]
    assert set(trials[:3].groups) == {"01"}
    several = Trials(list(trials), table.assign(subject=list("xxxyyy")))
    assert several.groups.tolist() == list("xxxyyy")
