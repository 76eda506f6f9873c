"""
Pretraining on recordings of your own
=====================================

From recordings without labels to weights that every estimator loads: build a corpus once, train,
stop, go on, look at the curves, use the checkpoint. The run on this page is far too short to learn
anything; it shows the steps, which are the same on a cluster.
"""

# %%
# A corpus
# --------
# :func:`~brainof_toolbox.pretraining.build_corpus` takes BIDS folders, folders of recordings,
# files, lists of these, objects, and ``"simulated:6x60"``: six people of 60 s with EEG, MEG and
# fMRI. Everything is preprocessed as the checkpoint will state, cut into samples, and stored as
# 16-bit numbers that any machine with numpy reads. Subjects are kept as hashes of their names.
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from brainof_toolbox.pretraining import build_corpus, latest_checkpoint, pretrain

folder = Path(tempfile.mkdtemp())
corpus = build_corpus("simulated:6x60", folder / "corpus", verbose=False)
corpus

# %%
# A run
# -----
# ``config`` is the shape of the network: a preset, or fields of
# :class:`~brainof_toolbox.models.BrainOFConfig`. ``training`` is how it learns. The learning rate
# follows ``total_steps``, so a run that is stopped and goes on is the same run; ``stop_after``
# stops here on purpose, as Ctrl-C, a full disk or the end of a job would.
training = {
    "max_tokens_per_microbatch": 2048,
    "learning_rate": 3e-3,
    "warmup_steps": 5,
    "log_every": 1,
}
training["temperature"] = 100  # as many steps of each modality, whatever the corpus holds
options = {"config": {"preset": "tiny", "n_layers": 2}, "total_steps": 48, "training": training}
pretrain(corpus, folder / "run", stop_after=24, **options)
checkpoint = pretrain(corpus, folder / "run", resume=True, **options)
assert checkpoint == latest_checkpoint(folder / "run")
print(checkpoint.relative_to(folder), sorted(path.name for path in checkpoint.iterdir()))

# %%
# How it went
# -----------
# ``log.jsonl`` has a line for each step that is logged. A step is of one modality, so each has a
# curve of its own. ``brainof plot-run RUN`` draws these and more.
lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
loss = pd.DataFrame([line["loss"] for line in lines], index=[line["step"] for line in lines])

_, axes = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
styles = {"fmri": ("#009E73", "^"), "eeg": ("#0072B2", "o"), "meg": ("#D55E00", "s")}
for name, (colour, marker) in styles.items():
    axes.plot(loss[name].dropna(), marker, linestyle="-", color=colour, markersize=4, label=name)
axes.axvline(24.5, color="0.6", linestyle=":")
axes.annotate("stopped, resumed", (25, 0.01), color="0.4")
axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

# %%
# What do we see?
# ---------------
# That the run went on where it stopped, and little else: a step on this page holds one to three
# samples, and how loud they happen to be moves the loss more than what was learned. MEG of 2 s is
# the worst. ``brainof-tiny`` took 2,600 steps of 4,096 tokens, and the published networks learned
# from 5.9 million samples (:doc:`/model`) where this page has 222. Watch the loss relative to a
# network that says zero, as :doc:`/ablations` does, and read features out on tasks of your own,
# before crediting a run.

# %%
# Using it
# --------
# The directory is what ``checkpoint=`` of every estimator takes, and what may be copied, shared or
# put on a hub: the shape of the network, how recordings are preprocessed for it, the weights, and
# a manifest with datasets, licence, steps and hashed subjects. Nothing in it can be executed.
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

embedder = BrainOFEmbedder(checkpoint, pooling="mean").fit(make_epochs(n_epochs=2))
embedder.checkpoint_info_

# %%
# What a checkpoint was taught with, no test may use. :func:`~brainof_toolbox.cross_validate` warns
# when the hash of a test subject stands in the manifest.
#
# Real recordings
# ---------------
# The same two lines, with folders in place of simulated people::
#
#     sources = ["ds003775", "ds000117", "lab/recordings"]
#     corpus = build_corpus(sources, "corpus", n_jobs=8)
#     pretrain(corpus, "run", config="tiny", total_steps=20_000)
#
# or, on the command line, where the build may be killed and called again at any time::
#
#     brainof corpus build ds003775/ ds000117/ lab/recordings/ -o corpus/ --jobs 8
#     brainof corpus info corpus/
#     brainof pretrain run.toml
#     brainof plot-run runs/first
#
# Keep some people out of the corpus for tests, and write down whom: nothing else will ever be a
# fair test of these weights.
#
# On a cluster
# ------------
# The corpus is a folder to copy; machines that only train need torch, numpy, safetensors and tqdm.
# ``run.toml`` names corpus, output, network and number of steps. ``torchrun`` starts a process per
# GPU, SLURM a launcher per machine, and a job that is preempted goes back into the queue and on
# from its last checkpoint::
#
#     torchrun --nproc-per-node 8 -m brainof_toolbox.pretraining run.toml
#     sbatch --nodes=8 --gpus-per-node=8 doc/slurm_pretrain.sbatch run.toml
#
# :doc:`/pretraining_clusters` says how to choose the sizes, what one, eight or 256 processes have
# in common (the run), and how long each network would take; :doc:`/corpus` what is in a corpus,
# and :doc:`/pretraining_choices` why the defaults are what they are.
