"""Build the corpus of brainof-tiny.

``BRAINOF_DATA=... python -m benchmarks.tiny_corpus CORPUS``; people by ``suite/splits.toml``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from benchmarks.lib.sets import data_dir
from benchmarks.lib.tiny_sources import N_VOLUMES, PREPROCESSING, sources
from benchmarks.lib.write_corpus import write_corpus


def main():
    """Build the corpus and print its contents."""
    parser = argparse.ArgumentParser(description="Build the corpus of brainof-tiny.")
    parser.add_argument("corpus", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    corpus = write_corpus(
        options.corpus,
        sources(data_dir()),
        preprocessing=PREPROCESSING,
        fmri_volumes=N_VOLUMES,
    )
    print(corpus, *corpus.summary(), sep="\n")


if __name__ == "__main__":
    main()
