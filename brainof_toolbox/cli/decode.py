"""The command ``brainof decode``: cross-validated scores of the samples in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .options import add_command, is_bids_root, network_parameters


def add_decode(commands, parents):
    """Add the command to the parsers of commands."""
    decode = add_command(
        commands,
        "decode",
        run_decode,
        parents,
        help="cross-validated decoding beside chance and classical decoders",
        description="Folds leave out whole subjects (sub-XX in the file names), else whole files; "
        "within one recording they are drawn from its samples, with a notice.",
    )
    decode.add_argument(
        "--adaptation", default="probe", choices=("probe", "lora", "full"), help="default: probe"
    )
    decode.add_argument(
        "--max-epochs",
        type=int,
        default=10,
        help="passes over the data for 'lora' and 'full' (10)",
    )
    decode.add_argument("--no-baselines", action="store_true", help="the network alone")
    decode.add_argument(
        "--groups",
        metavar="REGEX",
        help="label in the file name; files with the same label are left out together",
    )
    events = decode.add_argument_group("one sample per event (default)")
    events.add_argument(
        "--event-id", nargs="+", metavar="NAME", help="annotations, codes, or events of epochs"
    )
    events.add_argument(
        "--tmin", type=float, metavar="S", help="seconds from the event's onset (0)"
    )
    events.add_argument(
        "--tmax",
        type=float,
        metavar="S",
        help="end, seconds from the onset (1; images: the end of the event)",
    )
    events.add_argument(
        "--events", nargs="+", metavar="TABLE", help="events.tsv of each image, in their order"
    )
    events.add_argument(
        "--shift", type=float, metavar="S", help="haemodynamic delay, added to both in images (5)"
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


def run_decode(options):
    """Run ``brainof decode`` and print the scores."""
    from ..estimators import BrainOFClassifier, BrainOFRegressor

    if options.labels and not options.target:
        options.parser.error("--labels needs --target COLUMN")
    if options.target and not options.labels:
        if not Path(options.files[0]).exists():
            raise FileNotFoundError(f"No such recording or folder: {options.files[0]}.")
        if not is_bids_root(options.files):
            options.parser.error("--target needs --labels TABLE, or a BIDS folder")
    from .decoding_data import read_decoding_data  # other commands need no reader

    data = read_decoding_data(options.files, options)
    kind = BrainOFRegressor if data.y.dtype.kind == "f" else BrainOFClassifier
    estimator = kind(
        **network_parameters(options),
        adaptation=_make_adaptation(options),
        info=data.info,
        random_state=0,
    )
    found = score(data, estimator, baselines=not options.no_baselines, verbose=True)
    print(format_scores(found, data, estimator))


def _make_adaptation(options):
    from ..estimators import FineTuning, LoRA

    trained = {"lora": LoRA, "full": FineTuning}.get(options.adaptation)
    return trained(max_epochs=options.max_epochs) if trained else options.adaptation


def decoder_name(classifier):
    """Name the network in tables; the name of an untrained one differs."""
    return "Brain-OF" if classifier.checkpoint is not None else "Brain-OF (untrained)"


def score(data, estimator, *, baselines=True, verbose=None):
    """Cross-validate the network, with classical decoders on the same folds."""
    from ..evaluation import compare, cross_validate

    options = {"groups": data.groups, "verbose": verbose}
    if not baselines:
        return cross_validate(estimator, data.X, data.y, **options)
    decoders = {decoder_name(estimator): estimator}
    return compare(decoders, data.X, data.y, baselines=True, **options)


def format_scores(found, data, estimator):
    """Format the data, the kind of folds, and the scores."""
    lines = [f"{len(data.y)} samples, {_describe(data.y)}."]
    if isinstance(data.groups, str):
        lines.append(
            "ATTENTION: one recording or no groups: folds are drawn from its samples. The score "
            "is no estimate for other recordings or subjects."
        )
    else:
        lines.append(f"Folds leave out whole {data.grouping}: {len(set(data.groups))} in all.")
    name = "" if hasattr(found, "differences") else f"{decoder_name(estimator)}\n"
    return "\n".join([*lines, "", f"{name}{found}"])


def _describe(y):
    if y.dtype.kind == "f":
        return f"targets from {y.min():g} to {y.max():g}"
    labels, counts = np.unique(y, return_counts=True)
    return "classes " + ", ".join(f"{a} ({n})" for a, n in zip(labels, counts, strict=True))
