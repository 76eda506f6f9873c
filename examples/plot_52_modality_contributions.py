"""
What each modality contributes
==============================

A decoder reads EEG, MEG and fMRI of the same moments. How much of its success is due to each?
Shapley values share the score out, averaged over all orders in which modalities could be read.
"""

# %%
from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import modality_contributions, plot_contributions

# In these simulations each modality sees its own part of what sets task apart from rest.
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
# The three contributions add up to the score with all modalities, less that with none, which is
# chance. Points show what a modality adds to nothing and what it still adds to the other two: the
# decoder was fitted to all three together, so a modality alone may do worse than in a decoder of
# its own.
found.attrs["scores"]
