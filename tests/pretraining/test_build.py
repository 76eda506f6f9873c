"""The builder: what is left out or refused, what is there already, habits, commands."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
import weakref

import joblib
import nibabel as nib
import numpy as np
import psutil
import pytest
from recordings import raw_of

from brainof_toolbox import Preprocessing, read_recording
from brainof_toolbox.cli import main
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.preprocessing import preprocess
from brainof_toolbox.pretraining import Corpus, build, build_corpus, build_part

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


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
    """Scaled twice; what is left is below the noise of any amplifier."""
    raw = raw_of(0)
    raw._data *= 1e-4
    corpus = build_corpus([raw, raw_of(1)], tmp_path / "c")
    assert len(corpus) == 2 and "No channel varies" in corpus.skipped[0]["reason"]


def test_broken_recordings_are_counted_and_named(lab_folder, tmp_path):
    """Skipped by default, an error on request, an error when nothing is left."""
    with pytest.warns(RuntimeWarning, match="2 of 5 recordings cannot be used.*broken_raw.fif"):
        build_corpus(lab_folder, tmp_path / "c")
    with pytest.raises(ValueError, match=r"^broken_raw\.fif: "):
        build_corpus(lab_folder, tmp_path / "d", on_error="raise")
    broken = [
        lab_folder / "broken_raw.fif",
        lab_folder / "text.nii.gz",
        raw_of(0).pick([0]).crop(0, 0.1),
    ]
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
        ({"missing_positions": "drop"}, ValueError, "'missing_positions'"),
        ({"n_jobs": 0}, ValueError, "'n_jobs'"),
        ({"n_jobs": 1.5}, ValueError, "'n_jobs'"),
        ({"preprocessing": {}}, TypeError, "'preprocessing' must be a Preprocessing"),
        ({"masker": 3}, TypeError, "masker"),
        ({"memory": 3}, TypeError, "memory"),
    ],
    ids=str,
)
def test_options_that_are_refused(options, error, words, tmp_path):
    """Before anything is read or written."""
    with pytest.raises(error, match=words):
        build_corpus("simulated:1x20", tmp_path / "c", **options)
    assert not list(tmp_path.iterdir())


def test_folder_without_recordings(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "table.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"No recordings in .*empty.*\.edf.*from_roi_timeseries"):
        build_corpus(tmp_path / "empty", tmp_path / "c")


# --------------------------------------------------------------------------- what is there


def test_a_finished_corpus_is_opened(lab_folder, tmp_path, monkeypatch):
    """The same call opens it; another one is refused, and changes nothing (A8)."""
    target = tmp_path / "c"
    made = build_corpus(lab_folder, target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    monkeypatch.setattr(build, "build_part", None)  # nothing is read
    again = build_corpus(lab_folder, target, n_jobs=2)
    assert again.sha256 == made.sha256
    for sources, options in (
        (lab_folder, {"dtype": "float16"}),
        (lab_folder, {"fmri_volumes": 100}),
        (lab_folder, {"preprocessing": Preprocessing(clip=5.0)}),
        (lab_folder, {"licence": "CC0-1.0"}),
        (lab_folder / "sub-02", {}),
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


def test_global_state_is_untouched(lab_folder, tmp_path, global_rng_untouched):
    """Random states, warnings and logging are as before."""
    filters, level = list(warnings.filters), logging.getLogger("mne").level
    build_corpus([lab_folder, "simulated:1x20"], tmp_path / "c")
    assert warnings.filters == filters and logging.getLogger("mne").level == level


def test_one_recording_at_a_time(tmp_path, monkeypatch):
    """Windows of earlier recordings are gone when the next ones are made."""
    alive, most = weakref.WeakSet(), []

    def spy(*args, **kwargs):
        windows = preprocess(*args, **kwargs)
        alive.add(windows)
        most.append(len(alive))
        return windows

    monkeypatch.setattr(build_part, "preprocess", spy)
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


def test_no_files_stay_open(lab_folder, tmp_path):
    import gc

    build_corpus(lab_folder, tmp_path / "c")
    gc.collect()
    before = psutil.Process().num_fds()
    for name in ("d", "e"):
        build_corpus(lab_folder, tmp_path / name)
    with pytest.raises(ValueError):
        build_corpus(lab_folder, tmp_path / "f", on_error="raise")
    gc.collect()
    assert psutil.Process().num_fds() <= before


# ------------------------------------------------------------------------------ command line


def test_command(lab_folder, bids_pairs, tmp_path, capsys):
    target = tmp_path / "c"
    sources = [str(lab_folder), str(bids_pairs), "simulated:1x20"]
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
    table = text[text.index("dataset  ") :].rstrip()  # readers may speak before it
    assert shown.startswith(table) and "verified" in shown
    row = next(line for line in shown.splitlines() if line.startswith("Pairs") and "fmri" in line)
    assert row.split()[2:] == ["2", "2", "4", "0.02", "ODC-By"]
    assert f"sha256    {corpus.sha256}" in shown


def test_command_says_what_is_wrong(lab_folder, tmp_path, capsys):
    assert main(["corpus", "info", str(tmp_path)]) == 1
    assert "corpus.json" in capsys.readouterr().err
    assert main(["corpus", "build", str(tmp_path / "no"), "-o", str(tmp_path / "c")]) == 1
    assert "No such file or folder" in capsys.readouterr().err
    arguments = [
        "corpus",
        "build",
        str(lab_folder),
        "-o",
        str(tmp_path / "c"),
        "--on-error",
        "raise",
    ]
    assert main(arguments) == 1
    assert "broken_raw.fif" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["corpus", "build", str(lab_folder)])


# --------------------------------------------------------------------------------- real data


@pytest.mark.slow
def test_real_recordings(data_dir, tmp_path):
    """All real folders that hold files of MNE or nilearn, region series, and simulations."""
    from scipy.io import loadmat

    from brainof_toolbox import from_roi_timeseries

    series = loadmat(min((data_dir / "fmri-hcp-rest").glob("*_bold.mat")))["tc"].T
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


@pytest.mark.slow
def test_a_backend_without_generators(tmp_path):
    """Where a backend hands all over at the end, processes of this machine build the same."""
    plain = build_corpus("simulated:2x30", tmp_path / "plain")
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        with pytest.warns(RuntimeWarning, match="uses 'loky'"):
            corpus = build_corpus("simulated:2x30", tmp_path / "corpus", n_jobs=2)
    assert corpus.sha256 == plain.sha256
