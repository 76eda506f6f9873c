"""Read MNE objects and arrays as Signals."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from .._utils.logging import warn
from .._utils.validation import check_number
from ..signals import PairedSignals, Signals, as_parts
from ..windows import cut_windows
from .amplitude import Levels, raise_error
from .averages import epochs_of
from .bad_spans import good_spans, leave_out_channels
from .channels import pick_channels, sensor_geometry
from .edf import stated_highpass
from .edf_gaps import check_gaps
from .sample_list import without_bad


def from_epochs(epochs, *, missing_positions="raise"):
    """Read the data channels of epochs, one sample per epoch.

    Parameters
    ----------
    epochs : mne.BaseEpochs | mne.Evoked | list of these
        Epochs, loaded or on disk, or averages. They are not changed.
    missing_positions : str
        ``"raise"`` refuses channels without a position; ``"placeholder"`` gives them distinct
        placeholder positions by their order.

    Returns
    -------
    signals : Signals | PairedSignals | list of these
        Shape (n_epochs, n_channels, n_times), SI units; paired when EEG and MEG are both there.
        One sample for an average. For a list, all samples in order if items share montage, rate
        and length; else one entry per item.

    Raises
    ------
    ValueError
        If no epoch or no channel is left, positions are missing, values are not finite,
        amplitudes are impossible for their unit, or the epochs are read from a discontinuous EDF+
        or BDF+ file with gaps that are not marked.

    Examples
    --------
    >>> from brainof_toolbox import from_epochs
    >>> from brainof_toolbox.datasets import make_epochs
    >>> from_epochs(make_epochs(n_epochs=4, n_channels=8))
    <Signals | eeg, 4 samples x 8 channels (eeg) x 256 times at 128 Hz, 2 s>
    """
    import mne

    if isinstance(epochs, list | tuple):
        parts = [from_epochs(one, missing_positions=missing_positions) for one in epochs]
        is_plain = all(isinstance(part, Signals) for part in parts)
        is_alike = is_plain and len({part.signature for part in parts}) == 1
        return Signals.concatenate(parts) if is_alike else parts
    if isinstance(epochs, mne.Evoked):
        epochs = epochs_of([epochs], [])
    return read_epochs(epochs, missing_positions=missing_positions)


def read_epochs(epochs, *, missing_positions="raise", levels=None, first=0):
    """Read epochs, a piece that starts at sample ``first`` of those of ``levels``."""
    raw = getattr(epochs, "_raw", None)
    if hasattr(raw, "filenames"):  # the recording from which the epochs are read
        check_gaps(raw)
    files = (epochs.filename, *getattr(raw, "filenames", ()))
    with _naming(files):
        epochs = without_bad(epochs)
    if len(epochs) == 0:
        raise ValueError(
            "Epochs hold no epochs: all were dropped, see epochs.drop_log for the reasons."
        )
    # Decimation leaves events alone.
    events_sfreq = getattr(epochs, "_raw_sfreq", None) or epochs.info["sfreq"]
    onset = epochs.events[:, 0] / events_sfreq + epochs.tmin
    fields = {"onset": onset, "has_baseline": epochs.baseline is not None}
    levels = levels or make_levels(epochs)

    def read(picks):
        with _naming(files):
            return epochs.get_data(picks, verbose="error", copy=False)

    return _build(
        epochs.info, read, fields, missing_positions, raw=raw, levels=levels, first=first
    )


def make_levels(epochs):
    """Return empty levels of epochs, with the subjects in their metadata."""
    has_subject = epochs.metadata is not None and "subject" in epochs.metadata
    return Levels(len(epochs), tuple(epochs.metadata["subject"]) if has_subject else None)


@contextmanager
def _naming(files):
    """Name the file in errors of any reader."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        named = ", ".join(str(name) for name in files if name) or "the recording"
        reason = f"truncated or damaged ({type(error).__name__}: {error})"
        raise ValueError(f"Cannot read the data of {named}: {reason}.") from error


def from_raw(raw, *, window=None, missing_positions="raise"):
    """Read the data channels of a continuous recording, without spans annotated as bad.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Recording, loaded or on disk. It is not changed, nor loaded as a whole in double precision.
        Spans annotated ``BAD...`` are left out. Filters do not cross them, nor the boundaries
        annotated ``EDGE``, ``boundary`` (EEGLAB) and ``New Segment`` (BrainVision). Where spans
        are bad in some channels only (``ch_names`` of the annotations), either these channels or
        the spans are left out, whichever keeps more data (channels x time).
    window : float | None
        Cut into samples of this many seconds. ``None`` (default) makes the recording one sample.
    missing_positions : str
        ``"raise"`` refuses channels without a position; ``"placeholder"`` gives them distinct
        placeholder positions by their order.

    Returns
    -------
    signals : Signals | PairedSignals
        Shape (1, n_channels, n_times), or (n_windows, n_channels, n_window_times); SI units;
        paired when EEG and MEG are both there.

    Raises
    ------
    ValueError
        If all spans or all channels are bad, positions are missing, values are not
        finite, amplitudes are impossible for their unit, or the recording is of a discontinuous
        EDF+ or BDF+ file with gaps that are not marked.

    Warns
    -----
    RuntimeWarning
        If channels are left out for their bad spans; the message names them.

    Notes
    -----
    MNE reads discontinuous files as if they had no gaps; :func:`read_recording` marks the gaps.

    High-pass filters are longer than short windows. Where slow drifts matter, filter the
    recording with MNE before cutting it with ``window=``.

    Examples
    --------
    >>> from brainof_toolbox import from_raw
    >>> from brainof_toolbox.datasets import make_raw
    >>> from_raw(make_raw(n_channels=8, duration=20), window=4.0)
    <Signals | eeg, 5 samples x 8 channels (eeg) x 1000 times at 250 Hz, 4 s>
    """
    sfreq = raw.info["sfreq"]
    if window is not None:
        check_number("window", window, low=1 / sfreq)
    check_gaps(raw)
    info, annotations = leave_out_channels(raw)
    spans = good_spans(raw, annotations)
    segments = list(pairwise(np.cumsum([0, *(b - a for a, b in spans)]).tolist()))

    def read(picks):
        data = np.empty((1, len(picks), segments[-1][1]), dtype=np.float32)
        with _naming(raw.filenames):
            for (a, b), (start, stop) in zip(spans, segments, strict=True):
                data[0, :, start:stop] = raw.get_data(picks, a, b, verbose="error")
        return data

    fields = {"good_segments": segments, "onset": [spans[0][0] / sfreq], "is_locked": False}
    signals = _build(info, read, fields, missing_positions, raw=raw)
    if window is None:
        return signals
    parts = {name: _cut(part, window, spans) for name, part in as_parts(signals).items()}
    return PairedSignals(parts) if isinstance(signals, PairedSignals) else parts[signals.modality]


def _cut(signals, window, spans):
    """Cut into windows; their onset counts from the start of the recording with bad spans."""
    windows, _ = cut_windows(signals, window)
    good_starts = np.array([start for start, _ in signals.good_segments])
    at = np.round((windows.onset - signals.onset[0]) * signals.sfreq).astype(int)
    segment = np.searchsorted(good_starts, at, side="right") - 1
    skipped = np.array([start for start, _ in spans]) - good_starts
    return windows.replace(onset=(at + skipped[segment]) / signals.sfreq)


def from_array(data, info, *, missing_positions="raise"):
    """Read an array in the layout of :mod:`mne.decoding`.

    Parameters
    ----------
    data : array-like, shape (n_samples, n_channels, n_times) or (n_samples, n_times)
        SI units (V, T, T/m). Two dimensions are one-channel series; implausible amplitudes are
        then warnings instead of errors, and means are kept.
    info : mne.Info
        Channels of ``data``, in order, and the sampling rate.
    missing_positions : str
        ``"raise"`` refuses channels without a position; ``"placeholder"`` gives them distinct
        placeholder positions by their order. One-channel series need none.

    Returns
    -------
    signals : Signals | PairedSignals
        One sample per row; paired when ``info`` holds EEG and MEG.

    Raises
    ------
    ValueError
        If ``info`` is missing or disagrees with the array, the axes are in another order, the
        dtype is not real or an integer (counts), values are not finite, or amplitudes are
        impossible for their unit.
    """
    data = _check_array(data, info)
    is_table = data.ndim == 2
    if is_table:
        data = data[:, None, :]
    fields = {"has_baseline": is_table}
    return _build(info, lambda picks: data[:, picks], fields, missing_positions, is_table=is_table)


def _check_array(data, info):
    data = np.asarray(data)
    if data.dtype.kind in "OUS" and data.ndim == 2:  # tables may have dtype object, signals not
        try:
            data = data.astype(np.float64)
        except (TypeError, ValueError) as error:
            message = f"Arrays must hold real numbers, got dtype {data.dtype}: {error}"
            raise ValueError(message) from error
    if data.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: got dtype {data.dtype}; pass real signals.")
    if data.dtype.kind not in "fiub":
        raise ValueError(f"Arrays must hold real numbers, got dtype {data.dtype}.")
    if data.ndim not in (2, 3):
        raise ValueError(
            "An array must be (n_samples, n_channels, n_times), or (n_samples, n_times) for "
            f"one-channel series; got {data.ndim} dimension(s), shape {data.shape}. "
            "Reshape your data."
        )
    if info is None:
        raise ValueError(
            "An array of EEG or MEG needs info= with channels, types and sampling rate: "
            "info=mne.create_info(ch_names, sfreq, 'eeg'); info.set_montage(...). fMRI series of "
            "regions are read by from_roi_timeseries(data, t_r=..., labels_img=...)."
        )
    if not isinstance(info, Mapping) or "ch_names" not in info:
        raise TypeError(f"info must be an mne.Info (mne.create_info), got {type(info).__name__}.")
    if data.dtype.kind in "iub":
        refuse = warn if data.ndim == 2 else raise_error
        refuse(
            f"The array has the integer dtype {data.dtype}, which is impossible for volt or "
            "tesla: these look like raw counts of the converter. Multiply each channel by its "
            "gain (volt or tesla per count)."
        )
    shape, n_info, hint = data.shape, len(info["ch_names"]), ""
    is_table = data.ndim == 2
    n_channels = 1 if is_table else shape[1]
    if n_channels == n_info:
        return data
    where = f"2-D, shape {shape}" if is_table else f"axis 1 of shape {shape}"
    if not is_table and shape[2] == n_info:
        hint = (
            " The last axis has that many: the order must be (n_samples, n_channels, n_times); "
            "use data.transpose(0, 2, 1)."
        )
    elif shape[0] == n_info:
        hint = " The first axis has that many: a single sample is data[None]."
    count = f"{n_channels} channel{'s' * (n_channels != 1)}"
    raise ValueError(f"The array has {count} ({where}) but info has {n_info}.{hint}")


def _build(
    info, read, fields, missing_positions, *, raw=None, levels=None, first=0, is_table=False
):
    """Make one ``Signals`` per modality in ``info``; ``read(picks)`` returns the values."""
    subject = (info.get("subject_info") or {}).get("his_id")
    if isinstance(subject, str) and not subject.strip():  # None if empty
        subject = None
    parts = {}
    for modality, picks in pick_channels(info).items():
        pos, ori = np.array([[0.0, 0.0, 0.1]]), None  # a one-channel series is at the vertex
        if not is_table:
            pos, ori = sensor_geometry(info, picks, modality, missing_positions)
        data, names = read(picks), [info["ch_names"][i] for i in picks]
        parts[modality] = Signals(
            data=data,
            sfreq=info["sfreq"],
            modality=modality,
            ch_names=names,
            ch_types=info.get_channel_types(picks),
            ch_pos=pos,
            ch_ori=ori,
            subject=(subject,) * len(data),
            highpass=stated_highpass(info, names, raw),
            **fields,
        )
        levels = levels or Levels(len(data))
        levels.add(parts[modality], first, where="The data", is_table=is_table)
    return next(iter(parts.values())) if len(parts) == 1 else PairedSignals(parts)
