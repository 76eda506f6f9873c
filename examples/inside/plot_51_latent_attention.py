"""
Attention of the latents
========================

The network reads a recording into 128 vectors, the latents, by attention to its channels and
times. This example maps the attention of single latents on the scalp and in the brain.
"""

# %%
import numpy as np

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import latent_attention, plot_latent_attention

samples, _, _ = make_paired_signals(4, n_subjects=2, montage=32)
embedder = BrainOFEmbedder().fit(samples)
shown = (0, 5, 9)

# %%
# EEG: attention of three latents to each electrode.
eeg = latent_attention(embedder, samples, modality="eeg")
plot_latent_attention(eeg, shown)

# %%
# The same latents with fMRI.
fmri = latent_attention(embedder, samples, modality="fmri")
plot_latent_attention(fmri, shown)

# %%
# A latent attends to similar regions in both modalities: positions of electrodes and of regions
# are in one coordinate frame, and each latent is initialised at a position in it. Correlation over
# latents of the centres of attention in EEG and in fMRI, along x, y and z:
centres = [seen.channels[-1] @ seen.ch_pos for seen in (eeg, fmri)]
[round(float(np.corrcoef(*axis)[0, 1]), 2) for axis in np.transpose(centres, (2, 0, 1))]

# %%
# All values are in one table. These are the electrodes with the most attention of the three
# latents; shares over all electrodes add up to one.
table = eeg.to_dataframe().query("kind == 'channel' and block == 1 and latent in @shown")
table.sort_values("share", ascending=False).groupby("latent").head(2).round(2)
