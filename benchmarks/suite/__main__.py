"""``python -m benchmarks.suite run | table | figure``."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path


def make_parser(sets=(), conditions=()):
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="score what has no lines of results yet")
    run.add_argument("--sets", nargs="+", choices=list(sets) or None, metavar="SET")
    run.add_argument("--decoders", nargs="+", metavar="NAME")
    run.add_argument("--conditions", nargs="+", choices=list(conditions) or None, metavar="NAME")
    run.add_argument("--fraction", nargs="+", type=float, default=[1.0], help="of the labels")
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    run.add_argument("--again", action="store_true", help="try again what could not run")
    table = commands.add_parser("table", help="print scores, differences and times")
    figure = commands.add_parser("figure", help="draw a point per group, a column per set")
    figure.add_argument("--out", type=Path, default=Path("suite.png"))
    pages = commands.add_parser("pages", help="write the tables and the figure of the book")
    pages.add_argument("--book", type=Path, default=Path("doc"))
    for command in (run, table, figure, pages):
        command.add_argument("--results", type=Path, default=Path("outputs/suite"))
        command.add_argument("--people", choices=("development", "test"), default="development")
    return parser


def main(arguments=None):
    """Run one command."""
    # Before numpy and torch are loaded, here and in the workers: they share the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from .conditions import AS_RECORDED, CONDITIONS
    from .results import Store
    from .scoring import list_items, run
    from .sets import SETS

    options = make_parser(SETS, (AS_RECORDED, *CONDITIONS)).parse_args(arguments)
    if options.command == "run":
        items = list_items(
            options.sets or list(SETS),
            options.decoders,
            options.fraction,
            options.conditions,
            options.seeds,
            options.people,
        )
        show = functools.partial(print, flush=True)
        if run(items, options.results, options.jobs, options.again, show):
            raise SystemExit("Something ended with an error; see above.")
        return
    from .summary import Summary

    summary = Summary(Store(options.results).read(), options.people)
    if options.command == "table":
        from .table import write_table

        print(write_table(summary), end="")
    elif options.command == "pages":
        from .table import write_pages

        write_pages(summary, options.book)
    else:
        from .figure import draw_figure

        draw_figure(summary).savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
