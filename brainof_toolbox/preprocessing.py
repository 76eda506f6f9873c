"""Filter, resample, scale and window signals as in the training of the network.

The steps and their parameters are a :class:`Preprocessing`, stored in each checkpoint. MNE does
the filtering and resampling.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction

import numpy as np
from scipy.fft import next_fast_len

from ._utils.electrodes import FEWEST, share_a_reference
from ._utils.logging import warn
from ._utils.validation import check_fields, check_number, check_option
from .signals import MODALITIES, Signals
from .windows import cut_windows

#: In Hz: above every EEG and MEG, and below what would fill the memory.
MAX_SFREQ = 1e5
_FLAT = 1e-6  # range of a flat channel relative to its values: the rounding of float32


@dataclass(frozen=True)
class Preprocessing:
    """Parameters of filters, reference, resampling and scale that a checkpoint expects.

    The paper fixes patches of 64 points :footcite:p:`guo2026brainof`; every field here is our
    decision, for the reason given.

    Parameters
    ----------
    sfreq : float
        EEG and MEG are resampled to this rate, in Hz. At 256 Hz patches of 64 points tile 2, 4,
        8 and 10 s exactly. At most 1e5. fMRI keeps its own.
    reference : str | None
        ``"average"`` subtracts the mean of the EEG electrodes from each of them, so that it does
        not matter which reference the data had. It is the first step: what follows (which
        channels have an offset, the soft limit) then does not depend on the reference either.
        Flat channels do not enter the mean and stay flat. Derivations between two electrodes
        ("Fp1-F7") have no common reference: they are left as they are, and so are fewer than
        three electrodes, of which a mean would remove the signal. ``None`` keeps the reference of
        the data. MEG and fMRI have none.
    highpass : float | None
        High-pass cut-off in Hz, against drifts and offsets that dwarf the signal. Every stretch
        that is as long as the filter (6.6 s at 0.5 Hz) is filtered, whatever filter is stated
        for it: a statement may belong to another channel, and a second high-pass changes
        features by 0.0 to 1.8 % where a missing one changes them by half. A shorter stretch loses
        its mean instead, unless it is relative to a baseline or stated to have had the filter:
        there the mean is slow signal, and losing it changes features by 1 to 30 %. A channel
        whose mean exceeds twice its standard deviation has an offset, and loses it all the same.
    notch : float | None
        Line frequency in Hz, removed with its harmonics. ``None``: line noise stays.
    scaling : str
        ``"fixed"`` divides by ``unit``: amplitude is signal (alpha power, evoked amplitude) and
        survives. ``"robust"`` divides by the sample's own robust spread per sensor type; its
        logarithm is an input of the network.
    unit : dict of str -> float
        Size of one network unit per sensor type, in V, T and T/m: typical spreads of recordings.
    clip : float
        Soft limit in network units: ``clip * arcsinh(x / clip)``, linear below, logarithmic
        above, so that artefacts neither dominate nor vanish.
    window : dict of str -> float
        Length in seconds of the windows that longer samples are cut into, by modality: the
        lengths of the published corpus. fMRI is standardised per region over the whole sample
        before it is cut.
    min_duration : float
        Shorter samples are refused, in seconds.
    min_sfreq : float
        Lower rates are warned about, in Hz: beta and gamma activity are then missing.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox import Preprocessing
    >>> Preprocessing().sfreq
    256.0
    >>> Preprocessing(window={"fmri": 320.0, "eeg": 4.0, "meg": 2.0}).window["eeg"]
    4.0
    """

    sfreq: float = 256.0
    reference: str | None = "average"
    highpass: float | None = 0.5
    notch: float | None = None
    scaling: str = "fixed"
    unit: dict = field(default_factory=lambda: {"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11})
    clip: float = 10.0
    window: dict = field(default_factory=lambda: {"fmri": 320.0, "eeg": 10.0, "meg": 2.0})
    min_duration: float = 0.2
    min_sfreq: float = 64.0

    def __post_init__(self):
        numbers = {name: getattr(self, name) for name in ("clip", "min_duration", "min_sfreq")}
        optional = {"highpass": self.highpass, "notch": self.notch}
        numbers |= {name: value for name, value in optional.items() if value is not None}
        check_option("preprocessing.reference", self.reference, ("average", None))
        check_option("preprocessing.scaling", self.scaling, ("fixed", "robust"))
        for name, keys in (("unit", ("eeg", "mag", "grad")), ("window", MODALITIES)):
            values = getattr(self, name)
            if not isinstance(values, dict) or set(values) != set(keys):
                raise ValueError(
                    f"preprocessing.{name} must be a dict with the keys {list(keys)}, "
                    f"got {values!r}."
                )
            numbers |= {f"{name}[{key!r}]": value for key, value in values.items()}
        check_number("preprocessing.sfreq", self.sfreq, low=0, high=MAX_SFREQ, low_open=True)
        for name, value in numbers.items():
            check_number(f"preprocessing.{name}", value, low=0, low_open=True)

    def to_dict(self):
        """Return all parameters as JSON-ready values.

        Returns
        -------
        values : dict
            By field name.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Create it from the dict of :meth:`to_dict`.

        Parameters
        ----------
        values : dict
            By field name; missing ones take their default, except that ``reference`` is ``None``:
            weights whose checkpoint states none were trained on data as recorded.

        Returns
        -------
        preprocessing : Preprocessing
            The parameters.

        Raises
        ------
        ValueError
            If a key is unknown.
        """
        check_fields(cls, values, "preprocessing parameter")
        return cls(**{"reference": None, **values})


@dataclass(frozen=True, eq=False)
class Windows:
    """Preprocessed windows, the input of the network, and the index of their samples.

    Parameters
    ----------
    signals : Signals
        One window per entry, in network units.
    sample : ndarray of int, shape (n_windows,)
        Index of the sample that each window was cut from.
    log_scale : ndarray, shape (n_windows, n_channels)
        Decimal logarithm of the divisor relative to the fixed unit; zero with fixed scaling.
    whole : Signals | None
        The preprocessed samples before they were cut; ``None`` where they are the windows, and
        for samples that are not locked to an event.
    """

    signals: Signals
    sample: np.ndarray
    log_scale: np.ndarray
    whole: Signals | None = None


def preprocess(signals, preprocessing, *, window=None, is_table=False):
    """Filter, resample, scale and cut into windows.

    Parameters
    ----------
    signals : Signals
        Samples as read, in SI units.
    preprocessing : Preprocessing
        Parameters of filters, resampling and scaling.
    window : float | None
        Window length in seconds; ``None``: the one in ``preprocessing``.
    is_table : bool
        ``True`` for a 2-D array of one-channel series, which have no minimum duration.

    Returns
    -------
    windows : Windows
        In the order of the samples.

    Raises
    ------
    ValueError
        If samples are too short.
    """
    signals = _long_segments(signals, preprocessing, is_table)
    if signals.modality == "fmri":
        log_scale = np.zeros(signals.shape[:2])
        if not signals.has_baseline:  # a trial's level relative to its run is signal
            signals = _zscore(signals)
    else:
        if signals.sfreq < preprocessing.min_sfreq and not is_table:
            warn(
                f"The sampling rate of {signals.sfreq:g} Hz is below {preprocessing.min_sfreq:g} "
                "Hz: activity above half of it is missing."
            )
        signals, log_scale = _scale(_filter_and_resample(signals, preprocessing), preprocessing)
    window = preprocessing.window[signals.modality] if window is None else window
    cut, sample = cut_windows(signals, window)
    whole = signals if signals.is_locked and len(cut) > len(signals) else None
    return Windows(cut, sample, log_scale[sample].astype(np.float32), whole)


def _long_segments(signals, preprocessing, is_table):
    """Drop good segments below the minimum duration; raise if none is left."""
    n_times = max(stop - start for start, stop in signals.good_segments)
    shortest, unit = preprocessing.min_duration * signals.sfreq, "time point"
    minimum = f"{shortest / signals.sfreq:.4g} s"
    if signals.modality == "fmri":  # a z-score needs more volumes than a standardised trial
        # A map has one volume.
        shortest, unit = min(2, signals.shape[2]) if signals.has_baseline else 10, "volume"
    elif is_table:
        shortest = 2
    if n_times < shortest:
        if isinstance(shortest, int):
            minimum = f"{shortest} {unit}s"
        words = f"{n_times} {unit}{'s' * (n_times != 1)}"
        words += f", n_features = {n_times}" * is_table
        raise ValueError(
            f"A sample's longest good segment lasts {n_times / signals.sfreq:.4g} s "
            f"({words}); the minimum duration is {minimum}."
        )
    kept = tuple(s for s in signals.good_segments if s[1] - s[0] >= shortest)
    return signals._derive(good_segments=kept)


def _filter_and_resample(signals, preprocessing):
    ratio = preprocessing.sfreq / signals.sfreq
    room = sum(int((stop - start) * ratio) + 2 for start, stop in signals.good_segments)
    data = np.empty((*signals.shape[:2], room), dtype=np.float32)  # filled piece by piece
    segments, at = [], 0
    for start, stop in signals.good_segments:
        piece = _clean(signals.data[:, :, start:stop], signals, preprocessing)
        segments.append((at, at + piece.shape[2]))
        data[:, :, slice(*segments[-1])] = piece
        at += piece.shape[2]
    # Not checked for NaN here: the scaled data are, and a NaN cannot get lost in between.
    segments, sfreq = tuple(segments), preprocessing.sfreq
    return signals._derive(data=data[:, :, :at], sfreq=sfreq, good_segments=segments)


def _clean(data, signals, preprocessing):
    """Reference, filter and resample one contiguous segment (n_samples, n_channels, n_times)."""
    import mne

    sfreq, n_times = signals.sfreq, data.shape[2]
    data = data.astype(np.float64, order="C")  # mne filters no other order in place
    if preprocessing.reference == "average" and signals.modality == "eeg":
        _subtract_average(data, share_a_reference(signals.ch_names))
    # joblib.parallel_config is for parallel recordings, not for channels.
    options = {"copy": False, "n_jobs": 1, "verbose": "error"}
    low = preprocessing.highpass
    if low is not None:
        # MNE's default FIR filter: its length is 3.3 / transition bandwidth.
        length = 3.3 / min(max(0.25 * low, 2.0), low) * sfreq
        if n_times >= length and low < sfreq / 2:
            data = mne.filter.filter_data(data, sfreq, low, None, **options)
        elif not signals.has_baseline:
            data -= _offset(data, is_filtered=signals.highpass >= 0.99 * low)
    line = preprocessing.notch
    if line is not None and line < sfreq / 2 and n_times >= 6.6 * sfreq:
        freqs = np.arange(line, sfreq / 2, line)
        # A harmonic close to Nyquist, within half the stop band and transition, is left.
        freqs = freqs[freqs * (1 + 1 / 400) + 0.5 < sfreq / 2]
        if len(freqs):
            data = mne.filter.notch_filter(data, sfreq, freqs, **options)
    if not np.isclose(sfreq, preprocessing.sfreq, rtol=1e-9):
        data = _resample(data, preprocessing.sfreq / sfreq)
    return data


def _subtract_average(data, is_electrode):
    """Subtract the mean of the electrodes that are not flat from each of them, in place."""
    low, high = data.min(axis=2), data.max(axis=2)
    is_flat = high - low <= _FLAT * np.maximum(high, -low)
    is_good = is_electrode & ~is_flat  # (n_samples, n_channels)
    is_good &= is_good.sum(axis=1, keepdims=True) >= FEWEST
    n_good = np.maximum(is_good.sum(axis=1), 1)[:, None, None]
    # Sums of float32 values in float64 are exact: the order of channels does not matter.
    mean = is_good[:, None].astype(np.float64) @ data / n_good
    np.subtract(data, mean, out=data, where=is_good[..., None])


def _offset(data, is_filtered):
    """Return the mean of each sample and channel; 0 where it is slow signal of filtered data."""
    mean = data.mean(axis=2, keepdims=True)
    if not is_filtered:
        return mean
    # A high-passed channel varies about zero, so that its mean cannot far exceed its spread.
    return np.where(np.abs(mean) > 2 * data.std(axis=2, keepdims=True), mean, 0.0)


def _resample(data, ratio):
    """Resample with MNE, padded so that both ends are whole points at both rates."""
    # With any other padding, rounding moves the signal by up to half a point: 2 ms at 256 Hz.
    import mne

    n_times = data.shape[2]
    step = Fraction(ratio).limit_denominator(1000).denominator  # a whole number of new points
    left = step * -(-100 // step)
    total = step * next_fast_len(-(-(n_times + 2 * left) // step))
    pads = np.array([left, total - n_times - left])
    near = np.minimum(pads, n_times - 1)
    data = np.pad(data, ((0, 0), (0, 0), near), "reflect", reflect_type="odd")
    if (near < pads).any():
        data = np.pad(data, ((0, 0), (0, 0), pads - near), "edge")
    data = mne.filter.resample(data, up=ratio, npad=0, n_jobs=1, verbose="error")
    start = round(left * ratio)
    return data[:, :, start : start + max(1, round(n_times * ratio))]


def _scale(signals, preprocessing):
    """Divide by the fixed unit or by the sample's spread; then compress large values."""
    unit = np.array([preprocessing.unit[kind] for kind in signals.ch_types], dtype=np.float32)
    scale = np.broadcast_to(unit, signals.shape[:2])
    if preprocessing.scaling == "robust":
        scale = _robust_spread(signals, unit)
    clip = np.float32(preprocessing.clip)
    data = signals.data / (clip * scale[..., None])
    np.arcsinh(data, out=data)
    data *= clip
    return signals.replace(data=data), np.log10(scale / unit)


def _robust_spread(signals, unit):
    """Return the interquartile spread per sample and sensor type, at least 1e-3 units."""
    low, high = np.percentile(signals.data, [25, 75], axis=2)
    spread = (high - low) / 1.349  # (n_samples, n_channels)
    types = np.array(signals.ch_types)
    for kind in set(signals.ch_types):
        rows = types == kind
        spread[:, rows] = np.median(spread[:, rows], axis=1, keepdims=True)
    return np.maximum(spread, 1e-3 * unit).astype(np.float32)


def _zscore(signals):
    """Standardise each region's series; a constant one becomes zero."""
    data = signals.data.astype(np.float64)
    data -= data.mean(axis=2, keepdims=True)
    spread = data.std(axis=2, keepdims=True)
    return signals.replace(data=np.divide(data, spread, out=np.zeros_like(data), where=spread > 0))
