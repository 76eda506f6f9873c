"""The book agrees with the package, and examples in docstrings print what stands below them.

Pages are read as text, without building anything.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import brainof_toolbox

ROOT = Path(__file__).resolve().parent.parent
DOC = ROOT / "doc"
PAGES = sorted(DOC.glob("*.rst"))
SCRIPTS = sorted(p for f in ("tutorials", "examples") for p in (ROOT / f).rglob("plot_*.py"))
ROOMS = ("datasets", "estimators", "evaluation", "features", "inspection", "io", "models")
ROOMS += ("baselines", "pretraining")
WITH_EXAMPLES = sorted(
    path
    for path in (ROOT / "brainof_toolbox").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
MADE = re.compile(r"auto_(tutorials|examples)/|generated/")  # by the build
#: Prose of the package, the book and the benchmarks.
PROSE = sorted(
    path
    for place in ("brainof_toolbox", "benchmarks", "doc", "tutorials", "examples", ".")
    for path in (ROOT / place).glob("*" if place == "." else "**/*")
    if path.suffix in (".py", ".pyi", ".rst", ".md", ".cfg", ".toml") or path.name == "Makefile"
    if not re.search(r"/(_build|generated|auto_\w+)/", str(path))
)
REFUSED = re.compile(
    r"\b(told|taught|teach(es|ers?)?|guises?|nobody|knows|says|said|goe?s? by|sees? to it)\b", re.I
)


def _name(path):
    return str(path.relative_to(ROOT))


def _listed():
    """Full names in ``api.rst``: of tables, of data, of modules and of those with a page each."""
    names, module, is_table = [], "", False
    for line in (DOC / "api.rst").read_text(encoding="utf-8").splitlines():
        directive = re.match(r"\.\. ([a-z]+):: ?(\S*)", line)
        if directive:
            kind, argument = directive.groups()
            is_table = kind == "autosummary"
            module = argument if kind in ("currentmodule", "automodule") else module
            if kind in ("data", "automodule"):
                names.append(argument if kind == "automodule" else f"{module}.{argument}")
        elif line.strip() and not line.startswith(" "):
            is_table = False
        elif is_table and (entry := re.fullmatch(r"   ([A-Za-z_.]+)", line)):
            names.append(f"{module}.{entry[1]}")
            if inspect.ismodule(_find(names[-1])):  # its page lists its names
                names += [f"{names[-1]}.{name}" for name in _find(names[-1]).__all__]
    return names


def _find(name):
    """The object of a full name."""
    parts, found = name.split(".")[1:], brainof_toolbox
    for part in parts:
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def test_every_public_name_is_in_the_reference():
    """Those at the top and those of each room."""
    listed = {id(_find(name)): name for name in _listed()}
    public = {f"brainof_toolbox.{name}" for name in brainof_toolbox.__all__}
    public.update(
        f"brainof_toolbox.{room}.{name}"
        for room in ROOMS
        for name in _find(f"brainof_toolbox.{room}").__all__
    )
    missing = sorted(name for name in public if id(_find(name)) not in listed)
    assert len(public) > 60
    assert not missing, f"doc/api.rst lacks {missing}"


def test_every_name_in_the_reference_exists():
    names = _listed()
    assert len(names) == len(set(names)), "doc/api.rst lists a name twice"
    for name in names:
        assert _find(name) is not None


@pytest.mark.parametrize("path", SCRIPTS, ids=_name)
def test_scripts_have_a_title_and_text(path):
    """sphinx-gallery takes title and introduction from the docstring."""
    lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
    assert len(lines) > 3, "no docstring with a title, an underline and a text"
    assert re.match("[A-Z]|fMRI", lines[0]) and re.fullmatch(r"=+", lines[1])
    assert len(lines[1]) == len(lines[0]), "the underline is as long as the title"
    assert re.match(r"plot_\d\d_[a-z_0-9]+\.py", path.name)


def test_numbers_of_scripts_are_unique():
    for folder in ("tutorials", "examples"):
        numbers = [path.name[5:7] for path in SCRIPTS if path.relative_to(ROOT).parts[0] == folder]
        assert numbers and len(numbers) == len(set(numbers))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_pictures_have_alternative_texts(path):
    text = path.read_text(encoding="utf-8")
    for file, options in re.findall(r"\.\. (?:image|figure):: (\S+)\n((?: {3,}:.*\n)*)", text):
        assert re.search(r":alt: \w", options), f"{file} has no :alt:"
        assert MADE.search(file) or (path.parent / file).is_file(), f"{file} does not exist"


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_lead_somewhere(path):
    """Pages, files that are included or downloaded, entries of tables of contents."""
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", text)
    for block in re.findall(r"\.\. toctree::\n(?: +:.*\n)*\n((?: +.*\n|\n)+)", text):
        targets += re.findall(r"^ +(?:.*<)?([^\s<>]+)>?$", block, flags=re.M)
    for target in targets:
        if not MADE.search(target):
            assert (DOC / f"{target.lstrip('/')}.rst").is_file(), f"{target} does not exist"
    for file in re.findall(r"(?:\.\. (?:literal)?include:: |:download:`[^`<]*<)([^\s>]+)", text):
        assert (path.parent / file).is_file(), f"{file} does not exist"
    for file in re.findall(r"``((?:doc|benchmarks|tests|examples|tutorials)/[\w./-]+)``", text):
        assert (ROOT / file).exists(), f"{file} does not exist"


def test_every_page_is_in_a_table_of_contents():
    """Sphinx warns otherwise, but only when it builds the book."""
    listed = {"index"}
    assert len(PAGES) > 20 and len(PROSE) > 200
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"\.\. toctree::\n(?: +:.*\n)*\n((?: +.*\n|\n)+)", text):
            listed.update(re.findall(r"^ +(?:.*<)?([^\s<>]+)>?$", block, flags=re.M))
    left_out = [p.stem for p in PAGES if p.stem not in listed and ":orphan:" not in p.read_text()]
    assert not [name for name in left_out if name != "sg_execution_times"]


@pytest.mark.parametrize("path", PROSE, ids=_name)
def test_prose_is_plain(path):
    """Networks are trained, messages state, decoders rely on: no software or data is a person."""
    found = [
        f"{_name(path)}:{number} {word[0]!r}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in REFUSED.finditer(line)
    ]
    assert not found, "\n".join(found)


def test_scores_on_pages_are_those_of_the_tables():
    """Each "score [low, high]" of the page on choosing a decoder is in a table of the suite."""
    number = r"([+-]?\d\.\d{2,3})"
    text = (DOC / "which_decoder.rst").read_text(encoding="utf-8")
    shown = re.findall(rf"{number}\s+\[{number},\s+{number}\]", text)
    scores = pd.read_csv(DOC / "tables" / "suite_scores.csv")[["score", "low", "high"]]
    others = pd.read_csv(DOC / "tables" / "suite_others.csv")["mean difference"]
    known = np.vstack([scores.to_numpy(), others.str.findall(number).tolist()]).astype(float)
    assert len(shown) > 30
    for triple in shown:
        half_digit = 0.51 * 10.0 ** -len(triple[0].partition(".")[2])
        distance = np.abs(known - np.array(triple, dtype=float)).max(axis=1).min()
        assert distance <= half_digit, f"{triple} is in no table"


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=_name)
def test_examples_in_docstrings(path, monkeypatch):
    """They print what stands below them."""
    monkeypatch.setenv("MNE_LOGGING_LEVEL", "ERROR")
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(p for p in parts if p != "__init__"))
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, tried = doctest.testmod(module, optionflags=options)
    assert tried and not failed
