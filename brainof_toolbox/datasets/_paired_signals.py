"""Simulate many short samples of simultaneous EEG, MEG and fMRI, as arrays."""

from __future__ import annotations

from functools import partial

import numpy as np

from .._utils.validation import check_number
from ..io.regions import head_to_mni, region_geometry, resolve_masker
from ..io.sensors import from_array
from ..signals import MODALITIES, PairedSignals, Signals
from ._docs import check_paired, fill_dataset_doc
from ._paired_runs import VIEW_NOISE, draw_missing, sense
from .activity import SLOW, WARM_UP, draw_levels, draw_subject, simulate_activity
from .bold import estimate_drive, haemodynamic, positions, regional_noise, spread_weights
from .forward import make_gain, make_sensors
from .sources import source_table

#: Number of samples simulated at once, which bounds the memory.
_AT_ONCE = 32


@fill_dataset_doc
def make_paired_signals(
    n_samples=40,
    *,
    n_subjects=8,
    modalities=("fmri", "eeg", "meg"),
    effect_size=1.0,
    views="separate",
    missing=0.0,
    montage="10-20",
    n_meg=30,
    sfreq=128.0,
    t_r=2.0,
    noise_level=1.0,
    duration=4.0,
    fmri_duration=40.0,
    masker=None,
    line_freq=None,
    random_state=0,
):
    """Simulate many short samples of simultaneous EEG, MEG and fMRI, two states each.

    The sources, sensors and effects are those of :func:`make_paired_recordings` with
    ``label="state"``, without blinks and evoked responses: every sample is a segment of
    ``fmri_duration`` seconds of ``rest`` or ``task``, and EEG and MEG are its middle part. fMRI
    is computed for regions directly, without an image. Positions of electrodes are those of the
    template for all subjects.

    Parameters
    ----------
    n_samples : int
        Number of samples per subject, at least 2; half of them (rounded down) are ``task``.
    %(paired)s
    duration : float
        Length of EEG and MEG in seconds.
    fmri_duration : float
        Length of fMRI in seconds, no shorter than ``duration``.
    masker : object
        Any atlas accepted by :func:`~brainof_toolbox.from_nifti`; ``None`` is the default
        parcellation.
    %(line_freq)s
    %(random_state)s

    Returns
    -------
    signals : PairedSignals
        All subjects, one after the other. fMRI is standardised over each subject's samples
        (``has_baseline``).
    y : ndarray of str, shape (n_samples * n_subjects,)
        ``"rest"`` or ``"task"``.
    groups : ndarray of str, shape (n_samples * n_subjects,)
        Subjects.

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
        part = layout(values)
        kept = np.where(is_missing[name][:, None, None], 0.0, part.data)
        parts[name] = part.replace(data=kept, subject=tuple(groups))
    signals = PairedSignals(parts, is_missing=is_missing) if missing else PairedSignals(parts)
    return signals, np.array(["rest", "task"])[np.concatenate(task)], groups


def _check(options):
    check_paired(options)
    check_number("n_samples", options["n_samples"], low=2, integer=True)
    check_number("duration", options["duration"], low=0.5)
    check_number("fmri_duration", options["fmri_duration"], low=options["duration"])
    check_number("t_r", options["t_r"], low=0.1, high=options["fmri_duration"] / 4)


def _lay_out(options):
    """Return functions from values to Signals with the sensors or regions of each modality."""
    layouts = {}
    for name in MODALITIES:
        if name == "fmri" and name in options["modalities"]:
            masker = resolve_masker(options["masker"])
            if not hasattr(masker, "n_elements_"):
                masker = masker.fit()
            names, places = region_geometry(masker)
            layouts[name] = partial(
                Signals,
                sfreq=1 / options["t_r"],
                modality="fmri",
                ch_names=names,
                ch_types=("bold",) * len(names),
                ch_pos=places,
                has_baseline=True,
            )
        elif name in options["modalities"]:
            layouts[name] = partial(from_array, info=make_sensors(name, options))
    return layouts


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
    return is_task, data, draw_missing(streams["missing"], n, options)


def _gains(layouts, table, subject, options):
    """Return the sensors on the head of a subject, and their gain without the eyes."""
    infos = {
        name: make_sensors(name, options, subject["scale"]) for name in layouts if name != "fmri"
    }
    scale = subject["scale"]
    return {name: (info, make_gain(info, table, scale)[:, :-1]) for name, info in infos.items()}


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
        data[name] = sense(streams[name], name, info, gain, moments, subject, options)
    if "fmri" in layouts:
        data["fmri"] = _scan(streams["fmri"], levels, table, subject, layouts["fmri"], options)
    return data


def _scan(rng, levels, table, subject, layout, options):
    n_volumes = int(options["fmri_duration"] / options["t_r"] + 1e-9)
    drive = estimate_drive(rng, levels)
    bold = haemodynamic(drive, subject, options["t_r"], n_volumes)
    level = options["noise_level"] * subject["noise"]["fmri"]
    seen = spread_weights(head_to_mni(layout.keywords["ch_pos"]), positions(table)) @ bold
    return seen + regional_noise(rng, *seen.shape, options["t_r"], level)
