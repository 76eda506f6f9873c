"""Simulate one subject and one run of paired recordings."""

from __future__ import annotations

import numpy as np

from ..signals import MODALITIES
from ._sensors import blink_moments, record_sensors
from .activity import SLOW, WARM_UP, draw_levels, draw_subject, simulate_activity
from .bold import haemodynamic, make_image, power_drive
from .forward import make_eeg_info, make_gain, make_meg_info

#: Standard deviation of a modality's copy of the label around the label, in units of effect.
VIEW_NOISE = 0.5
#: Tension of the muscles.
MUSCLES = {"shared": 1.0, "separate": 6.0}
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
    for name in _draw_modalities(streams["missing"], options):
        if name == "fmri":
            drive = power_drive(broad, sfreq, n_slow)
            record["fmri"] = _scan(streams[name], drive, person, table, options)
            record["t_r"] = options["t_r"]
        else:
            record[name] = _sense(streams[name], name, moments, person, table, events, options)
    return record, events


def _draw_modalities(rng, options):
    """Draw the modalities of a record; the result does not depend on the other modalities."""
    gone = dict(zip(MODALITIES, rng.random(len(MODALITIES)), strict=True))
    asked = [name for name in MODALITIES if name in options["modalities"]]
    kept = [name for name in asked if gone[name] >= options["missing"]]
    return kept or [max(asked, key=gone.get)]


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

    if name == "eeg":
        info = make_eeg_info(options["montage"], options["sfreq"], person["scale"])
    else:
        info = make_meg_info(options["n_meg"], options["sfreq"], person["scale"])
    gain = make_gain(info, table, person["scale"])
    level = options["noise_level"] * person["noise"][name]
    info["line_freq"] = options["line_freq"]
    data = record_sensors(
        rng,
        info,
        gain,
        moments,
        level=level,
        muscles=MUSCLES[options["views"]],
        line_freq=options["line_freq"],
    )[0]
    raw = mne.io.RawArray(data, info, verbose="error")
    if events:
        onset, length, words = zip(*events, strict=True)
        raw.set_annotations(mne.Annotations(onset, length, words))
    return raw
