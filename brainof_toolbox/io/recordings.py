"""Any recording file that MNE reads -> an MNE object."""

from __future__ import annotations

import warnings
from pathlib import Path

from .._utils.logging import warn
from .._utils.messages import join_some
from .edf import correct_highpass
from .edf_gaps import mark_gaps

_EPOCHS_ENDINGS = ("-epo.fif", "_epo.fif", "-epo.fif.gz", "_epo.fif.gz")
_AVERAGE_ENDINGS = ("-ave.fif", "_ave.fif", "-ave.fif.gz", "_ave.fif.gz")
_OTHER_FIF = (
    "cov",
    "fwd",
    "inv",
    "trans",
    "src",
    "sol",
    "bem",
    "proj",
    "ica",
    "eve",
    "cor",
    "stc",
)


def read_recording(path):
    """Read a recording with the MNE reader that fits the file.

    Parameters
    ----------
    path : path-like
        A continuous recording (``.fif``, ``.edf``, ``.bdf``, ``.vhdr``, ``.set``, ``.sqd``,
        ``.ds``, a BTi/4D data file beside its config and head shape, and all else that
        :func:`mne.io.read_raw` knows), epochs (``*-epo.fif``, ``.set`` with epochs) or averages
        (``*-ave.fif``, each average one epoch).

    Returns
    -------
    recording : mne.io.BaseRaw | mne.BaseEpochs
        Raw data stay on disk where the format allows it. Gaps of discontinuous EDF+ and BDF+
        files are marked as :func:`mne.concatenate_raws` marks them (``BAD boundary``), and
        annotations lie where their data are: times do not count the gaps.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a recording, or damaged, or a discontinuous one whose records have no
        times or overlap; the message names it.

    Warns
    -----
    RuntimeWarning
        If annotations lie in gaps, where there are no data, and are left out, or a file that is
        called continuous has gaps.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such recording: {path}.")
    name = path.name.lower()
    stem_end = name.removesuffix(".gz").removesuffix(".fif").replace("_", "-").split("-")[-1]
    if ".fif" in name and stem_end in _OTHER_FIF:
        raise ValueError(
            f"{path} is no recording: it ends in {stem_end!r}, one of MNE's derived files."
        )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recording = _read(path, name)
    except Exception as error:  # readers raise anything on a damaged file; the file must be named
        raise ValueError(
            f"Cannot read {path}: damaged, truncated or not a recording that MNE knows "
            f"({type(error).__name__}: {error})."
        ) from error
    settled = _settle_records(recording, path)
    for entry in caught:  # MNE says what is odd in the file, but not in which
        message = str(entry.message)
        is_settled = any(words in message for words in ("naming convention", *settled))
        if entry.category is RuntimeWarning and not is_settled:
            warn(f"{path}: {message}")
    return recording


def _settle_records(recording, path):
    """Place records and filters as EDF and BDF files state them; give the warnings then void."""
    if not hasattr(recording, "filenames"):  # epochs
        return ()
    correct_highpass(recording)
    settled = ("different highpass filters. Highest",)
    lost = mark_gaps(recording)
    if lost:
        warn(
            f"{path}: {len(lost)} annotation(s) lie where the recording has no data, and are left "
            f"out: {join_some(lost, 5)}."
        )
    return settled if lost is None else (*settled, "annotation(s) that were")


def _read(path, name):
    import mne

    if name.endswith(_EPOCHS_ENDINGS):
        return mne.read_epochs(path, preload=False, verbose="warning")
    if name.endswith(_AVERAGE_ENDINGS):
        return _read_averages(path)
    bti = bti_siblings(path)
    if bti is not None:
        config, head_shape = bti
        return mne.io.read_raw_bti(path, config, head_shape, verbose="warning")
    if name.endswith(".edf"):
        return mne.io.read_raw_edf(path, infer_types=True, verbose="warning")
    if name.endswith(".set"):
        return _read_eeglab(path)
    return mne.io.read_raw(path, verbose="warning")


def _read_averages(path):
    import mne

    evokeds = mne.read_evokeds(path, verbose="warning")
    baselines = {evoked.baseline for evoked in evokeds}
    return mne.EpochsArray(
        [evoked.data for evoked in evokeds],
        evokeds[0].info,
        tmin=evokeds[0].times[0],
        baseline=baselines.pop() if len(baselines) == 1 else None,
        verbose="warning",
    )


def _read_eeglab(path):
    import mne

    try:
        return mne.io.read_raw_eeglab(path, verbose="warning")
    except TypeError:  # what MNE raises when the file holds epochs
        return mne.read_epochs_eeglab(path, verbose="warning")


def bti_siblings(path):
    """BTi/4D files have no ending: they are known by their neighbours."""
    if not path.is_file() or (path.suffix and "," not in path.name):  # "c,rfhp0.1Hz" has no ending
        return None
    neighbours = [p for p in path.parent.iterdir() if p.is_file() and p != path]
    config = [p for p in neighbours if "config" in p.name.lower()]
    head_shape = [
        p
        for p in neighbours
        if p.name.lower().startswith(("hs_file", "hs_")) or "_hs" in p.name.lower()
    ]
    if len(config) != 1 or "config" in path.name.lower():
        return None
    return config[0], head_shape[0] if head_shape else None
