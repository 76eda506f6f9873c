"""Pretraining: a corpus -> a checkpoint; runs can be interrupted and resumed.

The loop is :func:`_train`. Everything random in a step comes from the seed and the number of the
step, and a checkpoint holds all that steps change, so that it does not matter where a run was
interrupted.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

import torch

from .._utils.logging import progress, warn
from .._utils.messages import join_some
from .._utils.validation import check_number, check_option
from ..models.brainof import BrainOF
from ..models.checkpoint import Checkpoint, load_checkpoint
from ..models.config import MODALITY_CODES, BrainOFConfig
from ..models.isolate import isolate_torch
from ._saving import TrainState, load_step, save_step
from ._stop import StopRequest
from .config import PretrainingConfig
from .corpus import Corpus
from .distributed import DistributedRun
from .loader import read_microbatches
from .log import TERM_STEPS, Log
from .objective import CHANGE, Objective
from .optim import (
    MovingAverage,
    encoder_share,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from .process_group import no_sync
from .rank_state import name_tensors
from .run_dir import FORMAT_VERSION, LOG, RunDirectory
from .sampler import Sampler
from .terms import DESCRIPTION, SECOND_ORDER, follow, with_read_outs


@isolate_torch()
def pretrain(
    corpus,
    output_dir,
    *,
    config="tiny",
    total_steps,
    stop_after=None,
    resume=False,
    save_every=1000,
    random_state=0,
    device="auto",
    training=None,
    start=None,
    verbose=None,
):
    """Pretrain a network on a corpus, by Masked Temporal-Frequency Modeling.

    The method is that of :footcite:p:`guo2026brainof`. On a CPU, with one version of torch and
    number of threads, the result depends on the corpus, ``config``, ``training``, ``total_steps``
    and ``random_state`` only: not on interruptions, ``save_every`` or ``n_workers``, bit by bit.

    Ctrl-C and SIGTERM finish the step, save, and leave: by ``KeyboardInterrupt``, and by
    ``SystemExit`` with code 143. A loss that is not finite, or a spike, stops the run before the
    weights change, saves them, and names the samples.

    A resumed run must have the same corpus, network, seed, length and configuration. Free are
    ``save_every``, ``device``, and of ``training``: ``compile``, ``checkpoint_activations``,
    ``strategy``, ``save_average``, ``n_workers``, ``log_every``, ``keep_latest_k``,
    ``max_loss_ratio`` and ``tensorboard``. A run that has ended can be resumed with a larger
    ``total_steps``: it goes on along the learning rates of the longer run, which are higher than
    those it ended with, so that its result is not that of a run of this length from the start.

    Parameters
    ----------
    corpus : Corpus | path-like
        Training data.
    output_dir : path-like
        Folder of the run: ``checkpoints/step-00001000`` and so on, ``log.jsonl``, ``run.json``.
    config : str | BrainOFConfig | dict
        Shape of the network: a preset, or fields, with ``"preset"`` among them if wanted.
    total_steps : int
        Length of the run, which the learning rate depends on.
    stop_after : int | None
        Save and return when this many of the ``total_steps`` are done.
    resume : bool
        Continue from the newest valid checkpoint in ``output_dir``.
    save_every : int
        Steps between two checkpoints; the last step is always saved.
    random_state : int
        Seed of the weights, the order of the data, and the masks.
    device : str
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    training : PretrainingConfig | dict | None
        Configuration of the training; ``None`` is the default.
    start : path-like | None
        Checkpoint with the weights that a new run begins with, for example of a run with another
        ``training``. The networks must be the same, but for ``decoder_reads_group`` and for
        read-outs that the run does not have. Read-outs keep the targets of the checkpoint, and
        its datasets and subjects are listed with those of the corpus.
    verbose : bool | None
        ``None`` shows progress of work that takes longer than a few seconds: a bar on a terminal
        and in notebooks, a line every 30 s elsewhere. ``True``: from the start; ``False``: never.

    Returns
    -------
    directory : pathlib.Path
        The last checkpoint, which the estimators load.

    Raises
    ------
    FileExistsError
        If there is a run already and ``resume`` is false.
    FileNotFoundError
        If there is nothing to resume from, or no corpus.
    ValueError
        If a parameter is out of range, or the run to resume is another one, naming what differs.
    RuntimeError
        If the loss is not finite or a spike, naming step, modality, datasets and samples.
    OSError
        If something cannot be written. Earlier checkpoints stay.

    References
    ----------
    .. footbibliography::
    """
    check_number("total_steps", total_steps, low=1, integer=True)
    check_number("save_every", save_every, low=1, integer=True)
    check_number("random_state", random_state, low=0, integer=True)
    check_option("resume", resume, (True, False))
    check_option("verbose", verbose, (True, False, None))
    if stop_after is not None:
        check_number("stop_after", stop_after, low=1, high=total_steps, integer=True)
    corpus = Corpus(corpus) if isinstance(corpus, str | os.PathLike) else corpus
    training = _as_config("training", {} if training is None else training, PretrainingConfig)
    config = with_read_outs(_as_model_config(config), training, corpus)
    start = None if start is None else load_checkpoint(start)
    if start is not None:
        _check_start(start.config, config)
    run = _Run(
        corpus=corpus,
        config=config,
        training=training,
        sampler=Sampler(corpus, training, patch_size=config.patch_size, random_state=random_state),
        total_steps=total_steps,
        last=stop_after or total_steps,
        save_every=save_every,
        random_state=random_state,
        directory=RunDirectory(output_dir),
        start=start,
    )
    with DistributedRun.from_environment(device) as ranks:
        # Raises if the micro-batches cannot be divided among the processes.
        ranks.local_microbatches(training.n_microbatches)
        return _start(run, ranks, resume, verbose)


def _as_model_config(config):
    """Return the shape of the network that a user named."""
    config = {"preset": config} if isinstance(config, str) else config
    if isinstance(config, dict) and config.get("preset"):
        fields = dict(config)
        return BrainOFConfig.preset(fields.pop("preset"), **fields)
    return _as_config("config", config, BrainOFConfig, "the name of a preset, ")


def _as_config(name, value, kind, others=""):
    """Return a configuration that a user gave, as such or as a dict of its fields."""
    if not isinstance(value, (kind, dict)):
        raise TypeError(
            f"The parameter {name!r} must be {others}a {kind.__name__} or a dict of its fields, "
            f"got {type(value).__name__}."
        )
    return value if isinstance(value, kind) else kind.from_dict(value)


@dataclass(frozen=True, eq=False)
class _Run:
    """Constants of a run."""

    corpus: object
    config: BrainOFConfig
    training: PretrainingConfig
    sampler: Sampler
    total_steps: int
    last: int
    save_every: int
    random_state: int
    directory: RunDirectory
    start: Checkpoint | None

    def describe(self):
        """Return what decides the result of the run."""
        corpus = self.corpus
        return {
            **({} if self.start is None else {"start": self.start.sha256}),
            "format_version": FORMAT_VERSION,
            "corpus": {
                "sha256": corpus.sha256,
                "n_samples": len(corpus),
                "datasets": list(corpus.datasets),
            },
            "config": self.config.to_dict(),
            "training": self.training.to_dict(),
            "random_state": self.random_state,
            "total_steps": self.total_steps,
        }

    def manifest(self, step):
        corpus = self.corpus
        is_unknown = any(entry.licence is None for entry in corpus.entries)
        terms = ", ".join(self.training.terms)
        before = {} if self.start is None else self.start.manifest
        licences = [before.get("licence", ""), *corpus.licences, *["unknown"] * is_unknown]
        licences = ", ".join(filter(None, licences)).split(", ")
        return {
            **({"objective": DESCRIPTION.format(terms)} if terms else {}),
            **({"start": self.start.sha256} if before else {}),
            "datasets": _join(before.get("datasets", ()), corpus.datasets),
            "subjects": _join(before.get("subjects", ()), corpus.subjects),
            "licence": ", ".join(_join(licences)),
            "steps": step,
            "seed": self.random_state,
            "corpus": corpus.sha256,
            "training": {**self.training.to_dict(), "total_steps": self.total_steps},
        }


def _join(*lists):
    """Return the items of lists, each once."""
    return list(dict.fromkeys(item for items in lists for item in items))


def _start(run, ranks, resume, verbose):
    """Begin or continue, and return the last checkpoint."""
    saved, described = None, run.describe()
    if resume:
        saved = run.directory.resume(described, ranks)
        if saved.step >= run.last:
            return saved.path
    else:
        if ranks.is_main:
            run.directory.begin(described)
        ranks.barrier()
    trained = _build(run, ranks, is_new=saved is None)
    log = Log(run.directory.path / LOG if ranks.is_main else None, run.training)
    step = 0
    if saved is not None:
        load_step(saved, ranks, trained)
        step = saved.step
        log.restore(saved.record["log"], step)
    bar = progress(
        None,
        total=run.total_steps,
        initial=step,
        description="Pretraining",
        enabled=verbose if ranks.is_main else False,
    )
    with contextlib.closing(log), contextlib.closing(bar), StopRequest() as stop:
        return _train(run, trained, step, log, bar, stop, ranks)


def _check_start(before, config):
    """Refuse weights that lack a part of the network, or are of another one."""
    own, other = vars(before), vars(config)
    names = [name for name in own if own[name] != other[name]]
    has_all = set(config.read_outs) <= set(before.read_outs)
    if not has_all or not {"read_outs", "decoder_reads_group"} >= set(names):
        raise ValueError(
            "The network of the checkpoint 'start' differs from that of the run in "
            f"{', '.join(names)}."
        )


def _build(run, ranks, is_new):
    """Make the network and all that goes with it, on the device."""
    training = run.training
    if training.precision == "bf16" and ranks.device.type == "cpu":
        warn("precision='bf16' is slow on CPUs, often by a factor of ten or more: use 'float32'.")
    model = BrainOF(run.config, run.random_state).train()
    objective = Objective(model, training, _prepare_terms(run, model, is_new))
    if run.start is not None and is_new:
        state, wanted = run.start.model.state_dict(), model.state_dict()
        model.load_state_dict({name: state[name] for name in wanted})
    if training.compile:
        objective.compile()
    module = ranks.wrap(objective, training.strategy, training.precision)
    average = None
    if training.ema_decay is not None:
        average = MovingAverage(name_tensors(module), training.ema_decay)
    return TrainState(model, module, make_optimizer(module, training), average)


def _prepare_terms(run, model, is_new):
    """Compute the statistics of the terms, or allocate those that a checkpoint holds."""
    training, corpus = run.training, run.corpus
    if not training.terms:
        return None
    if is_new:
        from .statistics import fit_statistics
        from .targets import Targets

        seed = run.random_state
        return fit_statistics(model, corpus, Targets(training), training.term_samples, seed)
    sizes = [row[2] for row in run.config.read_outs if row[:2] == ("fmri", SECOND_ORDER)]
    return torch.zeros(len(corpus.datasets), sizes[0]) if sizes else None


def _train(run, trained, step, log, bar, stop, ranks):
    """Train from one step to another: the loop."""
    config, device, module = run.training, ranks.device, trained.module
    mine = ranks.local_microbatches(config.n_microbatches)
    parameters = list(module.parameters())
    steps = range(step, run.last)
    with read_microbatches(
        run.corpus,
        run.sampler,
        config,
        steps,
        mine,
        patch_size=run.config.patch_size,
        pin_memory=device.type == "cuda",
    ) as batches:
        for step in steps:
            began, waited, totals = time.perf_counter(), 0.0, []
            trained.optimizer.zero_grad(set_to_none=True)
            for number in mine:
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                with no_sync(module, is_last=number == mine[-1]):
                    with torch.autocast(device.type, torch.bfloat16, config.precision == "bf16"):
                        terms = module(*(part.to(device, non_blocking=True) for part in batch))
                    (terms["loss"] / len(mine)).backward()
                totals.append(terms)
            terms = ranks.mean(_average(totals))
            norm = ranks.clip_gradients(parameters, config.max_grad_norm)
            modality = MODALITY_CODES[batch[0].modality]
            change = terms.pop(CHANGE, None)
            label = modality if change is None else TERM_STEPS.format(modality)
            problem = log.find_problem(label, terms["loss"], norm)
            if problem:  # the weights are still those of before
                _save(run, step, trained, log, ranks)
                raise RuntimeError(_name_batch(run, step, modality, problem, totals, ranks))
            rate = learning_rate(step, run.total_steps, config)
            set_learning_rate(trained.optimizer, rate, encoder_share(step, config))
            trained.optimizer.step()
            if change is not None:
                follow(trained.model, batch[0].modality, change)
            if trained.average is not None:
                trained.average.update(step)
            log.add(
                label,
                terms,
                norm=norm,
                size=run.sampler.size(step),
                seconds=time.perf_counter() - began,
                waited=waited,
            )
            bar.set_postfix_str(f"{modality} loss {terms['loss']:.3f}", refresh=False)
            bar.update()
            if (step + 1) % config.log_every == 0 or step + 1 == run.total_steps:
                log.write(step + 1, rate=rate, epochs=run.sampler.epochs(step + 1))
            is_stopped = ranks.any(stop.number is not None)
            if is_stopped or (step + 1) % run.save_every == 0 or step + 1 == run.last:
                path = _save(run, step + 1, trained, log, ranks)
            if is_stopped:
                stop.leave()
    return path


def _average(totals):
    """Return the mean of each term over the micro-batches of this process."""
    return {
        name: torch.stack([terms[name].detach().double() for terms in totals]).mean(0)
        for name in totals[0]
    }


def _save(run, step, trained, log, ranks):
    """Save after so many steps, unless that has been done, and return the checkpoint."""
    path = run.directory.step_path(step)
    if ranks.any(not path.is_dir()):
        save_step(
            path,
            ranks,
            trained,
            {"step": step, "run": run.describe(), "log": log.state()},
            preprocessing=run.corpus.preprocessing,
            manifest=run.manifest(step),
            save_average=run.training.save_average,
        )
    if ranks.is_main:
        run.directory.prune(run.training.keep_latest_k)
    return path


def _name_batch(run, step, modality, problem, totals, ranks):
    """Build the error message for a batch with a non-finite loss or gradient."""
    n = run.training.n_microbatches
    losses = torch.zeros(n, dtype=torch.float64)
    local = torch.stack([terms["loss"].detach().cpu().double() for terms in totals])
    losses[list(ranks.local_microbatches(n))] = local
    losses = ranks.mean({"losses": losses * ranks.n_ranks})["losses"]
    plan = run.sampler.plan(step)
    # A gradient may be non-finite where all losses are finite: then any sample may be the cause.
    guilty = [number for number in range(n) if not torch.isfinite(losses[number])] or range(n)
    indices = [int(index) for number in guilty for index in plan[number]]
    datasets = sorted({run.corpus.entry_of(index).dataset for index in indices})
    return (
        f"Pretraining was stopped in step {step + 1}: {problem}. Its batch: modality {modality}, "
        f"datasets {', '.join(datasets)}, samples {join_some(indices, 32)} of the corpus. The "
        f"weights before this step are saved in {run.directory.step_path(step)}. Look at the "
        f"samples; then lower the learning rate or max_grad_norm in a new run, or resume with a "
        f"larger 'max_loss_ratio' if the loss is a mere spike."
    )
