"""Sources of simulated paired recordings: positions, directions and rhythms.

::

    42 named sources   21 positions on the left and their mirror images, most with a rhythm
    40 patches         spread over an ellipsoid of the size of the cortex, background only

Positions are rounded MNI coordinates near the named structures. A tilt of 0 degrees is radial (a
gyral crown: MEG is blind to it in a sphere), 90 degrees is tangential (the wall of a sulcus).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

#: Rhythms: frequency and width (standard deviation) in Hz, and change of the log amplitude per
#: unit of activity, negative for alpha and mu, positive for beta and theta.
RHYTHMS = {
    "alpha": {"frequency": 10.2, "width": 1.1, "slope": -0.15},
    "mu": {"frequency": 11.2, "width": 1.0, "slope": -0.15},
    "beta": {"frequency": 21.0, "width": 2.5, "slope": 0.10},
    "theta": {"frequency": 6.0, "width": 0.8, "slope": 0.10},
}
#: Name, x y z in mm (left), tilt in degrees, network, moments of alpha, mu, beta, theta in nAm,
#: evoked moment in nAm, its latency in s, change of the level by a task.
_LEFT = (
    ("V1", -10, -90, 2, 40, "visual", 12, 0, 0, 0, 15, 0.10, 1.0),
    ("LO", -40, -78, -2, 20, "visual", 11, 0, 0, 0, 10, 0.17, 0.8),
    ("POS", -16, -74, 34, 0, "visual", 16, 0, 0, 0, 0, 0.0, 0.4),
    ("FUS", -34, -54, -16, 60, "visual", 5, 0, 0, 0, 6, 0.17, 0.6),
    ("M1", -38, -22, 56, 60, "motor", 0, 10, 5, 0, 0, 0.0, 0.8),
    ("S1", -50, -20, 40, 45, "motor", 0, 6, 3, 0, 0, 0.0, 0.6),
    ("SMA", -6, -4, 60, 90, "motor", 0, 0, 4, 0, 0, 0.0, 0.5),
    ("A1", -46, -22, 8, 70, "auditory", 4, 0, 0, 0, 12, 0.10, 0.5),
    ("MTG", -58, -18, -12, 20, "auditory", 0, 0, 0, 3, 0, 0.0, 0.0),
    ("FEF", -26, -4, 54, 90, "control", 0, 0, 4, 0, 0, 0.0, 0.6),
    ("IPS", -30, -56, 50, 10, "control", 8, 0, 2, 0, 12, 0.33, 0.8),
    ("DLPFC", -40, 34, 30, 90, "control", 0, 0, 3, 3, 0, 0.0, 0.5),
    ("IFG", -48, 20, 10, 90, "control", 0, 0, 3, 2, 0, 0.0, 0.3),
    ("aINS", -36, 20, 0, 30, "salience", 0, 0, 0, 3, 0, 0.0, 0.4),
    ("ACC", -4, 26, 28, 30, "salience", 0, 0, 0, 5, 0, 0.0, 0.4),
    ("mPFC", -6, 52, 10, 20, "default", 0, 0, 0, 5, 0, 0.0, -0.7),
    ("PCC", -6, -52, 28, 10, "default", 8, 0, 0, 0, 8, 0.36, -0.7),
    ("ANG", -46, -66, 32, 10, "default", 8, 0, 0, 0, 0, 0.0, -0.6),
    ("THAL", -10, -18, 8, 0, "deep", 0, 0, 0, 0, 0, 0.0, 0.5),
    ("HIPP", -26, -20, -16, 0, "deep", 0, 0, 0, 5, 0, 0.0, -0.2),
    ("PUT", -26, 4, 2, 0, "deep", 0, 0, 0, 0, 0, 0.0, 0.4),
)
_COLUMNS = (
    "name x y z tilt network alpha mu beta theta evoked latency task".split()  # as in _LEFT
)
_N_PATCHES = 40
#: Ellipsoid of the patches: centre and half axes in mm, MNI.
_CENTRE, _AXES = np.array([0.0, -18.0, 12.0]), np.array([55.0, 71.0, 50.0])
#: Moment of the 1/f background in nAm.
_BACKGROUND = 14.0
#: Factor of beta in EEG with separate views: below the muscle noise.
_BETA_ALONE = 0.6


@lru_cache(maxsize=1)
def _table():
    left = pd.DataFrame(_LEFT, columns=_COLUMNS)
    right = left.assign(x=-left["x"])
    named = pd.concat(
        [left.assign(name=left["name"] + "_L"), right.assign(name=right["name"] + "_R")]
    ).reset_index(drop=True)
    named["pair"] = np.tile(np.arange(len(left)), 2)
    order = np.arange(_N_PATCHES) + 0.5
    z = 1.0 - 1.55 * order / _N_PATCHES  # nothing at the brain stem
    angle = np.pi * (1 + 5**0.5) * order
    ring = np.sqrt(1 - z**2)
    places = _CENTRE + _AXES * np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
    nearest = np.linalg.norm(
        places[:, None] - named[["x", "y", "z"]].to_numpy()[None], axis=2
    ).argmin(axis=1)
    patches = pd.DataFrame(
        {
            "name": [f"patch{i + 1:02d}" for i in range(_N_PATCHES)],
            **dict(zip("xyz", places.T, strict=True)),
            "tilt": np.arange(_N_PATCHES) * 37 % 31,  # various tilts, in no spatial order
            "network": named["network"].to_numpy()[nearest],
            "task": 0.5 * named["task"].to_numpy()[nearest],
            "pair": len(left) + np.arange(_N_PATCHES),
        }
    )
    table = pd.concat([named, patches], ignore_index=True)
    numbers = [*RHYTHMS, "evoked", "latency", "task"]
    table[numbers] = table[numbers].fillna(0.0).astype(float)
    table["background"] = np.where(table["network"].index < len(named), 0.8, 1.0) * _BACKGROUND
    return table


def source_table(views="shared"):
    """List the sources of simulated paired recordings.

    Parameters
    ----------
    views : str
        ``"shared"``, or ``"separate"``: sources of alpha are radial, so that in a sphere MEG does
        not measure them, sources of beta are tangential, and only deep sources change their level
        with the label.

    Returns
    -------
    table : pandas.DataFrame
        One row per source: ``name``; ``x``, ``y``, ``z`` in mm (MNI); ``tilt`` from the outward
        direction in degrees; ``network``; moments in nAm (root mean square) of ``background``,
        ``alpha``, ``mu``, ``beta`` and ``theta``, and of the ``evoked`` response (peak) with its
        ``latency`` in s; ``task``, the change of the level by a task; ``pair``, equal for
        mirror images.
    """
    table = _table().copy()
    if views == "separate":
        table["beta"] = _BETA_ALONE * table["beta"].where(table["alpha"] == 0, 0.0)
        table.loc[table["alpha"] > 0, "tilt"] = 0
        table.loc[table["beta"] > 0, "tilt"] = 90
        is_nucleus = (table["network"] == "deep") & ~table["name"].str.startswith("patch")
        table["task"] = is_nucleus.astype(float)
    return table


def orient(places, tilts):
    """Compute directions of dipoles from their positions and tilts."""
    # places (n_sources, 3), tilts (n_sources,) -> moments (n_sources, 3).
    outwards = places / np.linalg.norm(places, axis=1, keepdims=True)
    front = np.array([0.0, 1.0, 0.3])  # no x: mirror images stay mirror images
    along = front - (outwards @ front)[:, None] * outwards
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    angle = np.deg2rad(np.asarray(tilts, dtype=float))[:, None]
    return np.cos(angle) * outwards + np.sin(angle) * along
