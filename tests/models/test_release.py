"""The authors' code and weights, against a stand-in clone written from their model card."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
import torch
from release_clone import embed, make_state, write_clone

from brainof_toolbox.models import load_release

SHAPES = [(3, 128), (5, 64), (1, 256)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return write_clone(tmp_path_factory.mktemp("release") / "clone")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "brainof_large.pth"
    torch.save(make_state(), path)
    return path


@pytest.fixture
def released(clone, weights):
    return load_release(clone, weights, run_their_code=True)


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


def test_equals_the_naive_reference(released, samples):
    before = [sample.copy() for sample in samples]
    rows = released([samples[0], torch.from_numpy(samples[1]), samples[2].astype(float)])
    assert rows.shape == (3, 512) == (3, released.embedding_size)
    for row, sample, kept in zip(rows, samples, before, strict=True):
        torch.testing.assert_close(row, embed(make_state(), kept), rtol=1e-4, atol=1e-5)
        assert np.array_equal(sample, kept)  # their transform writes in place, into a copy


def test_neighbours_do_not_change_a_row(released, samples):
    rows = released(samples)
    assert torch.equal(released(samples[::-1]), rows.flip(0))
    for sample, row in zip(samples, rows, strict=True):
        assert torch.equal(released([sample])[0], row)


def test_info(released, clone, weights):
    import hashlib

    info = released.info
    assert info["name"] == "brainof_large_331M_A150M"
    assert info["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert info["parameters"] == sum(tensor.numel() for tensor in make_state().values())
    assert "CC BY-NC 4.0" in info["licence"] and "non-commercial" in info["licence"]
    assert info["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert info["repository"] == str(clone) and not released.training


def test_runs_nothing_without_consent(clone, weights):
    for value in (False, None, 1, "yes"):
        with pytest.raises(
            ValueError, match="imports and runs the code of the clone.*run_their_code"
        ):
            load_release(clone, weights, run_their_code=value)


# ------------------------------------------------------------------------------ leaves no trace


@pytest.fixture
def other_datasets(monkeypatch):
    """Another package of the name ``datasets``, already imported, with a part."""
    package, part = types.ModuleType("datasets"), types.ModuleType("datasets.arrow")
    package.arrow = part
    monkeypatch.setitem(sys.modules, "datasets", package)
    monkeypatch.setitem(sys.modules, "datasets.arrow", part)
    return package, part


def _surroundings():
    own = {
        k: v for k, v in sys.modules.items() if k.split(".")[0] in ("models", "datasets", "utils")
    }
    return own, list(sys.path), os.getcwd(), sys.dont_write_bytecode


def test_import_leaves_no_trace(clone, weights, samples, other_datasets, global_rng_untouched):
    before = _surroundings()
    released = load_release(clone, weights, run_their_code=True)
    assert _surroundings() == before
    released(samples)  # imports one more module, lazily
    assert _surroundings() == before
    assert sys.modules["datasets"] is other_datasets[0]
    assert not list(clone.rglob("__pycache__"))


def test_module_that_the_clone_replaces_is_put_back(tmp_path, weights, monkeypatch):
    """Whatever its name; here by hand, as patches of libraries are made."""
    monkeypatch.setitem(sys.modules, "library_of_ours", types.ModuleType("library_of_ours"))
    before = sys.modules["library_of_ours"]
    code = "import sys\nfrom . import patches\nsys.modules['library_of_ours'] = patches\n"
    released = load_release(
        write_clone(tmp_path, utils___init__=code), weights, run_their_code=True
    )
    assert sys.modules["library_of_ours"] is before
    released([torch.zeros(2, 64)])
    assert sys.modules["library_of_ours"] is before


def test_calls_do_not_look_at_every_module(released, samples, monkeypatch):
    """Thousands are imported, and windows come one by one."""
    released(samples)
    looked = []
    monkeypatch.setattr(type(released._clone), "_holds", lambda _, module: looked.append(module))
    released(samples)
    assert len(looked) < 10 < len(sys.modules)


@pytest.mark.parametrize(
    "line",
    ["raise RuntimeError('broken on purpose')", "import sys; sys.exit(2)", "import no_such"],
)
def test_trace_is_removed_after_an_error(tmp_path, weights, line, other_datasets):
    clone = write_clone(tmp_path, datasets_transform=f"import sys\nsys.path.append('x')\n{line}\n")
    before = _surroundings()
    with pytest.raises(ImportError, match="Importing 'datasets' from .* failed"):
        load_release(clone, weights, run_their_code=True)
    assert _surroundings() == before


def test_error_in_forward_leaves_no_trace(tmp_path, weights, samples):
    clone = write_clone(tmp_path, utils_lazy="raise OSError('gone')")
    released = load_release(clone, weights, run_their_code=True)
    before = _surroundings()
    with pytest.raises(RuntimeError, match=r"raised OSError on an array \(3, 128\)"):
        released(samples)
    assert _surroundings() == before


def test_two_clones_live_side_by_side(tmp_path, clone, weights, samples, released):
    other = write_clone(tmp_path, settings="1.0")
    second = load_release(other, weights, run_their_code=True)
    rows, changed = released(samples), second(samples)
    assert not torch.allclose(rows, changed)
    assert torch.equal(released(samples), rows) and torch.equal(second(samples), changed)


def test_path_that_the_clone_adds_serves_its_lazy_imports(tmp_path, weights, samples):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "extra_of_clone.py").write_text("def centre(x): return 0 * x\n")
    clone = write_clone(
        tmp_path,
        utils___init__="import os, sys\nsys.path.append(os.path.abspath('lib'))\n",
        utils_lazy="def centre(x):\n    import extra_of_clone as e\n    return e.centre(x)\n",
    )
    before = _surroundings()
    released = load_release(clone, weights, run_their_code=True)
    rows = released(samples)
    assert torch.equal(released(samples), rows)
    assert _surroundings() == before and "extra_of_clone" not in sys.modules


def test_threads_take_turns(released, samples):
    rows, found = released(samples), []
    threads = [threading.Thread(target=lambda: found.append(released(samples))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(torch.equal(rows, other) for other in found)


# ---------------------------------------------------------------------------- copies and pickles


def test_pickle_is_the_way_back(released, samples):
    data = pickle.dumps(released)
    assert len(data) < 2000  # not the weights
    assert torch.equal(pickle.loads(data)(samples), released(samples))
    assert copy.deepcopy(released) is released  # frozen: sklearn.clone may share it


def test_frozen(released, samples):
    rows = released(samples)
    assert not any(parameter.requires_grad for parameter in released.parameters())
    assert not rows.requires_grad
    released.train()
    assert not released.training and torch.equal(released(samples), rows)  # no dropout


def test_pickle_opens_in_a_fresh_process(released, samples, tmp_path):
    rows = released(samples)
    (tmp_path / "it.pkl").write_bytes(pickle.dumps((released, samples, rows)))
    code = "import pickle, torch\nr, s, rows = pickle.load(open('it.pkl', 'rb'))\n"
    code += "assert torch.allclose(r(s), rows, rtol=1e-5, atol=1e-6)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_pickle_refuses_other_weights(clone, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(make_state(), path)
    data = pickle.dumps(load_release(clone, path, run_their_code=True))
    torch.save(make_state(seed=1), path)
    with pytest.raises(ValueError, match="has sha256 .* pickled with the weights"):
        pickle.loads(data)


# --------------------------------------------------------------------------------- what goes in


def test_tail(clone, weights, released):
    sample = np.random.default_rng(1).standard_normal((3, 150)).astype(np.float32)
    padded = np.pad(sample, ((0, 0), (0, 42)))
    assert torch.equal(released([sample]), released([padded]))
    cutting = load_release(clone, weights, run_their_code=True, tail="cut")
    assert torch.equal(cutting([sample]), released([sample[:, :128]]))
    with pytest.raises(ValueError, match="40 time points, fewer than a patch of 64"):
        cutting([sample[:, :40]])


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        ({"eeg": np.zeros((2, 64))}, TypeError, "one modality at a time"),
        ((np.zeros((2, 64)), np.zeros((2, 64))), TypeError, "got tuple"),
        (np.zeros(64), ValueError, r"got shape \(64,\)"),
        (np.zeros((0, 64)), ValueError, "none empty"),
        (np.full((2, 64), np.nan), ValueError, "NaN"),
    ],
)
def test_refuses_what_is_no_sample(released, sample, error, message):
    with pytest.raises(error, match=message):
        released([sample])
    with pytest.raises(ValueError, match="no samples"):
        released([])


def test_transform_parameters(clone, weights, samples):
    options = {"run_their_code": True, "transform_parameters": {"clip": 0.1}}
    rows = load_release(clone, weights, **options)(samples)
    torch.testing.assert_close(
        rows[0], embed(make_state(), samples[0], clip=0.1), rtol=1e-4, atol=1e-5
    )
    options["transform_parameters"] = {"gain": 3}
    with pytest.raises(RuntimeError, match=r"DataTransform\(gain=3\) raised TypeError"):
        load_release(clone, weights, **options)


FORMS = {
    "list": ("[x]", "x = x[0]"),
    "dict": ("{'x': x}", ""),
    "tuple": ("(x, 'eeg')", "assert extra == 'eeg'"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_what_the_transform_returns(tmp_path, weights, samples, form):
    made, first = FORMS[form]
    clone = write_clone(tmp_path, **_rewrite(f"return {made}", first))
    rows = load_release(clone, weights, run_their_code=True)(samples)
    torch.testing.assert_close(rows[0], embed(make_state(), samples[0]), rtol=1e-4, atol=1e-5)


def test_batch_axis_of_the_transform(tmp_path, weights, samples):
    clone = write_clone(tmp_path, **_rewrite("return x[None]", ""))
    with pytest.raises(ValueError, match=r"expected to return \(1, 512\).*\(1, 2, 512\)"):
        load_release(clone, weights, run_their_code=True)(samples)
    released = load_release(clone, weights, run_their_code=True, add_batch_axis=False)
    row = released(samples[:1])[0]
    torch.testing.assert_close(row, embed(make_state(), samples[0]), rtol=1e-4, atol=1e-5)


def _rewrite(returning, first):
    """Change what the transform returns, and the first line of the network's forward."""
    from textwrap import dedent

    from release_clone import FILES

    transform = dedent(FILES["datasets/transform.py"]).replace("return torch", "x = torch")
    network = dedent(FILES["models/transformer.py"]).replace(
        "def forward(self, x):  # (B, C, T)", f"def forward(self, x, extra=None):\n        {first}"
    )
    return {
        "datasets_transform": f"{transform.rstrip()}\n        {returning}\n",
        "models_transformer": network,
    }


# ---------------------------------------------------------------------------- variants and clones


def test_embedding_size_is_checked(clone, tmp_path, samples):
    """The width of base is inferred, and this clone's is another."""
    path = tmp_path / "base.pth"
    torch.save(make_state(300), path)
    options = {"variant": "base", "run_their_code": True}
    released = load_release(clone, path, **options)
    assert released.embedding_size == 256
    with pytest.raises(
        ValueError, match=r"to return \(1, 256\).*returned a tensor of shape \(1, 300\)"
    ):
        released(samples)
    assert load_release(clone, path, **options, embedding_size=300)(samples).shape == (3, 300)


def test_variants(clone, weights, tmp_path):
    with pytest.raises(ValueError, match="brainof_huge_1B_A500M.*brainof_huge_2B.*whole name"):
        load_release(clone, weights, variant="huge", run_their_code=True)
    torch.save(make_state(768), tmp_path / "huge.pth")
    one = load_release(
        clone, tmp_path / "huge.pth", variant="brainof_huge_2B_A500M", run_their_code=True
    )
    assert one.info["name"] == "brainof_huge_2B_A500M" and one.embedding_size == 768
    with pytest.raises(ValueError, match="'variant'.*'base'.*'giant'.*got 'tiny'"):
        load_release(clone, weights, variant="tiny", run_their_code=True)
    with pytest.raises(ValueError, match="no factory.*found.*brainof_large_331M_A150M"):
        load_release(clone, weights, variant="brainof_giant_1T", run_their_code=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"models_transformer": None}, FileNotFoundError, "expected to be a clone"),
        ({"datasets___init__": "Other = 1"}, ValueError, r"no 'DataTransform'.*\['Other'\]"),
        (
            {"models_transformer": "def brainof_large_1(num_classes): pass"},
            RuntimeError,
            r"brainof_large_1\(num_classes=0, layer_scale_type='per_channel'\) raised TypeError",
        ),
        (
            {"models_transformer": "def brainof_large_1(**kwargs): return 3"},
            ValueError,
            "made a int, expected a torch Module",
        ),
    ],
)
def test_refuses_another_repository(tmp_path, weights, changes, error, message):
    clone = write_clone(tmp_path, **changes)
    with pytest.raises(error, match=message):
        load_release(clone, weights, run_their_code=True)


def test_says_when_another_package_hides_the_clone(tmp_path, weights, monkeypatch):
    """A folder without __init__.py loses to an installed package of its name."""
    (tmp_path / "site" / "models").mkdir(parents=True)
    (tmp_path / "site" / "models" / "__init__.py").write_text("")
    (tmp_path / "site" / "models" / "transformer.py").write_text("brainof_large_1 = print\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    clone = write_clone(tmp_path / "clone", models___init__=None)
    with pytest.raises(ValueError, match="was found at .*site.*hides the clone's"):
        load_release(clone, weights, run_their_code=True)


def test_refuses_what_is_not_there(clone, weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected to be a clone of the authors'"):
        load_release(tmp_path / "none", weights, run_their_code=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_release(clone, tmp_path / "none.pth", run_their_code=True)
    for name, value in (("tail", "drop"), ("add_batch_axis", 2), ("embedding_size", 0)):
        with pytest.raises(ValueError, match=name):
            load_release(clone, weights, run_their_code=True, **{name: value})
