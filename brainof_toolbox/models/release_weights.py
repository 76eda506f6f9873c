"""Read weights of others that torch saved, without running pickled code."""

from __future__ import annotations

import re
import zipfile
from shlex import quote

import torch

from .strict import check_names, refuse_nonfinite, some

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


def check_file(checkpoint):
    """Refuse what is no file; explain how to convert a distributed checkpoint."""
    if checkpoint.is_dir():
        raise ValueError(
            f"{checkpoint} is a folder, as of a distributed checkpoint. Its table of contents "
            "is a pickle that could run code: a .pth file is needed. If you trust it, convert it "
            "once with torch's dcp_to_torch_save, in an environment that may run what it holds: "
            "python -m torch.distributed.checkpoint.format_utils dcp_to_torch "
            f"{quote(str(checkpoint))} {quote(checkpoint.name + '.pth')} (see "
            "doc/released_weights.rst)."
        )
    if not checkpoint.is_file():
        raise FileNotFoundError(f"There is no checkpoint {checkpoint}.")


def read_state(checkpoint, wanted, leave_out=()):
    """Read exactly the tensors of a model."""
    check_file(checkpoint)
    entries = dict(_leaves(_read_plain(checkpoint)))
    entries = _strip_prefixes(_unwrap(entries, checkpoint))
    entries = _leave_out(entries, wanted, leave_out, checkpoint)
    if not any(name.startswith(HEAD) for name in wanted):
        entries = {name: e for name, e in entries.items() if not name.startswith(HEAD)}
    _check(entries, wanted, checkpoint)
    floats = {name: tensor for name, tensor in entries.items() if tensor.is_floating_point()}
    refuse_nonfinite(floats, checkpoint)
    return entries


def _read_plain(path):
    """Read tensors and plain containers; anything else in the pickle is refused unrun."""
    try:
        is_zip = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", mmap=is_zip, weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # UnpicklingError, and whatever a damaged archive raises
        reason = re.search(r"[Uu]nsupported .*", str(error)) or re.search(r".*", str(error))
        raise ValueError(
            f"{path} cannot be read as weights alone ({type(error).__name__}: "
            f"{reason[0][:120]}). Either it is damaged, or it holds pickled objects other than "
            f"tensors, which could run code and are refused unrun. {HOW_TO_CONVERT}"
        ) from error


def _leaves(content, path=()):
    """Yield the path of keys and the value of all that is in nested dicts."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, content


def _unwrap(entries, origin):
    """Return the dict of weights under known keys."""
    while any(len(path) != 1 for path in entries):
        tops = sorted({path[0] for path in entries if path})
        found = [top for top in tops if top in WRAPPERS]
        if len(found) != 1:
            raise ValueError(
                f"{origin} does not hold a state dict: its keys are {some(tops)}; expected "
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
            why = f"the model needs {some(needed)}" if needed else "no tensor's name starts so"
            raise ValueError(f"leave_out={start!r} does not fit {origin}: {why}.")
        entries = {name: entry for name, entry in entries.items() if name not in named}
    return entries


def _check(entries, wanted, origin):
    advice = (
        "Is it the checkpoint of this variant? Where a part that the model is built without was "
        "left over, name it, as in leave_out=('decoder.',)."
    )
    check_names(origin, entries, wanted, advice)
    for name, entry in entries.items():
        shape, is_tensor = tuple(wanted[name].shape), isinstance(entry, torch.Tensor)
        if not is_tensor or tuple(entry.shape) != shape:
            kind = type(entry).__name__
            found = f"has shape {tuple(entry.shape)}" if is_tensor else f"is a {kind}"
            raise ValueError(f"{origin}: {name!r} {found}, the model needs a tensor of {shape}.")
