"""How much of what a network is pretrained to predict does it predict for other people?

``BRAINOF_DATA=... python -m benchmarks.explained CHECKPOINT ...`` prints the share of the variance
of each quantity, for people of the corpus and for people of development: EEG at rest, clean
windows of 8 s with all electrodes. CHECKPOINT is one of a run, which still has the targets.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.pretraining import PretrainingConfig
from brainof_toolbox.pretraining.batch import GridBatch, to_tokens
from brainof_toolbox.pretraining.targets import Targets
from brainof_toolbox.pretraining.terms import COURSE, DIFFERENCE, smoothing_bins

from .lib.sets import data_dir
from .lib.tiny_sources import PREPROCESSING, read_rest
from .lib.write_corpus import write_corpus
from .suite.people import choose_scored, choose_trained

SET = "eeg-depression-rest"
PEOPLE = {
    "of the corpus": choose_trained,
    "of development": lambda folder, names: choose_scored(folder, names)[0],
}
N_WINDOWS = 300  # of each, at most


def read_windows(parts):
    """Return some windows of people (person, windows) as samples of a corpus."""
    items = [(SET, "CC-BY-4.0", x.replace(subject=(who,) * len(x))) for who, x in parts]
    with tempfile.TemporaryDirectory() as place:
        corpus = write_corpus(Path(place) / "corpus", items, preprocessing=PREPROCESSING)
        numbers = np.random.default_rng(0).permutation(len(corpus))[:N_WINDOWS]
        return [corpus[int(number)] for number in numbers]


@torch.no_grad()
def explain(model, windows, targets):
    """Return the share of the variance of each quantity that a network predicts.

    Parameters
    ----------
    model : BrainOF
        Network with linear read-outs and their targets.
    windows : sequence of CorpusSample
        Clean windows of EEG or MEG of one length.
    targets : Targets
        Quantities.

    Returns
    -------
    shares : dict of str -> float
        By read-out; of the course also of each quarter of the windows.
    """
    found, wanted, course = {}, {}, []
    size = model.config.patch_size
    bins = smoothing_bins(size)
    for window in windows:
        latents = model(to_tokens(GridBatch.collate([window]), patch_size=size))
        change = model.change(latents)
        for name, read_out in model.read_outs["eeg"].items():
            columns = torch.from_numpy(targets.columns(window, name))[None]
            if name == DIFFERENCE:  # of two windows: below, relative to the mean of all
                target = columns / read_out.scale @ read_out.components
            else:
                target = read_out.project(columns)
            wanted.setdefault(name, []).append(target)
            found.setdefault(name, []).append(read_out(change))
        queries = to_tokens(GridBatch.collate([targets.course(window)]), patch_size=size)
        error = (model.decode(latents, queries, group=COURSE) - queries.values) @ bins.T
        power = queries.values @ bins.T  # (1, S, bins)
        quarter = (queries.time[0] / window.data.shape[1] * window.sfreq * 4).long()  # (S,)
        parts = [quarter == k for k in range(4)]
        course.append([[x[0, own].square().sum().item() for own in parts] for x in (error, power)])
    shares = {}
    for name in found:
        predicted, target = torch.cat(found[name]), torch.cat(wanted[name])
        if name == DIFFERENCE:
            predicted, target = predicted - predicted.mean(0), target - target.mean(0)
        left = (predicted - target).square().sum() / (target - target.mean(0)).square().sum()
        shares[name] = 1 - left.item()
    error, power = np.sum(course, axis=0)  # 2 x (4,)
    return shares | {f"{COURSE}, quarter {k + 1}": 1 - error[k] / power[k] for k in range(4)}


def main(arguments=None):
    """Print the shares of each checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", help="folders of checkpoints of runs")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    targets = Targets(PretrainingConfig())
    folder = data_dir() / SET
    for people, choose in PEOPLE.items():
        windows = read_windows(read_rest(folder, choose))
        for path in options.checkpoints:
            shares = explain(load_checkpoint(path).model, windows, targets)
            text = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
            print(f"{Path(path).name}, people {people}: {text}", flush=True)


if __name__ == "__main__":
    main()
