"""Containers of samples, returned by every reader and accepted by every estimator.

::

    Signals                         one montage, one rate, one length; frozen
      data       (n_samples, n_channels, n_times)   float32, V, T, T/m (BOLD: arbitrary)
      recording  modality, ch_types, sfreq, highpass, has_baseline, is_locked
      montage    ch_names, ch_pos (m, head frame), ch_ori (unit vectors)
      labels     subject, session, task, run        one entry per sample
      time       onset (s)                          one entry per sample
      good_segments  ((start, stop), ...)           contiguous good time points

    PairedSignals                   {"fmri": Signals, "eeg": Signals}, indexed together
      is_missing                    samples without a modality, by modality
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain

import numpy as np

from ._utils.messages import join_some
from ._utils.unique import find_repeated
from ._utils.validation import check_number, check_option

__all__ = ["CHANNEL_TYPES", "MODALITIES", "PER_SAMPLE", "PairedSignals", "Signals"]

#: Sensor types of each modality, in MNE's spelling.
CHANNEL_TYPES = {"fmri": ("bold",), "eeg": ("eeg",), "meg": ("mag", "grad")}
#: The order in which the network reads simultaneous modalities (fMRI, EEG, MEG).
MODALITIES = tuple(CHANNEL_TYPES)
#: Fields that hold one entry per sample.
PER_SAMPLE = ("subject", "session", "task", "run")


@dataclass(frozen=True, eq=False, repr=False)
class Signals:
    """Samples of one modality that share montage, sampling rate and length.

    A ``Signals`` is a valid ``X`` for every estimator of this package and for scikit-learn's
    splitters: it has ``len``, ``.shape`` and indexing along the samples.

    Parameters
    ----------
    data : array-like, shape (n_samples, n_channels, n_times)
        Values in SI units: V for EEG, T for magnetometers, T/m for gradiometers; BOLD arbitrary.
        Stored as float32.
    sfreq : float
        Sampling rate in Hz; for fMRI ``1 / t_r``.
    modality : str
        ``"eeg"``, ``"meg"`` or ``"fmri"``.
    ch_names : sequence of str
        Unique names.
    ch_types : sequence of str
        ``"eeg"``; ``"mag"`` or ``"grad"``; ``"bold"``.
    ch_pos : array-like, shape (n_channels, 3)
        Positions in metres in the head frame (x right, y front, z up, origin between the ears).
    ch_ori : array-like, shape (n_channels, 3) | None
        Unit vectors: the normal of a magnetometer's coil, the direction of the derivative of a
        planar gradiometer; zeros where a sensor has no orientation (default).
    subject, session, task, run : sequence of (str | None) | None
        Labels of the recording, one entry per sample.
    onset : array-like, shape (n_samples,) | None
        Start of each sample in its recording, in seconds.
    good_segments : sequence of (int, int) | None
        Half-open spans of time points that are contiguous in the recording. Filters, resampling
        and windows never cross their borders. By default one segment covers all time points.
    highpass : float
        Cut-off in Hz of the high-pass filter already applied to the data, in all channels.
        Samples shorter than the filter of :class:`Preprocessing` then keep their mean; longer
        ones are filtered in any case.
    has_baseline : bool
        ``True`` if values are relative to a reference level (baseline-corrected epochs): the mean
        of a short sample is then signal rather than offset.
    is_locked : bool
        ``True`` if all samples start at the same latency relative to an event (epochs, trials,
        averages), so that time points correspond across samples. Readers of recordings and of
        runs, and cutting into windows, set it to ``False``.

    Raises
    ------
    ValueError
        If shapes disagree, names repeat, positions are missing, or values are NaN or infinite.
    """

    data: np.ndarray
    sfreq: float
    modality: str
    ch_names: tuple
    ch_types: tuple
    ch_pos: np.ndarray
    ch_ori: np.ndarray | None = None
    subject: tuple | None = None
    session: tuple | None = None
    task: tuple | None = None
    run: tuple | None = None
    onset: np.ndarray | None = None
    good_segments: tuple | None = None
    highpass: float = 0.0
    has_baseline: bool = False
    is_locked: bool = True

    def __post_init__(self):
        self._convert_fields()
        self._check_fields()
        check_finite(self.data, self.ch_names)

    def _convert_fields(self):
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 (frozen)
        data = np.asarray(self.data)
        if data.dtype.kind not in "fiu":
            raise ValueError(f"data must be real numbers, got dtype {data.dtype}.")
        if data.ndim != 3:
            raise ValueError(
                f"data must be (n_samples, n_channels, n_times), got shape {data.shape}."
            )
        n_samples, n_channels, n_times = data.shape
        put("data", data.astype(np.float32, copy=False))
        put("sfreq", check_number("sfreq", self.sfreq, low=0, low_open=True))
        check_option("modality", self.modality, MODALITIES)
        put("ch_names", tuple(str(name) for name in self.ch_names))
        put("ch_types", tuple(self.ch_types))
        put("ch_pos", _as_vectors("ch_pos", self.ch_pos, n_channels))
        ori = np.zeros((n_channels, 3)) if self.ch_ori is None else self.ch_ori
        put("ch_ori", _as_vectors("ch_ori", ori, n_channels))
        for name in PER_SAMPLE:
            values = getattr(self, name)
            put(name, (None,) * n_samples if values is None else tuple(values))
        onset = np.zeros(n_samples) if self.onset is None else self.onset
        put("onset", np.asarray(onset, dtype=np.float64))
        segments = ((0, n_times),) if self.good_segments is None else self.good_segments
        put("good_segments", tuple((int(start), int(stop)) for start, stop in segments))

    def _check_fields(self):
        n_samples, n_channels, n_times = self.data.shape
        self._refuse_empty()
        lengths = dict.fromkeys(("ch_names", "ch_types"), (n_channels, "channels"))
        lengths |= dict.fromkeys((*PER_SAMPLE, "onset"), (n_samples, "samples"))
        for name, (length, what) in lengths.items():
            if len(getattr(self, name)) != length:
                raise ValueError(
                    f"data has {length} {what} but {name} has {len(getattr(self, name))}."
                )
        check_unique_names(self.ch_names)
        for ch_type in set(self.ch_types):
            check_option("ch_types", ch_type, CHANNEL_TYPES[self.modality], f"({self.modality})")
        segments = self.good_segments
        ends = [0, *(end for _, end in segments)]
        spans = zip(segments, ends[:-1], strict=True)
        if not segments or any(a < previous or b <= a for (a, b), previous in spans):
            raise ValueError(f"good_segments must be ordered and not empty, got {segments}.")
        if ends[-1] > n_times:
            raise ValueError(
                f"good_segments end at {ends[-1]} but data has {n_times} time points."
            )

    def _refuse_empty(self):
        if 0 in self.shape:
            raise ValueError(
                f"data is empty: shape {self.shape} (n_samples, n_channels, n_times)."
            )

    @property
    def shape(self):
        """Shape of the data (n_samples, n_channels, n_times)."""
        return self.data.shape

    @property
    def ndim(self):
        """Always 3."""
        return 3

    @property
    def duration(self):
        """Length of one sample in seconds."""
        return self.data.shape[2] / self.sfreq

    @cached_property
    def signature(self):
        """Hash of the fields that must be equal to concatenate two ``Signals``."""
        parts = (self.modality, self.sfreq, self.data.shape[1:], self.ch_names, self.ch_types)
        state = (self.good_segments, self.highpass, self.has_baseline, self.is_locked)
        digest = hashlib.sha256(repr((parts, state)).encode())
        digest.update(self.ch_pos.tobytes() + self.ch_ori.tobytes())
        return digest.hexdigest()

    def __len__(self):
        return len(self.data)

    def __getitem__(self, key):
        """Select samples: an integer, slice, mask or array; ``[key, ...]`` means the same."""
        key = _sample_key(key, len(self))
        labels = {name: tuple(np.array(getattr(self, name), object)[key]) for name in PER_SAMPLE}
        selected = self._derive(data=self.data[key], onset=self.onset[key], **labels)
        selected._refuse_empty()
        return selected

    def __repr__(self):
        n_samples, n_channels, n_times = self.shape
        types = ", ".join(sorted(set(self.ch_types)))
        return (
            f"<Signals | {self.modality}, {n_samples} samples x {n_channels} channels ({types}) "
            f"x {n_times} times at {self.sfreq:g} Hz, {self.duration:.4g} s>"
        )

    def replace(self, **changes):
        """Return a copy with some fields changed.

        Parameters
        ----------
        **changes : object
            Fields by name.

        Returns
        -------
        signals : Signals
            The changed copy; arrays that were not changed are shared.
        """
        changed = self._derive(**changes)
        changed._convert_fields()
        changed._check_fields()
        if "data" in changes:
            check_finite(changed.data, changed.ch_names)
        return changed

    def _derive(self, **changes):
        """Return a copy with changed fields that are valid by construction; nothing is checked."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        unknown = [name for name in changes if name not in values]
        if unknown:
            raise TypeError(f"Signals has no field {unknown}; its fields are {list(values)}.")
        copy = object.__new__(Signals)
        copy.__dict__.update(values | changes)
        return copy

    @staticmethod
    def concatenate(items):
        """Join ``Signals`` of equal signature along the samples.

        Parameters
        ----------
        items : sequence of Signals
            Samples of one montage, rate and length.

        Returns
        -------
        signals : Signals
            All their samples, in order.

        Raises
        ------
        ValueError
            If montages, rates or lengths differ, or there are no items.
        """
        items = list(items)
        if not items:
            raise ValueError("Signals.concatenate needs at least one Signals.")
        if len(items) == 1:
            return items[0]
        if len({item.signature for item in items}) > 1:
            raise ValueError(
                "Signals.concatenate needs one montage, one rate and one length; "
                "keep unequal recordings as a list of Signals."
            )
        labels = {
            name: tuple(chain.from_iterable(getattr(item, name) for item in items))
            for name in PER_SAMPLE
        }
        data = np.concatenate([item.data for item in items])
        onset = np.concatenate([item.onset for item in items])
        return items[0]._derive(data=data, onset=onset, **labels)


@dataclass(frozen=True, eq=False, repr=False)
class PairedSignals:
    """Several modalities of the same samples, indexed together.

    Parameters
    ----------
    by_modality : dict of str -> Signals
        One ``Signals`` per modality, all with the same number of samples.
    is_missing : dict of str -> array-like of bool, shape (n_samples,) | None
        ``True`` where a sample lacks the modality; its values there are never read, but must be
        finite (zeros). Modalities without an entry, and all by default, are complete.

    Raises
    ------
    ValueError
        If a key is not the modality of its value, the numbers of samples differ, or a sample
        lacks every modality.
    """

    by_modality: dict
    is_missing: dict | None = None

    def __post_init__(self):
        if not self.by_modality:
            raise ValueError("PairedSignals needs at least one modality.")
        for modality, part in self.by_modality.items():
            check_option("modality", modality, MODALITIES)
            if not isinstance(part, Signals) or part.modality != modality:
                raise ValueError(f"PairedSignals[{modality!r}] must be Signals of that modality.")
        lengths = {modality: len(part) for modality, part in self.by_modality.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The modalities differ in their number of samples: {lengths}.")
        ordered = {name: self.by_modality[name] for name in MODALITIES if name in self.by_modality}
        object.__setattr__(self, "by_modality", ordered)
        object.__setattr__(self, "is_missing", self._check_missing())

    def _check_missing(self):
        given = dict(self.is_missing or {})
        for modality in given:
            check_option("is_missing", modality, tuple(self.by_modality))
        masks = {}
        for modality in self.by_modality:
            mask = np.array(given.get(modality, np.zeros(len(self), dtype=bool)))
            if mask.dtype != bool or mask.shape != (len(self),):
                raise ValueError(
                    f"is_missing[{modality!r}] must be {len(self)} booleans, one per sample; got "
                    f"dtype {mask.dtype}, shape {mask.shape}."
                )
            masks[modality] = mask
        empty = np.flatnonzero(np.all(list(masks.values()), axis=0))
        if len(empty):
            raise ValueError(
                f"{len(empty)} sample(s) lack every modality, the first is sample {empty[0]}. "
                "Drop them."
            )
        return masks

    @property
    def shape(self):
        """Shape (n_samples, n_modalities)."""
        return len(self), len(self.by_modality)

    @property
    def subject(self):
        """Subject of each sample, from the first available modality with a subject label."""
        found = [None] * len(self)
        for modality, part in self.by_modality.items():
            for i, name in enumerate(part.subject):
                if found[i] is None and not self.is_missing[modality][i]:
                    found[i] = name
        return tuple(found)

    @property
    def signature(self):
        """Hash of the fields that must be equal to concatenate two ``PairedSignals``."""
        return tuple(part.signature for part in self.by_modality.values())

    def __len__(self):
        return len(next(iter(self.by_modality.values())))

    def __getitem__(self, key):
        """Select the same samples in every modality."""
        key = _sample_key(key, len(self))
        masks = {name: mask[key] for name, mask in self.is_missing.items()}
        return PairedSignals({name: part[key] for name, part in self.by_modality.items()}, masks)

    def __repr__(self):
        words = []
        for name, part in self.by_modality.items():
            missing = int(self.is_missing[name].sum())
            words.append(f"{name} {part.shape[1:]}" + (f", {missing} missing" if missing else ""))
        return f"<PairedSignals | {len(self)} samples: {'; '.join(words)}>"


def as_parts(signals):
    """Return ``Signals`` or ``PairedSignals`` as a dict by modality, in reading order."""
    return {signals.modality: signals} if isinstance(signals, Signals) else signals.by_modality


def check_unique_names(ch_names):
    """Raise if channel names repeat."""
    repeated = sorted(find_repeated(ch_names))
    if repeated:
        raise ValueError(f"Channel names must be unique; these occur more than once: {repeated}.")


def check_finite(data, ch_names):
    """Raise on NaN and infinite values."""
    # data (n_samples, n_channels, n_times).
    with np.errstate(invalid="ignore"):  # Inf - Inf
        if np.isfinite(data.sum(dtype=np.float64)):  # one pass: any NaN or Inf survives a sum
            return
    bad = (~np.isfinite(data)).sum(axis=(0, 2))
    if bad.any():
        total = data.shape[0] * data.shape[2]
        named = [f"{ch_names[i]!r} ({bad[i]} of {total} values)" for i in np.flatnonzero(bad)]
        raise ValueError(
            f"NaN or infinite values in channel {join_some(named, 10)}. Interpolate or drop "
            "these channels (info['bads']), or annotate the span as BAD."
        )


def _as_vectors(name, values, n_channels):
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.shape != (n_channels, 3):
        raise ValueError(f"{name} must have shape ({n_channels}, 3), got {values.shape}.")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(f"{name} has NaN or infinite entries in rows {bad.tolist()}.")
    return values


def _sample_key(key, n_samples):
    """Convert an index of samples, also scikit-learn's ``[key, ...]``, to an array or slice."""
    if isinstance(key, tuple):
        if any(k is not Ellipsis and k != slice(None) for k in key[1:]):
            raise IndexError(
                "Signals are indexed along the samples only: signals[i] or signals[i, ...]."
            )
        key = key[0]
    if isinstance(key, slice):
        return key
    if isinstance(key, (int, np.integer)):
        if not -n_samples <= key < n_samples:
            raise IndexError(f"Sample {key} does not exist: there are {n_samples}.")
        return slice(key, key + 1 or None)
    key = np.asarray(key)
    return key if key.size else key.astype(int)
