"""A run in a TOML file.

::

    corpus = "corpus"               # paths are relative to the file
    output_dir = "runs/first"
    total_steps = 20000
    save_every = 1000               # what is left out has the defaults of pretrain
    random_state = 0
    device = "auto"
    start = "runs/other/checkpoints/step-00001000"   # weights to begin with

    [model]
    preset = "tiny"                 # and fields of BrainOFConfig
    n_layers = 8

    [training]                      # fields of PretrainingConfig
    learning_rate = 1e-3
    n_microbatches = 4
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tomllib
from pathlib import Path

_PATHS = ("corpus", "output_dir")
_NEEDED = (*_PATHS, "total_steps")
_OPTIONAL = ("stop_after", "save_every", "random_state", "device", "start")
_KNOWN = (*_NEEDED, *_OPTIONAL, "model", "training")


def read_run(path):
    """Read the arguments of :func:`~brainof_toolbox.pretraining.pretrain` from a file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "There is no such configuration file", str(path))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    unknown = sorted(set(content) - set(_KNOWN))
    missing = [name for name in _NEEDED if name not in content]
    if unknown or missing:
        raise ValueError(
            f"{path}: unknown keys {', '.join(map(repr, unknown)) or 'none'}, missing keys "
            f"{', '.join(map(repr, missing)) or 'none'}. Known keys are {', '.join(_KNOWN)}; the "
            f"last two are tables."
        )
    for name in ("model", "training"):
        if not isinstance(content.get(name, {}), dict):
            raise ValueError(f"{path}: {name!r} must be a table, [{name}], got {content[name]!r}.")
    for name in [*_PATHS, *(["start"] if "start" in content else [])]:
        if not isinstance(content[name], str):
            raise ValueError(f"{path}: {name!r} must be a path in quotes, got {content[name]!r}.")
        content[name] = str(path.parent / os.path.expanduser(content[name]))
    content["config"] = content.pop("model", "tiny")
    return content


def add_run_options(parser):
    """Add the options beside the file."""
    parser.add_argument("config", metavar="CONFIG", help="TOML file of the run")
    resume = parser.add_mutually_exclusive_group()
    resume.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest valid checkpoint; after the end with a larger total_steps",
    )
    resume.add_argument(
        "--resume-or-begin",
        action="store_true",
        help="the same, or begin if there is none: for jobs that are queued again",
    )
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 (default: that of the file)")
    parser.add_argument(
        "--stop-after", type=int, metavar="STEPS", help="save and end when so many are done"
    )


def run_file(options):
    """Pretrain with the configuration of a file."""
    from .loop import pretrain
    from .run_dir import CHECKPOINTS, list_steps

    arguments = read_run(options.config)
    for name in ("device", "stop_after"):
        if getattr(options, name) is not None:
            arguments[name] = getattr(options, name)
    folder = Path(arguments["output_dir"]) / CHECKPOINTS
    resume = bool(list_steps(folder)) if options.resume_or_begin else options.resume
    try:
        return pretrain(
            arguments.pop("corpus"), arguments.pop("output_dir"), resume=resume, **arguments
        )
    except (KeyboardInterrupt, SystemExit):
        if _is_main():
            saved = list_steps(folder)
            state = "before anything was saved"
            if saved:
                state = (
                    f"and is saved in {saved[-1]}; with --resume the same command goes on there"
                )
            print(f"Pretraining was stopped, {state}.", file=sys.stderr)
        raise


def _is_main():
    return os.environ.get("RANK", "0") == "0"


def main(argv=None):
    """Run ``python -m brainof_toolbox.pretraining CONFIG``, which torchrun can start."""
    parser = argparse.ArgumentParser(
        prog="python -m brainof_toolbox.pretraining",
        description="Pretrain a network: brainof pretrain, for machines with torch, numpy, "
        "safetensors and tqdm only. Started by torchrun, processes train together.",
    )
    add_run_options(parser)
    directory = run_file(parser.parse_args(argv))
    if _is_main():
        print(directory)
