"""Convert a parcellation given by the user to a nilearn masker."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
from sklearn.base import clone

from .._utils.logging import warn
from .._utils.messages import describe_errors
from .._utils.unique import refuse_repeated
from .._utils.validation import check_number
from .atlases import ATLAS_NAMES, default_parcellation, find_atlas, split_atlas_name
from .bids_names import stem_of
from .tables import read_table

_IMAGE_ENDINGS = (".nii", ".nii.gz", ".img", ".hdr", ".mgz", ".mgh")


def resolve_masker(masker=None, *, t_r=None):
    """Return a nilearn masker of None, an atlas name, an image, a path or a masker."""
    if t_r is not None:
        check_number("t_r", t_r, low=0, low_open=True)
    if masker is None:
        import pandas as pd

        image, labels, _ = default_parcellation()
        names = ["Background", *labels]
        masker = _labels_masker(image, pd.DataFrame({"index": range(len(names)), "name": names}))
    elif isinstance(masker, volume_maskers()):
        # transform sets attributes on the shallow copy only; fit works on deep copies.
        masker = copy.copy(masker) if masker.__sklearn_is_fitted__() else clone(masker)
    elif isinstance(masker, (str, os.PathLike)):
        masker = _masker_from_path(masker)
    elif hasattr(masker, "get_fdata") or hasattr(masker, "affine"):
        masker = _masker_from_image(masker, "The atlas")
    else:
        kind, hint = type(masker).__name__, ""
        if isinstance(masker, type):
            kind, hint = f"class {masker.__name__}", f" Call it: {masker.__name__}(...)."
        elif "Surface" in kind or "Gifti" in kind or "Cifti" in kind:
            hint = " For surfaces use from_roi_timeseries() with the series of regions."
        elif hasattr(masker, "n_parcels") or hasattr(masker, "n_components"):
            image = "labels_img_" if hasattr(masker, "n_parcels") else "components_img_"
            hint = (
                f" Fit the {kind} to images of training subjects, and pass its atlas, "
                f"masker={kind.lower()}.{image}, or a masker of it with the filters that you want."
            )
        raise TypeError(
            f"masker is a {kind}, which is not accepted. Accepted are None (the default "
            "parcellation), the name of an atlas, a 3-D or 4-D atlas image or its path, "
            f"NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker and NiftiMasker.{hint}"
        )
    if t_r is not None and masker.t_r is None:
        masker.t_r = float(t_r)
    return masker


def volume_maskers():
    """Return nilearn's classes of maskers for volumes."""
    from nilearn import maskers

    kinds = ("Labels", "Maps", "Spheres", "")
    return tuple(getattr(maskers, f"Nifti{kind}Masker") for kind in kinds)


def clone_masker(masker, **parameters):
    """Clone a masker with other parameters, without reports."""
    # With a target_shape, nilearn needs the data of the report in any case.
    is_kept = getattr(masker, "target_shape", None) is not None
    return clone(masker).set_params(reports=is_kept, **parameters)


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
        return NiftiMapsMasker(image if path is None else str(path), **_plain())
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

    return NiftiLabelsMasker(image, lut=lut, **_plain())


def _plain():
    """Return parameters for neither reports nor standardised series; nilearn 0.14 changed them."""
    import nilearn

    version = tuple(map(int, nilearn.__version__.split(".")[:2]))
    return {"standardize": None if version >= (0, 14) else False, "reports": False}


def table_beside(path):
    """Read the table of names next to an atlas file."""
    import pandas as pd

    if path is None:
        return None
    table = Path(path).with_name(f"{stem_of(path)}.tsv")
    lut = read_table(table, ("index", "name")) if table.is_file() else ()
    if not {"index", "name"} <= set(lut):
        return None
    try:
        lut["index"] = pd.to_numeric(lut["index"])
    except ValueError as error:
        raise ValueError(f"{table}: the column 'index' must hold numbers ({error}).") from error
    lut = lut.drop_duplicates(["index", "name"])
    refuse_repeated(lut["index"].tolist(), f"{table} has different names for the regions")
    return lut.sort_values("index", ignore_index=True)
