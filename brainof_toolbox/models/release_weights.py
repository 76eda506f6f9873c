"""Weights that somebody else saved with torch, read without running what is pickled in them."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import torch

from .._utils.files import sha256_of
from .release_sharded import METADATA, how_to_convert, open_sharded
from .strict import _some, refuse_nonfinite

__all__ = ["HEAD", "HOW_TO_CONVERT", "PREFIXES", "WRAPPERS", "hash_checkpoint", "read_state"]

#: Keys under which training scripts keep the weights beside other things.
WRAPPERS = ("model", "state_dict", "model_state_dict", "app")
#: What data parallelism and compilation put before each name.
PREFIXES = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
#: The classifier, which a network of ``num_classes=0`` is built without.
HEAD = "head."
HOW_TO_CONVERT = (
    "If you trust it, convert it once, in an environment that may run what it holds: python -c "
    "\"from torch import load, save; save(load('old.pth', map_location='cpu', "
    "weights_only=False)['model'], 'weights.pth')\" (see doc/released_weights.rst)."
)


def read_state(checkpoint, wanted, leave_out=()):
    """Read exactly the tensors of a model."""
    if checkpoint.is_dir():
        entries = open_sharded(checkpoint, _read_plain)
    elif checkpoint.is_file():
        entries = {path: _Loaded(leaf) for path, leaf in _leaves(_read_plain(checkpoint))}
    else:
        raise FileNotFoundError(f"There is no checkpoint {checkpoint}: neither file nor folder.")
    entries = _strip_prefixes(_unwrap(entries, checkpoint))
    entries = _leave_out(entries, wanted, leave_out, checkpoint)
    if not any(name.startswith(HEAD) for name in wanted):
        entries = {name: e for name, e in entries.items() if not name.startswith(HEAD)}
    _check(entries, wanted, checkpoint)
    state = {name: entry.read() for name, entry in entries.items()}
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    refuse_nonfinite(floats, checkpoint)
    return state


class _Loaded:
    """A leaf of a file that was read as a whole."""

    def __init__(self, leaf):
        self.leaf = leaf
        self.shape = tuple(leaf.shape) if isinstance(leaf, torch.Tensor) else None
        self.kind = type(leaf).__name__

    def read(self):
        return self.leaf


def _read_plain(file, what=None):
    """Read tensors and plain containers; anything else in the pickle is refused unrun."""
    what = file if what is None else what
    is_path = isinstance(file, Path)
    try:
        mmap = is_path and zipfile.is_zipfile(file)
        return torch.load(file, map_location="cpu", mmap=mmap, weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # UnpicklingError, and whatever a damaged archive raises
        advice = HOW_TO_CONVERT if is_path else how_to_convert(what.parent)
        reason = re.search(r"[Uu]nsupported .*", str(error)) or re.search(r".*", str(error))
        raise ValueError(
            f"{what} cannot be read as weights alone ({type(error).__name__}: "
            f"{reason[0][:120]}). Either it is damaged, or it holds pickled objects other than "
            f"tensors, which could run code and are refused unrun. {advice}"
        ) from error


def _leaves(content, path=()):
    """Yield the path of keys and the value of all that is in nested dicts."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, content


def _unwrap(entries, origin):
    """Go down to the dict of weights, through one known key at a time."""
    while any(len(path) != 1 for path in entries):
        tops = sorted({path[0] for path in entries if path})
        found = [top for top in tops if top in WRAPPERS]
        if len(found) != 1:
            raise ValueError(
                f"{origin} does not hold a state dict: its keys are {_some(tops)}; expected "
                f"tensors by name, or one of {', '.join(WRAPPERS)} that holds them."
            )
        entries = {path[1:]: entry for path, entry in entries.items() if path[0] == found[0]}
    return {path[0]: entry for path, entry in entries.items()}


def _strip_prefixes(entries):
    while entries:
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in entries)), None)
        if prefix is None:
            break
        entries = {name.removeprefix(prefix): entry for name, entry in entries.items()}
    return entries


def _leave_out(entries, wanted, leave_out, origin):
    """Drop what the caller named, if it is there and the model does without."""
    for start in leave_out:
        needed = [name for name in wanted if name.startswith(start)]
        named = [name for name in entries if name.startswith(start)]
        if needed or not named:
            why = f"the model needs {_some(needed)}" if needed else "no tensor's name starts so"
            raise ValueError(f"leave_out={start!r} does not fit {origin}: {why}.")
        entries = {name: entry for name, entry in entries.items() if name not in named}
    return entries


def _check(entries, wanted, origin):
    missing = [name for name in wanted if name not in entries]
    extra = [name for name in entries if name not in wanted]
    if missing or extra:
        raise ValueError(
            f"{origin} does not match the model: missing tensors {_some(missing)}, unexpected "
            f"tensors {_some(extra)}. Is it the checkpoint of this variant? Where a part that the "
            "model is built without was left over, name it, as in leave_out=('decoder.',)."
        )
    for name, entry in entries.items():
        shape = tuple(wanted[name].shape)
        if entry.shape != shape:
            found = f"is a {entry.kind}" if entry.shape is None else f"has shape {entry.shape}"
            raise ValueError(f"{origin}: {name!r} {found}, the model needs a tensor of {shape}.")


def hash_checkpoint(checkpoint):
    """Hash a file, or all files of a folder."""
    if checkpoint.is_dir():
        files = sorted(p for p in checkpoint.iterdir() if p.suffix == ".distcp")
        files = [p for p in (checkpoint / METADATA,) if p.is_file()] + files
        lines = "".join(f"{hash_checkpoint(path)}  {path.name}\n" for path in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    return sha256_of(checkpoint)
