"""Extract the series of a nilearn masker's regions from one image in memory."""

from __future__ import annotations

import numpy as np

from .._utils.messages import and_more, describe_errors
from .fitted_maskers import CLEANING, TEMPORAL, collect_warnings, defaults, fit_masker
from .image_run import read_data
from .regions import maps_in_mask

#: A region is missing if a smaller share of its voxels has data.
_LEAST_COVERAGE = 0.01

_ADVICE = (
    " Check the parameters of the masker; if no voxels are left, check the affines: image, mask "
    "and atlas must overlap in MNI space."
)


def mask_image(key, image, masker, t_r, confounds, kept, where):
    """Extract the series of one image."""
    # confounds (n_volumes, n_confounds) -> series (n_kept, n_regions), pos (n_regions, 3).
    from nibabel import Nifti1Image

    data, is_bad = read_data(image, where)
    low, high = data.min(axis=3), data.max(axis=3)
    facts = [(low != 0) | (high != 0), high > low]  # has data, varies
    facts += [] if is_bad is None else [is_bad]
    is_map = image.ndim == 3
    if not is_map and not facts[1].any():
        raise ValueError(f"{where}: no voxel varies over time.")
    facts = np.stack(facts, axis=3).astype(np.float32)
    volumes, facts = (_reorient(Nifti1Image(x, image.affine), masker) for x in (data, facts))
    del data
    sample_mask = None if len(kept) == volumes.shape[3] else kept
    messages = []
    with describe_errors(f"{where} cannot be masked", _ADVICE), collect_warnings(messages):
        fitted = fit_masker(masker, volumes)
        masker = fitted.masker(t_r)
        if is_map:
            masker.set_params(**defaults(masker, TEMPORAL))
        series = masker.transform(volumes, confounds=confounds, sample_mask=sample_mask)
        names, pos = fitted.regions(masker)
        shares = _shares(masker, facts)
    messages += [message for message in fitted.messages if message not in messages]
    if shares.shape[1] != len(names):
        raise ValueError(
            f"{where}: the masker gives {shares.shape[1]} series but has {len(names)} regions."
        )
    found = shares[0] > _LEAST_COVERAGE
    if not found.any():
        raise ValueError(
            f"{where}: no voxels with data in any region. The image, the mask and the atlas do "
            "not overlap: check their affines; all must be in MNI space."
        )
    series, shares = np.asarray(series)[:, found], shares[:, found]
    absent = [name for name, is_there in zip(names, found, strict=True) if not is_there]
    names = tuple(name for name, is_there in zip(names, found, strict=True) if is_there)
    if fitted.n_regions > len(names):
        messages.append(_describe_missing(fitted, names, absent))
    if not is_map:
        _flatten_constant(series, shares[1], names, messages)
    if is_bad is not None and (shares[2] > 0).any():
        listed = _shorten(names, shares[2] > 0)
        messages.append(
            f"{np.count_nonzero(is_bad)} voxels of the image hold NaN or infinite values, up to "
            f"{100 * shares[2].max():.3g} % of the voxels in the regions {listed}. They are taken "
            "as 0, as nilearn does."
        )
    if not np.isfinite(series).all():
        listed = _shorten(names, ~np.isfinite(series).all(axis=0))
        raise ValueError(
            f"{where}: the masker gives NaN or infinite values in the regions {listed}. Check its "
            "parameters (standardize, filters), or mask these regions out."
        )
    return series.astype(np.float32), names, pos[found], messages


def _reorient(image, masker):
    """Reorient an image to RAS, so that its orientation on disk does not matter."""
    # Unless the masker has the same grid as the image: then nothing may be resampled.
    import nibabel
    from nilearn.image import load_img

    for name in ("labels_img", "maps_img", "mask_img_", "mask_img"):
        grid = getattr(masker, name, None)
        if grid is not None:
            grid = load_img(grid)
            if grid.shape[:3] == image.shape[:3] and np.allclose(grid.affine, image.affine):
                return image
    return nibabel.as_closest_canonical(image)


def _shares(masker, facts):
    """Return the share of each region's voxels where a fact is true (n_facts, n_regions)."""
    if hasattr(masker, "maps_img_"):
        return _shares_in_maps(masker, facts)
    masker.set_params(**defaults(masker, CLEANING))
    masker.clean_args_ = {}
    return np.atleast_2d(masker.transform(facts))


def _shares_in_maps(masker, facts):
    """Compute shares weighted by absolute maps, as the series of maps are not averages."""
    from nilearn.image import resample_to_img

    maps = masker.maps_img_
    if maps.shape[:3] != facts.shape[:3] or not np.allclose(maps.affine, facts.affine):
        facts = resample_to_img(facts, maps, interpolation="nearest")
    facts, mask = np.asarray(facts.dataobj), masker.mask_img_
    if mask is not None:
        mask = resample_to_img(mask, maps, interpolation="nearest")
        facts = facts * np.asarray(mask.dataobj).astype(bool)[..., None]
    shares = np.zeros((facts.shape[3], maps.shape[3]))
    for i in range(maps.shape[3]):  # one at a time: atlases of 1024 maps take gigabytes
        weights = np.abs(np.nan_to_num(np.asarray(maps.dataobj[..., i], dtype=np.float64)))
        shares[:, i] = np.tensordot(weights, facts, axes=3) / max(weights.sum(), 1e-300)
    return shares[:, maps_in_mask(masker)]


def _describe_missing(fitted, names, absent):
    """Describe the regions without data in the image, also those that nilearn left out."""
    what, n_regions = "voxels of the mask", fitted.n_regions
    if not fitted.is_voxelwise:
        what = "regions"
        absent = [name for name in fitted.all_names if name not in names] or absent
    named = f": {_shorten(absent)}" if absent else ""
    return (
        f"{n_regions - len(names)} of {n_regions} {what} have no data and are left out: they lie "
        "outside the field of view or the mask, are too small for the image's voxels, or are "
        f"zero{named}."
    )


def _flatten_constant(series, varies, names, messages):
    """Keep constant regions constant: standardising would amplify their rounding errors."""
    constant = np.flatnonzero(varies <= 0)
    if len(constant):
        series[:, constant] = np.nan_to_num(series[:, constant].mean(axis=0))
        listed = _shorten(names, varies <= 0)
        words = "region is" if len(constant) == 1 else "regions are"
        messages.append(f"{len(constant)} {words} constant over time: {listed}.")


def _shorten(names, mask=None, limit=12):
    names = [name for i, name in enumerate(names) if mask is None or mask[i]]
    return f"{names[:limit]}{and_more(len(names), limit)}"
