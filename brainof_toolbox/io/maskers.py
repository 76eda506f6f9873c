"""Convert a parcellation given by the user to a nilearn masker."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import describe_errors
from .._utils.unique import refuse_repeated
from .._utils.validation import check_number
from .atlases import ATLAS_NAMES, find_atlas, split_atlas_name
from .tables import read_table

_IMAGE_ENDINGS = (".nii", ".nii.gz", ".img", ".hdr", ".mgz", ".mgh")


def resolve_masker(masker=None, *, t_r=None):
    """Return a nilearn masker of None, an atlas name, an image, a path or a masker."""
    if t_r is not None:
        check_number("t_r", t_r, low=0, low_open=True)
    if masker is None:
        from .parcellation import default_parcellation

        parcellation = default_parcellation()
        masker = _labels_masker(parcellation.img, _lut(parcellation.labels))
    elif isinstance(masker, volume_maskers()):
        masker = _copy_masker(masker)
    elif isinstance(masker, (str, os.PathLike)):
        masker = _masker_from_path(masker)
    elif hasattr(masker, "get_fdata") or hasattr(masker, "affine"):
        masker = _masker_from_image(masker, "The atlas")
    else:
        _refuse(masker)
    if t_r is not None and masker.t_r is None:
        masker.t_r = float(t_r)
    return masker


def _refuse(masker):
    """Raise with the accepted types."""
    kind, hint = type(masker).__name__, ""
    if isinstance(masker, type):
        kind, hint = f"class {masker.__name__}", f" Call it: {masker.__name__}(...)."
    elif "Surface" in kind or "Gifti" in kind or "Cifti" in kind:
        hint = " For surfaces use from_roi_timeseries() with the series of regions."
    raise TypeError(
        f"masker is a {kind}, which is not accepted. Accepted are None (the default "
        "parcellation), the name of an atlas, a 3-D or 4-D atlas image or its path, "
        f"NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker and NiftiMasker.{hint}"
    )


def volume_maskers():
    """Return nilearn's classes of maskers for volumes."""
    from nilearn import maskers

    return (
        maskers.NiftiLabelsMasker,
        maskers.NiftiMapsMasker,
        maskers.NiftiSpheresMasker,
        maskers.NiftiMasker,
    )


def clone_masker(masker, **parameters):
    """Clone a masker with other parameters, without reports."""
    from sklearn.base import clone

    # With a target_shape, nilearn needs the data of the report in any case.
    is_kept = getattr(masker, "target_shape", None) is not None
    return clone(masker).set_params(reports=is_kept, **parameters)


def _copy_masker(masker):
    from sklearn.base import clone

    # transform sets attributes on the shallow copy only; fit works on deep copies.
    return copy.copy(masker) if masker.__sklearn_is_fitted__() else clone(masker)


def _masker_from_path(path):
    import nibabel

    if isinstance(path, str) and not Path(path).is_file() and split_atlas_name(path)[0]:
        path = find_atlas(path)
    path = Path(path)
    if not path.is_file():
        if not path.name.lower().endswith(_IMAGE_ENDINGS):
            raise ValueError(
                f"masker={str(path)!r} is neither an image file nor the name of an atlas. The "
                f"names are {', '.join(ATLAS_NAMES)}."
            )
        raise FileNotFoundError(f"No such atlas image: {path}.")
    with describe_errors(f"Cannot read the atlas {path}: damaged or not a volume image"):
        image = nibabel.load(path)
    return _masker_from_image(image, f"The atlas {path}", path)


def _masker_from_image(image, where, path=None):
    """Return a masker of an atlas image, or of its path, which makes small pickles."""
    from nilearn.image import index_img
    from nilearn.maskers import NiftiMapsMasker

    shape, lut = getattr(image, "shape", ()), table_beside(path)
    if len(shape) == 4 and shape[3] == 1:
        image, path, shape = index_img(image, 0), None, shape[:3]
    if len(shape) == 4:
        image = image if path is None else str(path)
        return NiftiMapsMasker(image, standardize=_unstandardized(), reports=False)
    if len(shape) != 3:
        raise ValueError(f"{where} must be 3-D (labels) or 4-D (maps), got shape {shape}.")
    _check_labels(image, where)
    return _labels_masker(image if path is None else str(path), lut)


def _check_labels(image, where):
    with describe_errors(f"{where} cannot be read: truncated or damaged"):
        data = np.asarray(image.dataobj)
    if not np.array_equal(data, np.round(data)):
        raise ValueError(
            f"{where} is 3-D but its values are not whole numbers: it is not an image of labels. "
            "Pass an atlas, or NiftiMasker(mask_img=...) for voxels as channels."
        )
    n_labels = len(np.unique(data)) - 1
    if n_labels < 1:
        raise ValueError(f"{where} has no label: all of its voxels are equal.")
    if n_labels == 1:
        warn(
            f"{where} has one label only and gives one region. For the voxels inside a mask pass "
            "NiftiMasker(mask_img=...)."
        )


def _labels_masker(image, lut=None):
    from nilearn.maskers import NiftiLabelsMasker

    return NiftiLabelsMasker(image, lut=lut, standardize=_unstandardized(), reports=False)


def _unstandardized():
    """Return nilearn's value of ``standardize`` for none; it changed in 0.14."""
    import nilearn

    major, minor = nilearn.__version__.split(".")[:2]
    return None if (int(major), int(minor)) >= (0, 14) else False


def _lut(names):
    """Return the look-up table of an atlas with labels 1, 2, ..."""
    import pandas as pd

    return pd.DataFrame({"index": np.arange(len(names) + 1), "name": ["Background", *names]})


def table_beside(path):
    """Read the table of names next to an atlas file."""
    if path is None:
        return None
    name = Path(path).name
    for ending in (".gz", ".nii", ".img", ".hdr", ".mgz", ".mgh"):
        name = name.removesuffix(ending)
    table = Path(path).with_name(f"{name}.tsv")
    if not table.is_file():
        return None
    lut = read_table(table, ("index", "name"))
    if not {"index", "name"} <= set(lut.columns):
        return None
    lut["index"] = _as_indices(lut["index"], table)
    lut = lut.drop_duplicates(["index", "name"])
    refuse_repeated(lut["index"].tolist(), f"{table} has different names for the regions")
    return lut.sort_values("index", ignore_index=True)


def _as_indices(cells, path):
    import pandas as pd

    try:
        return pd.to_numeric(cells)
    except ValueError as error:
        raise ValueError(f"{path}: the column 'index' must hold numbers ({error}).") from error
