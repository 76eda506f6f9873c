"""A damaged, foreign or hostile corpus: refused by name, and nothing outside of it is read."""

from __future__ import annotations

import os
import shutil

import pytest
from corpus_files import rewrite, rewrite_row

from brainof_toolbox.pretraining import Corpus, format


@pytest.fixture
def copy(small_corpus, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(small_corpus, tmp_path / "copy")


def test_no_corpus(tmp_path):
    with pytest.raises(FileNotFoundError, match="brainof corpus build.*nowhere"):
        Corpus(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no corpus\.json"):
        Corpus(tmp_path)


def files_of(folder, number=0):
    """Paths of values and scales of an entry."""
    names = format.file_names(Corpus(folder).entries[number].file)
    return [folder / "recordings" / name for name in names]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", [-1, 1, -100])
def test_truncated_file_is_named(copy, which, change):
    path = files_of(copy)[which]
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(ValueError, match=rf"{path.name} has \d+ bytes, .* needs \d+.*truncated"):
        Corpus(copy)


def test_missing_file_is_named(copy):
    made, path = Corpus(copy), files_of(copy)[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        Corpus(copy)
    with pytest.raises(FileNotFoundError, match=f"gone since it was opened.*{path.name}"):
        made[0]
    shutil.rmtree(copy / "recordings")
    with pytest.raises(FileNotFoundError, match="recordings"):
        Corpus(copy)


def test_another_file_in_place_of_values(copy):
    """The right size, but not the right kind."""
    path = files_of(copy)[0]
    content = bytearray(path.read_bytes())
    content[:6] = b"GIF89a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} is no flat array.*int16"):
        Corpus(copy)[0]


def test_flipped_bit_is_found(copy):
    """Sizes fit, but values, scales or positions do not."""
    made = Corpus(copy)
    entry = made.entries[4]
    values, scales = files_of(copy, 4)
    for path, place in (
        (values, format.HEAD + 2 * (entry.offset + 5)),
        (scales, format.HEAD + 4 * entry.scale_offset),
        (scales, format.HEAD + 4 * entry.montage_offset),
    ):
        whole = path.read_bytes()
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        first = sum(e.n_samples for e in made.entries[:4])
        last = first + entry.n_samples - 1
        with pytest.raises(ValueError, match=rf"damaged: samples {first} to {last} .*'first'"):
            Corpus(copy).verify()
        path.write_bytes(whole)
    Corpus(copy).verify()


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, True])
def test_other_versions_are_refused(copy, version):
    rewrite(copy, format_version=version)
    with pytest.raises(
        ValueError, match=r"corpus\.json has format version.*reads 2. Build the corpus again"
    ):
        Corpus(copy)


def test_changed_head_and_index_are_refused(copy):
    path = copy / "corpus.json"
    text = path.read_text()
    path.write_text(text.replace('"clip": 10.0', '"clip": 11.0'))
    with pytest.raises(ValueError, match=r"corpus\.json was changed"):
        Corpus(copy)
    for broken in ("", "{", "[]", text[:-20], "\x00"):
        path.write_text(broken)
        with pytest.raises(ValueError, match=r"corpus\.json"):
            Corpus(copy)
    path.write_text(text)
    rewrite(copy, extra=1)
    with pytest.raises(ValueError, match=r"unknown \['extra'\]"):
        Corpus(copy)
    path.write_text(text)
    index = copy / "index.jsonl"
    index.write_text("\n".join(index.read_text().splitlines()[:-1]))
    with pytest.raises(ValueError, match=r"index\.jsonl is truncated or was changed"):
        Corpus(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "0" * 64},
        {"file": -1},
        {"file": "../../x"},
        {"file": None},
        {"offset": -2},
        {"offset": 10**9},
        {"scale_offset": 10**9},
        {"n_samples": 0},
        {"n_samples": 10**12},
        {"n_times": 2.5},
        {"montage_offset": 10**9},
        {"modality": "nirs"},
        {"sfreq": 0.0},
        {"sfreq": "fast"},
        {"has_log_scale": True},
        {"other": 1},
    ],
    ids=str,
)
def test_rows_outside_of_the_files_are_refused(copy, change):
    """A signed index that points elsewhere; nothing outside of the folder is read."""
    rewrite_row(copy, 11, **change)
    absent = change == {"file": "0" * 64}
    error, words = (FileNotFoundError, "no recordings/000") if absent else (ValueError, "index")
    with pytest.raises(error, match=words):
        Corpus(copy)


@pytest.mark.parametrize("name", ["recordings", "values", "index.jsonl", "corpus.json"])
def test_links_out_of_the_folder_are_refused(copy, tmp_path, name):
    """The same bytes, elsewhere."""
    path = files_of(copy)[0] if name == "values" else copy / name
    shutil.move(path, tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out of the corpus"):
        Corpus(copy)


def test_links_within_the_folder_are_followed(copy):
    """As git-annex makes them."""
    path = files_of(copy)[0]
    (copy / ".store").mkdir()
    shutil.move(path, copy / ".store" / "x")
    path.symlink_to("../.store/x")
    Corpus(copy).verify()


def test_links_to_a_corpus_are_followed(small_corpus, tmp_path):
    (tmp_path / "link").symlink_to(small_corpus, target_is_directory=True)
    assert len(Corpus(tmp_path / "link")) == len(Corpus(small_corpus))
