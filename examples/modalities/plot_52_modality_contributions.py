"""
Contributions of modalities
===========================

How much does each modality contribute to a decoder of simultaneous EEG, MEG and fMRI? Shapley
values divide the score among the modalities, averaged over all orders in which they can be
added.
"""

# %%
from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import modality_contributions, plot_contributions

# In each modality of these simulations, rest and task differ in another signal.
samples, label, subject = make_paired_signals(12, n_subjects=8, effect_size=1.5, random_state=1)
is_training = subject <= "05"
decoder = BrainOFClassifier().fit(
    samples[is_training], label[is_training], groups=subject[is_training]
)

# %%
# Scored on subjects that were left out.
found = modality_contributions(
    decoder, samples[~is_training], label[~is_training], scoring="balanced_accuracy"
)
plot_contributions(found)

# %%
found.round(3)

# %%
# The three contributions add up to the score with all modalities minus that with none, which is
# chance. Points show the score of a modality alone and what it adds to the other two. The decoder
# was fitted to all three together, so that a modality alone may score lower than in its own
# decoder.
found.attrs["scores"]
