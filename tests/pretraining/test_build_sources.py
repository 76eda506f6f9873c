"""Every kind of source of a corpus, in the order in which it was given."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from recordings import raw_of, region_series

from brainof_toolbox import Preprocessing, from_raw, read_bids
from brainof_toolbox._utils.subjects import add_data_set, hash_subject
from brainof_toolbox.datasets import (
    make_epochs,
    make_paired_recordings,
    make_paired_signals,
)
from brainof_toolbox.io import from_epochs, from_nifti
from brainof_toolbox.preprocessing import preprocess
from brainof_toolbox.pretraining import build_corpus
from brainof_toolbox.pretraining.build_keys import neighbourhood

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def assert_holds(corpus, signals, first, window=None):
    """The samples from ``first`` on are those that the readers and preprocessing give."""
    wanted = preprocess(signals, Preprocessing(), window=window).signals
    for row in range(len(wanted)):
        found = corpus[first + row]
        peak = np.abs(wanted.data[row]).max(axis=1, keepdims=True)
        assert (np.abs(found.data - wanted.data[row]) <= peak / 60_000).all()
        np.testing.assert_array_equal(found.position, wanted.ch_pos)
        assert found.sfreq == wanted.sfreq
    return first + len(wanted)


def named(dataset, *subjects):
    """Hashes of subjects of a data set, sorted."""
    return tuple(sorted(add_data_set(hash_subject(name), dataset) for name in subjects))


# ------------------------------------------------------------------------------- sources


def test_folder(lab_folder, tmp_path):
    """Every file that MNE or nilearn reads, in the order of names; broken ones are named."""
    corpus = build_corpus(lab_folder, tmp_path / "c", licence="CC0-1.0")
    corpus.verify()
    entries = {entry.recording: entry for entry in corpus.entries}
    assert [entry.n_channels for entry in entries.values()] == [8, 12, 8]
    assert [entry.n_samples for entry in entries.values()] == [2, 2, 5]
    names = [entry.subject for entry in entries.values()]
    assert names == [hash_subject(name) for name in ("01", "02", "third-epo")]
    assert {entry.dataset for entry in entries.values()} == {"lab"} == set(corpus.datasets)
    assert corpus.licences == ("CC0-1.0",)
    skipped = {row["name"]: row["reason"] for row in corpus.skipped}
    assert sorted(skipped) == ["broken_raw.fif", "text.nii.gz"]
    assert "broken_raw.fif" in skipped["broken_raw.fif"]
    assert not any(str(lab_folder) in text for text in skipped.values())
    first = assert_holds(corpus, from_raw(raw_of(0)), 0)
    first = assert_holds(corpus, from_raw(raw_of(1, n_channels=12)), first)
    epochs = make_epochs(n_channels=8, n_epochs=5, duration=1.0)
    assert assert_holds(corpus, from_epochs(epochs), first) == len(corpus)


def test_bids(bids_pairs, tmp_path):
    """Records with three modalities become three entries; fMRI is cut by volumes."""
    corpus = build_corpus(bids_pairs, tmp_path / "c", fmri_volumes=12)
    corpus.verify()
    assert [entry.modality for entry in corpus.entries] == ["fmri", "eeg", "meg"] * 2
    assert [entry.recording for entry in corpus.entries] == [0, 0, 0, 1, 1, 1]
    assert corpus.datasets == ("Pairs",) and corpus.licences == ("PDDL",)
    assert corpus.subjects == named("Pairs", "01", "02")
    assert [e.n_times for e in corpus.entries[:3]] == [12, 2560, 512]
    assert [e.n_samples for e in corpus.entries[:3]] == [2, 4, 20]
    record = read_bids(bids_pairs)[0]
    signals = from_nifti(record["fmri"], t_r=record["t_r"])
    assert assert_holds(corpus, signals, 0, window=24.0) == 2
    only = build_corpus(bids_pairs, tmp_path / "d", bids={"datatypes": ["eeg"], "subjects": "02"})
    assert [entry.modality for entry in only.entries] == ["eeg"]
    assert only.subjects == named("Pairs", "02")
    assert only.sha256 != corpus.sha256


def test_objects(tmp_path):
    """Whatever an estimator takes, side by side, in their order."""
    rng = np.random.default_rng(0)
    image = make_paired_recordings(1, modalities=["fmri"], duration=40.0)[0]["fmri"]
    sources = [
        raw_of(0),
        make_epochs(n_channels=8, n_epochs=3, duration=1.0),
        region_series(rng, "s1"),
        {"eeg": raw_of(1), "subject": "s2"},
        image,
    ]
    corpus = build_corpus(sources, tmp_path / "c", dataset=["a", "b", "c", "d", "e"])
    corpus.verify()
    assert [entry.dataset for entry in corpus.entries] == list("abcde")
    assert [entry.recording for entry in corpus.entries] == list(range(5))
    wanted = [None, None, hash_subject("s1"), hash_subject("s2"), None]
    assert [entry.subject for entry in corpus.entries] == wanted
    assert corpus.totals()["fmri"]["recordings"] == 2
    assert_holds(corpus, from_raw(raw_of(0)), 0)


def test_missing_modalities_are_not_written(tmp_path):
    """PairedSignals say which samples lack what; nobody trains on their zeros."""
    signals, _, groups = make_paired_signals(4, n_subjects=3, missing=0.4, fmri_duration=30.0)
    corpus = build_corpus(signals, tmp_path / "c", window={"meg": 4.0})
    counts = {name: int((~mask).sum()) for name, mask in signals.is_missing.items()}
    assert {name: row["samples"] for name, row in corpus.totals().items()} == counts
    assert sum(counts.values()) < 3 * len(signals)
    assert corpus.subjects == named("recordings", *set(groups))
    assert all(corpus[i].data.any() for i in range(len(corpus)))


def test_simulated(tmp_path):
    """Subjects have random numbers of their own: more of them do not change the first."""
    small = build_corpus("simulated:1x20:3", tmp_path / "a")
    large = build_corpus(["simulated:2x20:3"], tmp_path / "b")
    other = build_corpus("simulated:1x20", tmp_path / "c")
    assert {entry.modality for entry in small.entries} == {"eeg", "meg", "fmri"}
    assert large.entries[:3] == small.entries and len(large.subjects) == 2
    assert not np.array_equal(other[0].data, small[0].data)
    paired = build_corpus(make_paired_recordings(1, duration=20.0), tmp_path / "d")
    assert paired.datasets == small.datasets == ("simulated",)
    for wrong in ("simulated:", "simulated:2", "simulated:x20", "simulated:2x20:"):
        with pytest.raises(ValueError, match="simulated:SUBJECTSxSECONDS"):
            build_corpus(wrong, tmp_path / "e")
    with pytest.raises(ValueError, match="simulated seconds"):
        build_corpus("simulated:2x5", tmp_path / "e")


def test_list_of_paths(lab_folder, tmp_path):
    """Lines of a text file, below its own folder; comments and empty lines do not count."""
    text = "# two\nsub-01_raw.fif\n\n  sub-02\nsimulated:1x20\n"
    (lab_folder / "list.txt").write_text(text)
    corpus = build_corpus(lab_folder / "list.txt", tmp_path / "c")
    assert corpus.datasets == ("lab", "sub-02", "simulated")
    (lab_folder / "list.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match="is empty"):
        build_corpus(lab_folder / "list.txt", tmp_path / "d")
    (lab_folder / "list.txt").unlink()


def test_names_and_licences_by_source(lab_folder, bids_pairs, tmp_path):
    sources = [lab_folder / "sub-01_raw.fif", bids_pairs]
    options = {"bids": {"datatypes": "eeg"}}
    corpus = build_corpus(
        sources, tmp_path / "c", dataset=[None, "mine"], licence=["CC0-1.0", None], **options
    )
    assert {(e.dataset, e.licence) for e in corpus.entries} == {
        ("lab", "CC0-1.0"),
        ("mine", "PDDL"),
    }
    for parameter in ("dataset", "licence"):
        with pytest.raises(ValueError, match=f"'{parameter}' must be one name, or one for each"):
            build_corpus(sources, tmp_path / "d", **{parameter: ["a", "b", "c"]})


def test_recordings_given_twice_are_taken_once(lab_folder, tmp_path):
    sources = [lab_folder / "sub-01_raw.fif", lab_folder, raw_of(7), raw_of(7)]
    with pytest.warns(RuntimeWarning, match="2 recordings are given more than once"):
        corpus = build_corpus(sources, tmp_path / "c")
    assert corpus.totals()["eeg"]["recordings"] == 4


def test_continued_fif_files_are_read_once(tmp_path):
    """``x_raw-1.fif`` is the rest of ``x_raw.fif``."""
    data = tmp_path / "data"
    data.mkdir()
    raw_of(0, n_channels=60, duration=400.0).save(
        data / "long_raw.fif", split_size="8MB", verbose="error"
    )
    assert len(list(data.iterdir())) == 2
    corpus = build_corpus(data, tmp_path / "c")
    assert len(corpus) == 40 and len(corpus.entries) == 1 and not corpus.skipped


def test_unequal_recordings_stay_apart(tmp_path):
    """Other montages, rates and lengths; none changes another."""
    rng = np.random.default_rng(0)
    sources = [
        raw_of(0),
        raw_of(1, sfreq=333.333),
        raw_of(2, n_channels=12, duration=3.0),
        region_series(rng, "a", t_r=0.72, n_times=700),
        region_series(rng, "b", t_r=2.0, n_times=700),
        region_series(rng, "c", n_regions=4, n_times=40),
    ]
    corpus = build_corpus(sources, tmp_path / "c", window={"eeg": 4.0})
    eeg, fmri = corpus.entries[:3], corpus.entries[3:]
    assert [(e.n_channels, e.n_times, e.sfreq) for e in eeg] == [
        (8, 1024, 256.0),
        (8, 1024, 256.0),
        (12, 768, 256.0),
    ]
    assert [(e.n_channels, e.n_times) for e in fmri] == [(10, 320), (10, 320), (4, 40)]
    np.testing.assert_allclose([e.sfreq for e in fmri], [1 / 0.72, 0.5, 0.5])
    assert corpus.window == {"eeg": 4.0, "meg": 2.0, "fmri": 320}
    assert corpus.preprocessing["window"]["eeg"] == 4.0
    alone = build_corpus(sources[1], tmp_path / "d", window={"eeg": 4.0})
    np.testing.assert_array_equal(alone[0].data, corpus[eeg[0].n_samples].data)


def test_atlas(bids_pairs, tmp_path):
    """A parcellation of one's own changes regions, and is part of what was asked."""
    image = nib.load(read_bids(bids_pairs, datatypes="func")[0]["fmri"])
    labels = np.zeros(image.shape[:3], np.int16)
    middle = [size // 2 for size in labels.shape]
    labels[middle[0] - 3 : middle[0], :, middle[2]] = 1
    labels[middle[0] : middle[0] + 3, :, middle[2]] = 2
    path = tmp_path / "atlas.nii.gz"
    nib.save(nib.Nifti1Image(labels, image.affine), path)
    options = {"bids": {"datatypes": ["func"]}}
    corpus = build_corpus(bids_pairs, tmp_path / "c", masker=path, **options)
    assert {entry.n_channels for entry in corpus.entries} == {2}
    with pytest.raises(FileExistsError, match="built from other options"):
        build_corpus(bids_pairs, tmp_path / "c", **options)


@pytest.mark.parametrize("name", ["task-x_eeg.json", "sub-01/sub-01_channels.tsv"])
def test_sidecars_in_every_folder_above_decide_what_a_recording_is(tmp_path, name):
    """Up to the root of the dataset: a change of one that applies is a change of the source."""
    path = tmp_path / "set" / "sub-01" / "ses-a" / "eeg" / "sub-01_ses-a_task-x_eeg.edf"
    path.parent.mkdir(parents=True)
    for file in (path, tmp_path / "set" / "dataset_description.json"):
        file.touch()
    before = neighbourhood(path, {})
    (tmp_path / "set" / name).write_text("changed")
    assert neighbourhood(path, {}) != before
    before = neighbourhood(path, {})
    (tmp_path / "outside.json").touch()
    assert neighbourhood(path, {}) == before
