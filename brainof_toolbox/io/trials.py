"""Read trials of BIDS runs: epochs of EEG and MEG, segments of fMRI runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._utils.logging import group_warnings
from .._utils.validation import check_number, check_option
from ..signals import PER_SAMPLE, Signals
from .bids import indices, read_bids
from .bids_events import Dropped, choose_events, common_duration, find_events, read_events
from .bids_files import DATATYPES
from .edf_gaps import place_times

#: Minimum number of volumes of a trial.
_MIN_VOLUMES = 2


class Trials(Sequence):
    """Trials that cannot be stored in one object, with a table of their labels.

    A valid ``X`` for every estimator of this package and for scikit-learn's splitters.

    Parameters
    ----------
    items : sequence
        One sample each: :class:`~brainof_toolbox.Signals` or :class:`mne.Epochs` of length one.
    metadata : pandas.DataFrame
        One row per item: ``subject``, ``session``, ``task``, ``run``, ``trial_type``, ``onset``
        and ``duration`` (s).

    Attributes
    ----------
    metadata : pandas.DataFrame
        The table.
    groups : ndarray, shape (n_trials,)
        Subjects; with one subject only, the sessions and runs.
    shape : tuple
        ``(n_trials,)``.
    """

    def __init__(self, items, metadata):
        self._items = list(items)
        self.metadata = metadata.reset_index(drop=True)
        if len(self._items) != len(self.metadata):
            raise ValueError(
                f"Trials got {len(self._items)} items but metadata of {len(self.metadata)} rows."
            )

    def __len__(self):
        return len(self._items)

    def __getitem__(self, key):
        """Return a sample for an integer, Trials for a slice, an index array or a mask."""
        if isinstance(key, (int, np.integer)):
            return self._items[key]
        rows = indices(key, len(self))
        return Trials([self._items[i] for i in rows], self.metadata.iloc[rows])

    @property
    def shape(self):
        """Shape ``(n_trials,)``."""
        return (len(self),)

    @property
    def groups(self):
        """Subjects, or sessions and runs of a single subject."""
        return group_trials(self.metadata)[0]

    def to_dataframe(self):
        """Return a copy of the metadata.

        Returns
        -------
        table : pandas.DataFrame
            One row per trial.
        """
        return self.metadata.copy()

    def __repr__(self):
        counts = self.metadata["trial_type"].value_counts(sort=False)
        kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
        n_subjects = self.metadata["subject"].nunique()
        plural = "s" * (n_subjects != 1)
        return f"<Trials | {len(self)} of {n_subjects} subject{plural}: {kinds}>"


def group_trials(metadata):
    """Return the group of each trial."""
    # -> groups (n_trials,).
    subjects = metadata["subject"].to_numpy()
    varying = [name for name in ("session", "run") if metadata[name].nunique() > 1]
    if len(set(subjects)) > 1 or not varying:
        return subjects, "subjects"
    rows = metadata[varying].astype(str).to_numpy()
    return np.array(["_".join(row) for row in rows]), f"{varying[-1]}s"


@group_warnings()
def epochs_from_bids(
    root,
    *,
    datatype=None,
    subjects=None,
    sessions=None,
    task=None,
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
    datatype : str | None
        ``"eeg"``, ``"meg"`` or ``"func"``; ``None``: the only one in the dataset.
    subjects, sessions, task, runs, space, derivatives : object
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
        Once, with counts: events without onset (``n/a``), in bad spans or across gaps, in gaps,
        or beyond the ends of the recording are left out.

    Notes
    -----
    A trial starts with the volume nearest to its start (of two, the later). Trials of one
    duration have the same number of volumes, at least two.
    """
    check_number("shift", shift, low=0)
    for name, value in (("tmin", tmin), ("tmax", tmax)):
        if value is not None:
            check_number(name, value)
    if tmax is not None and tmax <= (tmin or 0.0):
        raise ValueError(f"tmax ({tmax} s) must be above tmin ({tmin or 0.0} s).")
    if datatype is not None:
        check_option("datatype", datatype, tuple(DATATYPES))
    which = {"subjects": subjects, "sessions": sessions, "task": task, "runs": runs}
    records = read_bids(root, datatypes=datatype, space=space, derivatives=derivatives, **which)
    datatype = datatype or _only_datatype(records)
    dropped = Dropped()
    runs, tables = _read_tables(records, datatype, root, column, dropped)
    tables, event_id = choose_events(tables, event_id)
    tmin = 0.0 if tmin is None else float(tmin)
    if datatype == "func":
        cut = {"shift": shift, "masker": masker, "confounds": confounds, "memory": memory}
        result = _cut_images(runs, tables, tmin, tmax, dropped, **cut)
    else:
        result = _cut_recordings(runs, tables, event_id, (tmin, tmax), baseline, dropped)
    dropped.say()
    return result


def _only_datatype(records):
    there = [name for name, key in DATATYPES.items() if any(key in item for item in records)]
    if len(there) > 1:
        raise ValueError(f"The dataset has {there}: choose one with datatype=.")
    return there[0]


def _read_tables(records, datatype, root, column, dropped):
    """Return the runs of the datatype, and their events."""
    key = DATATYPES[datatype]
    runs = [record for record in records if key in record]
    tables = []
    for record in runs:
        path = find_events(record[key], datatype, root)
        tables.append(read_events(path, column, dropped))
    return [(record[key], record) for record in runs], tables


def _metadata(table, record):
    table = table.copy()
    for name in reversed(PER_SAMPLE):
        table.insert(0, name, record.get(name))
    return table


# --------------------------------------------------------------------------------------- EEG, MEG
def _cut_recordings(runs, tables, event_id, span, baseline, dropped):
    from .bids_recordings import read_bids_recording

    tmin, tmax = span
    duration = common_duration(tables) if tmax is None else None
    cut = []
    for (path, record), table in zip(runs, tables, strict=True):
        if len(table) == 0:
            continue
        raw = read_bids_recording(path)
        # The last time point is one before the end of the event, where the next may start.
        end = duration - 1 / raw.info["sfreq"] if tmax is None else tmax
        epochs = _cut_raw(raw, table, record, event_id, (tmin, end), baseline, dropped)
        if epochs is not None:
            cut.append(epochs)
    if not cut:
        dropped.say()
        raise ValueError("No epoch is left: all events were dropped.")
    return _put_together(cut)


def _cut_raw(raw, table, record, event_id, span, baseline, dropped):
    """Cut epochs of one recording; None if there are none."""
    import mne

    sfreq, name = raw.info["sfreq"], Path(raw.filenames[0]).name
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
    _refuse_together(sample, table["trial_type"], name)
    if len(table) == 0:
        return None
    codes = table["trial_type"].map(event_id).to_numpy(int)
    epochs = mne.Epochs(
        raw,
        np.column_stack([sample, np.zeros_like(sample), codes]),
        {kind: event_id[kind] for kind in dict.fromkeys(table["trial_type"])},
        *span,
        baseline=baseline,
        metadata=_metadata(table, record),
        preload=True,
        verbose="error",
    )
    dropped.add("in spans annotated as bad", len(table) - len(epochs), name)
    return epochs if len(epochs) else None


def _refuse_together(starts, kinds, name):
    """Raise if events of two types have the same onset."""
    starts, kinds = np.asarray(starts), np.asarray(kinds)
    times, counts = np.unique(starts, return_counts=True)
    twice = kinds[np.isin(starts, times[counts > 1])]
    if len(twice):
        raise ValueError(
            f"{name}: events of several types have the same onset: {sorted(set(twice))}. Choose "
            "with event_id=."
        )


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
    for name in ("ch_names", "bads", "sfreq"):
        if a.info[name] != b.info[name]:
            return False
    if a.get_channel_types() != b.get_channel_types() or len(a.times) != len(b.times):
        return False
    place_a, place_b = ([ch["loc"] for ch in x.info["chs"]] for x in (a, b))
    if not np.allclose(place_a, place_b, atol=1e-6, equal_nan=True):
        return False
    heads = [x.info["dev_head_t"] for x in (a, b)]
    if None in heads:
        return heads[0] is heads[1]
    return np.allclose(heads[0]["trans"], heads[1]["trans"], atol=1e-6)


# ------------------------------------------------------------------------------------------- fMRI
def _cut_images(runs, tables, tmin, tmax, dropped, *, shift, masker, confounds, memory):
    import pandas as pd

    items, metadata = [], []
    for (path, record), table in zip(runs, tables, strict=True):
        repeated = table.duplicated(["onset", "trial_type"])
        dropped.add("repeated", repeated.sum(), path)
        table = table[~repeated]
        _refuse_together(table["onset"], table["trial_type"], Path(path).name)
        spans = _spans(table, tmin, tmax, path)
        if len(table) == 0:
            continue
        run = _read_run(path, record, masker, confounds, memory)
        first = round(float(run.onset[0]) * run.sfreq)  # volumes left out before the steady state
        start = _nearest((table["onset"].to_numpy() + tmin + shift) * run.sfreq) - first
        length = np.maximum(_nearest(spans * run.sfreq), _MIN_VOLUMES)
        inside = (start >= 0) & (start + length <= run.shape[2])
        dropped.add("beyond the ends of the run", (~inside).sum(), path)
        for i in np.flatnonzero(inside):
            items.append(_cut_run(run, start[i], length[i], first, record))
        metadata.append(_metadata(table[inside], record))
    if not items:
        dropped.say()
        raise ValueError("No trial is left: all events were dropped.")
    return Trials(items, pd.concat(metadata))


def _nearest(volumes):
    """Round to whole volumes; halves up."""
    # With rounding to even, every other trial would start a volume too early: with a TR of 2 s
    # and a delay of 5 s, 4 s and 6 s after onsets at 40 s and 70 s.
    return np.floor(np.round(volumes + 0.5, 6)).astype(int)  # 6 digits: TR is 1 / sfreq


def _spans(table, tmin, tmax, path):
    """Return the duration of each trial in seconds."""
    if tmax is not None:
        return np.full(len(table), tmax - tmin)
    if table["duration"].isna().any():
        raise ValueError(
            f"tmax must be given: {table['duration'].isna().sum()} events of "
            f"{Path(path).name} have no duration (n/a)."
        )
    return np.maximum(table["duration"].to_numpy() - tmin, 0.0)


def _read_run(path, record, masker, confounds, memory):
    """Read the region series of a run, detrended and z-scored."""
    from nilearn.signal import clean

    from .images import from_nifti
    from .regions import resolve_masker

    masker = resolve_masker(masker)
    # Confounds are detrended with the series: detrending afterwards would bring back parts of
    # the confounds.
    masker.detrend = True
    run = from_nifti(
        path,
        masker=masker,
        t_r=record.get("t_r"),
        confounds=record.get("confounds") if confounds else None,
        memory=memory,
    )
    if len(run.good_segments) > 1:
        raise ValueError(
            f"{path}: the confounds leave out volumes inside the run, so that trials cannot be "
            "cut. Pass confounds=False."
        )
    series = clean(
        run.data[0].T.astype(np.float64),
        detrend=True,  # again, for the masker may standardise or filter after it
        standardize="zscore_sample",
        filter=False,
        t_r=1 / run.sfreq,
    )
    return run.replace(data=series.T[None])


def _cut_run(run, start, length, first, record):
    return Signals(
        data=run.data[:, :, start : start + length],
        sfreq=run.sfreq,
        modality="fmri",
        ch_names=run.ch_names,
        ch_types=run.ch_types,
        ch_pos=run.ch_pos,
        onset=[(start + first) / run.sfreq],
        has_baseline=True,
        **{name: (record.get(name),) for name in PER_SAMPLE},
    )
