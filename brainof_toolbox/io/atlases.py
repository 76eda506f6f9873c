"""Find the default parcellation and named atlases on this machine; nothing is downloaded."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Made by ``python -m benchmarks.parcellation``.
_STEM = Path(__file__).resolve().parent.parent / "weights" / "parcellation-246"
#: Names of atlases, for messages; choices of numbers are in parentheses.
ATLAS_NAMES = (
    "schaefer-100 (200, ... 1000)",
    "aal",
    "brainnetome",
    "harvard-oxford",
    "destrieux",
    "basc-7 (12, 20, 36, 64, 122, 197, 325, 444)",
    "difumo-64 (128, 256, 512, 1024)",
    "msdl",
)
_CHOICES = {
    "schaefer": tuple(range(100, 1001, 100)),
    "basc": (7, 12, 20, 36, 64, 122, 197, 325, 444),
    "difumo": (64, 128, 256, 512, 1024),
    **dict.fromkeys(("aal", "brainnetome", "harvard-oxford", "destrieux", "msdl"), ()),
}


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


def split_atlas_name(name):
    """Split the name of an atlas."""
    text = re.sub(r"[_\s]+", "-", name.strip().lower())
    match = re.fullmatch(r"([a-z\-]+?)-?(\d*)", text)
    if not match or match[1] not in _CHOICES:
        return None, None
    family, sizes = match[1], _CHOICES[match[1]]
    n_regions = int(match[2]) if match[2] else None
    if (n_regions not in sizes) if sizes else (n_regions is not None):
        known = ", ".join(f"{family}-{size}" for size in sizes) or family
        raise ValueError(f"No atlas is called {name!r}; available are {known}.")
    return family, n_regions


def atlas_folder(name, data_dir=None):
    """Return the folder with the image and the table of a named atlas."""
    if data_dir is None:
        data_dir = os.environ.get("BRAINOF_ATLASES")
    if data_dir is None:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        data_dir = Path(cache) / "brainof_toolbox" / "atlases"
    family, n_regions = split_atlas_name(name)
    return Path(data_dir).expanduser() / (family if n_regions is None else f"{family}-{n_regions}")


def find_atlas(name, data_dir=None):
    """Return the image of a named atlas that was fetched before."""
    path = atlas_folder(name, data_dir) / "atlas.nii.gz"
    if path.is_file():
        return path
    if split_atlas_name(name)[0] == "brainnetome":
        raise FileNotFoundError(
            f"The atlas 'brainnetome' is not on this machine: {path} does not exist. Get "
            "BN_Atlas_246_2mm.nii.gz from https://atlas.brainnetome.org/download.html and pass "
            f"its path, or keep it as {path}."
        )
    raise FileNotFoundError(
        f"The atlas {name!r} was not fetched yet: {path} does not exist. Download it once with "
        f"brainof_toolbox.datasets.fetch_atlas({name!r})."
    )
