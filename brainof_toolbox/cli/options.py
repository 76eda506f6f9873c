"""Options that several commands share; records and trials of BIDS folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._utils.validation import check_number

DATATYPES = ("func", "eeg", "meg")
ENTITIES = ("subjects", "sessions", "tasks", "runs", "space", "derivatives")
CHECKPOINT = "brainof-tiny"  # default of the estimators, which are not imported for a parser
UNTRAINED = "none"


def add_command(commands, name, run, parents, *, examples=None, **texts):
    """Add a command; its function and its parser become ``options.run`` and ``.parser``."""
    kind = argparse.RawDescriptionHelpFormatter if examples else argparse.HelpFormatter
    parser = commands.add_parser(
        name, parents=parents, epilog=examples, formatter_class=kind, **texts
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def make_network_options():
    """Make the parent parser of the commands that apply the network."""
    network = argparse.ArgumentParser(add_help=False)
    network.add_argument(
        "files",
        nargs="+",
        metavar="PATH",
        help="recordings that MNE reads, 4-D images, or one BIDS folder",
    )
    add_checkpoint_option(network)
    network.add_argument(
        "--pooling",
        default="auto",
        choices=("auto", "compact", "flatten", "mean", "mean+std"),
        help="default: auto, which is compact where the weights have read-outs, else flatten",
    )
    network.add_argument(
        "--layer", type=int, metavar="N", help="use the latents after N layers; -1: all (default)"
    )
    network.add_argument("--window", type=float, metavar="S", help="window length in seconds")
    network.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    add_missing_positions(network)
    group = network.add_argument_group("recordings that need a decision")
    group.add_argument(
        "--encoding", metavar="NAME", help="encoding of annotations if not UTF-8, such as latin1"
    )
    group.add_argument(
        "--allow-maxshield",
        action="store_true",
        help="read MEG with active shielding that was not processed with MaxFilter",
    )
    add_bids_options(network)
    return network


def add_checkpoint_option(parser):
    """Add the option that chooses the weights."""
    parser.add_argument(
        "--checkpoint",
        default=CHECKPOINT,
        type=lambda text: None if text == UNTRAINED else text,
        metavar="NAME|FOLDER",
        help=f"weights (default: {CHECKPOINT}, bundled; '{UNTRAINED}': untrained ones)",
    )


def network_parameters(options):
    """Take the parameters of the estimators from the command line."""
    names = ("checkpoint", "pooling", "layer", "window", "device", "missing_positions", "memory")
    return {"masker": options.atlas, **take(options, *names)}


def add_bids_options(parser):
    """Add the options that choose recordings of a BIDS folder, and the atlas of images."""
    group = parser.add_argument_group("a BIDS folder")
    group.add_argument("--datatypes", nargs="+", choices=DATATYPES, help="default: all")
    group.add_argument("--subjects", nargs="+", metavar="SUB", help="default: all")
    group.add_argument("--sessions", nargs="+", metavar="SES", help="default: all")
    group.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all")
    group.add_argument("--runs", nargs="+", metavar="RUN", help="default: all")
    group.add_argument("--space", help="space of preprocessed images")
    group.add_argument("--derivatives", metavar="NAME", help="folder of preprocessed images")
    images = parser.add_argument_group("fMRI")
    images.add_argument(
        "--atlas", metavar="FILE|NAME", help="parcellation (default: 246 regions, built in)"
    )
    images.add_argument("--memory", metavar="FOLDER", help="cache of region series")


def add_missing_positions(parser):
    """Add the option for channels without a position."""
    parser.add_argument(
        "--missing-positions",
        default="raise",
        choices=("raise", "placeholder"),
        help="channels without a position: not usable (default), or placed by order",
    )


def refuse_reader_options(options):
    """Refuse options of plain files for a BIDS folder, where sidecars replace them."""
    if options.encoding or options.allow_maxshield:
        options.parser.error(
            "--encoding and --allow-maxshield are for files: events of a BIDS folder are in its "
            "events.tsv, and shielded MEG is read with a warning"
        )


def is_bids_root(files):
    """Return True if the arguments are one BIDS folder."""
    paths = [Path(file) for file in files]
    folders = [path for path in paths if path.is_dir() and path.suffix not in (".ds", ".mff")]
    if folders and len(paths) > 1:
        raise ValueError(
            f"{folders[0]} is a folder: pass one BIDS folder alone, one at a time, or recordings "
            "as files."
        )
    return bool(folders)


def read_root(root, options):
    """Read the records that the options choose."""
    from ..io import read_bids

    return read_bids(root, datatypes=options.datatypes, **take(options, *ENTITIES))


def read_trials(root, options):
    """Read one sample per event."""
    from ..io import epochs_from_bids

    if not options.datatypes or len(options.datatypes) != 1:
        raise ValueError(
            "A BIDS folder is decoded by --target COLUMN of participants.tsv, or by its events "
            "with one datatype: --datatypes eeg."
        )
    kind = options.datatypes[0]
    if kind == "func":
        extra = _image_options(options)
    else:
        extra = dict(zip(("tmin", "tmax"), time_span(options), strict=True))
    return epochs_from_bids(
        root, datatypes=kind, event_id=options.event_id, **extra, **take(options, *ENTITIES)
    )


def read_runs(files, options):
    """Read one sample per event of fMRI runs in plain files."""
    from ..io import epochs_from_nifti

    event_id = options.event_id
    return epochs_from_nifti(files, options.events, event_id=event_id, **_image_options(options))


def _image_options(options):
    shift = {} if options.shift is None else {"shift": options.shift}
    return {**take(options, "tmin", "tmax", "memory"), "masker": options.atlas, **shift}


def time_span(options):
    """Start and end of an epoch of EEG or MEG from the onset of its event."""
    tmin = 0.0 if options.tmin is None else options.tmin
    tmax = 1.0 if options.tmax is None else options.tmax
    check_number("--tmax", tmax, low=tmin, low_open=True)
    return tmin, tmax


def take(options, *names):
    """Return some of the options as a dict."""
    return {name: getattr(options, name) for name in names}


def rows_of(records):
    """Return a table of subject, session, task, run and modalities of each record."""
    from ..signals import MODALITIES

    table = records.to_dataframe()[["subject", "session", "task", "run"]].copy()
    table["modalities"] = [
        "+".join(name for name in MODALITIES if record.get(name) is not None) for record in records
    ]
    return table
