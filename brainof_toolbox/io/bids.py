"""Read a BIDS dataset as records: recordings of one subject, session, task and run together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from .._utils.logging import group_warnings, warn
from .._utils.validation import check_option
from ..signals import PER_SAMPLE
from .bids_files import (
    DATATYPES,
    bids_path,
    check_root,
    derivative_root,
    find_confounds,
    find_files,
    select_images,
)
from .bids_names import plain_label, without_entities
from .bids_pairing import describe_missing, pair
from .datalad import absent_files
from .sidecars import merge_sidecars, names_in, read_sidecar, sidecar_files
from .t_r import t_r_from_sidecars

#: Contents of a record.
_CONTENT = ("eeg", "meg", "fmri", "confounds", "t_r")
#: Entities by the parameter of :func:`read_bids` that selects them.
_FILTERS = {"subjects": "subject", "sessions": "session", "tasks": "task", "runs": "run"}


class Records(Sequence):
    """Sequence of records, as returned by :func:`read_bids`; data are read when they are used.

    A valid ``X`` for every estimator of this package and for scikit-learn's splitters.

    Parameters
    ----------
    items : iterable of dict
        Records: recordings under ``"eeg"``, ``"meg"`` and ``"fmri"``, with ``"confounds"`` and
        ``"t_r"`` (s) of the fMRI run, and ``"subject"``, ``"session"``, ``"task"``, ``"run"``.

    Attributes
    ----------
    subject, session, task, run : tuple of (str | None)
        One entry per record.
    groups : ndarray, shape (n_records,)
        The subjects, as the ``groups`` of scikit-learn's splitters.
    shape : tuple
        ``(n_records,)``.

    Examples
    --------
    >>> from brainof_toolbox import Records
    >>> records = Records([{"eeg": "a.edf", "subject": "01"}, {"eeg": "b.edf", "subject": "02"}])
    >>> records[1:].subject
    ('02',)
    """

    def __init__(self, items):
        self._items = [dict(item) for item in items]

    def __len__(self):
        return len(self._items)

    def __getitem__(self, key):
        """Return a record (dict) for an integer, Records for a slice, an index array or a mask."""
        if isinstance(key, (int, np.integer)):
            return dict(self._items[key])
        return Records([self._items[i] for i in indices(key, len(self))])

    def __eq__(self, other):
        """Compare all records."""
        return self._items == other._items if isinstance(other, Records) else NotImplemented

    __hash__ = None

    @property
    def shape(self):
        """Shape ``(n_records,)``."""
        return (len(self),)

    def _labels(self, name):
        return tuple(item.get(name) for item in self._items)

    def _count(self, name):
        return sum(value is not None for value in self._labels(name))

    subject = property(partial(_labels, name="subject"), doc="Subject of each record.")
    session = property(partial(_labels, name="session"), doc="Session of each record.")
    task = property(partial(_labels, name="task"), doc="Task of each record.")
    run = property(partial(_labels, name="run"), doc="Run of each record.")

    @property
    def groups(self):
        """Subjects as an array."""
        return np.array(self.subject)

    def to_dataframe(self):
        """Return the records as a table.

        Returns
        -------
        table : pandas.DataFrame
            One row per record with the columns subject, session, task and run, and, if any
            record has them, the paths of each modality, ``confounds`` and ``t_r`` (s).
        """
        import pandas as pd

        names = [*PER_SAMPLE, *(k for k in _CONTENT if self._count(k))]
        table = {name: [_as_text(value) for value in self._labels(name)] for name in names}
        return pd.DataFrame(table)

    def __repr__(self):
        counts = {name: self._count(name) for name in ("eeg", "meg", "fmri")}
        counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        n_subjects = len(set(self.subject))
        words = (
            f"{len(self)} record{'s' * (len(self) != 1)} of {n_subjects} "
            f"subject{'s' * (n_subjects != 1)}"
        )
        head = f"<Records | {words}: {counted or 'empty'}>"
        return f"{head}\n{self._short_table().to_string(max_rows=10)}" if len(self) else head

    def _repr_html_(self):
        return self._short_table().to_html(max_rows=10)

    def _short_table(self):
        table = self.to_dataframe().dropna(axis=1, how="all")
        for name in ("eeg", "meg", "fmri", "confounds"):
            if name in table:
                is_path = [isinstance(text, str) for text in table[name]]
                table.loc[is_path, name] = [Path(t).name for t in table.loc[is_path, name]]
        return table.fillna("")


def indices(key, n_items):
    """Convert a slice, mask, index array or scikit-learn's ``(key, ...)`` to indices."""
    key = key[0] if isinstance(key, tuple) else key  # scikit-learn's X[key, ...]
    key = key if isinstance(key, slice) else np.asarray(key)
    return np.arange(n_items)[key if isinstance(key, slice) or key.size else key.astype(int)]


def _as_text(value):
    if value is None or isinstance(value, (float, int)):
        return value
    try:
        return os.fspath(value)
    except TypeError:
        return repr(value)


@group_warnings()
def read_bids(
    root,
    *,
    datatypes=None,
    subjects=None,
    sessions=None,
    tasks=None,
    runs=None,
    space=None,
    derivatives=None,
):
    """Find the EEG, MEG and fMRI recordings of a BIDS dataset and pair them by subject.

    Only names and fMRI sidecars are read here; recordings are read when an estimator needs them.

    Parameters
    ----------
    root : path-like
        The dataset: raw, or a derivative such as the output of fMRIPrep.
    datatypes : str | sequence of str | None
        Any of ``"eeg"``, ``"meg"``, ``"func"``; ``None``: all available.
    subjects, sessions, tasks, runs : str | sequence of str | None
        Select these, with or without ``sub-``, ``ses-``, ``task-``, ``run-``; ``None``: all.
    space : str | None
        Space of preprocessed images: ``"MNI152NLin2009cAsym"``, with a resolution
        ``"MNI152NLin2009cAsym:res-2"``, or ``"native"`` for images without ``space-``. Required
        if there are several.
    derivatives : path-like | None
        ``None`` reads raw files. The name of a folder in ``root/derivatives`` (``"fmriprep"``)
        or a path reads preprocessed images (``desc-preproc``) from there. Datatypes that it does
        not contain come from the raw dataset.

    Returns
    -------
    records : Records
        One per subject, session, task and run, in this order. ``"eeg"`` and ``"meg"`` are
        :class:`mne_bids.BIDSPath`, ``"fmri"`` and ``"confounds"`` (fMRIPrep's, when they lie
        beside the image) paths, ``"t_r"`` (s) the sidecar's RepetitionTime. Missing entries have
        no key.

    Raises
    ------
    FileNotFoundError
        If the dataset or the derivative does not exist.
    ValueError
        If the folder is not a BIDS dataset, nothing fits, a requested value does not exist (the
        message lists those that do), or images have several spaces and ``space`` is ``None``.

    Warns
    -----
    RuntimeWarning
        Once with the subjects of records that lack a modality; once if files are links to
        content that was not downloaded. Reading such a file is an error.

    Notes
    -----
    *Pairing.* Recordings of different modalities become one record when subject, session, task
    and run are equal; ``run-1`` equals ``run-01``. If the only recording of a task in one
    modality has no run, it is paired with the only run of the other modalities. Recordings of
    different tasks or sessions are different records.

    *Several files of one run.* Files that differ in another entity (``acq-``, ``dir-``,
    ``echo-``, ``proc-``, ...) are different records with ``run`` such as ``"01_acq-x"``.
    Split FIF files are one recording. Single-band references, phase images, the sessions of
    ``sub-emptyroom`` and calibration files are left out.

    *Spaces.* Raw images are in the scanner space of each subject: an atlas in MNI space does not
    fit them, although it can be resampled. Use preprocessed images, or a masker in the space of
    the subject.
    """
    root = check_root(root)
    files = _find(root, datatypes, derivatives)
    asked = {"subjects": subjects, "sessions": sessions, "tasks": tasks, "runs": runs}
    asked = {name: value for name, value in asked.items() if value is not None}
    files = _select(_filter(root, files, asked), space)
    _warn_absent(root, [file.path for file in files])
    groups = pair(files)
    list_once = cache(names_in)
    records = Records([_make_record(who, found, root, list_once) for who, found in groups])
    message = describe_missing(groups)
    if message:
        warn(message)
    return records


def _find(root, datatypes, derivatives):
    """List files by datatype: of the derivative if it has any, else of the raw dataset."""
    wanted = [datatypes] if isinstance(datatypes, str) else list(datatypes or DATATYPES)
    if datatypes is not None and len(datatypes) == 0:
        raise ValueError("The parameter 'datatypes' is empty; None reads all available.")
    for name in wanted:
        hint = "BIDS calls fMRI 'func'." if name == "fmri" else ""
        check_option("datatypes", name, tuple(DATATYPES), hint)
    files = {name: find_files(root, name) for name in wanted}
    if derivatives is not None:
        folder = derivative_root(root, derivatives)
        derived = {name: find_files(folder, name) for name in wanted}
        if not any(derived.values()):
            raise ValueError(f"No {' or '.join(wanted)} recording is in the derivatives {folder}.")
        files = {name: derived[name] or files[name] for name in wanted}
    absent = [name for name in wanted if not files[name]]
    if datatypes is not None and absent:
        there = [name for name in DATATYPES if find_files(root, name)]
        raise ValueError(
            f"No {' or '.join(absent)} recording in {root}; datatypes that are there: "
            f"{there or 'none'}."
        )
    if not any(files.values()):
        raise ValueError(
            f"No recording in {root}: found no sub-*/[ses-*/] folder eeg, meg or func with data."
        )
    return [file for found in files.values() for file in found]


def _filter(root, files, asked):
    kept = files
    for parameter, values in asked.items():
        entity = _FILTERS[parameter]
        values = [values] if isinstance(values, (str, int)) else values
        wanted = {plain_label(entity, value): str(value) for value in values}
        labels = [file.entities.get(entity) for file in files]
        there = {plain_label(entity, label): label for label in labels if label is not None}
        unknown = [repr(value) for key, value in wanted.items() if key not in there]
        if unknown:
            raise ValueError(
                f"{parameter}: no {entity} {', '.join(unknown)} in {root}; there are "
                f"{sorted(there.values()) or 'none'}."
            )
        kept = [f for f in kept if plain_label(entity, f.entities.get(entity, "")) in wanted]
    if not kept:
        raise ValueError(f"No recording in {root} fits all of {asked}.")
    return kept


def _select(files, space):
    images = [file for file in files if file.datatype == "func"]
    others = [file for file in files if file.datatype != "func"]
    images = select_images(images, space) if images else []
    spaces = sorted({f.entities["space"] for f in images if "space" in f.entities})
    foreign = [name for name in spaces if not name.startswith("MNI")]
    if foreign:
        warn(
            f"The images are in space-{foreign[0]}, not in MNI space: the default parcellation "
            "and atlases in MNI space do not fit them."
        )
    return others + images


def _warn_absent(root, paths):
    absent = [found[0] for found in map(absent_files, paths) if found]
    if absent:
        path, command = absent[0]
        example = path.relative_to(root) if path.is_relative_to(root) else path
        warn(
            f"{len(absent)} of {len(paths)} recordings in {root} are links to content that is "
            f"not on this machine, for example {example}. Reading them is an error; get them "
            f"with: {command}{f' {example}' if command == 'datalad get' else ''}"
        )


def _make_record(who, found, root, names_in):
    record = dict(who)
    for file in found:
        modality = DATATYPES[file.datatype]
        if modality != "fmri":
            record[modality] = bids_path(file)
            continue
        record["fmri"] = file.path
        confounds = find_confounds(file, names_in(file.path.parent))
        if confounds is not None:
            record["confounds"] = confounds
        t_r = _repetition_time(file, root, names_in)
        if t_r is not None:
            record["t_r"] = t_r
    return record


def _repetition_time(file, root, names_in):
    """Return the repetition time (s) in the sidecars of the image, or of its raw image."""
    value = read_sidecar(file.path, names_in=names_in).get("RepetitionTime")
    if value is None and file.root != root:
        folder = file.path.parent.relative_to(file.root)
        raw = without_entities(file.path.name, ("space", "description", "res", "cohort"))
        files = sidecar_files(root / folder / raw, names_in=names_in)
        value = merge_sidecars(files).get("RepetitionTime")
        if value is None:  # a derivative has the volumes of its raw image, evenly spaced or not
            value, _ = t_r_from_sidecars(files, notes=[])
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Other values are errors when the image is read, where the sidecar is named.
    return float(value) if is_number and 0.01 <= value <= 60 else None
