"""``python -m benchmarks.weights run | table | pages``."""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import warnings
from pathlib import Path


def make_parser(sets, default_sets, conditions):
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.weights")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="score what has no line of results yet, then print")
    run.add_argument("--conditions", nargs="+", choices=conditions, default=list(conditions))
    run.add_argument("--fraction", nargs="+", type=float, default=[1.0], help="of the labels")
    table = commands.add_parser("table", help="print scores, differences and means")
    pages = commands.add_parser("pages", help="write the tables and the figure of the book")
    pages.add_argument("--book", type=Path, default=Path("doc"))
    for command in (run, table, pages):
        command.add_argument("checkpoints", nargs="+", help="folder, name or untrained:SEED")
        command.add_argument("--sets", nargs="+", choices=sets, default=list(default_sets))
        command.add_argument("--people", choices=("development", "test"), default="development")
        command.add_argument("--results", type=Path, default=Path("outputs/weights.jsonl"))
        command.add_argument("--suite", type=Path, help="folder of results of benchmarks.suite")
    return parser


def main(arguments=None):
    """Run one command."""
    # Before numpy and torch are loaded: they share the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from ..suite.conditions import AS_RECORDED, CONDITIONS
    from ..suite.sets import SETS
    from .people import HALVES
    from .scoring import DEFAULT_SETS, find_checkpoints, run

    parser = make_parser((*SETS, *HALVES), DEFAULT_SETS, (AS_RECORDED, *CONDITIONS))
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            checkpoints = find_checkpoints(options.checkpoints, folder)
        except ValueError as error:
            parser.error(str(error))
        if options.command == "run":
            run(
                checkpoints,
                options.sets,
                options.results,
                options.people,
                options.conditions,
                options.fraction,
                functools.partial(print, flush=True),
            )
    report(options, checkpoints)


def report(options, checkpoints):
    """Print or write what was found for these checkpoints."""
    from ..lib.store import read_lines
    from ..suite.results import Store
    from ..suite.summary import Summary
    from .pages import write_pages
    from .scoring import CLASSICAL
    from .tables import Results, tabulate, title_checkpoints

    wanted = {(title, about["sha256"]) for title, about in checkpoints.items()}
    rows = [
        row
        for row in read_lines(options.results)
        if (row["checkpoint"], row["sha256"]) in {*wanted, (CLASSICAL, "")}
        and row["people"] == options.people
        and row["set"] in options.sets
    ]
    suite = options.suite and Summary(Store(options.suite).read(), options.people)
    is_page = options.command == "pages"
    results = Results(rows, title_checkpoints(checkpoints, is_page), suite)
    if is_page:
        write_pages(results, options.book)
        return
    for name, table in tabulate(results).items():
        text = table.to_string(index=False, float_format="{:.3f}".format)
        print(f"\n{name}\n{text}")


if __name__ == "__main__":
    main()
