"""
MEG with magnetometers and gradiometers
=======================================

Magnetometers measure a magnetic field (T), planar gradiometers its gradient (T/m). You need not
scale either: each type has its own unit, and the type, position and orientation of every coil are
inputs of the network. This example compares each type alone with both together.
"""

# %%
# Simulated MEG of one subject with 34 magnetometers and 68 gradiometers, blocks of rest and task.
import matplotlib.pyplot as plt
import mne

from brainof_toolbox import BrainOFClassifier, cross_validate
from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    1,
    modalities=["meg"],
    label="state",
    duration=120,
    block_duration=10,
    n_meg=102,
    effect_size=0.7,
)
raw = recordings.records[0]["meg"]
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=1.99, baseline=None, preload=True)
block = (events[:, 0] // (10 * raw.info["sfreq"])).astype(int)
for kind, unit in (("mag", "T"), ("grad", "T/m")):
    data = epochs.get_data(kind)
    print(f"{data.shape[1]} {kind}: spread {data.std():.1e} {unit}")

# %%
# Each type alone, and both.
scores = {
    "magnetometers": epochs.copy().pick("mag"),
    "gradiometers": epochs.copy().pick("grad"),
    "both": epochs,
}
scores = {
    name: cross_validate(BrainOFClassifier(), some, some.events[:, 2], groups=block)
    for name, some in scores.items()
}

# %%
_, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for place, one in enumerate(scores.values()):
    axes.plot(one.interval, [place, place], color="black")
    axes.plot(one.mean, place, "o", color="#0072B2", markersize=8)
axes.axvline(0.5, color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (0.5, 2.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks(range(len(scores)), list(scores))
axes.set_title("Magnetometers, gradiometers, or both")
axes.set(xlabel="balanced accuracy, blocks left out, 95 % interval", ylim=(2.5, -0.5))

# %%
# With twelve blocks of one subject the intervals are wide. More sensors need not improve the
# score.
#
# If an ``Epochs`` has EEG *and* MEG, both modalities are used.
from brainof_toolbox import from_epochs
from brainof_toolbox.datasets import make_epochs

both = from_epochs(make_epochs("eeg+meg", n_epochs=4, n_channels=16))
both
