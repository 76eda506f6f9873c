"""A distributed checkpoint of torch, read without running what is pickled in it.

torch's own reader unpickles the table of contents, ``.metadata``, without restraint, and so it
does with entries that are no tensors. Here the table becomes inert records, and entries that are
no tensors are never opened.
"""

from __future__ import annotations

import io
import pickle
from shlex import quote

import torch

__all__ = ["MAX_METADATA", "METADATA", "how_to_convert", "open_sharded"]

METADATA = ".metadata"
MAX_METADATA = 256 * 2**20  # bytes; some hundred per tensor and process
#: Classes of a table of contents, by module; what is made of them is a record of their fields.
_RECORDS = {
    "torch.distributed.checkpoint.metadata": (
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.serialization": ("_get_layout",),
    "pathlib": ("Path", "PosixPath", "WindowsPath"),
    "pathlib._local": ("Path", "PosixPath", "WindowsPath"),
}


def how_to_convert(folder):
    """Say how a distributed checkpoint becomes a file of weights, by torch's own reader."""
    return (
        "If you trust it, convert it once, in an environment that may run what it holds: python "
        f"-m torch.distributed.checkpoint.format_utils dcp_to_torch {quote(str(folder))} "
        f"{quote(folder.name + '.pth')} (see doc/released_weights.rst)."
    )


def _record(name):
    """Make a class that takes anything, does nothing, and keeps the fields that it is given."""

    def __new__(cls, *args):
        return object.__new__(cls)

    def __setstate__(self, state):
        self.state = state

    methods = {"__new__": __new__, "__init__": lambda self, *args: None, "state": {}}
    return type(name, (), {**methods, "__setstate__": __setstate__})


class _Restricted(pickle.Unpickler):
    """Knows the classes of a table of contents, and nothing else."""

    def __init__(self, file):
        super().__init__(file)
        # Made anew each time: a pickle may set attributes of the classes that it is given.
        self._known = {(m, n): _record(n) for m, names in _RECORDS.items() for n in names}
        self._known["torch", "Size"] = tuple
        self._known["collections", "OrderedDict"] = dict

    def find_class(self, module, name):
        if (module, name) in self._known:
            return self._known[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Sharded:
    """A tensor in pieces."""

    kind = "tensor"

    def __init__(self, folder, name, record, infos, read_plain):
        self.folder, self.name, self.read_plain = folder, name, read_plain
        self.shape = tuple(int(n) for n in record.state["size"])
        self.dtype = record.state["properties"].state[0]
        self.pieces = []
        for chunk in record.state["chunks"]:
            offsets, sizes = (tuple(chunk.state[key]) for key in ("offsets", "sizes"))
            self.pieces.append((offsets, sizes, infos[name, offsets].state))

    def read(self):
        whole = torch.empty(self.shape, dtype=self.dtype)
        n_filled = 0
        for offsets, sizes, info in self.pieces:
            piece = self._read_piece(info)
            place = tuple(slice(o, o + n) for o, n in zip(offsets, sizes, strict=True))
            if tuple(getattr(piece, "shape", ())) != sizes or whole[place].shape != sizes:
                raise ValueError(
                    f"{self.folder}: a piece of {self.name!r} does not fit {sizes} at {offsets}."
                )
            whole[place] = piece
            n_filled += piece.numel()
        if n_filled != whole.numel():
            raise ValueError(
                f"{self.folder}: {self.name!r} has {whole.numel()} values, its pieces {n_filled}. "
                "Fetch the checkpoint again."
            )
        return whole

    def _read_piece(self, info):
        path = self.folder / info["relative_path"]
        if not path.resolve().is_relative_to(self.folder.resolve()) or not path.is_file():
            raise ValueError(f"{self.folder} has no file {info['relative_path']!r} of its own.")
        if info.get("transform_descriptors"):
            raise ValueError(
                f"{path}: pieces are transformed by {info['transform_descriptors']}, which is not "
                f"supported. {how_to_convert(self.folder)}"
            )
        with open(path, "rb") as file:
            file.seek(info["offset"])
            return self.read_plain(io.BytesIO(file.read(info["length"])), path)


class _Other:
    """An entry that is no tensor; never opened."""

    shape, kind = None, "pickled object"


def open_sharded(folder, read_plain):
    """Read the table of contents."""
    path = folder / METADATA
    if not path.is_file():
        raise ValueError(
            f"{folder} is a folder without {METADATA}: expected a .pth file, or the folder of a "
            "distributed checkpoint (.metadata and .distcp files)."
        )
    if path.stat().st_size > MAX_METADATA:
        raise ValueError(f"{path} is larger than {MAX_METADATA} bytes, and is refused.")
    try:
        with open(path, "rb") as file:
            table = _Restricted(file).load().state
        infos = {}
        for index, info in table["storage_data"].items():
            infos[index.state["fqn"], tuple(index.state.get("offset") or ())] = info
        keys = table.get("planner_data") or {}
        entries = {}
        for name, record in table["state_dict_metadata"].items():
            where = tuple(str(key) for key in keys.get(name, (name,)))
            is_tensor = type(record).__name__ == "TensorStorageMetadata"
            entries[where] = (
                _Sharded(folder, name, record, infos, read_plain) if is_tensor else _Other()
            )
    except OSError:
        raise
    except Exception as error:  # a pickle can fail in any way
        raise ValueError(
            f"{path} is not the table of contents of a distributed checkpoint "
            f"({type(error).__name__}: {error}). Nothing in it was run. {how_to_convert(folder)}"
        ) from error
    return entries
