"""Simulated simultaneous EEG, MEG and fMRI: seeded, of realistic size, with the effect claimed."""

from __future__ import annotations

import warnings

import nilearn.datasets  # noqa: F401 (importing it draws from python's random state)
import numpy as np
import pytest
from scipy import stats

from brainof_toolbox import from_nifti, from_raw
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.datasets.sources import source_table
from brainof_toolbox.io.amplitude import check_amplitude

SMALL = {"duration": 20.0, "montage": 4, "n_meg": 6, "voxel_size": 16}


def _arrays(record):
    """Everything that a record measured, as plain arrays."""
    found = {name: record[name].get_data() for name in ("eeg", "meg") if name in record}
    if "fmri" in record:
        found["fmri"] = np.asarray(record["fmri"].dataobj)
    return found


def _same(one, other):
    one, other = _arrays(one), _arrays(other)
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def states():
    """Four subjects, 160 s of rest and task, one volume a second, by effect size."""
    return {
        size: make_paired_recordings(
            4,
            label="state",
            duration=160.0,
            effect_size=size,
            t_r=1.0,
            blinks=False,
            line_freq=None,
        )
        for size in (0.0, 1.0)
    }


def test_same_seed_same_recordings(global_rng_untouched, no_network):
    """The seed decides everything; the global random state and the network nothing."""
    one, same, other = (make_paired_recordings(1, random_state=s, **SMALL)[0] for s in (3, 3, 4))
    assert _same(one, same)
    one, other = _arrays(one), _arrays(other)
    assert not any(np.allclose(one[k], other[k], atol=0.0) for k in one)
    seeded = make_paired_recordings(1, random_state=np.random.default_rng(3), **SMALL)[0]
    assert all(np.array_equal(one[k], values) for k, values in _arrays(seeded).items())


def test_more_does_not_change_what_was():
    """Subjects, runs and modalities are drawn apart."""
    few = make_paired_recordings(2, **SMALL)
    more = make_paired_recordings(3, n_runs=2, **SMALL)
    assert more.subject == ("01", "01", "02", "02", "03", "03")
    assert all(_same(few[i], more[2 * i]) for i in range(2))
    assert not _same(more[0], more[1])
    assert few.participants.equals(more.participants.iloc[:2])
    only = make_paired_recordings(1, modalities=["meg"], **SMALL)[0]
    assert set(_arrays(only)) == {"meg"}
    assert np.array_equal(only["meg"].get_data(), few[0]["meg"].get_data())


def test_subjects_differ():
    records = make_paired_recordings(3, effect_size=0.0, **SMALL).records
    sizes = [np.linalg.norm(r["eeg"].info["chs"][0]["loc"][:3]) for r in records]
    assert len({round(size, 6) for size in sizes}) > 1
    spread = [np.log(r["eeg"].get_data().std()) for r in records]
    assert np.ptp(spread) > 0.02


def test_amplitudes_are_realistic():
    record = make_paired_recordings(1, n_meg="neuromag-306", duration=30.0, montage=32)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("eeg", "meg"):
            check_amplitude(from_raw(record[name]))
    spread = record["eeg"].get_data().std(axis=1)
    assert 4e-6 < np.median(spread) < 4e-5
    assert 1e-13 < np.median(record["meg"].get_data("mag").std(axis=1)) < 2e-12
    assert 2e-12 < np.median(record["meg"].get_data("grad").std(axis=1)) < 5e-11
    image = np.asarray(record["fmri"].dataobj)
    brain = image[image[..., 0] > 0].astype(float)
    change = 100 * brain.std(axis=1) / brain.mean(axis=1)
    assert 5000 < np.median(brain) < 20000 and 0.3 < np.median(change) < 3


@pytest.mark.parametrize(
    "montage, n_eeg",
    [("10-20", 19), (64, 64), (["Oz", "Cz"], 2), ("biosemi32", 32), ("GSN-HydroCel-32", 33)],
    ids=str,
)
def test_any_montage(montage, n_eeg):
    options = {**SMALL, "montage": montage}
    raw = make_paired_recordings(1, modalities=["eeg"], **options)[0]["eeg"]
    assert len(raw.ch_names) == n_eeg and np.isfinite(raw.get_data()).all()
    places = np.array([channel["loc"][:3] for channel in raw.info["chs"]])
    assert len(np.unique(places.round(6), axis=0)) == n_eeg
    assert (raw.get_data().std(axis=1) > 1e-6).all()


@pytest.mark.parametrize("n_meg, counts", [(6, (2, 4)), ("neuromag-306", (102, 204))], ids=str)
def test_any_helmet(n_meg, counts):
    options = {**SMALL, "n_meg": n_meg}
    raw = make_paired_recordings(1, modalities=["meg"], **options)[0]["meg"]
    types = raw.get_channel_types()
    assert (types.count("mag"), types.count("grad")) == counts
    signals = from_raw(raw)  # around the same head as the electrodes
    distance = np.linalg.norm(signals.ch_pos - [0.0, 0.015, 0.042], axis=1)
    assert 0.1 < distance.min() and distance.max() < 0.15


@pytest.mark.parametrize("t_r, n_volumes", [(0.72, 27), (2.0, 10), (3.0, 6)])
def test_any_repetition_time(t_r, n_volumes):
    record = make_paired_recordings(1, modalities=["fmri"], t_r=t_r, **SMALL)[0]
    assert record["fmri"].shape[3] == n_volumes and record["t_r"] == t_r
    assert record["fmri"].header.get_zooms()[3] == pytest.approx(t_r)
    assert record["fmri"].header.get_xyzt_units() == ("mm", "sec")


def test_any_atlas():
    """Labels and maps, of any grid, read the same image; "signals" reads it for the user."""
    import nibabel as nib

    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = [-45.0, -85.0, -15.0]
    labels = np.zeros((10, 14, 6), dtype=np.int16)
    labels[:5, :7], labels[5:, :7], labels[:5, 7:], labels[5:, 7:] = 1, 2, 3, 4
    maps = np.stack([(labels == i).astype(np.float32) for i in (1, 2, 3)], axis=-1)
    options = {**SMALL, "duration": 40.0, "voxel_size": 10, "modalities": ["fmri"]}
    for atlas, n_regions in ((labels, 4), (maps, 3)):
        image = nib.Nifti1Image(atlas, affine)
        made = make_paired_recordings(1, output="signals", masker=image, **options)[0]["fmri"]
        assert made.shape == (1, n_regions, 20)
        assert made.subject == ("01",) and made.task == ("rest",)
        run = make_paired_recordings(1, **options)[0]["fmri"]
        assert np.allclose(made.data, from_nifti(run, masker=image).data)


def _blocks(record, name, low, high):
    """Mean log power in a band of each block, and whether it is a task."""
    power, is_task = [], []
    for annotation in record[name].annotations:
        if annotation["description"] == "stimulus":
            continue
        start = annotation["onset"]
        block = record[name].copy().crop(start, start + annotation["duration"] - 0.1)
        spectrum = block.compute_psd(fmin=low, fmax=high, verbose="error").get_data()
        power.append(np.log(spectrum).mean())
        is_task.append(annotation["description"] == "task")
    return np.array(power), np.array(is_task)


@pytest.mark.parametrize("name", ["eeg", "meg"])
def test_alpha_falls_and_beta_rises_in_tasks(states, name):
    t = {}
    for size, made in states.items():
        for band, edges in {"alpha": (8.5, 12.5), "beta": (18.0, 25.0)}.items():
            blocks = [_blocks(record, name, *edges) for record in made.records]
            power = np.concatenate([power - power.mean() for power, _ in blocks])
            is_task = np.concatenate([is_task for _, is_task in blocks])
            t[size, band] = stats.ttest_ind(power[is_task], power[~is_task]).statistic
    assert t[1.0, "alpha"] < -5 and t[1.0, "beta"] > 5
    assert abs(t[0.0, "alpha"]) < 3 and abs(t[0.0, "beta"]) < 3


def _visual_course(record):
    """Percent signal change of the voxels near the primary visual cortex."""
    image = record["fmri"]
    data = np.asarray(image.dataobj).astype(float)
    voxels = np.argwhere(data[..., 0] > 0)
    places = voxels @ image.affine[:3, :3].T + image.affine[:3, 3]
    near = np.minimum(*(np.linalg.norm(places - [x, -90, 2], axis=1) for x in (-10, 10))) < 15
    rows = data[tuple(voxels[near].T)]
    return 100 * (rows / rows.mean(axis=1, keepdims=True) - 1).mean(axis=0)


def test_blood_rises_in_tasks_and_lags_behind(states):
    """Each effect size has the same noise, so that the difference is the effect alone."""
    pairs = zip(states[0.0].records, states[1.0].records, strict=True)
    by_lag, alike = [], {0.0: [], 1.0: []}
    for without, with_effect in pairs:
        design = np.zeros(160)
        for annotation in with_effect["eeg"].annotations:
            if annotation["description"] == "task":
                onset = int(annotation["onset"])
                design[onset : onset + int(annotation["duration"])] = 1
        courses = {0.0: _visual_course(without), 1.0: _visual_course(with_effect)}
        effect = courses[1.0] - courses[0.0]
        by_lag.append([np.corrcoef(effect[k:], design[: 160 - k])[0, 1] for k in range(10)])
        for size, course in courses.items():
            alike[size].append(np.corrcoef(course[5:], design[:155])[0, 1])
    by_lag = np.mean(by_lag, axis=0)
    assert 4 <= by_lag.argmax() <= 7 and by_lag.max() > 0.8
    assert np.mean(alike[1.0]) > 0.3 and abs(np.mean(alike[0.0])) < 0.2


def test_stimuli_evoke_responses(states):
    import mne

    size = {}
    for effect, made in states.items():
        evoked = []
        for record in made.records:
            raw = record["eeg"].copy().pick(["O1", "O2"]).filter(1.0, 20.0, verbose="error")
            events, _ = mne.events_from_annotations(raw, {"stimulus": 1}, verbose="error")
            epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=0.5, preload=True, verbose="error")
            evoked.append(epochs.average().data.mean(axis=0))
            assert len(events) > 30
        course = np.abs(np.mean(evoked, axis=0))
        size[effect] = course.max()
        if effect:
            assert 0.07 < epochs.times[course.argmax()] < 0.2
    assert size[1.0] > 2 * size[0.0]


@pytest.mark.parametrize("size", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_groups_differ_in_every_modality(size):
    made = make_paired_recordings(
        12, duration=60.0, effect_size=size, blinks=False, line_freq=None, voxel_size=10
    )
    is_f = made.labels == "F"
    measures = {"eeg": [], "meg": [], "fmri": []}
    for record in made.records:
        for name in ("eeg", "meg"):
            spectrum = record[name].compute_psd(fmin=2.0, fmax=25.0, verbose="error")
            power, freqs = np.log(spectrum.get_data()), spectrum.freqs
            beta, low = power[:, freqs > 18].mean(), power[:, freqs < 5].mean()
            alpha = power[:, (freqs > 8) & (freqs < 13)].mean()
            measures[name].append(beta - 0.5 * alpha - 0.5 * low)
        image = np.asarray(record["fmri"].dataobj).astype(float)
        measures["fmri"].append((image[image[..., 0] > 0] / image.max()).mean(axis=0).std())
    t = {k: stats.ttest_ind(np.array(v)[is_f], np.array(v)[~is_f]) for k, v in measures.items()}
    if size:
        assert all(result.statistic > 2.2 for result in t.values()), t
    else:
        assert all(abs(result.statistic) < 3.2 for result in t.values()), t


@pytest.mark.slow
def test_alpha_is_slower_in_the_old():
    """The graded effect of the group design."""
    r = {}
    for size in (0.0, 1.0):
        made = make_paired_recordings(
            20, duration=40.0, effect_size=size, blinks=False, modalities=["eeg"], random_state=1
        )
        peaks = []
        for record in made.records:
            spectrum = record["eeg"].compute_psd(fmin=2, fmax=25, n_fft=512, verbose="error")
            freqs, power = spectrum.freqs, spectrum.get_data(["O1", "O2", "Pz"]).mean(axis=0)
            near = (freqs > 7) & (freqs < 13.5)
            floor = np.interp(np.log(freqs), np.log(freqs[~near]), np.log(power[~near]))
            weight = np.clip(power - np.exp(floor), 0, None)[near]
            peaks.append((freqs[near] * weight).sum() / weight.sum())
        r[size] = stats.pearsonr(made.participants["age"], peaks).statistic
    assert r[1.0] < -0.45 and r[1.0] < r[0.0] - 0.3


def test_views_are_separate():
    """MEG cannot see the alpha rhythm that carries the view of EEG; nothing is evoked."""
    table = source_table("separate")
    assert (table.loc[table["alpha"] > 0, "tilt"] == 0).all()
    assert (table.loc[table["beta"] > 0, "tilt"] == 90).all()
    assert table.loc[table["task"] != 0, ["alpha", "mu", "beta"]].to_numpy().sum() == 0
    made = make_paired_recordings(1, label="state", views="separate", block_duration=10.0, **SMALL)
    assert set(made.events["trial_type"]) <= {"rest", "task"}


def test_missing_modalities():
    """Some are gone, never all; what is left is what it was."""
    whole = make_paired_recordings(8, **SMALL)
    some = make_paired_recordings(8, missing=0.5, **SMALL)
    present = [set(_arrays(record)) for record in some.records]
    assert all(present) and 8 < sum(map(len, present)) < 20
    for one, other in zip(whole.records, some.records, strict=True):
        kept = _arrays(other)
        assert all(np.array_equal(_arrays(one)[name], values) for name, values in kept.items())
        assert ("t_r" in other) == ("fmri" in other)
    alone = make_paired_recordings(3, missing=1.0, **SMALL)
    assert [len(_arrays(record)) for record in alone.records] == [1, 1, 1]


def test_labels_and_repr():
    made = make_paired_recordings(2, n_runs=2, **SMALL)
    assert made.labels.tolist() == ["F", "F", "M", "M"] and len(made) == 4
    assert list(made.participants) == ["participant_id", "sex", "age"]
    assert "4 fmri, 4 eeg, 4 meg" in repr(made)
    state = make_paired_recordings(1, label="state", block_duration=5.0, **SMALL)
    assert state.labels is None
    blocks = state.events[state.events["trial_type"] != "stimulus"]
    assert blocks["onset"].tolist() == [0.0, 5.0, 10.0, 15.0]
    assert sorted(blocks["trial_type"]) == ["rest", "rest", "task", "task"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"n_subjects": 0}, "n_subjects"),
        ({"modalities": "eeg"}, "modalities"),
        ({"modalities": ["nirs"]}, "modalities"),
        ({"modalities": []}, "modalities"),
        ({"n_runs": 0}, "n_runs"),
        ({"duration": 5.0}, "duration"),
        ({"label": "age"}, "label"),
        ({"effect_size": 3.0}, "effect_size"),
        ({"views": "own"}, "views"),
        ({"missing": 1.5}, "missing"),
        ({"montage": "10-30"}, "montage"),
        ({"montage": 65}, "montage"),
        ({"montage": ["Cz", "XX"]}, "XX"),
        ({"n_meg": 10}, "multiple of 3"),
        ({"n_meg": "ctf"}, "n_meg"),
        ({"sfreq": 20.0}, "sfreq"),
        ({"t_r": 2000.0}, "t_r"),
        ({"voxel_size": 1}, "voxel_size"),
        ({"label": "state", "block_duration": 100.0}, "block_duration"),
        ({"noise_level": -1.0}, "noise_level"),
        ({"line_freq": 0.0}, "line_freq"),
        ({"output": "arrays"}, "output"),
        ({"masker": "aal"}, "masker"),
        ({"output": "signals", "write_bids": "somewhere"}, "write_bids"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_nonsense_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make_paired_recordings(**changes)
