"""
Different montages in one study
===============================

Sites of a study often have different caps. The network identifies electrodes by their position,
not by their number or order, and explicit features are computed at fixed positions in the head.
One decoder can therefore be trained and tested with subjects who have different caps, without a
common subset of electrodes.
"""

# %%
# Three sites, three subjects each: 19 electrodes of the 10-20 system, a Biosemi cap of 64, an
# EASYCAP of 74.
import matplotlib.pyplot as plt
import mne
import numpy as np

from brainof_toolbox import BrainOFClassifier, cross_validate
from brainof_toolbox.datasets import make_paired_recordings

caps = {"10-20": "10-20", "Biosemi": "biosemi64", "EASYCAP": "easycap-M1"}
people = {}
for seed, (cap, montage) in enumerate(caps.items()):
    made = make_paired_recordings(
        3,
        modalities=["eeg"],
        label="state",
        duration=40,
        block_duration=10,
        montage=montage,
        effect_size=0.7,
        random_state=seed,
    )
    for record in made.records:
        people[f"{cap} {record['subject']}"] = record["eeg"]

# %%
# Positions of the electrodes, from above.
_, panels = plt.subplots(1, 3, figsize=(8, 3), layout="constrained")
for axes, cap in zip(panels, caps):
    raw = people[f"{cap} 01"]
    raw.plot_sensors(axes=axes, sphere=0.1, show=False)
    axes.set_title(f"{cap}: {len(raw.ch_names)} electrodes")

# %%
# Recordings with different channels cannot be in one ``Epochs``. Pass a list of ``Epochs`` with
# one epoch each.
X, state, subject = [], [], []
for name, raw in people.items():
    events, event_id = mne.events_from_annotations(
        raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
    )
    epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=1.99, baseline=None, preload=True)
    X += [epochs[i] for i in range(len(epochs))]
    state += list(epochs.events[:, 2])
    subject += [name] * len(epochs)

scores = cross_validate(BrainOFClassifier(), X, state, groups=subject, cv=3)
scores

# %%
_, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
styles = {"10-20": ("o", "#0072B2"), "Biosemi": ("s", "#D55E00"), "EASYCAP": ("^", "#009E73")}
for place, (cap, (marker, colour)) in enumerate(styles.items()):
    of_cap = scores.by_group[scores.by_group["group"].str.startswith(cap)]
    places = place + np.linspace(-0.1, 0.1, len(of_cap))
    axes.plot(places, of_cap["score"], marker, color=colour, markersize=9)
axes.axhline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (2.3, 0.5), xytext=(0, 3), textcoords="offset points")
axes.set_xticks(range(3), list(styles))
axes.set_title("One decoder for three caps")
axes.set(ylabel="balanced accuracy, subject left out", ylim=(0.3, 1.03), xlim=(-0.5, 2.7))

# %%
# One decoder is used for all three caps, although only a third of its training subjects have the
# cap of the test subject. With three subjects per cap, differences between caps are not
# informative. :doc:`/invariance` measures how much embeddings change with the montage.
