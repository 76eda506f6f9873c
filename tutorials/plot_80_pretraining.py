"""
Pretraining on your own recordings
==================================

From your own recordings, without labels, to weights that every estimator loads: build a corpus,
train, interrupt and resume, plot the losses, use the checkpoint. The run on this page is far too
short to be useful; it shows the steps, which are the same on a cluster.
"""

# %%
# A corpus
# --------
# :func:`~brainof_toolbox.pretraining.build_corpus` takes BIDS folders, folders of recordings,
# files, lists of these, objects, and ``"simulated:6x60"``: six simulated subjects with 60 s of
# EEG, MEG and fMRI each. Recordings are preprocessed, cut into samples, and stored as 16-bit
# numbers in files of numpy. Subjects are stored as hashes of their names.
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
# ``config`` is the architecture: a preset, or fields of
# :class:`~brainof_toolbox.models.BrainOFConfig`. ``training`` holds fields of
# :class:`~brainof_toolbox.pretraining.PretrainingConfig`. A run that is interrupted and resumed
# gives the same weights as an uninterrupted one. ``stop_after`` interrupts the run here; Ctrl-C, a
# full disk or the end of a job would do the same.
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
# Losses
# ------
# ``log.jsonl`` has a line for each logged step. Each step uses samples of one modality, so that
# there is a curve for each modality. ``brainof plot-run RUN`` draws these and more.
lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
loss = pd.DataFrame([line["loss"] for line in lines], index=[line["step"] for line in lines])

_, axes = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
styles = {"fmri": ("#009E73", "^"), "eeg": ("#0072B2", "o"), "meg": ("#D55E00", "s")}
for name, (colour, marker) in styles.items():
    axes.plot(loss[name].dropna(), marker, linestyle="-", color=colour, markersize=4, label=name)
axes.axvline(24.5, color="0.6", linestyle=":")
axes.annotate("stopped, resumed", (25, 0.01), color="0.4")
axes.set(title="Training and validation", xlabel="step", ylabel="loss", ylim=(0, None))
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

# %%
# Results
# -------
# The run continues where it was interrupted. Otherwise the curves show little: with one to three
# samples in a step, the loss depends more on their amplitudes than on training. MEG of 2 s is the
# most variable. ``brainof-tiny`` was trained for 15,460 steps of 4,864 tokens, the published
# networks on 5.9 million samples (:doc:`/model`); this page has 222. To judge a run, compare the
# loss with that of predicting zero, as in :doc:`/pretraining_choices`, and decode your own tasks.

# %%
# Using the checkpoint
# --------------------
# ``checkpoint=`` of every estimator takes the directory. You can copy it, share it or upload it to
# a hub: it holds the architecture, the preprocessing, the weights, and a manifest with data sets,
# licence, steps and hashed subjects. It contains no code.
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

embedder = BrainOFEmbedder(checkpoint, pooling="mean").fit(make_epochs(n_epochs=2))
embedder.checkpoint_info_

# %%
# Subjects of the training data must not be test subjects. :func:`~brainof_toolbox.cross_validate`
# warns if the hash of a test subject is in the manifest.
#
# Real recordings
# ---------------
# The same two calls, with folders in place of simulated subjects::
#
#     sources = ["ds003775", "ds000117", "lab/recordings"]
#     corpus = build_corpus(sources, "corpus", n_jobs=8)
#     pretrain(corpus, "run", config="tiny", total_steps=20_000)
#
# or, on the command line (an interrupted build continues when it is repeated)::
#
#     brainof corpus build ds003775/ ds000117/ lab/recordings/ -o corpus/ --jobs 8
#     brainof corpus info corpus/
#     brainof pretrain run.toml
#     brainof plot-run runs/first
#
# Keep some subjects out of the corpus, and document which: the weights can only be tested on
# subjects outside the corpus.
#
# On a cluster
# ------------
# Copy the corpus; machines that only train need torch, numpy, safetensors and tqdm. ``run.toml``
# names corpus, output, network and number of steps. A job that is preempted is queued again and
# resumes from its last checkpoint::
#
#     torchrun --nproc-per-node 8 -m brainof_toolbox.pretraining run.toml
#     sbatch --nodes=8 --gpus-per-node=8 doc/slurm_pretrain.sbatch run.toml
#
# :doc:`/pretraining_clusters` describes settings for several GPUs and the estimated time for each
# network, :doc:`/corpus` the format of a corpus, and :doc:`/pretraining_choices` the choice of the
# defaults.
