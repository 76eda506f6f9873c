"""The command ``brainof embed``: recordings -> a table; finished rows survive interruptions."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from .._utils.files import replace_file
from .options import (
    add_command,
    is_bids_root,
    network_parameters,
    read_root,
    refuse_reader_options,
    rows_of,
    take,
)
from .parts import Parts, make_stamps

OUTPUTS = (".csv", ".npy", ".parquet")


def add_embed(commands, parents):
    """Add the command to the parsers of commands."""
    parser = add_command(
        commands,
        "embed",
        run_embed,
        parents,
        help="write one row of features per recording",
        description="One row per recording or image, or per epoch or average of a file that holds "
        "these; of a BIDS folder, one row per subject, session, task and run, its modalities read "
        "together.",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="out.csv, out.npy or out.parquet"
    )
    parser.add_argument(
        "--on-error",
        default="raise",
        choices=("raise", "skip"),
        help="recordings that cannot be read or used: an error (default), or left out, named and "
        "counted",
    )
    workers = parser.add_argument_group(
        "workers", "After an interruption, the same command embeds the recordings that are left."
    )
    workers.add_argument(
        "--jobs", type=int, metavar="N", help="processes (default: 1; -1: one per core)"
    )
    workers.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="scheduler of a dask.distributed cluster with access to the same files, such as "
        "tcp://host:8786",
    )


def run_embed(options):
    """Embed recordings, images or the records of a BIDS folder."""
    from ..estimators import BrainOFEmbedder

    output = _check_output(options)
    items, names, who = _find_items(options)
    embedder = BrainOFEmbedder(
        **network_parameters(options),
        on_error="nan" if options.on_error == "skip" else "raise",
        n_jobs=options.jobs,
        verbose=True,
    ).fit(items if who is not None else items[:1])  # records name their modalities
    parts = Parts(output, make_stamps(items, embedder.encoder_, options.atlas))
    try:
        with ExitStack() as stack:
            if options.dask:
                _use_dask(options.dask, stack)
            skipped = _embed_the_rest(embedder, items, names, parts, options.on_error)
        rows = parts.load_all()
        if not rows:
            raise ValueError(f"None of the {len(items)} recordings can be used.")
        _write(output, rows, names, who, embedder.get_feature_names_out())
    except BaseException:
        parts.keep()
        raise
    parts.remove()
    n_rows, n_features = sum(map(len, rows.values())), len(embedder.get_feature_names_out())
    left_out = f" ({skipped} of {len(items)} recordings skipped)" if skipped else ""
    print(f"{output}: {n_rows} rows of {n_features} features{left_out}")


def _check_output(options):
    from .._utils.validation import soft_import

    output = Path(options.output)
    if output.suffix not in OUTPUTS:
        options.parser.error(f"--output must end in {', '.join(OUTPUTS)}, got {output.name!r}")
    if options.dask and options.jobs is not None:
        options.parser.error(
            "--jobs is the number of processes of this machine; omit it with --dask"
        )
    if output.suffix == ".parquet":
        soft_import("pyarrow", "Writing parquet")
    if options.dask:
        soft_import("distributed", "--dask", "dask")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {output.parent}. Create it first.")
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; give the name of a file.")
    return output


def _find_items(options):
    """Return items to embed, their names, and a table of subjects (None for plain files)."""
    from ..io.recordings import RecordingPath
    from ..io.records import describe_record
    from ..io.splits import drop_later_parts

    if is_bids_root(options.files):
        refuse_reader_options(options)
        records = read_root(options.files[0], options)
        return list(records), [describe_record(record) for record in records], rows_of(records)
    missing = [file for file in options.files if not Path(file).exists()]
    if missing and options.on_error == "raise":
        raise FileNotFoundError(f"No such recording: {missing[0]}.")
    files = drop_later_parts(options.files)
    given = take(options, "encoding", "allow_maxshield")
    given = {name: value for name, value in given.items() if value}
    return [RecordingPath(file, **given) if given else file for file in files], files, None


def _use_dask(address, stack):
    import joblib
    from distributed import Client

    try:
        client = stack.enter_context(Client(address, timeout=10))
    except (OSError, TimeoutError, ValueError) as error:
        raise OSError(f"--dask: no scheduler answers at {address!r} ({error}).") from error
    stack.enter_context(joblib.parallel_config("dask", client=client))


def _embed_the_rest(embedder, items, names, parts, on_error):
    """Embed the items without a stored part; return the number of skipped ones."""
    from ..encoder.parallel import embed_items
    from ..io.inputs import name_item

    groups = [[(index, item)] for index, item in enumerate(items) if not parts.has(index)]
    parts.report_found(len(items) - len(groups), len(items))
    n_skipped = 0
    for outcome in embed_items(
        embedder.encoder_, groups, n_jobs=embedder.n_jobs, on_error=on_error
    ):
        if outcome.rows is not None:
            parts.save(outcome.index, outcome.rows)
            continue
        n_skipped += 1
        place = name_item(items[outcome.index], outcome.index)
        reason = " ".join(str(outcome.error).removeprefix(f"{place}: ").split())
        print(f"brainof: skipped {names[outcome.index]}: {reason}", file=sys.stderr)
    return n_skipped


def _write(output, rows, names, who, columns):
    """Write the table to a temporary file and move it into place."""
    import numpy as np
    import pandas as pd

    features = np.concatenate(list(rows.values()))
    if who is None:
        pairs = [(names[index], k) for index, part in rows.items() for k in range(len(part))]
        who = pd.DataFrame(pairs, columns=["file", "index"])
    else:
        who = who.loc[np.repeat(list(rows), [len(part) for part in rows.values()])]
    table = pd.concat(
        [who.reset_index(drop=True), pd.DataFrame(features, columns=columns)], axis=1
    )
    with replace_file(output) as file:
        if output.suffix == ".npy":
            np.save(file, features)
        elif output.suffix == ".csv":
            table.to_csv(file, index=False, mode="wb")
        else:
            table.to_parquet(file, index=False)
