"""Read fMRI images as Signals: one series per region of a nilearn masker."""

from __future__ import annotations

import inspect
import os
import warnings
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from .._utils.files import sha256_of
from .._utils.logging import group_warnings, warn
from .._utils.messages import and_more, name_place
from .._utils.validation import per_item
from ..signals import PER_SAMPLE, Signals
from .confounds import FMRIPREP, read_confounds
from .fitted_maskers import MAX_VOXELS, content_of, masker_content
from .image_run import MIN_VOLUMES, check_space, describe, is_image, open_run
from .masking import mask_image
from .regions import resolve_masker

__all__ = ["MAX_VOXELS", "from_nifti", "is_image", "read_run"]

#: Parameters of maskers that do not change what is extracted.
_NOT_IN_KEY = ("memory", "memory_level", "verbose", "reports", "n_jobs", "cmap")


@group_warnings()
def from_nifti(
    imgs,
    *,
    masker=None,
    t_r=None,
    confounds=None,
    memory=None,
    subject=None,
    session=None,
    task=None,
    run=None,
):
    """Read fMRI images as series of regions: one sample per run or map.

    Parameters
    ----------
    imgs : path-like | Niimg-like | list
        Images in MNI space: NIfTI, Analyze or MGH files or nibabel images. They are not
        changed. A list is read one by one; only the series are kept in memory. A 4-D image is a
        run; a 3-D image is a map (betas or contrasts of a first-level model).
    masker : None | str | path-like | Niimg-like | nilearn masker
        The regions: ``None`` for the default parcellation, the name of an atlas, an atlas image,
        or a ``NiftiLabelsMasker``, ``NiftiMapsMasker``, ``NiftiSpheresMasker`` or ``NiftiMasker``
        (up to 4096 voxels as channels), fitted or not; it is not changed.
    t_r : float | None
        Repetition time in seconds. ``None``: that of the masker, else ``RepetitionTime`` of the
        BIDS sidecar, else that of the header.
    confounds : DataFrame | array-like | path-like | str | list | None
        Regressors to remove from the series: the table of one image (n_volumes, n_confounds) or
        its file, or a list with one entry per image. ``"auto"``: fMRIPrep's table beside each
        image. Of fMRIPrep's files the columns of nilearn's strategy "simple" are used (24 motion
        parameters, white matter, CSF, high-pass cosines). NaN in the first row of derivatives
        becomes 0, with a warning.
    memory : str | joblib.Memory | None
        Cache of masked series, keyed by the content of the image and all parameters.
    subject, session, task, run : str | list | None
        Labels of all images, or one entry per image. ``None``: from the BIDS name of the file.

    Returns
    -------
    signals : Signals | list of Signals
        One sample of shape (1, n_regions, n_volumes) per image, values as returned by the
        masker, ``sfreq = 1 / t_r``. A list for a list: lengths and regions may differ. A map has
        one volume, ``sfreq = 1`` and ``has_baseline=True``.

    Raises
    ------
    FileNotFoundError
        If a file does not exist; broken datalad links are reported as such.
    ValueError
        If an image is damaged, neither 4-D nor 3-D, shorter than 10 volumes or zero, its
        repetition time is unknown or impossible, confounds do not fit or are given for a map, or
        no region has data.
    TypeError
        If an item is not an image.

    Notes
    -----
    Regions without data (outside the field of view, or always zero) are left out with a warning
    that names them; constant ones are kept with a warning. NaN voxels count as 0, as in nilearn,
    with a warning if they lie in a region.

    Of a map the masker gives the mean of each region, or its weight of each map: parameters that
    act over time (``standardize``, ``detrend``, filters) do not apply. Estimators use these values
    as features (block ``"evoked"``). Latents and correlations do not exist for a single volume:
    ``features="auto"`` leaves them out, and ``features="latents"`` is an error.

    A masker of regions has no parameters estimated from data, so a fitted one is fitted again to
    each image; a fitted ``NiftiMasker`` keeps its mask.
    """
    items, is_list = as_images(imgs)
    masker = resolve_masker(masker)
    tables = confounds_per_image(confounds, len(items), is_list)
    labels = {
        name: per_item(name, value, len(items), "images")
        for name, value in zip(PER_SAMPLE, (subject, session, task, run), strict=True)
    }
    signals, places = [], {}
    for i, item in enumerate(items):
        where = describe(item, i if is_list else None)
        with _naming(where):
            opened = open_run(item, where, t_r=t_r, masker_t_r=masker.t_r)
            own = {name: values[i] for name, values in labels.items()}
            one, messages = _read(opened, masker, tables[i], memory, own)
        signals.append(one)
        for message in messages:
            places.setdefault(message, []).append(where)
    for message, found in places.items():  # one warning for all images that it applies to
        warn(f"{found[0]}{and_more(len(found), 1)}: {message}")
    return signals if is_list else signals[0]


def as_images(imgs):
    """Return images as a list, and if they were given as one."""
    is_column = getattr(imgs, "ndim", 0) == 1  # an array or a pandas.Series of paths
    is_list = isinstance(imgs, (list, tuple)) or is_column
    if is_list and not len(imgs):
        raise ValueError("imgs is empty: no images.")
    return list(imgs) if is_list else [imgs], is_list


def read_run(run, *, masker=None, confounds=None, memory=None):
    """Read an :class:`~brainof_toolbox.io.image_run.ImageRun` as :func:`from_nifti` reads it."""
    (confounds,) = confounds_per_image(confounds, 1, False)
    with _naming(run.where):
        run = run.refreshed()
        signals, messages = _read(run, resolve_masker(masker), confounds, memory, {})
    for message in messages:
        warn(f"{run.where}: {message}")
    return signals


def confounds_per_image(value, n_images, is_list):
    """Return a list with the confounds of each image."""
    if isinstance(value, (list, tuple)) and (is_list or len(value) == 1):
        return per_item("confounds", value, n_images, "images")
    is_word = isinstance(value, str) and value in FMRIPREP
    if value is not None and not is_word and n_images > 1:
        raise ValueError(
            f"confounds is one table but there are {n_images} images: give a list with one entry "
            "per image."
        )
    return [value] * n_images


@contextmanager
def _naming(where):
    """Name the image in errors."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        if where in str(error):
            raise
        raise name_place(error, where) from error


def _read(run, masker, confounds, memory, labels):
    """Read an opened image -> Signals, messages; ``labels`` replace those of the file name."""
    image, path, where, t_r = run.image, run.path, run.where, run.t_r
    for note in run.notes:
        warn(note)
    check_space(image, where, run.entities.get("space"))
    is_map = t_r is None
    if is_map and confounds is not None:
        raise ValueError(f"{where} is a map (3-D): confounds are for runs (4-D).")
    n_volumes = 1 if is_map else image.shape[3]
    values, kept = read_confounds(confounds, n_volumes, where=where, path=path)
    kept = np.arange(n_volumes) if kept is None else np.asarray(kept)
    if len(kept) < min(MIN_VOLUMES, n_volumes):
        raise ValueError(
            f"{where}: confounds leave {len(kept)} of {n_volumes} volumes; the minimum is "
            f"{MIN_VOLUMES}."
        )
    series, names, pos, messages = _cached(memory, image, path, masker, t_r, values, kept, where)
    labels = run.entities | {name: str(v) for name, v in labels.items() if v is not None}
    gaps = np.flatnonzero(np.diff(kept) != 1) + 1  # between volumes that are contiguous
    signals = Signals(
        data=series.T[None],
        sfreq=1.0 / (t_r or 1.0),
        modality="fmri",
        ch_names=names,
        ch_types=("bold",) * len(names),
        ch_pos=pos,
        onset=[kept[0] * (t_r or 1.0)],
        good_segments=pairwise([0, *gaps.tolist(), len(kept)]),
        has_baseline=is_map,
        is_locked=is_map,
        **{name: (labels.get(name),) for name in PER_SAMPLE},
    )
    return signals, messages


def check_memory(memory):
    """Raise if ``memory`` is not a cache."""
    is_folder = memory is None or isinstance(memory, (str, os.PathLike))
    if not is_folder and not hasattr(memory, "cache"):
        raise TypeError(
            f"memory must be a folder, a joblib.Memory or None, got {type(memory).__name__}."
        )


def _cached(memory, image, path, masker, t_r, confounds, kept, where):
    arguments = (image, masker, t_r, confounds, kept, where)
    if memory is None:
        return mask_image(None, *arguments)
    import joblib

    check_memory(memory)
    if isinstance(memory, (str, os.PathLike)):
        memory = joblib.Memory(os.fspath(memory), verbose=0)
    key = _key(image, path, masker, t_r, confounds, kept)
    ignored = list(inspect.signature(mask_image).parameters)[1:]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Persisting input arguments")
        return memory.cache(mask_image, ignore=ignored)(key, *arguments)


def _key(image, path, masker, t_r, confounds, kept):
    """Hash everything that the series depend on: contents, not names or dates of files."""
    import joblib
    import nibabel
    import nilearn

    names = [holder.filename for holder in image.file_map.values() if holder.filename]
    is_on_disk = path is not None and nibabel.is_proxy(image.dataobj)
    content = [sha256_of(name) for name in names] if is_on_disk else content_of(image)
    regions = masker_content(masker, without=_NOT_IN_KEY)
    parts = (content, regions, t_r, confounds, kept, nilearn.__version__)
    return joblib.hash(parts, hash_name="sha1")
