"""Small fMRI images in MNI space, and an atlas of twelve blocks for them."""

from __future__ import annotations

import numpy as np
from nibabel import Nifti1Image

#: A 10 mm grid around the brain in MNI space.
SHAPE = (16, 20, 16)
AFFINE = np.array([[10.0, 0, 0, -75], [0, 10, 0, -110], [0, 0, 10, -70], [0, 0, 0, 1]])
N_REGIONS = 12
T_R = 2.0


def atlas_data():
    """Twelve blocks: left and right, three from back to front, two from bottom to top."""
    data = np.zeros(SHAPE, dtype=np.int16)
    label = 0
    for z in (slice(3, 8), slice(8, 13)):
        for y in (slice(2, 7), slice(7, 12), slice(12, 17)):
            for x in (slice(3, 8), slice(8, 13)):
                label += 1
                data[x, y, z] = label
    return data


def make_atlas():
    """The atlas as an image of labels 1 to 12."""
    return Nifti1Image(atlas_data(), AFFINE)


def make_masker(**parameters):
    """A masker of the atlas."""
    from nilearn.maskers import NiftiLabelsMasker

    parameters = {"labels_img": make_atlas(), "reports": False, **parameters}
    return NiftiLabelsMasker(**parameters)


def make_series(n_volumes=40, seed=0):
    """Smooth series of the twelve blocks, shape (n_volumes, 12), around 1000."""
    noise = np.random.default_rng(seed).standard_normal((n_volumes + 4, N_REGIONS))
    smooth = sum(noise[i : n_volumes + i] for i in range(5))
    return 1000.0 + 10.0 * smooth


def make_data(n_volumes=40, seed=0):
    """Each block carries its series; voxels add noise of their own, outside too."""
    rng = np.random.default_rng(seed + 1)
    data = 500.0 + rng.standard_normal((*SHAPE, n_volumes))
    atlas = atlas_data()
    for i, series in enumerate(make_series(n_volumes, seed).T):
        data[atlas == i + 1] += series - 500.0
    return data.astype(np.float32)


def make_image(data=None, *, affine=AFFINE, t_r=T_R, unit="sec", **kwargs):
    """A NIfTI image in memory; ``t_r=0`` writes a header without repetition time."""
    data = make_data(**kwargs) if data is None else data
    image = Nifti1Image(data, affine)
    if image.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    image.header.set_xyzt_units("mm", unit)
    return image


def save_image(path, image=None, **kwargs):
    """Write an image and give its path back."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(make_image(**kwargs) if image is None else image, path)
    return path
