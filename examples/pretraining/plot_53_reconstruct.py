"""
Reconstruction of masked patches
================================

In pretraining, half of the patches are masked, and the network reconstructs them. This example
shows the reconstructions of ``brainof-tiny``.
"""

# %%
from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import reconstruct

samples, _, _ = make_paired_signals(4, n_subjects=2)
embedder = BrainOFEmbedder().fit(samples)
eeg = reconstruct(embedder, samples, modality="eeg", random_state=0)
eeg.plot()

# %%
# Grey segments were masked, and three tenths of the Fourier components of the rest removed. The
# error of the reconstruction, by modality:
{
    modality: round(reconstruct(embedder, samples, modality=modality).relative_loss, 2)
    for modality in ("eeg", "meg", "fmri")
}

# %%
# One is the error of predicting zero. ``brainof-tiny`` reconstructs slow EEG and fMRI in part, and
# hardly anything else (:doc:`/reconstruction`): many steps of its training were spent on linear
# read-outs, which form the compact embedding. The same lines show the reconstruction of weights
# of your own.
