"""Processes that train one network together: all that knows about ranks stands here.

The processes are started by torch's own launcher (``torchrun``); without it there is one, and
no process group. Names of parameters are those of the objective, whatever is wrapped around it,
so that a state saved by any number of processes can be loaded by any other number.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from .._utils.validation import check_number, check_option
from ..models.brainof import Layer
from ..models.resampler import ArnessBlock

#: Folder of a step directory that holds the parts that the processes wrote.
SHARDS = "shards"
WEIGHTS, OPTIMIZER, EMA = "weights.", "optimizer.", "ema."

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_checkpoint_wrapped_module)\.")
# What gloo and NCCL say when a partner is gone; no class of errors tells it apart.
_LOST = re.compile(
    r"connection (?:was )?(?:closed|reset|refused)|timed? ?out|gloo|nccl|broken pipe|"
    r"remote process|socket",
    re.IGNORECASE,
)


class Ranks:
    """The processes of a run, seen from one of them; a context manager.

    Parameters
    ----------
    device : torch.device
        Where this process computes.
    rank : int
        Number of this process, from 0.
    n_ranks : int
        Number of processes.
    is_launched : bool
        Whether a launcher started the processes, so that a process group can be made.
    timeout : float
        Seconds that a process waits for the others.
    """

    def __init__(self, device, rank=0, n_ranks=1, is_launched=False, timeout=1800.0):
        self.device, self.rank, self.n_ranks = torch.device(device), rank, n_ranks
        self.is_main = rank == 0
        self.timeout = check_number("timeout", timeout, low=0, low_open=True)
        self._is_launched, self._owns_group = is_launched, False

    @classmethod
    def from_environment(cls, device="auto", timeout=1800.0):
        """Read who we are from the variables that ``torchrun`` sets.

        Parameters
        ----------
        device : str | torch.device
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Several processes of a machine take
            one GPU each, in their order.
        timeout : float
            Seconds that a process waits for the others.

        Returns
        -------
        ranks : Ranks
            To be entered by ``with``.

        Raises
        ------
        ValueError
            If the variables are incomplete, or there is no such device.
        """
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
        return cls(_device(device, local, n_ranks), rank, n_ranks, bool(given), timeout)

    def __enter__(self):
        """Meet the other processes."""
        if self._is_launched and not dist.is_initialized():
            # Flags and states travel between CPUs, so that no GPU has to be waited for.
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            with self._told("while meeting the other processes"):
                dist.init_process_group(backend, timeout=timedelta(seconds=self.timeout))
            self._owns_group = True
        return self

    def __exit__(self, kind, error, traceback):
        """Part from the other processes, and say so when it was one of them that failed."""
        lost = self._is_lost(error)
        # After an error NCCL would wait for collectives that never end; the process ends instead.
        if self._owns_group and not (error is not None and self.device.type == "cuda"):
            dist.destroy_process_group()
            self._owns_group = False
        if lost and not isinstance(error, ConnectionError):
            raise self._lost("in a training step") from error

    # ------------------------------------------------------------------------- the network

    def wrap(self, objective, parallel="ddp", precision="float32"):
        """Move the objective to the device and let the processes train it together.

        Compile it and wrap its activations before; build the optimizer afterwards, from
        ``named_parameters`` of this class.

        Parameters
        ----------
        objective : torch.nn.Module
            What returns the loss. Each of its parameters must get a gradient in each step.
        parallel : {"ddp", "fsdp"}
            Whether each process holds the whole network, or a part of it.
        precision : {"float32", "bf16"}
            In which the blocks of ``"fsdp"`` are sent round. Matrix products are a matter of
            autocast.

        Returns
        -------
        module : torch.nn.Module
            To be called in place of the objective.
        """
        check_option("parallel", parallel, ("ddp", "fsdp"))
        check_option("precision", precision, ("float32", "bf16"))
        if parallel == "fsdp":
            return self._shard(objective, precision)
        objective.to(self.device)
        if self.n_ranks == 1:
            return objective
        # The weights of rank 0 are sent round once: the same seed gives the same weights only on
        # processors of the same kind.
        with self._told("while sending the weights round"):
            return DistributedDataParallel(
                objective,
                device_ids=[self.device.index] if self.device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                **{_buffers_option(): False},  # they are constants
            )

    def _shard(self, objective, precision):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        if not dist.is_initialized():  # one process that nobody launched
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
            self._owns_group = True
        mesh = init_device_mesh(self.device.type, (self.n_ranks,))
        policy = MixedPrecisionPolicy()
        if precision == "bf16":
            # Gradients are added in float32, and what goes in is left to autocast.
            policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, None, False)
        for module in objective.modules():
            if isinstance(module, (Layer, ArnessBlock)):
                fully_shard(module, mesh=mesh, mp_policy=policy)
        fully_shard(objective, mesh=mesh)  # embeddings and the last norm stay in float32
        return objective.to(self.device)  # buffers; the parts of the parameters are there

    def share(self, n_micro_batches):
        """Return the micro-batches of a step that are this process's.

        Parameters
        ----------
        n_micro_batches : int
            Number of micro-batches of a step.

        Returns
        -------
        mine : range
            Their numbers: ``rank, rank + n_ranks, ...``.

        Raises
        ------
        ValueError
            If the processes cannot share them evenly.
        """
        if n_micro_batches % self.n_ranks:
            raise ValueError(
                f"The parameter 'micro_batches' must be a multiple of the number of processes "
                f"{self.n_ranks}, got {n_micro_batches}. Choose "
                f"{-(-n_micro_batches // self.n_ranks) * self.n_ranks}, or another number of "
                f"processes."
            )
        return range(self.rank, n_micro_batches, self.n_ranks)

    @contextlib.contextmanager
    def no_sync(self, module, is_last):
        """Gradients stay with this process until the last micro-batch of its share.

        Parameters
        ----------
        module : torch.nn.Module
            What :meth:`wrap` returned.
        is_last : bool
            Whether forward and backward inside are the last ones before the optimizer's step.

        Yields
        ------
        None
            Both forward and backward belong inside.
        """
        if hasattr(module, "set_requires_gradient_sync"):
            module.set_requires_gradient_sync(is_last)
            yield
        elif isinstance(module, DistributedDataParallel) and not is_last:
            with module.no_sync():
                yield
        else:
            yield

    def clip(self, parameters, max_norm):
        """Shorten the gradient where it is too long, all parameters together.

        Parameters
        ----------
        parameters : iterable of torch.nn.Parameter
            Whole ones or parts.
        max_norm : float
            Largest length.

        Returns
        -------
        norm : float
            The length before.
        """
        parameters = [p for p in parameters if p.grad is not None]
        with self._told("while clipping gradients"):
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
            norm = _whole(norm)
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
        return float(norm)

    # -------------------------------------------------------------------------- agreements

    def mean(self, values):
        """Average numbers over the processes.

        Parameters
        ----------
        values : dict of str to torch.Tensor
            The same names and shapes in every process.

        Returns
        -------
        mean : dict of str to float | torch.Tensor
            Scalars as float, the rest as tensors on the CPU.
        """
        flat = [v.detach().to(torch.float64).flatten() for v in values.values()]
        joined = torch.cat(flat).cpu() if flat else torch.zeros(0)  # one transfer for all
        if self.n_ranks > 1:
            with self._told("while averaging the losses"):
                dist.all_reduce(joined)
            joined /= self.n_ranks
        parts = joined.split([part.numel() for part in flat])
        return {
            name: float(part) if value.ndim == 0 else part.view(value.shape)
            for (name, value), part in zip(values.items(), parts)
        }

    def gather(self, value):
        """Collect one number of each process.

        Parameters
        ----------
        value : float
            This process's.

        Returns
        -------
        values : list of float
            In the order of the ranks.
        """
        values = torch.zeros(self.n_ranks, dtype=torch.float64)
        values[self.rank] = float(value)
        if self.n_ranks > 1:
            with self._told("while collecting numbers"):
                dist.all_reduce(values)
        return values.tolist()

    def any(self, flag):
        """Agree on whether any process wants something, such as to stop.

        Parameters
        ----------
        flag : bool
            Whether this one does.

        Returns
        -------
        flag : bool
            Whether any does; the same in every process.
        """
        if self.n_ranks == 1:
            return bool(flag)
        wish = torch.tensor(int(flag))
        with self._told("while agreeing on whether to stop"):
            dist.all_reduce(wish, op=dist.ReduceOp.MAX)
        return bool(wish)

    def barrier(self):
        """Wait until every process is here."""
        self.any(False)

    # ------------------------------------------------------------------------------- state

    def named_parameters(self, module):
        """Return the parameters under the names they have in the objective.

        Parameters
        ----------
        module : torch.nn.Module
            What :meth:`wrap` returned.

        Returns
        -------
        parameters : dict of str to torch.nn.Parameter
            Whole ones, or under ``"fsdp"`` this process's parts.
        """
        return {_WRAPPERS.sub("", name): p for name, p in module.named_parameters()}

    def is_sharded(self, module):
        """Return whether the processes hold parts of the network.

        Parameters
        ----------
        module : torch.nn.Module
            What :meth:`wrap` returned.

        Returns
        -------
        is_sharded : bool
            True under ``"fsdp"``, also in a single process.
        """
        return any(hasattr(p, "full_tensor") for p in module.parameters())

    def state(self, module, optimizer=None, ema=None):
        """Collect all that is trained; every process must take part.

        Parameters
        ----------
        module : torch.nn.Module
            What :meth:`wrap` returned.
        optimizer : torch.optim.Optimizer | None
            Its moments and counts are added.
        ema : dict of str to torch.Tensor | None
            Moving averages by the name of the parameter; they are added.

        Returns
        -------
        state : dict of str to torch.Tensor
            ``weights.NAME``, ``optimizer.KEY.NAME`` and ``ema.NAME``, whole, on the CPU, of
            memory of their own; empty except in the main process.
        """
        whole = {}
        for name, tensor in self._parts(module, optimizer, ema).items():
            tensor = _whole(tensor)
            if self.is_main:
                whole[name] = tensor.detach().to("cpu", copy=True).contiguous()
        return whole

    @torch.no_grad()
    def restore(self, state, module, optimizer=None, ema=None):
        """Put a state back that :meth:`state` returned, in any number of processes.

        Parameters
        ----------
        state : dict of str to torch.Tensor
            The same in every process. Nothing may be missing; what was not asked for is ignored.
        module : torch.nn.Module
            What :meth:`wrap` returned; changed in place.
        optimizer : torch.optim.Optimizer | None
            Changed in place.
        ema : dict of str to torch.Tensor | None
            Changed in place.

        Raises
        ------
        ValueError
            If a tensor is missing or of another shape.
        """
        parts = self._parts(module, optimizer, ema, is_blank=True)
        missing = sorted(set(parts) - set(state))
        if missing:
            raise ValueError(
                f"The saved state lacks {len(missing)} of {len(parts)} tensors: "
                f"{', '.join(missing[:5])}. It belongs to another network or configuration."
            )
        for name, part in parts.items():
            if part.shape != state[name].shape:
                raise ValueError(
                    f"The saved {name} has shape {tuple(state[name].shape)}, it must have "
                    f"{tuple(part.shape)}. It belongs to another network."
                )
            part.copy_(_like(part, state[name]))
        self._take_up(parts, module, optimizer)

    def save_shards(self, folder, module, optimizer=None, ema=None):
        """Write this process's parts into ``folder / "shards"``; every process must take part.

        The files are safetensors: nothing in them can be executed.

        Parameters
        ----------
        folder : path-like
            A folder that all processes see.
        module, optimizer, ema : object
            As for :meth:`state`.

        Returns
        -------
        files : list of pathlib.Path
            All files written, by any process.
        """
        from torch.distributed import checkpoint

        target = Path(folder) / SHARDS
        parts = {name: _flat(t) for name, t in self._parts(module, optimizer, ema).items()}
        with self._told("while saving"), _no_dcp_warnings():
            writer = checkpoint.HuggingFaceStorageWriter(str(target), save_distributed=True)
            checkpoint.save(parts, storage_writer=writer)
            self.barrier()
        return sorted(path for path in target.iterdir() if path.is_file())

    @torch.no_grad()
    def load_shards(self, folder, module, optimizer=None, ema=None):
        """Read what :meth:`save_shards` wrote, in any number of processes, sharded or not.

        Parameters
        ----------
        folder : path-like
            The folder that holds ``shards``.
        module, optimizer, ema : object
            As for :meth:`restore`; changed in place.

        Raises
        ------
        ValueError
            If a tensor is missing or of another shape, or a file is damaged.
        """
        from torch.distributed import checkpoint

        source = Path(folder) / SHARDS
        parts = self._parts(module, optimizer, ema, is_blank=True)
        flat = {name: _flat(tensor) for name, tensor in parts.items()}
        try:
            with _no_dcp_warnings():
                reader = checkpoint.HuggingFaceStorageReader(str(source))
                _check_shards(reader.read_metadata().state_dict_metadata, flat)
                checkpoint.load(flat, storage_reader=reader)
        except Exception as error:
            if self._is_lost(error):
                raise self._lost("while loading") from error
            raise ValueError(
                f"{source} could not be read into this network: {str(error).strip()[-300:]} It is "
                f"damaged, or belongs to another network or configuration."
            ) from error
        self._take_up(parts, module, optimizer)

    def _parts(self, module, optimizer, ema, is_blank=False):
        """Return every tensor of the state, whole or in parts; moments are made when blank."""
        names = self.named_parameters(module)
        parts = {WEIGHTS + name: parameter.detach() for name, parameter in names.items()}
        if optimizer is not None:
            for name, parameter in names.items():
                moments = optimizer.state.get(parameter)
                if is_blank:
                    step = torch.zeros(())
                    moments = {"step": step, "exp_avg": torch.zeros_like(parameter)}
                    moments["exp_avg_sq"] = torch.zeros_like(parameter)
                for key, value in (moments or {}).items():
                    parts[f"{OPTIMIZER}{key}.{name}"] = value.detach()
        for name, tensor in (ema or {}).items():
            parts[EMA + name] = tensor
        return parts

    def _take_up(self, parts, module, optimizer):
        """Give the optimizer the moments that were read."""
        if optimizer is None:
            return
        names = {id(p): name for name, p in self.named_parameters(module).items()}
        described = optimizer.state_dict()
        order = [id(p) for group in optimizer.param_groups for p in group["params"]]
        described["state"] = {
            number: {
                key: parts[f"{OPTIMIZER}{key}.{names[identity]}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for number, identity in enumerate(order)
        }
        optimizer.load_state_dict(described)

    # ------------------------------------------------------------------------------ errors

    @contextlib.contextmanager
    def _told(self, when):
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
            f"says why; the run can be resumed from its latest checkpoint."
        )


def _buffers_option():
    """Return how this version of torch calls the sending of buffers in each step."""
    known = inspect.signature(DistributedDataParallel).parameters
    return "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"


def _device(device, local, n_ranks):
    """Return the device of the local process number ``local``."""
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"Invalid value for the parameter 'device': allowed are 'auto', 'cpu', 'cuda' or "
            f"'cuda:0', got {device!r}."
        )
    if device.type == "cpu":
        return device
    if device.index is not None and n_ranks > 1:
        raise ValueError(
            f"With {n_ranks} processes each takes a GPU of its own: pass device='cuda' rather "
            f"than {str(device)!r}."
        )
    index = local if device.index is None else device.index
    n_devices = torch.cuda.device_count()
    if index >= n_devices:
        raise ValueError(
            f"Process {local} of this machine wants GPU {index}, but there are {n_devices}. Start "
            f"no more processes than GPUs, or pass device='cpu'."
        )
    return torch.device("cuda", index)


def _whole(tensor):
    """Return the whole of a tensor of which this process may hold a part."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _like(part, whole):
    """Return ``whole`` cut into parts like ``part``, without asking the other processes."""
    if not hasattr(part, "full_tensor"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    whole = whole.to(part.device)
    return distribute_tensor(whole, part.device_mesh, part.placements, src_data_rank=None)


def _flat(tensor):
    """Return a view with at least one axis, as slices of files need one."""
    return tensor.view(1) if tensor.ndim == 0 else tensor


def _check_shards(saved, wanted):
    """Refuse parts that do not add up to the tensors wanted; torch would leave gaps as they are."""
    for name, tensor in wanted.items():
        if name not in saved:
            raise ValueError(f"{name} is missing.")
        held = sum(chunk.sizes.numel() for chunk in saved[name].chunks)
        if saved[name].size != tensor.shape or held != tensor.numel():
            raise ValueError(
                f"{name} must have shape {tuple(tensor.shape)}; its parts hold {held} numbers of "
                f"shape {tuple(saved[name].size)}."
            )


@contextlib.contextmanager
def _no_dcp_warnings():
    """Hide what torch's checkpoint says of processes that are alone on purpose."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.distributed\.checkpoint.*")
        yield
