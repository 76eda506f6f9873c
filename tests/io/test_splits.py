"""Recordings that FIF keeps in several files are one recording, wherever paths come in a list."""

from __future__ import annotations

import shutil
import warnings

import bids
import numpy as np
import pandas as pd
import pytest

from brainof_toolbox import BrainOFEmbedder, Records, cross_validate, read_bids, read_recording
from brainof_toolbox.cli import main
from brainof_toolbox.datasets import make_epochs, make_raw
from brainof_toolbox.io import fif
from brainof_toolbox.io.bids_recordings import read_bids_recording
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.io.splits import drop_later_parts, find_later_parts
from brainof_toolbox.pretraining import build_corpus

#: How MNE names the parts of raw data and epochs: the first file of each.
FIRST = {
    "neuromag": "x_raw.fif",
    "neuromag gz": "x_raw.fif.gz",
    "bids": "x_split-01_raw.fif",
    "epochs": "x_epo.fif",
    "bids epochs": "x_split-01_epo.fif",
}
SIZE = 1_800_000  # bytes, of which MNE leaves 1 MiB free


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """By naming, a folder with the parts of one recording; and one with other recordings."""
    root = tmp_path_factory.mktemp("splits")
    raw = make_raw(n_channels=32, duration=70.0, sfreq=250.0)
    epochs = make_epochs(n_channels=32, n_epochs=40, duration=2.0, sfreq=250.0)
    for naming, first in FIRST.items():
        folder = root / naming
        folder.mkdir()
        style = "bids" if "bids" in naming else "neuromag"
        whole = epochs if "epochs" in naming else raw
        name = first.replace("_split-01", "")
        whole.save(folder / name, split_size=SIZE, split_naming=style, verbose="error")
    (root / "others").mkdir()
    for seed, name in enumerate(("x_raw", "x_raw-1", "y_split-01_raw", "y_split-02_raw")):
        one = make_raw(n_channels=8, duration=4.0, sfreq=100.0, random_state=seed)
        one.save(root / "others" / f"{name}.fif", verbose="error")
    return root


def parts(study, naming):
    """The first file and the others, in order."""
    first = study / naming / FIRST[naming]
    later = sorted(path for path in first.parent.iterdir() if path != first)
    assert first.exists() and len(later) >= 2
    return first, later


def others(study):
    return sorted((study / "others").iterdir())


@pytest.mark.parametrize("naming", FIRST)
def test_parts_are_found_by_what_files_refer_to(study, naming):
    """In any order, also where the file between is not in the list."""
    first, later = parts(study, naming)
    assert find_later_parts([first, *later]) == {i: 0 for i in range(1, len(later) + 1)}
    assert find_later_parts([*later, str(first)]) == dict.fromkeys(range(len(later)), len(later))
    assert find_later_parts([first, later[-1]]) == {1: 0}
    assert find_later_parts(later) == dict.fromkeys(range(1, len(later)), 0)


def test_other_recordings_with_such_names_stay(study):
    """Numbers in names alone decide nothing."""
    paths = others(study)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_later_parts(paths) == {} and drop_later_parts(paths) == paths
        assert [read_recording(path).times[-1] for path in paths] == [3.99] * 4


def test_same_names_in_other_folders_stay(study, tmp_path):
    """A part belongs to a file of its own folder."""
    first, later = parts(study, "neuromag")
    other = shutil.copy(others(study)[0], tmp_path / first.name)
    assert find_later_parts([other, later[0]]) == {}


def test_a_reference_by_number_alone(study, monkeypatch):
    """Some acquisition systems write no name."""
    read = fif._read_reference

    def read_without_name(file, kind, size, reference):
        read(file, kind, size, reference)
        reference.pop("name", None)

    monkeypatch.setattr(fif, "_read_reference", read_without_name)
    first, later = parts(study, "neuromag")
    assert find_later_parts([*later, first]) == dict.fromkeys(range(len(later)), len(later))


def test_damaged_files_are_no_parts(study, tmp_path):
    """What cannot be looked into is left to its reader."""
    whole = others(study)[0].read_bytes()
    paths = [tmp_path / f"x_raw{number}.fif" for number in ("", "-1", "-2", "-3")]
    for path, content in zip(paths, (whole, whole[:150], b"x" * 1000, b""), strict=True):
        path.write_bytes(content)
    assert find_later_parts([*paths, tmp_path / "absent_raw.fif", tmp_path]) == {}


# ------------------------------------------------------------------------------------ estimators


@pytest.mark.parametrize("naming", FIRST)
def test_lists_with_parts_are_an_error(study, naming, micro_checkpoint):
    """The number of samples has to be that of the labels, so that nothing is dropped."""
    first, later = parts(study, naming)
    paths = [*later, first]
    words = rf"continues? X\[{len(later)}\] .*{first.name}.*pass that alone"
    for on_error in ("raise", "nan"):
        embedder = BrainOFEmbedder(checkpoint=micro_checkpoint, pooling="mean", on_error=on_error)
        with pytest.raises(ValueError, match=words):
            embedder.fit(paths)
    for X in (pd.Series([str(p) for p in paths]), np.array([str(p) for p in paths])):
        with pytest.raises(ValueError, match=words):
            open_samples(X)
    (source,) = open_samples([first])
    assert source.n_samples == (40 if "epochs" in naming else 1)


def test_records_with_parts_are_an_error(study):
    first, later = parts(study, "neuromag")
    paths = [first, *later]
    records = Records([{"eeg": path, "subject": str(i)} for i, path in enumerate(paths)])
    with pytest.raises(ValueError, match=r"continue X\[\d\] \(subject \d\).*parts of one"):
        open_samples(records)
    assert len(open_samples(records[:1])) == 1


def test_cross_validation_refuses_parts_before_it_makes_folds(study, micro_checkpoint):
    """In folds, each side would be in order."""
    first, later = parts(study, "neuromag")
    X = [first, *later, *others(study)]
    labels = ["a", "b"] * len(X)
    embedder = BrainOFEmbedder(checkpoint=micro_checkpoint)
    with pytest.raises(ValueError, match="parts of one recording"):
        cross_validate(embedder, X, labels[: len(X)], groups="none")


@pytest.mark.filterwarnings("ignore:.*later part of a split")
def test_objects_read_from_parts(study):
    """Raw data and epochs that were read from parts; those cut to other times share no data."""
    for naming in ("neuromag", "epochs"):
        first, later = parts(study, naming)
        whole, part = read_recording(first), read_recording(later[0])
        assert find_later_parts([whole, part]) == {1: 0}
        assert find_later_parts([whole, whole]) == {}
    raw = read_recording(parts(study, "neuromag")[0])
    for at in (10.0, 35.0, 60.0):
        pieces = [raw.copy().crop(0, at), raw.copy().crop(at, None)]
        assert find_later_parts(pieces) == {}
    epochs = read_recording(parts(study, "epochs")[0])
    assert find_later_parts([epochs[:20], epochs[20:]]) == {}


# ---------------------------------------------------------------------------------- a part alone


@pytest.mark.parametrize("naming", FIRST)
def test_a_part_without_its_first_file_in_the_list_is_said(study, naming):
    first, (part, *_) = parts(study, naming)
    words = rf"{part.name}: It is a later part of a split recording: it continues {first.name}"
    with pytest.warns(RuntimeWarning, match=words):
        read_recording(part)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_recording(first)


def test_a_part_whose_first_file_is_gone_is_said(study, tmp_path):
    _, (part, *rest) = parts(study, "neuromag")
    alone = shutil.copy(part, tmp_path / "renamed_raw.fif")
    for path in rest:
        shutil.copy(path, tmp_path)
    with pytest.warns(
        RuntimeWarning, match=r"renamed_raw\.fif: .*later part.*refers to x_raw\.fif"
    ):
        read_recording(alone)


# ----------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("naming", ["neuromag", "bids epochs"])
def test_embed_leaves_parts_out(study, tmp_path, naming, micro_checkpoint, capsys):
    first, later = parts(study, naming)
    paths = [*later, first]
    out = tmp_path / "out.csv"
    options = ["-o", str(out), "--checkpoint", str(micro_checkpoint), "--pooling", "mean"]
    assert main(["embed", *map(str, paths), *options]) == 0
    table, text = pd.read_csv(out), capsys.readouterr().err
    assert set(table["file"]) == {str(first)}
    assert len(table) == (40 if "epochs" in naming else 1)
    assert f"{len(later)} of {len(paths)} files are later parts" in text
    assert all(path.name in text for path in paths)


def test_decode_leaves_parts_out(study, tmp_path, micro_checkpoint, capsys):
    """Labels of the files that are left."""
    first, later = parts(study, "neuromag")
    paths = [*others(study), *later, first]
    paths += [shutil.copy(paths[1], tmp_path / "b_raw.fif")]
    table = tmp_path / "labels.csv"
    rows = [(path.name, "ab"[i % 2]) for i, path in enumerate(paths)]
    pd.DataFrame(rows, columns=["file", "state"]).to_csv(table, index=False)
    command = ["decode", *map(str, paths), "--labels", str(table), "--target", "state"]
    command += ["--checkpoint", str(micro_checkpoint), "--pooling", "mean", "--no-baselines"]
    command += ["--groups", r"(.).*\.fif"]
    main(command)
    found = capsys.readouterr()
    assert f"{len(later)} of {len(paths)} files are later parts" in found.err
    assert "6 samples" in found.out


# ---------------------------------------------------------------------------------------- corpora


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
def test_corpora_count_a_split_recording_once(study, tmp_path, naming):
    """In silence in a folder, with a warning for files that were given one by one."""
    folder, (first, later) = study / naming, parts(study, naming)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = build_corpus(folder, tmp_path / "a")
    assert len(whole.entries) == 1 and len(whole) == 7 and not whole.skipped
    for name, sources in (("b", [first, *later]), ("c", [folder, *later])):
        with pytest.warns(RuntimeWarning, match="later parts of a split recording"):
            corpus = build_corpus(sources, tmp_path / name)
        assert len(corpus) == len(whole)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(map(str, [*later, first])))
    with pytest.warns(RuntimeWarning, match="later parts of a split recording"):
        assert len(build_corpus(names, tmp_path / "d")) == len(whole)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_corpora_keep_other_recordings_with_such_names(study, tmp_path):
    corpus = build_corpus(study / "others", tmp_path / "c")
    assert len(corpus.entries) == 4 and not corpus.skipped


# ------------------------------------------------------------------------------------------- BIDS


@pytest.fixture
def bids_root(tmp_path):
    """A dataset with one MEG recording in several files."""
    root = bids.describe(tmp_path / "set")
    folder = root / "sub-01/meg"
    folder.mkdir(parents=True)
    raw = make_raw("meg", n_channels=60, duration=40.0, sfreq=250.0)
    raw.save(
        folder / "sub-01_task-a_meg.fif", split_size=SIZE, split_naming="bids", verbose="error"
    )
    return root


@pytest.mark.filterwarnings("ignore:.*beside it")
def test_bids_splits_are_one_recording(bids_root):
    (record,) = read_bids(bids_root)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        raw = read_bids_recording(record["meg"])
    assert raw.times[-1] == pytest.approx(40.0, abs=0.01)
    assert not any("part" in str(entry.message) for entry in said)
    later = record["meg"].copy().update(split="02")
    with pytest.warns(RuntimeWarning, match=r"split-02_meg\.fif: It is a later part"):
        read_bids_recording(later)
    with pytest.raises(ValueError, match="parts of one recording"):
        open_samples([record["meg"], later])


@pytest.mark.filterwarnings("ignore:.*beside it")
def test_bids_splits_without_their_first_file_are_said(bids_root):
    next(bids_root.rglob("*split-01*")).unlink()
    (record,) = read_bids(bids_root)
    with pytest.warns(RuntimeWarning, match=r"split-02_meg\.fif: It is a later part"):
        read_bids_recording(record["meg"])
