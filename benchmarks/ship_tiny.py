"""Put a pretrained network into the package: half precision, sources in its manifest.

``python benchmarks/ship_tiny.py RUN`` takes the last checkpoint of a run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _sets import read_split

import brainof_toolbox
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.models.checkpoint import checkpoint_contents
from brainof_toolbox.pretraining import latest_checkpoint
from brainof_toolbox.pretraining.corpus import Corpus

LICENCE = "CC-BY-4.0"


def main():
    """Write the folder of weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--name", default="brainof-tiny")
    options = parser.parse_args()
    checkpoint = load_checkpoint(latest_checkpoint(options.run))
    corpus = Corpus(options.corpus)
    if corpus.sha256 != checkpoint.manifest["corpus"]:
        raise SystemExit(f"{options.run} was not trained on {options.corpus}.")
    manifest = {
        **{k: v for k, v in checkpoint.manifest.items() if k not in ("sha256", "n_parameters")},
        "name": options.name,
        "licence": LICENCE,
        "sources": [{**row, "hours": round(row["hours"], 2)} for row in corpus.summary()],
        "split": read_split(),
    }
    half = {name: tensor.half() for name, tensor in checkpoint.model.state_dict().items()}
    contents = checkpoint_contents(
        checkpoint.model, preprocessing=checkpoint.preprocessing, manifest=manifest, state=half
    )
    folder = Path(brainof_toolbox.__file__).parent / "weights" / options.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(json.dumps({"folder": str(folder), "MiB": round(size / 2**20, 2)}))


if __name__ == "__main__":
    main()
