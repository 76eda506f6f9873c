"""Channels of a module of torch: from MNE's description, and to JSON and back."""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number
from ..io.channels import sensor_geometry
from .parameters import as_json

#: What the reading of a montage needs of an entry of ``info["chs"]``.
_KEYS = ("kind", "coil_type", "loc", "coord_frame", "unit", "unit_mul", "cal", "range")


def as_info(chs_info, n_chans, sfreq):
    """Return the description of the channels as an ``mne.Info``."""
    import mne

    if chs_info is None:
        raise ValueError(
            "chs_info is missing: the network reads positions. Pass chs_info=epochs.info['chs'] "
            "(module__chs_info= in skorch), after set_montage() where channels have none."
        )
    is_info = isinstance(chs_info, mne.Info)
    chs = chs_info["chs"] if is_info else list(chs_info)
    if not chs or not all(
        hasattr(ch, "keys") and {"ch_name", "kind", "loc"} <= {*ch} for ch in chs
    ):
        raise TypeError(
            "chs_info must be a list of the dicts in mne.Info['chs'], with 'ch_name', 'kind' and "
            f"'loc', got {type(chs_info).__name__}."
        )
    if n_chans is not None and n_chans != len(chs):
        raise ValueError(f"n_chans={n_chans!r}, but chs_info has {len(chs)} channels.")
    if is_info:
        if sfreq is not None and not np.isclose(sfreq, chs_info["sfreq"]):
            raise ValueError(
                f"sfreq={sfreq!r}, but the mne.Info in chs_info has {chs_info['sfreq']}."
            )
        return chs_info
    if sfreq is None:
        raise ValueError("sfreq is missing: pass the sampling rate of x in Hz.")
    check_number("sfreq", sfreq, low=0, low_open=True)
    info = mne.create_info([ch["ch_name"] for ch in chs], sfreq, "misc", verbose="error")
    for made, given in zip(info["chs"], chs, strict=True):
        made.update({key: given[key] for key in _KEYS if key in given})
    return info


def describe_channels(info):
    """Return the description of the channels as JSON values."""
    chs = [{key: ch[key] for key in ("ch_name", *_KEYS) if key in ch} for ch in info["chs"]]
    for ch in chs:
        ch["loc"] = [x if np.isfinite(x) else None for x in ch["loc"].tolist()]
    device = info["dev_head_t"]
    device = None if device is None else np.asarray(device["trans"]).tolist()
    found = {"chs": chs, "bads": list(info["bads"]), "dev_head_t": device}
    found |= {"sfreq": float(info["sfreq"]), "highpass": float(info["highpass"])}
    return as_json(found)


def read_channels(values):
    """Return what :func:`describe_channels` described."""
    import mne

    locs = [np.array(ch["loc"], dtype=float) for ch in values["chs"]]
    chs = [{**ch, "loc": loc} for ch, loc in zip(values["chs"], locs, strict=True)]
    info = as_info(chs, None, values["sfreq"])
    with info._unlock():
        info["bads"], info["highpass"] = values["bads"], values["highpass"]
        if values["dev_head_t"] is not None:
            info["dev_head_t"] = mne.transforms.Transform("meg", "head", values["dev_head_t"])
    return info


def read_montage(info, modality, picks, missing_positions):
    """Return the fields of ``Signals`` that do not change, and the channels they describe."""
    pos, ori = sensor_geometry(info, picks, modality, missing_positions)
    fields = {
        "modality": modality,
        "ch_names": [info["ch_names"][i] for i in picks],
        "ch_types": info.get_channel_types(picks),
        "ch_pos": pos,
        "ch_ori": ori,
    }
    return fields, picks
