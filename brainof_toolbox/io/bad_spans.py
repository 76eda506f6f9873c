"""Bad spans of recordings: which time points and which channels are left out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .._utils.logging import warn
from ..signals import CHANNEL_TYPES

#: Contiguous data are read in segments of at most this many seconds, which bounds the memory for
#: double precision copies.
_LONGEST_SEGMENT = 600.0


def leave_out_channels(raw):
    """Return the info without channels that are bad in some spans, and the other annotations."""
    # Of the channels that have bad spans of their own, the k with the longest ones are left out,
    # for the k that keeps most data: good channels x good time. No modality loses all channels.
    annotations, info = raw.annotations, raw.info
    words = [str(word).lower() for word in annotations.description]
    is_bad = [word.startswith("bad") for word in words]
    own = [set(n) if bad else set() for n, bad in zip(annotations.ch_names, is_bad, strict=True)]
    if not any(own):
        return info, annotations
    kinds = dict(zip(raw.ch_names, info.get_channel_types(), strict=True))
    good = {
        name: modality
        for modality, types in CHANNEL_TYPES.items()
        for name, kind in kinds.items()
        if kind in types and name not in info["bads"]
    }
    affected = good.keys() & set().union(*own)
    points = {name: np.zeros(len(raw.times), dtype=bool) for name in (*affected, None)}
    for names, annotation, bad in zip(own, annotations, is_bad, strict=True):
        start, stop = _span(raw, annotation)
        for name in (names & affected) or ({None} if bad and not names else ()):
            points[name][start:stop] = True  # None: of all channels
    everywhere = points.pop(None)
    worst = sorted(points, key=lambda name: -points[name].sum())
    best = most = -1
    for k in range(len(worst) + 1):
        left = {name: modality for name, modality in good.items() if name not in worst[:k]}
        is_lost = np.any([everywhere, *(points[name] for name in worst[k:])], axis=0)
        kept = len(left) * np.count_nonzero(~is_lost)
        if kept > most and set(left.values()) == set(good.values()):
            best, most = k, kept
    dropped = worst[:best]
    if dropped:
        seconds = points[worst[0]].sum() / info["sfreq"]
        warn(
            f"Channels {sorted(dropped)[:20]} are left out: they are annotated as BAD for up to "
            f"{seconds:.4g} s, and without them more data are left than without these spans."
        )
        info = info.copy()
        info["bads"] = [*info["bads"], *dropped]
    applies = [not names or bool(names & good.keys() - set(dropped)) for names in own]
    return info, annotations[np.flatnonzero(applies)]


def _span(raw, annotation):
    """Return all time points that overlap an annotation; a boundary has no length."""
    n_times, sfreq, word = len(raw.times), raw.info["sfreq"], annotation["description"].lower()
    start = (annotation["onset"] - raw.first_time) * sfreq
    # The duration of a boundary is that of removed data.
    stop = start if _is_joint(word) else start + annotation["duration"] * sfreq
    # 1e-3 of a time point is rounding.
    start = int(np.clip(np.floor(start + 1e-3), 0, n_times))
    return start, int(np.clip(np.ceil(stop - 1e-3), start, n_times))


def _is_joint(word):
    return word == "boundary" or word.startswith("new segment")  # EEGLAB, BrainVision


def good_spans(raw, annotations=None):
    """Return the contiguous good spans of a recording."""
    n_times, sfreq = len(raw.times), raw.info["sfreq"]
    if n_times == 0:
        raise ValueError(f"The recording holds no time points: {raw!r}.")
    is_bad = np.zeros(n_times, dtype=bool)
    cuts = {0, n_times}
    for annotation in raw.annotations if annotations is None else annotations:
        word = annotation["description"].lower()
        if not (_is_joint(word) or word.startswith(("bad", "edge"))):
            continue
        start, stop = _span(raw, annotation)
        cuts.update((start, stop))
        if word.startswith("bad"):
            is_bad[start:stop] = True
    if is_bad.all():
        raise ValueError(
            f"All of the recording's {n_times / sfreq:.4g} s is annotated as BAD: no data are "
            "left. Check raw.annotations."
        )
    spans = []
    for start, stop in pairwise(sorted(cuts)):
        if not is_bad[start]:
            n_parts = -(-(stop - start) // int(_LONGEST_SEGMENT * sfreq))
            spans += pairwise(np.linspace(start, stop, n_parts + 1).astype(int).tolist())
    return spans
