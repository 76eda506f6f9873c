"""Fit nilearn maskers once per grid: atlas, mask and regions are the same for all its images."""

from __future__ import annotations

import copy
import inspect
import os
import re
import warnings
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import joblib
import numpy as np

from .._utils.files import sha256_of
from .maskers import clone_masker, table_beside
from .regions import region_geometry

#: Maximum number of voxels of a NiftiMasker, as each is a channel.
MAX_VOXELS = 4096
#: Parameters of maskers that act over time.
TEMPORAL = (
    *("standardize", "detrend", "high_variance_confounds", "low_pass", "high_pass"),
    *("clean_args", "runs"),
)
#: Parameters of maskers that change values, but not which voxels they come from.
CLEANING = (*TEMPORAL, "smoothing_fwhm", "dtype", "strategy")
#: Warnings of nilearn about its own steps, and those given here with names of regions. Others,
#: also reworded ones, are passed on.
_CHATTER = re.compile(
    r"[Rr]esampling|following labels were removed|maps with the following indices|"
    r"Generation of a mask|imgs are being resampled|contains NaN|[Nn]on-finite|will be removed|"
    r"deprecated|non-diagonal|overwrit|standardiz|encountered in|name collisions",
)
#: Fitted maskers by parameters and grid, oldest first.
_FITTED = {}
#: Maximum number of these maskers, and of the voxels of all their images.
MOST_MASKERS, MOST_VOXELS = 8, 2**26


class FittedMasker:
    """Masker fitted to the grid of an image, and what this costs only once."""

    def __init__(self, given, volumes):
        self.messages, self.is_voxelwise = [], is_voxelwise(given)
        self._given, self._regions = given, None
        with collect_warnings(self.messages):
            self._masker, self.n_regions = _fit(given, volumes)

    def masker(self, t_r):
        """Return a masker for one image, with parameters that can be set."""
        masker = copy.copy(self._masker)
        masker.t_r = t_r
        return masker

    def regions(self, masker):
        """Return names and positions of the regions that a masker has transformed an image to."""
        if self._regions is None:
            with collect_warnings(self.messages):
                self._regions = region_geometry(masker)
        return self._regions

    @cached_property
    def all_names(self):
        """Names of the regions of the atlas, without a mask and without an image."""
        whole = {"mask_img": None}
        whole |= {"resampling_target": "data"} if hasattr(self._given, "resampling_target") else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return region_geometry(clone_masker(self._given, **whole))[0]

    @property
    def n_voxels(self):
        """Number of voxels of all images that are kept with the masker."""
        images = [*vars(self._masker).values(), *vars(self._given).values()]
        return sum(int(np.prod(image.shape)) for image in images if hasattr(image, "dataobj"))


def fit_masker(masker, volumes):
    """Return the masker fitted to the grid of an image, from an earlier image where possible."""
    if is_voxelwise(masker) and masker.mask_img is None and not masker.__sklearn_is_fitted__():
        return FittedMasker(masker, volumes)  # the mask is made from the values of the image
    parts = masker_content(masker, without=("t_r",)), volumes.shape[:3], volumes.affine
    key = joblib.hash(parts, hash_name="sha1")
    fitted = _FITTED.get(key)
    return _keep(key, FittedMasker(masker, volumes)) if fitted is None else fitted


def _keep(key, fitted):
    """Keep a masker for later images, and the latest ones before it as far as there is room."""
    n_voxels = fitted.n_voxels
    if n_voxels <= MOST_VOXELS:
        for number, (old, other) in enumerate(reversed(list(_FITTED.items())), start=1):
            n_voxels += other.n_voxels
            if number >= MOST_MASKERS or n_voxels > MOST_VOXELS:
                _FITTED.pop(old, None)
        _FITTED[key] = fitted
    return fitted


def masker_content(masker, without=()):
    """Return what the regions and values of a masker depend on: contents, not names of files."""
    parameters = masker.get_params(deep=False)
    parameters = {k: content_of(v) for k, v in parameters.items() if k not in without}
    if is_voxelwise(masker) and masker.__sklearn_is_fitted__():
        parameters["mask_img_"] = content_of(masker.mask_img_)
    maps = getattr(masker, "maps_img", None)
    names = table_beside(maps) if isinstance(maps, (str, Path)) else None
    return type(masker).__name__, parameters, names


def content_of(value):
    """Return the content of an image, of an image file, or of any other parameter."""
    if isinstance(value, (str, os.PathLike)) and Path(value).is_file():
        return sha256_of(value)
    if hasattr(value, "dataobj"):
        return np.asarray(value.dataobj), np.asarray(value.affine)
    return value


def is_voxelwise(masker):
    """Check if each voxel of the mask is a channel."""
    from nilearn.maskers import NiftiMasker

    return isinstance(masker, NiftiMasker)


def defaults(masker, names):
    """Return the default values of parameters, which change nothing."""
    parameters = inspect.signature(type(masker)).parameters
    return {name: parameters[name].default for name in names if name in parameters}


@contextmanager
def collect_warnings(messages):
    """Collect nilearn's warnings about the data in ``messages``; drop the others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for entry in caught:
        text = " ".join(str(entry.message).split())
        is_own = issubclass(entry.category, (FutureWarning, DeprecationWarning))
        if not is_own and not _CHATTER.search(text) and text not in messages:
            messages.append(text)


def _fit(masker, volumes):
    """Return a masker fitted to the image, and its number of regions without this image."""
    from nilearn.image import load_img

    if masker.mask_img is not None and not np.asarray(load_img(masker.mask_img).dataobj).any():
        raise ValueError("the mask is empty: no voxel of masker.mask_img is above 0")
    if is_voxelwise(masker):
        if not masker.__sklearn_is_fitted__():
            masker = clone_masker(masker)
            masker.fit(None if masker.mask_img is not None else volumes)
        n_voxels = int(np.count_nonzero(np.asarray(masker.mask_img_.dataobj)))
        if n_voxels > MAX_VOXELS:
            raise ValueError(
                f"the mask has {n_voxels} voxels, more than the {MAX_VOXELS} that can be "
                "channels: use a parcellation (masker=None, NiftiLabelsMasker) or a coarser mask"
            )
        return masker, n_voxels
    masker = clone_masker(masker)
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
        plain = clone_masker(masker, **defaults(masker, CLEANING)).set_params(seeds=seeds)
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
