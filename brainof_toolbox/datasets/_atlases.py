"""Explicit downloads of published atlases, through nilearn."""

from __future__ import annotations

import os
import shutil
import tempfile

from ..io.atlases import ATLAS_NAMES, atlas_folder, find_atlas, split_atlas_name
from ..io.regions import resolve_masker


def fetch_atlas(name, *, data_dir=None):
    """Download a published atlas once, so that its name can be passed as ``masker=``.

    No other function of this package downloads an atlas.

    Parameters
    ----------
    name : str
        ``"schaefer-100"`` (to ``"schaefer-1000"``; 7 networks), ``"aal"`` (version 3v2),
        ``"harvard-oxford"`` (cortical, split into hemispheres), ``"destrieux"``, ``"basc-122"``
        (7, 12, 20, 36, 64, 122, 197, 325 or 444), ``"difumo-64"`` (to ``"difumo-1024"``) or
        ``"msdl"``. ``"brainnetome"`` must be downloaded by hand; the error has the address.
    data_dir : path-like | None
        Folder of all atlases. ``None`` (default): the environment variable ``BRAINOF_ATLASES``,
        or else ``~/.cache/brainof_toolbox/atlases``. Atlases in another folder are not found by
        name: set the variable, or use the returned masker.

    Returns
    -------
    masker : nilearn.maskers.NiftiLabelsMasker | nilearn.maskers.NiftiMapsMasker
        Unfitted; ``masker=name`` is equal to it from now on. An existing atlas is not downloaded
        again.

    Raises
    ------
    ValueError
        If there is no such atlas.
    OSError
        If the download fails; partial files are removed.
    FileNotFoundError
        For ``"brainnetome"``, if its file does not exist.
    """
    family, n_regions = split_atlas_name(name)
    if family is None:
        raise ValueError(f"No atlas is called {name!r}; available are {', '.join(ATLAS_NAMES)}.")
    folder = atlas_folder(name, data_dir)
    if family != "brainnetome" and not (folder / "atlas.nii.gz").is_file():
        _download(name, family, n_regions, folder)
    return resolve_masker(find_atlas(name, data_dir))


def _download(name, family, n_regions, folder):
    """Fetch into a temporary folder, and move it to the final one when complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
    try:
        atlas = _fetch(family, n_regions, os.path.join(scratch, "nilearn"))
        _save(atlas, scratch)
        folder.mkdir(exist_ok=True)
        for file in ("atlas.tsv", "atlas.nii.gz"):  # the image last: it marks a complete atlas
            os.replace(os.path.join(scratch, file), folder / file)
    except Exception as error:  # nilearn and its downloads raise many types
        raise OSError(
            f"Could not download the atlas {name!r} to {folder}: {type(error).__name__}: {error}. "
            "Check the connection, or download the file yourself and pass its path as masker=."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetch(family, n_regions, data_dir):
    from nilearn import datasets

    function, options = {
        "schaefer": ("schaefer_2018", {"n_rois": n_regions, "resolution_mm": 2}),
        "aal": ("aal", {}),
        "harvard-oxford": (
            "harvard_oxford",
            {"atlas_name": "cort-maxprob-thr25-2mm", "symmetric_split": True},
        ),
        "destrieux": ("destrieux_2009", {}),
        "basc": ("basc_multiscale_2015", {"resolution": n_regions}),
        "difumo": ("difumo", {"dimension": n_regions}),
        "msdl": ("msdl", {}),
    }[family]
    fetch = getattr(datasets, f"fetch_atlas_{function}")
    return fetch(**options, data_dir=data_dir, verbose=0)


def _save(atlas, folder):
    """Return the image, and the table of names that :func:`resolve_masker` reads."""
    from nilearn.image import load_img

    image = load_img(atlas.maps)
    image.to_filename(os.path.join(folder, "atlas.nii.gz"))
    _table(atlas, image).to_csv(os.path.join(folder, "atlas.tsv"), sep="\t", index=False)


def _table(atlas, image):
    import pandas as pd

    lut = getattr(atlas, "lut", None)
    if len(image.shape) == 3 and lut is not None:
        return lut[["index", "name"]]
    names = atlas.labels
    if isinstance(names, pd.DataFrame):  # DiFuMo
        column = next((c for c in names.columns if "name" in str(c).lower()), names.columns[0])
        names = names[column]
    return pd.DataFrame({"index": range(1, len(names) + 1), "name": list(names)})
