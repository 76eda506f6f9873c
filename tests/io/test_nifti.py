"""fMRI images -> Signals: what enters, what is left out, what is refused."""

from __future__ import annotations

import copy
import tracemalloc
import warnings

import nibabel
import numpy as np
import pytest
from images import (
    AFFINE,
    N_REGIONS,
    SHAPE,
    atlas_data,
    make_data,
    make_image,
    make_masker,
    save_image,
)
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMapsMasker, NiftiMasker, NiftiSpheresMasker

from brainof_toolbox import Signals
from brainof_toolbox.io import from_nifti
from brainof_toolbox.io.images import MAX_VOXELS
from brainof_toolbox.io.regions import mni_to_head
from brainof_toolbox.preprocessing import Preprocessing, preprocess


def silent(function, *args, **kwargs):
    """Run with warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def read(image, **kwargs):
    """Read with the small atlas; any warning fails the test."""
    return silent(from_nifti, image, **{"masker": make_masker(), **kwargs})


def refuse(image, match, error=ValueError, **kwargs):
    with warnings.catch_warnings(), pytest.raises(error, match=match):
        warnings.simplefilter("ignore")
        from_nifti(image, **{"masker": make_masker(), **kwargs})


def mask_of(*labels, affine=AFFINE):
    """A mask image of some of the blocks."""
    return Nifti1Image(np.isin(atlas_data(), labels).astype(np.int8), affine)


def cosine(a, b):
    """Similarity of two sets of z-scored series."""
    a, b = ((x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) for x in (a.data, b.data))
    return float((a * b).mean())


def region_mean(data, label):
    return data[atlas_data() == label].mean(axis=0)


# ----------------------------------------------------------------------------------- what is given
def test_one_image():
    """Values equal plain means over voxels; names, positions and rate are those of the atlas."""
    data = make_data()
    signals = read(make_image(data))
    assert signals.shape == (1, N_REGIONS, 40) and signals.sfreq == 0.5
    assert signals.modality == "fmri" and set(signals.ch_types) == {"bold"}
    assert signals.data.dtype == np.float32 and not signals.has_baseline
    naive = [region_mean(data.astype(np.float64), label) for label in range(1, N_REGIONS + 1)]
    np.testing.assert_allclose(signals.data[0], naive, rtol=1e-6)
    voxels = np.argwhere(atlas_data() == 1).mean(axis=0)
    centre = AFFINE[:3, :3] @ voxels + AFFINE[:3, 3]
    np.testing.assert_allclose(signals.ch_pos[0], mni_to_head(centre[None] / 1e3)[0], atol=1e-6)


def test_paths_and_images_alike(tmp_path):
    """Path as text, as Path, loaded and in memory; .nii, .nii.gz, NIfTI-2, pair, MGH."""
    expected = read(make_image()).data
    for name in ("a.nii", "a.nii.gz"):
        path = save_image(tmp_path / name)
        for given in (path, str(path), nibabel.load(path)):
            np.testing.assert_array_equal(read(given).data, expected)
    for kind, name in (
        (nibabel.Nifti2Image, "b.nii"),
        (nibabel.Nifti1Pair, "b.img"),
        (nibabel.MGHImage, "b.mgz"),
    ):
        image = kind(make_data(), AFFINE)
        nibabel.save(image, tmp_path / name)
        signals = from_nifti(tmp_path / name, masker=make_masker(), t_r=2.0)
        np.testing.assert_allclose(signals.data, expected, rtol=1e-6)


def test_list_gives_a_list(tmp_path):
    """Unequal lengths are fine; a list of one is a list."""
    items = [make_image(n_volumes=n, seed=n) for n in (20, 30)]
    signals = read(items)
    assert [s.shape for s in signals] == [(1, 12, 20), (1, 12, 30)]
    for item, one in zip(items, signals, strict=True):
        np.testing.assert_array_equal(one.data, read(item).data)
    assert isinstance(read(tuple(items[:1])), list) and isinstance(read(items[0]), Signals)
    with pytest.raises(ValueError, match="imgs is empty"):
        from_nifti([])


def maps_masker(**parameters):
    maps = (atlas_data()[..., None] == np.arange(1, N_REGIONS + 1)).astype(np.float32)
    return NiftiMapsMasker(Nifti1Image(maps, AFFINE), reports=False, **parameters)


@pytest.mark.parametrize("is_fitted", [False, True])
@pytest.mark.parametrize(
    "masker",
    [
        make_masker(),
        make_masker(standardize="zscore_sample", detrend=True, high_pass=0.01, smoothing_fwhm=8),
        make_masker(resampling_target="labels"),
        make_masker(strategy="standard_deviation"),
        maps_masker(),
        maps_masker(resampling_target="maps", mask_img=mask_of(1, 2, 3)),
        NiftiSpheresMasker([(-20, -60, 0), (30, 0, 20)], radius=15, reports=False),
        NiftiMasker(mask_of(3, 7), reports=False, standardize="zscore_sample"),
        NiftiMasker(mask_of(3), reports=False, standardize=None, runs=np.repeat([0, 1], 20)),
    ],
    ids="labels cleaned resampled strategy maps masked-maps spheres voxels runs".split(),
)
def test_maskers(masker, is_fitted):
    """Each kind, fitted or not, gives what it gives by itself, and stays as it was."""
    image = make_image()
    masker = copy.deepcopy(masker)
    reference = copy.deepcopy(masker).set_params(t_r=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.fit(None if reference.mask_img else image).transform(image)
        masker = masker.fit() if is_fitted else masker
    before = set(vars(masker))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*9 of 12 regions have no data")
        signals = from_nifti([image, image], masker=masker)
    expected = expected[:, np.abs(expected).max(axis=0) > 0]  # maps outside the mask
    for one in signals:  # the first image leaves no trace in the second
        np.testing.assert_allclose(one.data[0].T, expected, rtol=1e-5, atol=1e-5)
    assert set(vars(masker)) == before and masker.t_r is None


def test_default_parcellation(no_network):
    """Without a masker: the parcellation that needs no download."""
    signals = silent(from_nifti, make_image())
    assert signals.shape[1] > 200 and np.isfinite(signals.data).all()
    assert np.abs(signals.ch_pos).max() < 0.12


def test_what_nilearn_says_about_the_data_is_kept():
    """Unlike what it says about its own work."""
    masker = make_masker(low_pass=0.4, resampling_target="labels", standardize=False)
    with pytest.warns(RuntimeWarning, match="superior to Nyquist") as caught:
        from_nifti(make_image().slicer[1:], masker=masker)
    assert len(caught) == 1


def test_too_many_voxels():
    everything = Nifti1Image(np.ones(SHAPE, dtype=np.int8), AFFINE)
    refuse(make_image(), rf"5120 voxels.*{MAX_VOXELS}.*coarser", masker=NiftiMasker(everything))


def test_who(tmp_path):
    """From the BIDS name, unless it is given; for all, or one by one."""
    path = save_image(tmp_path / "sub-07_ses-b_task-rest_run-2_bold.nii.gz")
    for item in (path, nibabel.load(path)):
        s = read(item)
        assert (s.subject, s.session, s.task, s.run) == (("07",), ("b",), ("rest",), ("2",))
    assert read(path, subject="x", run=3).run == ("3",)
    assert read(make_image()).subject == (None,)
    signals = read([path, path], subject=["a", None], task="nback")
    assert [s.subject for s in signals] == [("a",), ("07",)]
    assert [s.task for s in signals] == [("nback",), ("nback",)]
    refuse([path], "subject has 2 entries but there are 1 images", subject=["a", "b"])


def test_image_is_not_changed():
    """Neither values (NaN too), nor header, nor what is loaded."""
    for bad in (8.0, np.nan):
        data = make_data()
        data[8, 8, 8] = bad
        image = make_image(data)
        before, header = data.copy(), image.header.copy()
        for masker in (make_masker(smoothing_fwhm=6, detrend=True), NiftiMasker(mask_of(1, 2))):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*NaN")
                from_nifti(image, masker=masker, t_r=2.0, confounds=np.arange(40.0))
        np.testing.assert_array_equal(np.asarray(image.dataobj), before)
        assert image.header == header and image.dataobj is data


def test_data_on_disk_stay_there(tmp_path):
    image = nibabel.load(save_image(tmp_path / "a.nii.gz"))
    read(image)
    assert not image.in_memory


def test_one_image_in_memory_at_a_time(tmp_path):
    """Six images need hardly more memory than one: only series of regions stay."""
    paths = [save_image(tmp_path / f"{i}.nii.gz", seed=i, n_volumes=60) for i in range(6)]
    masker = make_masker()
    read(paths[:1], masker=masker)

    def peak(items):
        tracemalloc.start()
        read(items, masker=masker)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    one_image = np.prod(SHAPE) * 60 * 4
    assert peak(paths) - peak(paths[:1]) < 0.5 * one_image


def test_long_enough_for_the_network():
    """What comes out goes through preprocessing."""
    windows = preprocess(read(make_image()), Preprocessing())
    assert windows.signals.shape == (1, N_REGIONS, 40)


# ------------------------------------------------------------------------------- equal and as good
def test_scaled_integers(tmp_path):
    """Int16 with slope and intercept is the same image as the floats it stands for."""
    image = make_image(np.zeros((*SHAPE, 40), dtype=np.int16))
    image.header.set_data_dtype(np.int16)
    stored = np.round((make_data() - 700) / 0.05).astype(np.int16)
    header = image.header.copy()
    path = tmp_path / "int16.nii"
    nibabel.save(Nifti1Image(stored, AFFINE, header), path)
    with open(path, "r+b") as file:  # scl_slope and scl_inter
        file.seek(112)
        file.write(np.array([0.05, 700.0], dtype="<f4").tobytes())
    assert nibabel.load(path).dataobj.slope == pytest.approx(0.05)
    floats = stored * np.float64(np.float32(0.05)) + 700.0
    np.testing.assert_allclose(read(path).data, read(make_image(floats)).data, rtol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (0, 1), (2,)])
@pytest.mark.parametrize("target", ["data", "labels"])
def test_storage_order(axes, target):
    """LAS, LPS and RAI hold the same brain as RAS, on the atlas' grid and on another."""
    for step, size in ((10.0, SHAPE), (12.0, (13, 17, 13))):
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = AFFINE[:3, 3]
        data = np.random.default_rng(0).normal(900, 20, (*size, 12)).astype(np.float32)
        flipped, flip = np.flip(data, axes), np.eye(4)
        for axis in axes:
            flip[axis, axis], flip[axis, 3] = -1, size[axis] - 1
        expected = read(
            make_image(data, affine=affine), masker=make_masker(resampling_target=target)
        )
        stored = make_image(flipped, affine=affine @ flip)
        signals = read(stored, masker=make_masker(resampling_target=target))
        np.testing.assert_allclose(signals.data, expected.data, rtol=1e-5)


def test_voxel_size():
    """5 mm instead of 10 mm, and 7.5 mm on a grid that fits nowhere."""
    from nilearn.image import resample_img

    image = make_image()
    expected = read(image)
    for step, shape in ((5.0, (32, 40, 32)), (7.5, (21, 27, 21))):
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = AFFINE[:3, 3]
        finer = resample_img(
            image, affine, shape, interpolation="linear", copy_header=True, force_resample=True
        )
        assert cosine(read(finer), expected) > 0.95


# ------------------------------------------------------------------------------ masks and regions
@pytest.mark.parametrize("kind", [NiftiMasker, make_masker, maps_masker])
def test_empty_mask(kind):
    """Empty mask: error: mask empty (nilearn: "masks all data")."""
    refuse(make_image(), "mask is empty", masker=kind(mask_img=mask_of(99)))


@pytest.mark.parametrize("kind", [NiftiMasker, make_masker])
def test_mask_on_another_grid(kind):
    """A 5 mm mask of block 2 is resampled, or the image to it."""
    fine = np.kron(atlas_data() == 2, np.ones((2, 2, 2))).astype(np.int8)
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = AFFINE[:3, 3] - 2.5
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*11 of 12 regions have no data")
        signals = from_nifti(make_image(), masker=kind(mask_img=Nifti1Image(fine, affine)))
    expected = read(make_image()).data[0, 1]
    assert signals.shape[1] == (1000 if kind is NiftiMasker else 1)
    assert np.corrcoef(signals.data[0].mean(axis=0), expected)[0, 1] > 0.95


@pytest.mark.parametrize("kind", [NiftiMasker, make_masker, maps_masker])
def test_mask_outside_the_image(kind):
    """Nothing is left."""
    far = AFFINE.copy()
    far[:3, 3] += 1000
    refuse(make_image(), "[Nn]o voxels", masker=kind(mask_img=mask_of(1, 2, 3, affine=far)))


@pytest.mark.parametrize("target", ["data", "labels"])
def test_region_outside_the_field_of_view(target):
    """The upper six blocks are not in the image; they are named and make no channel."""
    image = make_image()
    lower = image.slicer[:, :, :8]
    with pytest.warns(RuntimeWarning, match=r"6 of 12 regions have no data.*'region 7'") as caught:
        signals = from_nifti(lower, masker=make_masker(resampling_target=target))
    assert len(caught) == 1
    assert signals.ch_names == tuple(f"region {i}" for i in range(1, 7))
    assert signals.data.min() > 100


def test_other_maskers():
    """Maps, spheres and voxels outside the field of view; nilearn's zeros are left out."""
    lower = make_image().slicer[:, :, :8]
    with pytest.warns(RuntimeWarning, match="6 of 12 regions have no data.*'map 7'"):
        assert from_nifti(lower, masker=maps_masker()).shape[1] == 6
    with pytest.warns(RuntimeWarning, match="1 of 2 regions have no data.*'sphere 0 0 65'"):
        spheres = NiftiSpheresMasker([(0, 0, 65), (20, 0, -30)], radius=12)
        assert from_nifti(lower, masker=spheres).ch_names == ("sphere 20 0 -30",)
    with pytest.warns(RuntimeWarning, match="125 of 250 voxels of the mask have no data"):
        assert from_nifti(lower, masker=NiftiMasker(mask_of(1, 7))).shape[1] == 125
    with pytest.warns(RuntimeWarning, match="11 of 12 regions have no data.*'region 12'"):
        masker = make_masker(mask_img=mask_of(2), keep_masked_labels=True)
        assert from_nifti(make_image(), masker=masker).ch_names == ("region 2",)


# ------------------------------------------------------------------------------------------ values
def test_nan_voxels():
    """NaN in a region is said with count and region; elsewhere nobody's business."""
    data = make_data()
    data[0, 0, 0] = np.nan
    assert np.isfinite(read(make_image(data)).data).all()
    data[5, 4, 5, 3] = np.nan
    data[5, 5, 5] = np.inf
    with pytest.warns(RuntimeWarning, match=r"3 voxels of .* NaN.* 1.6 % .*\['region 1'\]"):
        signals = from_nifti(make_image(data), masker=make_masker())
    expected = region_mean(np.where(np.isfinite(data), data, 0).astype(float), 1)
    np.testing.assert_allclose(signals.data[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("standardize", [None, "zscore_sample", "psc"])
def test_constant_region(standardize):
    """Named, and finite even where nilearn divides rounding errors by their spread."""
    data = make_data()
    data[atlas_data() == 4] = 812.7
    masker = make_masker(standardize=standardize, detrend=True)
    with pytest.warns(RuntimeWarning, match=r"1 region.*constant over time.*\['region 4'\]"):
        signals = from_nifti(make_image(data), masker=masker)
    assert signals.shape[1] == 12 and np.isfinite(signals.data).all()
    assert np.ptp(signals.data[0], axis=1)[3] == 0 and np.ptp(signals.data[0], axis=1)[4] > 0


def test_region_of_zeros_is_missing():
    """Zero throughout is no data; what is true of several images is said once."""
    data = make_data()
    data[atlas_data() == 4] = 0
    with pytest.warns(RuntimeWarning, match=r"1 of 12 regions have no data.*\['region 4'\]"):
        assert from_nifti(make_image(data), masker=make_masker()).shape[1] == 11
    with pytest.warns(RuntimeWarning, match=r"imgs\[0\] and 2 more: 1 of 12 regions") as caught:
        from_nifti([make_image(data)] * 3, masker=make_masker())
    assert len(caught) == 1


# -------------------------------------------------------------------------------------- recordings
def test_haxby(data_dir):
    """Eight runs with motion taken out; voxels of a mask, and one slice with the parcellation."""
    folder = data_dir / "fmri-haxby" / "sub-1"
    paths = sorted(folder.glob("*_res-25mm_bold.nii.gz"))[:2]
    motion = sorted(folder.glob("*_motion.txt"))[:2]
    masker = NiftiMasker(str(data_dir / "fmri-haxby" / "masks_25mm" / "brain.nii.gz"))
    with pytest.warns(RuntimeWarning, match="those of the scanner") as caught:
        signals = from_nifti(paths, masker=masker, confounds=motion)
    assert all("those of the scanner" in str(entry.message) for entry in caught)
    assert [s.shape for s in signals] == [(1, 129, 121)] * 2
    assert [(s.subject, s.run) for s in signals] == [(("1",), ("01",)), (("1",), ("02",))]
    assert signals[0].sfreq == 0.4
    with pytest.warns(RuntimeWarning, match=r"2\d\d of \d+ regions have no data"):
        one_slice = from_nifti(folder / "sub-1_run-01_res-1slice_bold.nii.gz")
    assert 10 < one_slice.shape[1] < 100 and np.isfinite(one_slice.data).all()


def test_nitime(data_dir):
    """A block of voxels beside the MNI brain: said, and refused by an atlas."""
    path = data_dir / "fmri-nitime" / "fmri1.nii.gz"
    with pytest.warns(RuntimeWarning, match="outside the brain in MNI space"):
        with pytest.raises(ValueError, match="fmri1.nii.gz.*MNI space"):
            from_nifti(path)
    mask = Nifti1Image(np.ones((10, 10, 18), dtype=np.int8), nibabel.load(path).affine)
    with pytest.warns(RuntimeWarning, match="MNI space"):
        signals = from_nifti(path, masker=NiftiMasker(mask))
    assert signals.shape[2] == 40 and signals.sfreq == pytest.approx(1 / 1.35)
