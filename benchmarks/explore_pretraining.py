"""Compare short pretraining runs by frozen features on the development split.

``BRAINOF_DATA=... python -m benchmarks.explore_pretraining CORPUS`` trains one network per line of
``VARIANTS`` and appends a line each to ``pretraining/explored.jsonl``, which
``benchmarks/ablations.py`` makes a page of. Variants change ``pretraining/tiny.toml``.
Only subjects of the corpus, and simulated ones, are decoded; labels of the people that the suite
scores are not read here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
import tomllib
import warnings
from pathlib import Path

import torch

from benchmarks.lib.development_tasks import VERSION, load_all, read_out, reconstruct
from benchmarks.lib.store import append_line
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint
from brainof_toolbox.preprocessing import Preprocessing
from brainof_toolbox.pretraining import Corpus, pretrain

PRETRAINING = Path(__file__).resolve().parent / "pretraining"
#: Name -> changed fields of the network, of the training, and the part of the corpus.
VARIANTS = {
    "default": {},
    "time only": {"training": {"frequency_weight": 0.0, "frequency_mask_ratio": 0.0}},
    "published terms": {
        "network": {"predicts_spectrum": False},
        "training": {"spectrum_weight": 0.0},
    },
    "encoder learns at once": {"training": {"encoder_frozen_steps": 0}},
    "encoder learns as fast": {"training": {"encoder_lr_ratio": 1.0}},
    "EEG only": {"part": {"modalities": ["eeg"]}},
    "MEG only": {"part": {"modalities": ["meg"]}},
    "fMRI only": {"part": {"modalities": ["fmri"]}},
    "real only": {"part": {"datasets": "real"}},
    "simulated only": {"part": {"datasets": "simulated"}},
    "plain attention": {"network": {"attention": "plain"}},
    "dense experts": {"network": {"experts": "dense"}},
    "alpha 0.2": {"training": {"frequency_weight": 0.2}},
    "alpha 0.8": {"training": {"frequency_weight": 0.8}},
    "hide 75 %": {"training": {"patch_mask_ratio": 0.75}},
    "remove 10 %": {"training": {"frequency_mask_ratio": 0.1}},
    "remove 50 %": {"training": {"frequency_mask_ratio": 0.5}},
    "linear patches": {
        "network": {"spectrum": False, "predicts_spectrum": False},
        "training": {"spectrum_weight": 0.0},
    },
    "no positions": {"network": {"position_encoding": "none", "latent_init": "random"}},
    "random latents": {"network": {"latent_init": "random"}},
    "embed hidden": {"training": {"masked_tokens": "embed"}},
    "wide and shallow": {"network": {"n_layers": 3, "width": 176}},
    "learning rate 1e-3": {"training": {"learning_rate": 1e-3}},
    "learning rate 3e-4": {"training": {"learning_rate": 3e-4}},
}


def take_part(corpus, part):
    """Select a part of a corpus; ``"real"`` is all but what was simulated."""
    part = dict(part)
    if part.get("datasets") in ("real", "simulated"):
        is_real = part["datasets"] == "real"
        part["datasets"] = [d for d in corpus.datasets if (d != "simulated") == is_real]
    return corpus.select(**part)


def train(change, options, folder):
    """Train one variant; returns its checkpoint, its size, and the last line of its log."""
    base = tomllib.loads(options.base.read_text())
    fields = {**base.get("model", {}), **change.get("network", {})}
    config = BrainOFConfig.preset(fields.pop("preset", "tiny"), **fields)
    model = BrainOF(config, options.seed)
    size = {"parameters": model.n_parameters(), "active": model.n_parameters(active=True)}
    if not options.steps:
        steps = Preprocessing().to_dict()
        save_checkpoint(folder, model, preprocessing=steps, manifest={"datasets": []})
        return folder, size, {}
    training = {**base.get("training", {}), **change.get("training", {})}
    path = pretrain(
        take_part(Corpus(options.corpus), change.get("part", {})),
        folder,
        config=config,
        total_steps=options.steps,
        save_every=min(50, options.steps),
        resume=(folder / "run.json").exists(),
        random_state=options.seed,
        training={
            **training,
            "max_tokens_per_microbatch": options.tokens,
            "log_every": 50,
            "keep_latest_k": 1,
        },
        verbose=False,
    )
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return path, size, log[-1]


@contextlib.contextmanager
def folder_of(name, options):
    """Yield the folder of a run: a permanent one, which can be resumed, or a temporary one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        yield folder / f"{name.replace(' ', '-')}-{options.steps}-{options.seed}"


def run(name, options, tasks, held_out):
    """Train one variant, score it, and return its line of results."""
    change, start = VARIANTS[name], time.perf_counter()
    base = tomllib.loads(options.base.read_text())
    with folder_of(name, options) as folder:
        path, size, log = train(change, options, folder)
        trained = time.perf_counter()
        found = read_out(path, tasks, is_noisy=name in options.noise)
        found["hidden"] = reconstruct(path, held_out)
    return {
        "variant": name if options.steps else "untrained",
        "readout": VERSION,
        "change": change,
        "base": {name: base[name] for name in ("model", "training") if name in base},
        "steps": options.steps,
        "tokens": options.tokens,
        "seed": options.seed,
        "minutes": round((trained - start) / 60, 1),
        "minutes of reading out": round((time.perf_counter() - trained) / 60, 1),
        **size,
        "last log": log,
        **found,
    }


def write(found, path):
    """Append a line, and show it."""
    append_line(path, found)
    print(json.dumps(found), flush=True)


def parse():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument(
        "--noise",
        nargs="*",
        choices=list(VARIANTS),
        default=["default", "plain attention"],
        help="variants that are decoded from noisy samples too",
    )
    parser.add_argument("--checkpoint", type=Path, help="read out this one, and train nothing")
    parser.add_argument(
        "--base", type=Path, default=PRETRAINING / "tiny.toml", help="what is varied"
    )
    parser.add_argument("--steps", type=int, default=300, help="0: untrained")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the tasks")
    parser.add_argument("--keep", type=Path, help="folder that keeps the runs, to resume them")
    parser.add_argument("--out", type=Path, default=PRETRAINING / "explored.jsonl")
    return parser.parse_args()


def main():
    """Run the chosen variants."""
    options = parse()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    with tempfile.TemporaryDirectory() as scratch:
        tasks, held_out = load_all(options.cache or Path(scratch))
        if options.checkpoint:
            path = options.checkpoint
            found = read_out(path, tasks, is_noisy=bool(options.noise))
            found = {"checkpoint": path.name, "readout": VERSION, **found}
            write({**found, "hidden": reconstruct(path, held_out)}, options.out)
            return
        for name in options.variants:
            write(run(name, options, tasks, held_out), options.out)


if __name__ == "__main__":
    main()
