"""Default parcellation: 246 parcels of the grey matter, stored as an image and a table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Made by ``python -m benchmarks.parcellation``.
_STEM = Path(__file__).resolve().parent.parent / "weights" / "parcellation-246"


class Parcellation(NamedTuple):
    """Regions of the brain in MNI space; positions (246, 3) in metres."""

    img: object
    labels: tuple
    positions: np.ndarray


@lru_cache(maxsize=1)
def default_parcellation():
    """Read the parcellation of the MNI152 grey matter into 246 parcels of similar size."""
    # The parcels follow no functional borders.
    import nibabel
    import pandas as pd

    image = nibabel.load(_STEM.with_suffix(".nii.gz"))
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
    table = pd.read_csv(_STEM.with_suffix(".tsv"), sep="\t", dtype=str)
    positions = table[["x", "y", "z"]].to_numpy().astype(float)  # exact, by Python's float
    positions.flags.writeable = False  # shared by all callers
    return Parcellation(image, tuple(table["name"]), positions)
