"""Files and options of ``brainof decode`` -> samples, targets and groups."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.unique import refuse_repeated
from ..evaluation.groups import event_names
from ..io.bids_names import subject_of
from ..io.sample_list import SampleList
from .options import (
    is_bids_root,
    read_root,
    read_runs,
    read_trials,
    refuse_reader_options,
    time_span,
)


@dataclass(frozen=True, eq=False)
class DecodingData:
    """Samples, targets and groups read from files."""

    X: object  # Samples in a form that the estimators take
    y: np.ndarray  # (n_samples,) Labels or numbers
    groups: object  # (n_samples,) Group of each sample, or "none"
    grouping: str = ""  # Name of the groups in the output
    info: object = None  # Channels of an array


def read_decoding_data(files, options):
    """Read samples, targets and groups as the options of ``brainof decode`` require."""
    from ..io.splits import drop_later_parts

    files = [Path(file) for file in drop_later_parts(files)]
    if is_bids_root(files):
        refuse_reader_options(options)
        data = _read_bids(files[0], options)
    elif options.events:
        data = _describe_trials(read_runs(files, options), options, is_fmri=True)
    elif files[0].suffix == ".npy":
        data = _read_array(files, options)
    elif options.labels or options.label_from_name:
        data = _read_recordings(files, options)
    else:
        data = _read_epochs(files, options)
    _check_labels(data.y)
    return data


def _check_labels(y):
    """Refuse labels that no fold can train on and test."""
    if y.dtype.kind == "f":
        return
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        raise ValueError(f"All {len(y)} samples have the label '{labels[0]}': nothing to decode.")
    if counts.max() < 2:
        raise ValueError(
            f"Each of the {len(y)} samples has a label of its own ({labels[0]}, "
            f"{labels[1]}, ...): a class needs at least two samples."
        )


def _read_bids(root, options):
    """Read records with a column of participants.tsv, or the events of one datatype."""
    from ..io import read_participants

    if options.target:
        records = read_root(root, options)
        y = read_participants(root, options.target, records)
        groups = np.array(records.subject)
        return DecodingData(records, y, groups, "subjects")
    trials = read_trials(root, options)
    return _describe_trials(trials, options, is_fmri=options.datatypes[0] == "func")


def _describe_trials(trials, options, *, is_fmri):
    """Take targets and groups from the table of trials."""
    from ..io.trials import group_trials

    table = trials.metadata
    groups, grouping = group_trials(table)
    if len(set(groups)) < 2:
        groups, grouping = "none", ""
    y = table["trial_type"].to_numpy(dtype=str)
    if is_fmri and options.tmax is None:
        _warn_of_lengths(table)
    return DecodingData(trials, y, groups, grouping)


def _warn_of_lengths(table):
    """Warn if the length of trials depends on their class."""
    lengths = table.groupby("trial_type")["duration"].median()
    if lengths.min() < 0.8 * lengths.max():
        found = ", ".join(f"{name} {length:g} s" for name, length in lengths.items())
        warn(
            f"Events differ in duration ({found}), and so do their samples: a decoder can use the "
            "duration alone. Choose events of one duration with --event-id, or give --tmax."
        )


def _read_array(files, options):
    import mne

    if len(files) != 1 or not options.y or not options.sfreq:
        raise ValueError("An array is decoded alone and needs --y LABELS.npy and --sfreq HZ.")
    data = np.load(files[0], allow_pickle=False) * options.scale
    if data.ndim != 3:
        raise ValueError(f"{files[0]} must be (samples, channels, times), got {data.shape}.")
    names = [f"{options.ch_type.upper()}{i + 1:03d}" for i in range(data.shape[1])]
    info = mne.create_info(names, options.sfreq, options.ch_type, verbose="error")
    y = np.load(options.y, allow_pickle=False)
    return DecodingData(data, y, "none", info=info)


def _read_recordings(files, options):
    from ..io.images import is_image
    from ..io.label_table import read_labels

    if options.labels:
        y = read_labels(files, options.labels, options.target)
    else:
        y = [_match(options.label_from_name, file, "--label-from-name") for file in files]
    groups, grouping = groups_of(files, options.groups)
    if all(is_image(file) for file in files):
        images = [{"fmri": file} for file in files]
        return DecodingData(images, np.array(y), groups, grouping)
    # On-disk recordings stay on disk.
    recordings = [_read(file, options) for file in files]
    for file, recording in zip(files, recordings, strict=True):
        if hasattr(recording, "event_id") and len(recording) != 1:
            raise ValueError(
                f"{file} holds {len(recording)} epochs: one label per file is too few."
            )
    return DecodingData(recordings, np.array(y), groups, grouping)


def _read(file, options):
    from ..io import read_recording

    return read_recording(file, encoding=options.encoding, allow_maxshield=options.allow_maxshield)


def _read_epochs(files, options):
    X, sources = [], []
    for file in files:
        X.append(cut_epochs(file, options))
        refuse_repeated(X[-1].event_id.values(), f"{file}: names of events share codes")
        sources += [file] * len(X[-1])
    groups, grouping = groups_of(sources, options.groups)
    return DecodingData(X, event_names(SampleList(X)), groups, grouping)


def cut_epochs(file, options):
    """Read the epochs of a file, or cut epochs around its events."""
    import mne

    from ..io.images import is_image

    if is_image(file):
        raise ValueError(
            f"{file} is an image, without events. Images are decoded one label each, with "
            "--labels TABLE --target COLUMN or --label-from-name REGEX, or by events: --events "
            "TABLE TABLE, or those of a BIDS folder."
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
    """Read events from annotations, else from a stimulus channel; codes become names."""
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
    """Group by subjects in the file names, else by file; ``"none"`` where neither applies."""
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
