"""Checks on untrusted files; nothing here executes code from them."""

from __future__ import annotations

import math
import struct

import torch

from .._utils.messages import join_some
from .._utils.unique import load_json

MAX_JSON = 64 * 2**20  # bytes; a manifest may list many hashed subjects
MAX_HEADER = 100 * 2**20  # bytes, the limit of the safetensors format
CODE_KEYS = ("auto_map", "_target_", "trust_remote_code", "custom_pipelines", "__reduce__")
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # bytes of a number


def read_json(path):
    """Return a JSON object, or raise naming the file."""
    if path.stat().st_size > MAX_JSON:
        raise ValueError(f"{path} is larger than {MAX_JSON} bytes, and is refused.")
    try:
        content = load_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}). Fetch the checkpoint again."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}.")
    return content


def refuse_code(content, path):
    """Refuse a configuration that names code to run, at any depth."""
    if isinstance(content, dict):
        for key in content:
            if key in CODE_KEYS:
                raise ValueError(
                    f"{path} requests that code be run ({key!r}), which is never done. Remove the "
                    f"key if you trust the rest."
                )
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, (dict, list)):
            refuse_code(value, path)


def read_header(path):
    """Return the table of tensors, checked against the size of the file before any allocation."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, MAX_HEADER):
            raise damaged(path, f"{size} bytes cannot hold its header")
        try:
            header = load_json(file.read(length))
            header.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            table = {name: (str(e["dtype"]), tuple(e["shape"])) for name, e in header.items()}
            lengths = {
                name: e["data_offsets"][1] - e["data_offsets"][0] for name, e in header.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise damaged(path, "its header is not that of a safetensors file") from error
    if 8 + length + end != size:
        raise damaged(path, f"{size} bytes, but its header promises {8 + length + end}")
    for name, (dtype, shape) in table.items():
        is_shape = all(type(n) is int and n >= 0 for n in shape)
        n_bytes = math.prod(shape) * FLOATS[dtype] if is_shape and dtype in FLOATS else None
        if not is_shape or n_bytes not in (None, lengths[name]):
            raise damaged(path, f"tensor {name!r} of shape {shape} has {lengths[name]} bytes")
    return table


def check_header(path, table, wanted):
    """Refuse weights that have not exactly the names and shapes of the network, and name them."""
    check_names(path, table, wanted, "The weights belong to another network or version.")
    for name, (dtype, shape) in table.items():
        if shape != wanted[name]:
            raise ValueError(
                f"{path}: tensor {name!r} has shape {shape}, the model needs {wanted[name]}. "
                "The configuration belongs to other weights."
            )
        if dtype not in FLOATS:
            raise ValueError(
                f"{path}: tensor {name!r} has type {dtype}, allowed are {', '.join(FLOATS)}."
            )


def check_names(path, found, wanted, advice):
    """Refuse tensors that are missing or left over."""
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if missing or extra:
        raise ValueError(
            f"{path} does not match the model: missing tensors {some(missing)}, unexpected "
            f"tensors {some(extra)}. {advice}"
        )


def some(names):
    """Name the first five."""
    return join_some(map(repr, names), 5) or "none"


def refuse_nonfinite(state, origin):
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"Tensor {name!r} of {origin} holds NaN or Inf: it is of no use.")


def damaged(path, what):
    return ValueError(
        f"{path} is truncated, incomplete or corrupt ({what}). Fetch or save it again."
    )
