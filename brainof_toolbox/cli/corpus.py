"""The commands ``brainof corpus build`` and ``brainof corpus info``."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter

from .._utils.messages import format_table
from .options import ENTITIES, add_bids_options, add_command, add_missing_positions, take

_EXAMPLES = """examples:
  brainof corpus build ds000117/ recordings/ simulated:8x120 -o corpus/ --jobs 8
  brainof corpus build eeg/ meg/ -o corpus/ --licence CC-BY-4.0 PDDL
  brainof corpus build ds000030/ --derivatives fmriprep --atlas schaefer-200 -o corpus/
  brainof corpus info corpus/
"""


def add_corpus_commands(commands, parents):
    """Add ``corpus build`` and ``corpus info``."""
    corpus = commands.add_parser(
        "corpus",
        help="make the samples for pretraining",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    actions = corpus.add_subparsers(required=True, metavar="{build,info}")
    build = add_command(
        actions,
        "build",
        _build,
        parents,
        examples=_EXAMPLES,
        help="preprocess recordings and write a corpus",
        description="After an interruption, the same command continues. Recordings that cannot\n"
        "be used are left out and listed at the end.",
    )
    build.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="BIDS folder, folder of recordings, file, .txt list of these, or "
        "simulated:SUBJECTSxSECONDS[:SEED]",
    )
    build.add_argument("-o", "--output", required=True, metavar="CORPUS", help="a new folder")
    build.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1); -1: all")
    build.add_argument("--dataset", nargs="+", metavar="NAME", help="one, or one per source")
    build.add_argument("--licence", nargs="+", metavar="NAME", help="one, or one per source")
    build.add_argument("--on-error", default="skip", choices=("skip", "raise"), help="(skip)")
    add_missing_positions(build)
    samples = build.add_argument_group("samples")
    samples.add_argument("--eeg-window", type=float, metavar="S", help="longest, in s (10)")
    samples.add_argument("--meg-window", type=float, metavar="S", help="longest, in s (2)")
    samples.add_argument(
        "--fmri-volumes", type=int, default=320, metavar="N", help="longest, in volumes (320)"
    )
    samples.add_argument(
        "--dtype", default="int16", choices=("int16", "float16"), help="on disk (int16)"
    )
    add_bids_options(build)

    info = add_command(actions, "info", _info, parents, help="describe a corpus")
    info.add_argument("corpus", metavar="CORPUS", help="folder of a corpus")
    info.add_argument(
        "--verify", action="store_true", help="read everything and compare it with the hashes"
    )


def _build(options):
    from ..pretraining import build_corpus

    bids = take(options, "datatypes", *ENTITIES)
    window = {"eeg": options.eeg_window, "meg": options.meg_window}
    same = (
        "fmri_volumes",
        "dtype",
        "memory",
        "missing_positions",
        "dataset",
        "licence",
        "on_error",
    )
    corpus = build_corpus(
        list(options.sources),
        options.output,
        window={name: length for name, length in window.items() if length is not None},
        masker=options.atlas,
        bids={name: value for name, value in bids.items() if value is not None},
        n_jobs=options.jobs,
        **take(options, *same),
    )
    print(describe_corpus(corpus))


def _info(options):
    from ..pretraining import Corpus

    corpus = Corpus(options.corpus)
    print(describe_corpus(corpus))
    if options.verify:
        corpus.verify()
        print("verified: all data match their hashes")


def describe_corpus(corpus):
    """Describe the content of a corpus."""
    columns = ("dataset", "modality", "recordings", "subjects", "samples", "hours", "licence")
    rows = [[_cell(row[name]) for name in columns] for row in corpus.summary()]
    for name, row in sorted(corpus.totals().items()):
        rows.append(["all", name, *(_cell(row[key]) for key in columns[2:6]), ""])
    window = corpus.window
    lines = [
        format_table([columns, *rows], {"dataset", "modality", "licence"}),
        "",
        f"corpus    {corpus.directory}",
        f"sha256    {corpus.sha256}",
        f"samples   {len(corpus)}, up to {window['eeg']:g} s of EEG, {window['meg']:g} s of MEG, "
        f"{window['fmri']} volumes",
        f"on disk   {_size(corpus.n_bytes)}, {corpus.dtype}",
        f"licences  {', '.join(corpus.licences) or 'none'}",
    ]
    if corpus.n_empty_windows:
        lines.append(f"empty     {corpus.n_empty_windows} windows of zeros, left out")
    lines.append(f"skipped   {len(corpus.skipped)} recordings")
    lines += [f"  {row['dataset']}: {row['name']}: {row['reason']}" for row in corpus.skipped]
    return "\n".join(lines)


def _cell(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _size(n_bytes):
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
