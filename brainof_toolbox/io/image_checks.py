"""Checks of an fMRI image before it is masked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .datalad import check_present

#: Fewest volumes of a run that can be used.
MIN_VOLUMES = 10
ACCEPTED = "4-D images: .nii, .nii.gz (NIfTI), .img/.hdr (Analyze, NIfTI pair), .mgz"
_ENDINGS = (".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".hdr.gz", ".mgz", ".mgh", ".gii")
#: Corners of a box around the brain in MNI space, in mm.
_BRAIN_BOX = np.array([[-75.0, -110.0, -75.0], [75.0, 80.0, 85.0]])
#: NIfTI's code of scanner coordinates; 2 is alignment to another image, 4 is MNI.
_SCANNER = 1
#: Values of the BIDS entity space- that are not a template.
_OWN_SPACES = ("t1w", "t2w", "anat", "individual", "native", "orig", "scanner", "func", "boldref")


def is_image(item):
    """Check if an item is meant as an image, without opening a file."""
    if isinstance(item, (str, os.PathLike)):
        return os.fspath(item).lower().endswith(_ENDINGS)
    if all(hasattr(item, name) for name in ("dataobj", "affine", "shape")):
        return True
    nibabel = sys.modules.get("nibabel")  # not imported: then this is none of its images
    return nibabel is not None and isinstance(item, nibabel.filebasedimages.FileBasedImage)


def describe(item, index=None):
    """Return the name of an image in messages."""
    path = image_path(item)
    if index is None:
        return "The image" if path is None else str(path)
    return f"imgs[{index}]" if path is None else f"imgs[{index}] ({path})"


def image_path(item):
    """Return the file of an image, or None for an image in memory."""
    if isinstance(item, (str, os.PathLike)):
        return Path(item)
    name = item.get_filename() if hasattr(item, "get_filename") else None
    return None if name is None else Path(name)


def open_image(item, where):
    """Open an image and check its header; no data are read."""
    if isinstance(item, (str, os.PathLike)):
        image = _load(Path(item), where)
    elif is_image(item):
        image = item
    else:
        hint = " An array needs an affine: Nifti1Image(data, affine)."
        raise TypeError(
            f"{where} is of type {type(item).__name__}, which is not an image. Accepted are "
            f"{ACCEPTED}, as paths or as nibabel images.{hint * isinstance(item, np.ndarray)}"
        )
    if not all(hasattr(image, name) for name in ("dataobj", "affine", "header")):
        raise ValueError(
            f"{where} is a {type(image).__name__}: surfaces are not accepted. Accepted are "
            f"{ACCEPTED}. Give time series per region by from_roi_timeseries()."
        )
    _check_shape(image, where)
    return image


def _load(path, where):
    import nibabel

    if path.is_dir():
        raise ValueError(f"{where} is a folder; images are files: {ACCEPTED}.")
    check_present(path)
    try:
        return nibabel.load(path)
    except Exception as error:  # nibabel raises anything on a damaged file; it must be named
        raise ValueError(
            f"Cannot read {where}: truncated or damaged, or not an image ({type(error).__name__}: "
            f"{error}). Accepted are {ACCEPTED}."
        ) from error


def _check_shape(image, where):
    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 4:
        hint = "Pass a run: volumes over time"
        if len(shape) == 3:
            hint += "; nilearn.image.concat_imgs puts single volumes together"
        raise ValueError(
            f"{where} is {len(shape)}-D, shape {shape}: 4-D expected (x, y, z, volumes). {hint}."
        )
    if 0 in shape:
        raise ValueError(f"{where} is empty: shape {shape}.")
    if shape[3] < MIN_VOLUMES:
        words = "volume" if shape[3] == 1 else "volumes"
        raise ValueError(
            f"{where} has {shape[3]} {words}, shape {shape}; the minimum is {MIN_VOLUMES}."
        )
    if np.dtype(image.get_data_dtype()).kind not in "fiub":
        raise ValueError(
            f"{where} holds {image.get_data_dtype()} values; real numbers are expected."
        )


def check_space(image, where, space=None):
    """Warn if an image cannot be in MNI space."""
    affine = np.asarray(image.affine if image.affine is not None else np.full((4, 4), np.nan))
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise ValueError(f"{where}: the affine is not finite or singular:\n{affine}")
    advice = (
        "Regions are looked up in MNI space (mm): normalise the image, or take the file in MNI "
        "space (space-MNI...)."
    )
    if space is not None and space.lower() in _OWN_SPACES:
        warn(f"{where}: space-{space} is the subject's own, not MNI space. {advice}")
        return
    codes = [image.header.get(name) for name in ("sform_code", "qform_code")]
    if np.array_equal(affine, np.eye(4)) or codes == [0, 0]:
        what = "the identity" if np.array_equal(affine, np.eye(4)) else "not in the header"
        warn(f"{where}: the affine is {what}, so the image's space is unknown. {advice}")
        return
    centre = affine[:3, :3] @ ((np.array(image.shape[:3]) - 1) / 2) + affine[:3, 3]
    if ((centre < _BRAIN_BOX[0]) | (centre > _BRAIN_BOX[1])).any():
        warn(
            f"{where}: the affine puts the image's centre at {np.round(centre).tolist()} mm, "
            f"outside the brain in MNI space. {advice}"
        )
        return
    is_scanner = (codes[0] or codes[1]) == _SCANNER
    if is_scanner and not (space or "").lower().startswith("mni"):
        warn(
            f"{where}: the coordinates are those of the scanner (code 1 in the header), so "
            f"regions of an atlas do not fit. {advice} If it is in MNI space, correct the header: "
            "set_sform(affine, code=4)."
        )


def read_data(image, where):
    """Read the values of an image."""
    # -> data (n_x, n_y, n_z, n_volumes), is_bad (n_x, n_y, n_z).
    try:
        data = np.asarray(image.dataobj, dtype=np.float32)
    except MemoryError:
        raise
    except Exception as error:  # gzip, zlib and mmap each raise their own
        raise ValueError(
            f"Cannot read the data of {where}: truncated or damaged ({type(error).__name__}: "
            f"{error})."
        ) from error
    is_bad = None
    with np.errstate(invalid="ignore", over="ignore"):
        is_finite = np.isfinite(data.sum(dtype=np.float64))
    if not is_finite:
        is_finite = np.isfinite(data)
        is_bad = ~is_finite.all(axis=3)
        data = np.where(is_finite, data, np.float32(0))  # a copy: the user's array stays
    if not data.any():
        raise ValueError(f"{where}: all voxels are zero (or NaN) in all volumes.")
    return data, is_bad
