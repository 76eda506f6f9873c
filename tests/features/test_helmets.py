"""MEG of other helmets and sensors: the same sources give nearly the same rows."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from mne.io.constants import FIFF

from brainof_toolbox import Preprocessing, datasets, from_array
from brainof_toolbox.datasets.forward import CENTRE, make_gain, make_meg_info
from brainof_toolbox.features import Covariance, Evoked, VirtualChannels
from brainof_toolbox.preprocessing import preprocess

HELMETS = ("mag", "grad", "ctf275", "ctf151", "kit")


def _ctf(system):
    """Axial gradiometers of a CTF helmet, whose centre is that of the head."""
    known = mne.channels.read_meg_canonical_info(system, verbose="error")
    info = mne.create_info(known["ch_names"], 256.0, known.get_channel_types())
    for channel, stored in zip(info["chs"], known["chs"], strict=True):
        for key in ("loc", "coil_type", "coord_frame", "unit"):
            channel[key] = stored[key]
    pos = np.array([channel["loc"][:3] for channel in info["chs"]])
    system = np.column_stack([2 * pos, np.ones(len(pos))])  # the sphere that fits the sensors
    trans = np.eye(4)
    trans[:3, 3] = CENTRE - np.linalg.lstsq(system, (pos**2).sum(axis=1))[0][:3]
    info["dev_head_t"] = mne.transforms.Transform("meg", "head", trans)
    return info


def _helmet(name):
    if name.startswith("ctf"):
        return _ctf(name)
    info = make_meg_info("neuromag-306", 256.0)
    if name in ("mag", "grad", "kit"):
        info = mne.pick_info(info, mne.pick_types(info, meg="mag" if name == "kit" else name))
    for channel in info["chs"] if name == "kit" else ():
        channel["coil_type"] = FIFF.FIFFV_COIL_KIT_GRAD
    return info


@pytest.fixture(scope="module")
def helmets():
    """The same sources in each helmet, preprocessed, by name."""
    table = datasets.source_table().iloc[::12]
    rng = np.random.default_rng(0)
    moments = 4e-8 * rng.normal(size=(4, len(table) + 1, 512))
    moments = mne.filter.filter_data(moments, 256.0, 2, 40, verbose="error")
    moments[:, -1] = 0  # the eyes
    found = {}
    for name in ("neuromag", *HELMETS):
        info = _helmet(name)
        signals = from_array(make_gain(info, table) @ moments, info)
        found[name] = preprocess(signals, Preprocessing()).signals
    return found


@pytest.mark.skipif(
    not hasattr(mne.channels, "read_meg_canonical_info"), reason="needs helmets of MNE 1.12"
)
@pytest.mark.parametrize("name", HELMETS)
def test_helmets_agree(name, helmets):
    """Axial gradiometers count as magnetometers, which see the same sources less attenuated."""
    signals, whole = helmets[name], helmets["neuromag"]
    virtual = VirtualChannels(16)
    a, b = virtual.transform(signals), virtual.transform(whole)
    r = [np.corrcoef(x, y)[0, 1] for x, y in zip(a.reshape(-1, 512), b.reshape(-1, 512))]
    assert np.median(r) > 0.97
    assert 0.6 < a.std() / b.std() < 1.2
    for block in (Covariance(), Evoked(n_channels=16)):
        assert block.columns(signals) == block.columns(whole)
        a, b = block.compute(signals).astype(float), block.compute(whole).astype(float)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.95
