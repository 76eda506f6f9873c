"""
Reconstructing what was hidden
==============================

Pretraining hides half of the signal and asks for it. How well does ``brainof-tiny`` tell what it
has not seen?
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
# Grey stretches were hidden from the network, and three tenths of the Fourier components removed
# from the rest.
{
    modality: round(reconstruct(embedder, samples, modality=modality).relative_loss, 2)
    for modality in ("eeg", "meg", "fmri")
}

# %%
# One is the error of saying zero. Slow waves and the alpha rhythm of the EEG, which neighbouring
# electrodes share, are partly told; what is faster is not, as the spectrum shows. Of hidden MEG
# and fMRI, ``brainof-tiny`` tells next to nothing: it is small, and was trained for hours rather
# than weeks.
