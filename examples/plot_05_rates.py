"""
Sampling rates and repetition times
===================================

Recordings of different rates may be mixed: EEG and MEG are resampled to one rate inside, fMRI
keeps its repetition time, and the network is told the time and the length of each piece that it
reads. How much does the same second of brain, sampled otherwise, move in the space of embeddings?
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
embedder = BrainOFEmbedder()
rows = {}
for rate in (500, 250, 128, 100):
    epochs = mne.make_fixed_length_epochs(raw.copy().resample(rate), duration=4.0, preload=True)
    rows[f"{rate} Hz"] = embedder.fit_transform(epochs)

# %%
# fMRI: sixteen stretches of 40 s, simulated with a repetition time of 1 s, of which every second
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
# Cosine similarity after the mean over windows is taken out: of the same window at two rates, and
# of different windows at one rate.
def compare(rows):
    """Similarity with the first kind: of the same window, and of others."""
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
panels[0].set_ylabel("cosine with the first, mean taken out")
panels[0].set_title("EEG")
panels[1].set_title("fMRI")
panels[1].plot([], [], "o", color="#0072B2", label="the same window")
panels[1].plot([], [], ".", color="0.7", label="other windows")
panels[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

# %%
# EEG hardly notices: at 100 Hz a window is still far closer to itself at 500 Hz than to any other.
# What is lost is what lies above half of the rate. fMRI does notice. A patch is 64 volumes
# whatever their distance, and 40 s at TR 4 s are ten volumes that hold less than forty: embeddings
# of one repetition time are not those of another, and a study that mixes them should see to it
# that labels and repetition times are not mixed up, or resample to one of them first.
# :doc:`/invariance` has the same for real recordings.
