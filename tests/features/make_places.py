"""Where virtual channels and regions lie.

``python tests/features/make_places.py`` writes ``brainof_toolbox/features/_places.py`` anew.
Features change with it: raise their versions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brainof_toolbox import features

FILE = Path(features.__file__).with_name("_places.py")
ELECTRODES = (
    "F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 Oz "
    "Fp1 Fp2 FC5 FC1 FC2 FC6 CP5 CP1 CP2 CP6 PO7 PO3 PO4 PO8 O1 O2"
).split()
N_PAIRS, GREY = 150, 0.3
HEAD = '''"""Places in the head frame, in mm; written by ``tests/features/make_places.py``."""

from __future__ import annotations

import numpy as np

#: Electrodes of MNE's 10-05 template; the first 16 are a set of their own.
_ELECTRODES = """
{electrodes}
"""

#: Centres of grey matter in nilearn's MNI152 template, in mirrored pairs, each far from those
#: before it, so that a beginning of the list covers the brain too.
_REGIONS = """
{regions}
"""


def electrode_places(n_places):
    """Return names, and positions (n_places, 3) in m, of virtual EEG channels."""
    rows = [line.split() for line in _ELECTRODES.split("\\n") if line][:n_places]
    return tuple(row[0] for row in rows), np.array([row[1:] for row in rows], dtype=float) / 1e3


def region_places(n_places):
    """Return positions (n_places, 3) in m of the centres of virtual regions."""
    return np.array(_REGIONS.split(), dtype=float).reshape(-1, 3)[:n_places] / 1e3
'''


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


def wrap(entries, per_line):
    """Join entries, some per line."""
    lines = [entries[i : i + per_line] for i in range(0, len(entries), per_line)]
    return "\n".join("  ".join(line) for line in lines)


if __name__ == "__main__":
    rows = [" ".join(f"{value:.0f}" for value in xyz * 1e3) for xyz in region_centres()]
    text = HEAD.format(electrodes="\n".join(electrode_rows()), regions=wrap(rows, 7))
    FILE.write_text(text, encoding="utf-8")
