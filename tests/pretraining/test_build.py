"""The builder: every kind of source, what is left out, and that no more is done than needed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
import weakref

import nibabel as nib
import numpy as np
import psutil
import pytest
from recordings import region_series

from brainof_toolbox import Preprocessing, from_raw, read_bids, read_recording
from brainof_toolbox._utils.subjects import hash_subject
from brainof_toolbox.cli import main
from brainof_toolbox.datasets import (
    make_epochs,
    make_paired_recordings,
    make_paired_signals,
    make_raw,
)
from brainof_toolbox.io import from_epochs, from_nifti
from brainof_toolbox.preprocessing import preprocess
from brainof_toolbox.pretraining import Corpus, _build, _build_part, build_corpus

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def raw_of(seed, **options):
    return make_raw(
        **{"n_channels": 8, "sfreq": 128.0, "duration": 12.0, "random_state": seed, **options}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of several kinds, two levels deep, two of them broken, and a text."""
    folder = tmp_path_factory.mktemp("sources") / "lab"
    (folder / "sub-02").mkdir(parents=True)
    raw_of(0).save(folder / "sub-01_raw.fif", verbose="error")
    raw_of(1, n_channels=12).save(folder / "sub-02" / "rest_raw.fif", verbose="error")
    make_epochs(n_channels=8, n_epochs=5, duration=1.0).save(
        folder / "third-epo.fif", verbose="error"
    )
    (folder / "broken_raw.fif").write_bytes((folder / "sub-01_raw.fif").read_bytes()[:3000])
    (folder / "text.nii.gz").write_text("no image")
    (folder / "README.md").write_text("passed over")
    return folder


@pytest.fixture(scope="module")
def bids_root(tmp_path_factory):
    """Two subjects with EEG, MEG and fMRI at once; a licence in the description."""
    root = tmp_path_factory.mktemp("bids") / "ds1"
    make_paired_recordings(2, duration=40.0, sfreq=64.0, n_meg=6, write_bids=root)
    path = root / "dataset_description.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"Name": "Pairs", "License": "PDDL"})
    )
    return root


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


# ------------------------------------------------------------------------------- sources


def test_folder(folder, tmp_path):
    """Every file that MNE or nilearn reads, in the order of names; broken ones are named."""
    corpus = build_corpus(folder, tmp_path / "c", licence="CC0-1.0")
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
    assert not any(str(folder) in text for text in skipped.values())
    first = assert_holds(corpus, from_raw(raw_of(0)), 0)
    first = assert_holds(corpus, from_raw(raw_of(1, n_channels=12)), first)
    epochs = make_epochs(n_channels=8, n_epochs=5, duration=1.0)
    assert assert_holds(corpus, from_epochs(epochs), first) == len(corpus)


def test_bids(bids_root, tmp_path):
    """Records with three modalities become three entries; fMRI is cut by volumes."""
    corpus = build_corpus(bids_root, tmp_path / "c", fmri_volumes=12)
    corpus.verify()
    assert [entry.modality for entry in corpus.entries] == ["fmri", "eeg", "meg"] * 2
    assert [entry.recording for entry in corpus.entries] == [0, 0, 0, 1, 1, 1]
    assert corpus.datasets == ("Pairs",) and corpus.licences == ("PDDL",)
    assert corpus.subjects == tuple(sorted(hash_subject(name) for name in ("01", "02")))
    assert [e.n_times for e in corpus.entries[:3]] == [12, 2560, 512]
    assert [e.n_samples for e in corpus.entries[:3]] == [2, 4, 20]
    record = read_bids(bids_root)[0]
    signals = from_nifti(record["fmri"], t_r=record["t_r"])
    assert assert_holds(corpus, signals, 0, window=24.0) == 2
    only = build_corpus(bids_root, tmp_path / "d", bids={"datatypes": ["eeg"], "subjects": "02"})
    assert [entry.modality for entry in only.entries] == ["eeg"]
    assert only.subjects == (hash_subject("02"),)
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
    assert corpus.subjects == tuple(sorted(hash_subject(name) for name in set(groups)))
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


def test_list_of_paths(folder, tmp_path):
    """Lines of a text file, below its own folder; comments and empty lines do not count."""
    text = "# two\nsub-01_raw.fif\n\n  sub-02\nsimulated:1x20\n"
    (folder / "list.txt").write_text(text)
    corpus = build_corpus(folder / "list.txt", tmp_path / "c")
    assert corpus.datasets == ("lab", "sub-02", "simulated")
    (folder / "list.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match="is empty"):
        build_corpus(folder / "list.txt", tmp_path / "d")
    (folder / "list.txt").unlink()


def test_names_and_licences_by_source(folder, bids_root, tmp_path):
    sources = [folder / "sub-01_raw.fif", bids_root]
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


def test_recordings_given_twice_are_taken_once(folder, tmp_path):
    sources = [folder / "sub-01_raw.fif", folder, raw_of(7), raw_of(7)]
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
    """R24, R52: other montages, rates and lengths; none changes another."""
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


def test_atlas(bids_root, tmp_path):
    """A parcellation of one's own changes regions, and is part of what was asked."""
    image = nib.load(read_bids(bids_root, datatypes="func")[0]["fmri"])
    labels = np.zeros(image.shape[:3], np.int16)
    middle = [size // 2 for size in labels.shape]
    labels[middle[0] - 3 : middle[0], :, middle[2]] = 1
    labels[middle[0] : middle[0] + 3, :, middle[2]] = 2
    path = tmp_path / "atlas.nii.gz"
    nib.save(nib.Nifti1Image(labels, image.affine), path)
    options = {"bids": {"datatypes": ["func"]}}
    corpus = build_corpus(bids_root, tmp_path / "c", masker=path, **options)
    assert {entry.n_channels for entry in corpus.entries} == {2}
    with pytest.raises(FileExistsError, match="built from other options"):
        build_corpus(bids_root, tmp_path / "c", **options)


# ------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(("sfreq", "n_empty"), [(256.0, 4), (128.0, 4)])
def test_windows_of_zeros_are_left_out(tmp_path, sfreq, n_empty):
    """They carry no information: counted, and said; recordings that only hold such are skipped."""
    raw = raw_of(0, duration=80.0, sfreq=sfreq)
    raw._data[:, int(15 * sfreq) : int(65 * sfreq)] = 0.0
    zeros = raw_of(1)
    zeros._data[:] = 0.0
    other = raw_of(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        corpus = build_corpus([raw, zeros, other], tmp_path / "c")
    assert any(f"{n_empty} windows of zeros" in str(w.message) for w in caught)
    # 20 to 60 s is 4 windows; at 128 Hz resampling smears a little into them.
    assert corpus.n_empty_windows == n_empty and len(corpus) == 8 - n_empty + 2
    assert all(np.ptp(corpus[i].data, axis=1).max() > 5e-3 for i in range(len(corpus)))
    assert corpus.entries[0].duration == 80.0 - 10 * n_empty
    assert [row["name"] for row in corpus.skipped] == ["sources[1]"]


def test_recording_of_next_to_nothing_is_skipped(tmp_path):
    """R4: scaled twice; what is left is below the noise of any amplifier."""
    raw = raw_of(0)
    raw._data *= 1e-4
    corpus = build_corpus([raw, raw_of(1)], tmp_path / "c")
    assert len(corpus) == 2 and "No channel varies" in corpus.skipped[0]["reason"]


def test_broken_recordings_are_counted_and_named(folder, tmp_path):
    """R42, R58, R79: skipped by default, an error on request, an error when nothing is left."""
    with pytest.warns(RuntimeWarning, match="2 of 5 recordings cannot be used.*broken_raw.fif"):
        build_corpus(folder, tmp_path / "c")
    with pytest.raises(ValueError, match=r"^broken_raw\.fif: "):
        build_corpus(folder, tmp_path / "d", on_error="raise")
    broken = [folder / "broken_raw.fif", folder / "text.nii.gz", raw_of(0).pick([0]).crop(0, 0.1)]
    with pytest.raises(ValueError, match=r"None of the 3.*broken_raw\.fif: .*text\.nii\.gz: "):
        build_corpus(broken, tmp_path / "e")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d.building", "c"]


@pytest.mark.parametrize(
    ("sources", "error", "words"),
    [
        ([], ValueError, "no sources"),
        (None, TypeError, "NoneType, which is not accepted. Accepted are a BIDS folder"),
        ([3], TypeError, r"sources\[0\] is of type int"),
        ([np.zeros((2, 3, 4))], TypeError, "from_array"),
        ("nowhere", FileNotFoundError, "No such file or folder.*nowhere"),
        ([["simulated:1x20", "nowhere"]], FileNotFoundError, "nowhere"),
    ],
    ids=str,
)
def test_sources_that_are_refused(sources, error, words, tmp_path):
    with pytest.raises(error, match=words):
        build_corpus(sources, tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"window": {"fmri": 300.0}}, ValueError, "'window'.*'eeg' or 'meg'.*fmri_volumes"),
        ({"window": 4.0}, TypeError, "'window' must be a dict"),
        ({"window": {"eeg": 0}}, ValueError, "eeg"),
        ({"fmri_volumes": 2}, ValueError, "'fmri_volumes' must be .* at least 10"),
        ({"dtype": "int8"}, ValueError, "'dtype'.*'int16' or 'float16'"),
        ({"on_error": "ignore"}, ValueError, "'on_error'"),
        ({"on_missing": "drop"}, ValueError, "'on_missing'"),
        ({"n_jobs": 0}, ValueError, "'n_jobs'"),
        ({"n_jobs": 1.5}, ValueError, "'n_jobs'"),
        ({"shard_size": 0}, ValueError, "'shard_size'"),
        ({"preprocessing": {}}, TypeError, "'preprocessing' must be a Preprocessing"),
        ({"masker": 3}, TypeError, "masker"),
        ({"memory": 3}, TypeError, "memory"),
    ],
    ids=str,
)
def test_options_that_are_refused(options, error, words, tmp_path):
    """K15: before anything is read or written."""
    with pytest.raises(error, match=words):
        build_corpus("simulated:1x20", tmp_path / "c", **options)
    assert not list(tmp_path.iterdir())


def test_folder_without_recordings(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "table.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"No recordings in .*empty.*\.edf.*from_roi_timeseries"):
        build_corpus(tmp_path / "empty", tmp_path / "c")


# --------------------------------------------------------------------------- what is there


def test_a_finished_corpus_is_opened(folder, tmp_path, monkeypatch):
    """The same call opens it; another one is refused, and changes nothing (A8)."""
    target = tmp_path / "c"
    made = build_corpus(folder, target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    monkeypatch.setattr(_build, "build_part", None)  # nothing is read
    again = build_corpus(folder, target, n_jobs=2)
    assert again.sha256 == made.sha256
    for sources, options in (
        (folder, {"dtype": "float16"}),
        (folder, {"fmri_volumes": 100}),
        (folder, {"preprocessing": Preprocessing(clip=5.0)}),
        (folder, {"licence": "CC0-1.0"}),
        (folder / "sub-02", {}),
    ):
        with pytest.raises(FileExistsError, match="built from other (options|sources)"):
            build_corpus(sources, target, **options)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_objects_are_known_again(tmp_path):
    """Sources in memory are the same when their samples are; on disk, when their files are."""
    raw_of(0).save(tmp_path / "x_raw.fif", verbose="error")
    image = make_paired_recordings(1, modalities=["fmri"], duration=40.0)[0]["fmri"]
    nib.save(image, tmp_path / "x_bold.nii.gz")

    def sources(seed=0):
        return [
            raw_of(seed),
            read_recording(tmp_path / "x_raw.fif"),
            nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header),
            {"fmri": nib.load(tmp_path / "x_bold.nii.gz"), "t_r": 2.0},
        ]

    made = build_corpus(sources(), tmp_path / "c")
    assert build_corpus(sources(), tmp_path / "c").sha256 == made.sha256
    changed = [sources(1), sources(), sources(), sources()]
    changed[1][1].info["bads"] = changed[1][1].ch_names[:1]
    changed[2][2].header["pixdim"][4] = 1.5
    changed[3][3]["t_r"] = 1.5
    for others in changed:
        with pytest.raises(FileExistsError, match="other sources"):
            build_corpus(others, tmp_path / "c")
    os.utime(tmp_path / "x_bold.nii.gz", (1, 1))
    with pytest.raises(FileExistsError, match="other sources"):
        build_corpus(sources(), tmp_path / "c")


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, words in (("full", "holds other files"), ("file", "no folder")):
        with pytest.raises(FileExistsError, match=words):
            build_corpus(raw_of(0), tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert len(build_corpus(raw_of(0), tmp_path / "empty")) == 2
    assert (tmp_path / "full" / "thesis.tex").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]


def test_parents_are_made_and_links_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = build_corpus(raw_of(0), "a/b/c")
    assert corpus.directory == tmp_path / "a" / "b" / "c" and os.listdir("a/b") == ["c"]


# ----------------------------------------------------------------------------------- habits


def test_global_state_is_untouched(folder, tmp_path, global_rng_untouched):
    """D7, D10, R50: random states, warnings and logging are as before."""
    filters, level = list(warnings.filters), logging.getLogger("mne").level
    build_corpus([folder, "simulated:1x20"], tmp_path / "c")
    assert warnings.filters == filters and logging.getLogger("mne").level == level


def test_one_recording_at_a_time(tmp_path, monkeypatch):
    """A12: windows of earlier recordings are gone when the next ones are made."""
    alive, most = weakref.WeakSet(), []

    def spy(*args, **kwargs):
        windows = preprocess(*args, **kwargs)
        alive.add(windows)
        most.append(len(alive))
        return windows

    monkeypatch.setattr(_build_part, "preprocess", spy)
    build_corpus([raw_of(seed) for seed in range(6)], tmp_path / "c")
    assert len(most) == 6 and max(most) <= 2


def test_warnings_come_once_and_say_where(tmp_path):
    """They reach the caller from other processes too."""
    for number in (1, 2, 3):
        raw = raw_of(number)
        raw.set_montage(None)
        raw.save(tmp_path / f"sub-0{number}_raw.fif", verbose="error")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build_corpus(tmp_path, tmp_path.parent / f"{tmp_path.name}-c", n_jobs=2)
    texts = [str(w.message) for w in caught if "without a position" in str(w.message)]
    assert len(texts) == 1 and texts[0].startswith("sub-01_raw.fif and 2 more: 8 EEG channels")


def test_no_files_stay_open(folder, tmp_path):
    import gc

    build_corpus(folder, tmp_path / "c")
    gc.collect()
    before = psutil.Process().num_fds()
    for name in ("d", "e"):
        build_corpus(folder, tmp_path / name)
    with pytest.raises(ValueError):
        build_corpus(folder, tmp_path / "f", on_error="raise")
    gc.collect()
    assert psutil.Process().num_fds() <= before


# ------------------------------------------------------------------------------ command line


def test_command(folder, bids_root, tmp_path, capsys):
    target = tmp_path / "c"
    sources = [str(folder), str(bids_root), "simulated:1x20"]
    arguments = ["corpus", "build", *sources, "-o", str(target), "--eeg-window", "4"]
    arguments += ["--fmri-volumes", "16", "--licence", "CC0-1.0", "ODC-By", "X"]
    assert main([*arguments, "--datatypes", "eeg", "func"]) == 0
    text = capsys.readouterr().out
    assert "lab: broken_raw.fif: " in text and "skipped   2 recordings" in text
    assert "licences  CC0-1.0, ODC-By, X" in text
    corpus = Corpus(target)
    assert corpus.window == {"eeg": 4.0, "meg": 2.0, "fmri": 16}
    assert main(["corpus", "info", str(target), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(text.rstrip()) and "verified" in shown
    row = next(line for line in shown.splitlines() if line.startswith("Pairs") and "fmri" in line)
    assert row.split()[2:] == ["2", "2", "4", "0.02", "ODC-By"]
    assert f"sha256    {corpus.sha256}" in shown


def test_command_says_what_is_wrong(folder, tmp_path, capsys):
    assert main(["corpus", "info", str(tmp_path)]) == 1
    assert "corpus.json" in capsys.readouterr().err
    assert main(["corpus", "build", str(tmp_path / "no"), "-o", str(tmp_path / "c")]) == 1
    assert "No such file or folder" in capsys.readouterr().err
    arguments = ["corpus", "build", str(folder), "-o", str(tmp_path / "c"), "--on-error", "raise"]
    assert main(arguments) == 1
    assert "broken_raw.fif" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["corpus", "build", str(folder)])


# --------------------------------------------------------------------------------- real data


@pytest.mark.slow
def test_real_recordings(data_dir, tmp_path):
    """All real folders that hold files of MNE or nilearn, region series, and simulations."""
    from scipy.io import loadmat

    from brainof_toolbox import from_roi_timeseries

    series = loadmat(min((data_dir / "fmri-hcp-rest").glob("*_bold.mat")))["tc"]
    regions = np.random.default_rng(0).normal(size=(94, 3)) * 0.03
    names = (
        *("eeg-mental-arithmetic", "eeg-motor-imagery", "eeg-visual-object", "eeg-formats"),
        *("meg-formats", "fmri-haxby"),
    )
    sources = [data_dir / name for name in names]
    sources += [from_roi_timeseries(series, t_r=0.72, roi_positions=regions), "simulated:1x60"]
    corpus = build_corpus(sources, tmp_path / "c", n_jobs=2)
    corpus.verify()
    totals = corpus.totals()
    assert totals["eeg"]["recordings"] > 40 and totals["meg"]["recordings"] >= 5
    assert totals["fmri"]["recordings"] >= 17
    assert {row["dataset"] for row in corpus.skipped} <= {"meg-formats", "fmri-haxby"}
    for index in range(len(corpus)):
        sample = corpus[index]
        assert np.isfinite(sample.data).all() and np.abs(sample.data).max() < 200
    shutil.rmtree(tmp_path / "c")
