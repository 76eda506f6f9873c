"""Some channels, samples or stretches in another unit than the others; no false alarm."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest

from brainof_toolbox import BrainOFEmbedder, PairedSignals, from_array, from_epochs, from_raw
from brainof_toolbox.datasets import make_raw, make_study


@pytest.fixture(scope="module")
def raws():
    return {kind: make_raw(kind, duration=12.0, n_channels=12) for kind in ("eeg", "meg")}


@pytest.fixture(scope="module")
def study():
    return make_study(n_subjects=5, n_epochs=8, n_channels=6)


def scaled(inst, factor, channels=slice(None), samples=slice(None)):
    inst = inst.copy()
    data = inst._data = inst._data.copy()
    if data.ndim == 2:
        data[channels, samples] *= factor
    else:
        data[samples, channels] *= factor
    return inst


def quiet(read, inst):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(inst)


# -------------------------------------------------------------------------------- channels
@pytest.mark.parametrize("kind, n", [("eeg", 1), ("eeg", 2), ("meg", 1)])
@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3, 1e-6])
def test_some_channels_in_another_unit(raws, kind, factor, n):
    """They are named, and only they."""
    rows = list(range(0, 3 * n, 3))
    word = "larger" if factor > 1 else "smaller"
    with pytest.raises(ValueError, match=rf"{word} than most others") as error:
        from_raw(scaled(raws[kind], factor, rows))
    named = [name for name in raws[kind].ch_names if repr(name) in str(error.value)]
    assert named == [raws[kind].ch_names[row] for row in rows]


@pytest.mark.parametrize("factor, unit", [(1e3, "millivolt.*1e-3"), (1e6, "microvolt.*1e-6")])
@pytest.mark.parametrize("n", [5, 6, 9])
def test_half_and_most_channels_in_another_unit(raws, factor, unit, n):
    with pytest.raises(ValueError, match=unit):
        from_raw(scaled(raws["eeg"], factor, slice(n)))


def test_channel_in_another_unit_in_a_few_samples(study):
    with pytest.raises(ValueError, match=rf"\['{study.ch_names[2]}'\] are larger"):
        from_epochs(scaled(study, 1e6, 2, slice(3, 5)))


def test_hand_made_signals_and_pairs(raws):
    signals = from_raw(raws["eeg"], window=2.0)
    data = signals.data.copy()
    data[:, 3] *= 1e3
    odd = signals.replace(data=data)
    embedder = BrainOFEmbedder(pooling="mean", checkpoint=None)
    for X in (odd, [signals, odd], PairedSignals({"eeg": odd})):
        with pytest.raises(ValueError, match=rf"'{signals.ch_names[3]}'\] are larger"):
            embedder.fit(X)


# --------------------------------------------------------------------------------- samples
@pytest.mark.parametrize("who", ["01", "03", "05"])
@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3, 1e-6])
def test_samples_of_one_subject_in_another_unit(study, who, factor):
    rows = np.flatnonzero(study.metadata["subject"] == who)
    with pytest.raises(ValueError, match=rf"8 of 40 samples \({rows[0]}, .*of subject {who}"):
        from_epochs(scaled(study, factor, samples=rows))


@pytest.mark.filterwarnings("ignore:.*untrained weights")
@pytest.mark.parametrize("order", ["first", "last", "shuffled"])
@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3])
def test_samples_are_compared_beyond_a_batch(study, order, factor):
    """Read 32 at a time, the last 8 are a batch of their own."""
    rows = {
        "first": np.arange(8),
        "last": np.arange(32, 40),
        "shuffled": np.arange(40)[2::5],
    }[order]
    odd = scaled(study, factor, samples=rows)
    embedder = BrainOFEmbedder(pooling="mean", checkpoint=None, batch_size=8)
    with pytest.raises(ValueError, match=r"samples|typical amplitude"):
        embedder.fit(odd).transform(odd)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3])
def test_parts_joined_in_another_unit(factor):
    raw, other = make_raw(duration=30.0, n_channels=6), make_raw(duration=10.0, n_channels=6)
    joined = mne.concatenate_raws([raw.copy(), scaled(other, factor)], verbose="error")
    with pytest.raises(ValueError, match=r"the part that begins at \d"):
        from_raw(joined)
    plain = mne.io.RawArray(joined.get_data(), raw.info, verbose="error")
    if factor == 1e6:
        with pytest.raises(ValueError, match=r"around .* s are more than"):
            from_raw(plain)
    else:
        with pytest.warns(RuntimeWarning, match=r"around .* s are more than"):
            from_raw(plain)


# ---------------------------------------------------------------------------------- counts
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8])
def test_integers_are_counts(dtype):
    """One error, which advises the gain and no other factor."""
    counts = np.random.default_rng(0).integers(0, 200, (4, 8, 300)).astype(dtype)
    info = make_raw(n_channels=8, duration=1.0).info
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=rf"{np.dtype(dtype)}.*counts.*gain") as error:
            from_array(counts, info)
        assert "1e-6" not in str(error.value)
        with pytest.raises(ValueError, match="whole numbers.*counts.*gain") as error:
            from_array(counts.astype(float), info)
        assert "1e-6" not in str(error.value)


# ------------------------------------------------------------------------------ no false alarm
def hum(raw):
    raw._data[3] += 2e-4 * np.sin(2 * np.pi * 50 * raw.times)


def drift(raw):
    raw._data[3] += np.linspace(0, 0.02, len(raw.times))


def noise(raw):
    raw._data[3] += 3e-4 * np.random.default_rng(1).standard_normal(len(raw.times))


def blinks(raw):
    raw._data[:2] *= 15


def pops(raw):
    raw._data[4, 500:] += 0.1
    raw._data[:, 900:950] *= 1e4


def reference(raw):
    raw.set_eeg_reference("average", verbose="error")


def bridged(raw):
    raw._data[5] *= 0.02


@pytest.mark.parametrize(
    "change", [hum, drift, noise, blinks, pops, reference, bridged], ids=lambda f: f.__name__
)
def test_poor_recordings_are_no_other_unit(raws, change):
    raw = raws["eeg"].copy()
    raw._data = raw._data.copy()
    change(raw)
    quiet(from_raw, raw)


def test_broken_channel_is_named_and_kept(raws):
    with pytest.warns(RuntimeWarning, match=r"more than 100 times larger.*no contact"):
        from_raw(scaled(raws["eeg"], 300.0, 2))


def test_large_artefacts_in_some_epochs(study):
    quiet(from_epochs, scaled(scaled(study, 50.0, samples=[3, 7, 30]), 20.0, samples=[5]))


def test_subjects_of_different_amplitude(study):
    quiet(from_epochs, scaled(study, 8.0, samples=slice(8, 16)))


def test_padded_end_is_said_and_not_refused(study):
    with pytest.warns(RuntimeWarning, match=r"1 of 40 samples \(39\).*Was the recording running"):
        from_epochs(scaled(study, 1e-3, samples=[39]))
