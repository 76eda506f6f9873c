"""Maskers of every kind -> names and positions in the frame of the electrodes."""

from __future__ import annotations

import pickle
import warnings

import mne
import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import (
    MultiNiftiLabelsMasker,
    NiftiLabelsMasker,
    NiftiMapsMasker,
    NiftiMasker,
    NiftiSpheresMasker,
)

from brainof_toolbox.io.channels import template_montage
from brainof_toolbox.io.regions import (
    head_to_mni,
    mni_to_head,
    region_geometry,
    resolve_masker,
)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:nilearn")
AFFINE = np.array([[6.0, 0, 0, -60], [0, 6, 0, -90], [0, 0, 6, -40], [0, 0, 0, 1]])
SHAPE = (21, 25, 20)


def make_labels(affine=AFFINE, shape=SHAPE, dtype=np.int16):
    """Seven box-shaped regions with gaps in their numbers."""
    data = np.zeros(shape, dtype)
    rng = np.random.default_rng(3)
    for value in (12, 3, 5, 40, 41, 2001, 7):
        start = [rng.integers(1, n - 5) for n in shape]
        box = tuple(slice(a, a + int(rng.integers(2, 5))) for a in start)
        data[box] = value
    return nibabel.Nifti1Image(data, affine)


def make_bold(affine=AFFINE, shape=SHAPE, n_volumes=11):
    data = np.random.default_rng(0).normal(100, 5, (*shape, n_volumes)).astype(np.float32)
    return nibabel.Nifti1Image(data, affine)


def naive_centres(image):
    """Mean of the voxel centres of each label, one voxel at a time; metres, MNI."""
    places = {}
    data = np.asarray(image.dataobj)
    for index in np.ndindex(data.shape):
        if data[index]:
            place = (image.affine @ [*index, 1.0])[:3] * 1e-3
            places.setdefault(int(data[index]), []).append(place)
    return {label: np.mean(list_, axis=0) for label, list_ in sorted(places.items())}


def fit_and_transform(masker, image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return masker.fit(image).transform(image)


# ----------------------------------------------------------------------------------- the transform
def test_same_frame_as_electrodes():
    """Electrodes in MNI space, moved as regions are, come out where set_montage puts them."""
    montage = mne.channels.make_standard_montage(template_montage())
    info = mne.create_info(montage.ch_names, 100.0, "eeg").set_montage(montage)
    native = np.array(list(montage.get_positions()["ch_pos"].values()))
    np.testing.assert_allclose(
        mni_to_head(native), [ch["loc"][:3] for ch in info["chs"]], atol=1e-7
    )


def test_transform_is_rigid():
    """Distances and handedness are kept; there and back is the identity."""
    pos = np.random.default_rng(0).uniform(-0.1, 0.1, (30, 3))
    head = mni_to_head(pos)
    distances = lambda p: np.linalg.norm(p[:, None] - p, axis=-1)  # noqa: E731
    np.testing.assert_allclose(distances(head), distances(pos), atol=1e-7)
    assert np.linalg.det(mni_to_head(np.eye(3)) - mni_to_head(np.zeros(3))) == pytest.approx(1)
    np.testing.assert_allclose(head_to_mni(head), pos, atol=1e-9)
    assert np.linalg.norm(head - pos, axis=1).min() > 0.02  # and it is not nothing


@pytest.mark.parametrize(
    ("electrode", "region"),
    [
        ("Oz", (0, -96, 2)),  # occipital pole
        ("O1", (-22, -94, 4)),
        ("O2", (22, -94, 4)),
        ("C3", (-38, -24, 58)),  # hand area of the left motor cortex
        ("C4", (38, -24, 58)),
        ("Fpz", (0, 64, 0)),  # frontal pole
        ("T7", (-58, -20, -6)),  # middle temporal gyrus
        ("Cz", (0, -14, 72)),  # supplementary motor area
    ],
)
def test_regions_lie_under_their_electrodes(electrode, region):
    """Law: scalp and skull are 1.5 to 4.5 cm thick with what lies between, and Oz is occipital."""
    montage = mne.channels.make_standard_montage(template_montage())
    info = mne.create_info(montage.ch_names, 100.0, "eeg").set_montage(montage)
    places = {ch["ch_name"]: ch["loc"][:3] for ch in info["chs"]}
    pos = mni_to_head(np.array(region) * 1e-3)
    assert 0.015 < np.linalg.norm(places[electrode] - pos) < 0.045
    assert np.linalg.norm(pos) < np.linalg.norm(places[electrode])  # inside the head
    names = ["Oz", "C3", "C4", "Fpz", "T7", "T8", "Cz", "Pz", "Fz"]
    if electrode in names:
        assert min(names, key=lambda n: np.linalg.norm(places[n] - pos)) == electrode


def test_origin_lies_between_the_ears():
    """The head frame's origin, seen in MNI space: midline, level with the ears' front."""
    origin = head_to_mni(np.zeros(3))
    assert abs(origin[0]) < 0.003 and -0.04 < origin[1] < -0.02 and -0.05 < origin[2] < -0.03
    left, right = mni_to_head([[-0.0806, -0.0291, -0.0413], [0.0844, -0.0285, -0.0413]])
    np.testing.assert_allclose((left + right) / 2, 0.0, atol=2e-3)


def test_positions_of_another_shape():
    with pytest.raises(ValueError, match=r"\(n_positions, 3\).*\(3, 2\)"):
        mni_to_head(np.zeros((3, 2)))


# ------------------------------------------------------------------------------------ the geometry
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_labels_equal_naive(dtype):
    image = make_labels(dtype=np.int16)
    if dtype is np.uint8:
        image = nibabel.Nifti1Image(np.asarray(image.dataobj) % 250, AFFINE, dtype=np.uint8)
    expected = naive_centres(image)
    masker = resolve_masker(nibabel.Nifti1Image(np.asarray(image.dataobj).astype(dtype), AFFINE))
    series = fit_and_transform(masker, make_bold())
    names, pos = region_geometry(masker)
    assert names == tuple(f"region {label}" for label in expected)
    assert series.shape[1] == len(names)
    np.testing.assert_allclose(head_to_mni(pos), list(expected.values()), atol=1e-7)


def test_column_is_its_region():
    """Column i of the series is the mean of the voxels at position i."""
    image = make_labels()
    value = np.asarray(image.dataobj).astype(np.float32)
    bold = nibabel.Nifti1Image(np.repeat(value[..., None], 11, axis=3), AFFINE)
    masker = resolve_masker(image)
    series = fit_and_transform(masker, bold)
    names, _ = region_geometry(masker)
    assert [f"region {v:g}" for v in series[0]] == list(names)


def test_orientation_and_voxel_size_do_not_matter():
    """LAS storage and an atlas of twice the resolution give the same positions."""
    image = make_labels()
    names, pos = region_geometry(resolve_masker(image))
    flip = AFFINE.copy()
    flip[0] = [-6, 0, 0, 60]
    las = nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1], flip)
    fine = AFFINE.copy()
    fine[:3, :3] /= 2
    fine[:3, 3] -= 1.5
    data = np.asarray(image.dataobj).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    for other in (las, nibabel.Nifti1Image(data, fine)):
        other_names, other_pos = region_geometry(resolve_masker(other))
        assert other_names == names
        np.testing.assert_allclose(other_pos, pos, atol=1e-7)


@pytest.mark.parametrize("masker_class", [NiftiLabelsMasker, MultiNiftiLabelsMasker])
def test_missing_labels_are_left_out(masker_class):
    """Regions that the image does not cover have no column, the others keep their place."""
    labels = [f"area {i}" for i in range(7)]
    masker = masker_class(make_labels(), labels=["Background", *labels])
    full_names, full_pos = region_geometry(masker)
    assert full_names == tuple(labels)
    series = fit_and_transform(masker, make_bold(shape=(21, 12, 20)))
    names, pos = region_geometry(masker)
    assert 0 < len(names) < 7 and series.shape[1] == len(names)
    for name, where in zip(names, pos, strict=True):
        np.testing.assert_allclose(where, full_pos[labels.index(name)])


def test_mask_drops_labels():
    """A mask that leaves nothing of some regions."""
    mask = np.zeros(SHAPE, np.int8)
    mask[:, 12:] = 1
    mask = nibabel.Nifti1Image(mask, AFFINE)
    masker = NiftiLabelsMasker(make_labels(), mask_img=mask)
    series = fit_and_transform(masker, make_bold())
    names, _ = region_geometry(masker)
    assert 0 < len(names) < 7 and series.shape[1] == len(names)


def test_background_label_and_lut():
    """Another background value, a region 0; names from a table; repeated names are numbered."""
    image = make_labels()
    data = np.asarray(image.dataobj)
    data = np.where(data == 0, -1, np.where(data == 3, 0, data))
    lut = pd.DataFrame({"index": [0, 5, 7, 12], "name": ["a", "b", "a", "a (2)"]})
    masker = NiftiLabelsMasker(
        nibabel.Nifti1Image(data, AFFINE), lut=lut, background_label=-1, reports=False
    )
    fit_and_transform(masker, make_bold())
    names, pos = region_geometry(masker)
    assert names == ("a", "b", "a (3)", "a (2)", "region 40", "region 41", "region 2001")
    np.testing.assert_allclose(head_to_mni(pos), list(naive_centres(image).values()), atol=1e-7)


def make_maps():
    maps = np.zeros((*SHAPE, 3), np.float32)
    maps[4:8, 5:9, 6, 0] = np.random.default_rng(1).uniform(0.1, 1, (4, 4))
    maps[12, 20, 8:14, 1] = -2.0  # the sign of a component means nothing
    maps[15:18, 3:6, 12:15, 2] = 1.0
    return maps


def test_maps_equal_naive(tmp_path):
    maps = make_maps()
    expected = []
    for i in range(3):
        weight, total = np.zeros(3), 0.0
        for index in np.argwhere(maps[..., i]):
            w = abs(float(maps[(*index, i)]))
            weight, total = weight + w * (AFFINE @ [*index, 1])[:3] * 1e-3, total + w
        expected.append(weight / total)
    nibabel.save(nibabel.Nifti1Image(maps, AFFINE), tmp_path / "maps.nii.gz")
    pd.DataFrame({"index": [1, 2, 3], "name": list("abc")}).to_csv(
        tmp_path / "maps.tsv", sep="\t", index=False
    )
    for atlas, names in (
        (nibabel.Nifti1Image(maps, AFFINE), ("map 1", "map 2", "map 3")),
        (tmp_path / "maps.nii.gz", ("a", "b", "c")),
    ):
        masker = resolve_masker(atlas)
        assert isinstance(masker, NiftiMapsMasker)
        series = fit_and_transform(masker, make_bold())
        assert series.shape[1] == 3 and np.abs(series.mean(axis=0)).min() > 10  # not standardised
        got, pos = region_geometry(masker)
        assert got == names
        np.testing.assert_allclose(head_to_mni(pos), expected, atol=1e-7)


def test_maps_outside_the_mask():
    mask = np.zeros(SHAPE, np.int8)
    mask[10:] = 1
    masker = NiftiMapsMasker(
        nibabel.Nifti1Image(make_maps(), AFFINE), mask_img=nibabel.Nifti1Image(mask, AFFINE)
    )
    series = fit_and_transform(masker, make_bold())
    names, pos = region_geometry(masker)
    assert series.shape[1] == 2 and names == ("map 2", "map 3") and len(pos) == 2


def test_empty_map():
    maps = make_maps()
    maps[..., 1] = 0
    with pytest.raises(ValueError, match="'map 2'"):
        region_geometry(resolve_masker(nibabel.Nifti1Image(maps, AFFINE)))


def test_spheres():
    seeds = [(-42.0, -22.0, 48.0), (0, -52, 26), (0, -52, 26)]
    masker = NiftiSpheresMasker(seeds, radius=8, allow_overlap=True)
    names, pos = region_geometry(masker)
    assert names == ("sphere -42 -22 48", "sphere 0 -52 26", "sphere 0 -52 26 (2)")
    np.testing.assert_allclose(head_to_mni(pos) * 1e3, seeds, atol=1e-4)
    assert not hasattr(masker, "seeds_")


def test_voxels_equal_naive():
    """Voxels as channels: the column that carries a voxel's index has that voxel's place."""
    mask = np.zeros(SHAPE, np.int8)
    mask[5:8, 10:12, 9] = 1
    masker = NiftiMasker(nibabel.Nifti1Image(mask, AFFINE))
    index = np.arange(mask.size, dtype=np.float32).reshape(SHAPE)
    series = fit_and_transform(
        masker, nibabel.Nifti1Image(np.repeat(index[..., None], 11, 3), AFFINE)
    )
    names, pos = region_geometry(masker)
    voxels = np.stack(np.unravel_index(series[0].astype(int), SHAPE), axis=1)
    expected = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    np.testing.assert_allclose(head_to_mni(pos) * 1e3, expected, atol=1e-4)
    assert len(set(names)) == 6 and names[0] == "voxel -30 -30 14"


def test_voxels_without_mask():
    with pytest.raises(ValueError, match="mask_img"):
        region_geometry(NiftiMasker())


def test_atlas_outside_any_head():
    """For the atlas: an affine that does not lead to MNI space is said."""
    affine = AFFINE.copy()
    affine[:3, 3] += 500
    with pytest.warns(RuntimeWarning, match=r"7 of 7 regions.*MNI"):
        region_geometry(resolve_masker(nibabel.Nifti1Image(make_labels().dataobj, affine)))


@pytest.mark.parametrize("masker", [None, "aal", 3])
def test_geometry_of_no_masker(masker):
    with pytest.raises(TypeError, match="nilearn masker"):
        region_geometry(masker)


# ------------------------------------------------------------------------------------- the maskers
def test_maskers_are_copied():
    """Parameters and state of the masker given stay as they are."""
    unfitted = NiftiLabelsMasker(make_labels(), labels=["Background", *"abcdefg"])
    fitted = NiftiLabelsMasker(make_labels(), standardize="zscore_sample").fit(make_bold())
    for masker in (unfitted, fitted):
        before = dict(vars(masker))
        mine = resolve_masker(masker, t_r=2.5)
        assert mine is not masker and type(mine) is type(masker) and mine.t_r == 2.5
        mine.transform(make_bold()) if masker is fitted else fit_and_transform(mine, make_bold())
        assert vars(masker).keys() == before.keys()
        assert all(vars(masker)[name] is value for name, value in before.items())
        assert masker.labels is None or "background" not in masker.labels
    assert resolve_masker(fitted).standardize == "zscore_sample"
    assert resolve_masker(NiftiLabelsMasker(make_labels(), t_r=3.0), t_r=2.0).t_r == 3.0


def test_our_maskers_change_no_value():
    """The mean over a region, in scanner units; and nilearn has nothing to warn about."""
    image, bold = make_labels(), make_bold()
    masker = resolve_masker(image, t_r=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = masker.fit(bold).transform(bold)
    data = np.asarray(image.dataobj)
    for column, label in zip(series.T, sorted(naive_centres(image)), strict=True):
        np.testing.assert_allclose(column, bold.get_fdata()[data == label].mean(0), rtol=1e-5)


def test_masker_of_path_pickles(tmp_path):
    nibabel.save(make_labels(), tmp_path / "a.nii.gz")
    masker = resolve_masker(tmp_path / "a.nii.gz")
    assert len(pickle.dumps(masker)) < 5000
    names, _ = region_geometry(pickle.loads(pickle.dumps(masker)))
    assert len(names) == 7


def test_one_more_dimension(tmp_path):
    """Some atlases are stored with a fourth axis of length 1."""
    image = nibabel.Nifti1Image(np.asarray(make_labels().dataobj)[..., None], AFFINE)
    nibabel.save(image, tmp_path / "a.nii.gz")
    for atlas in (image, tmp_path / "a.nii.gz"):
        masker = resolve_masker(atlas)
        assert isinstance(masker, NiftiLabelsMasker) and len(region_geometry(masker)[0]) == 7


@pytest.mark.parametrize(
    ("masker", "error", "match"),
    [
        (3, TypeError, "NiftiLabelsMasker"),
        ({"atlas": 1}, TypeError, "dict"),
        ("no-such-atlas", ValueError, "schaefer-100"),
        ("schaefer-123", ValueError, "schaefer-200"),
        ("missing.nii.gz", FileNotFoundError, "missing.nii.gz"),
        (nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE), ValueError, "no label"),
        (nibabel.Nifti1Image(np.full(SHAPE, 0.5), AFFINE), ValueError, "whole numbers"),
        (nibabel.Nifti1Image(np.ones((2, 2, 2, 2, 2)), AFFINE), ValueError, "3-D"),
    ],
)
def test_masker_refused(masker, error, match):
    with pytest.raises(error, match=match):
        resolve_masker(masker)


@pytest.mark.parametrize("t_r", [0, -1.0, np.nan])
def test_masker_t_r(t_r):
    """T_r <= 0 or NaN given: error naming t_r."""
    with pytest.raises(ValueError, match="t_r"):
        resolve_masker(make_labels(), t_r=t_r)


def test_damaged_atlas(tmp_path):
    """A truncated atlas is named."""
    path = tmp_path / "cut.nii.gz"
    nibabel.save(make_labels(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"cut\.nii\.gz"):
        resolve_masker(path)
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"cut\.nii\.gz"):
        resolve_masker(path)


def test_mask_as_atlas_is_said():
    mask = nibabel.Nifti1Image((np.asarray(make_labels().dataobj) > 0).astype(np.int8), AFFINE)
    with pytest.warns(RuntimeWarning, match="one label only"):
        resolve_masker(mask)


# ------------------------------------------------------------------------------------ real atlases
@pytest.mark.parametrize(
    ("image", "table"),
    [
        ("Schaefer2018_100Parcels_7Networks_MNI_2mm", "Schaefer2018_100Parcels_7Networks"),
        ("AAL2_MNI_2mm", "AAL2"),
    ],
)
def test_published_centroids(image, table, data_dir):
    """Centres agree with the tables that come with the atlases to 1.5 mm."""
    folder = data_dir / "atlas-mni"
    names, pos = region_geometry(resolve_masker(folder / f"{image}.nii.gz"))
    expected = pd.read_csv(folder / f"{table}_centroids.csv").sort_values("label")
    assert len(names) == len(expected)
    apart = np.linalg.norm(head_to_mni(pos) * 1e3 - expected[["x", "y", "z"]], axis=1)
    assert apart.max() < 1.5


@pytest.mark.parametrize(("atlas", "n"), [("Giles_nparc-38", 38), ("DK_nparc-68", 68)])
def test_published_maps(atlas, n, data_dir):
    """4-D atlases: as many regions as said, all inside the brain, spread over both halves."""
    path = data_dir / "atlas-mni" / f"atlas-{atlas}_space-MNI_res-8x8x8.nii.gz"
    names, pos = region_geometry(resolve_masker(path))
    mni = head_to_mni(pos) * 1e3
    assert len(names) == n
    assert (mni > [-75, -110, -60]).all() and (mni < [75, 80, 80]).all()
    image = nibabel.load(path)
    weights = np.abs(image.get_fdata())
    voxels = np.indices(image.shape[:3]).reshape(3, -1)
    centre = voxels @ weights.reshape(-1, n) / weights.sum((0, 1, 2))
    np.testing.assert_allclose(mni, nibabel.affines.apply_affine(image.affine, centre.T), atol=1.5)
    assert 0.4 < np.mean(mni[:, 0] < 0) < 0.6


def test_schaefer_maps_agree_with_labels(data_dir):
    """The same 100 parcels as 2 mm labels and as 8 mm maps lie within a voxel of each other."""
    folder = data_dir / "atlas-mni"
    _, fine = region_geometry(
        resolve_masker(folder / "Schaefer2018_100Parcels_7Networks_MNI_2mm.nii.gz")
    )
    _, coarse = region_geometry(
        resolve_masker(folder / "atlas-Schaefer_nparc-100_space-MNI_res-8x8x8.nii.gz")
    )
    apart = np.linalg.norm(fine - coarse, axis=1)
    assert np.median(apart) < 0.004 and apart.max() < 0.012
