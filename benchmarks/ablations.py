"""Write the tables of ablations from the lines of ``benchmarks/explore_pretraining.py``.

``python -m benchmarks.ablations`` replaces what follows the marker in ``doc/ablations.rst``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.lib.store import read_lines
from benchmarks.lib.tables import csv_link, csv_table, slug, write_below

HERE = Path(__file__).resolve().parent
DOC = HERE.parent / "doc"
READOUT = 2  # version of the tasks; lines with others cannot be compared
ALWAYS = ("untrained", "default")
QUESTIONS = {
    "Time and frequency, or time alone": (
        "time only",
        "published terms",
        "alpha 0.2",
        "alpha 0.8",
    ),
    "When the encoder learns": ("encoder learns at once", "encoder learns as fast"),
    "All modalities, or one": ("EEG only", "MEG only", "fMRI only"),
    "Real and simulated recordings": ("real only", "simulated only"),
    "DINT attention, or plain": ("plain attention",),
    "Experts, or one feed-forward part": ("dense experts",),
}
OTHERS = "Other choices"
TASKS = {
    "eeg-mental-arithmetic": "arithmetic",
    "eeg-visual-object": "pictures",
    "eyes open or closed": "eyes",
    "simulated eeg": "simulated EEG",
    "simulated meg": "simulated MEG",
    "simulated fmri": "simulated fMRI",
}


def read_runs(path, steps):
    """Return the lines of runs of ``steps``, and of untrained networks, by variant."""
    found = {}
    for line in read_lines(path):
        if line.get("readout") == READOUT and line.get("steps") in (0, steps):
            found.setdefault(line["variant"], {})[line["seed"]] = line
    return {name: list(by_seed.values()) for name, by_seed in found.items()}


def mean(lines, *path):
    """Return mean over seeds of a number in the lines, as text; a dash where none has it."""
    values = []
    for line in lines:
        for key in path:
            line = line.get(key, {}) if isinstance(line, dict) else {}
        values += [] if isinstance(line, dict) else [line]
    return f"{np.mean(values):.3f}" if values else "-"


def score_rows(found, names):
    """Return balanced accuracies, flat and mean pooling, one row per variant."""
    rows = []
    for name in names:
        row = {"variant": label(name, found[name])}
        for task, short in TASKS.items():
            both = [mean(found[name], "scores", f"{task}, {p}") for p in ("flat", "mean")]
            row[short] = " / ".join(both)
        row["story"] = mean(found[name], "scores", "story segments, flat")
        rows.append(row)
    return pd.DataFrame(rows)


def hidden_rows(found, names):
    """Return losses on hidden patches, and what was trained on, one row per variant."""
    rows = []
    for name in names:
        row = {"variant": label(name, found[name])}
        kinds = dict.fromkeys(kind for line in found[name] for kind in line["hidden"])
        row |= {kind: mean(found[name], "hidden", kind) for kind in kinds}
        seen = [mean(found[name], "last log", "epoch", m) for m in ("eeg", "meg", "fmri")]
        row["passes over EEG / MEG / fMRI"] = " / ".join(seen)
        row["parameters, active"] = "{parameters:,}, {active:,}".format(**found[name][0])
        rows.append(row)
    return pd.DataFrame(rows)


def noise_rows(found):
    """Return balanced accuracies on noisy samples, one row per variant, task and pooling."""
    rows = []
    for name in ("untrained", "default", "plain attention"):
        lines = found.get(name, [])
        for which in dict.fromkeys(key for line in lines for key in line.get("noise", {})):
            levels = dict.fromkeys(key for line in lines for key in line["noise"][which])
            row = {"variant": label(name, lines), "task": which}
            row["no noise"] = mean(lines, "scores", which)
            row |= {f"{level} dB": mean(lines, "noise", which, level) for level in levels}
            rows.append(row)
    return pd.DataFrame(rows).sort_values("task", kind="stable") if rows else None


def label(name, lines):
    """Name of a variant, with the number of its seeds where there are several."""
    return name if len(lines) == 1 else f"{name} ({len(lines)} seeds)"


def links(title, found, names, page):
    """Write both tables of a question; return links, or a line where nothing was run."""
    names = [name for name in names if name in found]
    if not set(names) - set(ALWAYS):
        return f"* {title}: not run yet\n"
    scores = csv_link(score_rows(found, names), f"{title}: scores", page, f"{slug(title)}_scores")
    losses = csv_link(hidden_rows(found, names), f"{title}: losses", page, f"{slug(title)}_losses")
    return scores + losses


def main():
    """Read, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=Path, default=HERE / "pretraining" / "explored.jsonl")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=DOC / "ablations.rst")
    options = parser.parse_args()
    found = read_runs(options.lines, options.steps)
    in_questions = {name for names in QUESTIONS.values() for name in (*ALWAYS, *names)}
    questions = {**QUESTIONS, OTHERS: sorted(set(found) - in_questions)}
    parts, noise = [], noise_rows(found)
    if noise is not None:
        title = "Balanced accuracy, white noise added to test samples alone"
        parts.append(csv_table(noise, title, options.out, "noise"))
    parts += [
        links(title, found, [*ALWAYS, *names], options.out) for title, names in questions.items()
    ]
    parts.append(".. footbibliography::\n")
    write_below(DOC / "ablations.rst", "ablations.py", parts, options.out)


if __name__ == "__main__":
    main()
