"""List the data files of a BIDS dataset with the entities in their names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .._utils.logging import warn
from .bids_names import parse, without_entities

#: The folder of each modality in a BIDS dataset.
DATATYPES = {"func": "fmri", "eeg": "eeg", "meg": "meg"}
#: Entities that distinguish preprocessed versions of one run.
_VERSION = ("description", "space", "cohort", "res", "den", "label")
#: Values of acq- of files in a MEG folder that are not recordings.
_NOT_RECORDINGS = ("crosstalk", "calibration")


@dataclass(frozen=True)
class DataFile:
    """Data file and its entities."""

    path: Path  # The file, or folder for CTF and BTi
    root: Path  # The dataset it belongs to, raw or derivative
    datatype: str  # ``"eeg"``, ``"meg"`` or ``"func"``
    entities: dict  # Of its name, as parsed by bids_names

    @property
    def space(self):
        """Space and resolution: ``"MNI152NLin2009cAsym:res-2"``, ``"native"``."""
        parts = [self.entities.get("space") or "native"]
        parts += [f"{k}-{self.entities[k]}" for k in ("cohort", "res") if self.entities.get(k)]
        return ":".join(parts)

    @property
    def run_key(self):
        """Entities except those that distinguish preprocessed versions of one run."""
        kept = {k: v for k, v in self.entities.items() if k not in _VERSION}
        return tuple(sorted(kept.items()))


def check_root(root):
    """Raise if a folder is not a BIDS dataset."""
    root = Path(root).expanduser().absolute()
    if not root.exists():
        raise FileNotFoundError(
            f"No such BIDS dataset: {root} does not exist (expected a folder with "
            "dataset_description.json)."
        )
    if not (root / "dataset_description.json").is_file():
        hint = "A BIDS dataset needs one; "
        above = [p for p in root.parents if (p / "dataset_description.json").is_file()]
        if above:
            hint = f"{above[0]} has one: pass that. Otherwise "
        raise ValueError(
            f"{root} is not a BIDS dataset: it has no dataset_description.json. {hint}"
            "mne_bids.make_dataset_description(path=root, name=...) writes it."
        )
    return root


def derivative_root(root, derivatives):
    """Find a derivative dataset by name or path."""
    if not isinstance(derivatives, (str, os.PathLike)):
        raise TypeError(
            "The parameter 'derivatives' must be the name of a folder in root/derivatives or a "
            f"path, got {derivatives!r}."
        )
    folders = [root / "derivatives" / derivatives, Path(derivatives).expanduser().absolute()]
    for folder in folders:
        if folder.is_dir():
            return folder
    inside = sorted(p.name for p in (root / "derivatives").glob("*") if p.is_dir())
    raise FileNotFoundError(
        f"No derivatives {os.fspath(derivatives)!r}: neither {folders[0]} nor {folders[1]} is a "
        f"folder. Under {root / 'derivatives'} there are: {inside or 'none'}."
    )


def find_files(root, datatype):
    """List the recordings of one datatype, also those that were not downloaded."""
    return _find_bold(root) if datatype == "func" else _find_sensors(root, datatype)


def _find_bold(root):
    from nilearn.interfaces.bids import get_bids_files

    paths = get_bids_files(root, file_tag="bold", file_type="nii*", modality_folder="func")
    files = [DataFile(Path(p), root, "func", parse(p)[0]) for p in paths]
    # Phase, real and imaginary parts are not BOLD.
    return [f for f in files if f.entities.get("part", "mag") == "mag"]


def _find_sensors(root, datatype):
    from mne_bids.config import ALLOWED_DATATYPE_EXTENSIONS

    allowed = ALLOWED_DATATYPE_EXTENSIONS[datatype]
    files, odd = [], []
    folders = [*root.glob(f"sub-*/{datatype}"), *root.glob(f"sub-*/ses-*/{datatype}")]
    for folder in folders:
        if folder.relative_to(root).parts[0] == "sub-emptyroom":
            continue
        for path in folder.iterdir():
            stem, _, extension = path.name.partition(".")
            is_data = f".{extension}".lower() in allowed or (not extension and path.is_dir())
            if not is_data or not stem.endswith(f"_{datatype}"):
                continue
            file = DataFile(path, root, datatype, parse(path)[0])
            if file.entities.get("acquisition") not in _NOT_RECORDINGS:
                (files if _has_bids_name(file) else odd).append(file)
    if odd:
        names = sorted(file.path.name for file in odd)
        warn(f"Left out, because their names do not follow BIDS: {names[:10]}.")
    first = {}  # of split FIF recordings, from which MNE finds the others
    for file in sorted(files, key=lambda file: file.entities.get("split", "")):
        name = without_entities(file.path.name, ("split",))
        first.setdefault(file.path.with_name(name), file)
    return sorted(first.values(), key=lambda file: file.path)


def _has_bids_name(file):
    try:
        return Path(bids_path(file).fpath) == file.path
    except (ValueError, KeyError, TypeError, RuntimeError):
        return False


def bids_path(file):
    """Return the :class:`mne_bids.BIDSPath` of an EEG or MEG recording."""
    from mne_bids import BIDSPath

    extension = file.path.name.partition(".")[2]
    return BIDSPath(
        root=file.root,
        datatype=file.datatype,
        suffix=file.datatype,
        extension=f".{extension}" if extension else ".pdf",  # a folder without ending is BTi
        check=False,
        **file.entities,
    )


def select_images(files, space):
    """Select one preprocessed version of each run."""
    descriptions = {file.entities.get("description") for file in files}
    if len(descriptions) > 1:
        keep = "preproc" if "preproc" in descriptions else None
        if keep not in descriptions:
            raise ValueError(
                f"Several versions of the images are in {files[0].root}: desc-"
                f"{', desc-'.join(sorted(descriptions))}, none of them desc-preproc. Pass the "
                "path of a derivative that holds one."
            )
        files = [file for file in files if file.entities.get("description") == keep]

    def without_echo(file):
        return file.path.parent, tuple(pair for pair in file.run_key if pair[0] != "echo")

    # Single echoes of runs that have a combined image are dropped.
    combined = {without_echo(file) for file in files if "echo" not in file.entities}
    files = [f for f in files if "echo" not in f.entities or without_echo(f) not in combined]
    spaces = sorted({file.space for file in files})
    if space is not None:
        space = space.removeprefix("space-")
        files = [f for f in files if space in (f.space, f.entities.get("space", "native"))]
        if not files:
            raise ValueError(
                f"No functional image has space={space!r}; there are {spaces}. Preprocessed "
                "images lie in derivatives: pass derivatives=."
            )
    spaces = sorted({file.space for file in files})
    if len(spaces) > 1:
        raise ValueError(
            f"The functional images in {files[0].root} come in {len(spaces)} spaces or "
            f"resolutions: {spaces}. Choose one, for example space={spaces[0]!r}."
        )
    seen = {}
    for file in files:
        other = seen.setdefault((file.path.parent, file.run_key), file)
        if other is not file:
            raise ValueError(
                f"Two files hold one run: {other.path} and {file.path}. Keep one of them."
            )
    return files


def find_confounds(file, names):
    """Return fMRIPrep's confounds table of an image among the names in its folder, or None."""
    drop = (*_VERSION, "echo", "part")
    wanted = {k: v for k, v in file.entities.items() if k not in drop}
    for ending in ("timeseries", "regressors"):
        for name in sorted(n for n in names if n.endswith(f"_desc-confounds_{ending}.tsv")):
            if {k: v for k, v in parse(name)[0].items() if k not in drop} == wanted:
                return file.path.with_name(name)
    return None
