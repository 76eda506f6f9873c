"""Select data channels, and compute their positions in the head frame."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from .._utils.electrodes import strip_name
from .._utils.logging import warn
from .._utils.messages import and_more
from .._utils.positions import check_positions
from .._utils.validation import check_option
from ..signals import check_unique_names
from .impostors import without_impostors

#: Placeholder positions lie on a sphere of this radius, in metres.
_HEAD_RADIUS = 0.095


def standardize_ch_name(name):
    """Return an electrode name in the spelling of the 10-05 system."""
    text = strip_name(name)
    old = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    text = old.get(text.upper(), text)
    return _template()[0].get(text.upper(), text)


def template_montage():
    """Return the name of MNE's 10-05 template, renamed in MNE 1.13."""
    import mne

    new, old = "colin27_1005", "standard_1005"
    return new if new in mne.channels.get_builtin_montages() else old


@lru_cache(maxsize=1)
def _template():
    """Return name and head position of every electrode of MNE's 10-05 montage."""
    import mne

    montage = mne.channels.make_standard_montage(template_montage())
    info = mne.create_info(montage.ch_names, 1.0, "eeg")
    info.set_montage(montage)  # MNE moves the template to the head frame here
    spelling = {name.upper(): name for name in montage.ch_names}
    return spelling, {ch["ch_name"]: ch["loc"][:3].copy() for ch in info["chs"]}


def pick_channels(info):
    """Select the data channels that are not marked bad."""
    import mne

    check_unique_names(info["ch_names"])
    everything = {
        "eeg": mne.pick_types(info, eeg=True, exclude=[]),
        "meg": mne.pick_types(info, meg=True, ref_meg=False, exclude=[]),
    }
    if sum(map(len, everything.values())) == 0:
        types = sorted(set(info.get_channel_types(unique=True)))
        raise ValueError(
            f"No supported channel: found the types {types}, accepted are 'eeg', 'mag' and "
            "'grad'. If a type is wrong, correct it with raw.set_channel_types()."
        )
    picks, words, n_other = {}, [], 0
    for modality, indices in everything.items():
        good = {info["ch_names"][i]: i for i in indices if info["ch_names"][i] not in info["bads"]}
        kept = without_impostors(list(good), modality)
        if kept:
            picks[modality] = np.array([good[name] for name in kept])
        n_bad, n_other = len(indices) - len(good), n_other + len(good) - len(kept)
        if n_bad:
            words.append(f"{'all ' * (not good)}{n_bad} {modality.upper()} channels")
    if not picks:
        marked = "none is marked bad"
        if words:
            marked = f"{' and '.join(words)} are marked bad (info['bads'])"
        other = f", and {n_other} are by name no EEG" if n_other else ""
        raise ValueError(f"No channel is left: {marked}{other}.")
    return picks


def sensor_geometry(info, picks, modality, missing_positions="raise"):
    """Return positions and orientations of channels in the head frame."""
    # -> ch_pos (n_channels, 3), ch_ori (n_channels, 3).
    check_option("missing_positions", missing_positions, ("raise", "placeholder"))
    chs = [info["chs"][i] for i in picks]
    names = [ch["ch_name"] for ch in chs]
    pos = np.array([ch["loc"][:3] for ch in chs], dtype=float)
    missing = ~np.isfinite(pos).all(axis=1) | ~np.any(pos, axis=1)
    if modality == "meg":
        # The transform would hide positions that are too small.
        check_positions(pos, names, modality, space="device")
        ori = np.array([_orientation(ch) for ch in chs])
        pos, ori = _to_head(info, chs, pos, ori)
    else:
        ori = np.zeros_like(pos)
        if missing.any() and pos.any():  # all zero: set on purpose, not missing
            missing = _fill_from_template(names, pos, missing)
    if missing.any():
        _place_or_raise(names, pos, missing, missing_positions)
    check_positions(pos, names, modality)
    ori[~np.isfinite(ori).all(axis=1)] = 0.0
    seen = {}  # equal positions (and orientations) are likely a wrong montage
    for ch, place in zip(chs, np.round(np.hstack([pos, ori]), 5), strict=True):
        seen.setdefault((int(ch["kind"]), *place), []).append(ch["ch_name"])
    shared = [group for group in seen.values() if len(group) > 1]
    if shared:
        warn(f"Channels share one position: {shared}. Check the montage, or drop one of each.")
    return pos, ori


def _orientation(ch):
    """Return the coil normal, or the direction of the derivative of a planar gradiometer."""
    # The two gradiometers of a triplet differ only in the in-plane axis.
    import mne

    coil = str(ch["coil_type"]).upper()
    is_grad = mne.channel_type({"chs": [ch]}, 0) == "grad"
    is_planar = "PLANAR" in coil or (is_grad and "AXIAL" not in coil)
    return np.array(ch["loc"][3:6] if is_planar else ch["loc"][9:12], dtype=float)


def _to_head(info, chs, pos, ori):
    """Transform sensors from device coordinates to the head frame."""
    import mne
    from mne.io.constants import FIFF

    in_device = np.array([ch["coord_frame"] != FIFF.FIFFV_COORD_HEAD for ch in chs])
    if not in_device.any():
        return pos, ori
    # Without marker coils, MNE's KIT reader puts the identity.
    is_kit = any("KIT" in str(ch["coil_type"]) for ch in chs)
    trans = info["dev_head_t"] and info["dev_head_t"]["trans"]
    if trans is None or (is_kit and np.array_equal(trans, np.eye(4))):
        if np.isfinite(pos[in_device]).all() and pos[in_device].any():
            warn(
                "MEG sensors are in device coordinates and info['dev_head_t'] is missing or "
                "the identity: the device frame is used as head frame. Set "
                "info['dev_head_t'] for exact positions."
            )
        return pos, ori
    moved = mne.transforms.apply_trans(trans, pos)
    turned = mne.transforms.apply_trans(trans, ori, move=False)
    return np.where(in_device[:, None], moved, pos), np.where(in_device[:, None], turned, ori)


def _fill_from_template(names, pos, missing):
    """Give 10-05 electrode names their template position, with a warning."""
    positions = _template()[1]
    canonical = {i: standardize_ch_name(names[i]) for i in np.flatnonzero(missing)}
    # BioSemi numbers its sockets A1..A32, B1..; "A1" is then not an earlobe.
    is_socket = [re.fullmatch(r"[A-H]\d{1,2}", name) is not None for name in names]
    sockets = sum(s and name not in positions for s, name in zip(is_socket, names, strict=True))
    known = {} if sockets > 2 else {i: name for i, name in canonical.items() if name in positions}
    for i, name in known.items():
        pos[i] = positions[name]
    if known:
        count, listed = _count(names, list(known), "EEG channel")
        warn(
            f"{count} without a position: {listed} placed by name at the standard 10-05 "
            "position. Give measured positions with set_montage()."
        )
    still = missing.copy()
    still[list(known)] = False
    return still


def _place_or_raise(names, pos, missing, missing_positions):
    count, listed = _count(names, np.flatnonzero(missing), "channel")
    if missing_positions == "raise":
        raise ValueError(
            f"{count} without a position: {listed}. Set positions "
            "with set_montage() (info['chs'][i]['loc']), mark these channels bad, give those that "
            "are not EEG their type with set_channel_types(), or pass "
            "missing_positions='placeholder' for placeholder positions by channel order."
        )
    warn(f"{count} placed by order (missing_positions='placeholder'): {listed}.")
    pos[missing] = placeholder_positions(len(names))[missing]


def placeholder_positions(n_channels):
    """Return distinct positions by channel order, spread over the upper head."""
    # -> pos (n_channels, 3).
    order = np.arange(n_channels) + 0.5
    z = 1.0 - 1.2 * order / n_channels
    angle = np.pi * (1 + 5**0.5) * order
    radius = np.sqrt(1 - z**2)
    return _HEAD_RADIUS * np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _count(names, rows, noun, limit=30):
    """Return the count of some channels in words, and the list of the first of them."""
    listed = [names[i] for i in rows[:limit]]
    return f"{len(rows)} {noun}{'s' * (len(rows) != 1)}", f"{listed}{and_more(len(rows), limit)}"
