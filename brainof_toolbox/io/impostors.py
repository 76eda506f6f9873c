"""Detect other channels typed EEG or MEG: drop by name, raise by contents."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from .._utils.electrodes import PREFIX, SUBTRAHEND
from .._utils.logging import warn

#: Words that mark a trigger anywhere in a name: "STI 014", "DIG DTRIG", "Mark1", "StimTrak".
_TRIGGERS = re.compile(
    r"(?:^|.*[\s_\-.:])(?:STATUS|STI|STIM|STIMUL\w*|STIM_?TRAK|D?TRIG\w*|TRG|TTL|MKR|MARK|"
    r"MARKERS?|DIG|DIGITAL\w*|DIN|PHOT(?:O|IC)\w*|LIGHT\s?SENSOR|BUTTONS?|RESPONSES?|KEY(?:S|BOARD|PRESS)?|SYNC\w*|"
    r"EVENT\w*|ANNOTATIONS?)(?:$|[\s\d_\-.+:(XY])",
    re.IGNORECASE,
)
#: Signals of other kinds: "VEOG", "ECG ECG", "Left EOG", "Accel X", "Timestamp".
_OTHER_SIGNALS = re.compile(
    r"(?:^|.*[\s_\-.:])(?:[HVLRI]?(?:EOG|ECG|EKG|EMG)(?:$|[\s\d_\-.+LRXYUDVHI])|"
    r"(?:RESP|RESPIRATION|GSR|EDA|SCR|PPG|EXG|AUX|MISC|SPO2|SAO2|ETCO2|PULSE|PLETH?\w*|"
    r"HEART\s?RATE|AIRFLOW|BELT|AUDIO\w*|SOUND|SPEECH|VOICE|MICROPHONE|ACCEL\w*|GYRO\w*|"
    r"MAGNETOMETER\w*|IMU|MOTION|TEMPERATURE|BATT(?:ERY)?|COUNTER|CLOCK|TIME|TIMESTAMPS?|"
    r"TIME_?STAMPS?|SAMPLE[\s_]?(?:INDEX|COUNT\w*|NUM\w*)|PACKET\w*|ANALOG\w*|GAZE|PUPIL)"
    r"(?:$|[\s\d_\-.+:(XYZ]))",
    re.IGNORECASE,
)
#: Whole names only, as intracranial contacts begin alike ("ACC1", "HR2", "TEMP3").
_WHOLE_NAMES = re.compile(
    r"^(?:ACC(?:[\s_\-.]?[XYZ])?|HR|TEMP|SAMPLES?|MIC|BAT|LIGHT|FLOW|NASAL|SNORE|CHEST|"
    r"THOR(?:AX)?|ABD(?:OMEN)?|POSITION|LEG(?:[\s_\-.]?[LR])?|CO2)$",
    re.IGNORECASE,
)
#: DC inputs of an amplifier; a row of contacts would begin with "DC1".
_DC = re.compile(r"^DC[\s_\-]?(?:0\d|1\d)$", re.IGNORECASE)
_REFERENCES = re.compile(r"^(?:[AM][12]\s*-\s*[AM][12]|REF(?:ERENCE)?|GND|GROUND)$", re.IGNORECASE)

#: Share of repeated values above which a channel is piecewise constant.
_STILL = 0.9
#: Minimum ratio of a trigger step to the noise between points.
_STEP = 50.0
#: Number of points processed together, which bounds memory.
_AT_ONCE = 1 << 16


def without_impostors(names, modality):
    """Drop channels with the name of another type, with a warning."""
    bare = {name: PREFIX.sub("", name.strip()) for name in names}
    has_row_dc = "DC1" in map(str.upper, bare.values())
    wrong = sorted(name for name in names if _is_other(bare[name], modality, has_row_dc))
    if wrong:
        kind = modality.upper()
        warn(
            f"Left out {wrong}: typed {kind}, but by name a reference or not {kind}. Set "
            f"the right type with set_channel_types(), or rename a channel that is {kind}."
        )
    return [name for name in names if name not in wrong]


def _is_other(name, modality, has_row_dc):
    if _TRIGGERS.match(name):
        return True
    if modality == "meg":  # vendor names
        return False
    if _OTHER_SIGNALS.match(name) or _REFERENCES.match(name):
        return True
    root = SUBTRAHEND.sub("", name).strip(" .")
    return bool(_WHOLE_NAMES.match(root) or (_DC.match(root) and not has_row_dc))


def refuse_triggers(signals, *, where="X"):
    """Raise if the values of a channel are those of a trigger or a counter."""
    data = signals.data
    if signals.modality == "fmri" or data.shape[0] * (data.shape[2] - 1) < 32:
        return
    kinds = np.array(signals.ch_types)
    looks = [_look(data[:, i]) for i in range(data.shape[1])]
    still, noise = np.array([(look.still, look.noise) for look in looks]).T
    found = {}
    for i, name in enumerate(signals.ch_names):
        others = (kinds == kinds[i]) & (np.arange(len(kinds)) != i)
        usual = _Look(*(np.median(v[others]) if others.any() else 0.0 for v in (still, noise)))
        words = _describe(data[:, i], looks[i], usual)
        if words:
            found[name] = words
    if found:
        listed = "; ".join(f"{name!r} {words}" for name, words in list(found.items())[:10])
        raise ValueError(
            f"{where}: channels typed {'/'.join(sorted(set(kinds)))} hold a trigger or a counter: "
            f"{listed}. Events would leak into what is predicted from the signal. Give "
            f"{sorted(found)[:10]} the type 'stim' or 'misc' with set_channel_types(), or mark "
            "them bad (info['bads'])."
        )


class _Look(NamedTuple):
    """Changes of a channel between points."""

    still: float  # share of points that repeat the one before
    noise: float  # median size of a change
    rate: float = 0.0  # median change
    steady: float = 0.0  # share of changes that are the median one


def _look(x):
    """Summarise a channel (n_samples, n_times), a bounded number of points at a time."""
    n_still, some, rows = 0, [], max(1, _AT_ONCE // x.shape[1])
    for row in range(0, len(x), rows):
        for start in range(0, x.shape[1] - 1, _AT_ONCE):
            change = np.diff(x[row : row + rows, start : start + _AT_ONCE + 1], axis=1).ravel()
            n_still += np.count_nonzero(change == 0)
            some.append(change[:: max(1, x.size // 5_000)])
    some = np.concatenate(some)
    rate = np.median(some)
    steady = np.mean(np.abs(some - rate) <= 1e-3 * abs(rate)) if rate else 0.0
    return _Look(n_still / (len(x) * (x.shape[1] - 1)), np.median(np.abs(some)), rate, steady)


def _describe(x, look, usual):
    """Describe a channel (n_samples, n_times) that is a trigger or a counter; None otherwise."""
    if look.still >= _STILL:
        return _steps(x, np.diff(x, axis=1)) if usual.still < 0.8 else None
    if look.steady >= _STILL:
        return f"counts up by {look.rate:.3g}"
    if 0 < look.noise < 0.1 * usual.noise:
        return _noisy_steps(x, np.diff(x, axis=1), look.noise)
    return None


def _steps(x, change):
    """Describe a channel that is constant most of the time, with few values."""
    values = np.unique(x)
    if not change.any():  # constant within samples, but different between them: codes
        is_code = 2 <= len(values) <= len(x) / 2
        return f"has {len(values)} levels, one for each sample" if is_code else None
    padded = np.pad(change, ((0, 0), (2, 2)))
    here, after, later = padded[:, 2:-2], padded[:, 3:-1], padded[:, 4:]
    before, earlier = padded[:, 1:-3], padded[:, :-4]
    is_step = here != 0
    alone = (before == 0) & (after == 0)
    pulse = (here + after == 0) & (before == 0) & (later == 0)
    pulse |= (here + before == 0) & (after == 0) & (earlier == 0)
    n_steps = int(is_step.sum())
    sizes = np.abs(here[is_step])
    # EEG of few bits, sampled densely, moves by one level at a time; a trigger jumps.
    is_coarse = len(values) > 3 and np.mean(sizes <= 1.01 * sizes.min()) >= _STILL
    is_held = np.mean((alone | pulse)[is_step]) >= _STILL
    if is_coarse or not is_held or len(values) > n_steps / 2 + 2:
        return None
    shown = ", ".join(f"{value:.3g}" for value in values[:5])
    more = ", ..." if len(values) > 5 else ""
    return f"has {len(values)} values ({shown}{more}) in {n_steps} steps"


def _noisy_steps(x, change, noise):
    """Describe a channel of levels with noise far below the signal of other channels."""
    jumps = np.where(np.abs(change) > _STEP * noise, change, 0.0)
    n_jumps = np.count_nonzero(jumps)
    if not 4 <= n_jumps <= 0.1 * jumps.size:
        return None
    levels = np.pad(np.cumsum(jumps, axis=1), ((0, 0), (1, 0)))
    rest = x - levels
    rest = np.median(np.ptp(np.percentile(rest, [25, 75], axis=1), axis=0))
    height = np.median(np.abs(jumps[jumps != 0]))
    return f"has {n_jumps} steps of {height:.3g} on noise" if rest < 0.05 * height else None
