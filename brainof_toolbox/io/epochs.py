"""Cut epochs of the recordings of a BIDS dataset by their events.tsv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._utils.logging import group_warnings
from .bad_spans import leave_out_channels
from .bids import read_bids
from .bids_events import Dropped, choose_events, common_duration, find_events, read_events
from .bids_files import DATATYPES
from .bids_recordings import read_bids_recording
from .edf_gaps import place_times
from .image_trials import cut_runs
from .trials import Trials, check_span, make_metadata, refuse_together


@group_warnings()
def epochs_from_bids(
    root,
    *,
    datatypes=None,
    subjects=None,
    sessions=None,
    tasks=None,
    runs=None,
    space=None,
    derivatives=None,
    event_id=None,
    tmin=None,
    tmax=None,
    baseline=None,
    shift=5.0,
    masker=None,
    confounds=True,
    memory=None,
    column="trial_type",
):
    """Cut the runs of a BIDS dataset by their ``events.tsv``.

    Parameters
    ----------
    root : path-like
        The dataset.
    datatypes : str | None
        One of ``"eeg"``, ``"meg"``, ``"func"``; ``None``: the only one in the dataset.
    subjects, sessions, tasks, runs, space, derivatives : object
        Selection of recordings, as in :func:`read_bids`.
    event_id : dict of str -> int | sequence of str | str | None
        Trial types, and their codes in ``epochs.events``; ``None``: all, numbered in alphabetical
        order over all files, except those that start with ``bad`` or ``edge`` (spans to avoid).
    tmin, tmax : float | None
        Start and end of a trial in seconds from the onset of its event. Default: from the onset
        to the end of the event; EEG and MEG then need events of one duration.
    baseline : tuple | None
        Baseline correction of EEG and MEG, as in :class:`mne.Epochs`.
    shift : float
        Haemodynamic delay in seconds, added to both ends of an fMRI trial.
    masker : object
        Parcellation of fMRI, as in :func:`from_nifti`.
    confounds : bool
        Regress out the confounds beside preprocessed images.
    memory : str | joblib.Memory | None
        Cache of masked series, as in :func:`from_nifti`.
    column : str
        Column of ``events.tsv`` with the trial type.

    Returns
    -------
    epochs : mne.Epochs | Trials
        One sample per event, with ``metadata``: ``subject``, ``session``, ``task``, ``run``,
        ``trial_type``, ``onset`` (s, as in ``events.tsv``: from the start of the recording, the
        gaps of a discontinuous file included), ``duration`` (s). EEG and MEG are one
        :class:`mne.Epochs` when channels, their positions, bad channels and sampling rates are
        the same in all runs, else :class:`Trials` of one-epoch Epochs. fMRI is :class:`Trials` of
        :class:`~brainof_toolbox.Signals` with one sample: region series, detrended and z-scored
        over their run, then cut.

    Raises
    ------
    FileNotFoundError
        If a run has no events; the message names the expected file.
    ValueError
        If no event is left, a column or trial type does not exist, or required durations are
        missing in ``events.tsv``.

    Warns
    -----
    RuntimeWarning
        If channels are left out for bad spans of their own, as by :func:`from_raw`.
    RuntimeWarning
        Once, with counts: events without onset (``n/a``), in bad spans or across gaps, in gaps,
        or beyond the ends of the recording are left out.

    Notes
    -----
    A trial starts with the volume nearest to its start (of two, the later). Trials of one
    duration have the same number of volumes, at least two.
    """
    cut = {"event_id": event_id, "tmin": tmin, "tmax": tmax, "column": column}
    check_span(tmin, tmax, shift)
    which = {"subjects": subjects, "sessions": sessions, "tasks": tasks, "runs": runs}
    records = read_bids(root, datatypes=datatypes, space=space, derivatives=derivatives, **which)
    there = [name for name, key in DATATYPES.items() if any(key in item for item in records)]
    if len(there) > 1:
        raise ValueError(f"There are {there}: choose one with datatypes=.")
    datatype, key = there[0], DATATYPES[there[0]]
    records = [record for record in records if key in record]
    events = [find_events(record[key], datatype, root) for record in records]
    if datatype != "func":
        return _cut_recordings(records, events, baseline=baseline, **cut)
    if not confounds:
        records = [{**record, "confounds": None} for record in records]
    return cut_runs(records, events, shift=shift, masker=masker, memory=memory, **cut)


def _cut_recordings(records, events, *, event_id, tmin, tmax, column, baseline):
    dropped, tmin = Dropped(), check_span(tmin, tmax)
    tables = [read_events(path, column, dropped) for path in events]
    tables, event_id = choose_events(tables, event_id)
    duration = common_duration(tables) if tmax is None else None
    cut = []
    for record, table in zip(records, tables, strict=True):
        if len(table) == 0:
            continue
        raw = read_bids_recording(record.get("eeg") or record["meg"])
        # The last time point is one before the end of the event, where the next may start.
        end = duration - 1 / raw.info["sfreq"] if tmax is None else tmax
        epochs = _cut_raw(raw, table, record, event_id, (tmin, end), baseline, dropped)
        if epochs is not None:
            cut.append(epochs)
    dropped.warn()
    if not cut:
        raise ValueError("No epoch is left: all events were dropped.")
    return _put_together(cut)


def _cut_raw(raw, table, record, event_id, span, baseline, dropped):
    """Cut epochs of one recording; None if there are none."""
    import mne

    sfreq, name = raw.info["sfreq"], Path(raw.filenames[0]).name
    info, annotations = leave_out_channels(raw)
    raw.info["bads"] = info["bads"]
    raw.set_annotations(annotations, emit_warning=False)
    onset, is_lost = place_times(raw, table["onset"].to_numpy())
    dropped.add("where the recording has no data", is_lost.sum(), name)
    table, onset = table[~is_lost], onset[~is_lost]
    sample = np.round(onset * sfreq).astype(int)
    repeated = table.assign(sample=sample).duplicated(["sample", "trial_type"]).to_numpy()
    dropped.add("repeated", repeated.sum(), name)
    first, last = (sample + round(at * sfreq) for at in span)
    outside = ((first < 0) | (last >= len(raw.times))) & ~repeated
    dropped.add("beyond the ends of the recording", outside.sum(), name)
    keep = ~repeated & ~outside
    table, sample = table[keep].reset_index(drop=True), sample[keep] + raw.first_samp
    refuse_together(sample, table["trial_type"], name)
    if len(table) == 0:
        return None
    codes = table["trial_type"].map(event_id).to_numpy(int)
    epochs = mne.Epochs(
        raw,
        np.column_stack([sample, np.zeros_like(sample), codes]),
        {kind: event_id[kind] for kind in dict.fromkeys(table["trial_type"])},
        *span,
        baseline=baseline,
        metadata=make_metadata(table, record),
        preload=True,
        verbose="error",
    )
    dropped.add("in spans annotated as bad", len(table) - len(epochs), name)
    return epochs if len(epochs) else None


def _put_together(cut):
    """Concatenate Epochs of equal channels and rates, else return one-epoch Epochs."""
    import mne
    import pandas as pd

    if len(cut) == 1:
        return cut[0]
    if all(_same_sensors(cut[0], other) for other in cut[1:]):
        for epochs in cut:
            epochs.set_annotations(None)
        return mne.concatenate_epochs(cut, verbose="error")
    items = [epochs[i] for epochs in cut for i in range(len(epochs))]
    return Trials(items, pd.concat([epochs.metadata for epochs in cut]))


def _same_sensors(a, b):
    layouts, places = [], []
    for epochs in (a, b):
        info, head = epochs.info, epochs.info["dev_head_t"]
        recording = (info["bads"], info["sfreq"], len(epochs.times), head is None)
        layouts.append((info["ch_names"], epochs.get_channel_types(), *recording))
        places.append([*(ch["loc"] for ch in info["chs"]), *(head["trans"] if head else [])])
    if layouts[0] != layouts[1]:
        return False
    pairs = zip(*places, strict=True)
    return all(np.allclose(*pair, atol=1e-6, equal_nan=True) for pair in pairs)
