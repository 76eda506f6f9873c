"""One recording -> a part of the corpus, in a process of its own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from ..io.inputs import ReadOptions
from ..preprocessing import Preprocessing, preprocess
from .build_folder import CorpusWriteError, writing
from .build_sources import Simulated, read_samples
from .recording_writer import RecordingWriter

#: Warnings of other packages about themselves.
_UNIMPORTANT = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ResourceWarning)


@dataclass(frozen=True)
class BuildOptions:
    """Options that determine the samples of a recording."""

    preprocessing: Preprocessing  # With the windows of EEG and MEG
    fmri_volumes: int  # Longest window of fMRI
    dtype: str  # Of the values on disk
    reading: ReadOptions  # How recordings are read


def build_part(recording, stem, folder, options):
    """Read, preprocess, cut and encode one recording."""
    from threadpoolctl import threadpool_limits

    part, reason = None, None
    # One thread: sums are then the same whatever else runs.
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("always")
        try:
            part = _write_part(recording, stem, folder, options)
        except CorpusWriteError:
            raise
        except Exception as error:  # readers raise anything on a damaged file
            reason = _reason(error, recording)
    found = [str(w.message) for w in caught if not issubclass(w.category, _UNIMPORTANT)]
    return part, reason, [_without_path(text, recording) for text in dict.fromkeys(found)]


def _write_part(recording, stem, folder, options):
    item = recording.item
    item = item.make() if isinstance(item, Simulated) else item
    with writing(stem.parent):
        writer = RecordingWriter(stem, folder, options.dtype)
    try:
        for signals in read_samples(item, options.reading):
            if recording.subject is not None:
                signals = signals.replace(subject=(recording.subject,) * len(signals))
            seconds = sum(stop - start for start, stop in signals.good_segments) / signals.sfreq
            is_fmri = signals.modality == "fmri"
            if is_fmri and signals.shape[2] == 1:
                raise ValueError("The image is a map of one volume: a corpus holds runs.")
            window = options.fmri_volumes / signals.sfreq if is_fmri else None
            windows = preprocess(signals, options.preprocessing, window=window)
            with writing(stem.parent):
                writer.append(windows, seconds)
        if writer.is_empty:
            raise ValueError(
                "No channel varies by more than 100 nV or 2 fT: zeros, or not in V, T, T/m."
            )
        with writing(stem.parent):
            return writer.finish()
    except BaseException:
        writer.discard()
        raise


def _reason(error, recording):
    text = _without_path(" ".join(str(error).split()), recording) or type(error).__name__
    known = (ValueError, TypeError, OSError, RuntimeError)
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}"


def _without_path(text, recording):
    """Shorten a path in a message to the name below the source; drop it at the beginning."""
    if isinstance(recording.item, str):
        text = text.removeprefix(f"X[0] ({recording.item})")
        text = text.replace(recording.item, recording.name)
    for name in ("X[0]", recording.name):
        text = text.removeprefix(name).lstrip(": ")
    return text
