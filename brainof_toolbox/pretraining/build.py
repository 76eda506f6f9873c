"""Recordings of any kind -> a corpus: in parallel, resumable, all or nothing."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .._utils.files import replace_file
from .._utils.logging import group_warnings, progress, warn
from .._utils.messages import and_more
from .._utils.validation import check_number, check_option
from ..io.images import check_memory
from ..io.inputs import ReadOptions
from ..io.regions import resolve_masker
from ..preprocessing import Preprocessing
from .build_folder import BuildFolder, writing
from .build_keys import hash_of, options_key, recording_keys
from .build_part import BuildOptions, build_part
from .build_sources import find_recordings
from .corpus import Corpus
from .format import DTYPES, HEADER, RECORDINGS
from .recording_writer import read_part

_PACKAGES = ("brainof_toolbox", "mne", "nilearn", "numpy", "scipy")


@group_warnings()
def build_corpus(
    sources,
    directory,
    *,
    preprocessing=None,
    window=None,
    fmri_volumes=320,
    dtype="int16",
    masker=None,
    memory=None,
    missing_positions="raise",
    dataset=None,
    licence=None,
    bids=None,
    n_jobs=1,
    on_error="skip",
    verbose=None,
):
    """Read recordings, preprocess them, cut them into samples and write a corpus.

    Interrupted, even killed, it leaves no corpus, but what was finished: the same call goes on
    from there and gives the same bytes. Neither the number of processes nor the order in which
    they finish changes anything.

    Parameters
    ----------
    sources : object
        One source, or a list: a BIDS folder; a folder of recordings; a file that MNE or nilearn
        reads; a ``.txt`` file with one such path per line; ``"simulated:8x120"`` for 8 simulated
        subjects of 120 s with EEG, MEG and fMRI at once (``"simulated:8x120:7"`` with the seed
        7); :class:`mne.io.Raw`, Epochs, images, Signals, PairedSignals; records and what
        :func:`~brainof_toolbox.read_bids` or
        :func:`~brainof_toolbox.datasets.make_paired_recordings` give.
    directory : path-like
        Where the corpus goes: absent, or an empty folder. Finished recordings wait beside it, in
        ``.NAME.building``, until it is whole.
    preprocessing : Preprocessing | None
        What is done to the recordings; it travels with the corpus into the checkpoint.
    window : dict of str -> float | None
        Longest sample in seconds for ``"eeg"`` and ``"meg"``; ``None``: those of
        ``preprocessing``, 10 s and 2 s.
    fmri_volumes : int
        Longest sample of fMRI in volumes: runs differ in their repetition time.
    dtype : str
        ``"int16"`` or ``"float16"``, both with one scale per sample and channel.
    masker : object
        Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`.
    memory : str | joblib.Memory | None
        Cache of region series.
    missing_positions : str
        What happens to sensors without a position: ``"raise"`` makes the recording unusable,
        ``"placeholder"`` places them by order.
    dataset, licence : str | sequence of (str | None) | None
        Name and licence for all sources, or one per source. ``None``: those of
        ``dataset_description.json``, else the name of the folder, and no licence.
    bids : dict | None
        Options of :func:`~brainof_toolbox.read_bids`, for every BIDS folder.
    n_jobs : int
        Processes, through :class:`joblib.Parallel`; -1 for one per core. A joblib backend that
        gives no results early is replaced by ``"loky"``, with a warning.
    on_error : str
        ``"skip"`` leaves recordings out that cannot be used, and names them in the corpus;
        ``"raise"`` stops.
    verbose : bool | None
        ``None`` shows progress of work that takes longer than a few seconds: a bar on a terminal
        and in notebooks, a line every 30 s elsewhere. ``True``: from the start; ``False``: never.

    Returns
    -------
    corpus : Corpus
        The corpus, opened. When it is there already, made by the same call from the same
        sources, it is opened at once.

    Raises
    ------
    FileNotFoundError
        If a source does not exist.
    FileExistsError
        If the directory holds anything else, or an unfinished build with other options.
    ValueError
        If nothing is found, or nothing of it can be used.
    OSError
        If the corpus cannot be written, naming the path.

    Notes
    -----
    *Subjects* are kept as hashes of their names: those of BIDS and of records; ``sub-XX`` in the
    name of a file, else its stem; for an object its own.

    *Samples* cover a recording evenly and may overlap. Windows of zeros, in which no channel
    varies, are left out and counted. A recording counts as changed when the size or the time of
    its files does. A recording split over FIF files is one, read from its first file.
    """
    options = _check_options(
        preprocessing,
        window,
        fmri_volumes,
        dtype,
        ReadOptions(None, missing_positions, masker, memory),
    )
    check_option("on_error", on_error, ("skip", "raise"))
    if not isinstance(n_jobs, int) or n_jobs == 0:
        raise ValueError(f"The parameter 'n_jobs' must be a whole number but 0, got {n_jobs!r}.")
    directory = Path(os.path.abspath(directory))
    recordings = find_recordings(sources, dataset=dataset, licence=licence, bids=bids)
    recordings, keys = recording_keys(recordings, options)
    labels = [[r.dataset, r.licence] for r in recordings]
    request = {"options": options_key(options), "sources": hash_of(keys, labels)}
    folder = directory.with_name(f".{directory.name}.building")
    existing = _open_existing(directory, request)
    if existing is not None:
        shutil.rmtree(folder, ignore_errors=True)  # left by a kill after the last rename
        return existing
    with _only_builder(folder, request["options"]):
        with writing(folder):
            build = BuildFolder(folder)
            items = _build_all(build, recordings, keys, options, n_jobs, on_error, verbose)
            _refuse_nothing(items, recordings, folder)
            header = _header(options, request, recordings)
            build.finish(items, recordings, header, dtype)
            build.publish(directory)
    corpus = Corpus(directory)
    _report(corpus, len(recordings))
    return corpus


def _check_options(preprocessing, window, fmri_volumes, dtype, reading):
    preprocessing = Preprocessing() if preprocessing is None else preprocessing
    if not isinstance(preprocessing, Preprocessing):
        raise TypeError(
            "The parameter 'preprocessing' must be a Preprocessing or None, got "
            f"{preprocessing!r}."
        )
    if window is not None and not isinstance(window, dict):
        raise TypeError(
            f"The parameter 'window' must be a dict such as {{'eeg': 10.0, 'meg': 2.0}}, got "
            f"{window!r}."
        )
    for name in window or ():
        check_option("window", name, ("eeg", "meg"), "For fMRI give fmri_volumes.")
    check_number("fmri_volumes", fmri_volumes, low=10, integer=True)
    check_option("dtype", dtype, DTYPES)
    check_option("missing_positions", reading.missing_positions, ("raise", "placeholder"))
    check_memory(reading.memory)
    if reading.masker is not None:
        resolve_masker(reading.masker)  # raises if it is not accepted
    windows = {**preprocessing.window, **(window or {})}
    return BuildOptions(replace(preprocessing, window=windows), fmri_volumes, dtype, reading)


def _open_existing(directory, request):
    """Open the existing corpus if the same call made it; refuse anything else."""
    if not os.path.lexists(directory):
        return None
    if not directory.is_dir():
        raise FileExistsError(errno.EEXIST, "This is no folder to put a corpus in", str(directory))
    if not os.listdir(directory):
        return None
    if not (directory / HEADER).is_file():
        raise FileExistsError(
            errno.EEXIST, "The folder holds other files; give a new one", str(directory)
        )
    corpus = Corpus(directory)
    if corpus.request == request:
        return corpus
    what = "options" if (corpus.request or {}).get("options") != request["options"] else "sources"
    raise FileExistsError(
        errno.EEXIST,
        f"The folder holds a corpus that was built from other {what}; give a new folder, or "
        "delete this one",
        str(directory),
    )


@contextmanager
def _only_builder(folder, key):
    """Keep other builders out, and builds with other options apart."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "ab")
    with lock:
        _lock(lock, folder)
        path = folder / "options"
        if path.is_file() and path.read_text() != key:
            raise FileExistsError(
                errno.EEXIST,
                "An unfinished build with other options is here. Build with the same options to "
                "go on, or delete this folder",
                str(folder),
            )
        with writing(folder), replace_file(path) as file:
            file.write(key.encode())
        yield


def _lock(file, folder):
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno, "Another process is building this corpus; wait for it", str(folder)
        ) from error
    except OSError:  # a file system without locks
        pass


def _build_all(build, recordings, keys, options, n_jobs, on_error, verbose):
    """Build the recordings that are not done; return one part, or reason of a skip, for each."""
    files = build.corpus / RECORDINGS
    items = {key: read_part(build.parts / key, files, options.dtype) for key in keys}
    rest = [pair for pair in zip(recordings, keys, strict=True) if items[pair[1]] is None]
    calls = [(recording, build.parts / key, files, options) for recording, key in rest]
    outcomes = _run(calls, n_jobs)
    bar = progress(
        zip(rest, outcomes, strict=True),
        total=len(rest),
        description="Building",
        enabled=verbose,
    )
    warned = {}
    try:
        for (recording, key), (part, reason, messages) in bar:
            for message in messages:
                warned.setdefault(message, []).append(recording.name)
            if part is None and on_error == "raise":
                raise ValueError(f"{recording.name}: {reason}")
            items[key] = {"reason": reason} if part is None else part
    finally:
        outcomes.close()  # no process writes once another builder may begin
        for message, names in warned.items():
            warn(f"{names[0]}{and_more(len(names), 1)}: {message}")
    return [items[key] for key in keys]


def _run(calls, n_jobs):
    """Yield what came of each recording, in order."""
    if n_jobs == 1:
        for call in calls:
            yield build_part(*call)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from joblib.parallel import get_active_backend

    backend = None
    if not get_active_backend()[0].supports_return_generator:
        backend = "loky"
        warn(
            "The joblib backend in use gives no result before all are there: this build uses "
            "'loky', processes of this machine."
        )
    options = {"return_as": "generator", "pre_dispatch": "2 * n_jobs", "batch_size": 1}
    outcomes = Parallel(n_jobs, backend=backend, **options)(delayed(build_part)(*c) for c in calls)
    try:
        for outcome in outcomes:  # noqa: UP028 (yield from would close it before the end below)
            yield outcome
    except TerminatedWorkerError as error:
        raise RuntimeError(
            "A process of the build was killed, most likely for lack of memory. What is finished "
            f"is kept: build again with fewer than n_jobs={n_jobs}."
        ) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that tasks were cancelled
            outcomes.close()


def _refuse_nothing(items, recordings, folder):
    if any(item.get("rows") for item in items):
        return
    shutil.rmtree(folder, ignore_errors=True)
    reasons = [f"{r.name}: {item['reason']}" for r, item in zip(recordings[:5], items)]
    shown = "; ".join(reasons) + and_more(len(recordings), 5)
    raise ValueError(f"None of the {len(recordings)} recordings can be used: {shown}")


def _header(options, request, recordings):
    window = {name: options.preprocessing.window[name] for name in ("eeg", "meg")}
    datasets = {recording.dataset: {"licences": []} for recording in recordings}
    for name, licence in dict.fromkeys((r.dataset, r.licence) for r in recordings):
        datasets[name]["licences"] += [licence] if licence else []
    return {
        "preprocessing": options.preprocessing.to_dict(),
        "window": {**window, "fmri": options.fmri_volumes},
        "datasets": datasets,
        "request": request,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _report(corpus, n_recordings):
    """Report what was left out."""
    if corpus.skipped:
        first = corpus.skipped[0]
        warn(
            f"{len(corpus.skipped)} of {n_recordings} recordings cannot be used and were skipped; "
            f"corpus.skipped names them. The first is {first['name']}: {first['reason']}"
        )
    if corpus.n_empty_windows:
        warn(
            f"{corpus.n_empty_windows} windows of zeros, in which no channel varies, were left "
            "out."
        )
