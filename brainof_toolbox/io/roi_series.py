"""Read region time series as Signals, without an image."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import join_some
from .._utils.positions import check_positions
from .._utils.unique import refuse_repeated
from .._utils.validation import per_item
from ..signals import Signals
from .bids_names import parse
from .image_run import MIN_VOLUMES
from .regions import label_centres, mni_to_head, region_geometry, resolve_masker, unique_names
from .roi_tables import read_roi_table
from .t_r import check_seconds

#: Maximum distance of a brain region from the origin of MNI space, in metres.
_FARTHEST = 0.2


def from_roi_timeseries(
    data,
    *,
    t_r,
    roi_positions=None,
    labels_img=None,
    labels=None,
    ch_names=None,
    variable=None,
    subject=None,
    session=None,
    task=None,
    run=None,
):
    """Read fMRI time series of regions, the form of most published derivatives.

    Parameters
    ----------
    data : array-like | path-like | DataFrame | list | Series
        Table of one run (n_volumes, n_rois), as of nilearn's maskers: an array, a DataFrame, or a
        file: text (``.txt``, ``.csv``, ``.tsv``; with or without a line of names), ``.mat`` or
        ``.npy``. Arrays (n_samples, n_volumes, n_rois) hold several runs. A list has one table
        per run, which may differ in length.
    t_r : float
        Repetition time in seconds.
    roi_positions : array-like, shape (n_rois, 3) | str | None
        Centres of the regions in metres, MNI space; or the name of an atlas.
    labels_img : str | path-like | Niimg-like | nilearn masker | None
        Source of positions and names instead: the name of an atlas, an atlas image or its path,
        or a masker. Its regions are those of ``data`` in the same order, unless ``labels`` or
        names select some.
    labels : sequence of int | None
        Values in the 3-D image ``labels_img`` of the regions in ``data``, in order.
    ch_names : sequence of str | None
        Names of the regions in ``data``. ``None``: those of the table, the atlas or numbers. If
        the atlas has all of them, positions are matched by name.
    variable : str | None
        Variable of a ``.mat`` file; ``None`` reads the only matrix.
    subject, session, task, run : str | sequence of str | None
        Labels: one for all, or one per sample. ``None``: from the BIDS name of the file.

    Returns
    -------
    signals : Signals | list of Signals
        Modality fMRI, ``sfreq = 1 / t_r``. A list for a list, else one ``Signals``.

    Raises
    ------
    ValueError
        If positions are missing, not in metres or not one per region, as in a transposed table,
        ``t_r`` is not a time in seconds, values are not finite, or runs are shorter than 10
        volumes.
    FileNotFoundError
        If a file does not exist.
    TypeError
        If the type of an argument is not accepted.

    Warns
    -----
    RuntimeWarning
        If regions are constant, or a table without names has as many volumes as regions, so that
        it may be transposed.

    See Also
    --------
    from_nifti : For images.

    Examples
    --------
    Two runs of three regions, with positions in metres.

    >>> import numpy as np
    >>> from brainof_toolbox import from_roi_timeseries
    >>> series = np.random.default_rng(0).normal(size=(2, 100, 3))
    >>> positions = [[-0.04, 0.02, 0.03], [0.04, 0.02, 0.03], [0.0, -0.07, 0.01]]
    >>> from_roi_timeseries(series, t_r=2.0, roi_positions=positions)
    <Signals | fmri, 2 samples x 3 channels (bold) x 100 times at 0.5 Hz, 200 s>
    """
    t_r = check_seconds("t_r", t_r)
    atlas = _geometry(roi_positions, labels_img, labels)
    if getattr(data, "ndim", 0) == 1 and hasattr(data, "tolist"):  # a Series or array of paths
        data = data.tolist()
    is_list = _is_list_of_runs(data)
    items = list(data) if is_list else [data]
    if not items:
        raise ValueError("data is empty: no runs.")
    runs = [
        _read_item(item, _describe(item, i if is_list else None), len(atlas[1]), variable)
        for i, item in enumerate(items)
    ]
    n_samples = sum(len(values) for values, *_ in runs)
    who = {"subject": subject, "session": session, "task": task, "run": run}
    who = {k: iter(per_item(k, value, n_samples, "samples")) for k, value in who.items()}
    signals = []
    for item, (values, names, where) in zip(items, runs, strict=True):
        own = parse(Path(item).with_suffix(""))[0] if isinstance(item, (str, os.PathLike)) else {}
        labels = {}
        for name, given in who.items():
            given = islice(given, len(values))
            labels[name] = [own.get(name) if label is None else str(label) for label in given]
        signals.append(_build(values, names, where, atlas, ch_names, t_r, labels))
    return signals if is_list else signals[0]


def _geometry(roi_positions, labels_img, labels):
    """Return names (or None) and head positions of the regions."""
    if roi_positions is not None and labels_img is not None:
        raise ValueError("Pass either roi_positions= or labels_img=, not both.")
    if isinstance(roi_positions, (str, os.PathLike)):
        roi_positions, labels_img = None, roi_positions
    if labels is not None and labels_img is None:
        raise ValueError("labels= are values in an atlas image: pass it as labels_img=.")
    if labels_img is not None:
        return _atlas_geometry(resolve_masker(labels_img), labels)
    if roi_positions is None:
        raise ValueError(
            "Region time series need positions: pass roi_positions= (n_rois, 3) in metres in MNI "
            "space, or labels_img= (the atlas image, its path or name) used to extract them."
        )
    return None, mni_to_head(_check_positions(roi_positions))


def _atlas_geometry(masker, labels):
    names, pos = region_geometry(masker)
    if labels is None:
        return names, pos
    from nilearn.image import load_img

    if not hasattr(masker, "labels_img"):
        raise ValueError("labels= needs a 3-D image of labels as labels_img=.")
    values = list(label_centres(load_img(masker.labels_img), masker.background_label))
    unknown = [value for value in labels if value not in values]
    if unknown:
        raise ValueError(
            f"labels_img has no label {unknown[:10]}; it has {len(values)} from {min(values)} to "
            f"{max(values)}."
        )
    refuse_repeated(labels, "labels= has regions")
    rows = [values.index(value) for value in labels]
    return unique_names([names[i] for i in rows]), pos[rows]


def _check_positions(roi_positions):
    try:
        pos = np.asarray(roi_positions, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"roi_positions must be numbers of shape (n_rois, 3), or the name of an atlas: {error}"
        ) from error
    if pos.ndim != 2 or pos.shape[1] != 3:
        raise ValueError(f"roi_positions must have shape (n_rois, 3), got {pos.shape}.")
    bad = np.flatnonzero(~np.isfinite(pos).all(axis=1)).tolist()
    if bad:
        raise ValueError(f"roi_positions has NaN or infinite values in rows {bad[:20]}.")
    if not pos.any():
        raise ValueError("roi_positions are all zero: positions are missing.")
    names = [f"row {i}" for i in range(len(pos))]
    check_positions(pos, names, "fmri", space="mni", where="roi_positions")
    largest = np.linalg.norm(pos, axis=1).max(initial=0.0)
    if largest > _FARTHEST:
        raise ValueError(
            f"roi_positions reach {largest:.3g} m, outside any head in MNI space. Metres are "
            "expected, with the origin at the anterior commissure."
        )
    if len(np.unique(pos.round(6), axis=0)) < len(pos):
        warn("roi_positions has equal rows; check the positions of the regions.")
    return pos


def _is_list_of_runs(data):
    """Check if a list contains runs rather than the numbers of one array."""
    if not isinstance(data, (list, tuple)):
        return False
    return all(
        isinstance(item, (str, os.PathLike)) or _is_frame(item) or np.ndim(item) == 2
        for item in data
    )


def _is_frame(item):
    return hasattr(item, "columns") and hasattr(item, "to_numpy")


def _describe(item, index):
    place = "data" if index is None else f"data[{index}]"
    return f"{place} ({item})" if isinstance(item, (str, os.PathLike)) else place


def _read_item(item, where, n_rois, variable):
    """Return values (n_samples, n_volumes, n_rois), names or None, and the name in messages."""
    values, names = item, None
    if isinstance(item, (str, os.PathLike)):
        values, names = read_roi_table(item, n_rois=n_rois, variable=variable)
    elif _is_frame(item):
        values, names = item.to_numpy(), [str(name) for name in item.columns]
        if names == [str(i) for i in range(len(names))]:
            names = None
    elif item is None or isinstance(item, (dict, set)) or not np.iterable(item):
        raise TypeError(
            f"{where} is of type {type(item).__name__}. Accepted are arrays (n_volumes, n_rois) "
            "or (n_samples, n_volumes, n_rois), DataFrames, paths of tables, and lists of these."
        )
    try:
        values = np.asarray(values)
        if values.dtype.kind == "O":
            values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must hold real numbers in one shape: {error}") from error
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{where} must hold real numbers, got dtype {values.dtype}.")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            f"{where} must be (n_volumes, n_rois) or (n_samples, n_volumes, n_rois), got shape "
            f"{values.shape}."
        )
    return values if values.ndim == 3 else values[None], names, where


def _build(values, names, where, atlas, ch_names, t_r, labels):
    atlas_names, pos = atlas
    n_volumes, n_rois = values.shape[1:]
    is_unclear = n_rois == n_volumes and names is None
    if ch_names is not None:
        names = [str(name) for name in ch_names]
        if len(names) != n_rois:
            _raise_count(where, values.shape, len(names), "ch_names", pos)
    if names is not None and atlas_names is not None and set(names) <= set(atlas_names):
        pos = pos[[atlas_names.index(name) for name in names]]
    elif n_rois != len(pos):
        _raise_count(where, values.shape, len(pos), "positions", pos)
    names = names or atlas_names or [f"ROI {i + 1}" for i in range(n_rois)]
    if n_volumes < MIN_VOLUMES:
        raise ValueError(
            f"{where} has {n_volumes} volumes (n_volumes x n_rois: {values.shape[-2:]}); the "
            f"minimum is {MIN_VOLUMES}."
        )
    if is_unclear:
        warn(
            f"{where} has as many volumes as regions ({n_rois}) and no names: its rows are read "
            "as volumes, its columns as regions. Check that it is not transposed."
        )
    values = np.ascontiguousarray(values.swapaxes(1, 2))
    _check_values(values, names, where)
    montage = {"ch_names": names, "ch_types": ("bold",) * n_rois, "ch_pos": pos}
    recording = {"sfreq": 1.0 / t_r, "modality": "fmri", "is_locked": False}
    return Signals(data=values, **recording, **montage, **labels)


def _raise_count(where, shape, n_expected, what, pos):
    n_volumes, n_rois = shape[1:]
    hint = ""
    if n_volumes == n_expected:
        hint = (
            " There are that many rows: the axis order must be (n_volumes, n_rois), or "
            "(n_samples, n_volumes, n_rois). Transpose the data."
        )
    elif what == "positions" and n_rois < n_expected:
        hint = " For a part of an atlas pass labels= or ch_names= of the regions in the data."
    raise ValueError(
        f"{where} has {n_rois} regions and {n_volumes} volumes, but there are {n_expected} "
        f"{what}.{hint}"
    )


def _check_values(values, names, where):
    """Raise on NaN, warn about constant regions."""
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        counts = is_bad.sum(axis=(0, 2))
        total = values.shape[0] * values.shape[2]
        listed = [f"{names[i]!r} ({counts[i]} of {total})" for i in np.flatnonzero(counts)]
        raise ValueError(
            f"{where}: NaN or infinite values in region {join_some(listed, 10)}. Interpolate "
            "these volumes or leave the region out."
        )
    is_flat = np.all(values == values[:, :, :1], axis=2)  # (n_samples, n_rois)
    if is_flat.all(axis=1).any():
        raise ValueError(f"{where}: all regions are constant over time: there is no signal.")
    flat = [names[i] for i in np.flatnonzero(is_flat.any(axis=0))]
    if flat:
        warn(f"{where}: constant over time, so without signal: {flat[:20]}.")
