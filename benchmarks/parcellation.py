"""Make the default parcellation: 246 parcels cut from the grey-matter template inside nilearn.

``python -m benchmarks.parcellation`` writes the image, the table and the notice that are shipped.

::

    template 1 mm -> means of 3 x 3 x 3 voxels -> grey matter of the left half, without
    cerebellum and brainstem -> halves of halves of equal size -> mirrored to the right
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.lib.landmarks import LANDMARKS

ROOT = Path(__file__).resolve().parent.parent
STEM = ROOT / "brainof_toolbox" / "weights" / "parcellation-246"
_NOTICE = {
    "Description": "246 parcels of nearly equal size, cut from a grey-matter template.",
    "Sources": "ICBM 152 Nonlinear 2009a symmetric template, as shipped with nilearn.",
    "License": "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal "
    "Neurological Institute, McGill University. Permission to use, copy, modify, and distribute "
    "this software and its documentation for any purpose and without fee is hereby granted, "
    "provided that the above copyright notice appear in all copies. The authors and McGill "
    "University make no representations about the suitability of this software for any purpose. "
    "It is provided as is without express or implied warranty. The authors are not responsible "
    "for any data loss, equipment damage, property loss, or injury to subjects or patients "
    "resulting from the use or misuse of this software package.",
}

_N_PER_HEMISPHERE = 123
_BLOCK = 3  # mm
_THRESHOLD = 0.4  # of the template, whose largest value is 1
_LARGEST_PIECE = 20  # voxels; larger pieces that changed hands would make sizes unequal
#: Whole-number directions in which a set of voxels may be cut: the lines through the 26 neighbours
#: of a voxel. Sums of whole numbers are the same on every machine.
_DIRECTIONS = np.array([d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)])


def make_parcellation():
    """Cut the MNI152 grey matter into 246 parcels of nearly equal size."""
    # -> labels (n_x, n_y, n_z), affine (4, 4), names, positions (246, 3) in metres. Nothing is
    # downloaded and nothing is random: the parcels are the same on every machine.
    grey, affine = _grey_matter()
    middle = grey.shape[0] // 2
    half = grey[:middle]
    labels = np.zeros(grey.shape, dtype=np.int16)
    voxels = np.argwhere(half)
    part = np.zeros(half.shape, dtype=np.int16)
    part[tuple(voxels.T)] = bisect_cloud(voxels, _N_PER_HEMISPHERE) + 1
    part = join_pieces(part)
    labels[:middle] = np.where(part > 0, 2 * part - 1, 0)
    labels[: -middle - 1 : -1] = 2 * part
    positions = _centres(part, affine)
    return labels, affine, _names(positions), positions


def _grey_matter():
    """Return the cerebrum's grey matter on a grid that mirrors itself, and the affine."""
    from nilearn.datasets import load_mni152_gm_template

    template = load_mni152_gm_template()
    data = np.asarray(template.dataobj, dtype=np.float64)
    origin = template.affine[:3, 3]
    # Blocks lie so that the centre of one is x = 0; what is left over at the edges is empty.
    skip = [int(-origin[0] - 1) % _BLOCK, 1, 0]
    size = [(n - s) // _BLOCK for n, s in zip(data.shape, skip, strict=True)]
    data = data[tuple(slice(s, s + _BLOCK * n) for s, n in zip(skip, size, strict=True))]
    data = data.reshape(size[0], _BLOCK, size[1], _BLOCK, size[2], _BLOCK).mean((1, 3, 5))
    affine = np.diag([_BLOCK] * 3 + [1.0])
    affine[:3, 3] = origin + skip + (_BLOCK - 1) / 2
    x, y, z = (o + _BLOCK * np.arange(n) for o, n in zip(affine[:3, 3], data.shape, strict=True))
    x, y, z = abs(x[:, None, None]), y[:, None], z
    cerebellum = (y < -25) & (z < -1 - 0.47 * x - 0.3 * abs(y + 62))
    brainstem = (x < 14) & (y > -45) & (y < -8) & (z < -8)
    # The mean of both halves, rounded: the last digits must not decide which voxels are in.
    is_grey = np.round((data + data[::-1]) / 2, 6) > _THRESHOLD
    return is_grey & ~cerebellum & ~brainstem, affine


def bisect_cloud(voxels, n_parts):
    """Number the parts of voxels (n, 3), given in lexicographic order, from 0 to n_parts - 1."""
    if n_parts == 1:
        return np.zeros(len(voxels), dtype=int)
    along = voxels @ _DIRECTIONS.T  # (n, 13)
    n = len(voxels)
    # n^2 times the variance along each direction, times its squared length: whole numbers.
    spread = n * (along**2).sum(axis=0) - along.sum(axis=0) ** 2
    best = np.argmax(spread / (_DIRECTIONS**2).sum(axis=1))
    order = np.argsort(along[:, best], kind="stable")
    n_first = n_parts // 2
    cut = round(n * n_first / n_parts)
    part = np.empty(n, dtype=int)
    first, second = np.sort(order[:cut]), np.sort(order[cut:])
    part[first] = bisect_cloud(voxels[first], n_first)
    part[second] = bisect_cloud(voxels[second], n_parts - n_first) + n_first
    return part


def join_pieces(part):
    """Give small pieces apart from the rest of their parcel to the parcel they touch most."""
    from scipy import ndimage

    touch = np.ones((3, 3, 3))
    for label, box in enumerate(ndimage.find_objects(part), start=1):
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        inside = part[box]  # a view
        pieces, n_pieces = ndimage.label(inside == label, touch)
        sizes = np.bincount(pieces.ravel())[1:]
        for piece in range(1, n_pieces + 1):
            if sizes[piece - 1] > _LARGEST_PIECE:
                continue
            here = pieces == piece
            around = inside[ndimage.binary_dilation(here, touch) & ~here]
            around = around[(around > 0) & (around != label)]
            if around.size:
                inside[here] = np.argmax(np.bincount(around))
    return part


def _centres(part, affine):
    """Return centres of mass of the left parcels and their mirror images, in turn, in m."""
    voxels = np.argwhere(part)
    label = part[tuple(voxels.T)] - 1
    count = np.bincount(label)
    centre = np.stack([np.bincount(label, axis) / count for axis in voxels.T], axis=1)
    left = (centre @ affine[:3, :3].T + affine[:3, 3]) * 1e-3
    return np.stack([left, left * [-1, 1, 1]], axis=1).reshape(-1, 3)


def _names(positions):
    """Name parcels by hemisphere, nearest landmark and running number."""
    places = np.array([xyz for _, xyz in LANDMARKS]) * 1e-3
    counts, names = {}, []
    for pos in positions[::2]:
        name = LANDMARKS[np.argmin(np.linalg.norm(places - pos, axis=1))][0]
        counts[name] = counts.get(name, 0) + 1
        names += [f"{side} {name} {counts[name]}" for side in "LR"]
    return tuple(names)


def main():
    """Write the shipped files."""
    import nibabel
    import pandas as pd

    labels, affine, names, positions = make_parcellation()
    nibabel.save(nibabel.Nifti1Image(labels, affine), STEM.with_suffix(".nii.gz"))
    table = pd.DataFrame({"index": np.arange(1, len(names) + 1), "name": names})
    table[["x", "y", "z"]] = positions
    table.to_csv(STEM.with_suffix(".tsv"), sep="\t", index=False)
    STEM.with_suffix(".json").write_text(json.dumps(_NOTICE, indent=2) + "\n")


if __name__ == "__main__":
    main()
