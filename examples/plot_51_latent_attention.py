"""
Where the latents look
======================

Whatever is recorded, the network works on 128 latents. Each of them reads the recording by
attention: where does it look, on the scalp and in the brain?
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
# EEG: shares of the attention that three latents give to each electrode.
eeg = latent_attention(embedder, samples, modality="eeg")
plot_latent_attention(eeg, shown)

# %%
# The same latents, reading fMRI.
fmri = latent_attention(embedder, samples, modality="fmri")
plot_latent_attention(fmri, shown)

# %%
# A latent looks at one place, and at the same one in both modalities: positions of electrodes and
# of regions are given in one frame, and each latent started from a place in it. Over all latents,
# how well do the centres of attention in EEG and in fMRI go together, along x, y and z?
centres = [seen.channels[-1] @ seen.ch_pos for seen in (eeg, fmri)]
[round(float(np.corrcoef(*axis)[0, 1]), 2) for axis in np.transpose(centres, (2, 0, 1))]

# %%
# All numbers are in one table. These are the electrodes that the three latents look at most;
# shares over all electrodes add up to one, however many there are.
table = eeg.to_frame().query("kind == 'channel' and block == 1 and latent in @shown")
table.sort_values("share", ascending=False).groupby("latent").head(2).round(2)
