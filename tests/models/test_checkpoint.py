"""Checkpoints: strict to read, all or nothing to write, and nothing in them ever runs."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import safetensors.torch
import torch

from brainof_toolbox.models import (
    BrainOF,
    BrainOFConfig,
    Checkpoint,
    checkpoint,
    load_checkpoint,
    save_checkpoint,
)

PREPROCESSING = {"sfreq": 256.0, "highpass": 0.5}
WEIGHTS = "model.safetensors"


class _Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def saved(tmp_path, small_model):
    """A checkpoint on disk."""
    manifest = {"step": 7, "datasets": ["none"]}
    return save_checkpoint(
        tmp_path / "saved", small_model(), preprocessing=PREPROCESSING, manifest=manifest
    )


def _state(folder):
    return safetensors.torch.load((folder / WEIGHTS).read_bytes())


def _store(folder, state):
    """Write other weights, with a manifest that agrees."""
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(state))
    _edit(folder / "manifest.json", lambda manifest: manifest.pop("sha256"))


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------ round trip


def test_save_then_load_gives_the_same_rows(saved, small_model, tokens_of):
    """Bit by bit; and everything else comes back too."""
    model, loaded = small_model(), load_checkpoint(saved)
    assert isinstance(loaded, Checkpoint)
    assert loaded.config == model.config
    assert loaded.preprocessing == PREPROCESSING
    assert loaded.name == str(saved)
    assert loaded.manifest["step"] == 7
    assert loaded.manifest["sha256"] == loaded.sha256
    assert loaded.manifest["n_parameters"]["active"] == model.n_parameters(active=True)
    assert loaded.manifest["versions"]["torch"] == torch.__version__
    assert not loaded.model.training
    with torch.no_grad():
        assert torch.equal(loaded.model(tokens_of()), model(tokens_of()))
    assert not any(t.is_meta for t in (*loaded.model.parameters(), *loaded.model.buffers()))
    assert all(p.requires_grad for p in loaded.model.parameters())
    assert sorted(p.name for p in saved.iterdir()) == [
        "config.json", "manifest.json", WEIGHTS,
    ]  # fmt: skip


def test_loading_draws_no_random_numbers(saved):
    """Global numpy/torch/python RNG: not consumed nor reseeded."""
    before = torch.random.get_rng_state()
    assert _same(load_checkpoint(saved).model, load_checkpoint(saved).model)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(saved, small_model, dtype):
    _store(saved, {name: t.to(dtype) for name, t in _state(saved).items()})
    expected = small_model().state_dict()
    for name, tensor in load_checkpoint(saved).model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].to(dtype).float())


def test_loaded_weights_do_not_hang_on_the_file(saved):
    model = load_checkpoint(saved).model
    before = {name: t.clone() for name, t in model.state_dict().items()}
    path = saved / WEIGHTS
    with open(path, "r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_known_name_is_loaded_without_network(saved, monkeypatch, no_network):
    """For a bundled checkpoint."""
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", saved.parent)
    assert checkpoint.known_checkpoints() == ["saved"]
    assert load_checkpoint("saved").name == "saved"


def test_a_model_card_beside_the_weights_is_no_obstacle(saved, monkeypatch):
    """It is pointed to, and not read."""
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", saved.parent)
    before = load_checkpoint("saved")
    assert checkpoint.describe_checkpoints()["saved"]["card"] is None
    (saved / "README.md").write_bytes(b"\xff model card")
    assert _same(load_checkpoint("saved").model, before.model)
    assert checkpoint.describe_checkpoints() == {
        "saved": {
            "parameters": before.model.n_parameters(),
            "licence": None,
            "card": saved / "README.md",
        }
    }


# ------------------------------------------------------------------- files that may be evil


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".joblib", ".ckpt"])
def test_pickles_are_refused_unread(tmp_path, suffix):
    path, trace = tmp_path / f"evil{suffix}", tmp_path / "ran"
    path.write_bytes(pickle.dumps(_Payload(trace)))
    with pytest.raises(ValueError, match=f"evil\\{suffix}.*run code.*refused"):
        load_checkpoint(path)
    assert not trace.exists()


def test_pickle_renamed_is_refused(saved, tmp_path):
    trace = tmp_path / "ran"
    (saved / WEIGHTS).write_bytes(pickle.dumps(_Payload(trace)))
    with pytest.raises(ValueError, match=f"{WEIGHTS} is truncated, incomplete or corrupt"):
        load_checkpoint(saved)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.zip"])
def test_folder_with_other_weights_says_safetensors(saved, name):
    (saved / WEIGHTS).rename(saved / name)
    with pytest.raises(ValueError, match=f"{name}.*safetensors only"):
        load_checkpoint(saved)


@pytest.mark.parametrize("shard", ["pytorch_model.bin", "../secret.safetensors", "/etc/passwd"])
def test_index_of_shards_is_refused(saved, shard):
    index = saved / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"latents": shard}}))
    with pytest.raises(ValueError, match=r"index.json.*several files.*refused"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["config.json", "manifest.json", WEIGHTS])
def test_links_that_lead_out_are_refused(saved, tmp_path, name):
    (saved / name).rename(tmp_path / "outside")
    (saved / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=f"{name} is a link that leads out"):
        load_checkpoint(saved)


def test_a_link_to_the_whole_checkpoint_is_fine(saved, tmp_path):
    (tmp_path / "latest").symlink_to(saved)
    assert load_checkpoint(tmp_path / "latest").config.width == 32


@pytest.mark.parametrize("keep", [0, 5, 8, 100, 0.5, -1])
def test_truncated_weights(saved, keep):
    path = saved / WEIGHTS
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    with pytest.raises(ValueError, match=f"{WEIGHTS} is truncated, incomplete or corrupt"):
        load_checkpoint(saved)


def test_appended_bytes(saved):
    with open(saved / WEIGHTS, "ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="header promises"):
        load_checkpoint(saved)


@pytest.mark.parametrize("length", [2**60, 2**63 + 1, 2**31])
def test_absurd_header_length(saved, length):
    (saved / WEIGHTS).write_bytes(struct.pack("<Q", length) + b"{}" * 50)
    start = time.perf_counter()
    with pytest.raises(ValueError, match="cannot hold its header"):
        load_checkpoint(saved)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "header",
    [b"[]", b'{"latents": 3}', b'{"latents": {"dtype": "F32"}}', b"[" * 5000, b"\xff\xfe{}"],
    ids=["list", "number", "incomplete", "deep", "binary"],
)
def test_header_that_is_none(saved, header):
    (saved / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ValueError, match=f"{WEIGHTS}"):
        load_checkpoint(saved)


def test_overlapping_tensors_are_refused(saved):
    """The format forbids it: one tensor would silently be another."""
    content = (saved / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name, other = "encoder.blocks.0.attention.key.weight", "encoder.blocks.1.attention.key.weight"
    header[name]["data_offsets"] = header[other]["data_offsets"]
    new = json.dumps(header).encode()
    (saved / WEIGHTS).write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    _edit(saved / "manifest.json", lambda manifest: manifest.pop("sha256"))
    with pytest.raises(ValueError, match="truncated, incomplete or corrupt"):
        load_checkpoint(saved)


def test_missing_tensor_is_named(saved):
    state = _state(saved)
    del state["layers.1.attention.lam"]
    _store(saved, state)
    with pytest.raises(ValueError, match=r"missing tensors 'layers\.1\.attention\.lam'"):
        load_checkpoint(saved)


def test_extra_tensor_is_named(saved):
    _store(saved, {**_state(saved), "head.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"unexpected tensors 'head\.weight'"):
        load_checkpoint(saved)


def test_all_names_changed(saved):
    _store(saved, {f"module.{name}": t for name, t in _state(saved).items()})
    with pytest.raises(ValueError, match="does not match the model"):
        load_checkpoint(saved)


def test_other_shape_names_tensor_and_shapes(saved):
    _store(saved, {**_state(saved), "latents": torch.zeros(17, 32)})
    with pytest.raises(ValueError, match=r"'latents' has shape \(17, 32\).*\(16, 32\)"):
        load_checkpoint(saved)


def test_integer_weights_are_refused(saved):
    _store(saved, {**_state(saved), "latents": torch.zeros(16, 32, dtype=torch.int64)})
    with pytest.raises(ValueError, match="'latents' has type I64"):
        load_checkpoint(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_weights_are_named(saved, tmp_path, small_model, value):
    state = _state(saved)
    state["norm.weight"][3] = value
    _store(saved, state)
    with pytest.raises(ValueError, match=r"'norm\.weight'.*NaN or Inf"):
        load_checkpoint(saved)
    model = small_model()
    model.norm.weight.data[3] = value
    with pytest.raises(ValueError, match=r"'norm\.weight'.*NaN or Inf"):
        save_checkpoint(tmp_path / "new", model, preprocessing={}, manifest={})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("key", ["auto_map", "_target_", "trust_remote_code"])
@pytest.mark.parametrize("place", ["top", "architecture", "preprocessing", "nested"])
def test_config_that_asks_for_code_is_refused(saved, key, place):
    def change(config):
        target = {
            "top": config,
            "architecture": config["architecture"],
            "preprocessing": config["preprocessing"],
            "nested": config["preprocessing"].setdefault("steps", [{}])[0],
        }[place]
        target[key] = "os.system"

    _edit(saved / "config.json", change)
    with pytest.raises(ValueError, match=f"requests that code be run.*{key}"):
        load_checkpoint(saved)


def test_archives_are_refused_unread(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="archive.*refused"):
        load_checkpoint(path)


def test_unknown_name_lists_the_known_ones(saved, monkeypatch, no_network):
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", saved.parent)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"'brainof-huge'.*Known names: saved"):
        load_checkpoint("brainof-huge")
    assert time.perf_counter() - start < 1


def test_without_bundled_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", tmp_path / "none")
    with pytest.raises(ValueError, match="none are bundled"):
        load_checkpoint("brainof-tiny")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xff", b"[" * 100000, b"null"])
@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_broken_json_names_the_file(saved, name, content):
    (saved / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_keys_named_twice_are_refused(saved, name):
    """Of two values one reader takes the first, another the last."""
    text = (saved / name).read_text()
    key = next(iter(json.loads(text)))
    (saved / name).write_text(text.rstrip().removesuffix("}") + f', "{key}": 1' + "}")
    with pytest.raises(ValueError, match=rf"{name}.*more than once: \['{key}'\]"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["config.json", "manifest.json", WEIGHTS])
def test_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format_version=99), "format version 99.*Upgrade"),
        (lambda c: c.pop("units"), "missing: .*units"),
        (lambda c: c.update(surprise=1), "unknown: .*surprise"),
        (lambda c: c["units"].update(position="mm"), "units"),
        (lambda c: c.update(preprocessing=3), "preprocessing"),
        (lambda c: c.update(architecture=3), "dict"),
        (lambda c: c["architecture"].update(n_leyers=3), "n_leyers"),
        (lambda c: c["architecture"].update(width="wide"), "width"),
        (lambda c: c["architecture"].update(width=64), "shape"),
    ],
)
def test_config_of_another_kind(saved, change, message):
    _edit(saved / "config.json", change)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(saved)


def test_empty_file_and_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file is a file and empty"):
        load_checkpoint(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder is empty"):
        load_checkpoint(tmp_path / "folder")


def test_absent_path_and_other_types(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_checkpoint("./nowhere/at/all")
    with pytest.raises(TypeError, match="got int"):
        load_checkpoint(3)
    with pytest.raises(ValueError, match="no checkpoint ''"):
        load_checkpoint("")


def test_sha256_mismatch_names_the_file(saved):
    state = _state(saved)
    state["norm.weight"] += 1
    (saved / WEIGHTS).write_bytes(safetensors.torch.save(state))
    with pytest.raises(ValueError, match=f"{WEIGHTS} is not the file.*sha256"):
        load_checkpoint(saved)


# ---------------------------------------------------------------------------------- the hub


def _fake_hub(monkeypatch, folder, calls):
    def snapshot_download(repo, **kwargs):
        calls.append((repo, kwargs["revision"], sorted(kwargs["allow_patterns"])))
        return str(folder)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


def test_hub_asks_for_three_files_at_a_revision(saved, monkeypatch):
    calls = []
    _fake_hub(monkeypatch, saved, calls)
    assert load_checkpoint("hf://owner/name@v1").config.width == 32
    load_checkpoint("hf://owner/name")
    files = ["config.json", "manifest.json", WEIGHTS]
    assert calls == [("owner/name", "v1", files), ("owner/name", None, files)]


def test_hub_cache_may_link_inside_itself_only(saved, tmp_path, monkeypatch):
    """The cache of the hub keeps blobs beside its snapshots."""
    snapshot, blobs = tmp_path / "repo" / "snapshots" / "abc", tmp_path / "repo" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in saved.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(blobs / path.name)
    _fake_hub(monkeypatch, snapshot, [])
    assert load_checkpoint("hf://owner/name").config.width == 32
    (blobs / WEIGHTS).rename(tmp_path / "outside")
    (snapshot / WEIGHTS).unlink()
    (snapshot / WEIGHTS).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out"):
        load_checkpoint("hf://owner/name")


@pytest.mark.parametrize("text", ["hf://", "hf://name", "hf://../../x", "hf://a/b@../c"])
def test_hub_addresses_are_checked(text, no_network):
    with pytest.raises(ValueError, match="owner/name@revision"):
        load_checkpoint(text)


def test_hub_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"brainof_toolbox\[hub\]"):
        load_checkpoint("hf://owner/name")


# ---------------------------------------------------------------------- interrupted writing


class _KilledError(BaseException):
    """Stands for the end of the process: no handler of the package runs after it."""


def test_a_crash_at_any_step_leaves_one_checkpoint(saved, small_model, monkeypatch):
    """Stop at every single file operation; the old or the new one loads, whole."""
    old, new = small_model(0), small_model(1)
    is_new, step = [], 0
    while True:
        with monkeypatch.context() as patch:
            was_killed = not _save_until(patch, step, saved, new)
        loaded = load_checkpoint(saved).model
        assert _same(loaded, old) or _same(loaded, new)
        is_new.append(_same(loaded, new))
        if not was_killed:
            break
        # The next writer clears up what the dead one left.
        save_checkpoint(saved, old, preprocessing=PREPROCESSING, manifest={})
        assert _same(load_checkpoint(saved).model, old)
        assert os.listdir(saved.parent) == ["saved"]
        step += 1
    assert step >= 8  # mkdir twice, five fsyncs, two renames, and clearing up
    assert is_new == sorted(is_new)
    assert is_new[0] is False
    assert is_new[-1] is True


def _save_until(patch, last, folder, model):
    """Save, but stop at one file operation; return whether it came to its end."""
    done = []

    def watch(real):
        def operation(*args, **kwargs):
            done.append(real)
            if len(done) > last + 1:
                return None  # the dead write nothing more
            if len(done) == last + 1:
                raise _KilledError
            return real(*args, **kwargs)

        return operation

    for owner, name in (
        (Path, "mkdir"), (os, "rename"), (os, "fsync"), (shutil, "rmtree")
    ):  # fmt: skip
        patch.setattr(owner, name, watch(getattr(owner, name)))
    try:
        save_checkpoint(folder, model, preprocessing=PREPROCESSING, manifest={})
    except _KilledError:
        return False
    return True


_WRITER = """
import sys
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint
config = BrainOFConfig(n_layers=2, width=32, n_heads=2, n_latents=16, patch_size=16)
models = [BrainOF(config, seed) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for model in models:
        save_checkpoint(sys.argv[1], model, preprocessing={}, manifest={})
"""


@pytest.mark.slow
def test_sigkill_in_the_middle_of_writing(saved, small_model):
    """A real process, really killed, at several moments."""
    models = small_model(0), small_model(1)
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(saved)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "ready\n"
    time.sleep(0.15)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    loaded = load_checkpoint(saved).model
    assert any(_same(loaded, model) for model in models)


def _fail_with(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_failed_write_leaves_the_previous(saved, small_model, monkeypatch, number, step):
    with monkeypatch.context() as patch:
        patch.setattr(os, step, _fail_with(number))
        with pytest.raises(OSError, match=r"could not be saved.*unchanged") as caught:
            save_checkpoint(saved, small_model(1), preprocessing={}, manifest={})
    assert caught.value.errno == number
    assert caught.value.filename == str(saved)
    assert _same(load_checkpoint(saved).model, small_model(0))
    assert os.listdir(saved.parent) == ["saved"]


def test_second_rename_fails(saved, small_model, monkeypatch):
    """The previous one has been moved aside already: it comes back."""
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "no space")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(OSError, match="could not be saved"):
            save_checkpoint(saved, small_model(1), preprocessing={}, manifest={})
    assert _same(load_checkpoint(saved).model, small_model(0))
    assert os.listdir(saved.parent) == ["saved"]


_LIMITED = """
import resource, sys
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint
config = BrainOFConfig(n_layers=2, width=32, n_heads=2, n_latents=16, patch_size=16)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(sys.argv[1], BrainOF(config, 1), preprocessing={}, manifest={})
except OSError as error:
    sys.exit(0 if sys.argv[1] in str(error) else 3)
sys.exit(4)
"""


@pytest.mark.slow
def test_the_system_refuses_to_write_more(saved, small_model):
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(saved)], timeout=120)
    assert done.returncode == 0
    assert _same(load_checkpoint(saved).model, small_model(0))
    assert os.listdir(saved.parent) == ["saved"]


def test_target_that_cannot_be_written(tmp_path, small_model, monkeypatch):
    (tmp_path / "file").touch()
    model = small_model()
    with pytest.raises(OSError, match="could not be saved.*file/below"):
        save_checkpoint(tmp_path / "file" / "below", model, preprocessing={}, manifest={})
    with pytest.raises(OSError, match="not a directory.*file"):
        save_checkpoint(tmp_path / "file", model, preprocessing={}, manifest={})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", _fail_with(errno.EROFS))
        with pytest.raises(OSError, match="Read-only.*writable directory.*new"):
            save_checkpoint(tmp_path / "new", model, preprocessing={}, manifest={})
    assert os.listdir(tmp_path) == ["file"]


def test_files_of_others_are_not_deleted(tmp_path, small_model):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match="thesis.txt"):
        save_checkpoint(tmp_path, small_model(), preprocessing={}, manifest={})
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def test_saving_refuses_what_is_no_checkpoint(tmp_path, small_model):
    target = tmp_path / "new"
    with pytest.raises(TypeError, match="BrainOF, got Linear"):
        save_checkpoint(target, torch.nn.Linear(2, 2), preprocessing={}, manifest={})
    with pytest.raises(TypeError, match="preprocessing must be a dict"):
        save_checkpoint(target, small_model(), preprocessing=None, manifest={})
    with pytest.raises(TypeError, match="manifest must be a dict"):
        save_checkpoint(target, small_model(), preprocessing={}, manifest=[])
    with pytest.raises(TypeError, match="JSON"):
        save_checkpoint(target, small_model(), preprocessing={"a": object()}, manifest={})
    with pytest.raises(ValueError, match="JSON|float"):
        save_checkpoint(target, small_model(), preprocessing={"a": float("nan")}, manifest={})
    with pytest.raises(ValueError, match="auto_map"):
        save_checkpoint(target, small_model(), preprocessing={"auto_map": 1}, manifest={})
    assert not os.listdir(tmp_path)


def test_trained_on_another_device_or_type_is_saved_as_it_is(tmp_path, small_config):
    model = BrainOF(small_config()).double()
    folder = save_checkpoint(tmp_path / "new", model, preprocessing={}, manifest={})
    assert _state(folder)["latents"].dtype == torch.float64
    assert load_checkpoint(folder).model.latents.dtype == torch.float32


def test_config_file_is_plain_and_complete(saved):
    content = json.loads((saved / "config.json").read_text())
    assert content["format_version"] == 1
    assert BrainOFConfig.from_dict(content["architecture"]).width == 32
    assert content["units"]["position"] == "m"
