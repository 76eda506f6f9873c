"""What is installed on other machines: the wheel and what it holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = "brainof_toolbox/weights/brainof-tiny"
BUILD = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing left by an earlier build gets into it."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "brainof_toolbox", folder / "brainof_toolbox", ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return folder / "dist" / done.stdout.split()[-1]


def test_wheel_holds_every_module(wheel):
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    for path in (ROOT / "brainof_toolbox").rglob("*.py*"):
        if "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in there
    assert not any(name.split("/")[0] in ("tests", "benchmarks", "doc") for name in there)


@pytest.mark.parametrize("name", ["config.json", "manifest.json", "model.safetensors"])
def test_wheel_holds_the_bundled_weights(wheel, name):
    """Byte by byte."""
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{WEIGHTS}/{name}") == (ROOT / WEIGHTS / name).read_bytes()


def test_wheel_holds_the_model_card(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert len(archive.read(f"{WEIGHTS}/README.md").split()) > 100


@pytest.mark.slow
def test_wheel_alone_embeds(wheel, tmp_path):
    """Unpacked somewhere else, it finds its own weights."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = """
import brainof_toolbox
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs
rows = BrainOFEmbedder(pooling="mean").fit_transform(make_epochs(n_epochs=2, duration=1.0))
print(brainof_toolbox.__file__, rows.shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].startswith(str(tmp_path)) and "(2, 128)" in done.stdout
