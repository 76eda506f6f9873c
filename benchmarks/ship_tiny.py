"""Put a pretrained network into the package: whitened read-outs, half precision, origin, card.

``python -m benchmarks.ship_tiny RUN --corpus CORPUS`` takes the last checkpoint of a run, or with
``--step`` another one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import brainof_toolbox
from benchmarks.suite.people import read_splits
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.models.checkpoint import checkpoint_contents
from brainof_toolbox.pretraining import latest_checkpoint, whiten_read_outs
from brainof_toolbox.pretraining.corpus import Corpus

HERE = Path(__file__).resolve().parent / "pretraining"
WEIGHTS = Path(brainof_toolbox.__file__).parent / "weights"
LICENCE = "CC-BY-4.0"
#: Share kept of what read-outs predict, by modality; the folder has less than 16 MiB.
VARIANCE = {"eeg": 0.995, "meg": 0.98}
MODALITIES = {"eeg": "EEG", "meg": "MEG", "fmri": "fMRI"}


def make_card(manifest):
    """Return the model card as text."""
    rows = manifest["sources"]
    header = ("dataset", "modality", "recordings", "subjects", "hours", "licence")
    lines = [header, ("---",) * len(header), *([row[name] for name in header] for row in rows)]
    table = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)

    def hours(is_simulated):
        parts = [r for r in rows if (r["dataset"] == "simulated") == is_simulated]
        by_modality = {m: sum(r["hours"] for r in parts if r["modality"] == m) for m in MODALITIES}
        return ", ".join(f"{value:.3g} h of {MODALITIES[m]}" for m, value in by_modality.items())

    size = manifest["n_parameters"]
    return (
        (HERE / "model_card.md")
        .read_text()
        .format(
            total=size["total"],
            active=size["active"],
            licence=manifest["licence"],
            real=hours(False),
            simulated=hours(True),
            sources=table,
            steps=manifest["steps"],
            tokens=manifest["training"]["max_tokens_per_microbatch"],
            seed=manifest["seed"],
        )
    )


def make_contents(run, corpus, *, step=None, name="brainof-tiny"):
    """Return the files of the shipped folder, by name: half precision, origin, model card."""
    path = latest_checkpoint(run)
    if step is not None:
        path = path.parent / f"step-{step:08d}"
    checkpoint, corpus = load_checkpoint(path), Corpus(corpus)
    if corpus.sha256 != checkpoint.manifest["corpus"]:
        raise ValueError(f"{run} was not trained on {corpus.directory}.")
    manifest = {
        **{k: v for k, v in checkpoint.manifest.items() if k not in ("sha256", "n_parameters")},
        "name": name,
        "licence": LICENCE,
        "sources": [{**row, "hours": round(row["hours"], 3)} for row in corpus.summary()],
        "split": read_splits(),
    }
    network = checkpoint.model
    if network.config.read_outs:
        network = whiten_read_outs(network, corpus, VARIANCE)
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    contents = checkpoint_contents(
        network, preprocessing=checkpoint.preprocessing, manifest=manifest, state=half
    )
    card = make_card(json.loads(contents["manifest.json"]))
    return {**contents, "README.md": card.encode()}


def main():
    """Write the folder of weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--step", type=int, help="this checkpoint instead of the last one")
    parser.add_argument("--name", default="brainof-tiny")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of all weights")
    options = parser.parse_args()
    contents = make_contents(options.run, options.corpus, step=options.step, name=options.name)
    folder = options.out / options.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    size = sum(map(len, contents.values()))
    print(json.dumps({"folder": str(folder), "MiB": round(size / 2**20, 2)}))


if __name__ == "__main__":
    main()
