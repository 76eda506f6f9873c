"""
Sampling rates and repetition times
===================================

Recordings with different sampling rates can be used together: EEG and MEG are resampled to one
rate, and fMRI keeps its repetition time. This example measures how much the latents of the same
signal change with its sampling rate or repetition time.
"""

# %%
# EEG: sixteen windows of one recording, at four rates.
import matplotlib.pyplot as plt
import mne
import numpy as np

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_recordings, make_paired_signals

recordings = make_paired_recordings(1, modalities=["eeg"], duration=64, sfreq=500.0)
raw = recordings.records[0]["eeg"]
embedder = BrainOFEmbedder(pooling="flatten")
rows = {}
for rate in (500, 250, 128, 100):
    epochs = mne.make_fixed_length_epochs(raw.copy().resample(rate), duration=4.0, preload=True)
    rows[f"{rate} Hz"] = embedder.fit_transform(epochs)

# %%
# fMRI: sixteen segments of 40 s, simulated with a repetition time of 1 s, of which every second
# or every fourth volume is kept.
signals, _, _ = make_paired_signals(4, n_subjects=4, modalities=["fmri"], t_r=1.0)
signals = signals.by_modality["fmri"]
images = {}
for step in (1, 2, 4):
    data = signals.data[..., ::step]
    images[f"TR {step} s"] = embedder.transform(
        signals.replace(data=data, sfreq=1 / step, good_segments=((0, data.shape[2]),))
    )


# %%
# Cosine similarity after subtracting the mean over windows: of the same window at two rates, and
# of different windows at one rate.
def compare(rows):
    """Compute similarities with the first rate: of the same window, and of others."""
    centred = {name: one - one.mean(axis=0) for name, one in rows.items()}
    unit = {name: one / np.linalg.norm(one, axis=1)[:, None] for name, one in centred.items()}
    reference = next(iter(unit.values()))
    found = {}
    for name, one in unit.items():
        cosine = one @ reference.T
        found[name] = np.diag(cosine), cosine[~np.eye(len(cosine), dtype=bool)]
    return found


_, panels = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
for axes, some in zip(panels, (rows, images)):
    for place, (same, others) in enumerate(compare(some).values()):
        axes.plot(place + 0.12 + 0 * others, others, ".", color="0.7", markersize=4)
        axes.plot(place - 0.12 + 0 * same, same, "o", color="#0072B2", alpha=0.6)
    axes.set_xticks(range(len(some)), list(some))
    axes.axhline(0, color="black", linewidth=0.5)
panels[0].set_ylabel("cosine with the first, mean subtracted")
panels[0].set_title("EEG")
panels[1].set_title("fMRI")
panels[1].plot([], [], "o", color="#0072B2", label="the same window")
panels[1].plot([], [], ".", color="0.7", label="other windows")
panels[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

# %%
# Latents of EEG change little: at 100 Hz a window is much more similar to itself at 500 Hz than to
# any other window. Latents of fMRI change more, because the network reads patches of 64 volumes at
# any repetition time, and 40 s at TR 4 s are ten volumes instead of forty. Check that the
# repetition time is not confounded with the label, or resample all runs to one repetition time.
# :doc:`/invariance` has results for real recordings.
