"""Simulate many short samples of simultaneous EEG, MEG and fMRI, as arrays."""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number, check_option
from ..io.regions import head_to_mni
from ..io.sensors import from_array
from ..signals import MODALITIES, PairedSignals, Signals
from ._paired_runs import MUSCLES, VIEW_NOISE
from ._sensors import record_sensors
from .activity import SLOW, WARM_UP, draw_levels, draw_subject, simulate_activity
from .bold import estimate_drive, haemodynamic, positions, regional_noise, spread_weights
from .forward import make_eeg_info, make_gain, make_meg_info
from .sources import source_table

#: Number of samples simulated at once, which bounds the memory.
_AT_ONCE = 32


def make_paired_signals(
    n_samples=40,
    *,
    n_subjects=8,
    modalities=("fmri", "eeg", "meg"),
    effect_size=1.0,
    views="separate",
    missing=0.0,
    duration=4.0,
    fmri_duration=40.0,
    montage="10-20",
    n_meg=30,
    sfreq=128.0,
    t_r=2.0,
    masker=None,
    line_freq=None,
    noise_level=1.0,
    random_state=0,
):
    """Simulate many short samples of simultaneous EEG, MEG and fMRI, two states each.

    The sources, sensors and effects are those of :func:`make_paired_recordings` with
    ``label="state"``, without blinks and evoked responses: every sample is a segment of
    ``fmri_duration`` seconds of ``rest`` or ``task``, and EEG and MEG are its middle part. fMRI
    is computed for regions directly, without an image.

    Parameters
    ----------
    n_samples : int
        Number of samples per subject, at least 2; half of them (rounded down) are ``task``.
    n_subjects : int
        Number of subjects; more of them do not change the first ones.
    modalities : sequence of str
        Any of ``"fmri"``, ``"eeg"`` and ``"meg"``.
    effect_size : float
        Size of the difference between the states; 0 for none.
    views : str
        ``"separate"`` (default here) or ``"shared"``, as in :func:`make_paired_recordings`.
    missing : float
        Probability that a sample lacks a modality; at least one is always kept.
    duration : float
        Length of EEG and MEG in seconds.
    fmri_duration : float
        Length of fMRI in seconds, no shorter than ``duration``.
    montage : str | int | sequence of str
        As in :func:`make_paired_recordings`; with template positions for all subjects.
    n_meg : int | str
        As in :func:`make_paired_recordings`.
    sfreq : float
        Sampling rate of EEG and MEG in Hz, at least 60.
    t_r : float
        Repetition time of fMRI in seconds.
    masker : object
        Any atlas accepted by :func:`~brainof_toolbox.from_nifti`; ``None`` is the default
        parcellation.
    line_freq : float | None
        Line frequency in Hz; ``None`` (default): no line noise.
    noise_level : float
        Factor of sensor, muscle, scanner and physiological noise.
    random_state : int | numpy.random.Generator | None
        Seed; equal seeds give equal data.

    Returns
    -------
    signals : PairedSignals
        All subjects, one after the other. fMRI is standardised over each subject's samples
        (``has_baseline``).
    y : ndarray of str, shape (n_samples * n_subjects,)
        ``"rest"`` or ``"task"``.
    groups : ndarray of str, shape (n_samples * n_subjects,)
        Subjects.

    Raises
    ------
    ValueError
        If a parameter is invalid.

    Examples
    --------
    >>> from brainof_toolbox.datasets import make_paired_signals
    >>> signals, state, subject = make_paired_signals(2, n_subjects=2, modalities=["eeg", "meg"])
    >>> signals
    <PairedSignals | 4 samples: eeg (19, 512); meg (30, 512)>
    >>> subject.tolist()
    ['01', '01', '02', '02']
    """
    options = dict(locals())
    _check(options)
    table = source_table(views)
    layouts = _lay_out(options)
    made = [
        _simulate_subject(rng, table, layouts, options)
        for rng in np.random.default_rng(random_state).spawn(n_subjects)
    ]
    task, data, gone = zip(*made, strict=True)
    groups = np.repeat([f"{i + 1:02d}" for i in range(n_subjects)], n_samples)
    parts, is_missing = {}, {}
    for name, layout in layouts.items():
        values = np.concatenate([of_subject[name] for of_subject in data])
        is_missing[name] = np.concatenate([of_subject[name] for of_subject in gone])
        part = layout["pack"](values)
        kept = np.where(is_missing[name][:, None, None], 0.0, part.data)
        parts[name] = part.replace(data=kept, subject=tuple(groups))
    signals = PairedSignals(parts, is_missing=is_missing) if missing else PairedSignals(parts)
    return signals, np.array(["rest", "task"])[np.concatenate(task)], groups


def _check(options):
    modalities = options["modalities"]
    if isinstance(modalities, str) or not 0 < len(set(modalities)) == len(modalities):
        raise ValueError(f"'modalities' must be a list of different names, got {modalities!r}.")
    for name in modalities:
        check_option("modalities", name, MODALITIES)
    check_option("views", options["views"], ("shared", "separate"))
    check_number("n_samples", options["n_samples"], low=2, integer=True)
    check_number("n_subjects", options["n_subjects"], low=1, integer=True)
    check_number("effect_size", options["effect_size"], low=0, high=2)
    check_number("missing", options["missing"], low=0, high=1)
    check_number("sfreq", options["sfreq"], low=60)
    check_number("duration", options["duration"], low=0.5)
    check_number("fmri_duration", options["fmri_duration"], low=options["duration"])
    check_number("t_r", options["t_r"], low=0.1, high=options["fmri_duration"] / 4)
    check_number("noise_level", options["noise_level"], low=0)


def _lay_out(options):
    """Return the sensors or regions of each modality, as fields of Signals."""
    layouts, sfreq = {}, options["sfreq"]
    for name in MODALITIES:
        if name not in options["modalities"]:
            continue
        if name == "fmri":
            names, places = _regions(options["masker"])
            pack = _packer(names, places, 1 / options["t_r"])
            layouts[name] = {"places": head_to_mni(places), "pack": pack}
            continue
        if name == "eeg":
            info = make_eeg_info(options["montage"], sfreq)
        else:
            info = make_meg_info(options["n_meg"], sfreq)
        layouts[name] = {"pack": lambda values, info=info: from_array(values, info)}
    return layouts


def _regions(masker):
    """Return names and head positions of the regions of an atlas."""
    from ..io.maskers import resolve_masker
    from ..io.regions import region_geometry

    masker = resolve_masker(masker)
    if not hasattr(masker, "n_elements_"):
        masker = masker.fit()
    return region_geometry(masker)


def _packer(names, places, sfreq):
    return lambda values: Signals(
        data=values,
        sfreq=sfreq,
        modality="fmri",
        ch_names=names,
        ch_types=("bold",) * len(names),
        ch_pos=places,
        has_baseline=True,
    )


def _simulate_subject(rng, table, layouts, options):
    """Simulate one subject: labels (n_samples,), values and missing samples by modality."""
    streams = dict(zip(("traits", "latent", "missing", *MODALITIES), rng.spawn(6), strict=True))
    subject = draw_subject(streams["traits"], len(table))
    n = options["n_samples"]
    is_task = streams["latent"].permutation(np.arange(n) % 2)
    data = {name: [] for name in layouts}
    gains = _gains(layouts, table, subject, options)
    for start in range(0, n, _AT_ONCE):
        task = is_task[start : start + _AT_ONCE]
        chunk = _simulate_chunk(streams, task, table, subject, layouts, gains, options)
        for name, values in chunk.items():
            data[name].append(values)
    data = {name: np.concatenate(values) for name, values in data.items()}
    if "fmri" in data:
        mean = data["fmri"].mean(axis=(0, 2), keepdims=True)
        data["fmri"] = (data["fmri"] - mean) / data["fmri"].std(axis=(0, 2), keepdims=True)
    draws = streams["missing"].random((n, len(MODALITIES)))
    asked = np.array([name in layouts for name in MODALITIES])
    gone = (draws < options["missing"]) & asked
    nothing_left = gone[:, asked].all(axis=1)
    keep = np.where(asked, draws, -1.0).argmax(axis=1)
    gone[nothing_left, keep[nothing_left]] = False
    return is_task, data, {n: gone[:, i] for i, n in enumerate(MODALITIES) if n in layouts}


def _gains(layouts, table, subject, options):
    """Return the sensors on the head of a subject, and their gain without the eyes."""
    gains = {}
    for name in layouts:
        if name == "fmri":
            continue
        key, make = ("montage", make_eeg_info) if name == "eeg" else ("n_meg", make_meg_info)
        info = make(options[key], options["sfreq"], subject["scale"])
        gains[name] = info, make_gain(info, table, subject["scale"])[:, :-1]
    return gains


def _simulate_chunk(streams, task, table, subject, layouts, gains, options):
    """Simulate values (n, n_channels, n_times) by modality."""
    rng, n = streams["latent"], len(task)
    n_slow = int(np.ceil((WARM_UP + options["fmri_duration"]) * SLOW))
    effects = {}
    for name in MODALITIES:
        stray = VIEW_NOISE * rng.normal(size=n) if options["views"] == "separate" else 0.0
        value = options["effect_size"] * (task - 0.5 + stray)
        effects[name] = np.repeat(value[:, None], n_slow, axis=1)
    levels = draw_levels(rng, table, effects["fmri"], sustained=False)
    data = {}
    first = int((WARM_UP + (options["fmri_duration"] - options["duration"]) / 2) * SLOW)
    last = first + int(np.ceil(options["duration"] * SLOW)) + 1
    n_times = int(round(options["duration"] * options["sfreq"]))
    moments, _ = simulate_activity(
        rng,
        table,
        subject,
        levels[..., first:last],
        {name: effect[:, first:last] for name, effect in effects.items()},
        options["views"],
        options["sfreq"],
        n_times,
    )
    for name, (info, gain) in gains.items():
        level = options["noise_level"] * subject["noise"][name]
        data[name] = record_sensors(
            streams[name],
            info,
            gain,
            moments,
            level=level,
            muscles=MUSCLES[options["views"]],
            line_freq=options["line_freq"],
        )
    if "fmri" in layouts:
        data["fmri"] = _scan(streams["fmri"], levels, table, subject, layouts["fmri"], options)
    return data


def _scan(rng, levels, table, subject, layout, options):
    n_volumes = int(options["fmri_duration"] / options["t_r"] + 1e-9)
    drive = estimate_drive(rng, levels)
    bold = haemodynamic(drive, subject, options["t_r"], n_volumes)
    level = options["noise_level"] * subject["noise"]["fmri"]
    seen = spread_weights(layout["places"], positions(table)) @ bold
    return seen + regional_noise(rng, *seen.shape, options["t_r"], level)
