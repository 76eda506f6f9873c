"""
Usage of experts by modality
============================

Each token is processed by one shared expert and by one of four routed ones. This example shows how
often ``brainof-tiny`` selects each routed expert for each modality.
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
# Every row of a panel adds up to one. An expert that is specific to a modality is a column with
# high values in one panel only.
spread = usage.pivot_table(index=["part", "layer", "expert"], columns="modality", values="share")
(spread.max(axis=1) - spread.min(axis=1)).groupby(["part", "layer"]).max().round(2)

# %%
# In the second block of the encoder and in the last layers some experts are selected often for one
# modality and rarely for another; in the middle of the backbone all modalities use all experts
# about equally. The balance loss of pretraining favours even use within each modality, and the
# network is small and briefly trained: specialised experts, as in the large networks of the paper,
# are not expected.
