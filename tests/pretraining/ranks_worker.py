"""What each process of test_distributed.py does; started by torchrun.

The training here is the plainest that uses all of DistributedRun.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path

from fakes import MICRO, SMALL, FakeCorpus
from safetensors.torch import load_file, save_file

from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.models.moe import MixtureOfExperts
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.distributed import DistributedRun
from brainof_toolbox.pretraining.objective import Objective
from brainof_toolbox.pretraining.optim import MovingAverage, make_optimizer
from brainof_toolbox.pretraining.process_group import no_sync
from brainof_toolbox.pretraining.rank_state import name_tensors
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator

N_STEPS, HALF = 6, 3
SEED = 3  # all three modalities come in either half
CONFIG = PretrainingConfig(max_tokens_per_microbatch=32, n_microbatches=4, ema_decay=0.9)
NETWORK = BrainOFConfig.from_dict({**MICRO, "n_layers": 2, "patch_size": 64, "n_experts": 4})
#: Corpora by name: all modalities take turns, or there is one only.
CORPORA = {"mixed": SMALL, "single": (("meg", 5, 128, 9),)}


@contextlib.contextmanager
def starved(micro_batch):
    """Let no token of odd micro-batches, which rank 1 of 2 has, choose the last expert."""
    route = MixtureOfExperts.route

    def avoid(self, flat):
        probability = route(self, flat)
        if micro_batch[0] % 2:
            keep = probability.new_ones(probability.shape[-1])
            keep[-1] = 0
            probability = probability * keep
        return probability

    MixtureOfExperts.route = avoid
    try:
        yield
    finally:
        MixtureOfExperts.route = route


class Run:
    """A short training run of one of the processes.

    Parameters
    ----------
    ranks : DistributedRun
        The processes.
    corpus : str
        Name in CORPORA.
    parallel : str
        As in PretrainingConfig.
    """

    def __init__(self, ranks, corpus="mixed", parallel="ddp"):
        self.ranks, self.corpus = ranks, FakeCorpus(CORPORA[corpus])
        self.sampler = Sampler(self.corpus, CONFIG, random_state=SEED)
        objective = Objective(BrainOF(NETWORK), CONFIG)
        self.module = ranks.wrap(objective, parallel)
        self.optimizer = make_optimizer(self.module, CONFIG)
        self.average = MovingAverage(name_tensors(self.module), CONFIG.ema_decay)
        self.state = (self.module, self.optimizer, self.average.values)
        self.losses, self.micro_batch, self.loads = [], [0], []

    def train(self, start, stop):
        """Do some steps.

        Parameters
        ----------
        start, stop : int
            First, and one after the last.

        Returns
        -------
        run : Run
            This one.
        """
        for step in range(start, stop):
            total, plan = 0, self.sampler.plan(step)
            mine = self.ranks.local_microbatches(len(plan))
            for number in mine:
                self.micro_batch[0] = number
                grid = GridBatch.collate([self.corpus[i] for i in plan[number]])
                masks = draw_masks(grid, CONFIG, mask_generator(SEED, step, number), 64)
                with no_sync(self.module, number == mine[-1]):
                    terms = self.module(grid, masks)
                    (terms["loss"] / len(mine)).backward()
                total = total + terms["loss"].detach() / len(mine)
                self.loads.append(terms["load"].tolist())
            norm = self.ranks.clip_gradients(self.module.parameters(), CONFIG.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(step)
            self.losses.append((self.ranks.mean({"loss": total})["loss"], norm))
        return self

    def write(self, folder, name):
        """Leave what the test compares, from the main process.

        Parameters
        ----------
        folder : pathlib.Path
            Where.
        name : str
            Of the run.
        """
        state = self.ranks.state(*self.state)
        if self.ranks.is_main:
            save_file(state, folder / f"{name}.safetensors")
            loads = {"losses": self.losses, "loads": self.loads}
            (folder / f"{name}.json").write_text(json.dumps(loads))


def compare(ranks, folder):
    """Every way of training that must equal the single process.

    Parameters
    ----------
    ranks : DistributedRun
        The processes.
    folder : pathlib.Path
        Holds the single process's state after half of the steps; takes what comes out.
    """
    half = load_file(folder / "single-half.safetensors")
    for parallel in ("ddp", "fsdp"):
        run = Run(ranks, "mixed", parallel).train(0, HALF)
        run.write(folder, f"{parallel}-half")
        if parallel == "fsdp":
            (folder / "step").mkdir(exist_ok=True)
            run.ranks.save_shards(folder / "step", *run.state)
        run.train(HALF, N_STEPS).write(folder, f"{parallel}-mixed")
        Run(ranks, "single", parallel).train(0, HALF).write(folder, f"{parallel}-single")
        run = Run(ranks, "mixed", parallel)
        with starved(run.micro_batch):
            run.train(0, HALF).write(folder, f"{parallel}-starved")
        run = Run(ranks, "mixed", parallel)
        ranks.restore(half, *run.state)
        run.train(HALF, N_STEPS).write(folder, f"{parallel}-resumed")
    run = Run(ranks, "mixed", "fsdp")
    ranks.load_shards(folder / "step", *run.state)
    run.train(HALF, N_STEPS).write(folder, "shards-resumed")


def agree(ranks, folder):
    """Small collectives.

    Parameters
    ----------
    ranks : DistributedRun
        The processes.
    folder : pathlib.Path
        Takes what this process got.
    """
    import torch

    values = {"a": torch.tensor(1.0 + ranks.rank), "b": torch.tensor([0.0, 4.0 * ranks.rank])}
    mean = ranks.mean(values)
    found = {
        "mean": [mean["a"], mean["b"].tolist()],
        "gather": ranks.gather(10 * ranks.rank),
        "any": [ranks.any(ranks.rank == 1), ranks.any(False)],
        "main": ranks.is_main,
        "share": list(ranks.local_microbatches(4)),
    }
    (folder / f"agree-{ranks.rank}.json").write_text(json.dumps(found))


def fail(ranks, folder):
    """Raise in one process at step 2, while the other one waits for its gradients.

    Parameters
    ----------
    ranks : DistributedRun
        The processes.
    folder : pathlib.Path
        Not used.
    """
    # As the training loop does: a signal asks to stop, and does not kill.
    signal.signal(signal.SIGTERM, lambda *args: None)
    run = Run(ranks).train(0, 2)
    if ranks.rank == 1:
        raise ValueError("recording 7 is broken")
    run.train(2, N_STEPS)


if __name__ == "__main__":
    jobs = {"compare": compare, "agree": agree, "fail": fail}
    with DistributedRun.from_environment("cpu", timeout=60) as the_ranks:
        for job in sys.argv[2:]:
            jobs[job](the_ranks, Path(sys.argv[1]))
