"""Sensors of simulated paired recordings and their gain: any montage, any size of head."""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number, check_option
from ..io.channels import template_montage
from ..io.regions import mni_to_head
from ._recordings import FIRST_NAMES, make_info
from .physics import CENTRE, dipole_gain
from .sources import orient

#: Centre of the head in the device frame: simulated helmet, Neuromag helmet.
_DEVICE_CENTRE = {"simulated": [0.0, 0.0, 0.04], "neuromag-306": [0.0, 0.0125, -0.008]}
_TEN_TWENTY = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()


def make_eeg_info(montage, sfreq, scale=1.0):
    """Make the measurement info of electrodes on a head of a given size."""
    import mne

    name, names = _resolve_montage(montage)
    template = mne.channels.make_standard_montage(name)
    names = template.ch_names if names is None else names
    unknown = [n for n in names if n not in template.ch_names]
    if unknown or not names:
        raise ValueError(f"The electrodes {unknown} of 'montage' are not in the 10-05 system.")
    info = mne.create_info(list(names), sfreq, "eeg")
    info.set_montage(template)
    found = info.get_montage().get_positions()
    info.set_montage(
        mne.channels.make_dig_montage(
            {n: scale * pos for n, pos in found["ch_pos"].items()},
            **{key: scale * found[key] for key in ("nasion", "lpa", "rpa")},
            coord_frame="head",
        )
    )
    return info


def _resolve_montage(montage):
    """Return the name of MNE's montage, and the electrodes to use (None: all)."""
    import mne

    if isinstance(montage, str):
        if montage == "10-20":
            return template_montage(), _TEN_TWENTY
        known = [
            name for name in mne.channels.get_builtin_montages() if not name.startswith("artinis")
        ]
        return check_option("montage", montage, ("10-20", *known)), None
    if isinstance(montage, (list, tuple)):
        return template_montage(), list(montage)
    check_number("montage", montage, low=1, high=len(FIRST_NAMES), integer=True)
    return template_montage(), list(FIRST_NAMES[:montage])


def make_meg_info(n_meg, sfreq, scale=1.0):
    """Make the measurement info of a helmet around a head of a given size."""
    import mne

    kind = "simulated"
    if isinstance(n_meg, str):
        kind = check_option("n_meg", n_meg, ("neuromag-306",), "Or a multiple of 3 up to 306.")
        read = getattr(mne.channels, "read_meg_canonical_info", None)
        if read is None:
            raise ValueError("n_meg='neuromag-306' needs mne of at least 1.12; give a number.")
        chs = read("neuromag", verbose="error")
        info = mne.create_info(chs["ch_names"], sfreq, chs.get_channel_types())
        for channel, known in zip(info["chs"], chs["chs"], strict=True):
            for key in ("loc", "coil_type", "coord_frame", "unit"):
                channel[key] = known[key]
    else:
        info = make_info("meg", n_channels=n_meg, sfreq=sfreq)
    trans = np.eye(4)
    trans[:3, 3] = scale * CENTRE - _DEVICE_CENTRE[kind]
    info["dev_head_t"] = mne.transforms.Transform("meg", "head", trans)
    return info


def make_sensors(name, options, scale=1.0):
    """Make the measurement info of EEG or MEG that the options of a simulator ask for."""
    key, make = ("montage", make_eeg_info) if name == "eeg" else ("n_meg", make_meg_info)
    return make(options[key], options["sfreq"], scale)


def make_gain(info, table, scale=1.0):
    """Compute the gain of the sources of a table, and of the eyes, at every sensor."""
    # -> gain (n_channels, n_sources + 1).
    places = scale * mni_to_head(table[["x", "y", "z"]].to_numpy() / 1e3) - scale * CENTRE
    return dipole_gain(info, places, orient(places, table["tilt"]), scale)
