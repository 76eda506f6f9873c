"""
Which experts do the work
=========================

Each token meets one shared expert and one of four routed ones. Do the routed experts of
``brainof-tiny`` share the work by modality?
"""

# %%
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import expert_usage, plot_expert_usage

samples, _, _ = make_paired_signals(4, n_subjects=4)  # simulated EEG, MEG and fMRI at once
embedder = BrainOFEmbedder().fit(samples)
usage = expert_usage(embedder, samples)
plot_expert_usage(usage)

# %%
# Every row of a panel adds up to one. Where a modality has an expert of its own, a column is light
# in one panel and dark in the others.
spread = usage.pivot_table(index=["part", "layer", "expert"], columns="modality", values="share")
(spread.max(axis=1) - spread.min(axis=1)).groupby(["part", "layer"]).max().round(2)

# %%
# In the second block of the encoder and in the last layers some experts are nearly left out by
# one modality and busy with another; in the middle of the backbone all modalities use all
# experts alike. The balance loss of pretraining pushes towards even use within each modality,
# and the network is small and briefly trained: specialists like those of the paper's large
# networks are not to be expected.
