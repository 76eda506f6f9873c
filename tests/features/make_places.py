"""Where virtual channels and regions lie.

``python tests/features/make_places.py`` writes ``weights/virtual-places.tsv`` of the package anew.
Features change with it: raise their versions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import brainof_toolbox

FILE = Path(brainof_toolbox.__file__).parent / "weights" / "virtual-places.tsv"
ELECTRODES = (
    "F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 Oz "
    "Fp1 Fp2 FC5 FC1 FC2 FC6 CP5 CP1 CP2 CP6 PO7 PO3 PO4 PO8 O1 O2"
).split()
N_PAIRS, GREY = 150, 0.3


def electrode_rows():
    """Lines of a name and three whole numbers."""
    import mne

    from brainof_toolbox.io.channels import template_montage
    from brainof_toolbox.io.regions import mni_to_head

    pos = mne.channels.make_standard_montage(template_montage()).get_positions()["ch_pos"]
    for name in ELECTRODES:
        yield f"{name} " + " ".join(f"{value:.0f}" for value in mni_to_head(pos[name]) * 1e3)


def region_centres():
    """Centres (2 * N_PAIRS, 3) of grey matter in m, head frame."""
    from nilearn.datasets import load_mni152_gm_template

    from brainof_toolbox.io.regions import mni_to_head

    image = load_mni152_gm_template(resolution=3)
    voxels = np.argwhere(image.get_fdata() > GREY) @ image.affine[:3, :3].T + image.affine[:3, 3]
    left = np.concatenate([voxels, voxels * [-1, 1, 1]])
    left = np.unique(left[left[:, 0] < -1], axis=0)
    centres = left[np.random.default_rng(0).choice(len(left), N_PAIRS, replace=False)]
    nearest = lambda: ((left[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)  # noqa: E731
    for _ in range(60):  # Lloyd's algorithm
        label = nearest()
        centres = np.array([left[label == k].mean(axis=0) for k in range(N_PAIRS)])
    order, far = [], np.full(N_PAIRS, np.inf)
    for _ in range(N_PAIRS):
        order.append(int(far.argmax()) if order else 0)
        far = np.minimum(far, ((centres - centres[order[-1]]) ** 2).sum(axis=1))
        far[order] = -1
    pairs = np.stack([centres[order], centres[order] * [-1, 1, 1]], axis=1)
    return mni_to_head(pairs.reshape(-1, 3) * 1e-3)


if __name__ == "__main__":
    rows = [row.split() for row in electrode_rows()]
    rows += [["", *(f"{value:.0f}" for value in xyz * 1e3)] for xyz in region_centres()]
    FILE.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
