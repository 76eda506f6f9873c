"""Distributed training: all code that depends on ranks.

The processes are started by torch's own launcher (``torchrun``); without it there is one, and
no process group. Names of parameters are those of the objective, whatever is wrapped around it,
so that a state saved by any number of processes can be loaded by any other number.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import torch
import torch.distributed as dist

from .._utils.validation import check_number, check_option
from .process_group import device_of, end_group, make_group, replicate, shard
from .rank_state import (
    EMA,
    OPTIMIZER,
    WEIGHTS,
    copy_into,
    full_tensor,
    load_optimizer_state,
    named_state,
    read_shards,
    write_shards,
)

__all__ = ["EMA", "OPTIMIZER", "SHARDS", "WEIGHTS", "DistributedRun"]

#: Folder of a step directory that holds the parts that the processes wrote.
SHARDS = "shards"

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
# Messages of gloo and NCCL when a peer is gone; no class of errors is specific to it.
_LOST = re.compile(
    r"connection (?:was )?(?:closed|reset|refused)|timed? ?out|gloo|nccl|broken pipe|"
    r"remote process|socket",
    re.IGNORECASE,
)


class DistributedRun:
    """The processes of a run, seen from one of them; a context manager."""

    def __init__(self, device, rank=0, n_ranks=1, is_launched=False, timeout=1800.0):
        self.device, self.rank, self.n_ranks = torch.device(device), rank, n_ranks
        self.is_main = rank == 0
        self.timeout = check_number("timeout", timeout, low=0, low_open=True)
        self._is_launched, self._owns_group = is_launched, False

    @classmethod
    def from_environment(cls, device="auto", timeout=1800.0):
        """Read rank and world size from the variables that ``torchrun`` sets."""
        given = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        if dist.is_initialized():
            given = {"RANK": dist.get_rank(), "WORLD_SIZE": dist.get_world_size(), **given}
            given.setdefault("LOCAL_RANK", given["RANK"])
        if 0 < len(given) < len(_VARIABLES):
            missing = ", ".join(name for name in _VARIABLES if name not in given)
            raise ValueError(
                f"The environment has {', '.join(given)} but not {missing}. Start the processes "
                f"with torchrun, or unset these variables."
            )
        rank, n_ranks, local = (int(given.get(name, d)) for name, d in zip(_VARIABLES, (0, 1, 0)))
        return cls(device_of(device, local, n_ranks), rank, n_ranks, bool(given), timeout)

    def __enter__(self):
        """Join the process group."""
        if self._is_launched:
            with self._explain_lost_peer("while meeting the other processes"):
                self._meet()
        return self

    def _meet(self, alone=False):
        """Make the process group, unless there is one; ``alone`` needs no launcher."""
        if not dist.is_initialized():
            make_group(self.device, self.timeout, alone)
            self._owns_group = True

    def __exit__(self, kind, error, traceback):
        """Destroy the process group; raise ConnectionError if a peer failed."""
        lost = self._is_lost(error)
        # After an error NCCL would wait for collectives that never end; the process ends instead.
        if self._owns_group and not (error is not None and self.device.type == "cuda"):
            end_group()
            self._owns_group = False
        if lost and not isinstance(error, ConnectionError):
            raise self._lost("in a training step") from error

    # ------------------------------------------------------------------------- the network

    def wrap(self, objective, strategy="ddp", precision="float32"):
        """Move the objective to the device and wrap it for distributed training."""
        # Compile it and wrap its activations before; build the optimizer afterwards.
        check_option("strategy", strategy, ("ddp", "fsdp"))
        check_option("precision", precision, ("float32", "bf16"))
        if strategy == "ddp" and self.n_ranks == 1:
            return objective.to(self.device)
        with self._explain_lost_peer("while sending the weights round"):
            if strategy == "ddp":
                return replicate(objective, self.device)
            self._meet(alone=True)
            return shard(objective, self.device, self.n_ranks, precision)

    def local_microbatches(self, n_microbatches):
        """Return the micro-batches of a step that are this process's."""
        if n_microbatches % self.n_ranks:
            raise ValueError(
                f"The parameter 'n_microbatches' must be a multiple of the number of processes "
                f"{self.n_ranks}, got {n_microbatches}. Choose "
                f"{-(-n_microbatches // self.n_ranks) * self.n_ranks}, or another number of "
                f"processes."
            )
        return range(self.rank, n_microbatches, self.n_ranks)

    def clip_gradients(self, parameters, max_norm):
        """Scale the gradient of all parameters down to the largest allowed norm."""
        parameters = [p for p in parameters if p.grad is not None]
        with self._explain_lost_peer("while clipping gradients"):
            norm = full_tensor(torch.nn.utils.get_total_norm([p.grad for p in parameters]))
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
        return float(norm)

    # -------------------------------------------------------------------------- agreements

    def mean(self, values):
        """Average numbers over the processes."""
        flat = [v.detach().to(torch.float64).flatten() for v in values.values()]
        joined = torch.cat(flat).cpu() if flat else torch.zeros(0)  # one transfer for all
        joined = self._reduce(joined, "while averaging the losses") / self.n_ranks
        parts = joined.split([part.numel() for part in flat])
        return {
            name: float(part) if value.ndim == 0 else part.view(value.shape)
            for (name, value), part in zip(values.items(), parts)
        }

    def gather(self, value):
        """Collect one number of each process."""
        values = torch.zeros(self.n_ranks, dtype=torch.float64)
        values[self.rank] = float(value)
        return self._reduce(values, "while collecting numbers").tolist()

    def any(self, flag):
        """Return on all processes whether the flag is set on any."""
        return bool(self._reduce(torch.tensor(int(flag)), "while agreeing on whether to stop"))

    def _reduce(self, tensor, when):
        """Add a tensor over the processes."""
        if self.n_ranks > 1:
            with self._explain_lost_peer(when):
                dist.all_reduce(tensor)
        return tensor

    def barrier(self):
        """Wait for all processes."""
        self.any(False)

    # ------------------------------------------------------------------------------- state

    def is_sharded(self, module):
        """Return whether the processes hold parts of the network."""
        return any(hasattr(p, "full_tensor") for p in module.parameters())

    def state(self, module, optimizer=None, ema=None):
        """Collect all that is trained; every process must take part."""
        found = {}
        for name, part in named_state(module, optimizer, ema).items():
            tensor = full_tensor(part)
            if self.is_main:
                found[name] = tensor.detach().to("cpu", copy=True).contiguous()
        return found

    def restore(self, state, module, optimizer=None, ema=None):
        """Put a state back that :meth:`state` returned, in any number of processes."""
        parts = named_state(module, optimizer, ema, is_blank=True)
        copy_into(parts, state)
        load_optimizer_state(parts, module, optimizer)

    def save_shards(self, folder, module, optimizer=None, ema=None):
        """Write this process's parts into ``folder / "shards"``; every process must take part."""
        # The files are safetensors: nothing in them can be executed.
        with self._explain_lost_peer("while saving"):
            write_shards(Path(folder) / SHARDS, named_state(module, optimizer, ema))
            self.barrier()
        return sorted(path for path in (Path(folder) / SHARDS).iterdir() if path.is_file())

    def load_shards(self, folder, module, optimizer=None, ema=None):
        """Read what :meth:`save_shards` wrote, in any number of processes, sharded or not."""
        parts = named_state(module, optimizer, ema, is_blank=True)
        with self._explain_lost_peer("while loading"):
            read_shards(Path(folder) / SHARDS, parts)
        load_optimizer_state(parts, module, optimizer)

    # ------------------------------------------------------------------------------ errors

    @contextlib.contextmanager
    def _explain_lost_peer(self, when):
        try:
            yield
        except RuntimeError as error:
            if self._is_lost(error):
                raise self._lost(when) from error
            raise

    def _is_lost(self, error):
        is_ours = self._is_launched and self.n_ranks > 1
        return is_ours and isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))

    def _lost(self, when):
        return ConnectionError(
            f"Process {self.rank} of {self.n_ranks} lost another one {when}: it stopped, or did "
            f"not answer within {self.timeout:g} s. The first error in the logs of the processes "
            f"gives the cause; the run can be resumed from its latest checkpoint."
        )
