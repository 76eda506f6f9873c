"""Whether values can be what they are said to be: volt, tesla, tesla per metre."""

from __future__ import annotations

import numpy as np

from .._utils.logging import warn
from .._utils.messages import and_more

# Robust spread (interquartile range / 1.349) of plausible recordings, per sensor type:
# (implausibly small, implausibly large, unit, small unit, factor to SI).
_PLAUSIBLE = {
    "eeg": (2e-8, 5e-3, "volt", "microvolt", "1e-6"),
    "mag": (1e-15, 1e-8, "tesla", "femtotesla (fT)", "1e-15"),
    "grad": (1e-14, 1e-6, "tesla per metre", "femtotesla per centimetre (fT/cm)", "1e-13"),
}
_MOST_SAMPLES, _MOST_TIMES = 64, 2000


def check_amplitude(signals, *, where="X", is_table=False):
    """Refuse impossible amplitudes, warn of odd ones and of flat channels."""
    # The decision rests on the interquartile range over time, so that neither an offset nor a few
    # artefacts decide.
    if signals.modality == "fmri":
        return
    data = _subsample(signals)
    if data.shape[2] < 2:
        return  # the duration check has the better words
    refuse = warn if is_table else _raise
    _check_flat(signals, where, refuse)
    low, high = np.percentile(data, [25, 75], axis=2)
    spread = (high - low) / 1.349  # (n_samples, n_channels)
    for ch_type in sorted(set(signals.ch_types)):
        rows = [i for i, kind in enumerate(signals.ch_types) if kind == ch_type]
        typical = float(np.median(spread[:, rows]))
        too_small, too_large, unit, small_unit, factor = _PLAUSIBLE[ch_type]
        names = [signals.ch_names[i] for i in rows[:3]]
        said = (
            f"{where}: {ch_type} channels ({names[0]!r}, ...) have a typical amplitude of "
            f"{typical:.3g} {unit}"
        )
        if typical > too_large:
            refuse(
                f"{said}, which is impossible for {unit}. They look like {small_unit}: "
                f"multiply the data by {factor} so that they are in {unit}."
            )
        elif 0 < typical < too_small:
            warn(
                f"{said}, implausibly small for {unit}. Were they scaled twice, or is the unit "
                f"larger than {unit}?"
            )


def _subsample(signals):
    n_samples, _, n_times = signals.shape
    return signals.data[
        :: max(1, n_samples // _MOST_SAMPLES), :, :: max(1, n_times // _MOST_TIMES)
    ]


def _check_flat(signals, where, refuse):
    flat = (signals.data == signals.data[:, :, :1]).all(axis=2)  # (n_samples, n_channels)
    everywhere = flat.all(axis=1)
    if everywhere.any():
        index = np.flatnonzero(everywhere)
        which = f"sample {index[0]}{and_more(len(index), 1)}"
        refuse(f"{where}: every channel is constant (flat) in {which}. Was the recording running?")
        return
    always = flat.all(axis=0)
    if always.any():
        names = [signals.ch_names[i] for i in np.flatnonzero(always)]
        warn(
            f"{where}: channel {names} is constant (flat). Mark it bad (info['bads']) to leave it "
            "out."
        )


def _raise(message):
    raise ValueError(message)
