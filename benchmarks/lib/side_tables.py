"""Tables of files that are read, and of choices by scores of untrained features."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np

from benchmarks.lib.scoring import Item, weights_sha256
from benchmarks.lib.sets import LOADERS, data_dir
from brainof_toolbox import BrainOFClassifier, Preprocessing, cross_validate
from brainof_toolbox.cli import main as brainof
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint

#: Not recordings, or parts of one that is read through another file.
PARTS = (".fdt", ".eeg", ".vmrk", ".elp", ".hsp", "_mrk.sqd", "config_linux", "hs_linux", ".md")
FORMATS, CHOSEN = "formats", "choices"
#: Name of a choice -> fields of the network, fields of the preprocessing, pooling.
CHOICES = {
    "default": ({}, {}, "flatten"),
    "pooling mean": ({}, {}, "mean"),
    "pooling mean+std": ({}, {}, "mean+std"),
    "scaling robust": ({}, {"scaling": "robust"}, "flatten"),
    "spectrum_gain 2": ({"spectrum_gain": 2.0}, {}, "flatten"),
    "no spectrum": ({"spectrum": False}, {}, "flatten"),
    "no low-pass": ({"waveform_lowpass_init": 1e6}, {}, "flatten"),
    "spectrum_gain 2, no low-pass": (
        {"spectrum_gain": 2.0, "waveform_lowpass_init": 1e6},
        {},
        "flatten",
    ),
}


def side_items(sets):
    """List the items of these tables, in pairs with the function that runs them."""
    work = []
    if CHOSEN in sets:
        names = [f"{name}: {choice}" for name in LOADERS for choice in CHOICES]
        work.append(([Item(CHOSEN, name, 1.0, 0, None, "") for name in names], run_choice))
    if FORMATS in sets:
        item = Item(FORMATS, "brainof embed", 1.0, 0, None, weights_sha256())
        work.append(([item], run_formats))
    return work


def run_formats(item):
    """Embed every file of the format sets."""
    rows = {}
    for folder in ("eeg-formats", "meg-formats"):
        for path in sorted((data_dir() / folder).rglob("*")):
            if not path.is_file() or path.name.endswith(PARTS):
                continue
            with tempfile.TemporaryDirectory() as scratch:
                out, printed = Path(scratch) / "rows.npy", io.StringIO()
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    code = brainof(["embed", str(path), "-o", str(out)])
                result = _describe_rows(out) if code == 0 else "refused: " + _reason(printed)
            rows[str(path.relative_to(data_dir()))] = result
    return {**vars(item), "files": rows}


def _describe_rows(path):
    """Describe the shape of an embedding, and values that are not finite."""
    features = np.load(path)
    finite = "finite" if np.isfinite(features).all() else "NOT FINITE"
    return f"{features.shape[0]} x {features.shape[1]}, {finite}"


def _reason(printed):
    """Return the last line of an error, without the path of this machine's folder."""
    last = printed.getvalue().strip().splitlines()[-1]
    return last.split(": ", 2)[-1].replace(f"{data_dir()}/", "")


def run_choice(item):
    """Score a choice that no paper makes for us, by the probe on untrained features."""
    set_name, choice = item.decoder.split(": ")
    fields, preprocessing, pooling = CHOICES[choice]
    task = LOADERS[set_name]()
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BrainOF(BrainOFConfig.preset("tiny", **fields), random_state=0)
        steps = Preprocessing(**preprocessing).to_dict()
        save_checkpoint(Path(scratch) / "network", model, preprocessing=steps, manifest={})
        probe = BrainOFClassifier(
            Path(scratch) / "network",
            features="latents",
            pooling=pooling,
            info=task.info,
            missing_positions=task.missing_positions,
            class_weight="balanced",
        )
        # On the splits that the choices were made with: all subjects are tested.
        scores = cross_validate(probe, task.X, task.y, groups=task.groups, cv=task.cv)
    return {**vars(item), "score": round(scores.mean, 4)}
