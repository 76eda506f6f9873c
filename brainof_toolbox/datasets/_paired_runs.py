"""Simulate one subject and one run of paired recordings."""

from __future__ import annotations

import numpy as np

from ..signals import MODALITIES
from ._sensors import blink_moments, record_sensors
from .activity import SLOW, WARM_UP, draw_levels, draw_subject, simulate_activity
from .bold import haemodynamic, make_image, power_drive
from .forward import make_gain, make_sensors

#: Standard deviation of a modality's copy of the label around the label, in units of effect.
VIEW_NOISE = 0.5
#: Tension of the muscles.
_MUSCLES = {"shared": 1.0, "separate": 6.0}
_AGES = (20, 70)


def draw_person(rng, number, table):
    """Draw a subject of the study."""
    sex = "FM"[number % 2]
    age = int(rng.integers(_AGES[0], _AGES[1] + 1))
    subject = draw_subject(rng, len(table))
    return {"subject": f"{number + 1:02d}", "sex": sex, "age": age, **subject}


def simulate_run(rng, person, table, run, options):
    """Simulate one run."""
    streams = dict(zip(("latent", "missing", *MODALITIES), rng.spawn(5), strict=True))
    sfreq, duration = options["sfreq"], options["duration"]
    pad = int(round(WARM_UP * sfreq))
    n_times = int(round(duration * sfreq))
    n_slow = int(np.ceil((WARM_UP + duration) * SLOW))
    rng = streams["latent"]
    events, effects = _draw_effects(rng, person, n_slow, options)
    is_group = options["label"] == "group"
    ageing = options["effect_size"] * (person["age"] - 45) / 25 if is_group else 0.0
    levels = draw_levels(rng, table, effects["fmri"], sustained=is_group, ageing=ageing)
    stimuli = [WARM_UP + onset for onset, _, name in events if name == "stimulus"]
    size = options["effect_size"]
    moments, broad = simulate_activity(
        rng,
        table.assign(evoked=table["evoked"] * size),
        person,
        levels,
        effects,
        options["views"],
        sfreq,
        pad + n_times,
        ageing=ageing,
        stimuli=stimuli,
    )
    eyes = blink_moments(rng, 1, n_times, sfreq) * bool(options["blinks"])
    moments = np.concatenate([moments[..., pad:], eyes], axis=1)
    task = "rest" if is_group else "blocks"
    record = {"subject": person["subject"], "task": task, "run": f"{run:02d}"}
    for name, (is_gone,) in draw_missing(streams["missing"], 1, options).items():
        if is_gone:
            continue
        if name == "fmri":
            drive = power_drive(broad, sfreq, n_slow)
            record["fmri"] = _scan(streams[name], drive, person, table, options)
            record["t_r"] = options["t_r"]
        else:
            record[name] = _sense(streams[name], name, moments, person, table, events, options)
    return record, events


def _draw_effects(rng, person, n_slow, options):
    """Return events, and the effect of each modality on the slow grid, (1, n_slow) each."""
    size, events = options["effect_size"], []
    if options["label"] == "group":
        parts = [(0, n_slow, 0.5 if person["sex"] == "F" else -0.5)]
    else:
        length, n_blocks = options["block_duration"], 0
        n_blocks = int(options["duration"] // length)
        is_task = (np.arange(n_blocks) + rng.integers(2)) % 2
        parts = []
        for block, task in enumerate(is_task):
            onset = block * length
            events.append((onset, length, ("rest", "task")[task]))
            span = [int((WARM_UP + onset + extra) * SLOW) for extra in (0.0, length)]
            parts.append((*span, float(task) - 0.5))
            if task and options["views"] == "shared":
                first = onset + rng.uniform(0.5, 1.0)
                onsets = np.arange(first, onset + length - 0.9, 2.0)
                onsets = onsets + rng.uniform(0, 0.3, len(onsets))
                events += [(float(start), 0.5, "stimulus") for start in onsets]
    effects = {name: np.zeros((1, n_slow)) for name in MODALITIES}
    for start, stop, value in parts:
        for effect in effects.values():
            stray = VIEW_NOISE * rng.normal() if options["views"] == "separate" else 0.0
            effect[0, start:stop] = size * (value + stray)
    return events, effects


def _scan(rng, drive, person, table, options):
    n_volumes = int(options["duration"] / options["t_r"] + 1e-9)
    bold = haemodynamic(drive, person, options["t_r"], n_volumes)[0]
    level = options["noise_level"] * person["noise"]["fmri"]
    return make_image(rng, bold, table, options["t_r"], options["voxel_size"], level)


def _sense(rng, name, moments, person, table, events, options):
    import mne

    info = make_sensors(name, options, person["scale"])
    info["line_freq"] = options["line_freq"]
    gain = make_gain(info, table, person["scale"])
    data = sense(rng, name, info, gain, moments, person, options)[0]
    raw = mne.io.RawArray(data, info, verbose="error")
    if events:
        raw.set_annotations(mne.Annotations(*zip(*events, strict=True)))
    return raw


def sense(rng, name, info, gain, moments, person, options):
    """Simulate sensor signals of a person with the noise that the options ask for."""
    return record_sensors(
        rng,
        info,
        gain,
        moments,
        level=options["noise_level"] * person["noise"][name],
        muscles=_MUSCLES[options["views"]],
        line_freq=options["line_freq"],
    )


def draw_missing(rng, n, options):
    """Draw which of n samples lack each modality; the result does not depend on the others."""
    is_asked = np.isin(MODALITIES, options["modalities"])
    draws = np.where(is_asked, rng.random((n, len(MODALITIES))), -1.0)
    gone = draws < options["missing"]
    gone[np.arange(n), draws.argmax(axis=1)] = False  # one at least is kept
    return {name: gone[:, i] for i, name in enumerate(MODALITIES) if is_asked[i]}
