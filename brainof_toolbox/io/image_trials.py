"""Cut the trials of fMRI runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._utils.logging import group_warnings
from .._utils.validation import per_item
from ..signals import PER_SAMPLE
from .bids_events import Dropped, choose_events, read_events
from .bids_names import parse, plain_label
from .image_run import describe, image_path, open_run
from .images import as_images, confounds_per_image, read_run
from .regions import resolve_masker
from .trials import Trials, check_span, make_metadata, refuse_together

#: Minimum number of volumes of a trial.
_MIN_VOLUMES = 2


@group_warnings()
def epochs_from_nifti(
    imgs,
    events,
    *,
    masker=None,
    t_r=None,
    confounds=None,
    memory=None,
    event_id=None,
    tmin=None,
    tmax=None,
    shift=5.0,
    column="trial_type",
    subject=None,
    session=None,
    task=None,
    run=None,
):
    """Cut fMRI runs into trials by tables of events.

    Parameters
    ----------
    imgs : path-like | Niimg-like | list
        One run or several: 4-D images in MNI space, as for :func:`from_nifti`.
    events : DataFrame | path-like | list
        Events of the run: a table with the columns ``onset`` and ``duration`` (s) and ``column``,
        or the path of one, such as ``events.tsv``. A list has one per image.
    masker, t_r, confounds, memory : object
        As in :func:`from_nifti`.
    event_id, tmin, tmax, shift, column : object
        As in :func:`epochs_from_bids`.
    subject, session, task, run : str | list | None
        Labels of all images, or one entry per image. ``None``: from the BIDS name of the file.
        Several images that no label distinguishes are numbered as runs.

    Returns
    -------
    trials : Trials
        One sample per event, as of :func:`epochs_from_bids`: region series, detrended and
        z-scored over their run, then cut; labels, ``trial_type``, ``onset`` and ``duration`` (s)
        in ``metadata``.

    Raises
    ------
    FileNotFoundError
        If an image or a table does not exist.
    ValueError
        If an image cannot be read, images and tables differ in number, a column or trial type
        does not exist, durations are missing without ``tmax``, or no event is left.

    Warns
    -----
    RuntimeWarning
        Once, with counts: events without onset (``n/a``) or beyond the ends of a run are left
        out.

    See Also
    --------
    epochs_from_bids : For datasets in BIDS, where files are found by their names.
    from_nifti : For whole runs, one sample each.

    Examples
    --------
    A run of 40 volumes with two blocks of 20 s, 10 volumes each.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from nibabel import Nifti1Image
    >>> from brainof_toolbox import epochs_from_nifti
    >>> affine = np.diag([40.0, 40.0, 40.0, 1.0])
    >>> affine[:3, 3] = -60.0
    >>> data = np.random.default_rng(0).random((4, 4, 4, 40)).astype("float32")
    >>> atlas = Nifti1Image(np.arange(64, dtype="int16").reshape(4, 4, 4) // 16, affine)
    >>> events = pd.DataFrame(
    ...     {"onset": [5.0, 45.0], "duration": [20.0, 20.0], "trial_type": ["left", "right"]}
    ... )
    >>> run = Nifti1Image(data, affine)
    >>> epochs_from_nifti(run, events, masker=atlas, t_r=2.0)
    <Trials | 2: 1 left, 1 right>
    """
    items, is_list = as_images(imgs)
    tables = list(events) if isinstance(events, (list, tuple)) else [events]
    if len(tables) != len(items):
        raise ValueError(f"events has {len(tables)} tables but there are {len(items)} images.")
    for item, table in zip(items, tables, strict=True):
        _check_names(item, table)
    given = dict(zip(PER_SAMPLE, (subject, session, task, run), strict=True))
    given = {k: per_item(k, value, len(items), "images") for k, value in given.items()}
    confounds = confounds_per_image(confounds, len(items), is_list)
    records = []
    for i, item in enumerate(items):
        path = image_path(item)
        named = {} if path is None else parse(path)[0]
        own = {k: named.get(k) if v[i] is None else str(v[i]) for k, v in given.items()}
        opened = {"fmri": item, "confounds": confounds[i], "t_r": t_r}
        records.append({**opened, **own, "where": describe(item, i if is_list else None)})
    labels = [tuple(record[name] for name in PER_SAMPLE) for record in records]
    if len(records) > 1 and len(set(labels)) == 1:
        records = [{**record, "run": str(i)} for i, record in enumerate(records, 1)]
    cut = {"event_id": event_id, "tmin": tmin, "tmax": tmax, "column": column}
    return cut_runs(records, tables, shift=shift, masker=masker, memory=memory, **cut)


def _check_names(item, table):
    """Raise if the names of an image and of its table state different subjects, runs, ..."""
    paths = [image_path(item), image_path(table)]
    if None not in paths:
        one, other = ({k: plain_label(k, v) for k, v in parse(p)[0].items()} for p in paths)
        differing = [k for k in PER_SAMPLE if k in one and k in other and one[k] != other[k]]
        if differing:
            raise ValueError(
                f"{paths[1]} is given for {paths[0]}, but its name states another "
                f"{differing[0]}. Pass events in the order of the images."
            )


def cut_runs(records, events, *, event_id, tmin, tmax, shift, masker, memory, column):
    """Cut the fMRI runs of records by their events, tables or paths."""
    import pandas as pd

    tmin, dropped = check_span(tmin, tmax, shift), Dropped()
    places = [record.get("where") or str(record["fmri"]) for record in records]
    tables = [
        read_events(table, column, dropped, f"events ({where})")
        for table, where in zip(events, places, strict=True)
    ]
    tables, _ = choose_events(tables, event_id)
    items, metadata = [], []
    for record, table, where in zip(records, tables, places, strict=True):
        name = Path(where).name
        repeated = table.duplicated(["onset", "trial_type"])
        dropped.add("repeated", repeated.sum(), name)
        table = table[~repeated]
        refuse_together(table["onset"], table["trial_type"], name)
        spans = _spans(table, tmin, tmax, name)
        if len(table) == 0:
            continue
        run = _read_run(record, where, masker, memory)
        first = round(float(run.onset[0]) * run.sfreq)  # volumes left out before the steady state
        start = _nearest((table["onset"].to_numpy() + tmin + shift) * run.sfreq) - first
        length = np.maximum(_nearest(spans * run.sfreq), _MIN_VOLUMES)
        inside = (start >= 0) & (start + length <= run.shape[2])
        dropped.add("beyond the ends of the run", (~inside).sum(), name)
        labels = {name: (record.get(name),) for name in PER_SAMPLE}
        for at, n_volumes in zip(start[inside], length[inside], strict=True):
            trial = run.replace(
                data=run.data[:, :, at : at + n_volumes],
                onset=[(at + first) / run.sfreq],
                good_segments=None,
                has_baseline=True,
                is_locked=True,
                **labels,
            )
            items.append(trial)
        metadata.append(make_metadata(table[inside], record))
    dropped.warn()
    if not items:
        raise ValueError("No trial is left: all events were dropped.")
    return Trials(items, pd.concat(metadata))


def _nearest(volumes):
    """Round to whole volumes; halves up."""
    # With rounding to even, every other trial would start a volume too early: with a TR of 2 s
    # and a delay of 5 s, 4 s and 6 s after onsets at 40 s and 70 s.
    return np.floor(np.round(volumes + 0.5, 6)).astype(int)  # 6 digits: TR is 1 / sfreq


def _spans(table, tmin, tmax, name):
    """Return the duration of each trial in seconds."""
    if tmax is not None:
        return np.full(len(table), tmax - tmin)
    if table["duration"].isna().any():
        raise ValueError(
            f"tmax must be given: {table['duration'].isna().sum()} events of "
            f"{name} have no duration (n/a)."
        )
    return np.maximum(table["duration"].to_numpy() - tmin, 0.0)


def _read_run(record, where, masker, memory):
    """Read the region series of a run, detrended and z-scored."""
    from nilearn.signal import clean

    masker = resolve_masker(masker)
    # Confounds are detrended with the series: detrending afterwards would bring back parts of
    # the confounds.
    masker.detrend = True
    opened = open_run(record["fmri"], where, t_r=record.get("t_r"), masker_t_r=masker.t_r)
    if opened.t_r is None:
        raise ValueError(f"{where} is a map (3-D): trials are cut out of runs (4-D).")
    run = read_run(opened, masker=masker, confounds=record.get("confounds"), memory=memory)
    if len(run.good_segments) > 1:
        raise ValueError(
            f"{where}: the confounds leave out volumes inside the run, so that trials cannot be "
            "cut. Pass no confounds."
        )
    series = clean(
        run.data[0].T.astype(np.float64),
        detrend=True,  # again, for the masker may standardise or filter after it
        standardize="zscore_sample",
        filter=False,
        t_r=1 / run.sfreq,
    )
    return run.replace(data=series.T[None])
