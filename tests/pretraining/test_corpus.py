"""The reader: what was written comes back, from any corner of a corpus of any size."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from corpus_files import rewrite_row
from recordings import make_signals, make_windows
from test_training_law import ABSENT, run_without

from benchmarks.lib.write_corpus import write_corpus
from brainof_toolbox import Preprocessing
from brainof_toolbox.models import config
from brainof_toolbox.preprocessing import Windows, preprocess
from brainof_toolbox.pretraining import Corpus, corpus, format
from brainof_toolbox.pretraining.recording_writer import RecordingWriter, encode


@pytest.fixture(scope="module")
def windows():
    """What ``small_corpus`` was written from."""
    return list(make_windows())


# ------------------------------------------------------------------------------- contents


@pytest.mark.parametrize("dtype", ["int16", "float16"])
def test_what_was_written_comes_back(windows, tmp_path, dtype):
    """Values to half a step of their scale, everything else exactly."""
    made = write_corpus(tmp_path / "c", windows, dtype=dtype)
    assert len(list((tmp_path / "c" / "recordings").iterdir())) == 2 * len(windows)
    made.verify()
    index = 0
    for dataset, licence, item in windows:
        signals = item.signals
        for row in range(len(signals)):
            sample, entry, wanted = made[index], made.entry_of(index), signals.data[row]
            assert sample.data.dtype == np.float32 and sample.data.shape == wanted.shape
            peak = np.abs(wanted).max(axis=1, keepdims=True)
            step = peak / 32767 if dtype == "int16" else np.abs(wanted) * 2.0**-10 + peak * 2**-24
            assert (np.abs(sample.data - wanted) <= 0.51 * step + 1e-7 * peak).all()
            np.testing.assert_array_equal(sample.position, signals.ch_pos)
            np.testing.assert_array_equal(sample.orientation, signals.ch_ori)
            kinds = [config.SENSOR_TYPES[kind] for kind in sample.sensor_type]
            assert tuple(kinds) == signals.ch_types and sample.sensor_type.dtype == np.int64
            assert config.MODALITY_CODES[sample.modality] == signals.modality == entry.modality
            assert (sample.sfreq, sample.dataset, sample.index) == (signals.sfreq, dataset, index)
            assert (made.n_channels[index], made.n_times[index]) == wanted.shape
            assert made.modality[index] == sample.modality and not sample.log_scale.any()
            assert entry.licence == licence
            index += 1
    assert len(made) == index == len(made.n_channels) == len(made.n_times) == len(made.modality)


def test_log_scale_comes_back(tmp_path):
    """Scaling by the sample's own spread hands its logarithm on; fMRI has none."""
    robust = Preprocessing(scaling="robust")
    items = [(d, lic, preprocess(s, robust)) for d, lic, s in make_signals(1)]
    made = write_corpus(tmp_path / "c", items, preprocessing=robust)
    made.verify()
    wanted = np.concatenate([item.log_scale.ravel() for _, _, item in items])
    found = np.concatenate([made[i].log_scale for i in range(len(made))])
    np.testing.assert_array_equal(found, wanted)
    assert len(set(wanted)) > 2
    assert [entry.has_log_scale for entry in made.entries] == [True, True, False, False]
    assert made.preprocessing["scaling"] == "robust"


def test_encoding():
    data = np.array([[[0, 0, 0], [1, -4, 2], [3e-30, 1e-30, 0]]], np.float32)
    values, scale = encode(data, "int16")
    np.testing.assert_array_equal(values[0, 1], [8192, -32767, 16384])
    assert scale[0, 0] == 0 and not values[0, 0].any()
    np.testing.assert_allclose(values * scale[..., None], data, rtol=1e-4)
    values, scale = encode(1e6 * data, "float16")  # beyond the range of float16
    np.testing.assert_allclose(values * scale[..., None], 1e6 * data, rtol=1e-3)


def test_files_are_plain_npy(small_corpus):
    """Anybody's numpy reads them, without pickle."""
    made = Corpus(small_corpus)
    entry = made.entries[1]
    values, scales = (
        np.load(small_corpus / "recordings" / name, mmap_mode="r")
        for name in format.file_names(entry.file)
    )
    sample = values[entry.offset :][: entry.n_channels * entry.n_times].reshape(
        entry.n_channels, -1
    )
    scale = scales[entry.scale_offset :][: entry.n_channels]
    first = made.entries[0].n_samples
    np.testing.assert_array_equal(sample * scale[:, None], made[first].data)
    montage = scales[entry.montage_offset :][: 7 * entry.n_channels].reshape(-1, 7)
    np.testing.assert_array_equal(montage[:, :3], made[first].position)
    assert values.dtype == np.int16 and scales.dtype == np.float32


def test_montages_are_told_apart(small_corpus):
    """12 entries, 4 montages, by their hashes."""
    made = Corpus(small_corpus)
    assert len(made.entries) == 12 and len({entry.montage for entry in made.entries}) == 4


def test_montage_is_kept_once_per_recording(tmp_path):
    """Two stretches of one length and one of another: rows that share a montage."""
    dataset, licence, windows = next(make_windows(2))
    signals = windows.signals
    writer = RecordingWriter(tmp_path / "key", tmp_path, "int16")
    for length in (None, 100, None):
        part = signals.replace(data=signals.data[:, :, :length], good_segments=None)
        zeros = np.zeros(part.data.shape[:2], np.float32)
        writer.append(Windows(part, np.arange(len(part)), zeros), 1e9)
    rows = writer.finish()["rows"]
    assert [row["n_times"] for row in rows] == [signals.shape[2], 100, signals.shape[2]]
    assert {row["montage_offset"] for row in rows} == {0}


def test_counts(small_corpus):
    made = Corpus(small_corpus)
    rows = {(row["dataset"], row["modality"]): row for row in made.summary()}
    eeg = rows["first", "eeg"]
    assert (eeg["recordings"], eeg["subjects"], eeg["samples"]) == (3, 3, 15)
    assert rows["second", "fmri"]["licence"] == "PDDL"
    assert made.totals()["meg"]["samples"] == rows["first", "meg"]["samples"] == 15
    assert made.datasets == ("first", "second") and made.licences == ("CC0-1.0", "PDDL")
    assert len(made.subjects) == 6 and all(len(subject) == 64 for subject in made.subjects)
    assert "39 samples (eeg, meg, fmri)" in repr(made)
    values = sum(entry.size for entry in made.entries)
    assert made.n_bytes == 2 * values + 4 * sum(entry.scale_size for entry in made.entries)


def test_indices(small_corpus):
    made = Corpus(small_corpus)
    np.testing.assert_array_equal(made[-1].data, made[len(made) - 1].data)
    assert made[np.int64(-1)].index == len(made) - 1
    for wrong in (len(made), -len(made) - 1):
        with pytest.raises(IndexError, match="does not exist: the corpus has 39"):
            made[wrong]
        with pytest.raises(IndexError, match="does not exist"):
            made.entry_of(wrong)


def test_fingerprint(windows, tmp_path, small_corpus):
    """It follows the content, not the place; any change of what training sees changes it."""
    same = write_corpus(tmp_path / "same", windows)
    assert same.sha256 == Corpus(small_corpus).sha256
    others = [
        write_corpus(tmp_path / "a", windows[:-1]),
        write_corpus(tmp_path / "b", windows, dtype="float16"),
        write_corpus(tmp_path / "c", windows, preprocessing=Preprocessing(clip=5.0)),
        write_corpus(tmp_path / "d", windows[::-1]),
    ]
    assert len({same.sha256, *(other.sha256 for other in others)}) == 5


def test_select(windows, tmp_path, small_corpus):
    """A part gives the samples that a corpus of it alone would give."""
    made = Corpus(small_corpus)
    made[0]
    part = made.select(datasets=["first"], modalities=["meg"])
    alone = [w for w in windows if w[0] == "first" and w[2].signals.modality == "meg"]
    alone = write_corpus(tmp_path / "alone", alone)
    assert len(part) == len(alone) == 15 and part.totals() == alone.totals()
    assert (part.datasets, part.licences) == (("first",), ("CC0-1.0",))
    assert part.n_bytes == alone.n_bytes < made.n_bytes and set(part.modality) == {1}
    for index, (one, other) in enumerate(zip(part, alone, strict=True)):
        np.testing.assert_array_equal(one.data, other.data)
        assert one.index == index and part.entry_of(index).modality == "meg"
    part.verify()
    assert len(made) == 39 and made.select().sha256 == made.sha256 != part.sha256
    assert part.sha256 == pickle.loads(pickle.dumps(part)).sha256
    assert part.sha256 != made.select(modalities=["eeg"]).sha256


def test_select_names_what_is_there(small_corpus):
    made = Corpus(small_corpus)
    with pytest.raises(ValueError, match="'datasets'.*'first' or 'second', got 'third'"):
        made.select(datasets=["third"])
    with pytest.raises(ValueError, match="'modalities'.*got 'ecog'"):
        made.select(modalities=["ecog"])
    with pytest.raises(ValueError, match="Nothing is left: the corpus holds no meg of second"):
        made.select(datasets=["second"], modalities=["meg"])


# ------------------------------------------------------------------------------ processes


def test_pickles_without_its_files(small_corpus):
    made = Corpus(small_corpus)
    before = len(pickle.dumps(made))
    wanted = made[20].data
    assert made._open and made.n_times.any()
    content = pickle.dumps(made)
    assert len(content) == before < 20_000
    again = pickle.loads(content)
    assert not again._open
    np.testing.assert_array_equal(again[20].data, wanted)
    assert made._open


def test_needs_numpy_only(small_corpus):
    """Without torch and every reader: a fresh process reads what this one reads."""
    made = Corpus(small_corpus)
    code = f"""
        from brainof_toolbox.pretraining.corpus import Corpus
        corpus = Corpus({str(small_corpus)!r})
        corpus.verify()
        print(sum(float(abs(corpus[i].data).sum()) for i in range(len(corpus))))
    """
    done = run_without((*ABSENT, "torch", "safetensors", "tqdm"), code)
    assert done.returncode == 0, done.stderr
    wanted = sum(float(abs(made[i].data).sum()) for i in range(len(made)))
    assert float(done.stdout) == wanted


def test_many_workers(small_corpus):
    """torch's loader with two processes gives the samples in their order."""
    import torch

    made = Corpus(small_corpus)
    made[0]
    loader = torch.utils.data.DataLoader(
        made, batch_size=None, num_workers=2, collate_fn=_first_value, persistent_workers=False
    )
    wanted = [float(made[i].data[0, 0]) for i in range(len(made))]
    assert list(loader) == wanted


def _first_value(sample):
    return float(sample.data[0, 0])


def test_open_files_are_bounded(windows, tmp_path, monkeypatch):
    """However many recordings there are, few are mapped; threads share them."""
    monkeypatch.setattr(corpus, "MAX_OPEN", 2)
    made = write_corpus(tmp_path / "c", windows)
    wanted = [made[i].data.sum() for i in range(len(made))]
    assert len({entry.file for entry in made.entries}) == 12
    assert len(made._open) == 2 and psutil.Process().num_fds() < 200
    order = np.random.default_rng(0).integers(len(made), size=300)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: made[i].data.sum(), order))
    assert found == [wanted[i] for i in order]
    assert len(made._open) <= 5  # at most one more per thread, for a moment


def test_reads_what_must_not_be_written(small_corpus, tmp_path):
    """A corpus on a read-only disk; nothing is written beside it."""
    copy = shutil.copytree(small_corpus, tmp_path / "copy")
    files = sorted(copy.rglob("*"))
    for path in (*files, copy):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        made = Corpus(copy)
        made.verify()
        assert made[0].data.any()
        assert sorted(copy.rglob("*")) == files
        made[0].data[:] = 0  # a copy: the file cannot change
        assert made[0].data.any()
    finally:
        for path in (copy, copy / "recordings"):
            path.chmod(0o755)


# -------------------------------------------------------------------------- any size


def make_sparse(folder, n_samples, *, n_channels=19, n_times=2560, value=0):
    """A corpus of one recording that is a hole but for its last sample; the path of its values."""
    made = write_corpus(folder, [next(make_windows(2))])
    entry, size, width = made.entries[0], n_channels * n_times, n_channels
    paths = [folder / "recordings" / name for name in format.file_names(entry.file)]
    montage = np.load(paths[1])[entry.montage_offset :][: 7 * entry.n_channels]
    sizes = (n_samples * size, montage.size + n_samples * width)
    for path, count, kind in zip(paths, sizes, ("int16", "f4")):
        with open(path, "wb") as file:
            file.write(format.header_bytes(count, np.dtype(kind)))
            if kind == "f4":
                file.write(montage.tobytes())
            end = format.HEAD + count * np.dtype(kind).itemsize
            file.truncate(end)
            is_scale = kind == "f4"
            last = np.full(width if is_scale else size, 0.5 if is_scale else value, kind)
            file.seek(end - last.nbytes)
            file.write(last.tobytes())
    where = {"montage_offset": 0, "offset": 0, "scale_offset": montage.size}
    counts = {"n_samples": n_samples, "n_channels": n_channels, "n_times": n_times}
    rewrite_row(folder, 0, **where, **counts)
    return paths[0]


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """25 GB in one file; the far end comes back, and what was read is let go again."""
    n_samples = 25 * 10**9 // (19 * 2560 * 2)
    path = make_sparse(tmp_path / "c", n_samples, value=8)
    if path.stat().st_blocks * 512 > 10**8:
        pytest.skip("this file system has no sparse files")
    assert path.stat().st_size > 24 * 10**9
    process = psutil.Process()
    before = process.memory_info().rss
    made = Corpus(tmp_path / "c")
    assert len(made) == n_samples
    for index in np.linspace(0, n_samples - 2, 500).astype(int):  # 49 MB
        assert not made[index].data.any()
    np.testing.assert_array_equal(made[-1].data, np.full((19, 2560), 4.0, np.float32))
    assert process.memory_info().rss - before < 20 * 2**20


def test_command_in_a_fresh_process(small_corpus):
    """``brainof corpus info`` without torch."""
    code = f"""
        import sys
        sys.modules["torch"] = None
        from brainof_toolbox.cli import main
        sys.exit(main(["corpus", "info", {str(small_corpus)!r}, "--verify"]))
    """
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "first" in done.stdout and "verified" in done.stdout and "skipped   0" in done.stdout
