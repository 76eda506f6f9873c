"""Build the corpus of brainof-tiny.

``BRAINOF_DATA=... python -m benchmarks.tiny_corpus CORPUS --rest FOLDER``. FOLDER holds the EDF
files, but those of tasks, of "MDD Patients and Healthy Controls EEG Data (New)" (Mumtaz 2016,
figshare, doi:10.6084/m9.figshare.4244171, CC BY 4.0). Without it the corpus is another one.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from benchmarks.lib import tiny_sources as parts
from benchmarks.lib.sets import read_split
from brainof_toolbox.pretraining import build_corpus


def sources(rest, n_subjects, duration):
    """List sources, their names and their licences."""
    split = read_split()
    seen = {name: row["pretraining"] for name, row in split.items() if "pretraining" in row}
    found = [
        ("eeg-mental-arithmetic", list(parts.arithmetic(seen["eeg-mental-arithmetic"]))),
        ("eeg-visual-object", list(parts.visual(seen["eeg-visual-object"]))),
        ("fmri-story-listening", list(parts.story(seen["fmri-story-listening"]))),
        ("eeg-formats", list(parts.formats("eeg-formats", seen["eeg-formats"]))),
        ("meg-formats", list(parts.formats("meg-formats", seen["meg-formats"]))),
    ]
    licences = [split[name]["licence"] for name, _ in found]
    if rest:
        cut = [piece for _, raw, who in parts.read_rest(rest) for piece in parts.pieces(raw, who)]
        found.append(("eeg-depression-rest", cut))
        licences.append("CC-BY-4.0")
    if n_subjects:
        found.append(("simulated", list(parts.simulated(n_subjects, duration))))
        licences.append("CC0-1.0")
    return [made for _, made in found], [name for name, _ in found], licences


def main():
    """Build the corpus and print its contents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rest", type=Path, help="recordings at rest (Mumtaz 2016)")
    parser.add_argument("--subjects", type=int, default=12, help="simulated, of each study")
    parser.add_argument("--seconds", type=float, default=240.0, help="of a simulated run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    made, names, licences = sources(options.rest, options.subjects, options.seconds)
    corpus = build_corpus(made, options.corpus, dataset=names, licence=licences, verbose=True)
    print(corpus)


if __name__ == "__main__":
    main()
