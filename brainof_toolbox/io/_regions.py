"""From atlases and nilearn maskers to regions with names and positions in the head frame."""

from __future__ import annotations

import copy
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.validation import check_number
from ._atlases import ATLAS_NAMES, find_atlas, split_atlas_name
from ._channels import template_montage

#: No brain reaches farther than this from the origin of MNI space, in metres.
_MNI_RADIUS = 0.15
_IMAGE_ENDINGS = (".nii", ".nii.gz", ".img", ".hdr", ".mgz", ".mgh")


# ------------------------------------------------------------------------------ MNI and head frame
def mni_to_head(pos):
    """Move positions from MNI space to the head frame of MNE's template electrodes.

    Electrodes without measured positions get those of MNE's 10-05 template, which lies in MNI
    space; MNE moves them to the head frame by the template's fiducials. The same rigid transform
    is applied here, so that a region and the electrode above it are neighbours in the numbers too.

    Parameters
    ----------
    pos : array-like, shape (..., 3)
        Metres, MNI space (x right, y front, z up, origin at the anterior commissure).

    Returns
    -------
    pos : ndarray, shape (..., 3)
        Metres, head frame (x through the ears, y through the nasion, z up).

    See Also
    --------
    head_to_mni : The inverse.

    Notes
    -----
    The transform is rigid: sizes stay those of the template head. A subject's digitised
    electrodes have the size of his own head, which is not the template's.
    """
    return _apply(_mni_head_t(), pos)


def head_to_mni(pos):
    """Move positions from the head frame of the template electrodes to MNI space.

    Parameters
    ----------
    pos : array-like, shape (..., 3)
        Metres, head frame.

    Returns
    -------
    pos : ndarray, shape (..., 3)
        Metres, MNI space.

    See Also
    --------
    mni_to_head : The inverse, which says where the transform comes from.
    """
    return _apply(np.linalg.inv(_mni_head_t()), pos)


def _apply(trans, pos):
    pos = np.asarray(pos, dtype=float)
    if pos.ndim == 0 or pos.shape[-1] != 3:
        raise ValueError(f"Positions must have shape (n_positions, 3), got {pos.shape}.")
    return pos @ trans[:3, :3].T + trans[:3, 3]


@lru_cache(maxsize=1)
def _mni_head_t():
    """The 4 x 4 matrix from MNI space to the head frame, in metres."""
    import mne

    montage = mne.channels.make_standard_montage(template_montage())
    return mne.channels.compute_native_head_t(montage)["trans"]


# ----------------------------------------------------------------------------------------- maskers
def resolve_masker(masker=None, *, t_r=None):
    """Turn what a user gives as parcellation into a nilearn masker.

    Parameters
    ----------
    masker : None | str | path-like | Niimg-like | nilearn masker
        ``None``: the default parcellation, which needs no download. A name (``"schaefer-200"``,
        ``"aal"``, ``"brainnetome"``, ``"difumo-64"`` ...): that atlas, when
        :func:`brainof_toolbox.datasets.fetch_atlas` brought it to this machine; it is looked for
        in the folder named by the environment variable ``BRAINOF_ATLASES``, by default
        ``~/.cache/brainof_toolbox/atlases``. An image or its path: an atlas in MNI space, labels
        when 3-D and one map per region when 4-D; a table ``*.tsv`` of the same name beside a file
        (columns ``index`` and ``name``) names the regions. A masker for volumes, fitted or not,
        is taken as it is.
    t_r : float | None
        Repetition time in seconds, for a masker that has none.

    Returns
    -------
    masker : nilearn masker
        A copy: neither the masker given nor its parameters are changed. Maskers made here do not
        standardise, detrend, filter or smooth.

    Raises
    ------
    TypeError
        If it is nothing of the above.
    FileNotFoundError
        If the atlas was not fetched, or there is no such file.
    ValueError
        If the image is no atlas.
    """
    from nilearn import maskers

    if t_r is not None:
        check_number("t_r", t_r, low=0, low_open=True)
    if masker is None:
        from ._parcellation import default_parcellation

        parcellation = default_parcellation()
        masker = _labels_masker(parcellation.img, _lut(parcellation.labels))
    elif isinstance(masker, _kinds(maskers)):
        masker = _copy_masker(masker)
    elif isinstance(masker, (str, os.PathLike)):
        masker = _masker_from_path(masker)
    elif hasattr(masker, "get_fdata") or hasattr(masker, "affine"):
        masker = _masker_from_image(masker, "The atlas")
    else:
        raise TypeError(
            f"masker is of type {type(masker).__name__}, which is not accepted. Accepted are None "
            "(the default parcellation), the name of an atlas, a 3-D or 4-D atlas image or its "
            "path, NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker and NiftiMasker."
        )
    if t_r is not None and masker.t_r is None:
        masker.t_r = float(t_r)
    return masker


def _kinds(maskers):
    """The maskers for volumes; each is also the parent of its Multi form."""
    return (
        maskers.NiftiLabelsMasker,
        maskers.NiftiMapsMasker,
        maskers.NiftiSpheresMasker,
        maskers.NiftiMasker,
    )


def _copy_masker(masker):
    from sklearn.base import clone

    # What transform puts on a shallow copy does not reach the original; fit works on deep copies.
    return copy.copy(masker) if masker.__sklearn_is_fitted__() else clone(masker)


def _masker_from_path(path):
    import nibabel

    if isinstance(path, str) and not Path(path).is_file() and split_atlas_name(path)[0]:
        path = find_atlas(path)
    path = Path(path)
    if not path.is_file():
        if not path.name.lower().endswith(_IMAGE_ENDINGS):
            raise ValueError(
                f"masker={str(path)!r} is neither an image file nor the name of an atlas. Known "
                f"names are {', '.join(ATLAS_NAMES)}."
            )
        raise FileNotFoundError(f"No such atlas image: {path}.")
    try:
        image = nibabel.load(path)
    except Exception as error:  # nibabel raises anything on a damaged file; it must be named
        raise ValueError(
            f"Cannot read the atlas {path}: damaged or no volume image "
            f"({type(error).__name__}: {error})."
        ) from error
    return _masker_from_image(image, f"The atlas {path}", path)


def _masker_from_image(image, where, path=None):
    """A masker of an atlas image; of its path when there is one, which pickles lightly."""
    from nilearn.image import index_img
    from nilearn.maskers import NiftiMapsMasker

    shape = getattr(image, "shape", ())
    if len(shape) == 4 and shape[3] == 1:
        image, path, shape = index_img(image, 0), None, shape[:3]
    if len(shape) == 4:
        image = image if path is None else str(path)
        return NiftiMapsMasker(image, standardize=_unstandardized(), reports=False)
    if len(shape) != 3:
        raise ValueError(f"{where} must be 3-D (labels) or 4-D (maps), got shape {shape}.")
    _check_labels(image, where)
    return _labels_masker(image if path is None else str(path), _table_beside(path))


def _check_labels(image, where):
    try:
        data = np.asarray(image.dataobj)
    except Exception as error:
        raise ValueError(
            f"{where} cannot be read: truncated or damaged ({type(error).__name__}: {error})."
        ) from error
    if not np.array_equal(data, np.round(data)):
        raise ValueError(
            f"{where} is 3-D but its values are not whole numbers: this is no image of labels. "
            "Pass an atlas, or NiftiMasker(mask_img=...) for voxels as channels."
        )
    n_labels = len(np.unique(data)) - 1
    if n_labels < 1:
        raise ValueError(f"{where} holds no label: all of its voxels are equal.")
    if n_labels == 1:
        warn(
            f"{where} has one label only and gives one region. For the voxels inside a mask pass "
            "NiftiMasker(mask_img=...)."
        )


def _labels_masker(image, lut=None):
    from nilearn.maskers import NiftiLabelsMasker

    return NiftiLabelsMasker(image, lut=lut, standardize=_unstandardized(), reports=False)


def _unstandardized():
    """How nilearn wants to be told not to standardise; 0.14 deprecates its own default."""
    import nilearn

    major, minor = nilearn.__version__.split(".")[:2]
    return None if (int(major), int(minor)) >= (0, 14) else False


def _lut(names):
    """The look-up table of an atlas whose labels are 1, 2, ..."""
    import pandas as pd

    return pd.DataFrame({"index": np.arange(len(names) + 1), "name": ["Background", *names]})


def _table_beside(path):
    """The table ``index``, ``name`` next to an image file, or None."""
    import pandas as pd

    if path is None:
        return None
    name = Path(path).name
    for ending in (".gz", ".nii", ".img", ".hdr", ".mgz", ".mgh"):
        name = name.removesuffix(ending)
    table = Path(path).with_name(f"{name}.tsv")
    if not table.is_file():
        return None
    lut = pd.read_csv(table, sep="\t")
    return lut if {"index", "name"} <= set(lut.columns) else None


# ---------------------------------------------------------------------------------------- geometry
def region_geometry(masker):
    """Names and positions of the channels that a masker gives.

    Parameters
    ----------
    masker : nilearn masker
        A NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker or NiftiMasker whose atlas is in
        MNI space. After a ``transform``, the regions that this one gave; those that lie outside
        the image or the mask are left out as nilearn leaves them out. An unfitted masker stands
        for all its regions and is not changed.

    Returns
    -------
    names : tuple of str
        One per column, unique.
    pos : ndarray, shape (n_regions, 3)
        Metres, head frame: the centre of mass of a region in the atlas as it was given (by
        absolute weight in maps), the centre of a sphere, or of a voxel.

    Raises
    ------
    ValueError
        If the masker was not fitted and needs data for it, or a region has no voxel.
    """
    from nilearn import maskers

    if not isinstance(masker, _kinds(maskers)):
        raise TypeError(
            f"masker must be a nilearn masker of volumes, got {type(masker).__name__}."
        )
    if not masker.__sklearn_is_fitted__():
        masker = _fit_without_data(masker)
    if isinstance(masker, maskers.NiftiLabelsMasker):
        names, pos = _labels_geometry(masker)
    elif isinstance(masker, maskers.NiftiMapsMasker):
        names, pos = _maps_geometry(masker)
    elif isinstance(masker, maskers.NiftiSpheresMasker):
        pos = np.array(masker.seeds_, dtype=float).reshape(-1, 3) * 1e-3
        names = [f"sphere {_mm(xyz)}" for xyz in pos]
    else:
        image = masker.mask_img_
        voxels = np.argwhere(np.asarray(image.dataobj).astype(bool))  # in the order of apply_mask
        pos = _to_metres(image.affine, voxels)
        names = [f"voxel {_mm(xyz)}" for xyz in pos]
    names = unique_names(names)
    _check_inside(names, pos)
    return names, mni_to_head(pos)


def _fit_without_data(masker):
    from nilearn.maskers import NiftiMasker
    from sklearn.base import clone

    if isinstance(masker, NiftiMasker) and masker.mask_img is None:
        raise ValueError(
            "This NiftiMasker has no mask_img and was not fitted, so it has no voxels yet. "
            "Fit it to an image, or give it a mask_img."
        )
    masker = clone(masker)
    masker.reports = False
    return masker.fit()


def _mm(xyz):
    return " ".join(f"{value:.4g}" for value in np.round(xyz * 1e3, 1) + 0.0)


def _to_metres(affine, voxels):
    return (voxels @ affine[:3, :3].T + affine[:3, 3]) * 1e-3


def _load(image):
    from nilearn.image import load_img

    return load_img(image)


def _labels_geometry(masker):
    ids = [value for key, value in masker.region_ids_.items() if key != "background"]
    known = masker.lut_.set_index("index")["name"].to_dict()
    # The atlas as given, not as resampled to the data: a region is where it is in any image.
    centres = label_centres(_load(masker.labels_img), masker.background_label)
    names = [str(known[value]) for value in ids]
    missing = [name for name, value in zip(names, ids, strict=True) if value not in centres]
    if missing:
        raise ValueError(f"These regions have no voxel in the labels image: {missing}.")
    unnamed = {"unknown", "nan", ""}
    names = [
        f"region {value:g}" if name.lower() in unnamed or name == str(value) else name
        for name, value in zip(names, ids, strict=True)
    ]
    return names, np.array([centres[value] for value in ids]).reshape(-1, 3)


def label_centres(image, background=0):
    """Centre of mass of every label of an atlas image.

    Parameters
    ----------
    image : Niimg-like
        3-D image of labels.
    background : int | float
        The value that is no label; NaN counts as 0.

    Returns
    -------
    centres : dict of float -> ndarray, shape (3,)
        Metres, in the space of the image's affine.
    """
    data = np.asarray(image.dataobj).reshape(image.shape[:3])
    data = np.nan_to_num(data) if data.dtype.kind == "f" else data
    voxels = np.argwhere(data != background)
    labels, inverse = np.unique(data[tuple(voxels.T)], return_inverse=True)
    count = np.bincount(inverse)
    centre = [np.bincount(inverse, voxels[:, axis]) / count for axis in range(3)]
    pos = _to_metres(image.affine, np.stack(centre, axis=1))
    return {label.item(): xyz for label, xyz in zip(labels, pos, strict=True)}


def _maps_geometry(masker):
    image = _load(masker.maps_img)
    fitted = masker.maps_img_
    if image.shape[3:] != fitted.shape[3:]:  # RegionExtractor splits the maps it is given
        image = fitted
    pos = map_centres(image)
    kept = _maps_in_mask(masker)
    names = [f"map {i + 1}" for i in range(len(pos))]
    lut = _table_beside(masker.maps_img) if isinstance(masker.maps_img, (str, Path)) else None
    if lut is not None and len(lut) == len(pos):
        names = lut["name"].astype(str).tolist()
    empty = [names[i] for i in kept if not np.isfinite(pos[i]).all()]
    if empty:
        raise ValueError(f"These maps have no weight anywhere: {empty}. Leave them out.")
    return [names[i] for i in kept], pos[kept]


def map_centres(image):
    """Centre of mass of the absolute weights of every map of an atlas image.

    Parameters
    ----------
    image : Niimg-like
        4-D image, one map per region along the last axis.

    Returns
    -------
    centres : ndarray, shape (n_maps, 3)
        Metres, in the space of the image's affine; NaN for a map without weight.
    """
    centres = np.full((image.shape[3], 3), np.nan)
    for i in range(len(centres)):  # one map at a time: atlases of 1024 maps take gigabytes
        weights = np.abs(np.nan_to_num(np.asarray(image.dataobj[..., i], dtype=np.float64)))
        voxels = np.nonzero(weights)
        weights = weights[voxels]
        if weights.sum() > 0:
            centre = np.array([np.average(axis, weights=weights) for axis in voxels])
            centres[i] = _to_metres(image.affine, centre)
    return centres


def _maps_in_mask(masker):
    """Indices of the maps that nilearn keeps: all, unless a mask leaves nothing of one."""
    from nilearn.image import resample_to_img

    maps, mask = masker.maps_img_, masker.mask_img_
    if mask is None or masker.keep_masked_maps:
        return np.arange(maps.shape[3])
    if mask.shape[:3] != maps.shape[:3] or not np.allclose(mask.affine, maps.affine):
        mask = resample_to_img(mask, maps, interpolation="nearest")
    inside = np.asarray(maps.dataobj)[np.asarray(mask.dataobj).astype(bool)]
    return np.flatnonzero(np.any(inside != 0, axis=0))


def unique_names(names):
    """Number those names that occur more than once.

    Parameters
    ----------
    names : sequence of str
        Names of regions.

    Returns
    -------
    names : tuple of str
        The same, with `` (2)``, `` (3)`` ... after the second, third ... use of a name.
    """
    seen, out = {}, []
    taken = set(names)
    for name in names:
        seen[name] = number = seen.get(name, 0) + 1
        new = name if number == 1 else f"{name} ({number})"
        while number > 1 and new in taken:
            seen[name] = number = number + 1
            new = f"{name} ({number})"
        out.append(new)
    return tuple(out)


def _check_inside(names, pos):
    far = np.flatnonzero(np.linalg.norm(pos, axis=1) > _MNI_RADIUS)
    if len(far):
        warn(
            f"{len(far)} of {len(pos)} regions lie outside any head in MNI space, for example "
            f"{names[far[0]]!r} at {np.round(pos[far[0]] * 1e3).astype(int).tolist()} mm. The "
            "affine of the atlas must lead to MNI coordinates in mm."
        )
