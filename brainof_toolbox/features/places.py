"""Places of virtual channels in the head frame."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

#: Name (of electrodes), x, y and z in mm; written by ``tests/features/make_places.py``.
FILE = Path(__file__).resolve().parent.parent / "weights" / "virtual-places.tsv"


@lru_cache(maxsize=1)
def _read():
    rows = [line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float) / 1e3


def electrode_places(n_places):
    """Return names, and positions (n_places, 3) in m, of virtual EEG channels."""
    # Electrodes of MNE's 10-05 template; the first 16 are a set of their own.
    names, places = _read()
    return tuple(names[:n_places]), places[:n_places].copy()


def sensors_at(places, modality):
    """Return places and orientations (n_places, 3), and sensor type, of virtual EEG or MEG."""
    places = np.asarray(places, np.float32)
    if modality == "meg":  # radial magnetometers
        return places, places / np.linalg.norm(places, axis=1, keepdims=True), "mag"
    return places, np.zeros_like(places), "eeg"


def region_places(n_places):
    """Return positions (n_places, 3) in m of the centres of virtual regions."""
    # Centres of grey matter in nilearn's MNI152 template, in mirrored pairs, each far from those
    # before it, so that a beginning of the list covers the brain too.
    names, places = _read()
    start = names.index("")
    return places[start : start + n_places].copy()
