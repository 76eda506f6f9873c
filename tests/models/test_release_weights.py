"""Files of weights from elsewhere: nothing in them runs, and they match exactly."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from release_clone import Payload, make_state, save_sharded, split_first_tensor, write_clone

from brainof_toolbox.models import load_release
from brainof_toolbox.models.release_weights import HOW_TO_CONVERT, hash_checkpoint, read_state

WRAPPINGS = {
    "bare": lambda s: s,
    "model": lambda s: {"model": s, "epoch": 7},
    "twice": lambda s: {"app": {"state_dict": s}, "lr": 0.1},
    "parallel": lambda s: {f"module.{name}": tensor for name, tensor in s.items()},
    "compiled": lambda s: {"model": {f"module._orig_mod.{n}": t for n, t in s.items()}},
}


@pytest.fixture
def state():
    return make_state(16)


def _equal(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[n], state[n]) for n in state)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("form", ["file", "legacy", "folder"])
def test_wrappings(tmp_path, state, wrapping, form):
    content, path = WRAPPINGS[wrapping](state), tmp_path / "weights"
    if form == "folder":
        save_sharded(path, content)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "file")
    assert _equal(read_state(path, state), state)


def test_pieces_of_several_processes(tmp_path, state):
    folder = save_sharded(tmp_path / "giant", {"model": state})
    split_first_tensor(folder)
    assert _equal(read_state(folder, state), state)


def test_giant_is_read_into_its_network(tmp_path):
    state = make_state(1024)
    clone = write_clone(tmp_path / "clone")
    folder = save_sharded(tmp_path / "giant", {"model": state, "optim": {"exp": torch.ones(3)}})
    released = load_release(clone, folder, variant="giant", run_their_code=True)
    assert _equal(released.network.state_dict(), state)
    assert released([torch.zeros(2, 64)]).shape == (1, 1024)


def test_hash_of_a_folder_is_that_of_the_shell(tmp_path, state):
    folder = save_sharded(tmp_path / "giant", state)
    files = sorted(path for path in folder.iterdir())
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    assert hash_checkpoint(folder) == hashlib.sha256("".join(lines).encode()).hexdigest()


# --------------------------------------------------------------------------------- nothing runs


@pytest.mark.parametrize("wrapping", ["bare", "model"])
@pytest.mark.parametrize("form", ["file", "legacy"])
def test_payload_of_a_file_is_never_run(tmp_path, state, wrapping, form):
    content = {**WRAPPINGS[wrapping](state), "extra": Payload(tmp_path / "ran")}
    torch.save(content, tmp_path / "bad.pth", _use_new_zipfile_serialization=form == "file")
    with pytest.raises(ValueError, match="(?s)mkdir.*refused unrun.*released_weights.rst"):
        read_state(tmp_path / "bad.pth", state)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert (tmp_path / "ran").exists()  # so the payload works, where it is let run


def test_payload_of_a_plain_pickle_is_never_run(tmp_path, state):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(ValueError, match="refused unrun"):
        read_state(tmp_path / "bad.pth", state)
    assert not (tmp_path / "ran").exists()


def test_harmless_objects_are_refused_too(tmp_path, state):
    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="Namespace.*If you trust it, convert it once"):
        read_state(tmp_path / "w.pth", state)


def test_payload_of_a_table_of_contents_is_never_run(tmp_path, state):
    folder = save_sharded(tmp_path / "giant", state)
    table = pickle.loads((folder / ".metadata").read_bytes())
    table.storage_meta = Payload(tmp_path / "ran")
    (folder / ".metadata").write_bytes(pickle.dumps(table))
    with pytest.raises(ValueError, match="asks for posix.mkdir.*Nothing in it was run"):
        read_state(folder, state)
    assert not (tmp_path / "ran").exists()


def test_payload_of_a_piece_is_never_run(tmp_path, state):
    content = {**state, "extra": Payload(tmp_path / "ran")}  # saved as an entry of its own
    folder = save_sharded(tmp_path / "giant", content)
    with pytest.raises(ValueError, match="unexpected tensors 'extra'"):
        read_state(folder, state)
    assert _equal(read_state(folder, state, ("extra",)), state)
    wrapped = save_sharded(tmp_path / "wrapped", {"model": state, "more": content["extra"]})
    assert _equal(read_state(wrapped, state), state)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "os.system", "torch.nn.Linear"])
def test_table_of_contents_knows_its_classes_only(tmp_path, state, name):
    module, _, what = name.rpartition(".")
    (tmp_path / ".metadata").write_bytes(f"c{module}\n{what}\n.".encode())
    with pytest.raises(ValueError, match=f"asks for {name}"):
        read_state(tmp_path, state)


def test_table_of_contents_cannot_change_torch(tmp_path, state):
    """A pickle may set attributes of a class that it is handed: it is handed none of torch's."""
    import torch.distributed.checkpoint.metadata as real

    text = b"ctorch.distributed.checkpoint.metadata\nMetadata\n(N(dS'poison'\nI1\nstb."
    (tmp_path / ".metadata").write_bytes(text)
    with pytest.raises(ValueError, match="not the table of contents"):
        read_state(tmp_path, state)
    assert not hasattr(real.Metadata, "poison")


def test_pieces_stay_in_the_folder(tmp_path, state):
    folder = save_sharded(tmp_path / "giant", state)
    table = pickle.loads((folder / ".metadata").read_bytes())
    (folder / "__0_0.distcp").rename(tmp_path / "elsewhere")
    for info in table.storage_data.values():
        info.relative_path = "../elsewhere"
    (folder / ".metadata").write_bytes(pickle.dumps(table))
    with pytest.raises(ValueError, match=r"has no file '../elsewhere' of its own"):
        read_state(folder, state)


# -------------------------------------------------------------------- converting what was refused


def _command(error):
    """The arguments of Python in the command that an error gives."""
    found = re.search(r"python (-[mc] .*) \(see doc/released_weights", str(error.value))
    return [sys.executable, *shlex.split(found[1])]


@pytest.mark.slow
def test_command_converts_a_refused_folder(tmp_path, state):
    """The one that the error gives, word by word, though the folder is one that torch reads."""
    folder = save_sharded(tmp_path / "the giant", {"model": state})
    table = (folder / ".metadata").read_bytes()
    (folder / ".metadata").write_bytes(b"cbuiltins\neval\n.")
    with pytest.raises(ValueError, match="asks for builtins.eval") as error:
        read_state(folder, state)
    (folder / ".metadata").write_bytes(table)
    subprocess.run(_command(error), check=True, cwd=tmp_path, capture_output=True)
    assert _equal(read_state(tmp_path / "the giant.pth", state), state)


@pytest.mark.slow
def test_command_converts_a_refused_file(tmp_path, state):
    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, tmp_path / "old.pth")
    with pytest.raises(ValueError, match="refused unrun") as error:
        read_state(tmp_path / "old.pth", state)
    subprocess.run(_command(error), check=True, cwd=tmp_path)
    assert _equal(read_state(tmp_path / "weights.pth", state), state)


def test_commands_stand_in_the_page():
    page = Path(__file__).parents[2] / "doc" / "released_weights.rst"
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER" in text
    assert HOW_TO_CONVERT[HOW_TO_CONVERT.index("python -c") :].partition(" (see")[0] in text


# ------------------------------------------------------------------------------- matches exactly


def _save(tmp_path, content, form="file"):
    if form == "folder":
        return save_sharded(tmp_path / "w", content)
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("form", ["file", "folder"])
def test_names_what_does_not_match(tmp_path, state, form):
    other = {("renamed" if n == "patch.bias" else n): t for n, t in state.items()}
    path = _save(tmp_path, other, form)
    with pytest.raises(ValueError, match="missing tensors 'patch.bias', unexpected.*'renamed'"):
        read_state(path, state)


@pytest.mark.parametrize("form", ["file", "folder"])
def test_names_what_is_misshaped(tmp_path, state, form):
    path = _save(tmp_path, {**state, "patch.bias": torch.ones(15)}, form)
    with pytest.raises(ValueError, match=r"'patch.bias' has shape \(15,\).* a tensor of \(16,\)"):
        read_state(path, state)


@pytest.mark.parametrize("form", ["file", "folder"])
def test_classifier_is_left_out_where_there_is_none(tmp_path, state, form):
    """The one allowance; a model that has a head needs it, and nothing else is passed over."""
    head = {"head.weight": torch.ones(2, 16)}
    path = _save(tmp_path, {f"module.{name}": t for name, t in {**state, **head}.items()}, form)
    assert _equal(read_state(path, state), state)
    assert _equal(read_state(path, state, ("head.",)), state)
    assert _equal(read_state(path, {**state, **head}), {**state, **head})
    with pytest.raises(ValueError, match="missing tensors 'head.bias', unexpected .*'head.w"):
        read_state(path, {**state, "head.bias": torch.ones(2)})


def test_other_parts_are_left_out_by_name_only(tmp_path, state):
    path = _save(tmp_path, {**state, "header.weight": torch.ones(2, 16)})
    with pytest.raises(ValueError, match=r"unexpected tensors 'header.weight'.*leave_out="):
        read_state(path, state)
    assert _equal(read_state(path, state, ("header.",)), state)
    with pytest.raises(ValueError, match="leave_out='patch.'.*the model needs 'patch.weight'"):
        read_state(path, state, ("header.", "patch."))
    with pytest.raises(ValueError, match="leave_out='heads.'.*no tensor's name starts so"):
        read_state(path, state, ("heads.",))


def test_two_candidates_are_not_guessed(tmp_path, state):
    path = _save(tmp_path, {"model": state, "state_dict": state})
    with pytest.raises(ValueError, match="its keys are 'model', 'state_dict'"):
        read_state(path, state)
    path = _save(tmp_path, {"weights": state})
    with pytest.raises(ValueError, match="its keys are 'weights'; expected"):
        read_state(path, state)


def test_not_finite(tmp_path, state):
    path = _save(tmp_path, {**state, "patch.bias": torch.full((16,), torch.nan)})
    with pytest.raises(ValueError, match="'patch.bias' .* NaN"):
        read_state(path, state)


@pytest.mark.parametrize("form", ["file", "folder"])
def test_truncated(tmp_path, state, form):
    path = _save(tmp_path, state, form)
    file = path / "__0_0.distcp" if form == "folder" else path
    file.write_bytes(file.read_bytes()[:-700])
    with pytest.raises(ValueError, match="damaged"):
        read_state(path, state)


def test_missing_pieces(tmp_path, state):
    folder = save_sharded(tmp_path / "giant", {"model": state})
    name = split_first_tensor(folder)
    table = pickle.loads((folder / ".metadata").read_bytes())
    table.state_dict_metadata[name].chunks.pop()
    (folder / ".metadata").write_bytes(pickle.dumps(table))
    with pytest.raises(ValueError, match="its pieces"):
        read_state(folder, state)
    (folder / ".metadata").unlink()
    with pytest.raises(ValueError, match="folder without .metadata"):
        read_state(folder, state)


def test_content_that_is_no_dict(tmp_path, state):
    for content in (torch.ones(3), [state], {}):
        path = _save(tmp_path, content)
        with pytest.raises(ValueError, match="does not hold a state dict|does not match"):
            read_state(path, state)
