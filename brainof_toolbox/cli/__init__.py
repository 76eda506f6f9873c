"""The command ``brainof``: demo, info, embed, decode, corpus, pretrain, plot-run."""

from __future__ import annotations

import argparse
import re
import sys
import warnings

from .._utils.logging import kind_of
from .corpus import add_corpus_commands
from .decode import add_decode
from .demo import add_demo
from .embed import add_embed
from .info import add_info
from .options import make_network_options
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

exit codes: 0 done, 1 failed (one line on stderr gives the reason), 2 wrong usage
"""


def main(argv=None):
    """Run the command line."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(argv)
    if unknown:  # with the usage of the command, not of all commands
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    shown = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = lambda message, *args, **kwargs: _show(str(message), shown)
        try:
            options.run(options)
            _show_repeated(shown)
        except KeyboardInterrupt:
            print("brainof: interrupted", file=sys.stderr)
            return 130  # 128 + SIGINT, as shells return
        except Exception as error:
            if options.debug:
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            print(f"brainof: error: {text}", file=sys.stderr)
            return 1
    return 0


def _show(message, shown):
    """Print a warning, unless it differs from an earlier one only in file, names or numbers."""
    text = " ".join(message.split())
    kind = kind_of(text)
    if kind not in shown:
        shown[kind] = text, set()
        print(f"warning: {text}", file=sys.stderr)
    elif text != shown[kind][0]:
        shown[kind][1].add(text)


def _show_repeated(shown):
    """Count the warnings that were not printed."""
    for text, others in shown.values():
        if others:
            words = re.sub(r"^\S*[/\\]\S*\s+", "", text)
            words = words if len(words) <= 60 else f"{words[:60].rsplit(' ', 1)[0]} ..."
            count = f"{len(others)} more warning{'s' if len(others) > 1 else ''} of this kind"
            print(f"warning: {count}: {words}", file=sys.stderr)


def make_parser():
    """Make the parser of all commands and options."""
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

    network = make_network_options()
    add_demo(commands, [shared])
    add_info(commands, [shared])
    add_embed(commands, [shared, network])
    add_decode(commands, [shared, network])
    add_corpus_commands(commands, [shared])
    add_pretrain_commands(commands, [shared])
    return parser
