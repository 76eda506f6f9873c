"""Files that are replaced as a whole, and the wording that messages share."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from brainof_toolbox._utils.files import replace_file, sha256_of, write_file
from brainof_toolbox._utils.messages import and_more, join_some


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_new_file_replaces_no_other(tmp_path):
    write_file(tmp_path / "x", b"a", b"b")
    assert (tmp_path / "x").read_bytes() == b"ab"
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "x", b"c")


def test_file_is_replaced(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / ".x.saving").write_bytes(b"left by a killed process, and longer")
    with replace_file(tmp_path / "x") as file:
        file.write(b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
    assert (tmp_path / "x").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("step", ["fsync", "replace", None])
def test_failed_replacement_leaves_the_file(tmp_path, monkeypatch, step):
    (tmp_path / "x").write_bytes(b"old")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if step:
            patch.setattr(os, step, fail)
        with pytest.raises((OSError, KeyboardInterrupt)), replace_file(tmp_path / "x") as file:
            file.write(b"new")
            if step is None:
                raise KeyboardInterrupt
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_others_are_counted():
    assert and_more(3, 3) == "" and and_more(5, 3) == " and 2 more"
    assert join_some([], 3) == "" and join_some("abc", 3) == "a, b, c"
    assert join_some(range(5), 3) == "0, 1, 2 and 2 more"
