"""A damaged, foreign or hostile corpus: refused by name, and nothing outside of it is read."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("name", ["00000.npy", "00000_scale.npy"])
@pytest.mark.parametrize("change", [-1, 1, -100])
def test_truncated_shard_is_named(copy, name, change):
    path = copy / "shards" / name
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(ValueError, match=rf"{name} has \d+ bytes, it must have \d+.*truncated"):
        Corpus(copy)


def test_missing_shard_is_named(copy):
    made = Corpus(copy)
    (copy / "shards" / "00000.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000\.npy"):
        Corpus(copy)
    with pytest.raises(FileNotFoundError, match="gone since it was opened.*00000"):
        made[0]


def test_another_file_in_place_of_a_shard(copy):
    """The right size, but not the right kind."""
    path = copy / "shards" / "00000.npy"
    content = bytearray(path.read_bytes())
    content[:6] = b"GIF89a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"00000\.npy is no flat array.*int16"):
        Corpus(copy)[0]


def test_flipped_bit_is_found(copy):
    """Sizes fit, values do not."""
    made = Corpus(copy)
    entry = made.entries[4]
    for name, place in (
        ("00000.npy", format.HEAD + 2 * (entry.offset + 5)),
        ("00000_scale.npy", format.HEAD + 4 * entry.scale_offset),
    ):
        path = copy / "shards" / name
        whole = path.read_bytes()
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        first = sum(e.n_samples for e in made.entries[:4])
        with pytest.raises(ValueError, match=rf"00000.*damaged: samples {first} to .*'first'"):
            Corpus(copy).verify()
        path.write_bytes(whole)
    Corpus(copy).verify()
    path = copy / "montages.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"montages\.npy is damaged"):
        Corpus(copy).verify()


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_other_versions_are_refused(copy, version):
    rewrite(copy, format_version=version)
    with pytest.raises(ValueError, match=r"corpus\.json has format version.*reads 1"):
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
        {"shard": 1},
        {"shard": -1},
        {"shard": "../../x"},
        {"shard": 10**30},
        {"offset": -2},
        {"offset": 10**9},
        {"scale_offset": 10**9},
        {"n_samples": 0},
        {"n_samples": 10**12},
        {"n_times": 2.5},
        {"montage_row": 45},
        {"modality": "nirs"},
        {"sfreq": 0.0},
        {"sfreq": "fast"},
        {"has_log_scale": True},
        {"other": 1},
    ],
    ids=str,
)
def test_rows_outside_of_the_shards_are_refused(copy, change):
    """A signed index that points elsewhere; nothing outside of the folder is read."""
    rewrite_row(copy, 11, **change)
    with pytest.raises(ValueError, match=r"index\.jsonl"):
        Corpus(copy)


@pytest.mark.parametrize("shards", [[[1, 2, 3]], [], "x", [[-1, 1]], [[1e400, 1]], {}], ids=str)
def test_nonsense_about_shards_is_refused(copy, shards):
    text = (copy / "corpus.json").read_text()
    header = json.loads(text) | {"shards": shards}
    (copy / "corpus.json").write_text(json.dumps(header))
    with pytest.raises(ValueError, match=r"corpus\.json"):
        Corpus(copy)


@pytest.mark.parametrize(
    "name", ["shards/00000.npy", "index.jsonl", "montages.npy", "corpus.json"]
)
def test_links_out_of_the_folder_are_refused(copy, tmp_path, name):
    """The same bytes, elsewhere."""
    shutil.move(copy / name, tmp_path / "outside")
    (copy / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out of the corpus"):
        Corpus(copy)


def test_links_to_a_corpus_are_followed(small_corpus, tmp_path):
    (tmp_path / "link").symlink_to(small_corpus, target_is_directory=True)
    assert len(Corpus(tmp_path / "link")) == len(Corpus(small_corpus))
