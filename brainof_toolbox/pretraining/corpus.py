"""A corpus of preprocessed samples on disk, read one sample at a time.

Needs numpy and the standard library only, so that a corpus travels to the machine that trains.
C channels, T time points of a sample
"""

from __future__ import annotations

import copy
import errno
import hashlib
import os
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._utils.subjects import add_data_set
from .._utils.validation import check_option
from ..models.config import MODALITY_CODES
from .format import (
    HEAD,
    MONTAGE_WIDTH,
    RECORDINGS,
    Entry,
    FlatFile,
    check_entries,
    check_files,
    file_names,
    name_files,
    read_header,
    read_index,
)

#: Recordings that are mapped at the same time; each costs two open files.
MAX_OPEN = 128


class CorpusSample(NamedTuple):
    """One sample as training takes it."""

    data: np.ndarray
    sfreq: float
    position: np.ndarray
    orientation: np.ndarray
    sensor_type: np.ndarray
    log_scale: np.ndarray
    modality: int
    dataset: str
    index: int


class Corpus:
    """Preprocessed samples of EEG, MEG and fMRI, as ``brainof corpus build`` wrote them.

    Opening reads the index only. A sample is read from a memory map on demand, so
    memory and time per sample do not grow with the corpus. It pickles without its open files, and
    any number of processes may read one directory, which may be read-only.

    Parameters
    ----------
    directory : path-like
        The corpus.

    Attributes
    ----------
    directory : pathlib.Path
        Where it is.
    sha256 : str
        Fingerprint of all that training sees.
    entries : tuple of Entry
        One per recording and modality, in the order of the samples.
    preprocessing : dict
        What was done to the recordings, for the checkpoint.
    window : dict
        Longest sample: ``"eeg"`` and ``"meg"`` in s, ``"fmri"`` in volumes.
    datasets, subjects, licences : tuple of str
        Names of the datasets, hashes of the subjects with their dataset, licences; each once.
    skipped : list of dict
        ``"dataset"``, ``"name"`` and ``"reason"`` of recordings that could not be used.
    n_empty_windows : int
        Windows of zeros, in which no channel varies, that were left out.
    dtype : numpy.dtype
        Of the values on disk.
    request : dict | None
        Hashes of the options and sources of the call that built it.

    Raises
    ------
    FileNotFoundError
        If the directory is no corpus, or a file is missing.
    ValueError
        If a file is damaged, truncated, of another format version, or leads out of the directory.
    """

    def __init__(self, directory):
        self.directory = Path(os.path.abspath(directory))
        header = read_header(self.directory)
        self.sha256 = header["sha256"]
        self.preprocessing = header["preprocessing"]
        self.window = header["window"]
        self.skipped = header["skipped"]
        self.n_empty_windows = header["n_empty_windows"]
        self.request = header["request"]
        self.dtype = np.dtype(header["dtype"])
        self.entries = read_index(self.directory, header["index_sha256"])
        check_entries(self.entries, self.directory)
        self._sizes = check_files(self.directory, self.entries, self.dtype)
        self._open = {}  # name of a recording's files -> (values, scales), the latest last
        self._keep(self.entries)

    def __len__(self):
        """Return the number of samples."""
        return int(self._first[-1])

    def __getitem__(self, index):
        """Read one sample by its number."""
        index, number = self._find(index)
        entry, place = self.entries[number], index - int(self._first[number])
        values, scales = self._files(entry.file)
        n_channels, size = entry.n_channels, entry.n_channels * entry.n_times
        scale = self._read(scales, entry.scale_offset + place * n_channels, n_channels)
        log_scale = np.zeros(n_channels, np.float32)
        if entry.has_log_scale:
            start = entry.scale_offset + (entry.n_samples + place) * n_channels
            log_scale = self._read(scales, start, n_channels)
        montage = self._read(scales, entry.montage_offset, MONTAGE_WIDTH * n_channels)
        montage = montage.reshape(n_channels, MONTAGE_WIDTH)
        start = entry.offset + place * size
        with values.reading(start, start + size) as stored:
            stored = stored.reshape(n_channels, entry.n_times)  # (C, T)
            data = np.multiply(stored, scale[:, None], dtype=np.float32)  # (C, T)
        return CorpusSample(
            data=data,
            sfreq=entry.sfreq,
            position=montage[:, :3].copy(),
            orientation=montage[:, 3:6].copy(),
            sensor_type=montage[:, 6].astype(np.int64),
            log_scale=log_scale,
            modality=MODALITY_CODES.index(entry.modality),
            dataset=entry.dataset,
            index=index,
        )

    def __repr__(self):
        found = {entry.modality for entry in self.entries}
        kinds = ", ".join(name for name in MODALITY_CODES if name in found)
        return (
            f"<Corpus | {len(self)} samples ({kinds}) of {len(self.subjects)} subjects, "
            f"{len(self.datasets)} datasets>"
        )

    def __getstate__(self):
        """Leave open files and what is quickly made again behind."""
        state = dict(self.__dict__, _open={})
        for name in ("n_channels", "n_times", "modality", "person"):
            state.pop(name, None)
        return state

    @property
    def n_bytes(self):
        """Return the bytes of samples and scales on disk."""
        values = sum(entry.size for entry in self.entries)
        return values * self.dtype.itemsize + 4 * sum(entry.scale_size for entry in self.entries)

    @cached_property
    def n_channels(self):
        """Number of channels of every sample, shape (n_samples,), int32."""
        return self._by_sample([entry.n_channels for entry in self.entries])

    @cached_property
    def n_times(self):
        """Number of time points of every sample, shape (n_samples,), int32."""
        return self._by_sample([entry.n_times for entry in self.entries])

    @cached_property
    def modality(self):
        """Return the modality of every sample, index into ``("eeg", "meg", "fmri")``."""
        return self._by_sample([MODALITY_CODES.index(entry.modality) for entry in self.entries])

    @cached_property
    def person(self):
        """Number of the person of every sample, shape (n_samples,), int32."""
        # A recording without a subject is a person of its own.
        names = [(e.dataset, e.subject, e.subject is None and e.recording) for e in self.entries]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return self._by_sample([numbers[name] for name in names])

    def entry_of(self, index):
        """Find what a sample belongs to, without reading it.

        Parameters
        ----------
        index : int
            Number of the sample.

        Returns
        -------
        entry : Entry
            Its recording and modality.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        return self.entries[self._find(index)[1]]

    def select(self, *, datasets=None, modalities=None):
        """Take a part of the corpus, which trains as if nothing else had been in it.

        Parameters
        ----------
        datasets : sequence of str | None
            Names of the datasets to keep; ``None`` keeps all.
        modalities : sequence of str | None
            Which of ``"eeg"``, ``"meg"`` and ``"fmri"`` to keep; ``None`` keeps all.

        Returns
        -------
        part : Corpus
            On the same files, with samples numbered anew and a fingerprint of its own.

        Raises
        ------
        ValueError
            If a name is not one of the corpus, or nothing is left.
        """
        found = tuple(dict.fromkeys(entry.modality for entry in self.entries))
        datasets = self.datasets if datasets is None else tuple(datasets)
        modalities = found if modalities is None else tuple(modalities)
        for name in datasets:
            check_option("datasets", name, self.datasets)
        for name in modalities:
            check_option("modalities", name, found)
        kept = [e for e in self.entries if e.dataset in datasets and e.modality in modalities]
        if not kept:
            raise ValueError(
                f"Nothing is left: the corpus holds no {', '.join(modalities)} of "
                f"{', '.join(datasets)}. {self!r}"
            )
        part = copy.copy(self)  # without open files and counts, as for pickling
        if len(kept) < len(self.entries):
            what = f"{self.sha256} {sorted(datasets)} {sorted(modalities)}"
            part.sha256 = hashlib.sha256(what.encode()).hexdigest()
        part._keep(kept)
        return part

    def summary(self):
        """Count what is there.

        Returns
        -------
        rows : list of dict
            One per dataset and modality: ``"dataset"``, ``"modality"``, ``"licence"``,
            ``"recordings"``, ``"subjects"``, ``"samples"`` and ``"hours"`` of recording.
        """
        return [
            {
                "dataset": dataset,
                "modality": modality,
                "licence": ", ".join(_unique(entry.licence for entry in group)) or None,
                **_count(group),
            }
            for (dataset, modality), group in self._grouped("dataset", "modality").items()
        ]

    def totals(self):
        """Count what is there by modality, over all datasets.

        Returns
        -------
        counts : dict of str -> dict
            ``"recordings"``, ``"subjects"``, ``"samples"`` and ``"hours"`` by modality.
        """
        return {modality: _count(group) for modality, group in self._grouped("modality").items()}

    def _grouped(self, *names):
        groups = {}
        for entry in self.entries:
            groups.setdefault(attrgetter(*names)(entry), []).append(entry)
        return groups

    def verify(self):
        """Read everything, and compare it with the hashes that name the files.

        Raises
        ------
        ValueError
            Naming the first file, dataset and samples that were damaged.
        """
        for name, entries in self._grouped("file").items():
            paths = self._paths(name)
            if name_files(*map(_hash_values, paths)) != name:
                first = self.entries.index(entries[0])
                last = self._first[self.entries.index(entries[-1]) + 1] - 1
                raise ValueError(
                    f"{paths[0]} or its scales are damaged: samples {self._first[first]} to "
                    f"{last} of the dataset {entries[0].dataset!r} ({entries[0].modality}) do not "
                    f"fit their sha256. Fetch the corpus again."
                )

    def _paths(self, name):
        return [self.directory / RECORDINGS / file for file in file_names(name)]

    def _keep(self, entries):
        """Set the entries, and what follows from them."""
        self.entries = tuple(entries)
        self._first = np.cumsum([0, *(entry.n_samples for entry in self.entries)])
        self.datasets = _unique(entry.dataset for entry in self.entries)
        named = [entry for entry in self.entries if entry.subject is not None]
        self.subjects = tuple(sorted({add_data_set(e.subject, e.dataset) for e in named}))
        self.licences = tuple(sorted(_unique(entry.licence for entry in self.entries)))

    @staticmethod
    def _read(file, start, size):
        with file.reading(start, start + size) as stored:
            return stored.astype(np.float32)

    def _find(self, index):
        """Return the number of a sample, counted from the first, and that of its entry."""
        index = int(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Sample {index} does not exist: the corpus has {len(self)}.")
        index %= len(self)
        return index, int(np.searchsorted(self._first, index, side="right")) - 1

    def _by_sample(self, values):
        return np.repeat(np.array(values, np.int32), np.diff(self._first))

    def _files(self, name):
        """Return values and scales of a recording; each step is atomic, so threads may share."""
        maps = self._open.pop(name, None) or self._map(name)
        self._open[name] = maps
        while len(self._open) > MAX_OPEN:
            self._open.pop(list(self._open)[0], None)
        return maps

    def _map(self, name):
        kinds = (self.dtype, np.dtype(np.float32))
        files = zip(self._paths(name), self._sizes[name], kinds, strict=True)
        try:
            return tuple(FlatFile(*file) for file in files)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                errno.ENOENT, "A file of the corpus is gone since it was opened", error.filename
            ) from error


def _hash_values(path):
    """Hash the values of a flat file."""
    with open(path, "rb") as file:
        file.seek(HEAD)
        return hashlib.file_digest(file, "sha256")


def _count(entries):
    """Sum over entries; people of different datasets are different people."""
    return {
        "recordings": len({entry.recording for entry in entries}),
        "subjects": len(_unique(e.subject and (e.dataset, e.subject) for e in entries)),
        "samples": sum(entry.n_samples for entry in entries),
        "hours": sum(entry.duration for entry in entries) / 3600,
    }


def _unique(values):
    """Return the different values in their order, without None."""
    return tuple(dict.fromkeys(value for value in values if value is not None))


__all__ = ["Corpus", "CorpusSample", "Entry"]
