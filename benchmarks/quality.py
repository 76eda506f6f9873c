"""Decoding scores on the development sets, side by side on the same splits.

Run ``BRAINOF_DATA=... python -m benchmarks.quality --jobs 2`` in the environment of
``benchmarks/requirements.txt``. Each result is one line in ``benchmarks/results``; what is there
already, for the same weights, is not computed again, so that an interrupted run goes on. At the
end ``doc/quality.rst`` (EEG and MEG) and ``doc/quality_fmri.rst`` (fMRI, BIDS, several
modalities) are written from these lines; ``--render-only`` does nothing else.

Hyper-parameters are the estimators' defaults or chosen inside training folds; nothing is chosen on
test folds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOC, RESULTS = HERE.parent / "doc", HERE / "results"


def compute(todo, run, n_jobs):
    """Run every item; yields each with its row, or with None where it failed."""
    if n_jobs == 1:
        for item in todo:
            yield item, _attempt(run, item)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        futures = {pool.submit(_attempt, run, item): item for item in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _attempt(run, item):
    try:
        return run(item)
    except Exception:  # one decoder that fails must not lose the others
        traceback.print_exc()
        return None


def fill(options):
    """Compute what is missing; returns what failed."""
    from benchmarks.lib.scoring import items, run
    from benchmarks.lib.side_tables import side_items
    from benchmarks.lib.store import Store

    store, failed = Store(options.results), []
    for todo, work in (
        (items(options.sets, options.decoders, options.max_epochs), run),
        *side_items(options.sets),
    ):
        todo = [item for item in todo if item.key not in store]
        if options.no_weights:
            todo = [item for item in todo if not item.weights]
        for number, (item, row) in enumerate(compute(todo, work, options.jobs), 1):
            if row is None:
                failed.append(item)
                continue
            store.add(item, row)
            print(f"{number}/{len(todo)}", json.dumps(row)[:200], flush=True)
    return failed


def main():
    """Compute, then write both pages."""
    # Before numpy and torch are loaded, here and in the workers: they share the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from benchmarks.lib.quality_tables import write_tables
    from benchmarks.lib.scoring import SETS
    from benchmarks.lib.side_tables import CHOSEN, FORMATS

    names = [*SETS, FORMATS, CHOSEN]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    parser.add_argument("--decoders", nargs="+", help="names as on the pages; all without")
    parser.add_argument(
        "--no-weights", action="store_true", help="only what the pretrained weights do not change"
    )
    parser.add_argument("--max-epochs", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--render-only", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=DOC, help="folder of the pages")
    options = parser.parse_args()
    failed = [] if options.render_only else fill(options)
    write_tables(options)
    if failed:
        raise SystemExit(f"failed: {failed}")


if __name__ == "__main__":
    main()
