"""Decoding scores on the development sets, side by side on the same splits.

Run ``BRAINOF_DATA=... python benchmarks/quality.py``; it writes ``doc/quality.rst`` (EEG and MEG)
and ``doc/quality_fmri.rst`` (fMRI, BIDS, paired modalities); ``--pages`` chooses.
Hyper-parameters are the estimators' defaults or chosen inside training folds; nothing is chosen on
test folds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _fmri_page import write_fmri_page
from _sets import LOADERS, data_dir
from _tables import list_table

from brainof_toolbox import BrainOFClassifier, Preprocessing, compare
from brainof_toolbox._baselines import make_baselines
from brainof_toolbox.cli import main as brainof
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint

DOC = Path(__file__).resolve().parent.parent / "doc"
PROBE, FULL = "Brain-OF probe, untrained", "Brain-OF full, from scratch"
#: Not recordings, or parts of one that is read through another file.
PARTS = (".fdt", ".eeg", ".vmrk", ".elp", ".hsp", "_mrk.sqd", "config_linux", "hs_linux", ".md")


def score_set(name, max_epochs, random_state):
    """Compare network and classical decoders on one set; returns its part of both tables."""
    task = LOADERS[name]()
    shared = {
        "info": task.info,
        "on_missing": task.on_missing,
        "class_weight": "balanced",
        "random_state": random_state,
    }
    estimators = {
        PROBE: BrainOFClassifier(**shared),
        FULL: BrainOFClassifier(adaptation="full", max_epochs=max_epochs, **shared),
        **make_baselines((task.info or task.X.info)["sfreq"]),
    }
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = compare(estimators, task.X, task.y, groups=task.groups, cv=task.cv)
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    rows = []
    for row in result.summary.itertuples():
        folds = result.folds.loc[result.folds["estimator"] == row.estimator, "score"]
        rows.append(
            {
                "set": f"{name}: {task.task}, n = {len(task.y)}",
                "decoder": row.estimator,
                "balanced accuracy": f"{row.mean:.3f}",
                "95 % interval": "{:.2f} to {:.2f}".format(*row.interval),
                "chance": f"{row.chance:.2f}",
                "folds": " ".join(f"{score:.2f}" for score in folds),
            }
        )
    return pd.DataFrame(rows), paired(name, result.differences)


def paired(name, differences):
    """Differences from the network's two rows."""
    with_network = differences[differences["first"].isin([PROBE, FULL])]
    return pd.DataFrame(
        {
            "set": name,
            "first": with_network["first"],
            "second": with_network["second"],
            "difference": with_network["difference"].map("{:+.3f}".format),
            "p": with_network["p_value"].map("{:.3f}".format),
            "units": with_network["n_units"].astype(str) + " " + with_network["unit"] + "s",
        }
    )


def read_formats():
    """Embed every file of the format sets; returns one row per file."""
    rows = []
    for folder in ("eeg-formats", "meg-formats"):
        for path in sorted((data_dir() / folder).rglob("*")):
            if not path.is_file() or path.name.endswith(PARTS):
                continue
            with tempfile.TemporaryDirectory() as scratch:
                out, said = Path(scratch) / "rows.npy", io.StringIO()
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    code = brainof(["embed", str(path), "-o", str(out)])
                result = describe_rows(out) if code == 0 else "refused: " + reason(said)
            rows.append({"file": str(path.relative_to(data_dir())), "result": result})
    return pd.DataFrame(rows)


def describe_rows(path):
    """Shape of an embedding, and whether it is finite."""
    features = np.load(path)
    finite = "finite" if np.isfinite(features).all() else "NOT FINITE"
    return f"{features.shape[0]} x {features.shape[1]}, {finite}"


def reason(said):
    """The last line of an error, without the path of this machine's folder."""
    return (
        said.getvalue().strip().splitlines()[-1].split(": ", 2)[-1].replace(f"{data_dir()}/", "")
    )


#: Name of a choice -> fields of the network, fields of the preprocessing, pooling.
CHOICES = {
    "default": ({}, {}, "flat"),
    "pooling mean": ({}, {}, "mean"),
    "pooling mean+std": ({}, {}, "mean+std"),
    "scaling robust": ({}, {"scaling": "robust"}, "flat"),
    "spectrum_gain 2": ({"spectrum_gain": 2.0}, {}, "flat"),
    "no spectrum": ({"spectrum": False}, {}, "flat"),
    "no low-pass": ({"waveform_corner": 1e6}, {}, "flat"),
    "spectrum_gain 2, no low-pass": (
        {"spectrum_gain": 2.0, "waveform_corner": 1e6},
        {},
        "flat",
    ),
}


def choose(random_state, sets):
    """Score choices that no paper makes for us, by the probe on untrained features."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (fields, preprocessing, _) in CHOICES.items():
            model = BrainOF(BrainOFConfig.preset("tiny", **fields), random_state=random_state)
            steps = Preprocessing(**preprocessing).to_dict()
            save_checkpoint(Path(scratch) / name, model, preprocessing=steps, manifest={})
        for set_name in sets:
            task = LOADERS[set_name]()
            shared = {"info": task.info, "on_missing": task.on_missing, "class_weight": "balanced"}
            estimators = {
                name: BrainOFClassifier(Path(scratch) / name, pooling=pooling, **shared)
                for name, (_, _, pooling) in CHOICES.items()
            }
            found = compare(estimators, task.X, task.y, groups=task.groups, cv=task.cv)
            rows.append(found.summary.set_index("estimator")["mean"].rename(set_name))
            print(rows[-1].round(3).to_dict(), flush=True)
    table = pd.DataFrame(rows).T.map("{:.3f}".format)
    return table.reset_index(names="choice")


PAGE = """Decoding scores
===============

Made by::

    BRAINOF_DATA=/path/to/recordings python benchmarks/quality.py {arguments}

**No pretrained weights exist yet.** The network below is the preset ``tiny`` with random
weights, either frozen under a logistic regression ("probe, untrained") or trained on the training
side of each split alone ("full, from scratch": from the probe's head, at most {max_epochs} epochs,
stopped early on an inner split by whole subjects or runs where there are several). The other rows
are classical decoders on the same splits (``brainof_toolbox/_baselines.py``). Classes are weighted
to count the same, except in the discriminant analyses. Hyper-parameters are defaults or chosen
inside training folds, but the choices of the last table were made by looking at these very scores:
all of them are development scores.

Balanced accuracy is the mean over folds; intervals are Student's t over folds, or a bootstrap over
subjects where there are more than five, widened because folds share training samples. The sensors
of meg-hand-direction have no positions and no stated unit: they are placed by order, and values
are taken as femtotesla.

{scores}
Differences
-----------

Mean over subjects (or runs, or folds) of the first decoder's score minus the second's, with the
two-sided p-value of a sign-flip permutation, not corrected for the number of pairs. With n units
no p-value is below 2 / 2\\ :sup:`n`.

{differences}
Files read
----------

Every file of eeg-formats and meg-formats through ``brainof embed``: rows x features, or why not.

{formats}
Choices
-------

What the paper leaves open and was decided on these sets, by the probe on untrained features:
balanced accuracy when one choice differs from the default (``pooling`` of the estimators,
``Preprocessing.scaling``, and ``spectrum``, ``spectrum_gain`` and ``waveform_corner`` of
``BrainOFConfig``). One seed; differences of a few hundredths mean nothing.

{choices}"""


def write_page(options):
    """Run the EEG and MEG sets and write their page."""
    scores, differences = zip(
        *(score_set(name, options.max_epochs, options.seed) for name in options.sets)
    )
    choices = choose(options.seed, options.sets)
    page = PAGE.format(
        arguments=f"--pages meeg --max-epochs {options.max_epochs} --seed {options.seed}",
        max_epochs=options.max_epochs,
        scores=list_table(pd.concat(scores), "Balanced accuracy"),
        differences=list_table(pd.concat(differences), "Paired differences"),
        formats=list_table(read_formats(), "Files"),
        choices=list_table(choices, "Untrained features"),
    )
    path = options.out / "quality.rst"
    path.write_text(page)
    print(f"wrote {path}")


def main():
    """Write both pages, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", choices=("meeg", "fmri"), default=("meeg", "fmri"))
    parser.add_argument("--sets", nargs="+", choices=list(LOADERS), default=list(LOADERS))
    parser.add_argument("--max-epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=DOC, help="folder of the pages")
    options = parser.parse_args()
    if "fmri" in options.pages:
        write_fmri_page(options)
    if "meeg" in options.pages:
        write_page(options)


if __name__ == "__main__":
    main()
