"""Names and positions (head frame) of the regions of atlases and nilearn maskers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.positions import check_positions
from .._utils.unique import refuse_repeated
from .channels import template_montage
from .maskers import clone_masker, resolve_masker, table_beside, volume_maskers

__all__ = ["head_to_mni", "mni_to_head", "region_geometry", "resolve_masker"]

#: Maximum distance of a brain region from the origin of MNI space, in metres.
_MNI_RADIUS = 0.15


def mni_to_head(pos):
    """Transform positions from MNI space to the head frame of MNE's template electrodes."""
    # Electrodes without measured positions get those of MNE's 10-05 template, which is in MNI
    # space; MNE transforms them to the head frame by the template's fiducials. The same rigid
    # transform is applied here, so that a region is close to the electrode above it.
    # pos (..., 3) -> pos (..., 3).
    return _move(_mni_head_t(), pos)


def head_to_mni(pos):
    """Transform positions from the head frame of the template electrodes to MNI space."""
    # pos (..., 3) -> pos (..., 3).
    return _move(np.linalg.inv(_mni_head_t()), pos)


def _move(affine, pos):
    pos = np.asarray(pos, dtype=float)
    if pos.ndim == 0 or pos.shape[-1] != 3:
        raise ValueError(f"Positions must have shape (n_positions, 3), got {pos.shape}.")
    return pos @ affine[:3, :3].T + affine[:3, 3]


@lru_cache(maxsize=1)
def _mni_head_t():
    """Return the 4 x 4 transform from MNI space to the head frame, in metres."""
    import mne

    montage = mne.channels.make_standard_montage(template_montage())
    return mne.channels.compute_native_head_t(montage)["trans"]


def region_geometry(masker):
    """Return names and positions of the channels of a masker."""
    # -> pos (n_regions, 3).
    from nilearn import maskers

    if not isinstance(masker, volume_maskers()):
        raise TypeError(
            f"masker must be a nilearn masker of volumes, got {type(masker).__name__}."
        )
    if not masker.__sklearn_is_fitted__():
        if isinstance(masker, maskers.NiftiMasker) and masker.mask_img is None:
            raise ValueError(
                "This NiftiMasker has no mask_img and was not fitted, so it has no voxels yet. "
                "Fit it to an image, or give it a mask_img."
            )
        masker = clone_masker(masker).fit()
    if isinstance(masker, maskers.NiftiLabelsMasker):
        names, pos = _labels_geometry(masker)
    elif isinstance(masker, maskers.NiftiMapsMasker):
        names, pos = _maps_geometry(masker)
    elif isinstance(masker, maskers.NiftiSpheresMasker):
        pos = np.array(masker.seeds_, dtype=float).reshape(-1, 3) * 1e-3
        names = _mm("sphere", pos)
    else:
        image = masker.mask_img_
        voxels = np.argwhere(np.asarray(image.dataobj).astype(bool))  # in the order of apply_mask
        pos = _move(image.affine, voxels) * 1e-3
        names = _mm("voxel", pos)
    names = unique_names(names)
    check_positions(pos, names, "fmri", space="mni", where="The atlas")
    far = np.flatnonzero(np.linalg.norm(pos, axis=1) > _MNI_RADIUS)
    if len(far):
        warn(
            f"{len(far)} of {len(pos)} regions lie outside any head in MNI space, for example "
            f"{names[far[0]]!r} at {np.round(pos[far[0]] * 1e3).astype(int).tolist()} mm. The "
            "affine of the atlas must lead to MNI coordinates in mm."
        )
    return names, mni_to_head(pos)


def _mm(noun, pos):
    """Name regions by their positions in mm."""
    rounded = np.round(pos * 1e3, 1) + 0.0
    return [" ".join([noun, *(f"{value:.4g}" for value in xyz)]) for xyz in rounded]


def _labels_geometry(masker):
    from nilearn.image import load_img

    refuse_repeated(masker.lut_["index"].tolist(), "The look-up table of the masker has regions")
    ids = [value for key, value in masker.region_ids_.items() if key != "background"]
    known = masker.lut_.set_index("index")["name"].to_dict()
    # Of the atlas before resampling, so that positions are the same for all images.
    centres = label_centres(load_img(masker.labels_img), masker.background_label)
    names = [str(known[value]) for value in ids]
    missing = [name for name, value in zip(names, ids, strict=True) if value not in centres]
    if missing:
        raise ValueError(f"These regions have no voxel in the labels image: {missing}.")
    unnamed = {"unknown", "nan", "n/a", ""}
    names = [
        f"region {value:g}" if name.lower() in unnamed or name == str(value) else name
        for name, value in zip(names, ids, strict=True)
    ]
    return names, np.array([centres[value] for value in ids]).reshape(-1, 3)


def label_centres(image, background=0):
    """Return the centre of mass of every label of an atlas image."""
    # -> centres (3,).
    from scipy.ndimage import center_of_mass

    data = np.nan_to_num(np.asarray(image.dataobj)).reshape(image.shape[:3])
    labels = np.unique(data[data != background])
    centres = np.reshape(center_of_mass(data != background, data, labels), (-1, 3))
    return dict(zip(labels.tolist(), _move(image.affine, centres) * 1e-3, strict=True))


def _maps_geometry(masker):
    from nilearn.image import load_img

    image = load_img(masker.maps_img)
    if image.shape[3:] != masker.maps_img_.shape[3:]:  # RegionExtractor splits the given maps
        image = masker.maps_img_
    pos = map_centres(image)
    kept = maps_in_mask(masker)
    names = [f"map {i + 1}" for i in range(len(pos))]
    lut = table_beside(masker.maps_img) if isinstance(masker.maps_img, (str, Path)) else None
    if lut is not None and len(lut) == len(pos):
        names = lut["name"].astype(str).tolist()
    empty = [names[i] for i in kept if not np.isfinite(pos[i]).all()]
    if empty:
        raise ValueError(f"These maps have no weight anywhere: {empty}. Leave them out.")
    return [names[i] for i in kept], pos[kept]


def map_centres(image):
    """Return the centre of mass of the absolute weights of every map of an atlas image."""
    # -> centres (n_maps, 3), NaN for maps without weight.
    from scipy.ndimage import center_of_mass

    centres = np.full((image.shape[3], 3), np.nan)
    for i in range(len(centres)):  # one map at a time: atlases of 1024 maps take gigabytes
        weights = np.abs(np.nan_to_num(np.asarray(image.dataobj[..., i], dtype=np.float64)))
        if weights.any():
            centres[i] = _move(image.affine, center_of_mass(weights)) * 1e-3
    return centres


def maps_in_mask(masker):
    """Return indices of the maps that nilearn keeps: those that are not masked out."""
    from nilearn.image import resample_to_img

    maps, mask = masker.maps_img_, masker.mask_img_
    if mask is None or masker.keep_masked_maps:
        return np.arange(maps.shape[3])
    if mask.shape[:3] != maps.shape[:3] or not np.allclose(mask.affine, maps.affine):
        mask = resample_to_img(mask, maps, interpolation="nearest")
    inside = np.asarray(maps.dataobj)[np.asarray(mask.dataobj).astype(bool)]
    return np.flatnonzero(np.any(inside != 0, axis=0))


def unique_names(names):
    """Append numbers to repeated names."""
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
