"""Series of every masker of nilearn equal those that it gives by itself."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from images import AFFINE, N_REGIONS, SHAPE, atlas_data, make_atlas, make_image
from nibabel import GiftiImage, Nifti1Image
from nilearn import maskers
from nilearn.decomposition import CanICA
from nilearn.regions import Parcellations, RegionExtractor
from sklearn.base import clone

from brainof_toolbox.io import from_nifti
from brainof_toolbox.io.regions import region_geometry

#: Every second voxel of the image, in each direction.
COARSE = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
COARSE_SHAPE = tuple(n // 2 for n in SHAPE)
#: A grid that shares no voxel with the image's.
SHIFTED = COARSE + np.array([[0, 0, 0, 5.0]] * 3 + [[0, 0, 0, 0]])
GRID = {"target_affine": COARSE, "target_shape": COARSE_SHAPE}
SEEDS = [(-20, -60, 0), (30, 0, 20)]


def mask_of(*labels):
    return Nifti1Image(np.isin(atlas_data(), labels or range(1, 13)).astype(np.int8), AFFINE)


def coarse_mask():
    inside = (atlas_data()[::2, ::2, ::2] > 0).astype(np.int8)
    return Nifti1Image(inside, COARSE)


def make_maps():
    maps = atlas_data()[..., None] == np.arange(1, N_REGIONS + 1)
    return Nifti1Image(maps.astype(np.float32), AFFINE)


def voxels(mask=None, **parameters):
    return maskers.NiftiMasker(mask, **parameters)


def labels(**parameters):
    return maskers.NiftiLabelsMasker(make_atlas(), **parameters)


def maps(**parameters):
    return maskers.NiftiMapsMasker(make_maps(), **parameters)


def spheres(**parameters):
    return maskers.NiftiSpheresMasker(SEEDS, **{"radius": 15, **parameters})


RESAMPLED = {
    "affine": voxels(mask_of(), target_affine=COARSE),
    "affine of three rows": voxels(mask_of(), target_affine=20 * np.eye(3)),
    "affine and shape": voxels(mask_of(), **GRID),
    "another grid": voxels(mask_of(3, 7), target_affine=SHIFTED, target_shape=(7, 9, 7)),
    "mask on the target grid": voxels(coarse_mask(), **GRID),
    "lists": voxels(mask_of(), target_affine=COARSE.tolist(), target_shape=list(COARSE_SHAPE)),
    "mask from the image": voxels(**GRID),
    "mask from a template": voxels(mask_strategy="whole-brain-template", **GRID),
    "several images": maskers.MultiNiftiMasker(mask_of(), **GRID),
    "several images without a mask": maskers.MultiNiftiMasker(**GRID),
    "cleaned": voxels(
        mask_of(), standardize="zscore_sample", detrend=True, low_pass=0.1, high_pass=0.01, **GRID
    ),
    "smoothed": voxels(mask_of(), smoothing_fwhm=15, standardize="psc", **GRID),
    "runs": voxels(mask_of(), runs=np.repeat([0, 1], 20), standardize="zscore_sample", **GRID),
    "table": voxels(mask_of(), **GRID).set_output(transform="pandas"),
    "labels on a coarse grid": maskers.NiftiLabelsMasker(
        Nifti1Image(atlas_data()[::2, ::2, ::2].copy(), COARSE), resampling_target="labels"
    ),
    "labels in a coarse mask": labels(mask_img=coarse_mask()),
    "several images, labels": maskers.MultiNiftiLabelsMasker(make_atlas(), low_pass=0.1),
    "median": labels(strategy="median", standardize="zscore_sample"),
    "maps in a coarse mask": maps(mask_img=coarse_mask(), resampling_target="mask"),
    "maps, some outside the mask": maps(mask_img=mask_of(1, 2, 3), resampling_target="mask"),
    "several images, maps": maskers.MultiNiftiMapsMasker(make_maps(), detrend=True),
    "spheres, filtered": spheres(low_pass=0.1, high_pass=0.01),
    "spheres in a mask": spheres(mask_img=mask_of(), detrend=True, standardize="zscore_sample"),
    "single voxels": spheres(radius=None),
    "regions of maps": RegionExtractor(make_maps(), min_region_size=1, standardize=None),
}


def fit(masker, image):
    """Fit as nilearn asks: to the image, unless a mask of voxels is given."""
    is_given = isinstance(masker, maskers.NiftiMasker) and masker.mask_img is not None
    return masker.fit(None if is_given else image)


@pytest.mark.parametrize("is_fitted", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("masker", RESAMPLED.values(), ids=RESAMPLED)
def test_series_are_those_of_nilearn(masker, is_fitted):
    """On other grids, cleaned, with masks; and the masker given stays as it was."""
    image = make_image()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fit(clone(masker).set_params(t_r=2.0), image).transform(image)
        masker = fit(clone(masker), image) if is_fitted else clone(masker)
        before = dict(vars(masker))
        signals = from_nifti(image, masker=masker)
    expected = np.asarray(expected)
    expected = expected[:, np.abs(expected).max(axis=0) > 0]  # maps outside the mask
    np.testing.assert_allclose(signals.data[0].T, expected, rtol=1e-5, atol=1e-5)
    assert vars(masker).keys() == before.keys()
    assert all(vars(masker)[name] is value for name, value in before.items())


def test_cached_series_are_the_same(tmp_path):
    """With nilearn's cache and with that of this package."""
    expected = from_nifti(make_image(), masker=voxels(mask_of(), **GRID)).data
    cached = voxels(mask_of(), memory=str(tmp_path / "nilearn"), memory_level=2, **GRID)
    for _ in range(2):
        signals = from_nifti(make_image(), masker=cached, memory=str(tmp_path / "own"))
        np.testing.assert_array_equal(signals.data, expected)


def test_places_of_voxels_on_the_target_grid():
    """An unfitted masker has the voxels that reading an image gives."""
    masker = voxels(mask_of(3, 7), **GRID)
    names, pos = region_geometry(masker)
    signals = from_nifti(make_image(), masker=masker)
    assert signals.ch_names == names
    np.testing.assert_allclose(signals.ch_pos, pos, atol=1e-6)


def test_shape_without_an_affine_is_refused():
    with pytest.raises(ValueError, match="target_affine should be specified"):
        from_nifti(make_image(), masker=voxels(mask_of(), target_shape=COARSE_SHAPE))


@pytest.mark.parametrize(
    ("masker", "match"),
    [
        (maskers.NiftiMasker, r"class NiftiMasker.*Call it: NiftiMasker\(\.\.\.\)"),
        (maskers.SurfaceMasker(), "SurfaceMasker.*from_roi_timeseries"),
        (GiftiImage(), "GiftiImage.*from_roi_timeseries"),
        (Parcellations("ward"), r"Parcellations.*masker=parcellations\.labels_img_"),
        (CanICA(), r"CanICA.*masker=canica\.components_img_"),
        (np.zeros(SHAPE), "ndarray, which is not accepted"),
        ([voxels()], "list, which is not accepted"),
    ],
    ids=["class", "surface masker", "surface", "parcellations", "ICA", "array", "list"],
)
def test_what_is_no_masker_of_volumes(masker, match):
    with pytest.raises(TypeError, match=match):
        from_nifti(make_image(), masker=masker)


def test_parcels_of_training_images_are_an_atlas():
    """The series are those of nilearn's Parcellations."""
    parcels = Parcellations("ward", n_parcels=8, mask=voxels(mask_of()), standardize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = parcels.fit(make_image(seed=1)).transform(make_image())
    signals = from_nifti(make_image(), masker=parcels.labels_img_)
    np.testing.assert_allclose(signals.data[0].T, expected, rtol=1e-5)
