"""Filter, resample, scale and cut: against MNE and written-out formulas."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from dataclasses import replace

import mne
import numpy as np
import pytest
from scipy.signal import periodogram

from brainof_toolbox._utils.electrodes import find_derivations
from brainof_toolbox.preprocessing import Preprocessing, preprocess
from brainof_toolbox.signals import Signals

UNIT = {"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11}
AS_IT_IS = Preprocessing(highpass=None, clip=1e6, reference=None)  # so high a limit is none
AS_RECORDED = Preprocessing(clip=1e6, reference=None)


def make_signals(duration=10.0, sfreq=200.0, n_samples=2, n_channels=4, seed=0, **kwargs):
    """Pink-ish EEG of tens of microvolts."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((n_samples, n_channels, round(duration * sfreq))).cumsum(axis=2)
    data -= data.mean(axis=2, keepdims=True)
    fields = {
        "data": 2e-5 * data / data.std(axis=2, keepdims=True),
        "sfreq": sfreq,
        "modality": "eeg",
        "ch_names": [f"E{i}" for i in range(n_channels)],
        "ch_types": ["eeg"] * n_channels,
        "ch_pos": rng.standard_normal((n_channels, 3)) / 10,
    }
    return Signals(**(fields | kwargs))


def sines(sfreq, duration=10.0, freqs=(3.0, 10.0, 31.0), seed=0):
    """One continuous-time signal, sampled at any rate: (1, 4, n_times) in volts."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(duration * sfreq)) / sfreq
    amplitude, phase = rng.uniform(5e-6, 2e-5, (4, 3, 1)), rng.uniform(0, 6, (4, 3, 1))
    waves = amplitude * np.sin(2 * np.pi * np.array(freqs)[:, None] * times + phase)
    return make_signals(duration, sfreq, 1, data=waves.sum(axis=1)[None])


def run(signals, preprocessing=None, **kwargs):
    """All in one window, so that time can be compared."""
    window = kwargs.pop("window", 1e4)
    return preprocess(signals, preprocessing or Preprocessing(), window=window, **kwargs)


# ------------------------------------------------------------------------------ equals naive
def test_everything_equals_mne_stretch_by_stretch():
    """Reference, high-pass, notch, resampling and scaling, each segment alone, in float64."""
    signals = make_signals(30.0, good_segments=[(0, 2000), (2000, 4500), (5000, 6000)])
    preprocessing = Preprocessing(notch=50.0)
    pieces = []
    for start, stop in signals.good_segments:
        piece = signals.data[:, :, start:stop].astype(float)
        piece = piece - piece.mean(axis=1, keepdims=True)
        if stop - start >= 6.6 * 200:
            piece = mne.filter.filter_data(piece, 200.0, 0.5, None, verbose="error")
            piece = mne.filter.notch_filter(piece, 200.0, [50.0], verbose="error")
        else:
            piece = piece - piece.mean(axis=2, keepdims=True)
        pieces.append(mne.filter.resample(piece, up=256.0, down=200.0, verbose="error"))
    expected = 10.0 * np.arcsinh(np.concatenate(pieces, axis=2) / 2e-5 / 10.0)
    windows = preprocess(signals, preprocessing, window=4.0)
    lengths = [piece.shape[2] for piece in pieces]
    assert lengths == [2560, 3200, 1280]
    at, starts = 0, []
    for length in lengths:  # the windows of each stretch, counted by hand
        starts += list(at + np.linspace(0, length - 1024, -(-length // 1024)).round().astype(int))
        at += length
    assert windows.sample.tolist() == [0] * len(starts) + [1] * len(starts)
    for i, start in enumerate(starts * 2):
        piece = expected[windows.sample[i], :, start : start + 1024]
        np.testing.assert_allclose(windows.signals.data[i], piece, atol=2e-5)


@pytest.mark.parametrize("x", [0.0, 1e-3, -1.0, 10.0, -300.0, 1e6])
def test_soft_clip_formula(x):
    """clip * arcsinh(x / clip): the sign stays, small values stay, large ones grow slowly."""
    data = np.full((1, 4, 64), x * 2e-5) * np.array([1, -1] * 32)
    signals = make_signals(data=data, sfreq=256.0)
    out = run(signals, Preprocessing(highpass=None, reference=None)).signals.data
    y = 10.0 * np.log(abs(x) / 10 + np.sqrt((x / 10) ** 2 + 1)) * np.sign(x)
    np.testing.assert_allclose(out, np.broadcast_to([y, -y] * 32, out.shape), rtol=1e-5, atol=1e-6)


def test_units_by_sensor_type():
    """Volts, teslas and teslas per metre of usual size all come out near one."""
    for modality, types in (("eeg", ["eeg"] * 4), ("meg", ["mag", "grad", "grad", "mag"])):
        scale = np.array([UNIT[kind] for kind in types])[:, None] / 2e-5
        data = make_signals().data * scale
        out = run(make_signals(data=data, modality=modality, ch_types=types), AS_IT_IS)
        np.testing.assert_allclose(out.signals.data.std(axis=2), 1.0, rtol=0.05)
        assert not out.log_scale.any()


def test_robust_scaling_is_undone_by_its_logarithm():
    """What is taken out goes to ``log_scale``: values and logarithm give the volts back."""
    types = ["mag", "grad", "grad", "mag"]
    factor = np.array([2e-8, 1e-6, 3e-6, 5e-8])[:, None]
    data = make_signals(sfreq=256.0).data[[0, 0]] * factor * np.array([1.0, 40.0])[:, None, None]
    signals = make_signals(sfreq=256.0, data=data, modality="meg", ch_types=types)
    windows = run(signals, Preprocessing(highpass=None, scaling="robust"))
    unit = np.array([UNIT[kind] for kind in types])[:, None]
    scale = 10.0 ** windows.log_scale[..., None] * unit
    back = 10.0 * np.sinh(windows.signals.data / 10.0) * scale
    np.testing.assert_allclose(back, data, rtol=1e-3, atol=1e-4 * np.abs(data).max())
    assert np.array_equal(windows.log_scale[:, [0, 1]], windows.log_scale[:, [3, 2]])
    np.testing.assert_allclose(np.diff(windows.log_scale, axis=0), np.log10(40.0), rtol=1e-3)


def test_robust_scale_of_silence():
    """A flat sample is divided by a thousandth of the unit, not by zero."""
    signals = make_signals(data=np.full((1, 4, 500), 1e-6))
    windows = run(signals, Preprocessing(scaling="robust"))
    np.testing.assert_allclose(windows.log_scale, -3.0, atol=1e-5)
    assert np.abs(windows.signals.data).max() < 1e-4


def test_regions_are_standardised():
    """fMRI: mean 0, spread 1 per region and sample; a constant region becomes zero; own rate."""
    data = np.random.default_rng(0).standard_normal((2, 4, 150)) * 50 + 1e4
    data[1, 2] = 777.0
    signals = make_signals(data=data, sfreq=0.5, modality="fmri", ch_types=["bold"] * 4)
    windows = run(signals)
    expected = (data - data.mean(axis=2, keepdims=True)) / data.std(axis=2, keepdims=True).clip(
        1e-9
    )
    np.testing.assert_allclose(windows.signals.data, expected, atol=1e-4)
    assert windows.signals.sfreq == 0.5 and not windows.signals.data[1, 2].any()


# ------------------------------------------------------------------------------ keeps its law
def test_neighbours_change_nothing():
    """Any order of samples and channels, or one alone, exactly."""
    signals = make_signals(n_samples=5)
    for preprocessing in (Preprocessing(), Preprocessing(scaling="robust", notch=50.0)):
        data = run(signals, preprocessing).signals.data
        order = np.array([3, 0, 4, 2, 1])
        assert np.array_equal(run(signals[order], preprocessing).signals.data, data[order])
        assert np.array_equal(run(signals[2], preprocessing).signals.data, data[[2]])
        turned = signals.replace(data=signals.data[:, ::-1], ch_pos=signals.ch_pos[::-1])
        assert np.array_equal(run(turned, preprocessing).signals.data, data[:, ::-1])


def test_input_is_not_changed():
    """Any input: not changed by fit/transform (data, info, annotations)."""
    for kwargs in ({}, {"sfreq": 256.0}, {"good_segments": [(0, 900), (900, 2000)]}):
        signals = make_signals(**kwargs)
        kept = signals.data.copy()
        out = run(signals, Preprocessing(highpass=None)).signals
        out.data[:] = 7.0
        assert np.array_equal(signals.data, kept)


def test_stretches_are_never_crossed():
    """Whatever happens in one stretch, or between two, the others stay bit-identical."""
    signals = make_signals(30.0, good_segments=[(0, 2000), (2000, 4000), (4500, 6000)])
    dirty = signals.data.copy()
    dirty[:, :, 2000:4500] = 1.0
    clean = preprocess(signals, Preprocessing(), window=2.0)
    other = preprocess(signals.replace(data=dirty), Preprocessing(), window=2.0)
    differs = np.any(clean.signals.data != other.signals.data, axis=(1, 2))
    where = clean.signals.onset  # good time: 0-10 s, 10-20 s, 20-27.5 s
    assert np.array_equal(differs, (where >= 10.0) & (where < 20.0)) and differs.any()


def test_short_stretches_are_left_out():
    """Snippets between bad spans neither set the window length nor disturb the others."""
    spans = [(0, 1000), *((1000 + 20 * i, 1020 + 20 * i) for i in range(60))]
    signals = make_signals(11.0, good_segments=spans)
    alone = make_signals(11.0, good_segments=spans[:1])
    a, b = (preprocess(s, Preprocessing(), window=2.0) for s in (signals, alone))
    assert np.array_equal(a.signals.data, b.signals.data)


def test_double_precision_input():
    """Float64 and float32 input agree."""
    wide = np.random.default_rng(0).standard_normal((2, 4, 2000)) * 2e-5 + 1e-3
    a = run(make_signals(data=wide)).signals.data
    b = run(make_signals(data=wide.astype(np.float32))).signals.data
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0)])
def test_any_order_in_memory(axes):
    """Transposed arrays, which indexing and products leave behind, are as good as others."""
    plain = make_signals()
    moved = plain.data.transpose(axes).copy().transpose(np.argsort(axes))
    assert not moved.flags["C_CONTIGUOUS"]
    a, b = run(plain).signals.data, run(plain.replace(data=moved)).signals.data
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sfreq", [100.0, 128.0, 256.0, 333.333, 512.03, 1000.0, 5000.0])
def test_any_rate_gives_the_same_signal(sfreq):
    """The same waves at any rate are the same 2560 points at 256 Hz."""
    out = run(sines(sfreq), AS_IT_IS).signals
    assert out.shape == (1, 4, 2560) and out.sfreq == 256.0
    expected = sines(256.0).data / 2e-5
    inner = slice(128, -128)  # resampling by Fourier transform knows nothing beyond the ends
    atol = 0.15 if sfreq == 512.03 else 0.005  # no whole point near: up to 0.6 ms late at the end
    np.testing.assert_allclose(out.data[..., inner], expected[..., inner], atol=atol)


@pytest.mark.parametrize("sfreq", [250.0, 333.333, 512.03, 5000.0])
@pytest.mark.parametrize("n_times", [52, 250, 1001, 4999])
def test_any_length_resamples_to_its_duration(sfreq, n_times):
    """Round(duration * 256) points, finite, however short or prime."""
    n_times = max(n_times, round(0.21 * sfreq))
    out = run(
        make_signals(data=np.ones((1, 4, n_times)).cumsum(axis=2) * 1e-8, sfreq=sfreq), AS_IT_IS
    )
    assert out.signals.shape[2] == round(n_times * 256.0 / sfreq)
    line = np.linspace(1, n_times, out.signals.shape[2]) * 1e-8 / 2e-5
    inner = slice(out.signals.shape[2] // 8, -(out.signals.shape[2] // 8))
    np.testing.assert_allclose(
        out.signals.data[..., inner] / line[-1],
        np.broadcast_to(line, (1, 4, len(line)))[..., inner] / line[-1],
        atol=0.05,
    )


def test_200_and_250_hz_agree():
    """Cosine above 0.99 before the network has even seen them."""
    a, b = (run(sines(sfreq)).signals.data.ravel() for sfreq in (200.0, 250.0))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


def test_low_rate():
    """Said, with both numbers; a rate above the minimum is not."""
    with pytest.warns(RuntimeWarning, match="sampling rate of 20 Hz is below 64 Hz"):
        run(make_signals(sfreq=20.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_signals(sfreq=100.0))


# ----------------------------------------------------------------------------- the reference
def referenced(signals, **changes):
    """Network units after the average reference, and nothing else but the unit."""
    return run(signals, replace(AS_IT_IS, reference="average"), **changes).signals.data


def test_average_reference_is_the_mean_taken_off():
    """Sample by sample and point by point, with loops."""
    signals = make_signals(1.0, sfreq=256.0, n_channels=5)
    x = signals.data.astype(float)
    wanted = np.empty_like(x)
    for i in range(len(x)):
        for t in range(x.shape[2]):
            total = sum(x[i, c, t] for c in range(5))
            wanted[i, :, t] = [(x[i, c, t] - total / 5) / 2e-5 for c in range(5)]
    np.testing.assert_allclose(referenced(signals), wanted, atol=1e-5)


@pytest.mark.parametrize("duration", [2.0, 20.0])
@pytest.mark.parametrize("fields", [{}, {"highpass": 1.0}, {"has_baseline": True}], ids=str)
def test_a_signal_common_to_all_channels_changes_nothing(duration, fields):
    """Another reference, with an offset and drifts: the same rows after all steps."""
    signals = make_signals(duration, n_channels=6, **fields)
    common = make_signals(duration, n_channels=1, seed=1).data * 5 + np.float32(2e-4)
    for preprocessing in (Preprocessing(), Preprocessing(scaling="robust")):
        a, b = (
            run(signals.replace(data=x), preprocessing).signals.data
            for x in (signals.data, signals.data + common)
        )
        np.testing.assert_allclose(b, a, atol=2e-4)
    assert (
        np.abs(run(signals.replace(data=common + signals.data), AS_IT_IS).signals.data).max() > 5
    )


def test_average_reference_is_idempotent():
    """Data that have it already stay as they are, to the rounding of float32."""
    once = referenced(make_signals(n_channels=6))
    again = referenced(make_signals(n_channels=6, data=once * 2e-5, sfreq=256.0))
    np.testing.assert_allclose(again, once, atol=1e-6 * np.abs(once).max())
    np.testing.assert_allclose(once.sum(axis=1), 0.0, atol=1e-4)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_few_electrodes_keep_their_reference(n_channels):
    signals = make_signals(n_channels=n_channels)
    np.testing.assert_array_equal(referenced(signals), run(signals, AS_IT_IS).signals.data)


def test_flat_channels_stay_out_of_the_mean():
    """In the sample where they are flat, with or without an offset; two others are too few."""
    signals = make_signals(n_samples=3, sfreq=256.0)
    data = signals.data.copy()
    data[0, 1], data[1, :2] = 3e-3, 0.0
    out = referenced(signals.replace(data=data)) * 2e-5
    rest = data[0, [0, 2, 3]].astype(float)
    np.testing.assert_allclose(out[0, [0, 2, 3]], rest - rest.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(out[0, 1], 3e-3, rtol=1e-6)
    np.testing.assert_allclose(out[1], data[1], atol=1e-10)
    np.testing.assert_allclose(out[2].sum(axis=0), 0.0, atol=1e-9)


def test_derivations_are_left_as_they_are():
    """A montage of pairs as a whole; among electrodes, the pairs alone."""
    chain = make_signals(ch_names=["EEG Fp1-F7", "F7-T3", "T3-T5", "T5-O1"])
    np.testing.assert_array_equal(referenced(chain), run(chain, AS_IT_IS).signals.data)
    mixed = make_signals(n_channels=4, ch_names=["C3-M2", "C4-M1", "Oz", "Fpz-Cz"])
    out, raw = referenced(mixed), run(mixed, AS_IT_IS).signals.data
    np.testing.assert_array_equal(out[:, 3], raw[:, 3])
    np.testing.assert_allclose(out[:, :3], raw[:, :3] - raw[:, :3].mean(1)[:, None], atol=1e-5)


@pytest.mark.parametrize(
    ("modality", "ch_types"), [("meg", ["mag", "grad"] * 2), ("fmri", ["bold"] * 4)]
)
def test_meg_and_fmri_have_no_reference(modality, ch_types):
    data = make_signals().data * 1e-8
    signals = make_signals(data=data, modality=modality, ch_types=ch_types)
    a, b = (run(signals, Preprocessing(reference=kind)) for kind in ("average", None))
    np.testing.assert_array_equal(a.signals.data, b.signals.data)


def test_stored_parameters_without_a_reference():
    """Weights of before the field existed were trained on data as recorded."""
    stored = Preprocessing().to_dict()
    assert stored["reference"] == "average" and Preprocessing.from_dict(stored) == Preprocessing()
    del stored["reference"]
    assert Preprocessing.from_dict(stored) == Preprocessing(reference=None)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("Fp1-F7 C3-CPz T8-P8-0 EEG_C3-P3 LA1-LA2", "11111"),
        ("F3-REF F4-LE C3-M2 C4:A1 Pz-Avg Fp1-0 EEG001 E-12 Fz", "000000000"),
        ("F3-Cz F4-Cz Pz-Cz", "000"),
        ("F3-Cz F4-Cz", "11"),
        ("F3-Cz Fz-Cz Cz-Pz Oz", "1110"),
        ("EEG Fpz-Cz,EEG Pz-Oz,F3 - C3,F7:T7,P3/O1", "11111"),
    ],
)
def test_derivations_by_name(names, wanted):
    """A second electrode that more than two channels share, and no other, is a reference."""
    found = find_derivations(names.split("," if "," in names else " "))
    assert "".join(str(int(is_pair)) for is_pair in found) == wanted


@pytest.mark.parametrize("duration", [2.0, 20.0])
@pytest.mark.parametrize("has_baseline", [False, True])
def test_offsets(duration, has_baseline):
    """Offsets go, by filter or by mean; only short baseline-corrected epochs keep their level."""
    signals = make_signals(duration, has_baseline=has_baseline)
    moved = signals.replace(data=signals.data + np.float32(1e-4))
    a, b = (run(s, AS_RECORDED).signals.data for s in (signals, moved))
    shift = 5.0 if has_baseline and duration < 6.6 else 0.0
    np.testing.assert_allclose(b - a, shift, atol=5e-3)


@pytest.mark.parametrize("had", [0.0, 0.1, 0.5, 1.0])
def test_long_stretches_are_filtered_whatever_is_stated(had):
    """A filter that the data did not have, though stated, leaves no level behind."""
    moved = make_signals(20.0)
    moved = moved.replace(data=moved.data + np.float32(1e-4))
    expected = run(moved, AS_RECORDED).signals.data
    found = run(moved.replace(highpass=had), AS_RECORDED).signals.data
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found.mean(axis=2), 0.0, atol=0.1)


@pytest.mark.parametrize("low", [0.5, 1.0])
def test_a_second_high_pass_leaves_what_lies_above(low):
    """Filtered data keep their spectrum above the cut-off."""
    data = make_signals(60.0).data.astype(float)
    data = mne.filter.filter_data(data, 200.0, low, None, verbose="error")
    filtered = make_signals(60.0, data=data, highpass=low)
    again = run(filtered, AS_RECORDED).signals.data
    freqs, power = periodogram(run(filtered, AS_IT_IS).signals.data, 256.0)
    above = freqs > 1.0
    found = periodogram(again, 256.0)[1][..., above]
    np.testing.assert_allclose(found, power[..., above], rtol=0.05, atol=0.01)


@pytest.mark.parametrize("duration", [1.0, 4.0])
@pytest.mark.parametrize(
    "had, level, expected",
    [
        (0.0, 1.0, 0.0),
        (0.1, 1.0, 0.0),
        (0.5, 1.0, 1.0),
        (1.0, -1.5, -1.5),
        (10.0, 3.0, 0.0),
        (1.0, -50.0, 0.0),
    ],
)
def test_mean_of_short_samples(duration, had, level, expected):
    """An offset without the filter, slow signal with it; several spreads contradict the filter."""
    data = make_signals(duration).data.astype(float) / 2e-5
    data[:, 1] += level
    out = run(make_signals(duration, data=data * 2e-5, highpass=had), AS_RECORDED)
    np.testing.assert_allclose(out.signals.data.mean(axis=2)[:, 1], expected, atol=0.02)
    np.testing.assert_allclose(out.signals.data.mean(axis=2)[:, [0, 2, 3]], 0.0, atol=0.02)


def test_notch():
    """Line noise and its harmonic go, their neighbours stay; None leaves all."""
    rng = np.random.default_rng(0)
    times = np.arange(20 * 250) / 250
    hum = np.sin(2 * np.pi * 50 * times) + np.sin(2 * np.pi * 100 * times)
    data = 2e-5 * (rng.standard_normal((1, 4, 5000)) + 5 * hum)
    signals = make_signals(20.0, 250.0, 1, data=data)
    inner = slice(1024, -1024)  # the filter is 6.6 s long
    with_notch = replace(AS_IT_IS, notch=50.0)
    (freqs, hummed), (_, notched) = (
        periodogram(run(signals, kind).signals.data[..., inner], 256.0, "hann")
        for kind in (AS_IT_IS, with_notch)
    )
    for line in (50.0, 100.0):
        at = np.abs(freqs - line) < 0.1
        beside = (np.abs(freqs - line) > 2) & (np.abs(freqs - line) < 6)
        assert notched[..., at].sum() < 2e-3 * hummed[..., at].sum()
        assert notched[..., beside].sum() == pytest.approx(hummed[..., beside].sum(), rel=0.05)


@pytest.mark.parametrize("sfreq", [100.0, 100.5, 101.0, 102.0, 301.0])
def test_notch_near_half_the_rate(sfreq):
    """A harmonic too near Nyquist is left to the resampling, not an error from the inside."""
    assert np.isfinite(
        run(make_signals(20.0, sfreq), Preprocessing(notch=50.0)).signals.data
    ).all()


def test_default_windows_by_modality():
    """10 s of EEG, 2 s of MEG; each window knows its sample."""
    eeg = preprocess(make_signals(25.0), Preprocessing())
    assert eeg.signals.shape == (6, 4, 2560) and eeg.sample.tolist() == [0, 0, 0, 1, 1, 1]
    meg = make_signals(
        5.0, data=make_signals(5.0).data * 1e-8, modality="meg", ch_types=["mag"] * 4
    )
    assert preprocess(meg, Preprocessing()).signals.shape == (6, 4, 512)
    assert preprocess(meg, Preprocessing()).log_scale.shape == (6, 4)


def test_long_recordings_need_little_more_than_their_size():
    """Two hours in stretches: no double-precision copy of the whole of it."""
    spans = [(i * 60_000, (i + 1) * 60_000) for i in range(12)]
    data = np.random.default_rng(0).standard_normal((1, 4, 720_000), np.float32) * np.float32(2e-5)
    signals = make_signals(data=data, sfreq=100.0, good_segments=spans)
    size = data.nbytes * 2.56
    tracemalloc.start()
    windows = preprocess(signals, Preprocessing())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert windows.signals.data.nbytes >= size and peak < 3.5 * size


# --------------------------------------------------------------------------- refuses nonsense
@pytest.mark.parametrize(
    "n_times, words",
    [(20, r"lasts 0.1 s \(20 time points\)"), (1, r"lasts 0.005 s \(1 time point\)")],
    ids=["R20", "R21"],
)
def test_too_short(n_times, words):
    """What came and the minimum."""
    with pytest.raises(ValueError, match=rf"{words}; the minimum duration is 0.2 s"):
        run(make_signals(data=np.ones((1, 4, n_times))))


def test_longest_stretch_counts():
    """10 s in snippets are still too short."""
    spans = [(30 * i, 30 * i + 30) for i in range(60)]
    with pytest.raises(ValueError, match=r"longest good segment lasts 0.15 s \(30 time points\)"):
        run(make_signals(good_segments=spans))
    run(make_signals(data=np.random.default_rng(0).standard_normal((1, 4, 40)) * 1e-5))


def test_tables_may_be_short():
    """Two points of a one-channel series are enough, one is refused with its name."""
    table = np.random.default_rng(0).standard_normal((5, 1, 2))
    one = {"n_channels": 1, "has_baseline": True}
    assert len(run(make_signals(data=table, **one), is_table=True).signals) == 5
    with pytest.raises(
        ValueError, match=r"n_features = 1\); the minimum duration is 2 time points"
    ):
        run(make_signals(data=table[:, :, :1], **one), is_table=True)


@pytest.mark.parametrize(
    "window, kind", [(1e-4, ValueError), (-2.0, ValueError), ("2", TypeError)]
)
def test_impossible_windows(window, kind):
    with pytest.raises(kind, match="'window' must be a number of at least"):
        run(make_signals(), window=window)


def test_parameters_survive_json():
    """What a checkpoint stores is what it reads."""
    preprocessing = Preprocessing(notch=60.0, scaling="robust", clip=8.0)
    assert (
        Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing
    )
    assert Preprocessing.from_dict(Preprocessing().to_dict()) == Preprocessing()
    preprocessing.to_dict()["unit"]["eeg"] = 1.0
    assert preprocessing.unit["eeg"] == 2e-5


@pytest.mark.parametrize(
    "changes, kind, words",
    [
        ({"lowpass": 1}, ValueError, r"'lowpass'.*highpass"),
        ({"sfreq": 0}, ValueError, "'preprocessing.sfreq' must be a number above 0"),
        ({"highpass": -1.0}, ValueError, "'preprocessing.highpass'"),
        ({"notch": "50 Hz"}, TypeError, "'preprocessing.notch'.*'50 Hz'"),
        ({"scaling": "zscore"}, ValueError, "'fixed' or 'robust', got 'zscore'"),
        ({"unit": {"eeg": 1.0}}, ValueError, r"preprocessing.unit .*'eeg', 'mag', 'grad'"),
        ({"unit": None}, ValueError, "preprocessing.unit must be a dict"),
        ({"unit": UNIT | {"mag": 0.0}}, ValueError, r"preprocessing.unit\['mag'\]"),
        ({"window": {"eeg": 1.0}}, ValueError, r"preprocessing.window .*'fmri', 'eeg', 'meg'"),
        ({"reference": "Cz"}, ValueError, "'average' or None, got 'Cz'"),
        ({"clip": np.nan}, ValueError, "'preprocessing.clip'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_impossible_parameters(changes, kind, words):
    with pytest.raises(kind, match=words):
        Preprocessing.from_dict(changes)
