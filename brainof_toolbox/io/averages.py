"""Read the averages of a FIF file as epochs, one for each; other data sets are left out."""

from __future__ import annotations

from collections import Counter

from .reasons import RecordingError

#: Kinds of data sets that are signals; others are standard errors, spectra, ...
_SIGNALS = ("average", "single_epoch", "partial_average", "sample_cut_out_by_graph")


def read_averages(path, allow_maxshield, notes):
    """Read the averages of a FIF file, each as one epoch; append warnings to ``notes``."""
    import mne

    evokeds = mne.read_evokeds(path, allow_maxshield=allow_maxshield, verbose="warning")
    averages = [evoked for evoked in evokeds if evoked.kind in _SIGNALS]
    others = Counter(evoked.kind for evoked in evokeds if evoked.kind not in _SIGNALS)
    counts = ", ".join(f"{n} of kind {kind!r}" for kind, n in others.items())
    if not averages:
        raise RecordingError(f"it holds no averages, but {counts or 'no data set'}")
    if others:
        notes.append(
            f"{sum(others.values())} of {len(evokeds)} data sets are no averages and are "
            f"left out: {counts}."
        )
    return epochs_of(averages, notes)


def epochs_of(averages, notes):
    """Return averages as epochs, one each; append warnings to ``notes``."""
    import mne

    for evoked in averages:
        if evoked.kind not in _SIGNALS:
            raise ValueError(
                f"The Evoked {evoked.comment!r} is no average, but of kind {evoked.kind!r}. "
                "Leave it out."
            )
    _check_alike(averages)
    return mne.EpochsArray(
        [evoked.data for evoked in averages],
        averages[0].info,
        tmin=averages[0].times[0],
        baseline=_common_baseline(averages, notes),
        verbose="warning",
    )


def _check_alike(averages):
    """Raise if averages differ in channels or times, so that they cannot share one array."""
    first = averages[0]
    for other in averages[1:]:
        pairs = zip(_layout(first).items(), _layout(other).values(), strict=True)
        differing = [name for (name, one), another in pairs if one != another]
        if differing:
            raise RecordingError(
                f"its averages {first.comment!r} ({_describe(first)}) and {other.comment!r} "
                f"({_describe(other)}) differ in their {' and '.join(differing)}. Write those "
                "that are alike to files of their own, with mne.write_evokeds"
            )


def _layout(evoked):
    """Return all that averages need in common, by its name in messages."""
    first = round(evoked.times[0] * evoked.info["sfreq"])  # in samples from time 0
    return {
        "channels": evoked.ch_names,
        "channel types": evoked.get_channel_types(),
        "sampling rates": evoked.info["sfreq"],
        "bad channels": evoked.info["bads"],
        "channel positions": [channel["loc"].tobytes() for channel in evoked.info["chs"]],
        "times": (first, len(evoked.times)),
    }


def _describe(evoked):
    return (
        f"{len(evoked.ch_names)} channels, {evoked.times[0]:g} to {evoked.times[-1]:g} s at "
        f"{evoked.info['sfreq']:g} Hz"
    )


def _common_baseline(averages, notes):
    """Return the baseline of all averages; None, with a note, if they differ."""
    baselines = list(dict.fromkeys(evoked.baseline for evoked in averages))
    if len(baselines) == 1:
        return baselines[0]
    notes.append(
        f"The averages differ in their baseline ({', '.join(map(str, baselines))}) and are all "
        "read as not baseline-corrected: the mean of each counts as an offset. Apply "
        "one baseline to all with evoked.apply_baseline and save them again."
    )
    return None
