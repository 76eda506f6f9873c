"""The command ``brainof decode``: files -> samples, labels and groups -> a table of scores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.unique import refuse_repeated
from ..io.bids_names import subject_of
from .options import (
    is_bids_root,
    modalities_of,
    network_parameters,
    read_root,
    read_trials,
    refuse_reader_options,
    time_span,
)


def add_decode(commands, parents):
    """Add the command to the parsers of commands."""
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
    decode.set_defaults(run=run_decode, parser=decode)


def run_decode(options):
    """Decode what the options ask for, and print the scores."""
    from ..estimators import BrainOFClassifier, BrainOFRegressor

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
        adaptation=_make_adaptation(options),
        info=task.info,
        random_state=0,
    )
    decoders = make_decoders(task, estimator, 0 if options.no_baselines else None)
    print(format_scores(score(task, decoders, verbose=True), task, decoders))


def _make_adaptation(options):
    from ..estimators import FineTuning, LoRA

    trained = {"lora": LoRA, "full": FineTuning}.get(options.adaptation)
    return trained(max_epochs=options.max_epochs) if trained else options.adaptation


@dataclass(frozen=True, eq=False)
class Task:
    """What is decoded."""

    X: object  # Samples in a form that the estimators take
    y: np.ndarray  # (n_samples,) Labels or numbers
    groups: object  # (n_samples,) Whose samples they are
    sfreq: float | None  # Sampling rate in Hz; ``None`` when recordings differ
    grouping: str  # What the groups are, in words
    info: object = None  # Channels of an array
    modalities: tuple = ()  # Of records, which have their own classical decoders


def make_task(files, options):
    """Read what the options of ``brainof decode`` ask for."""
    from ..io.splits import drop_later_parts

    files = [Path(file) for file in drop_later_parts(files)]
    if is_bids_root(files):
        refuse_reader_options(options)
        task = _bids_task(files[0], options)
    elif files[0].suffix == ".npy":
        task = _array_task(files, options)
    elif options.labels or options.label_from_name:
        task = _recordings_task(files, options)
    else:
        task = _epochs_task(files, options)
    _check_labels(task.y)
    return task


def _check_labels(y):
    """Refuse what no fold could learn and test."""
    if y.dtype.kind == "f":
        return
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        raise ValueError(f"All {len(y)} samples have the label '{labels[0]}': nothing to decode.")
    if counts.max() < 2:
        raise ValueError(
            f"Every one of the {len(y)} samples has a label of its own ({labels[0]}, "
            f"{labels[1]}, ...): a class needs at least two samples."
        )


def _bids_task(root, options):
    """A column of participants.tsv, or the events of one datatype."""
    from ..io import read_participants
    from ..io.trials import group_trials

    if options.target:
        records = read_root(root, options)
        y = read_participants(root, options.target, records)
        groups = np.array(records.subject)
        return Task(records, y, groups, None, "subjects", None, tuple(modalities_of(records)))
    trials = read_trials(root, options)
    table = trials.metadata
    groups, grouping = group_trials(table)
    if len(set(groups)) < 2:
        groups, grouping = "none", ""
    y = table["trial_type"].to_numpy(dtype=str)
    if hasattr(trials, "info"):
        return Task(trials, y, groups, trials.info["sfreq"], grouping)
    kind = "fmri" if options.datatypes[0] == "func" else options.datatypes[0]
    if kind == "fmri" and options.tmax is None:
        _warn_of_lengths(table)
    return Task(trials, y, groups, None, grouping, None, (kind,))


def _warn_of_lengths(table):
    """Trials as long as their events may give their class away."""
    lengths = table.groupby("trial_type")["duration"].median()
    if lengths.min() < 0.8 * lengths.max():
        found = ", ".join(f"{name} {length:g} s" for name, length in lengths.items())
        warn(
            f"Events last differently ({found}), and so do their samples: a decoder can tell them "
            "apart by length alone. Choose events of one length with --event-id, or give --tmax."
        )


def _array_task(files, options):
    import mne

    if len(files) != 1 or not options.y or not options.sfreq:
        raise ValueError("An array is decoded alone and needs --y LABELS.npy and --sfreq HZ.")
    data = np.load(files[0], allow_pickle=False) * options.scale
    if data.ndim != 3:
        raise ValueError(f"{files[0]} must be (samples, channels, times), got {data.shape}.")
    names = [f"{options.ch_type.upper()}{i + 1:03d}" for i in range(data.shape[1])]
    info = mne.create_info(names, options.sfreq, options.ch_type, verbose="error")
    y = np.load(options.y, allow_pickle=False)
    return Task(data, y, "none", options.sfreq, "", info)


def _recordings_task(files, options):
    from ..io.images import is_image

    if options.labels:
        y, files = _labels_from_table(files, options.labels, options.target)
    else:
        y = [_match(options.label_from_name, file, "--label-from-name") for file in files]
    groups, grouping = groups_of(files, options.groups)
    if all(is_image(file) for file in files):
        images = [{"fmri": file} for file in files]
        return Task(images, np.array(y), groups, None, grouping, None, ("fmri",))
    # On-disk recordings stay on disk; only their rates are looked at here.
    recordings = [_read(file, options) for file in files]
    for file, recording in zip(files, recordings, strict=True):
        if hasattr(recording, "event_id") and len(recording) != 1:
            raise ValueError(
                f"{file} holds {len(recording)} epochs: one label per file is too few."
            )
    rates = {recording.info["sfreq"] for recording in recordings}
    sfreq = rates.pop() if len(rates) == 1 else None
    return Task(recordings, np.array(y), groups, sfreq, grouping)


def _read(file, options):
    from ..io import read_recording

    return read_recording(file, encoding=options.encoding, allow_maxshield=options.allow_maxshield)


def _labels_from_table(files, table, target):
    """Labels by file name, else by subject; files without a label are an error."""
    from ..io.label_table import read_labels

    return read_labels(files, table, target), files


def _epochs_task(files, options):
    from ..io import from_epochs
    from ..signals import Signals, as_parts

    parts, y, owners = [], [], []
    for file in files:
        epochs = cut_epochs(file, options)
        refuse_repeated(epochs.event_id.values(), f"{file}: names of events share codes")
        names = {code: name for name, code in epochs.event_id.items()}
        parts.append(from_epochs(epochs, missing_positions=options.missing_positions))
        y.extend(names[code] for code in epochs.events[:, 2])
        owners.extend([file] * len(epochs))
    groups, grouping = groups_of(owners, options.groups)
    if len(parts) == 1:
        X = parts[0]
    elif all(isinstance(p, Signals) for p in parts) and len({p.signature for p in parts}) == 1:
        X = Signals.concatenate(parts)
    else:
        X = [part[i] for part in parts for i in range(len(part))]
    rates = {signals.sfreq for part in parts for signals in as_parts(part).values()}
    return Task(X, np.array(y), groups, rates.pop() if len(rates) == 1 else None, grouping)


def cut_epochs(file, options):
    """Epochs of a file: its own, or cut around its events."""
    import mne

    from ..io.images import is_image

    if is_image(file):
        raise ValueError(
            f"{file} is an image, without events. Images are decoded one label each, with "
            "--labels TABLE --target COLUMN or --label-from-name REGEX, or by events in a BIDS "
            "folder."
        )
    recording = _read(file, options)
    if isinstance(recording, mne.BaseEpochs):
        wanted = options.event_id
        return recording[wanted] if wanted else recording
    events, event_id = _events(recording, file)
    if options.event_id:
        unknown = sorted(set(options.event_id) - set(event_id))
        if unknown:
            raise ValueError(f"{file} has no events {unknown}; it has {sorted(event_id)}.")
        event_id = {name: event_id[name] for name in options.event_id}
    elif len(event_id) > 6:
        raise ValueError(f"{file} has {len(event_id)} events; choose with --event-id NAME NAME.")
    tmin, tmax = time_span(options)
    epochs = mne.Epochs(
        recording,
        events,
        event_id,
        tmin,
        tmax,
        baseline=None,
        preload=True,
        event_repeated="drop",
        verbose="error",
    )
    n_across = sum("BAD boundary" in reasons for reasons in epochs.drop_log)
    if n_across:
        warn(f"{file}: {n_across} epoch(s) that would span a gap are left out.")
    return epochs


def _events(raw, file):
    """Events from annotations, else from a stimulus channel; codes become names."""
    import mne

    if len(raw.annotations):
        events, event_id = mne.events_from_annotations(raw, verbose="error")
        if len(event_id):
            return events, event_id
    if "stim" in raw:
        events = mne.find_events(raw, verbose="error")
        if len(events):
            return events, {str(code): int(code) for code in np.unique(events[:, 2])}
    raise ValueError(
        f"{file} has neither annotations nor events in a stimulus channel. For one label per "
        "recording give --labels TABLE --target COLUMN, or --label-from-name REGEX."
    )


def _match(pattern, file, option):
    found = re.search(pattern, file.name)
    if not found:
        raise ValueError(f"{option} {pattern!r} finds nothing in the file name {file.name!r}.")
    return found[1] if found.groups() else found[0]


def groups_of(files, pattern):
    """Subjects from the file names, else the files, else none."""
    if pattern:
        groups = [_match(pattern, file, "--groups") for file in files]
        return np.array(groups), f"matches of {pattern!r}"
    subjects = [subject_of(file.name) for file in files]
    if all(subjects) and len(set(subjects)) > 1:
        return np.array([f"sub-{subject}" for subject in subjects]), "subjects"
    if len(set(files)) > 1 and len(set(files)) < len(files):
        is_unique = len({file.name for file in files}) == len(set(files))
        return np.array([file.name if is_unique else str(file) for file in files]), "files"
    return "none", ""


def decoder_name(classifier):
    """Name the network's estimator in tables, saying whether its weights are trained."""
    return "Brain-OF" if classifier.checkpoint is not None else "Brain-OF (untrained)"


def make_decoders(task, classifier, n_baselines=None):
    """The network beside the classical decoders that this task allows."""
    from sklearn.base import is_regressor

    from ..baselines.arrays import make_baselines
    from ..baselines.records import make_record_baselines

    decoders = {decoder_name(classifier): classifier}
    if task.modalities:
        baselines = make_record_baselines(
            task.modalities,
            masker=classifier.masker,
            memory=classifier.memory,
            missing_positions=classifier.missing_positions,
            is_regression=is_regressor(classifier),
        )
        decoders.update(list(baselines.items())[:n_baselines])
    elif task.sfreq is not None:
        baselines = make_baselines(task.sfreq, is_regression=is_regressor(classifier))
        decoders.update(list(baselines.items())[:n_baselines])
    else:
        warn("Recordings differ in sampling rate: the classical decoders are left out.")
    return decoders


def score(task, decoders, *, verbose=None):
    """Cross-validate the decoders on the same folds; one alone gives its scores."""
    from ..evaluation import compare, cross_validate

    options = {"groups": task.groups, "verbose": verbose}
    if len(decoders) == 1:
        (decoder,) = decoders.values()
        return cross_validate(decoder, task.X, task.y, **options)
    return compare(decoders, task.X, task.y, **options)


def format_scores(found, task, decoders):
    """Write what was decoded, how folds were made, and the scores."""
    lines = [f"{len(task.y)} samples, {_describe(task.y)}."]
    if isinstance(task.groups, str):
        lines.append(
            "ATTENTION: one recording or no groups: folds are drawn from the samples themselves. "
            "The score is no estimate for other recordings or subjects."
        )
    else:
        lines.append(f"Folds leave out whole {task.grouping}: {len(set(task.groups))} in all.")
    name = f"{next(iter(decoders))}\n" if len(decoders) == 1 else ""
    return "\n".join([*lines, "", f"{name}{found}"])


def _describe(y):
    if y.dtype.kind == "f":
        return f"targets from {y.min():g} to {y.max():g}"
    labels, counts = np.unique(y, return_counts=True)
    return "classes " + ", ".join(f"{a} ({n})" for a, n in zip(labels, counts, strict=True))
