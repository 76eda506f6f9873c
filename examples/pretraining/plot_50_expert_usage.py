"""
Usage of experts by modality
============================

Experts are parallel sub-networks: each latent is processed by one shared expert and by one of four
others, selected for it. This example shows how often ``brainof-tiny`` selects each expert for each
modality.
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
# fMRI selects other experts than EEG and MEG in most parts of the network, most clearly in the
# encoder and in the first and the third layer of the backbone. EEG and MEG select experts more
# evenly, although the balance loss of pretraining, which favours even use within each modality,
# is the same for all.
