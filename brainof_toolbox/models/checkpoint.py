"""Checkpoints: a directory of config.json, model.safetensors and manifest.json.

Nothing in them is ever executed, reading is strict, and writing is all or nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from .._utils.files import previous, replace_directory, sha256_of, write_file
from .._utils.validation import soft_import
from .brainof import BrainOF
from .config import BrainOFConfig
from .isolate import isolate_torch
from .sizes import check_sizes, wanted_shapes
from .strict import check_header, damaged, read_header, read_json, refuse_code, refuse_nonfinite

FORMAT_VERSION = 1
UNITS = {"position": "m", "time": "s", "duration": "s", "sfreq": "Hz", "amplitude": "SI"}
CONFIG, WEIGHTS, MANIFEST = FILES = ("config.json", "model.safetensors", "manifest.json")
CARD = "README.md"  # of a bundled checkpoint; never read, only pointed to
WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"

_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".joblib", ".ckpt", ".npy", ".npz")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".zst")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A loaded checkpoint.

    Parameters
    ----------
    config : BrainOFConfig
        Shape of the network.
    preprocessing : dict
        The preprocessing that the network was trained with.
    model : BrainOF
        The network on the CPU, in float32 and in eval mode.
    manifest : dict
        Where it comes from: datasets, licence, steps, seed, versions, sha256.
    sha256 : str
        Of the file of weights, in hexadecimal.
    name : str
        Name or path that it was loaded by.
    """

    config: BrainOFConfig
    preprocessing: dict
    model: BrainOF
    manifest: dict
    sha256: str
    name: str


# ---------------------------------------------------------------------------------- saving


@isolate_torch()
def save_checkpoint(directory, model, *, preprocessing, manifest):
    """Write a checkpoint: afterwards the directory holds all of the new one, or all of the old.

    The files are written beside the directory and moved in place by renaming. A process that is
    killed leaves the previous checkpoint in place, or, for the instant between two renames, under
    ``.NAME.previous``, where :func:`load_checkpoint` finds it. One writer per directory.

    Parameters
    ----------
    directory : path-like
        Where to; parents are made. It must be absent, empty, or hold a checkpoint only.
    model : BrainOF
        The network.
    preprocessing : dict
        The preprocessing it was trained with, as plain JSON values.
    manifest : dict
        Where it comes from. ``sha256``, ``versions`` and ``n_parameters`` are added.

    Returns
    -------
    directory : pathlib.Path
        The checkpoint.

    Raises
    ------
    TypeError
        If something is not of these types, or not JSON.
    ValueError
        If the directory holds other files, or a weight is not finite.
    OSError
        If it cannot be written: read-only, disk full. The previous checkpoint stays.
    """
    if not isinstance(model, BrainOF):
        raise TypeError(f"model must be a BrainOF, got {type(model).__name__}.")
    contents = checkpoint_contents(model, preprocessing=preprocessing, manifest=manifest)
    with replace_directory(directory, FILES) as aside:
        for name, content in contents.items():
            write_file(aside / name, content)
    return Path(os.path.abspath(directory))


def checkpoint_contents(model, *, preprocessing, manifest, state=None):
    """Return what the files of a checkpoint hold."""
    for name, value in (("preprocessing", preprocessing), ("manifest", manifest)):
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be a dict, got {type(value).__name__}.")
    own = model.state_dict()
    state = own if state is None else state
    if state.keys() != own.keys():
        wrong = sorted(state.keys() ^ own.keys())
        raise ValueError(f"The weights are not those of the network: {wrong[:5]} do not match.")
    state = {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}
    refuse_nonfinite(state, "the model")
    weights = safetensors.torch.save(state)
    config = {
        "format_version": FORMAT_VERSION,
        "architecture": model.config.to_dict(),
        "preprocessing": preprocessing,
        "units": UNITS,
    }
    manifest = {
        **manifest,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "n_parameters": {"total": model.n_parameters(), "active": model.n_parameters(active=True)},
        "versions": {
            **manifest.get("versions", {}),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "safetensors": safetensors.__version__,
        },
    }
    refuse_code(config, "preprocessing")
    return {
        WEIGHTS: weights,
        CONFIG: json.dumps(config, indent=2, allow_nan=False).encode(),
        MANIFEST: json.dumps(manifest, indent=2, allow_nan=False).encode(),
    }


# --------------------------------------------------------------------------------- loading


@isolate_torch()
def load_checkpoint(path_or_name):
    """Load a checkpoint: strictly, and without executing anything in it.

    Parameters
    ----------
    path_or_name : path-like | str
        A directory, the name of a bundled checkpoint, or ``"hf://owner/name@revision"``, which
        alone uses the network (extra ``hub``).

    Returns
    -------
    checkpoint : Checkpoint
        Network, configuration and origin.

    Raises
    ------
    FileNotFoundError
        If the path does not exist, or a file is missing.
    ValueError
        If the name is unknown, a file is damaged or not what it should be, or a tensor is missing,
        left over, of another shape, or not finite.
    TypeError
        If it is neither a path nor a name.
    ImportError
        If ``hf://`` is used without the extra.
    """
    directory, root = _resolve(path_or_name)
    settings, weights, manifest = (_member(directory, name, root) for name in FILES)
    config, preprocessing = _read_config(settings)
    manifest = read_json(manifest)
    table = read_header(weights)
    check_sizes(weights, table, config, CONFIG)
    check_header(weights, table, wanted_shapes(config))
    model = BrainOF(config, random_state=None)
    sha256 = sha256_of(weights)
    if manifest.get("sha256", sha256) != sha256:
        raise ValueError(
            f"{weights} is not the file that {MANIFEST} describes: its sha256 is {sha256}, it "
            f"should be {manifest['sha256']}. Fetch the checkpoint again."
        )
    try:
        state = safetensors.torch.load_file(weights)
    except safetensors.SafetensorError as error:
        raise damaged(weights, str(error)) from error
    # Copies: the library maps the file, which somebody may overwrite while we live.
    state = {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
    refuse_nonfinite(state, weights)
    model.load_state_dict(state, assign=True)
    return Checkpoint(config, preprocessing, model.eval(), manifest, sha256, str(path_or_name))


def known_checkpoints():
    """List the names of the bundled checkpoints."""
    if not WEIGHTS_FOLDER.is_dir():
        return []
    return sorted(path.name for path in WEIGHTS_FOLDER.iterdir() if (path / CONFIG).is_file())


def read_checkpoint_config(path_or_name):
    """Return the configuration and the preprocessing of a checkpoint without its weights."""
    directory, root = _resolve(path_or_name)
    return _read_config(_member(directory, CONFIG, root))


def _bundled_manifests():
    folders = [WEIGHTS_FOLDER / name for name in known_checkpoints()]
    return {f.name: read_json(_member(f, MANIFEST, f.resolve())) for f in folders}


def find_bundled(sha256):
    """Return the name of the bundled checkpoint with these weights, or None."""
    found = [n for n, manifest in _bundled_manifests().items() if manifest.get("sha256") == sha256]
    return found[0] if found else None


def describe_checkpoints():
    """Describe the bundled checkpoints without loading their weights."""
    cards = {}
    for name, manifest in _bundled_manifests().items():
        card = WEIGHTS_FOLDER / name / CARD
        cards[name] = {
            "parameters": (manifest.get("n_parameters") or {}).get("total"),
            "licence": manifest.get("licence"),
            "card": card if card.is_file() else None,
        }
    return cards


def _resolve(path_or_name):
    """Return the directory, and the folder that its files must not lead out of."""
    if not isinstance(path_or_name, (str, os.PathLike)):
        raise TypeError(
            f"A checkpoint is a name or a directory, got {type(path_or_name).__name__}."
        )
    text = os.fspath(path_or_name)
    if text.startswith("hf://"):
        return _download(text)
    if text in known_checkpoints():
        directory = WEIGHTS_FOLDER / text
    else:
        directory = Path(os.path.abspath(text)) if text else Path("")
    if text and not os.path.lexists(directory) and previous(directory).is_dir():
        directory = previous(directory)  # a writer was killed between two renames
    if not text or not directory.exists():
        is_name = isinstance(path_or_name, str) and os.path.basename(text) == text
        kind = ValueError if is_name else FileNotFoundError
        known = ", ".join(known_checkpoints()) or "none are bundled with this version"
        raise kind(
            f"There is no checkpoint {text!r}, neither a directory nor a known name. Known names: "
            f"{known}. Pass a directory, or 'hf://owner/name@revision'."
        )
    if not directory.is_dir():
        raise ValueError(
            f"{directory} is {_describe(directory)}. A checkpoint is a directory with "
            f"{', '.join(FILES)}."
        )
    _check_listing(directory)
    return directory, directory.resolve()


def _describe(path):
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        return f"a {suffix} file, which can run code when it is opened, and is refused unread"
    if suffix in _ARCHIVES:
        return f"an archive ({suffix}), which is refused unread: unpack it if you trust it"
    return "a file" + (" and empty" if path.stat().st_size == 0 else "")


def _check_listing(directory):
    """Refuse a folder that keeps its weights elsewhere or in another form."""
    names = sorted(os.listdir(directory))
    if not names:
        raise ValueError(f"{directory} is empty. A checkpoint holds {', '.join(FILES)}.")
    index = [name for name in names if name.endswith(".index.json")]
    if index:
        raise ValueError(
            f"{directory / index[0]} points to weights in several files, which is refused: "
            f"nothing outside {WEIGHTS} is read. Save the checkpoint with save_checkpoint."
        )
    others = [n for n in names if Path(n).suffix.lower() in _PICKLES + _ARCHIVES]
    if WEIGHTS not in names and others:
        raise ValueError(
            f"{directory} holds its weights in {others[0]}, {_describe(directory / others[0])}. "
            f"Weights are read from safetensors only: {WEIGHTS} is missing."
        )


def _member(directory, name, root):
    """Return the path of a file that truly lies under ``root``."""
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(
            errno.ENOENT,
            f"The checkpoint has no {name}; it must hold {', '.join(FILES)}",
            str(path),
        )
    if not path.resolve().is_relative_to(root):
        raise ValueError(f"{path} is a link that leads out of {root}, and is refused.")
    return path


def _download(text):
    """Fetch ``hf://owner/name@revision``; the only place that uses the network."""
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text)
    if match is None or ".." in text:
        raise ValueError(f"A checkpoint on the hub is 'hf://owner/name@revision', got {text!r}.")
    hub = soft_import("huggingface_hub", f"The checkpoint {text!r}", "hub")
    repo, revision = match.groups()
    folder = hub.snapshot_download(repo, revision=revision, allow_patterns=list(FILES))
    directory = Path(folder)
    # The hub's cache links files of snapshots/REVISION to blobs beside it.
    in_cache = directory.parent.name == "snapshots"
    return directory, (directory.parent.parent if in_cache else directory).resolve()


def _read_config(path):
    """Return the configuration and the preprocessing."""
    content = read_json(path)
    refuse_code(content, path)
    wanted = {"format_version", "architecture", "preprocessing", "units"}
    if set(content) != wanted:
        raise ValueError(
            f"{path} must hold {', '.join(sorted(wanted))}; missing: "
            f"{sorted(wanted - set(content))}, unknown: {sorted(set(content) - wanted)}."
        )
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {content['format_version']!r}, this version of "
            f"brainof_toolbox reads {FORMAT_VERSION}. Upgrade brainof_toolbox."
        )
    if content["units"] != UNITS:
        raise ValueError(f"{path} has units {content['units']!r}, expected {UNITS!r}.")
    if not isinstance(content["preprocessing"], dict):
        raise ValueError(f"{path}: preprocessing must be an object.")
    try:
        return BrainOFConfig.from_dict(content["architecture"]), content["preprocessing"]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
