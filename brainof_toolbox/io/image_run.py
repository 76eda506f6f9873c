"""Open and check an fMRI image once: header, sidecars and repetition time; data stay on disk."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import describe_errors
from .bids_names import parse
from .datalad import check_present
from .sidecars import sidecar_files
from .t_r import resolve_t_r

#: Fewest volumes of a run that can be used.
MIN_VOLUMES = 10
ACCEPTED = "4-D runs and 3-D maps: .nii, .nii.gz (NIfTI), .img/.hdr (Analyze, NIfTI pair), .mgz"
_ENDINGS = (".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".hdr.gz", ".mgz", ".mgh", ".gii")
#: Corners of a box around the brain in MNI space, in mm.
_BRAIN_BOX = np.array([[-75.0, -110.0, -75.0], [75.0, 80.0, 85.0]])
#: NIfTI's code of scanner coordinates; 2 is alignment to another image, 4 is MNI.
_SCANNER = 1
#: Values of the BIDS entity space- that are not a template.
_OWN_SPACES = ("t1w", "t2w", "anat", "individual", "native", "orig", "scanner", "func", "boldref")


@dataclass(frozen=True, eq=False)
class ImageRun:
    """Checked image with its repetition time, passed from the check to the reader."""

    image: object  # 4-D run or 3-D map; the data of a file are read when needed and not kept
    path: Path | None
    where: str  # Name in messages
    entities: dict  # Of the BIDS name
    t_r: float | None  # In seconds; None for a map
    notes: list  # Warnings about the repetition time, emitted when the data are read
    stamps: dict  # Size and time of the files that were read, by path
    arguments: dict  # Of open_run

    def refreshed(self):
        """Return this run, or a newly opened one if the file or a sidecar changed since."""
        if self.stamps == {path: _stamp(path) for path in self.stamps}:
            return self
        return open_run(**self.arguments)


def open_run(item, where=None, *, t_r=None, masker_t_r=None):
    """Open and check an image by its header; no data are read."""
    arguments = {"item": item, "where": where, "t_r": t_r, "masker_t_r": masker_t_r}
    where = describe(item) if where is None else where
    path = image_path(item)
    image = _open_image(item, where)
    files = [] if path is None or image.ndim == 3 else sidecar_files(path)
    notes = []
    if image.ndim == 3:
        t_r = None
    else:
        t_r, notes = resolve_t_r(image, where=where, files=files, t_r=t_r, masker_t_r=masker_t_r)
    stamps = {}
    if isinstance(item, (str, os.PathLike)):  # an image that the user opened is not opened here
        # Header and data may be apart.
        names = [holder.filename for holder in image.file_map.values()]
        stamps = {file: _stamp(file) for file in [*files, *(Path(n) for n in names if n)]}
    entities = {} if path is None else parse(path)[0]
    return ImageRun(image, path, where, entities, t_r, notes, stamps, arguments)


def _stamp(path):
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def is_image(item):
    """Check if an item is meant as an image, without opening a file."""
    if isinstance(item, (str, os.PathLike)):
        return os.fspath(item).lower().endswith(_ENDINGS)
    if all(hasattr(item, name) for name in ("dataobj", "affine", "shape")):
        return True
    if hasattr(getattr(item, "mesh", None), "parts"):  # SurfaceImage of nilearn
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
    if not isinstance(item, (str, os.PathLike)):
        item = item.get_filename() if hasattr(item, "get_filename") else None
    return None if item is None else Path(item)


def _open_image(item, where):
    """Open an image and check its header; no data are read."""
    import nibabel

    accepted = f"Accepted are {ACCEPTED}"
    image = item
    if isinstance(item, (str, os.PathLike)):
        if Path(item).is_dir():
            raise ValueError(f"{where} is a folder; images are files: {ACCEPTED}.")
        check_present(item)
        message = f"Cannot read {where}: truncated or damaged, or not an image"
        with describe_errors(message, f" {accepted}."):
            image = nibabel.load(item)
    elif not is_image(item):
        hint = " An array needs an affine: Nifti1Image(data, affine)."
        raise TypeError(
            f"{where} is of type {type(item).__name__}, which is not an image. {accepted}, as "
            f"paths or as nibabel images.{hint * isinstance(item, np.ndarray)}"
        )
    if not all(hasattr(image, name) for name in ("dataobj", "affine", "header")):
        raise ValueError(
            f"{where} is a {type(image).__name__}: surfaces are not accepted. {accepted}. Average "
            "the vertices by parcel, for example with nilearn.maskers.SurfaceLabelsMasker, and "
            "pass the series of regions by from_roi_timeseries()."
        )
    _check_shape(image, where)
    return image


def _check_shape(image, where):
    shape = tuple(int(n) for n in image.shape)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"{where} is {len(shape)}-D, shape {shape}: 4-D (x, y, z, volumes) or 3-D expected. "
            "Pass a run, volumes over time, or a map."
        )
    if 0 in shape:
        raise ValueError(f"{where} is empty: shape {shape}.")
    if len(shape) == 4 and shape[3] < MIN_VOLUMES:
        raise ValueError(
            f"{where} has {shape[3]} volume{'s' * (shape[3] != 1)}, shape {shape}; the minimum "
            f"is {MIN_VOLUMES}. Maps (betas, contrasts) are 3-D images, one each: "
            "list(nilearn.image.iter_img(img))."
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
    codes = [image.header.get(name) for name in ("sform_code", "qform_code")]
    is_identity, space = np.array_equal(affine, np.eye(4)), space or ""
    centre = affine[:3, :3] @ ((np.array(image.shape[:3]) - 1) / 2) + affine[:3, 3]
    if space.lower() in _OWN_SPACES:
        warn(f"{where}: space-{space} is the subject's own, not MNI space. {advice}")
    elif is_identity or codes == [0, 0]:
        what = "the identity" if is_identity else "not in the header"
        warn(f"{where}: the affine is {what}, so the image's space is unknown. {advice}")
    elif ((centre < _BRAIN_BOX[0]) | (centre > _BRAIN_BOX[1])).any():
        warn(
            f"{where}: the affine puts the image's centre at {np.round(centre).tolist()} mm, "
            f"outside the brain in MNI space. {advice}"
        )
    elif (codes[0] or codes[1]) == _SCANNER and not space.lower().startswith("mni"):
        warn(
            f"{where}: the coordinates are those of the scanner (code 1 in the header), so "
            f"regions of an atlas do not fit. {advice} If it is in MNI space, correct the header: "
            "set_sform(affine, code=4)."
        )


def read_data(image, where):
    """Read the values of an image; NaN become 0. A map has one volume."""
    # -> data (n_x, n_y, n_z, n_volumes), is_bad (n_x, n_y, n_z) or None.
    with describe_errors(f"Cannot read the data of {where}: truncated or damaged"):
        data = np.asarray(image.dataobj, dtype=np.float32)
    data = data[..., None] if data.ndim == 3 else data
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
