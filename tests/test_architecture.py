"""The house rules: who imports whom, how long things get, what is refused, what is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import brainof_toolbox

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "brainof_toolbox"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE, MAX_FUNCTION = 450, 80
# Rooms whose ``__all__`` is the public interface, and modules that are public as a whole.
DOCUMENTED = (
    "baselines",
    "datasets",
    "estimators",
    "evaluation",
    "features",
    "inspection",
    "io",
    "models",
    "preprocessing",
    "pretraining",
    "signals",
)

# Split, so that this file does not trip over itself.
REFUSED = {
    "strict" + "=False": "loading is strict",
    "torch" + ".load(": "safetensors only",
    "pickle" + ".load": "no pickle",
    ".cuda" + "()": "the device is a parameter",
    "np.random" + ".seed": "no global seed",
    "torch." + "manual_seed": "no global seed",
    "random" + ".seed(": "no global seed",
    "TO" + "DO": "finish it",
    "NotImplemented" + "Error": "nothing half-built",
}
# zip is the one call where strict is about lengths, not about weights.
ALLOWED = re.compile(r"\bzip\(.*strict=False")
# The authors' weights are a file of torch: read in one place, by the reader that runs nothing.
SAFE_READ = ("release_weights.py", re.compile(r"torch\.load\(.*weights_only=True\)$"))


def _name(path):
    return str(path.relative_to(ROOT))


def _function_lengths(tree):
    """Yield the name, line and number of lines below the docstring of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            yield node.name, node.lineno, node.end_lineno - first


def _listed(name):
    """Return the names in a module's ``__all__``, or those it defines."""
    module = importlib.import_module(name)
    own = [n for n, thing in vars(module).items() if getattr(thing, "__module__", "") == name]
    return module, getattr(module, "__all__", [n for n in own if not n.startswith("_")])


def _exported_names():
    """Yield every exported class and function, and the public methods of exported classes."""
    for name in ("", *(f".{room}" for room in DOCUMENTED)):
        module, names = _listed(f"brainof_toolbox{name}")
        for thing in (getattr(module, n) for n in names):
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield f"{thing.__module__}.{thing.__qualname__}"
            for owner in thing.__mro__ if inspect.isclass(thing) else ():
                if owner.__module__.startswith("brainof_toolbox"):
                    for method, value in vars(owner).items():
                        value = getattr(value, "__func__", getattr(value, "fn", value))
                        if not method.startswith("_") and inspect.isfunction(value):
                            yield f"{owner.__module__}.{owner.__qualname__}.{method}"


def _imports(path):
    """Yield the module and the name of every import of this package in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split("."), "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(parts[: len(parts) - node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((base, alias.name) for alias in node.names)


def test_rooms_import_in_one_direction():
    """The contracts of setup.cfg: the layers, reading without torch, the network without files."""
    command = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_modules_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE, f"{_name(path)} is longer than {MAX_MODULE} lines"
    long = [row for row in _function_lengths(ast.parse(text)) if row[2] > MAX_FUNCTION]
    assert not long, f"{_name(path)}: longer than {MAX_FUNCTION} lines: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_refused_words(path):
    found = [
        f"{_name(path)}:{number} {word}: {why}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word, why in REFUSED.items()
        if word in line
        and not ALLOWED.search(line)
        and not (path.name == SAFE_READ[0] and SAFE_READ[1].search(line))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_work_or_warning_at_import(path):
    """A module's top level defines: no loop over files, no warning, no print, no seed."""
    calls = [
        ast.unparse(node.value.func)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert not calls, f"{_name(path)} calls {calls} at import"


def test_import_is_lazy_and_opens_no_socket():
    """Each name loads what it needs, and none of them connects anywhere."""
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError(f"a socket was opened: {args}")
socket.socket.connect = socket.socket.connect_ex = refuse
import brainof_toolbox
heavy = [name for name in ("torch", "mne", "nilearn", "sklearn", "pandas") if name in sys.modules]
assert not heavy, heavy
for name in brainof_toolbox.__all__:
    assert name in dir(brainof_toolbox)
brainof_toolbox.cross_validate, brainof_toolbox.Scores
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
brainof_toolbox.from_raw, brainof_toolbox.Preprocessing, brainof_toolbox.datasets.make_raw
assert "torch" not in sys.modules
brainof_toolbox.models.BrainOF
assert "torch" in sys.modules and "nilearn" not in sys.modules
for name in brainof_toolbox.__all__:
    getattr(brainof_toolbox, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_table_of_contents_is_complete():
    for name in brainof_toolbox.__all__:
        assert getattr(brainof_toolbox, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        brainof_toolbox.no_such_name  # noqa: B018


def _numpydoc_errors(names):
    """Return what numpydoc finds wrong; the codes checked stand in pyproject.toml."""
    from numpydoc.validate import validate

    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    codes = set(config["tool"]["numpydoc_validation"]["checks"])
    return [
        f"{name}: {code} {message}"
        for name in names
        for code, message in validate(name)["errors"]
        if code in codes
    ]


def test_exported_names_are_documented():
    """Every exported name and its public methods."""
    names = sorted(set(_exported_names()))
    assert len(names) > 60
    wrong = _numpydoc_errors(names)
    assert not wrong, "\n".join(wrong)


def test_internal_docstrings_are_short():
    """A function that is not exported has a summary and no numpydoc sections."""
    exported = {name.removeprefix("brainof_toolbox.") for name in _exported_names()}
    n_checked, long = 0, []
    for path in SOURCES:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owned = [(node, f"{module}.") for node in tree.body]
        for node, prefix in owned:
            if isinstance(node, ast.ClassDef):
                owned += [(child, f"{prefix}{node.name}.") for child in node.body]
            if not isinstance(node, ast.FunctionDef) or f"{prefix}{node.name}" in exported:
                continue
            text = ast.get_docstring(node) or ""
            n_checked += 1
            if text.count("\n") > 2 or re.search(r"^-{4,}$", text, re.M):
                long.append(f"{prefix}{node.name}")
    assert n_checked > 800
    assert not long, "\n".join(long)


PRIVATE_USERS = [*SOURCES, *(p for d in ("tests", "benchmarks") for p in (ROOT / d).rglob("*.py"))]


def test_no_room_imports_a_private_module_of_another():
    """A module or name that begins with an underscore is imported by its own room only."""
    found = []
    for path in PRIVATE_USERS:
        own = path.relative_to(ROOT).parts[:2]
        for module, name in _imports(path):
            is_private = any(re.match("_[^_]", part) for part in (*module[2:], name))
            is_ours = module[0] == "brainof_toolbox" and module[1:2] != ["_utils"]
            if is_ours and is_private and tuple(module[:2]) != own:
                found.append(f"{_name(path)} imports {'.'.join(module)}.{name}")
    assert len(PRIVATE_USERS) > 200
    assert not found, "\n".join(found)


def test_references_of_docstrings_exist():
    """Each key cited by a docstring stands in doc/references.bib."""
    bibliography = (ROOT / "doc" / "references.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"@\w+\{(\w+),", bibliography))
    for path in SOURCES:
        for keys in re.findall(r":footcite(?::\w+)?:`([^`]+)`", path.read_text(encoding="utf-8")):
            assert set(re.split(r"\s*,\s*", keys)) <= known, f"{_name(path)} cites {keys}"


def test_versions_agree():
    """What is required is pinned; torch has a lower bound only; no host is named."""
    from configparser import ConfigParser

    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    required = config["options"]["install_requires"].split()
    for extra in config["options.extras_require"].values():
        required += extra.split()
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    clean = lambda name: re.split("[<>=!]", name)[0].lower().replace("_", "-")  # noqa: E731
    pinned = {clean(line) for line in pins.split("\n") if "==" in line}
    assert {clean(name) for name in required} <= pinned
    assert "torch>=2.10" in required and "torch==2.13.0\n" in pins
    assert "://" not in pins and "--" not in pins


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.timeout(600)
def test_readme_runs():
    """Every Python block of README.rst, one after the other."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"code-block:: python\n\n((?:    .*\n|\n)+)", text)
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        exec(re.sub(r"^    ", "", block, flags=re.M), names)
    first = names["found"].scores["Brain-OF"]
    assert first.mean > 0.7, "what a new user sees first should decode"
    assert len(names["found"].scores) > 4 and len(names["records"]) == 6
    assert len(names["by_hand"]) == 2 and names["rows"].shape[0] == 6
    assert names["again"].classes_.tolist() == names["tuned"].classes_.tolist()
    assert names["importance"].unit == "nats"
    assert (names["checkpoint"] / "model.safetensors").is_file()
