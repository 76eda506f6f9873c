"""The directory of a run, its log and its checkpoints.

::

    output_dir/
      run.json              corpus, network, configuration, seed and length of the run
      log.jsonl             one line per interval
      checkpoints/step-00000100/
        config.json model.safetensors manifest.json     what the estimators load
        training.safetensors                            optimizer, averages (or folder shards/)
        training.json                                   step, run, log, sha256 of the files above
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .._utils.files import remove, replace_file, sha256_of
from .._utils.logging import warn
from .._utils.unique import load_json
from ..models.checkpoint import FILES

FORMAT_VERSION = 1
#: Fields of the configuration that change no result, or that may change underway.
FREE = (
    "compile",
    "checkpoint_activations",
    "strategy",
    "save_average",
    "n_workers",
    "log_every",
    "keep_latest_k",
    "max_loss_ratio",
    "tensorboard",
)

RUN, LOG, CHECKPOINTS = "run.json", "log.jsonl", "checkpoints"
RECORD = "training.json"
_ADVICE = (
    "The run cannot write there",
    "Choose a writable output_dir with enough space",
)
_STEP = re.compile(r"step-(\d{8,})")
_LEFT_OVER = re.compile(r"\.step-\d{8,}\.(saving|previous|removing)")


@dataclass(frozen=True)
class RunCheckpoint:
    """A validated checkpoint of a run."""

    path: Path  # Its directory
    record: dict  # Content of ``training.json``

    @property
    def step(self):
        """Number of steps that were done."""
        return self.record["step"]


def latest_checkpoint(output_dir):
    """Find the newest checkpoint of a run that is whole.

    All files of a checkpoint are compared with their sha256. A damaged one is passed over with a
    warning.

    Parameters
    ----------
    output_dir : path-like
        What :func:`~brainof_toolbox.pretraining.pretrain` wrote to.

    Returns
    -------
    directory : pathlib.Path
        The checkpoint, for :class:`~brainof_toolbox.BrainOFEmbedder` among others.

    Raises
    ------
    FileNotFoundError
        If there is no valid checkpoint.
    """
    return find_latest(output_dir).path


def is_run(path):
    """Return whether a folder is that of a pretraining run, rather than a checkpoint."""
    path = Path(path)
    return (path / CHECKPOINTS).is_dir() and not (path / FILES[0]).exists()


def find_latest(output_dir):
    """Find the newest checkpoint that is whole, and read its record."""
    folder = Path(os.path.abspath(output_dir)) / CHECKPOINTS
    damaged = []
    for path in reversed(list_steps(folder)):
        try:
            return RunCheckpoint(path, _validate(path))
        except (ValueError, OSError) as error:
            damaged.append(path.name)
            warn(f"The checkpoint {path} is damaged and passed over: {error}")
    found = f"only damaged ones ({', '.join(damaged)})" if damaged else "none"
    raise FileNotFoundError(
        errno.ENOENT,
        f"A valid checkpoint of a pretraining run is needed here, found {found}. Name the "
        f"output_dir of a run that has saved, or begin a new one without resume=True (--resume of "
        f"brainof pretrain)",
        str(folder),
    )


def list_steps(folder):
    """List the directories of checkpoints."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _STEP.fullmatch(path.name) and path.is_dir()]
    return sorted(paths, key=_number)


def _number(path):
    return int(_STEP.fullmatch(path.name)[1])


def _validate(path):
    """Return the record of a checkpoint; raise if it is damaged."""
    record = load_json((path / RECORD).read_bytes())
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{RECORD} is not of format version {FORMAT_VERSION}")
    content = dict(record)
    if content.pop("sha256", None) != hash_record(content):
        raise ValueError(f"{RECORD} does not fit its own sha256")
    if not set(FILES) <= set(record["files"]):
        raise ValueError(f"{RECORD} does not list {', '.join(FILES)}")
    for name, sha256 in record["files"].items():
        if sha256_of(path / name) != sha256:
            raise ValueError(f"{name} does not fit its sha256")
    return record


def hash_record(content):
    """Return the sha256 of a record."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class RunDirectory:
    """Directory of a run; only the main process writes to it."""

    def __init__(self, path):
        self.path = Path(os.path.abspath(path))
        self.checkpoints = self.path / CHECKPOINTS

    def begin(self, run):
        """Make the directory of a new run."""
        if list_steps(self.checkpoints):
            raise FileExistsError(
                errno.EEXIST,
                "There is a pretraining run already: continue it with resume=True (--resume of "
                "brainof pretrain), or choose another output_dir",
                str(self.path),
            )
        # A run that was stopped before its first checkpoint holds nothing worth keeping.
        if (self.path / LOG).exists() and not self._is_ours():
            raise FileExistsError(
                errno.EEXIST,
                f"There is a {LOG} of another origin: choose another output_dir",
                str(self.path),
            )
        with explain_write_error(self.path, *_ADVICE):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            (self.path / LOG).unlink(missing_ok=True)
            self._clear_up()
            self._describe(run)

    def resume(self, run, ranks):
        """Find where to continue; every process must take part."""
        saved = self._resume(run) if ranks.is_main else None
        step = int(ranks.gather(saved.step if ranks.is_main else 0)[0])
        if saved is None:
            path = self.step_path(step)
            saved = RunCheckpoint(path, load_json((path / RECORD).read_bytes()))
        return saved

    def _resume(self, run):
        saved = find_latest(self.path)
        before = saved.record["run"]
        if saved.step == before["total_steps"] < run["total_steps"]:
            before = {**before, "total_steps": run["total_steps"]}  # a finished run goes on
        differences = list_differences(before, run)
        if differences:
            raise ValueError(
                f"The run in {self.path} cannot be resumed, as it was started with other "
                f"settings (old -> new): {'; '.join(differences)}. Give it the old ones, or "
                f"another output_dir."
            )
        with explain_write_error(self.path, *_ADVICE):
            self._clear_up()
            for path in list_steps(self.checkpoints):
                if _number(path) > saved.step:
                    _delete(path)  # damaged, as the newest valid one is older
            self._describe(run)
        return saved

    def step_path(self, step):
        """Return where the checkpoint of a step stands."""
        return self.checkpoints / f"step-{step:08d}"

    def prune(self, keep):
        """Delete all but the latest checkpoints."""
        for path in list_steps(self.checkpoints)[:-keep]:
            with contextlib.suppress(OSError):
                _delete(path)

    def _is_ours(self):
        try:
            return "total_steps" in load_json((self.path / RUN).read_bytes())
        except (OSError, ValueError):
            return False

    def _describe(self, run):
        """Replace run.json."""
        with replace_file(self.path / RUN) as file:
            file.write(json.dumps(run, indent=2).encode())

    def _clear_up(self):
        """Delete what a killed process left."""
        for path in self.checkpoints.iterdir():
            if _LEFT_OVER.fullmatch(path.name):
                remove(path)


@contextlib.contextmanager
def explain_write_error(path, problem, advice):
    """Add the problem and advice to errors of the system."""
    try:
        yield
    except OSError as error:
        text = f"{problem} ({error.strerror or error}). {advice}"
        raise OSError(error.errno or errno.EIO, text, str(path)) from error


def _delete(path):
    """Delete a checkpoint; what is half deleted must not be taken for a damaged one."""
    gone = path.with_name(f".{path.name}.removing")
    os.rename(path, gone)
    remove(gone)


def list_differences(old, new, name=""):
    """Compare two descriptions of runs."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        if name == "training." and key in FREE:
            continue
        one, other = old.get(key, "absent"), new.get(key, "absent")
        if isinstance(one, dict) and isinstance(other, dict):
            found += list_differences(one, other, f"{name}{key}.")
        elif one != other:
            found.append(f"{name}{key}: {_short(one)} -> {_short(other)}")
    return found


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
