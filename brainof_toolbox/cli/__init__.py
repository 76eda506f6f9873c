"""The command ``brainof``: demo, info, embed, decode, corpus, pretrain, plot-run."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from pathlib import Path

from .bids_source import add_bids_options, add_reader_options, is_bids_root
from .corpus import add_corpus_commands
from .embed import (
    add_checkpoint_option,
    add_embed_options,
    network_parameters,
    run_embed,
)
from .info import run_info
from .pretrain import add_pretrain_commands

_EXAMPLES = """examples:
  brainof demo
  brainof info
  brainof embed sub-*_eeg.edf -o embeddings.csv
  brainof embed bids_root/ --datatypes eeg func -o embeddings.parquet
  brainof embed bids_root/ -o embeddings.parquet --jobs 8 --on-error skip
  brainof decode bids_root/ --target sex
  brainof decode S001R03.edf S001R07.edf S001R11.edf --event-id T1 T2 --tmin 0.5 --tmax 3.5
  brainof decode sub-*_eeg.edf --label-from-name "task-([a-z]+)"
  brainof corpus build bids_root/ -o corpus/
  brainof pretrain run.toml
  brainof decode X.npy --y y.npy --sfreq 400 --ch-type mag --scale 1e-15 \\
      --missing-positions placeholder

exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage
"""


def main(argv=None):
    """Run the command line."""
    options = make_parser().parse_args(argv)
    said = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = lambda message, *args, **kwargs: _show(str(message), said)
        try:
            options.run(options)
            _show_repeated(said)
        except KeyboardInterrupt:
            print("brainof: interrupted", file=sys.stderr)
            return 130  # 128 + SIGINT, which is how shells know
        except Exception as error:
            if options.debug:
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            print(f"brainof: error: {text}", file=sys.stderr)
            return 1
    return 0


def _show(message, said):
    """Print a warning, unless it differs from an earlier one only in file, names or numbers."""
    text = " ".join(message.split())
    kind = re.sub(r"\S*[/\\]\S*|\[.*\]|\d", "", text)
    if kind not in said:
        said[kind] = text, set()
        print(f"warning: {text}", file=sys.stderr)
    elif text != said[kind][0]:
        said[kind][1].add(text)


def _show_repeated(said):
    """Count the warnings that were not printed."""
    for text, others in said.values():
        if others:
            words = re.sub(r"^\S*[/\\]\S*\s+", "", text)
            words = words if len(words) <= 60 else f"{words[:60].rsplit(' ', 1)[0]} ..."
            count = f"{len(others)} more warning{'s' if len(others) > 1 else ''} of this kind"
            print(f"warning: {count}: {words}", file=sys.stderr)


def make_parser():
    """Describe all commands and options."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="brainof",
        description="Embed and decode EEG, MEG and fMRI with the Brain-OF network: recordings, "
        "images and BIDS folders.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        required=True, metavar="{demo,info,embed,decode,corpus,pretrain,plot-run}"
    )

    demo = commands.add_parser("demo", parents=[shared], help="decode recordings and show it")
    demo.add_argument(
        "--data", help="folder of EEG recordings (default: BRAINOF_DATA, else simulated)"
    )
    demo.add_argument("--figure", default="brainof_demo.png", help="where to save the figure")
    add_checkpoint_option(demo)
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", parents=[shared], help="versions, devices, checkpoints")
    info.add_argument("checkpoint", nargs="?", help="name or folder of one to describe")
    info.set_defaults(run=run_info)

    network = argparse.ArgumentParser(add_help=False)
    network.add_argument(
        "files",
        nargs="+",
        metavar="PATH",
        help="recordings that MNE reads, 4-D images, or one BIDS folder",
    )
    add_checkpoint_option(network)
    network.add_argument(
        "--pooling", default="flat", choices=("flat", "mean", "mean+std"), help="default: flat"
    )
    network.add_argument(
        "--layer", type=int, metavar="N", help="read the latents after N layers (default: all)"
    )
    network.add_argument("--window", type=float, metavar="S", help="window length in seconds")
    network.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    network.add_argument(
        "--missing-positions",
        default="raise",
        choices=("raise", "placeholder"),
        help="channels without a position: an error (default), or placed by order",
    )
    add_reader_options(network)
    add_bids_options(network)

    embed = commands.add_parser(
        "embed",
        parents=[shared, network],
        help="write one row of features per recording",
        description="One row per recording or image, or per epoch or average of a file that holds "
        "these; of a BIDS folder, one row per subject, session, task and run, its modalities read "
        "together.",
    )
    add_embed_options(embed)
    embed.set_defaults(run=run_embed, parser=embed)
    _add_decode(commands, [shared, network])
    add_corpus_commands(commands, [shared])
    add_pretrain_commands(commands, [shared])
    return parser


def _add_decode(commands, parents):
    decode = commands.add_parser(
        "decode",
        parents=parents,
        help="cross-validated decoding beside chance and classical decoders",
        description="Folds leave out whole subjects (sub-XX in the file names), else whole files; "
        "within one recording they are drawn from its samples, and the output says so.",
    )
    decode.add_argument(
        "--adaptation", default="probe", choices=("probe", "lora", "full"), help="default: probe"
    )
    decode.add_argument(
        "--max-epochs", type=int, default=10, help="of 'lora' and 'full' (default 10)"
    )
    decode.add_argument("--no-baselines", action="store_true", help="the network alone")
    decode.add_argument(
        "--groups", metavar="REGEX", help="what is left out together, found in the file name"
    )
    events = decode.add_argument_group("one sample per event (default)")
    events.add_argument(
        "--event-id", nargs="+", metavar="NAME", help="annotations, codes, or events of epochs"
    )
    events.add_argument(
        "--tmin", type=float, metavar="S", help="seconds from the event's onset (0)"
    )
    events.add_argument(
        "--tmax", type=float, metavar="S", help="the same (1; of images: the end of the event)"
    )
    events.add_argument(
        "--shift",
        type=float,
        metavar="S",
        help="haemodynamic delay, added to both in images of a BIDS folder (5)",
    )
    whole = decode.add_argument_group("one sample per recording")
    whole.add_argument("--labels", metavar="TABLE", help=".tsv or .csv by file or by subject")
    whole.add_argument(
        "--target",
        metavar="COLUMN",
        help="of TABLE, or of a BIDS folder's participants.tsv; numbers mean regression",
    )
    whole.add_argument("--label-from-name", metavar="REGEX", help="label in the file name")
    array = decode.add_argument_group("an array: X.npy (samples, channels, times)")
    array.add_argument("--y", metavar="Y.npy", help="labels")
    array.add_argument("--sfreq", type=float, metavar="HZ", help="sampling rate")
    array.add_argument("--ch-type", default="eeg", choices=("eeg", "mag", "grad"))
    array.add_argument("--scale", type=float, default=1.0, help="factor to V, T or T/m (1)")
    decode.set_defaults(run=_decode, parser=decode)


def _demo(options):
    from .demo import run_demo

    run_demo(options.data, options.figure, options.checkpoint)


def _decode(options):
    from ..estimators import BrainOFClassifier, BrainOFRegressor
    from .decode import format_scores, make_decoders, make_task, score

    if options.labels and not options.target:
        options.parser.error("--labels needs --target COLUMN")
    if options.target and not options.labels:
        if not Path(options.files[0]).exists():
            raise FileNotFoundError(f"No such recording or folder: {options.files[0]}.")
        if not is_bids_root(options.files):
            options.parser.error("--target needs --labels TABLE, or a BIDS folder")
    task = make_task(options.files, options)
    kind = BrainOFRegressor if task.y.dtype.kind == "f" else BrainOFClassifier
    estimator = kind(
        **network_parameters(options),
        adaptation=options.adaptation,
        max_epochs=options.max_epochs,
        info=task.info,
        random_state=0,
    )
    decoders = make_decoders(task, estimator, 0 if options.no_baselines else None)
    print(format_scores(score(task, decoders, verbose=True), task, decoders))


if __name__ == "__main__":
    sys.exit(main())
