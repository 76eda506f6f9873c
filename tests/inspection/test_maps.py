"""Importance as Evoked, image and figure: numbers arrive where they belong."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from brainof_toolbox.datasets import make_info
from brainof_toolbox.inspection.importance import Importance, PartImportance
from brainof_toolbox.io.atlases import default_parcellation
from brainof_toolbox.io.regions import mni_to_head
from brainof_toolbox.io.sensors import from_array


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def sensors(kind, n_channels=19, with_grid=True):
    info = make_info(kind, n_channels=n_channels, sfreq=128.0)
    rng = np.random.default_rng(0)
    size = np.array(
        [{"eeg": 2e-5, "mag": 4e-13, "grad": 1e-11}[t] for t in info.get_channel_types()]
    )
    signals = from_array(rng.standard_normal((1, len(size), 256)) * size[:, None], info)
    grid = rng.random((len(signals.ch_names), 4))
    part = PartImportance(
        signals.ch_names,
        signals.ch_types,
        signals.ch_pos,
        np.array([0.25, 0.75, 1.25, 1.75]),
        grid.sum(axis=1),
        grid.sum(axis=0),
        {"alpha": 0.5, "beta": -0.1},
        {"alpha": (8, 13), "beta": (13, 30)},
        grid if with_grid else None,
    )
    return Importance({signals.modality: part}, "occlusion", "nats", 1)


def brain(order=None):
    parcels = default_parcellation()
    rows = np.arange(246) if order is None else order
    values = np.zeros(246)
    values[[100, 101]] = 1.0, 0.5
    part = PartImportance(
        tuple(parcels.labels[i] for i in rows),
        ("bold",) * len(rows),
        mni_to_head(parcels.positions[rows]),
        np.array([64.0]),
        values[rows],
        np.array([1.5]),
        {},
        {},
    )
    return Importance({"fmri": part}, "occlusion", "nats", 1)


def test_evoked():
    """Channels, places and times are those of the map."""
    found = sensors("eeg")
    evoked = found.to_evoked()
    np.testing.assert_allclose(evoked.data, found.part().grid)
    np.testing.assert_allclose(evoked.times, [0.0, 0.5, 1.0, 1.5])  # where patches start
    assert tuple(evoked.ch_names) == found.part().ch_names
    places = np.array([channel["loc"][:3] for channel in evoked.info["chs"]])
    np.testing.assert_allclose(places, found.part().ch_pos, atol=1e-6)
    single = sensors("eeg", with_grid=False).to_evoked()
    np.testing.assert_allclose(single.data[:, 0], found.part().channels)


def test_evoked_tells_sensor_types_apart():
    """Magnetometers and gradiometers are picked by MNE as such."""
    found = sensors("meg", 30)
    evoked = found.to_evoked()
    types = np.array(found.part().ch_types)
    for kind in ("mag", "grad"):
        np.testing.assert_allclose(evoked.copy().pick(kind).data, found.part().grid[types == kind])


@pytest.mark.parametrize("order", [None, np.arange(245, -1, -1), np.arange(90, 110)])
def test_image(order):
    """Each voxel has the importance of its region, in whatever order and number they came."""
    parcels = default_parcellation()
    image = brain(order).to_nifti()
    labels, values = np.asarray(parcels.img.dataobj), image.get_fdata()
    assert image.shape == parcels.img.shape and np.allclose(image.affine, parcels.img.affine)
    assert set(np.unique(values[labels == 101])) == {1.0}
    assert set(np.unique(values[labels == 102])) == {0.5}
    assert not values[(labels != 101) & (labels != 102)].any()


def test_image_refuses():
    """Sensors make no image, regions no Evoked; other regions need their own masker."""
    with pytest.raises(ValueError, match="'modality': allowed are 'eeg'"):
        sensors("eeg").to_nifti()
    with pytest.raises(ValueError, match="Regions are not sensors"):
        brain().to_evoked()
    part = brain().part()
    wrong = PartImportance(
        ("nowhere", *part.ch_names[1:]), *[getattr(part, n) for n in list(vars(part))[1:]]
    )
    with pytest.raises(ValueError, match="The masker has no region 'nowhere'"):
        Importance({"fmri": wrong}, "occlusion", "nats", 1).to_nifti()


def test_figures_of_sensors():
    """One topography per type; time and bands with units on their axes."""
    eeg, meg = sensors("eeg"), sensors("meg", 30)
    best = eeg.part().ch_names[int(np.argmax(eeg.part().channels))]
    figure = eeg.plot()
    assert figure.axes[0].get_title() == f"EEG, most at {best}"
    titles = [ax.get_title() for ax in meg.plot().axes]
    assert any("magnetometers" in t for t in titles) and any("gradiometers" in t for t in titles)
    figure, axes = plt.subplots()
    assert eeg.plot_time(axes=axes) is figure
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), eeg.part().patches)
    assert "(s)" in axes.get_xlabel() and "(nats)" in axes.get_ylabel()
    labels = [t.get_text() for t in eeg.plot_bands().axes[0].get_xticklabels()]
    assert labels == ["alpha\n8-13 Hz", "beta\n13-30 Hz"]
    with pytest.raises(ValueError, match="This figure needs 2 axes, got 1"):
        meg.plot(axes=axes)
    with pytest.raises(ValueError, match="No band lies below"):
        brain().plot_bands()


def test_figures_of_the_brain():
    """Glass brain and surface are drawn without a download; nothing to show is an error."""
    assert brain().plot() is not None and len(brain().plot_surface().axes) >= 2
    part = brain().part()
    values = {**vars(part), "channels": 0 * part.channels}
    with pytest.raises(ValueError, match="Importance is above 0 in no region"):
        Importance({"fmri": PartImportance(**values)}, "occlusion", "nats", 1).plot()


def test_table():
    """Every number once, with its kind."""
    frame = sensors("eeg").to_dataframe()
    assert frame["kind"].value_counts().to_dict() == {"channel": 19, "time": 4, "band": 2}
    assert "19 channels" in repr(sensors("eeg"))
