"""Extract the series of a nilearn masker's regions from one image in memory."""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from contextlib import contextmanager, suppress

import numpy as np

from .._utils.messages import and_more, describe_errors
from .image_run import read_data
from .maskers import clone_masker
from .regions import maps_in_mask, region_geometry

#: Maximum number of voxels of a NiftiMasker, as each is a channel.
MAX_VOXELS = 4096
#: A region is missing if a smaller share of its voxels has data.
_LEAST_COVERAGE = 0.01
#: Parameters of maskers that act over time.
_TEMPORAL = (
    *("standardize", "detrend", "high_variance_confounds", "low_pass", "high_pass"),
    *("clean_args", "runs"),
)
#: Parameters of maskers that change values, but not which voxels they come from.
_CLEANING = (*_TEMPORAL, "smoothing_fwhm", "dtype", "strategy")
#: Warnings of nilearn about its own steps, and those given here with names of regions. Others,
#: also reworded ones, are passed on.
_CHATTER = re.compile(
    r"[Rr]esampling|following labels were removed|maps with the following indices|"
    r"Generation of a mask|imgs are being resampled|contains NaN|[Nn]on-finite|will be removed|"
    r"deprecated|non-diagonal|overwrit|standardiz|encountered in|name collisions",
)


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
    with describe_errors(f"{where} cannot be masked", _ADVICE), _quiet(messages):
        given = masker
        masker, n_regions = _fit(masker, volumes, t_r)
        if is_map:
            masker.set_params(**_defaults(masker, _TEMPORAL))
        series = masker.transform(volumes, confounds=confounds, sample_mask=sample_mask)
        names, pos = region_geometry(masker)
        shares = _shares(masker, facts)
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
    if n_regions > len(names):
        messages.append(_describe_missing(given, n_regions, names, absent))
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


def is_voxelwise(masker):
    """Check if each voxel of the mask is a channel."""
    from nilearn.maskers import NiftiMasker

    return isinstance(masker, NiftiMasker)


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


def _fit(masker, volumes, t_r):
    """Return a masker fitted to the image, and its number of regions without this image."""
    from nilearn.image import load_img

    if masker.mask_img is not None and not np.asarray(load_img(masker.mask_img).dataobj).any():
        raise ValueError("the mask is empty: no voxel of masker.mask_img is above 0")
    if is_voxelwise(masker):
        if not masker.__sklearn_is_fitted__():
            masker = clone_masker(masker, t_r=t_r)
            masker.fit(None if masker.mask_img is not None else volumes)
        n_voxels = int(np.count_nonzero(np.asarray(masker.mask_img_.dataobj)))
        if n_voxels > MAX_VOXELS:
            raise ValueError(
                f"the mask has {n_voxels} voxels, more than the {MAX_VOXELS} that can be "
                "channels: use a parcellation (masker=None, NiftiLabelsMasker) or a coarser mask"
            )
        masker = copy.copy(masker)  # parameters are set on it below
        masker.t_r = t_r
        return masker, n_voxels
    masker = clone_masker(masker, t_r=t_r)
    if hasattr(masker, "seeds"):
        n_regions = len(masker.seeds)
        return _drop_empty_spheres(masker, volumes).fit(volumes), n_regions
    if hasattr(masker, "maps_img"):
        return masker.fit(volumes), masker.maps_img_.shape[3]
    labels = np.unique(np.nan_to_num(np.asarray(load_img(masker.labels_img).dataobj)))
    return masker.fit(volumes), np.count_nonzero(labels != masker.background_label)


def _drop_empty_spheres(masker, volumes):
    """Drop spheres without a voxel, for which nilearn raises an error."""
    volume = volumes.slicer[..., :1]  # cannot be filtered

    def extract(seeds):
        plain = clone_masker(masker, **_defaults(masker, _CLEANING)).set_params(seeds=seeds)
        plain.fit(volumes).transform(volume)

    try:
        extract(masker.seeds)
    except ValueError as error:
        seeds = []
        for seed in masker.seeds:
            with suppress(ValueError):
                extract([seed])
                seeds.append(seed)
        if not seeds:
            raise ValueError(f"no sphere has a voxel in the image ({error})") from error
        if len(seeds) == len(masker.seeds):  # overlapping spheres, for example
            raise
        masker = masker.set_params(seeds=seeds)
    return masker


def _shares(masker, facts):
    """Return the share of each region's voxels where a fact is true (n_facts, n_regions)."""
    if hasattr(masker, "maps_img_"):
        return _shares_in_maps(masker, facts)
    masker.set_params(**_defaults(masker, _CLEANING))
    masker.clean_args_ = {}
    return np.atleast_2d(masker.transform(facts))


def _defaults(masker, names):
    """Return the default values of parameters, which change nothing."""
    parameters = inspect.signature(type(masker)).parameters
    return {name: parameters[name].default for name in names if name in parameters}


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


def _describe_missing(masker, n_regions, names, absent):
    """Describe the regions without data in the image, also those that nilearn left out."""
    what = "voxels of the mask"
    if not is_voxelwise(masker):
        what, unmasked = "regions", {"mask_img": None}
        unmasked |= {"resampling_target": "data"} if hasattr(masker, "resampling_target") else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = region_geometry(clone_masker(masker, **unmasked))[0]
        absent = [name for name in known if name not in names] or absent
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


@contextmanager
def _quiet(messages):
    """Collect nilearn's warnings about the data in ``messages``; drop the others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for entry in caught:
        text = " ".join(str(entry.message).split())
        is_own = issubclass(entry.category, (FutureWarning, DeprecationWarning))
        if not is_own and not _CHATTER.search(text) and text not in messages:
            messages.append(text)
