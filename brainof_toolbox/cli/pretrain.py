"""The commands ``brainof pretrain`` and ``brainof plot-run``."""

from __future__ import annotations

from ..pretraining.config_file import add_run_options, run_file
from .options import add_command

_EXAMPLES = """the file, for example (paths are relative to it):
  corpus = "corpus"
  output_dir = "runs/first"
  total_steps = 20000
  [model]
  preset = "tiny"
  [training]
  learning_rate = 1e-3

examples:
  brainof pretrain run.toml
  brainof pretrain run.toml --resume
  torchrun --nproc-per-node 8 -m brainof_toolbox.pretraining run.toml
  brainof plot-run runs/first

Ctrl-C and SIGTERM: the run finishes its step and saves.
"""


def add_pretrain_commands(commands, parents):
    """Add ``pretrain`` and ``plot-run``."""
    pretrain = add_command(
        commands,
        "pretrain",
        lambda options: print(run_file(options)),
        parents,
        examples=_EXAMPLES,
        help="train a network on a corpus",
        description="Masked Temporal-Frequency Modeling, configured by a TOML file; the result\n"
        "is a checkpoint for embed and decode.",
    )
    add_run_options(pretrain)
    plot = add_command(
        commands,
        "plot-run",
        _plot_run,
        parents,
        help="draw the curves of a training",
        description="Loss by modality and term, learning rate, gradient, and use of experts.",
    )
    plot.add_argument("directory", metavar="DIR", help="output_dir of the run")
    plot.add_argument("-o", "--output", metavar="FIGURE", help="default: DIR/curves.png")


def _plot_run(options):
    from ..pretraining.curves import plot_run

    print(plot_run(options.directory, options.output))
