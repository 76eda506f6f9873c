"""Check that positions are plausible in metres, as montages and atlases often use millimetres."""

from __future__ import annotations

import numpy as np

from .logging import warn

_NOUNS = {"eeg": "EEG electrode", "meg": "MEG sensor", "fmri": "region"}
_ORIGINS = {
    "head": "the origin of the head frame",
    "device": "the origin of the device's frame",
    "mni": "the origin of MNI space",
}
#: Maximum distance in a plausible set, in metres; a single sensor beyond is odd, beyond 1 m wrong.
_FAR, _IMPOSSIBLE = 0.35, 1.0
#: Minimum distances from the origin, which is in the brain in MNI space, but below it in the head
#: frame: (median of a set, one or two, one among others).
_NEAR = {
    "head": (0.01, 0.002, 0.002),
    "device": (0.01, 0.002, 0.0),
    "mni": (0.005, 2.5e-4, 2.5e-4),
}
#: Minimum spread of four or more sensors or regions, in metres.
_SPREAD = 5e-4
#: Plausible median distances after conversion, in metres.
_TYPICAL = (0.03, 0.25)
_UNITS = (
    (1e-2, "centimetres", "1e-2"),
    (1e-3, "millimetres", "1e-3"),
    (1e-6, "micrometres", "1e-6"),
    (1e2, "metres that were multiplied by 1e-2", "1e2"),
    (1e3, "kilometres, or metres that were multiplied by 1e-3", "1e3"),
    (1e6, "metres that were multiplied by 1e-6", "1e6"),
)


def check_positions(pos, names, modality, *, space="head", where=""):
    """Raise if positions are not in metres, in all channels or in some."""
    # pos (n_channels, 3).
    pos = np.asarray(pos, dtype=float)
    rows = np.flatnonzero(np.isfinite(pos).all(axis=1) & pos.any(axis=1))
    if not len(rows):
        return
    distance = np.linalg.norm(pos[rows], axis=1)
    typical = float(np.median(distance))
    start = f"{where}: " if where else ""
    noun, origin = _NOUNS[modality], _ORIGINS[space]
    of_set, of_few, of_one = _NEAR[space]
    # An atlas in another space is far away in metres too; its reader gives a warning.
    too_far = _FAR if space == "head" and modality != "fmri" else _IMPOSSIBLE
    if typical > too_far or typical < (of_set if len(rows) > 2 else of_few):
        raise ValueError(
            f"{start}{noun}s ({names[rows[0]]!r}, ...) are {typical:.3g} m from {origin} "
            f"(median), impossible in a head. {_advise(distance)}"
        )
    around = np.linalg.norm(pos[rows] - np.median(pos[rows], axis=0), axis=1)
    if len(rows) > 3 and 0 < around.max() < _SPREAD:
        raise ValueError(
            f"{start}all {len(rows)} {noun}s ({names[rows[0]]!r}, ...) lie within "
            f"{around.max():.2g} m of each other, impossible in a head. They look like "
            "kilometres, or metres that were multiplied by 1e-3, before they were moved: pass "
            "positions in metres."
        )
    is_off = distance > _IMPOSSIBLE
    if typical > _TYPICAL[0]:
        is_off |= distance < of_one
    if is_off.any():
        listed = [names[i] for i in rows[is_off]]
        raise ValueError(
            f"{start}{len(listed)} of {len(rows)} {noun}s are {np.median(distance[is_off]):.3g} m "
            f"from {origin}, the others {np.median(distance[~is_off]):.3g} m: {listed[:20]}. "
            f"{_advise(distance[is_off])} Or mark these channels bad."
        )
    is_odd = distance > _FAR
    if space == "head" and is_odd.any():
        listed = [names[i] for i in rows[is_odd]]
        warn(
            f"{start}{noun}s {listed[:20]} are up to {distance.max():.2g} m from {origin}, "
            "outside any head. Check their positions, or mark them bad."
        )


def _advise(distance):
    """Suggest the likely unit and its factor."""
    typical = float(np.median(distance))
    for factor, unit, written in _UNITS:
        if _TYPICAL[0] <= typical * factor <= _TYPICAL[1]:
            return f"They look like {unit}: pass positions * {written}. Metres are expected."
    if len(distance) > 2 and np.ptp(distance) < 0.05 * typical:
        return (
            f"They lie on a sphere of radius {typical:.3g}: pass positions * "
            f"{0.095 / typical:.3g} for a head of 9.5 cm. Metres are expected."
        )
    return "Metres are expected, with the origin in the head."
