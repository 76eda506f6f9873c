"""A masker is fitted once for all images of a grid, which changes no value and no warning."""

from __future__ import annotations

import warnings

import nibabel
import numpy as np
import pytest
from images import AFFINE, N_REGIONS, atlas_data, make_atlas, make_data, make_image, make_masker
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMapsMasker, NiftiMasker, NiftiSpheresMasker

from brainof_toolbox.io import fitted_maskers, from_nifti
from brainof_toolbox.io.regions import resolve_masker

COARSE = Nifti1Image(atlas_data()[::2, ::2, ::2].copy(), AFFINE @ np.diag([2.0, 2, 2, 1]))
MAPS = (atlas_data()[..., None] == np.arange(1, N_REGIONS + 1)).astype(np.float32)
MASKERS = {
    "labels": make_masker(),
    "resampled, cleaned": make_masker(labels_img=COARSE, standardize="zscore_sample"),
    "masked": make_masker(mask_img=Nifti1Image((atlas_data() % 5 > 1).astype(np.int8), AFFINE)),
    "maps": NiftiMapsMasker(Nifti1Image(MAPS, AFFINE), reports=False),
    "spheres": NiftiSpheresMasker([(0, 0, 65), (20, 0, -30)], radius=12, reports=False),
    "voxels": NiftiMasker(Nifti1Image(np.isin(atlas_data(), (6, 7)).astype(np.int8), AFFINE)),
}


@pytest.fixture
def fits(monkeypatch):
    """Count fits, from an empty store."""
    counts, fit = [], fitted_maskers._fit
    monkeypatch.setattr(fitted_maskers, "_fit", lambda *args: counts.append(1) or fit(*args))
    monkeypatch.setattr(fitted_maskers, "_FITTED", {})
    return counts


def read(image, masker):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signals = from_nifti(image, masker=masker)
    return signals, [str(entry.message) for entry in caught]


@pytest.mark.parametrize("masker", MASKERS.values(), ids=MASKERS)
def test_fitted_once_with_the_values_of_a_new_masker(masker, fits):
    """Runs of other repetition times and a map; the upper half of the brain is missing."""
    images = [make_image(seed=seed, t_r=t_r).slicer[:, :, :8] for seed, t_r in ((0, 2), (1, 1.5))]
    images += [Nifti1Image(make_data()[:, :, :8, 0], AFFINE), images[0]]
    found = [read(image, masker) for image in images]
    assert len(fits) == 1
    for image, (signals, messages) in zip(images, found, strict=True):
        fitted_maskers._FITTED.clear()
        expected, others = read(image, masker)
        np.testing.assert_array_equal(signals.data, expected.data)
        np.testing.assert_array_equal(signals.ch_pos, expected.ch_pos)
        assert signals.ch_names == expected.ch_names and signals.sfreq == expected.sfreq
        assert messages == others


def test_other_grids_and_atlases_are_fitted_anew(tmp_path, fits):
    """Affine, shape, values of the atlas in memory and on disk, and parameters count."""
    image, atlas, path = make_image(), make_atlas(), tmp_path / "atlas.nii"
    read(image, make_masker(labels_img=atlas))
    shifted = AFFINE.copy()
    shifted[0, 3] += 10
    moved, _ = read(make_image(affine=shifted), make_masker(labels_img=atlas))
    assert len(fits) == 2
    naive = [make_data()[:-1][atlas_data()[1:] == label].mean(0) for label in range(1, 13)]
    np.testing.assert_allclose(moved.data[0], naive, rtol=1e-5)
    read(image.slicer[:, :, :15], make_masker(labels_img=atlas))
    read(image, make_masker(labels_img=atlas, standardize="zscore_sample"))
    assert len(fits) == 4
    read(image, make_masker(labels_img=atlas))
    assert len(fits) == 4
    atlas.dataobj[atlas_data() == 3] = 4
    assert read(image, make_masker(labels_img=atlas))[0].shape[1] == N_REGIONS - 1
    for labels, n_fits in ((atlas_data(), 6), (atlas_data() % 7, 7)):
        nibabel.save(Nifti1Image(labels, AFFINE), path)
        assert read(image, path)[0].shape[1] == labels.max()
        assert len(fits) == n_fits


def test_mask_of_the_image_is_not_kept(fits):
    for seed in range(2):
        data = make_data(seed=seed)
        data[atlas_data() != 1 + seed] = 0
        signals, _ = read(make_image(data), NiftiMasker(mask_strategy="background"))
        expected = (data[..., 0] > 0).sum()
        assert 0 < signals.shape[1] <= 1.1 * expected
    assert len(fits) == 2 and not fitted_maskers._FITTED


def test_few_are_kept(monkeypatch, fits):
    """The latest ones, as far as their number and their voxels allow."""
    masker, kept = resolve_masker(make_masker()), fitted_maskers._FITTED
    images = [make_image(n_volumes=10).slicer[:, :, : 16 - n] for n in range(12)]
    fitted = [fitted_maskers.fit_masker(masker, image) for image in images]
    assert list(kept.values()) == fitted[-fitted_maskers.MOST_MASKERS :]
    assert fitted_maskers.fit_masker(masker, images[-1]) is fitted[-1]
    kept.clear()
    monkeypatch.setattr(fitted_maskers, "MOST_VOXELS", 3 * fitted[0].n_voxels - 1)
    fitted = [fitted_maskers.fit_masker(masker, images[0].slicer[i:]) for i in range(4)]
    assert list(kept.values())[-2:] == fitted[-2:]
    assert sum(one.n_voxels for one in kept.values()) <= fitted_maskers.MOST_VOXELS
    monkeypatch.setattr(fitted_maskers, "MOST_VOXELS", 10)
    fitted_maskers.fit_masker(masker, images[5])
    assert fitted[-1] in kept.values()
