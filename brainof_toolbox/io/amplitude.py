"""Check that amplitudes are plausible in SI units: volt, tesla, tesla per metre.

A level is the interquartile range / 1.349 within one second, detrended if that gives less, so that
it does not depend on offsets, drifts or a few artefacts.

S samples, K spans of one second, C channels of one type
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._utils.logging import warn
from .._utils.messages import and_more, join_some
from .impostors import refuse_triggers


class _Plausible(NamedTuple):
    """Plausible levels of one sensor type, from ``small`` to ``large``."""

    small: float
    odd: float  # beyond the levels of most sensors
    large: float
    usual: float
    unit: str
    others: dict  # factor to SI by unit


_VOLT = {"microvolt": "1e-6", "millivolt": "1e-3"}
_TESLA = {"femtotesla (fT)": "1e-15", "picotesla (pT)": "1e-12", "nanotesla (nT)": "1e-9"}
_PER_METRE = {"femtotesla per centimetre (fT/cm)": "1e-13", "nanotesla per metre": "1e-9"}
_PLAUSIBLE = {
    "eeg": _Plausible(2e-8, 1e-3, 5e-3, 1e-5, "volt", _VOLT),
    "mag": _Plausible(1e-15, 5e-11, 1e-8, 1e-13, "tesla", _TESLA),
    "grad": _Plausible(1e-14, 5e-10, 1e-6, 3e-12, "tesla per metre", _PER_METRE),
}
#: Intact channels and samples differ by less than ``_ODD``. From ``_OTHER_UNIT`` on, and beyond
#: plausible levels, they are in another unit; below ``_NOTHING`` they are flat.
_ODD, _OTHER_UNIT, _NOTHING = 100.0, 300.0, 10**-7.5
#: A saturated amplifier stays below this multiple of ``large`` for half of a second.
_IMPOSSIBLE = 100.0
#: The standard deviation exceeds the level by this factor only where the level changes.
_MIXED = 30.0
_MOST_SPANS, _MOST_POINTS = 16, 128


def check_amplitude(signals, *, where="X", is_table=False):
    """Raise on impossible amplitudes and triggers, warn about odd ones and flat channels."""
    Levels(len(signals)).add(signals, where=where, is_table=is_table)


@dataclass
class Levels:
    """Levels of all samples of one source, collected from pieces in any order."""

    n_samples: int
    subject: tuple | None = None
    found: dict = field(default_factory=dict)  # modality -> (n_samples, n_channels)
    read: dict = field(default_factory=dict)  # modality -> samples seen in this pass

    def add(self, signals, first=0, *, where="X", is_table=False):
        """Check one piece, starting at sample ``first``, alone and against the others."""
        if signals.modality == "fmri" or signals.shape[2] < 2:
            return  # left to the duration check
        refuse = warn if is_table else raise_error
        if not is_table:
            refuse_triggers(signals, where=where)
        _check_flat(signals, first, where, refuse)
        starts, spans = _levels(signals)  # (K,), (S, K, C)
        piece = slice(first, first + len(spans))
        everything = np.full((self.n_samples, spans.shape[2]), np.nan, np.float32)
        known = self.found.setdefault(signals.modality, everything)
        known[piece] = _median(spans, 1)
        subject = list(self.subject or [None] * self.n_samples)
        named = zip(signals.subject, subject[piece], strict=True)
        subject[piece] = [before if own is None else own for own, before in named]
        self.subject = tuple(subject)
        read = self.read.setdefault(signals.modality, set())
        read.update(range(piece.start, piece.stop))
        is_whole = len(read) == self.n_samples
        if is_whole:  # a new pass
            self.read[signals.modality] = set()
        for ch_type in sorted(set(signals.ch_types)):
            rows = np.array([kind == ch_type for kind in signals.ch_types])
            names = np.array(signals.ch_names, object)[rows].tolist()
            judge = _Judge(_PLAUSIBLE[ch_type], ch_type, names, where, refuse, self.subject)
            levels, seconds = known[:, rows], spans[:, :, rows]
            if is_whole:  # compared when complete, so that the order does not matter
                few = self.n_samples < 4
                judge.check_channels(seconds.reshape(-1, len(names)) if few else levels)
                judge.check_samples(levels)
            judge.check_typical(levels, signals.data, None if is_whole else piece)
            judge.check_spans(seconds, signals, starts, first)


@dataclass
class _Judge:
    """Rules for channels of one type."""

    limits: _Plausible
    ch_type: str
    names: list
    where: str
    refuse: object
    subject: tuple  # Of all samples

    def check_typical(self, levels, data, piece):
        """Check all channels of a piece, or of all samples, against absolute limits."""
        typical = float(_median(levels[piece or slice(None)].ravel(), 0))
        limits = self.limits
        message = (
            f"{self.where}: {self.ch_type} channels ({self.names[0]!r}, ...) have a typical "
            f"amplitude of {typical:.3g} {limits.unit}"
        )
        if piece is not None:
            subjects = self._subjects_of(range(piece.start, piece.stop))
            message += f" in samples {piece.start} to {piece.stop - 1}{subjects}"
        if typical > limits.large and (data == np.rint(data)).all():
            self.refuse(
                f"{message}, which is impossible, and hold whole numbers only: they look like raw "
                f"counts of the converter. Multiply each channel by its gain ({limits.unit} per "
                "count)."
            )
        elif typical > limits.large:
            unit, factor = self._unit(typical)
            self.refuse(
                f"{message}, which is impossible for {limits.unit}. They look like {unit}: "
                f"multiply the data by {factor} so that they are in {limits.unit}."
            )
        elif 0 < typical < limits.small:
            warn(
                f"{message}, implausibly small for {limits.unit}. Were they scaled twice, or is "
                f"the unit larger than {limits.unit}?"
            )

    def check_channels(self, units):
        """Compare channels with the others of their type; ``units`` (n_units, C)."""
        if units.shape[1] < 2:
            return
        usual = _low_median(units, 1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = units / usual
        typical, usual = _median(ratio, 0), float(_low_median(usual.ravel(), 0))
        n_units = np.isfinite(units).sum(axis=0)
        is_impossible = (units > _IMPOSSIBLE * self.limits.large) & (ratio > _OTHER_UNIT)
        for is_large in (True, False):
            level = _median(units, 0)
            is_lasting = _beyond(ratio, _ODD, is_large).sum(axis=0) >= 0.75 * n_units
            sure = is_lasting & (n_units >= 4) & _beyond(typical, _OTHER_UNIT, is_large)
            sure &= self._is_implausible(level, usual, is_large)
            is_odd = _beyond(typical, _ODD, is_large)
            if is_large:
                rare = is_impossible.any(axis=0) & ~is_odd
                sure |= is_impossible.any(axis=0)
                level = np.where(rare, np.nanmax(np.where(rare, units, 0), axis=0), level)
            listed = [self.names[i] for i in np.flatnonzero(is_odd | sure)]
            size = "larger" if is_large else "smaller"
            start = f"{self.where}: {self.ch_type} channels {listed[:20]} are"
            advice = "mark them bad (info['bads']) if they are broken."
            if sure.any():
                worst = level[np.flatnonzero(sure)[0]]
                self.refuse(
                    f"{start} {size} than most others ({worst:.3g} against {usual:.3g} "
                    f"{self.limits.unit}). {self._advise(worst, usual)} Bring all channels to "
                    f"{self.limits.unit}, or {advice}"
                )
            elif listed:
                warn(
                    f"{start} more than {_ODD:g} times {size} than most others: are they in "
                    "another unit, or had they no contact? Convert them to "
                    f"{self.limits.unit}, or {advice}"
                )

    def check_samples(self, levels):
        """Compare samples with the others; ``levels`` (S, C)."""
        typical = _low_median(levels, 1)

        def is_lasting(beyond):
            """Check if samples differ by more than a loose cap or padding explains."""
            others = {who for who, found in zip(self.subject, beyond, strict=True) if not found}
            whole = set(self.subject) - others - {None}
            return beyond.sum() >= max(2, 0.1 * len(beyond)) or bool(whole)

        def describe(odd):
            listed = f"({join_some(odd, 10)}){self._subjects_of(odd)}"
            return f"{len(odd)} of {len(typical)} samples {listed}"

        self._compare(typical, describe, is_lasting)

    def check_spans(self, spans, signals, starts, first):
        """Compare segments of a long sample, then its seconds, which only give warnings."""
        ends = np.array([end for _, end in signals.good_segments])
        part = np.searchsorted(ends, starts, side="right")
        parts = [number for number in np.unique(part) if (part == number).sum() > 1]
        begin = [starts[part == number][0] / signals.sfreq for number in parts]
        for i, levels in enumerate(_low_median(spans, 2)):  # (K,)
            if len(levels) < 4:
                continue
            usual = float(_low_median(levels, 0))
            place = f"sample {first + i}, "

            def describe(odd, place=place):
                when = ", ".join(f"{begin[k]:.4g}" for k in odd[:5])
                return f"{place}the part that begins at {when} s"

            means = np.array([_median(levels[part == number], 0) for number in parts])
            self._compare(means, describe)
            odd = (levels >= _OTHER_UNIT * usual) & (levels > self.limits.odd)
            impossible = odd & (levels > _IMPOSSIBLE * self.limits.large)
            small = (levels <= usual / _OTHER_UNIT) & (levels > _NOTHING * usual)
            small &= levels < self.limits.small
            if small.sum() < 2 or np.ptp(np.log10(levels[small])) > 1:
                small[:] = False  # a filter rings where padding begins
            found, act = (impossible, self.refuse) if impossible.any() else (odd | small, warn)
            if found.any():
                times = [f"{starts[k] / signals.sfreq:.4g}" for k in np.flatnonzero(found)]
                act(
                    f"{self.where}: {self.ch_type} channels of {place}around "
                    f"{', '.join(times[:5])} s are more than {_OTHER_UNIT:g} times "
                    f"{'smaller' if small.any() else 'larger'} than at most other times "
                    f"({levels[found][0]:.3g} against {usual:.3g} {self.limits.unit}). Was "
                    f"another unit joined to the recording? Bring all of it to "
                    f"{self.limits.unit}, or annotate this span as BAD."
                )

    def _compare(self, typical, describe, is_lasting=lambda beyond: True):
        """Compare levels of samples or parts with each other; raise or warn."""
        usual = float(_low_median(typical, 0))
        if not usual > 0:
            return
        for is_large in (True, False):
            beyond = _beyond(typical / usual, _OTHER_UNIT, is_large)
            sure = beyond & self._is_implausible(typical, usual, is_large)
            if not is_lasting(beyond):
                sure = beyond & (typical > self.limits.large)
            odd = np.flatnonzero(sure if sure.any() else beyond)
            if not len(odd):
                continue
            message = (
                f"{self.where}: {self.ch_type} channels in {describe(odd)} are more than "
                f"{_OTHER_UNIT:g} times {'larger' if is_large else 'smaller'} than in most others "
                f"({typical[odd[0]]:.3g} against {usual:.3g} {self.limits.unit})"
            )
            if sure.any():
                self.refuse(
                    f"{message}. {self._advise(typical[odd[0]], usual)} Bring all to "
                    f"{self.limits.unit}, or leave them out."
                )
            else:
                warn(f"{message}. Was the recording running, and is their unit the same?")

    def _is_implausible(self, level, usual, is_large):
        """Check if one side of a comparison has an implausible level."""
        if is_large:
            return (level > self.limits.odd) | (usual < self.limits.small)
        return (level < self.limits.small) | (usual > self.limits.odd)

    def _unit(self, level):
        """Return the unit in which a level would be plausible, and its factor."""
        scale = level / self.limits.usual
        return min(self.limits.others.items(), key=lambda u: abs(np.log10(scale * float(u[1]))))

    def _advise(self, level, usual):
        """Name the unit of the larger side if it is implausible, else the smaller one's scale."""
        if max(level, usual) > self.limits.odd:
            which = "They look" if level > usual else "The others look"
            unit, factor = self._unit(max(level, usual))
            return f"{which} like {unit}: multiply by {factor}."
        which = "They look" if level < usual else "The others look"
        return f"{which} as if scaled twice: divide by the factor that was applied again."

    def _subjects_of(self, indices):
        """Format the subjects of samples, if available."""
        found = (self.subject[i] for i in indices)
        names = list(dict.fromkeys(str(who) for who in found if who is not None))
        return f" of subject {', '.join(names[:10])}" if names else ""


def _beyond(ratio, factor, is_large):
    """Check which ratios are larger than a factor, or smaller but not those of flat data."""
    return ratio >= factor if is_large else (ratio <= 1 / factor) & (ratio > _NOTHING)


def _levels(signals):
    """Return the start and the robust spread of spans of one second; NaN where constant."""
    # -> starts (n_spans,), levels (n_samples, n_spans, n_channels).
    n_times = signals.shape[2]
    length = min(n_times, max(16, round(signals.sfreq)))
    n_spans = int(np.clip(n_times // length, 1, _MOST_SPANS))
    starts = np.linspace(0, n_times - length, n_spans).astype(int)
    step = max(1, length // _MOST_POINTS)
    small = np.array([_PLAUSIBLE[kind].small for kind in signals.ch_types])
    out = np.empty((len(signals), n_spans, signals.shape[1]), dtype=np.float32)
    for first in range(0, len(signals), 64):
        for k, start in enumerate(starts):
            data = signals.data[first : first + 64, :, start : start + length : step]
            low, high = np.percentile(data, [25, 75], axis=2)
            flat_low, flat_high = np.percentile(data - _trend(data), [25, 75], axis=2)
            level = np.minimum(high - low, flat_high - flat_low) / 1.349
            # A span of half recording and half padding has no single level.
            is_mixed = (level < 10 * small) & (data.std(axis=2) > _MIXED * level)
            out[first : first + 64, k] = np.where(is_mixed, np.nan, level)
    out[out == 0] = np.nan
    return starts, out


def _trend(data):
    """Return the line through the means of both halves, an electrode's drift."""
    n = data.shape[2]
    rise = data[..., n - n // 2 :].mean(axis=2) - data[..., : n // 2].mean(axis=2)
    time = np.linspace(-1, 1, n, dtype=np.float32)
    return rise[..., None] * time + data.mean(axis=2, keepdims=True)


def _median(values, axis):
    """Return the median of finite values, NaN where there are none."""
    return (_low_median(values, axis) + _low_median(values, axis, 1)) / 2


def _low_median(values, axis, upper=0):
    """Return the lower (or upper) middle value; the lower of two differs from the larger."""
    values = np.sort(values, axis=axis)  # NaN comes last
    n = np.isfinite(values).sum(axis=axis, keepdims=True)
    index = np.maximum(n - 1 + upper, 0) // 2
    return np.take_along_axis(values, index, axis).squeeze(axis)


def _check_flat(signals, first, where, refuse):
    flat = (signals.data == signals.data[:, :, :1]).all(axis=2)  # (n_samples, n_channels)
    everywhere = np.flatnonzero(flat.all(axis=1)) + first
    always = np.flatnonzero(flat.all(axis=0))
    if len(everywhere):
        which = f"sample {everywhere[0]}{and_more(len(everywhere), 1)}"
        refuse(f"{where}: every channel is constant (flat) in {which}. Was the recording running?")
    elif len(always):
        warn(
            f"{where}: channel {[signals.ch_names[i] for i in always]} is constant (flat). Mark "
            "it bad (info['bads']) to leave it out."
        )


def raise_error(message):
    raise ValueError(message)
