"""The physics of simulated paired recordings: the sphere, the rhythms, the blood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import csd, welch
from sphere_formulas import BASELINE, dipole_field, dipole_potential

from brainof_toolbox.datasets.activity import (
    DEPTH,
    SLOW,
    WARM_UP,
    band_noise,
    draw_levels,
    draw_subject,
    simulate_activity,
)
from brainof_toolbox.datasets.bold import haemodynamic, power_drive, spread_weights
from brainof_toolbox.datasets.forward import make_eeg_info, make_gain, make_meg_info
from brainof_toolbox.datasets.physics import CENTRE, RADIUS
from brainof_toolbox.datasets.sources import orient, source_table
from brainof_toolbox.io.regions import mni_to_head


def _dipoles(table):
    """Places from the centre, and directions, as the forward model is meant to take them."""
    places = mni_to_head(table[["x", "y", "z"]].to_numpy() / 1e3) - CENTRE
    return places, orient(places, table["tilt"])


def test_sources_mirror_each_other():
    table = source_table().iloc[:42]
    left, right = table.iloc[:21], table.iloc[21:]
    assert (left["x"] < 0).all() and np.allclose(left["x"].to_numpy(), -right["x"].to_numpy())
    assert (left["pair"].to_numpy() == right["pair"].to_numpy()).all()
    assert table["name"].is_unique and left["name"].str.endswith("_L").all()
    places, moments = _dipoles(source_table())
    assert np.linalg.norm(places, axis=1).max() < 0.88 * RADIUS  # none is pulled inwards
    cosine = (moments * places).sum(axis=1) / np.linalg.norm(places, axis=1)
    assert np.allclose(
        np.rad2deg(np.arccos(np.clip(cosine, -1, 1))), source_table()["tilt"], atol=1e-4
    )


def test_potential_of_a_sphere():
    """A dipole at the centre has a closed form; elsewhere the mean over the sphere vanishes."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20000, 3))
    points *= 0.09 / np.linalg.norm(points, axis=1, keepdims=True)
    q = np.array([[1e-8, 2e-8, -1e-8]])
    centre = [dipole_potential(r, np.zeros((1, 3)), q)[0] for r in points[:5]]
    assert np.allclose(centre, 3 * points[:5] @ q[0] / (4 * np.pi * 0.33 * 0.09**3))
    values = [dipole_potential(r, np.array([[0.02, 0.03, 0.01]]), q)[0] for r in points]
    assert abs(np.mean(values)) < 0.05 * np.std(values)


def test_field_of_a_sphere():
    """A radial dipole is silent; the field has neither sources nor, outside, currents."""
    r0, r = np.array([[0.01, 0.02, 0.06]]), np.array([0.05, 0.02, 0.1])
    assert np.allclose(dipole_field(r, r0, r0 * 1e-7), 0, atol=1e-24)
    q, step = np.array([[1e-8, 0.0, 0.0]]), 1e-5
    jacobian = np.array(
        [
            (dipole_field(r + e, r0, q) - dipole_field(r - e, r0, q))[0] / (2 * step)
            for e in step * np.eye(3)
        ]
    )
    size = np.abs(jacobian).max()
    assert abs(np.trace(jacobian)) < 1e-6 * size
    assert np.allclose(jacobian, jacobian.T, atol=1e-6 * size)


@pytest.mark.parametrize("n_meg", [30, "neuromag-306"], ids=str)
def test_fields_equal_the_naive_formula(n_meg):
    """Sarvas' formula at the middle of each coil, against MNE's integral over its area."""
    table, info = source_table(), make_meg_info(n_meg, 128.0)
    places, moments = _dipoles(table)
    gain = make_gain(info, table)[:, :-1]
    naive = np.empty_like(gain)
    shift = info["dev_head_t"]["trans"][:3, 3] - CENTRE
    for i, (channel, kind) in enumerate(zip(info["chs"], info.get_channel_types(), strict=True)):
        r, ex, ez = channel["loc"][:3] + shift, channel["loc"][3:6], channel["loc"][9:12]
        if kind == "mag":
            naive[i] = dipole_field(r, places, moments) @ ez
        else:
            half = ex * BASELINE / 2
            step = dipole_field(r + half, places, moments) - dipole_field(
                r - half, places, moments
            )
            naive[i] = step @ ez / BASELINE
    for kind in ("mag", "grad"):
        rows = np.array(info.get_channel_types()) == kind
        error = np.abs(gain[rows] - naive[rows]).max() / np.abs(naive[rows]).max()
        assert error < 0.1


def test_potentials_look_like_those_of_one_shell():
    """Skull and fluid spread and weaken what a homogeneous sphere shows: same places, less."""
    table, info = source_table(), make_eeg_info(64, 128.0)
    places, moments = _dipoles(table)
    gain = make_gain(info, table)[:, :-1]
    r = np.array([channel["loc"][:3] for channel in info["chs"]]) - CENTRE
    r *= RADIUS / np.linalg.norm(r, axis=1, keepdims=True)
    naive = np.array([dipole_potential(point, places, moments) for point in r])
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(gain.T, naive.T, strict=True)]
    ratio = gain.std(axis=0) / naive.std(axis=0)
    assert min(alike) > 0.8 and 0.2 < ratio.min() and ratio.max() < 1


def test_meg_is_blind_to_radial_sources():
    table = source_table()
    radial = np.flatnonzero(table["tilt"] == 0)
    assert len(radial) > 5
    meg = np.abs(make_gain(make_meg_info(30, 128.0), table)[:, :-1]).max(axis=0)
    eeg = np.abs(make_gain(make_eeg_info("10-20", 128.0), table)[:, :-1]).max(axis=0)
    assert meg[radial].max() < 1e-6 * meg.max()
    assert eeg[radial].min() > 0.05 * eeg.max()


def test_larger_heads_are_weaker_at_electrodes_and_nearer_to_coils():
    table = source_table()
    size = {
        scale: [
            np.linalg.norm(make_gain(make_eeg_info("10-20", 128.0, scale), table, scale)[:, :-1]),
            np.linalg.norm(make_gain(make_meg_info(30, 128.0, scale), table, scale)[:, :-1]),
        ]
        for scale in (0.93, 1.0, 1.05)
    }
    eeg, meg = np.transpose([size[scale] for scale in sorted(size)])
    assert (np.diff(eeg) < 0).all() and (np.diff(meg) > 0).all()


def test_blinks_are_frontal_and_positive():
    info = make_eeg_info("10-20", 128.0)
    eyes = make_gain(info, source_table())[:, -1]
    front = [info["ch_names"].index(name) for name in ("Fp1", "Fp2")]
    assert eyes[front].min() > 3 * np.abs(np.delete(eyes, front)).min() > 0
    assert eyes.argmax() in front


@pytest.mark.parametrize("coherent", [0.0, 0.5])
def test_rhythms_have_their_frequency_and_coherence(coherent):
    rng, sfreq = np.random.default_rng(0), 128.0
    share = np.full((1, 1, 1), coherent)
    waves = band_noise(
        rng, (1, 3, 2**15), sfreq, 10.0, 1.0, np.array([0, 0, 1]), np.zeros(3), share
    )[0]
    assert np.allclose(waves.std(axis=1), 1.0, atol=0.1)
    power = (np.abs(np.fft.rfft(waves)) ** 2).mean(axis=0)
    freqs = np.fft.rfftfreq(2**15, 1 / sfreq)
    assert abs((power * freqs).sum() / power.sum() - 10.0) < 0.1
    alike = np.corrcoef(waves)
    assert abs(alike[0, 2] - coherent) < 0.15 and abs(alike[1, 2] - coherent) < 0.15
    assert abs(alike[0, 1] - (coherent + 0.4 * (1 - coherent))) < 0.15  # of one pair


def test_levels_have_unit_variance_and_mirror_images_go_together():
    table = source_table()
    levels = draw_levels(np.random.default_rng(0), table, np.zeros((1, 40000)), sustained=False)[0]
    assert np.allclose(levels.std(axis=1), 1.0, atol=0.1)
    alike = np.corrcoef(levels)
    assert np.allclose(alike[np.arange(21), np.arange(21) + 21], 0.8, atol=0.1)
    names = list(table["name"])
    assert abs(alike[names.index("V1_L"), names.index("M1_R")] - 0.2) < 0.1


def test_labels_change_power_and_coupling():
    """What the label does to the sources: weaker alpha, stronger and more coherent beta."""
    table = source_table()
    names = list(table["name"])
    person = draw_subject(np.random.default_rng(0), len(table))
    found = {}
    for value in (-0.5, 0.5):
        effect = np.full((1, 480), value)
        levels = np.zeros((1, len(table), 480))
        moments, broad = simulate_activity(
            np.random.default_rng(1),
            table,
            person,
            levels,
            dict.fromkeys(("fmri", "eeg", "meg"), effect),
            "shared",
            128.0,
            120 * 128,
        )
        rhythms = (moments - broad)[0]
        alpha, one, other = (rhythms[names.index(n)] for n in ("POS_L", "SMA_L", "IFG_R"))
        freqs, cross = csd(one, other, 128.0, nperseg=256)
        powers = [welch(x, 128.0, nperseg=256)[1] for x in (one, other)]
        coherence = np.abs(cross) / np.sqrt(powers[0] * powers[1])
        found[value] = alpha.std(), one.std(), coherence[(freqs > 19) & (freqs < 22)].mean()
    (alpha_low, beta_low, coherence_low), (alpha_high, beta_high, coherence_high) = (
        found[-0.5],
        found[0.5],
    )
    assert alpha_high / alpha_low == pytest.approx(np.exp(-0.7), rel=0.1)
    assert beta_high / beta_low == pytest.approx(np.exp(0.6), rel=0.1)
    assert coherence_high > coherence_low + 0.15


def test_power_drive_equals_a_loop():
    rng, sfreq = np.random.default_rng(0), 100.0
    broad = rng.normal(size=(1, 2, 400)) * np.repeat([1.0, 2.0], 200)
    drive = power_drive(broad, sfreq, 16)[0]
    for source in range(2):
        steps = np.diff(broad[0, source], prepend=broad[0, source, 0])
        naive = [np.log(np.mean(steps[25 * i : 25 * i + 25] ** 2)) for i in range(16)]
        assert np.allclose(drive[source], (naive - np.mean(naive)) / (2 * DEPTH))
    assert drive[:, 9:].mean() - drive[:, :7].mean() == pytest.approx(
        np.log(4) / (2 * DEPTH), rel=0.3
    )


@pytest.mark.parametrize("delay", [0.0, 0.8])
def test_blood_follows_after_about_five_seconds(delay):
    """A burst of activity at 0 s; sampling at another repetition time gives the same curve."""
    drive = np.zeros((1, 1, int((WARM_UP + 30) * SLOW)))
    drive[0, 0, int(WARM_UP * SLOW)] = 1.0
    person = {"delay": delay, "vessels": 1.0}
    fine = haemodynamic(drive, person, 0.5, 60)[0, 0]
    assert 4.0 + delay <= 0.5 * fine.argmax() <= 6.0 + delay
    assert 0 > fine.min() and 10 < 0.5 * fine.argmin() < 20  # the undershoot
    assert np.allclose(haemodynamic(drive, person, 1.5, 20)[0, 0], fine[::3], atol=1e-6)


def test_weights_fall_with_distance():
    sources = source_table()[["x", "y", "z"]].to_numpy() / 1e3
    places = np.vstack([sources[:5], [[0.0, 0.3, 0.0]]])  # the last one far from everything
    weights = spread_weights(places, sources)
    assert np.allclose(np.linalg.norm(weights, axis=1), 1.0)
    assert (weights[:5].argmax(axis=1) == np.arange(5)).all()
    distance = np.linalg.norm(places[:, None] - sources, axis=2)
    order = np.argsort(distance[0])
    assert (np.diff(weights[0, order]) <= 0).all()


@pytest.mark.parametrize("effect", [1.0, 2.0])
def test_levels_of_strong_groups_are_numbers(effect):
    """The strongest effect that is allowed binds all of a level's variance, and no more."""
    table, rng = source_table("shared"), np.random.default_rng(0)
    levels = draw_levels(rng, table, np.full((2, 40), effect), sustained=True)
    assert np.isfinite(levels).all() and 0.5 < levels.std() < 20
