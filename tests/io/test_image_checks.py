"""What is asked of an image before its series are read."""

from __future__ import annotations

import gzip
import warnings

import nibabel
import numpy as np
import pytest
from images import AFFINE, make_atlas, make_data, make_image, make_masker, save_image
from nibabel import Nifti1Image
from nilearn.surface import InMemoryMesh, SurfaceImage

from brainof_toolbox.io import from_nifti
from brainof_toolbox.io.image_run import open_run
from brainof_toolbox.io.images import is_image
from brainof_toolbox.io.inputs import open_samples


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


# ------------------------------------------------------------------------------- shapes and spaces
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 1, 20)])
def test_dimensions(shape):
    """2-D and 5-D."""
    image = Nifti1Image(np.ones(shape, dtype=np.float32), AFFINE)
    refuse(image, f"{len(shape)}-D, shape .*: 4-D")
    with pytest.raises(ValueError, match="4-D .* or 3-D expected"):
        open_run(image)


def test_space():
    """Identity affine, and an image beside the brain."""
    data = np.random.default_rng(0).random((60, 60, 60, 10))
    with pytest.warns(RuntimeWarning) as caught:
        from_nifti(make_image(data, affine=np.eye(4)), masker=make_masker())
    assert "affine is the identity" in str(caught[0].message)
    assert "MNI space" in str(caught[0].message)
    corner = np.diag([10.0, 10.0, 10.0, 1.0])
    with pytest.warns(RuntimeWarning) as caught:
        from_nifti(make_image(affine=corner), masker=make_masker())
    said = [str(entry.message) for entry in caught]
    assert "centre at [75.0, 95.0, 75.0] mm, outside the brain in MNI space" in said[0]
    assert "8 of 12 regions have no data" in said[1] and len(said) == 2
    singular = AFFINE.copy()
    singular[0, 0] = np.nan
    image = make_image()
    image._affine = singular
    refuse(image, "affine is not finite or singular")


def test_space_by_name_and_code(tmp_path):
    """BIDS says that it is the subject's own space; the header says nothing."""
    path = save_image(tmp_path / "sub-01_task-rest_space-T1w_desc-preproc_bold.nii.gz")
    with pytest.warns(RuntimeWarning, match="space-T1w is the subject's own, not MNI space"):
        from_nifti(path, masker=make_masker())
    read(path.rename(tmp_path / "sub-01_space-MNI152NLin6Asym_bold.nii.gz"))
    image = make_image()
    image.header["sform_code"] = image.header["qform_code"] = 0
    with pytest.warns(RuntimeWarning, match="affine is not in the header.*MNI space"):
        from_nifti(image, masker=make_masker())


@pytest.mark.parametrize("codes, is_scanner", [((1, 1), 1), ((0, 1), 1), ((4, 1), 0), ((2, 0), 0)])
def test_scanner_space_by_code(tmp_path, codes, is_scanner):
    """A raw image, wherever its centre is; a name with space-MNI is believed more."""
    image = make_image()
    image.header["sform_code"], image.header["qform_code"] = codes
    if is_scanner:
        with pytest.warns(RuntimeWarning, match="those of the scanner .code 1.*code=4"):
            from_nifti(image, masker=make_masker())
    else:
        read(image)
    path = tmp_path / "sub-01_task-rest_space-MNI152NLin6Asym_bold.nii.gz"
    image.to_filename(path)
    read(path)


def test_too_few_volumes():
    """Both numbers are named; ten are enough."""
    refuse(make_image(n_volumes=3), "has 3 volumes.*minimum is 10")
    assert read(make_image(n_volumes=10)).shape[2] == 10


def test_images_without_signal():
    """Zero, NaN, or constant throughout."""
    data = make_data()
    refuse(make_image(data * 0), "all voxels are zero")
    refuse(make_image(data * np.nan), "all voxels are zero")
    refuse(make_image(data * 0 + 5), "no voxel varies")
    refuse(Nifti1Image(data.astype(np.complex64), AFFINE), "complex64 values")


# ------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.99])
def test_truncated(tmp_path, kept):
    """Cut in the header or in the data, compressed or not."""
    for name in ("a.nii", "a.nii.gz"):
        path = save_image(tmp_path / name)
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        refuse(path, rf"Cannot read .*{name}.*truncated or damaged")


def test_flipped_bits(tmp_path):
    path = save_image(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refuse(path, "a.nii.gz.*truncated or damaged")


def test_other_formats(tmp_path):
    """Text, GIfTI and CIFTI by whatever name."""
    gifti = nibabel.gifti.GiftiImage(
        darrays=[nibabel.gifti.GiftiDataArray(np.zeros(5, dtype=np.float32))]
    )
    nibabel.save(gifti, tmp_path / "a.func.gii")
    axes = nibabel.cifti2.SeriesAxis(0, 2, 12), nibabel.cifti2.ScalarAxis(["a", "b"])
    cifti = nibabel.Cifti2Image(np.ones((12, 2), dtype=np.float32), axes)
    nibabel.save(cifti, tmp_path / "a.dtseries.nii")
    (tmp_path / "text.nii").write_text("subject,age\n01,30\n")
    with gzip.open(tmp_path / "text.nii.gz", "wb") as file:
        file.write(b"subject,age\n")
    for name in ("a.func.gii", "a.dtseries.nii", "text.nii", "text.nii.gz"):
        assert is_image(tmp_path / name)
        refuse(tmp_path / name, rf"{name}.*Accepted are 4-D runs and 3-D maps: \.nii, \.nii\.gz")
    refuse(gifti, "GiftiImage: surfaces are not accepted.*from_roi_timeseries")


def test_surface_images_are_refused():
    """As an image, as X, in a list and in a record, with the way to go."""
    mesh = InMemoryMesh(np.eye(3), np.array([[0, 1, 2]]))
    sides = ("left", "right")
    surface = SurfaceImage(dict.fromkeys(sides, mesh), dict.fromkeys(sides, np.ones((3, 12))))
    match = "SurfaceImage: surfaces are not.*SurfaceLabelsMasker.*from_roi_timeseries"
    refuse(surface, match)
    for X in (surface, [surface], [{"fmri": surface}]):
        with pytest.raises(ValueError, match=match):
            open_samples(X)


def test_missing_files(tmp_path):
    refuse(tmp_path / "absent.nii", "absent.nii", error=FileNotFoundError)
    refuse(tmp_path, "is a folder")
    link = tmp_path / "link.nii.gz"
    link.symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    refuse(link, "datalad get .*link.nii.gz", error=FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="datalad get"):
        open_run(link)


def test_broken_item_of_a_list(tmp_path):
    """Index and file are named."""
    good, bad = save_image(tmp_path / "good.nii"), tmp_path / "bad.nii"
    bad.write_bytes(good.read_bytes()[:5000])
    refuse([good, bad], r"imgs\[1\] \(.*bad.nii\)")
    refuse([good, tmp_path / "none.nii"], r"imgs\[1\]", error=FileNotFoundError)
    refuse([make_image(), make_image(n_volumes=4)], r"imgs\[1\] has 4 volumes")
    refuse([make_image(), 3], r"imgs\[1\] is of type int.*Accepted", error=TypeError)
    refuse([make_image(), make_image(t_r=0)], r"imgs\[1\].*t_r=")
    refuse(make_data(), r"ndarray.*Nifti1Image\(data, affine\)", error=TypeError)


def test_is_image(tmp_path):
    """No file is opened: names and types decide."""
    for name in ("a.nii", "A.NII.GZ", "a.img", "a.hdr", "a.mgz", "a.gii", "a.dtseries.nii"):
        assert is_image(name) and is_image(tmp_path / name)
    assert is_image(make_image()) and is_image(make_atlas())
    for item in ("a.fif", "a.edf", tmp_path, None, 3, np.zeros((2, 2)), {}, [], make_masker()):
        assert not is_image(item)


def test_opening_reads_no_data(tmp_path):
    path = save_image(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:4000])
    assert open_run(path).path == path
    with pytest.raises(TypeError, match="is not an image"):
        open_run([1, 2])
