"""Checkpoints of a run: all that training changes, written and read as a whole."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass

import safetensors.torch

from .._utils.files import replace_directory, sha256_of, sync, write_file
from ..models.checkpoint import FILES, WEIGHTS, checkpoint_contents
from .distributed import EMA, SHARDS
from .distributed import WEIGHTS as OWN
from .run_dir import FORMAT_VERSION, RECORD, hash_record

TENSORS = "training.safetensors"


@dataclass
class TrainState:
    """State that training changes."""

    model: object  # The network
    module: object  # The objective around it, wrapped for several processes
    optimizer: object  # The optimizer
    average: object = None  # Moving average of the weights

    @property
    def ema(self):
        """Return averages by name, or None."""
        return None if self.average is None else self.average.values


def save_step(path, ranks, trained, record, *, preprocessing, manifest, save_average=False):
    """Write a checkpoint as a whole; every process must take part."""
    is_sharded = ranks.is_sharded(trained.module)
    state = ranks.state(trained.module, None if is_sharded else trained.optimizer, trained.ema)
    prefix = EMA if save_average else OWN
    aside = path.with_name(f".{path.name}.saving")
    with contextlib.ExitStack() as stack:
        if ranks.is_main:
            shown, rest = _split(state, f"{prefix}model.")
            contents = checkpoint_contents(
                trained.model, preprocessing=preprocessing, manifest=manifest, state=shown
            )
            names = (*FILES, TENSORS, RECORD, SHARDS)
            aside = stack.enter_context(replace_directory(path, names))
        if is_sharded:
            ranks.barrier()  # the folder is there
            files = ranks.save_shards(aside, trained.module, trained.optimizer, trained.ema)
        if ranks.is_main:
            if is_sharded:
                for name in files:
                    with open(name, "rb") as file:
                        sync(file)
            else:
                contents[TENSORS] = safetensors.torch.save(rest)
            for name, content in contents.items():
                write_file(aside / name, content)
            listed = sorted(f for f in aside.rglob("*") if f.is_file())
            hashes = {str(f.relative_to(aside)): sha256_of(f) for f in listed}
            record = {"format_version": FORMAT_VERSION, "holds": prefix, **record, "files": hashes}
            record = json.loads(json.dumps(record))  # tuples and the like as they will be read
            record["sha256"] = hash_record(record)
            write_file(aside / RECORD, json.dumps(record, indent=1).encode())
    ranks.barrier()


def load_step(saved, ranks, trained):
    """Put a checkpoint back; every process must take part."""
    parts = (trained.module, trained.optimizer, trained.ema)
    if (saved.path / SHARDS).is_dir():
        ranks.load_shards(saved.path, *parts)
        return
    prefix = saved.record["holds"] + "model."
    shown = safetensors.torch.load_file(saved.path / WEIGHTS)
    state = {prefix + name: tensor for name, tensor in shown.items()}
    state.update(safetensors.torch.load_file(saved.path / TENSORS))
    ranks.restore(state, *parts)


def _split(state, prefix):
    """Separate the tensors that the estimators load, under the names of the network."""
    shown = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return shown, {k: v for k, v in state.items() if not k.startswith(prefix)}
