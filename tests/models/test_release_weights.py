"""Files of weights from elsewhere: nothing in them runs, and they match exactly."""

from __future__ import annotations

import argparse
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from release_clone import Payload, make_state, save_sharded, write_clone

from brainof_toolbox.models import load_release
from brainof_toolbox.models.release_weights import HOW_TO_CONVERT, read_state

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
@pytest.mark.parametrize("form", ["file", "legacy"])
def test_wrappings(tmp_path, state, wrapping, form):
    content, path = WRAPPINGS[wrapping](state), tmp_path / "weights"
    torch.save(content, path, _use_new_zipfile_serialization=form == "file")
    assert _equal(read_state(path, state), state)


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


# -------------------------------------------------------------------- converting what was refused


def _command(error):
    """The arguments of Python in the command that an error gives."""
    found = re.search(r"python (-[mc] .*) \(see doc/released_weights", str(error.value))
    return [sys.executable, *shlex.split(found[1])]


@pytest.mark.slow
def test_folder_is_refused_and_its_conversion_is_read(tmp_path):
    """The command that the error gives, word by word; nothing of the folder is opened before."""
    state = make_state(1024)
    clone = write_clone(tmp_path / "clone")
    folder = save_sharded(tmp_path / "the giant", {"model": state})
    with pytest.raises(ValueError, match=r"the giant is a folder.*dcp_to_torch_save") as error:
        load_release(clone, folder, variant="giant", run_their_code=True)
    subprocess.run(_command(error), check=True, cwd=tmp_path, capture_output=True)
    path = tmp_path / "the giant.pth"
    released = load_release(clone, path, variant="giant", run_their_code=True)
    assert _equal(released.network.state_dict(), state)
    assert released([torch.zeros(2, 64)]).shape == (1, 1024)


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


def _save(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_names_what_does_not_match(tmp_path, state):
    other = {("renamed" if n == "patch.bias" else n): t for n, t in state.items()}
    path = _save(tmp_path, other)
    with pytest.raises(ValueError, match="missing tensors 'patch.bias', unexpected.*'renamed'"):
        read_state(path, state)


def test_names_what_is_misshaped(tmp_path, state):
    path = _save(tmp_path, {**state, "patch.bias": torch.ones(15)})
    with pytest.raises(ValueError, match=r"'patch.bias' has shape \(15,\).* a tensor of \(16,\)"):
        read_state(path, state)


def test_classifier_is_left_out_where_there_is_none(tmp_path, state):
    """The one allowance; a model that has a head needs it, and nothing else is passed over."""
    head = {"head.weight": torch.ones(2, 16)}
    path = _save(tmp_path, {f"module.{name}": t for name, t in {**state, **head}.items()})
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


def test_truncated(tmp_path, state):
    path = _save(tmp_path, state)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(ValueError, match="damaged"):
        read_state(path, state)


def test_content_that_is_no_dict(tmp_path, state):
    for content in (torch.ones(3), [state], {}):
        path = _save(tmp_path, content)
        with pytest.raises(ValueError, match="does not hold a state dict|does not match"):
            read_state(path, state)
